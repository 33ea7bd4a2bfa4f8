//! The supervised run: one loop that starts, watches, measures, ends and judges.
//!
//! The loop waits in `poll` for pid descriptors, signals and deadlines, and records every act before it does it. All
//! decisions are made elsewhere: what starts next in `schedule`, what a death was in `outcome`, what follows in `retry`.

use std::collections::HashMap;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use super::containment::Containment;
use super::event::{AttemptRecord, Event, JobResult};
use super::evidence::KillReason;
use super::outcome;
use super::plan::Plan;
use super::probe::host::OomCounter;
use super::probe::kmsg::KernelLog;
use super::retry::{self, Again, Next};
use super::schedule::Schedule;
use drydock_base::exec::Programs;
use drydock_base::paths::RunDir;

mod adopt;
mod attempt;
mod gather;
mod guard;
mod interrupts;
mod logs;
mod observe;
mod recorder;
mod start;

use attempt::{Attempt, Due};
use interrupts::Interrupts;
pub use recorder::{Recorder, unix_ms};

/// The shortest time between two samples of memory.
const SAMPLE: Duration = Duration::from_millis(200);
/// Samples may take at most this part of the time.
const SAMPLE_SHARE: u32 = 20;
/// How often samples are journalled.
const JOURNAL_SAMPLES: Duration = Duration::from_secs(1);
/// Signals closer together than this are one interruption.
const ONE_INTERRUPTION: Duration = Duration::from_millis(500);
/// How often live progress is drawn.
const PROGRESS: Duration = Duration::from_millis(250);
/// How soon after the end of a job.
const SOON: Duration = Duration::from_millis(50);

/// What the loop works on.
pub struct Supervisor<'a> {
    /// The work tree.
    pub project: &'a Path,
    /// Where the run is kept.
    pub dir: &'a RunDir,
    /// What is to be done.
    pub plan: &'a Plan,
    /// What starts next.
    pub schedule: Schedule,
    /// How jobs are kept together.
    pub containment: Box<dyn Containment>,
    /// How jobs that earlier attempts call for again are run, by position in the plan.
    pub again: HashMap<usize, Again>,
    /// Where events go.
    pub recorder: Recorder<'a>,
}

struct Loop<'a> {
    project: &'a Path,
    dir: &'a RunDir,
    plan: &'a Plan,
    schedule: Schedule,
    containment: Box<dyn Containment>,
    recorder: Recorder<'a>,
    running: Vec<Attempt>,
    /// How and why jobs are run again, by position in the plan.
    again: HashMap<usize, Again>,
    /// Which of the numbers that jobs see as `DRYDOCK_SLOT` are taken.
    slots: Vec<bool>,
    programs: Programs,
    oom: OomCounter,
    kernel: KernelLog,
    deaths: gather::Deaths,
    memory: gather::MemoryWatch,
    guard: guard::Guard,
    stopping: Option<KillReason>,
    interrupted_at: Option<Instant>,
    next_sample: Instant,
    next_journal: Instant,
    next_progress: Instant,
}

impl<'a> Supervisor<'a> {
    /// Runs everything to its end, or until a signal or a full disk stops it.
    ///
    /// # Errors
    /// Only when the kernel refuses what the loop itself needs.
    pub fn run(self) -> anyhow::Result<Recorder<'a>> {
        // Orphans of a job come to this process, where they are found and reaped.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context("cannot become the reaper of orphaned processes")?;
        let mut interrupts = Interrupts::new().context("cannot take over SIGINT and SIGTERM")?;
        let now = Instant::now();
        let mut this = Loop {
            project: self.project,
            dir: self.dir,
            plan: self.plan,
            schedule: self.schedule,
            containment: self.containment,
            recorder: self.recorder,
            running: Vec::new(),
            again: self.again,
            slots: Vec::new(),
            programs: Programs::default(),
            oom: OomCounter::open(),
            kernel: KernelLog::open(),
            deaths: gather::Deaths::default(),
            memory: gather::MemoryWatch::default(),
            guard: guard::Guard::default(),
            stopping: None,
            interrupted_at: None,
            next_sample: now + SAMPLE,
            next_journal: now + JOURNAL_SAMPLES,
            next_progress: now,
        };
        let turned = this.turn(&mut interrupts);
        if turned.is_err() {
            for attempt in &this.running {
                let _the_error_is_told_below = attempt.group.signal(Signal::KILL);
            }
        }
        turned?;
        drop(this.containment);
        Ok(this.recorder)
    }
}

