//! One running attempt: its process, group, log and deadlines, from start to reaped end.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, WaitOptions};

use super::logs::Logs;
use super::outputs::{Output, Outputs};
use super::processors::Load;
use super::program::{marker, program};
pub(super) use super::start_error::{StartError, job_error};
use super::start_error::{at, start_error};
use super::suite::{self, Suite};
use crate::conditions::Conditions;
use crate::containment::{Containment, Group, signal_process};
use crate::evidence::{End, KillIntent, KillReason, Leftover};
use crate::mark::Mark;
use crate::plan::PlannedJob;
use crate::probe::process::{self, Spent};
use crate::schedule::Demand;
use drydock_base::exec::{self, Programs};
use drydock_base::held_dir::{Access, HeldDir};
use drydock_base::units::MAX_LIMIT;

mod timeout_after;

use timeout_after::Watch;

/// A process that still runs this long after the main process is a leftover, not a process on its way out.
const SETTLE: Duration = Duration::from_millis(50);
/// The time between repetitions of a kill, until all processes are gone.
const REPEAT: Duration = Duration::from_millis(20);
/// A process that survives SIGKILL for this long hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(30);
/// The time between TERM and KILL for leftovers, unless they run under valgrind and need the job's grace.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);
/// A sample that is higher by at most one part in this many is not a new peak.
const HARDLY_HIGHER: u64 = 100;

/// An attempt whose process exists.
pub(super) struct Attempt {
    /// Position in the plan.
    pub(super) job: usize,
    pub(super) number: u32,
    pub(super) conditions: Conditions,
    pub(super) slot: usize,
    pub(super) directory: PathBuf,
    pub(super) group: Box<dyn Group>,
    /// The value of `DRYDOCK_ATTEMPT` in its environment.
    pub(super) marker: String,
    pub(super) mark: Mark,
    /// Its orphans, when they were last listed; `None` if there were no orphans at all.
    pub(super) adopted: Option<Vec<u32>>,
    pub(super) output: Output,
    /// `true` if a part of its output could not be written.
    pub(super) unwritten: bool,
    pub(super) pid: u32,
    pub(super) ticks: u64,
    pub(super) pidfd: OwnedFd,
    pub(super) began: Instant,
    pub(super) began_at: i64,
    pub(super) usage: u64,
    /// The most bytes of it that any sample saw swapped out.
    pub(super) swapped: u64,
    /// The highest sample.
    pub(super) highest: u64,
    /// The time from its start to that sample; later ones that were hardly higher do not count.
    pub(super) peak_at: Option<Duration>,
    /// Its expected peak, by what it used so far.
    pub(super) expected: Demand,
    pub(super) recent: Vec<u64>,
    /// Its use of processors.
    pub(super) load: Load,
    pub(super) intent: Option<KillIntent>,
    pub(super) end: Option<Ended>,
    pub(super) leftovers: Vec<Leftover>,
    /// The number of its processes that were stopped, by a signal or for a tracer (state T or t), at the timeout.
    pub(super) stopped: u32,
    /// The machine's counters at the start.
    pub(super) baseline: Baseline,
    /// Valgrind's logs, for tools that find errors.
    pub(super) logs: Option<Logs>,
    /// The processes of a suite that starts valgrind itself.
    pub(super) suite: Option<Suite>,
    timeout: Instant,
    /// The output that begins another limit, until it was seen.
    timeout_after: Option<Watch>,
    grace: Duration,
    under_tool: bool,
    next_kill: Option<Instant>,
    saw_leftovers: bool,
    /// The time of the first SIGKILL, which is repeated until all processes are gone.
    hard_since: Option<Instant>,
}

/// The machine's counters at the start of an attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct Baseline {
    /// The count of out-of-memory kills in `/proc/vmstat`.
    pub(super) host: Option<u64>,
    /// The number of kills in the kernel log.
    pub(super) kernel: usize,
    /// The count of each cgroup above that may be throttled.
    pub(super) throttled: Vec<u64>,
}

/// The main process is gone and reaped.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) at: Instant,
    pub(super) unix: i64,
    pub(super) address_space: Option<u64>,
    pub(super) cpu_limit: Option<u64>,
    /// CPU time of the main process and of the descendants that were waited for.
    pub(super) cpu: Option<Duration>,
}

/// The act that an attempt calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deadline {
    /// Nothing is due.
    None,
    /// Journal this kill, then call [`Attempt::kill`].
    Kill(KillReason, Signal),
    /// All processes are gone: judge it.
    Finish,
    /// Processes are left that survive SIGKILL.
    GiveUp,
}

