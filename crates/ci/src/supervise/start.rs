//! Admission: what the schedule and the live guard allow is recorded, then started.

use std::time::Instant;

use super::attempt::{Attempt, Frame, StartError};
use super::{Loop, unix_ms};
use crate::event::{AttemptRecord, AttemptStarting, Event};
use crate::evidence::{End, Evidence};
use crate::outcome;
use crate::schedule::Start;

impl Loop<'_> {
    /// Starts what the schedule allows.
    pub(super) fn admit(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        loop {
            let (guard, running, now) = (&mut self.guard, &self.running, Instant::now());
            let mut asked = false;
            let start = self.schedule.start_next(&mut |reservation| {
                asked = true;
                guard.admits(reservation, running, now)
            });
            if !asked {
                guard.rest();
            }
            self.tell_held(now);
            let Some(start) = start else { return };
            if let Err(why) = self.recorder.reserve() {
                self.unstart(&start);
                self.stop_without_state(&why);
                return;
            }
            if let Err(error) = self.start(&start) {
                self.unstart(&start);
                self.stop_without_state(&format!("no further job can be started: {error}"));
                return;
            }
        }
    }

    /// A job that was to be started and was not: it stays unstarted.
    fn unstart(&mut self, start: &Start) {
        self.schedule.again(start.job, start.reservation, start.alone);
    }

    /// Records when the guard begins and ends to hold jobs back.
    fn tell_held(&mut self, now: Instant) {
        let held = self.guard.held(now);
        if held.is_some() != self.recorder.run.held.is_some() {
            let because = held.map(str::to_owned);
            self.recorder.emit(Event::Held { because });
        }
    }

    fn start(&mut self, start: &Start) -> Result<(), std::io::Error> {
        let plan = self.plan;
        let job = &plan.jobs[start.job];
        let mut number = self.recorder.run.jobs[start.job].attempts.last().map_or(0, |attempt| attempt.number) + 1;
        // A directory without a record is left by a start that went wrong.
        while self.dir.attempt(job.name.as_str(), number).exists() {
            number = number.saturating_add(1);
        }
        let again = self.again.get(&start.job);
        let diet = again.is_some_and(|again| again.diet);
        let again = again.map(|again| again.because.clone());
        let id = format!("{}-{number}", start.job);
        let slot = self.slots.iter().position(|taken| !taken).unwrap_or(self.slots.len());
        let frame = Frame {
            run: &self.dir.id(),
            project: self.project,
            directory: self.dir.attempt(job.name.as_str(), number),
            id: id.clone(),
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            diet,
            programs: &mut self.programs,
        };
        self.recorder.emit(Event::AttemptStarting(AttemptStarting {
            job: job.name.clone(),
            attempt: number,
            reservation: start.reservation,
            alone: start.alone,
            diet,
            again: again.clone(),
            group: self.containment.root().map(|_| id),
        }));
        self.recorder.flush();
        let now = (Instant::now(), unix_ms());
        let host_before = self.oom.value().get().copied();
        let kernel_before = self.kernel.seen();
        match Attempt::start(job, (start.job, number), frame, &mut *self.containment, now) {
            Ok(mut attempt) => {
                attempt.reservation = start.reservation;
                attempt.alone = start.alone;
                attempt.again = again;
                attempt.host_before = host_before;
                attempt.kernel_before = kernel_before;
                if slot == self.slots.len() {
                    self.slots.push(true);
                } else {
                    self.slots[slot] = true;
                }
                let (pid, ticks) = (attempt.pid, attempt.ticks);
                self.running.push(attempt);
                self.recorder.emit(Event::AttemptStarted { job: job.name.clone(), attempt: number, pid, ticks });
                Ok(())
            }
            Err(StartError::State(error)) => Err(error),
            Err(StartError::Job(error)) => {
                let evidence = Evidence { expect_exit: job.expect_exit, ..Evidence::of(End::NotStarted { error }) };
                let verdict = outcome::judge(&evidence);
                let record = AttemptRecord {
                    number,
                    verdict,
                    evidence,
                    started: now.1,
                    ended: now.1,
                    peak: None,
                    reservation: start.reservation,
                    alone: start.alone,
                    diet,
                    again,
                };
                self.ended(start.job, record);
                Ok(())
            }
        }
    }
}
