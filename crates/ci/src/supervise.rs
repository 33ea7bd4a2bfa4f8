//! The supervised run: one loop that starts, watches, measures, ends and judges.
//!
//! The loop waits in `poll` for pid descriptors, signals and deadlines, and records every act before it does it. Its
//! parts each own their data: [`Dispatcher`] the schedule and the record, `Launcher` the resources of a start,
//! `Observers` the evidence about a death, `Guard` the machine's free memory, `Processors` their use, `Clock` the periods. All decisions are
//! pure functions elsewhere: `schedule`, `outcome` and `retry`.

use crate::report::commands;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::containment::{Containment, signal_process};
use super::dangers;
use super::event::{AttemptRecord, AttemptStarting, Event, Measured};
use super::evidence::{End, Evidence, KillReason};
use super::log::FinishedLog;
use super::outcome::Outcome;
use super::probe::process;
use super::schedule::Start;
use drydock_base::exec;
use drydock_base::interrupts::{Asked, Held};
use drydock_base::paths::RunDir;

mod attempt;
mod clock;
mod dispatcher;
mod guard;
mod launcher;
mod logs;
mod nature;
mod observers;
mod orphans;
mod outputs;
mod processors;
mod program;
mod recorder;
mod sender;
mod slots;
mod start_error;
mod suite;
mod throttle;
mod user;

use attempt::{Attempt, Deadline, StartError};
use clock::Clock;
pub use dispatcher::Dispatcher;
use guard::Guard;
use launcher::Launcher;
use observers::Observers;
use orphans::Orphans;
use processors::Processors;
pub use recorder::{Recorder, unix_ms};

/// The number of times that SIGKILL is repeated at the end of a run, and the time between.
const MOST_ROUNDS: u32 = 100;
const ROUND: Duration = Duration::from_millis(10);
/// A turn that takes this much longer than its wait means that this process was stopped.
const STOPPED: Duration = Duration::from_secs(1);
/// Signals closer together than this are one interruption.
const ONE_INTERRUPTION: Duration = Duration::from_millis(500);

/// A supervised run.
pub struct Supervisor<'a> {
    dispatcher: Dispatcher<'a>,
    launcher: Launcher<'a>,
    observers: Observers<'a>,
    orphans: Orphans,
    guard: Guard,
    processors: Processors,
    clock: Clock,
    /// The end of the last wait.
    looked: Instant,
    running: Vec<Attempt>,
    /// The logs of attempts that ended: the job, the attempt's number, and the file as it was then.
    logs: Vec<(usize, u32, FinishedLog)>,
    stop: Stop,
}

/// The reason why the run stops, if it does.
#[derive(Debug, Default)]
struct Stop {
    reason: Option<KillReason>,
    first_interrupt: Option<Instant>,
}