/// Everything that one start needs.
pub(super) struct Launch<'a> {
    pub(super) job: &'a PlannedJob,
    /// Position in the plan.
    pub(super) position: usize,
    pub(super) number: u32,
    pub(super) conditions: Conditions,
    pub(super) baseline: Baseline,
    /// The run's identifier.
    pub(super) run: &'a str,
    /// The beginning of the run, or of its continuation.
    pub(super) run_began: SystemTime,
    /// The attempt's mark.
    pub(super) mark: Mark,
    pub(super) project: &'a Path,
    /// The attempt's own directory.
    pub(super) directory: HeldDir,
    /// The attempt's name within the run.
    pub(super) id: String,
    pub(super) slot: usize,
    pub(super) began: Instant,
    /// Unix milliseconds.
    pub(super) began_at: i64,
}

impl Attempt {
    /// Makes the log and the cgroup, and starts the command.
    pub(super) fn start(
        launch: Launch<'_>,
        programs: &mut Programs,
        containment: &mut dyn Containment,
        outputs: &Outputs,
    ) -> Result<Attempt, StartError> {
        let job = launch.job;
        let file = launch.directory.file("log", Access::CreateNew);
        let file = file.map_err(|error| at(&launch.directory.path().join("log"), &error))?;
        let (output, pipe) = outputs.open(file, job.log_limit).map_err(StartError::State)?;
        let directory = launch.directory.path();
        let handed = if job.tool.by_suite {
            let handed = suite::handed(job, launch.project, directory, launch.conditions.reduced);
            Some(handed.map_err(|error| at(&std::env::temp_dir(), &error))?)
        } else {
            None
        };
        let (program, options) = program(&launch, programs, pipe, handed.as_ref())?;
        let logs = job.tool.kind.finds_errors().then(|| Logs::new(job, launch.project, directory.to_owned(), options));
        let suite = handed.map(|handed| Suite::new(job, launch.project, directory, handed));
        let mut group = containment.open(&launch.id, job.memory_limit).map_err(|error| {
            StartError::State(io::Error::new(error.kind(), format!("cannot create a cgroup: {}", exec::plain(&error))))
        })?;
        let started = group.start(&program);
        // The job's processes alone hold the pipe from now on.
        drop(program);
        let (pid, pidfd) = match started.map_err(start_error).and_then(|pid| watched(pid, &*group)) {
            Ok(started) => started,
            Err(error) => {
                // The cgroup is empty; it is removed with the run's cgroup.
                group.remove().ok();
                return Err(error);
            }
        };
        process::prefer_as_victim(pid);
        let expected = launch.conditions.demand();
        Ok(Attempt {
            job: launch.position,
            number: launch.number,
            conditions: launch.conditions,
            baseline: launch.baseline,
            slot: launch.slot,
            directory: launch.directory.path().to_owned(),
            group,
            marker: marker(launch.run, &launch.id),
            mark: launch.mark,
            adopted: None,
            output,
            unwritten: false,
            pid,
            ticks: process::stat(pid).map_or(0, |stat| stat.ticks),
            pidfd,
            began: launch.began,
            began_at: launch.began_at,
            usage: 0,
            swapped: 0,
            highest: 0,
            peak_at: None,
            expected,
            recent: Vec::new(),
            load: Load::begin(launch.began),
            intent: None,
            end: None,
            leftovers: Vec::new(),
            stopped: 0,
            logs,
            suite,
            timeout: launch.began + job.timeout.min(MAX_LIMIT),
            timeout_after: job.timeout_after().map(|after| Watch::new(after, launch.directory.path())),
            grace: job.grace,
            under_tool: job.tool.kind.is_valgrind(),
            next_kill: None,
            saw_leftovers: false,
            hard_since: None,
        })
    }