impl Loop<'_> {
    fn turn(&mut self, interrupts: &mut Interrupts) -> anyhow::Result<()> {
        loop {
            // A terminal and a parent may both have told of one interruption.
            if let Some(signal) = interrupts.take().into_iter().next() {
                self.interrupted(signal);
            }
            self.admit();
            if self.running.is_empty() && !(self.guard.is_waiting() && self.stopping.is_none()) {
                adopt::reap(&self.running);
                self.leave_unstarted();
                return Ok(());
            }
            self.recorder.flush();
            self.wait(interrupts)?;
            let now = Instant::now();
            // The kernel counts a kill before its victim can be reaped, so the count is read after the reaping.
            self.reap(now);
            if self.oom.update(now) {
                // Before anything of what was killed is put away.
                self.deaths.snapshot(now, &mut self.running, self.plan);
            }
            self.attend(now);
            if now >= self.next_sample {
                self.sample(now);
            }
            if now >= self.next_progress {
                self.next_progress = now + PROGRESS;
                let live = self.live(now);
                self.recorder.progress(&live);
            }
        }
    }

    fn wait(&self, interrupts: &Interrupts) -> anyhow::Result<()> {
        let wakes = self.running.iter().filter_map(Attempt::wakes);
        let until = wakes.chain([self.next_sample, self.next_progress]).min().unwrap_or(self.next_sample);
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec { tv_sec: i64::try_from(left.as_secs())?, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut descriptors: Vec<PollFd<'_>> =
            interrupts.descriptors().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)).collect();
        let living = self.running.iter().filter(|attempt| attempt.end.is_none());
        descriptors.extend(living.map(|attempt| PollFd::from_borrowed_fd(attempt.pidfd.as_fd(), PollFlags::IN)));
        match rustix::event::poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for the jobs"),
        }
    }

    fn reap(&mut self, now: Instant) {
        let unix = unix_ms();
        for attempt in &mut self.running {
            if attempt.end.is_none() {
                // The pid stays ours until it is reaped, so that an error here cannot lose it.
                let _asked_again_in_the_next_turn = attempt.reap(now, unix);
                if let Some(ended) = &attempt.end {
                    self.deaths.note(attempt.job, ended, attempt.intent.is_some());
                }
            }
        }
    }

    /// Does what the attempts' deadlines and ends call for.
    fn attend(&mut self, now: Instant) {
        let mut position = 0;
        while position < self.running.len() {
            let attempt = &mut self.running[position];
            match attempt.due(now) {
                Due::Nothing => position += 1,
                Due::Kill(reason, signal) => {
                    self.kill(position, reason, signal);
                    position += 1;
                }
                Due::Finish => self.finish(position),
                Due::GiveUp => {
                    let job = &self.plan.jobs[attempt.job].name;
                    let text = format!("processes of {job} do not end even on SIGKILL; they hang in the kernel");
                    self.recorder.emit(Event::Warning { text });
                    self.finish(position);
                }
            }
        }
    }

    /// Journals the intent, then sends the signal. Repetitions of a SIGKILL are not journalled again.
    fn kill(&mut self, position: usize, reason: KillReason, signal: Signal) {
        let attempt = &mut self.running[position];
        let repeated = signal == Signal::KILL && attempt.is_being_killed();
        if !repeated {
            self.recorder.emit_now(Event::KillIntent {
                job: self.plan.jobs[attempt.job].name.clone(),
                attempt: attempt.number,
                reason,
                signal: signal.as_raw(),
            });
        }
        // The grace counts from now, also when judging another attempt took long.
        attempt.kill(reason, signal, Instant::now(), unix_ms());
    }

    fn finish(&mut self, position: usize) {
        let mut attempt = self.running.swap_remove(position);
        if let Some(taken) = self.slots.get_mut(attempt.slot as usize) {
            *taken = false;
        }
        let valgrind = attempt.logs.take().map(|logs| logs.evidence(attempt.pid));
        let job = &self.plan.jobs[attempt.job];
        if let Err(error) = attempt.output.finish() {
            let text = format!("the log of {} could not be shortened: {}", job.name, drydock_base::exec::plain(&error));
            self.recorder.emit(Event::Warning { text });
        }
        let evidence = gather::evidence(gather::Sources {
            job,
            attempt: &attempt,
            valgrind,
            others: &self.running,
            plan: self.plan,
            oom: &self.oom,
            kernel: &mut self.kernel,
            deaths: &mut self.deaths,
            memory: &self.memory,
            state: self.dir.root(),
        });
        let verdict = outcome::judge(&evidence);
        let highest = evidence.group.get().and_then(|group| group.peak);
        let peak = attempt.group.peak(highest).max((attempt.highest > 0).then_some(attempt.highest));
        if let Err(error) = attempt.group.remove() {
            let text =
                format!("the memory group of {} could not be removed: {}", job.name, drydock_base::exec::plain(&error));
            self.recorder.emit(Event::Warning { text });
        }
        let record = AttemptRecord {
            number: attempt.number,
            verdict,
            started: attempt.began_at,
            ended: attempt.end.as_ref().map_or_else(unix_ms, |ended| ended.unix),
            peak,
            reservation: attempt.reservation,
            alone: attempt.alone,
            diet: attempt.diet,
            again: attempt.again.take(),
            evidence,
        };
        self.ended(attempt.job, record);
    }

    /// Records an ended attempt and decides what follows.
    fn ended(&mut self, position: usize, record: AttemptRecord) {
        // What is shown soon agrees with what was printed, at a bounded number of drawings a second.
        self.next_progress = self.next_progress.min(Instant::now() + SOON);
        let job = &self.plan.jobs[position];
        self.recorder.emit(Event::AttemptEnded { job: job.name.clone(), record: Box::new(record) });
        match retry::next(job, &self.recorder.run.jobs[position].attempts, self.schedule.limits()) {
            Next::Again(again) if self.stopping.is_none() => {
                self.schedule.again(position, again.reservation, again.alone);
                self.again.insert(position, again);
            }
            Next::Again(_) => self.settle(position, JobResult::Cancelled),
            Next::Settle(result) => self.settle(position, result),
        }
    }

    fn settle(&mut self, position: usize, result: JobResult) {
        let plan = self.plan;
        let job = &plan.jobs[position].name;
        let never = self.schedule.settle(position, &result, job.as_str());
        self.recorder.emit(Event::JobSettled { job: job.clone(), result });
        for (dependent, because) in never {
            let job = plan.jobs[dependent].name.clone();
            self.recorder.emit(Event::JobSettled { job, result: JobResult::NotRun { because } });
        }
    }

    fn interrupted(&mut self, signal: i32) {
        self.recorder.emit_now(Event::Interrupted { signal });
        let now = Instant::now();
        let again = self.interrupted_at.is_some_and(|first| now.duration_since(first) > ONE_INTERRUPTION);
        self.interrupted_at.get_or_insert(now);
        self.stop(KillReason::Cancel, if again { Signal::KILL } else { Signal::TERM });
    }

    fn stop_without_state(&mut self, why: &str) {
        self.recorder
            .emit_now(Event::Warning { text: format!("{why}; the run stops, and `ci --resume` goes on with it") });
        self.stop(KillReason::NoState, Signal::TERM);
    }

    /// Starts nothing any more and ends what runs.
    fn stop(&mut self, reason: KillReason, signal: Signal) {
        self.stopping = Some(reason);
        self.schedule.stop();
        for position in 0..self.running.len() {
            if self.running[position].intent.is_none() || signal == Signal::KILL {
                self.kill(position, reason, signal);
            }
        }
    }

    /// Says of every job that was never started why it was not.
    fn leave_unstarted(&mut self) {
        let because = match self.stopping {
            None | Some(KillReason::Leftover | KillReason::Timeout) => return,
            Some(KillReason::Cancel) => "the run was stopped before",
            Some(KillReason::NoState) => "the state directory could not be written",
        };
        let plan = self.plan;
        for position in self.schedule.unstarted() {
            let job = plan.jobs[position].name.clone();
            self.recorder.emit(Event::JobSettled { job, result: JobResult::NotRun { because: because.into() } });
        }
    }
}