impl<'a> Supervisor<'a> {
    /// A run that is recorded in `dir` and contained by `containment`. This process adopts orphans from now on.
    ///
    /// # Errors
    /// The kernel refuses a thread or a descriptor.
    pub fn new(
        dir: &'a RunDir,
        dispatcher: Dispatcher<'a>,
        containment: Box<dyn Containment>,
    ) -> anyhow::Result<Supervisor<'a>> {
        let plan = dispatcher.plan;
        let processors = Processors::new(dispatcher.recorder.run.started.as_ref().and_then(|started| started.cores));
        Ok(Supervisor {
            launcher: Launcher::new(plan, dir, containment)?,
            orphans: Orphans::adopt().context("cannot become the reaper of orphaned processes")?,
            observers: Observers::new(plan, dir.root()),
            dispatcher,
            guard: Guard::default(),
            processors,
            clock: Clock::new(Instant::now()),
            looked: Instant::now(),
            running: Vec::new(),
            logs: Vec::new(),
            stop: Stop::default(),
        })
    }

    /// Runs everything to its end, or until a signal or a full disk stops it.
    ///
    /// # Errors
    /// Only if the kernel refuses a resource that the loop itself needs.
    pub fn run(mut self, signals: &Held) -> anyhow::Result<Recorder<'a>> {
        if let Err(error) = self.turn(signals) {
            for attempt in &self.running {
                // The loop's own error is the one to report.
                attempt.group.signal(Signal::KILL, attempt.adopted.as_deref()).ok();
            }
            return Err(error);
        }
        Ok(self.dispatcher.recorder)
    }

    fn turn(&mut self, signals: &Held) -> anyhow::Result<()> {
        loop {
            // A terminal and a parent may both have signalled one interruption.
            if let Some(asked) = signals.take().into_iter().next() {
                self.interrupt(&asked);
            }
            self.admit();
            if self.running.is_empty() && !(self.guard.is_waiting() && self.stop.reason.is_none()) {
                self.end_orphans();
                self.check_logs();
                if !self.dispatcher.awaits_list() {
                    self.leave_unstarted();
                }
                return Ok(());
            }
            self.dispatcher.recorder.flush();
            let now = self.wait(signals)?;
            // The kernel counts a kill before its victim can be reaped, so the count is read after the reaping.
            self.reap(now);
            self.running.iter_mut().for_each(|attempt| attempt.look(now));
            // Read before the files and groups of the killed job are removed.
            self.observers.watch_oom(now, &mut self.running);
            self.attend(now);
            if self.clock.sample_is_due(now) {
                self.sample(now);
            }
            if self.clock.take_progress(now) {
                let live = self.dispatcher.live(&self.running, now);
                self.dispatcher.recorder.progress(&live);
            }
        }
    }

    /// Waits for an end, a signal or a deadline, and returns the moment at which it looks at the jobs again.
    fn wait(&mut self, signals: &Held) -> anyhow::Result<Instant> {
        let wakes = self.running.iter().filter_map(Attempt::wakes);
        let until = wakes.min().map_or(self.clock.next(), |wakes| wakes.min(self.clock.next()));
        let before = Instant::now();
        let until = until.max(before);
        let left = until.saturating_duration_since(before);
        let timeout = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut descriptors: Vec<PollFd<'_>> =
            vec![PollFd::from_borrowed_fd(signals.descriptor().as_fd(), PollFlags::IN)];
        let living = self.running.iter().filter(|attempt| attempt.end.is_none());
        descriptors.extend(living.map(|attempt| PollFd::from_borrowed_fd(attempt.pidfd.as_fd(), PollFlags::IN)));
        match rustix::event::poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the jobs"),
        }
        drop(descriptors);
        // This process was stopped, during the wait or since the one before it, and mostly together with the jobs: nobody
        // watched them in that time. No deadline is compared with a later moment than the one that is returned.
        let now = Instant::now();
        let unwatched = now.saturating_duration_since(until) + before.saturating_duration_since(self.looked);
        if unwatched > STOPPED {
            self.running.iter_mut().for_each(|attempt| attempt.postpone(unwatched));
        }
        self.looked = now;
        Ok(now)
    }

    /// Starts the jobs that the schedule and the guard allow.
    fn admit(&mut self) {
        while self.stop.reason.is_none() {
            let now = Instant::now();
            let mut asked = false;
            let start = self.dispatcher.next(&mut |demand, safety| {
                asked = true;
                self.guard.admits(demand, safety, &self.running, now) && self.processors.admit(&self.running, now)
            });
            if !asked {
                self.guard.rest();
                self.processors.rest();
            }
            self.dispatcher.recorder.admission_paused(self.guard.objection(now));
            let Some(start) = start else { return };
            self.dispatcher.recorder.repair(false);
            let in_place = self.launcher.is_in_place();
            let replaced = || io::Error::other("the run's directory was moved, deleted or replaced");
            let started = in_place.then_some(()).ok_or_else(replaced);
            let started = started.and_then(|()| self.dispatcher.recorder.reserve()).and_then(|()| {
                self.start(start)
                    .map_err(|error| io::Error::new(error.kind(), format!("cannot start another job: {error}")))
            });
            if let Err(error) = started {
                self.dispatcher.take_back(start);
                self.leave_state(error.to_string());
            }
        }
    }

    fn start(&mut self, start: Start) -> io::Result<()> {
        let job = &self.dispatcher.plan.jobs[start.job];
        let prepared = self.launcher.prepare(start.job, self.dispatcher.last_attempt(start.job))?;
        let (number, conditions) = (prepared.number, self.dispatcher.conditions(start));
        self.dispatcher.recorder.emit(Event::AttemptStarting(AttemptStarting {
            job: job.name.clone(),
            attempt: number,
            conditions: conditions.clone(),
            group: self.launcher.group(&prepared),
        }));
        self.dispatcher.recorder.flush();
        match self.launcher.start(prepared, conditions.clone(), self.observers.baseline()) {
            Ok(attempt) => {
                let (job, pid, ticks) = (job.name.clone(), attempt.pid, attempt.ticks);
                self.running.push(attempt);
                self.dispatcher.recorder.emit(Event::AttemptStarted { job, attempt: number, pid, ticks });
            }
            Err(StartError::State(error)) => return Err(error),
            Err(StartError::Job(error)) => {
                let end = End::NotStarted { error, unlisted: job.unlisted().is_some() };
                let evidence = Evidence { expect_exit: job.expect_exit, ..Evidence::new(end) };
                let now = unix_ms();
                let measured = Measured { started: now, ended: now, ..Measured::default() };
                self.ended(start.job, AttemptRecord::new(number, conditions, evidence, measured));
            }
        }
        Ok(())
    }

    fn reap(&mut self, now: Instant) {
        let unix = unix_ms();
        for attempt in self.running.iter_mut().filter(|attempt| attempt.end.is_none()) {
            // The pid stays ours until it is reaped; after an error it is reaped in the next turn.
            attempt.reap(now, unix).ok();
            self.observers.note_end(attempt);
        }
    }

    /// Performs the acts that are due because of the attempts' deadlines and ends.
    fn attend(&mut self, now: Instant) {
        if self.running.iter().any(|attempt| attempt.wakes().is_some_and(|wakes| wakes <= now) || attempt.end.is_some())
        {
            self.list_orphans();
        }
        let mut position = 0;
        while position < self.running.len() {
            let attempt = &mut self.running[position];
            match attempt.deadline(now) {
                Deadline::None => position += 1,
                Deadline::Kill(reason, signal) => {
                    kill(attempt, &mut self.dispatcher, reason, signal);
                    position += 1;
                }
                Deadline::Finish => self.finish(position),
                Deadline::GiveUp => {
                    let job = &self.dispatcher.plan.jobs[attempt.job].name;
                    let text = format!(
                        "processes of {job} survive SIGKILL: they hang in the kernel, are frozen, or belong to another user"
                    );
                    self.dispatcher.warn(text);
                    self.finish(position);
                }
            }
        }
    }

    /// Lists the orphans of each running attempt.
    fn list_orphans(&mut self) {
        // Those that were listed before are then signalled again.
        let Ok(adopted) = self.orphans.living(&self.running) else { return };
        let of_attempt = |attempt: &Attempt| self.orphans.of(&adopted, attempt, self.running.len() == 1);
        let lists: Vec<Option<Vec<u32>>> =
            self.running.iter().map(|attempt| (!adopted.is_empty()).then(|| of_attempt(attempt))).collect();
        for (attempt, list) in self.running.iter_mut().zip(lists) {
            attempt.adopted = list;
        }
    }

    /// Reports logs that another process changed after their jobs ended.
    fn check_logs(&mut self) {
        if !self.launcher.is_in_place() {
            return;
        }
        for (job, number, log) in std::mem::take(&mut self.logs) {
            let name = &self.dispatcher.plan.jobs[job].name;
            if !log.is_unchanged(&self.launcher.attempt(name.as_str(), number).join("log")) {
                self.dispatcher.warn(format!("the log of {name} was changed or deleted after the job ended"));
            }
        }
    }

    /// Ends what no attempt was found to have left behind.
    fn end_orphans(&mut self) {
        for round in 0..MOST_ROUNDS {
            let left = self.orphans.left(self.launcher.run()).unwrap_or_default();
            if left.is_empty() {
                break;
            }
            for pid in left {
                if round == 0 {
                    let text = format!("ended a process that a job left behind: {pid} {}", process::command_line(pid));
                    self.dispatcher.warn(text);
                }
                signal_process(pid, Signal::KILL);
            }
            std::thread::sleep(ROUND);
        }
    }

    fn finish(&mut self, position: usize) {
        let mut attempt = self.running.swap_remove(position);
        self.launcher.ended(&attempt);
        let name = &self.dispatcher.plan.jobs[attempt.job].name;
        let (finished, troubles) = attempt.output.finish();
        self.logs.extend(finished.map(|log| (attempt.job, attempt.number, log)));
        for trouble in troubles {
            attempt.unwritten |= trouble.is_unwritten();
            self.dispatcher.warn(format!("the log of {name} {trouble}"));
        }
        let evidence = self.observers.evidence(&mut attempt, &self.running);
        let highest = evidence.group.get().and_then(|group| group.peak);
        self.processors.ended(attempt.cpu(), attempt.began.elapsed());
        let measured = Measured {
            started: attempt.began_at,
            ended: attempt.end.as_ref().map_or_else(unix_ms, |ended| ended.unix),
            peak: attempt.group.peak(highest).max((attempt.highest > 0).then_some(attempt.highest)),
            cpu_ms: attempt.cpu().and_then(|time| u64::try_from(time.as_millis()).ok()),
            peak_ms: attempt.peak_at.and_then(|time| u64::try_from(time.as_millis()).ok()),
        };
        if let Err(error) = attempt.group.remove() {
            self.dispatcher.warn(format!("could not remove the cgroup of {name}: {}", exec::plain(&error)));
        }
        let record = AttemptRecord::new(attempt.number, attempt.conditions, evidence, measured);
        let is_full = attempt.unwritten || record.verdict.outcome == Outcome::DiskFull;
        self.ended(attempt.job, record);
        if is_full {
            let why = if attempt.unwritten { "and its log could not be written" } else { "while a disk was full" };
            self.leave_state(format!("{name} ended {why}"));
        }
    }

    /// Stops the run, since nothing that it finds out from now on can be relied on or recorded.
    fn leave_state(&mut self, why: String) {
        if self.stop.reason.is_none() {
            let text = format!("{why}; the run stops, and `{}` resumes it", commands::resume().kept());
            self.dispatcher.recorder.emit_now(Event::Warning { text });
            self.stop(KillReason::NoState, Signal::TERM);
        }
    }

    fn ended(&mut self, job: usize, record: AttemptRecord) {
        self.clock.progress_soon(Instant::now());
        self.dispatcher.attempt_ended(job, record);
    }

    /// Takes a sample of every job and of the machine.
    fn sample(&mut self, now: Instant) {
        self.list_orphans();
        for attempt in &mut self.running {
            attempt.sample();
            attempt.expected = self.dispatcher.observe(attempt);
        }
        let plan = self.dispatcher.plan;
        let unwritten = self.running.iter().find_map(|attempt| Some((attempt.job, attempt.output.error()?)));
        if let Some((job, error)) = unwritten {
            self.leave_state(format!("cannot write the log of {}: {error}", plan.jobs[job].name));
        }
        let available = self.observers.sample();
        self.guard.sample(Instant::now());
        if self.clock.sampled(now, now.elapsed()) {
            let usage = self.running.iter().map(|attempt| (plan.jobs[attempt.job].name.clone(), attempt.usage));
            let jobs = usage.collect();
            self.dispatcher.recorder.emit(Event::Samples { jobs, available });
        }
    }

    fn interrupt(&mut self, asked: &Asked) {
        let signal = asked.signal;
        self.dispatcher.recorder.emit_now(Event::Interrupted { signal });
        let from = sender::described(asked, &self.running, &self.dispatcher.recorder.run);
        from.into_iter().for_each(|text| self.dispatcher.warn(text));
        let now = Instant::now();
        let first = *self.stop.first_interrupt.get_or_insert(now);
        let repeated = now.duration_since(first) > ONE_INTERRUPTION;
        self.stop(KillReason::Cancel, if repeated { Signal::KILL } else { Signal::TERM });
        if !repeated && signal == Signal::TERM.as_raw() {
            dangers::who_stops_drydock().into_iter().for_each(|text| self.dispatcher.warn(text));
        }
    }

    /// Starts no further job, and ends the running ones.
    fn stop(&mut self, reason: KillReason, signal: Signal) {
        self.list_orphans();
        self.stop.reason = Some(reason);
        self.dispatcher.stop();
        for attempt in &mut self.running {
            if attempt.intent.is_none() || signal == Signal::KILL {
                kill(attempt, &mut self.dispatcher, reason, signal);
            }
        }
    }

    fn leave_unstarted(&mut self) {
        match self.stop.reason {
            None | Some(KillReason::Leftover | KillReason::Timeout) => {}
            Some(KillReason::Cancel) => self.dispatcher.leave_unstarted("the run was stopped before"),
            Some(KillReason::NoState) => {
                self.dispatcher.leave_unstarted("the run could not go on, as its last warning says")
            }
        }
    }
}

/// Journals the intent, then sends the signal. Repetitions of a SIGKILL are not journalled again.
fn kill(attempt: &mut Attempt, dispatcher: &mut Dispatcher<'_>, reason: KillReason, signal: Signal) {
    let repeated = signal == Signal::KILL && attempt.is_being_killed();
    if !repeated {
        dispatcher.recorder.emit_now(Event::KillIntent {
            job: dispatcher.plan.jobs[attempt.job].name.clone(),
            attempt: attempt.number,
            reason,
            signal: signal.as_raw(),
        });
    }
    // The grace period begins now, even if judging another attempt took long.
    attempt.kill(reason, signal, Instant::now(), unix_ms());
}