    /// Reaps the main process, after reading its limits while it is a zombie.
    pub(super) fn reap(&mut self, now: Instant, unix: i64) -> io::Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        let wait =
            |options| rustix::process::waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | options);
        let Some(status) = wait(WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT)? else { return Ok(()) };
        // A process that made its parent its tracer (PTRACE_TRACEME) is also reported when it stops.
        let Some(end) = end(&status) else { return Ok(()) };
        let clean = end == End::Exited { code: 0 };
        let address_space = if clean { None } else { process::soft_limit(self.pid, "Max address space") };
        let cpu_limit = if clean { None } else { process::reached_cpu_limit(self.pid) };
        let Spent { cpu, resident } = process::reap(self.pid)?;
        self.highest = self.highest.max(resident.filter(|_| self.group.cgroup().is_none()).unwrap_or_default());
        self.end = Some(Ended { end, at: now, unix, address_space, cpu_limit, cpu: Some(cpu) });
        if self.intent.is_none() {
            self.next_kill = None;
        }
        Ok(())
    }

    /// The moment at which [`Attempt::deadline`] is to be asked again, at the latest.
    pub(super) fn wakes(&self) -> Option<Instant> {
        let look = self.suite.as_ref().map(Suite::next);
        [self.acts(), look].into_iter().flatten().min()
    }

    fn acts(&self) -> Option<Instant> {
        match (&self.end, self.next_kill) {
            (_, Some(next)) => Some(next),
            (Some(ended), None) => Some(ended.at + SETTLE),
            (None, None) => Some(self.timeout),
        }
    }

    /// The act that is due now.
    pub(super) fn deadline(&mut self, now: Instant) -> Deadline {
        let hopeless = self.hard_since.is_some_and(|since| now.duration_since(since) > GIVE_UP);
        let Some(ended) = &self.end else {
            return match (&self.intent, self.next_kill) {
                (None, _) if now >= self.timeout => Deadline::Kill(KillReason::Timeout, Signal::TERM),
                _ if hopeless => Deadline::GiveUp,
                (Some(intent), Some(next)) if now >= next => Deadline::Kill(intent.reason, Signal::KILL),
                _ => Deadline::None,
            };
        };
        let gone_since = now.duration_since(ended.at);
        // A list that cannot be read is not an empty one.
        let Ok(members) = self.members() else {
            self.next_kill = Some(now + REPEAT);
            return if gone_since > GIVE_UP { Deadline::GiveUp } else { Deadline::None };
        };
        // An orphan that ended meanwhile may have left another one, which is not listed yet.
        let members = if members.is_empty() { self.adopted.clone().unwrap_or_default() } else { members };
        if members.is_empty() {
            let collect = || self.suite.iter_mut().for_each(Suite::collect);
            if self.logs.as_mut().is_none_or(|logs| logs.are_read(self.pid, collect)) {
                return Deadline::Finish;
            }
            self.next_kill = Some(now + REPEAT);
            return Deadline::None;
        }
        if hopeless {
            return Deadline::GiveUp;
        }
        if let Some(intent) = &self.intent {
            // The tree is being ended anyway.
            return match self.next_kill {
                Some(next) if now >= next => Deadline::Kill(intent.reason, Signal::KILL),
                _ => Deadline::None,
            };
        }
        if gone_since < SETTLE {
            return Deadline::None;
        }
        if !self.saw_leftovers {
            self.saw_leftovers = true;
            self.leftovers =
                members.iter().map(|pid| Leftover { pid: *pid, command: process::command_line(*pid) }).collect();
            return Deadline::Kill(KillReason::Leftover, Signal::TERM);
        }
        match self.next_kill {
            Some(next) if now >= next => Deadline::Kill(KillReason::Leftover, Signal::KILL),
            _ => Deadline::None,
        }
    }

    /// Signals the whole tree. The caller has journalled the intent.
    pub(super) fn kill(&mut self, reason: KillReason, signal: Signal, now: Instant, unix: i64) {
        let hard = signal == Signal::KILL;
        if reason == KillReason::Timeout && !hard {
            let stopped = |pid: &u32| process::stat(*pid).is_some_and(|stat| matches!(stat.state, b'T' | b't'));
            let count = self.members().unwrap_or_default().iter().filter(|pid| stopped(pid)).count();
            self.stopped = u32::try_from(count).unwrap_or(u32::MAX);
        }
        if hard {
            self.hard_since.get_or_insert(now);
        }
        // What ended the main process before cannot be undone, and the first reason stays.
        if reason != KillReason::Leftover && (self.end.is_none() || self.intent.is_some()) {
            let before = self.intent.take();
            let reason = before.as_ref().map_or(reason, |intent| intent.reason);
            let at = before.as_ref().map_or(unix, |intent| intent.at);
            // The main process may have obeyed while its descendants did not.
            let escalated = before.is_some_and(|intent| intent.escalated) || hard && self.end.is_none();
            self.intent = Some(KillIntent { reason, at, escalated });
        }
        // Members that cannot be listed now are signalled at the next repetition.
        // First those that are known: what replaces itself all the time is gone by the time that all are listed.
        self.adopted.iter().flatten().for_each(|pid| signal_process(*pid, signal));
        let outside = self.outside();
        self.group.signal(signal, outside.as_deref()).ok();
        // A stopped process handles TERM only once it continues.
        if !hard {
            self.group.signal(Signal::CONT, outside.as_deref()).ok();
        }
        let is_short = reason == KillReason::Leftover && !self.under_tool;
        let grace = if is_short { self.grace.min(LEFTOVER_GRACE) } else { self.grace };
        self.next_kill = Some(now + if hard { REPEAT } else { grace });
    }

    /// Looks at the processes of a suite that starts valgrind itself.
    pub(super) fn look(&mut self, now: Instant) {
        if let Some(timeout) = self.timeout_after.as_mut().and_then(Watch::look) {
            self.timeout = now + timeout.min(MAX_LIMIT);
            self.timeout_after = None;
        }
        if self.suite.as_ref().is_some_and(|suite| now >= suite.next()) {
            // Members that cannot be listed now are looked at the next time.
            let members = self.members().unwrap_or_default();
            self.suite.iter_mut().for_each(|suite| suite.look(&members));
        }
    }

    /// Puts its deadlines off.
    pub(super) fn postpone(&mut self, by: Duration) {
        self.timeout += by;
        let later = [&mut self.next_kill, &mut self.hard_since];
        later.into_iter().flatten().for_each(|moment| *moment += by);
    }

    /// The time that it has at most, without the time in which nobody could watch it.
    pub(super) fn time_limit(&self) -> Duration {
        self.timeout.saturating_duration_since(self.began)
    }

    /// Its living processes.
    pub(super) fn members(&self) -> io::Result<Vec<u32>> {
        self.group.members(self.outside().as_deref())
    }

    /// Its processes that may be outside of its group: its orphans, and the main process, which a privileged job may have moved.
    fn outside(&self) -> Option<Vec<u32>> {
        let main = self.end.is_none().then_some(self.pid);
        let orphans = self.adopted.iter().flatten().copied();
        (main.is_some() || self.adopted.is_some()).then(|| main.into_iter().chain(orphans).collect())
    }

    /// CPU time of its processes: as its cgroup counts it, or else of the main process and of what was waited for.
    pub(super) fn cpu(&self) -> Option<Duration> {
        self.group.cpu().or_else(|| self.end.as_ref()?.cpu)
    }

    /// `true` if SIGKILL was sent before.
    pub(super) fn is_being_killed(&self) -> bool {
        self.hard_since.is_some()
    }

    /// Takes one sample of its memory, and of its use of processors.
    pub(super) fn sample(&mut self) {
        self.load.measure(self.cpu(), Instant::now());
        if let Ok(usage) = self.group.usage(self.adopted.as_deref().unwrap_or_default()) {
            self.usage = usage.bytes;
            self.swapped = self.swapped.max(usage.swapped);
            if usage.bytes > self.highest.saturating_add(self.highest / HARDLY_HIGHER) {
                self.peak_at = Some(self.began.elapsed());
            }
            self.highest = self.highest.max(usage.bytes);
            self.recent.push(usage.bytes);
            if self.recent.len() > 16 {
                self.recent.remove(0);
            }
        }
    }
}

/// The started process with a descriptor to wait for it. One that cannot be watched is ended at once.
fn watched(pid: u32, group: &dyn Group) -> Result<(u32, OwnedFd), StartError> {
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(rustix::io::Errno::SRCH);
    match raw.and_then(|raw| rustix::process::pidfd_open(raw, PidfdFlags::empty())) {
        Ok(pidfd) => Ok((pid, pidfd)),
        Err(error) => {
            // Its children are killed first; either may be gone already.
            group.signal(Signal::KILL, None).ok();
            signal_process(pid, Signal::KILL);
            raw.and_then(|raw| rustix::process::waitpid(Some(raw), WaitOptions::empty())).ok();
            let kind = io::Error::from(error).kind();
            Err(StartError::State(io::Error::new(kind, format!("cannot watch pid {pid}: {error}"))))
        }
    }
}

/// The end that a status reports; `None` if it reports a stop.
fn end(status: &WaitIdStatus) -> Option<End> {
    if status.exited() {
        return status.exit_status().map(|code| End::Exited { code });
    }
    let signal = status.terminating_signal()?;
    Some(End::Signaled { signal, core: status.dumped() })
}
