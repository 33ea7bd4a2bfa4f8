//! One running attempt: its process, group, log and deadlines, from start to reaped end.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{PidfdFlags, Signal, WaitIdOptions};

use super::logs::Logs;
use crate::command_line;
use crate::containment::{Containment, Group, MARKER};
use crate::evidence::{End, KillIntent, KillReason, Leftover};
use crate::log::Output;
use crate::plan::PlannedJob;
use crate::probe::process;
use drydock_base::exec::{self, Programs};
use drydock_base::units::MAX_LIMIT;

/// What still runs this long after the main process is a leftover, not a process on its way out.
const SETTLE: Duration = Duration::from_millis(50);
/// How often a kill is repeated until all is gone.
const REPEAT: Duration = Duration::from_millis(20);
/// After this long a process that SIGKILL does not end hangs in the kernel.
const GIVE_UP: Duration = Duration::from_secs(30);
/// How long leftovers have between TERM and KILL, unless they run under valgrind and need the job's grace.
const LEFTOVER_GRACE: Duration = Duration::from_millis(500);

/// An attempt whose process exists.
pub(super) struct Attempt {
    /// Position in the plan.
    pub(super) job: usize,
    pub(super) number: u32,
    pub(super) reservation: u64,
    pub(super) alone: bool,
    pub(super) diet: bool,
    pub(super) again: Option<String>,
    pub(super) slot: u32,
    pub(super) directory: PathBuf,
    pub(super) group: Box<dyn Group>,
    pub(super) output: Output,
    pub(super) pid: u32,
    pub(super) ticks: u64,
    pub(super) pidfd: OwnedFd,
    pub(super) began: Instant,
    pub(super) began_at: i64,
    pub(super) usage: u64,
    /// The highest sample.
    pub(super) highest: u64,
    pub(super) recent: Vec<u64>,
    pub(super) intent: Option<KillIntent>,
    pub(super) end: Option<Ended>,
    pub(super) leftovers: Vec<Leftover>,
    /// How many of its processes were stopped when its time was up.
    pub(super) stopped: u32,
    /// The machine's out-of-memory count at the start.
    pub(super) host_before: Option<u64>,
    /// How many kills the kernel log had told of at the start.
    pub(super) kernel_before: usize,
    /// Valgrind's logs, where it runs under a tool that finds errors.
    pub(super) logs: Option<Logs>,
    handle: duct::Handle,
    deadline: Instant,
    grace: Duration,
    under_tool: bool,
    next_kill: Option<Instant>,
    told_leftovers: bool,
    /// When SIGKILL was first sent; it is repeated until all is gone.
    hard_since: Option<Instant>,
}

/// The main process is gone and reaped.
#[derive(Debug, Clone)]
pub(super) struct Ended {
    pub(super) end: End,
    pub(super) at: Instant,
    pub(super) unix: i64,
    pub(super) address_space: Option<u64>,
}

/// What an attempt wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    /// Journal this kill, then call [`Attempt::kill`].
    Kill(KillReason, Signal),
    /// All processes are gone: judge it.
    Finish,
    /// Processes are left that even SIGKILL does not end.
    GiveUp,
}

/// Where an attempt runs and what it is called.
pub(super) struct Frame<'a> {
    pub(super) run: &'a str,
    pub(super) project: &'a Path,
    pub(super) directory: PathBuf,
    pub(super) id: String,
    pub(super) slot: u32,
    /// Whether valgrind gets the options that save memory.
    pub(super) diet: bool,
    pub(super) programs: &'a mut Programs,
}

/// What happens before a process exists goes wrong in two ways.
pub(super) enum StartError {
    /// The job's own fault, or its command's: the attempt failed to start.
    Job(String),
    /// Drydock cannot work: no room on the disk, no more processes.
    State(io::Error),
}

impl Attempt {
    /// Makes the directory, the log and the group, and starts the command.
    pub(super) fn start(
        job: &PlannedJob,
        (position, number): (usize, u32),
        mut frame: Frame<'_>,
        containment: &mut dyn Containment,
        now: (Instant, i64),
    ) -> Result<Attempt, StartError> {
        // The parent is mostly there already, from the other items of the group.
        fs::create_dir(&frame.directory)
            .or_else(|_| fs::create_dir_all(&frame.directory))
            .map_err(at(&frame.directory))?;
        let log = frame.directory.join("log");
        let output = Output::create(&log, job.log_limit).map_err(at(&log))?;
        let logs = job.tool.kind.finds_errors().then(|| Logs::new(job, frame.directory.clone(), frame.diet));
        let expression = command(job, &mut frame, &output)?;
        let mut group = containment.open(&frame.id, job.memory_limit).map_err(|error| {
            StartError::State(io::Error::new(
                error.kind(),
                format!("cannot make a memory group: {}", exec::plain(&error)),
            ))
        })?;
        let started = group.spawn(expression);
        let (handle, pid, pidfd) = match started.map_err(start_error).and_then(|handle| watched(handle, &*group)) {
            Ok(started) => started,
            Err(error) => {
                let _nothing_runs_in_it = group.remove();
                return Err(error);
            }
        };
        process::prefer_as_victim(pid);
        Ok(Attempt {
            job: position,
            number,
            reservation: 0,
            alone: false,
            diet: frame.diet,
            again: None,
            slot: frame.slot,
            directory: frame.directory,
            group,
            output,
            pid,
            ticks: process::stat(pid).map_or(0, |stat| stat.ticks),
            pidfd,
            began: now.0,
            began_at: now.1,
            usage: 0,
            highest: 0,
            recent: Vec::new(),
            intent: None,
            end: None,
            leftovers: Vec::new(),
            stopped: 0,
            host_before: None,
            kernel_before: 0,
            logs,
            handle,
            deadline: now.0 + job.timeout.min(MAX_LIMIT),
            grace: job.grace,
            under_tool: job.tool.kind != crate::plan::ToolKind::None,
            next_kill: None,
            told_leftovers: false,
            hard_since: None,
        })
    }

    /// Reaps the main process. Before that, while it is a zombie and its limits can still be read, it is looked at.
    pub(super) fn reap(&mut self, now: Instant, unix: i64) -> io::Result<()> {
        if self.end.is_some() {
            return Ok(());
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let waiting =
            rustix::process::waitid(rustix::process::WaitId::PidFd(std::os::fd::AsFd::as_fd(&self.pidfd)), options)?;
        let Some(status) = waiting else { return Ok(()) };
        let clean = status.exit_status() == Some(0);
        let address_space = if clean { None } else { process::address_space_limit(self.pid) };
        let Some(output) = self.handle.try_wait()? else { return Ok(()) };
        let status = output.status;
        let end = match std::os::unix::process::ExitStatusExt::signal(&status) {
            Some(signal) => End::Signaled { signal, core: std::os::unix::process::ExitStatusExt::core_dumped(&status) },
            None => End::Exited { code: status.code().unwrap_or(-1) },
        };
        self.end = Some(Ended { end, at: now, unix, address_space });
        if self.intent.is_none() {
            self.next_kill = None;
        }
        Ok(())
    }

    /// When [`Attempt::due`] wants to be asked again, at the latest.
    pub(super) fn wakes(&self) -> Option<Instant> {
        match (&self.end, self.next_kill) {
            (_, Some(next)) => Some(next),
            (Some(ended), None) => Some(ended.at + SETTLE),
            (None, None) => Some(self.deadline),
        }
    }

    /// What to do now.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        let hopeless = self.hard_since.is_some_and(|since| now.duration_since(since) > GIVE_UP);
        let Some(ended) = &self.end else {
            return match (&self.intent, self.next_kill) {
                (None, _) if now >= self.deadline => Due::Kill(KillReason::Timeout, Signal::TERM),
                _ if hopeless => Due::GiveUp,
                (Some(intent), Some(next)) if now >= next => Due::Kill(intent.reason, Signal::KILL),
                _ => Due::Nothing,
            };
        };
        let gone_since = now.duration_since(ended.at);
        // A list that cannot be read is not an empty one.
        let Ok(members) = self.group.members() else {
            self.next_kill = Some(now + REPEAT);
            return if gone_since > GIVE_UP { Due::GiveUp } else { Due::Nothing };
        };
        if members.is_empty() {
            if self.logs.as_mut().is_none_or(|logs| logs.are_read(self.pid)) {
                return Due::Finish;
            }
            self.next_kill = Some(now + REPEAT);
            return Due::Nothing;
        }
        if hopeless {
            return Due::GiveUp;
        }
        if let Some(intent) = &self.intent {
            // The tree is being ended anyway.
            return match self.next_kill {
                Some(next) if now >= next => Due::Kill(intent.reason, Signal::KILL),
                _ => Due::Nothing,
            };
        }
        if gone_since < SETTLE {
            return Due::Nothing;
        }
        if !self.told_leftovers {
            self.told_leftovers = true;
            self.leftovers =
                members.iter().map(|pid| Leftover { pid: *pid, command: process::command_line(*pid) }).collect();
            return Due::Kill(KillReason::Leftover, Signal::TERM);
        }
        match self.next_kill {
            Some(next) if now >= next => Due::Kill(KillReason::Leftover, Signal::KILL),
            _ => Due::Nothing,
        }
    }

    /// Signals the whole tree. The caller has journalled the intent.
    pub(super) fn kill(&mut self, reason: KillReason, signal: Signal, now: Instant, unix: i64) {
        let hard = signal == Signal::KILL;
        if reason == KillReason::Timeout && !hard {
            let stopped = |pid: &u32| process::stat(*pid).is_some_and(|stat| stat.state == b'T');
            let count = self.group.members().unwrap_or_default().iter().filter(|pid| stopped(pid)).count();
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
            // The main process may have obeyed while what it started did not.
            let escalated = before.is_some_and(|intent| intent.escalated) || hard && self.end.is_none();
            self.intent = Some(KillIntent { reason, at, escalated });
        }
        let _members_that_cannot_be_read_are_met_next_time = self.group.signal(signal);
        // A stopped process takes TERM only when it goes on.
        if !hard {
            let _same = self.group.signal(Signal::CONT);
        }
        let grace = if reason == KillReason::Leftover && !self.under_tool {
            self.grace.min(LEFTOVER_GRACE)
        } else {
            self.grace
        };
        self.next_kill = Some(now + if hard { REPEAT } else { grace });
    }

    /// Whether SIGKILL was sent already.
    pub(super) fn is_being_killed(&self) -> bool {
        self.hard_since.is_some()
    }

    /// Takes one memory sample.
    pub(super) fn sample(&mut self) {
        if let Ok(usage) = self.group.usage() {
            self.usage = usage.bytes;
            self.highest = self.highest.max(usage.bytes);
            self.recent.push(usage.bytes);
            if self.recent.len() > 16 {
                self.recent.remove(0);
            }
        }
        let _limit_is_checked_again_at_the_next_sample = self.output.bound();
        if let Some(logs) = &mut self.logs {
            logs.look();
        }
    }
}

/// Lack of processes, memory or descriptors is not the job's fault.
fn start_error(error: io::Error) -> StartError {
    use rustix::io::Errno;
    let machine = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC].map(Errno::raw_os_error);
    match error.raw_os_error() {
        Some(code) if machine.contains(&code) => StartError::State(error),
        _ => StartError::Job(exec::plain(&error)),
    }
}

/// The started process with a descriptor to wait for it. One that cannot be watched is ended at once.
fn watched(handle: duct::Handle, group: &dyn Group) -> Result<(duct::Handle, u32, OwnedFd), StartError> {
    let pid = handle.pids().first().copied().unwrap_or_default();
    let raw = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).ok_or(rustix::io::Errno::SRCH);
    match raw.and_then(|raw| rustix::process::pidfd_open(raw, PidfdFlags::empty())) {
        Ok(pidfd) => Ok((handle, pid, pidfd)),
        Err(error) => {
            let _what_it_started_goes_first = group.signal(Signal::KILL);
            let _it_may_be_gone = handle.kill();
            Err(StartError::State(io::Error::new(
                io::Error::from(error).kind(),
                format!("cannot watch pid {pid}: {error}"),
            )))
        }
    }
}

/// Names the file that an error is about.
fn at(path: &Path) -> impl Fn(io::Error) -> StartError + '_ {
    |error| StartError::State(io::Error::new(error.kind(), format!("{}: {}", path.display(), exec::plain(&error))))
}

fn command(job: &PlannedJob, frame: &mut Frame<'_>, output: &Output) -> Result<duct::Expression, StartError> {
    let working = frame.project.join(&job.directory);
    if !working.is_dir() {
        return Err(StartError::Job(format!("its directory {} does not exist", working.display())));
    }
    let mut set = job.env.clone();
    set.insert("DRYDOCK_JOB".into(), job.name.to_string());
    set.insert("DRYDOCK_RUN".into(), frame.run.to_owned());
    set.insert("DRYDOCK_SLOT".into(), frame.slot.to_string());
    set.insert(MARKER.into(), format!("{}/{}", frame.run, frame.id));
    let environment = exec::environment(&job.pass_env, &set);
    let search = environment.get(std::ffi::OsStr::new("PATH"));
    let line = command_line::command_line(job, frame.project, &frame.directory, frame.diet);
    let mut find = |program: &str| {
        frame.programs.find(program, &working, search).map_err(|error| StartError::Job(error.to_string()))
    };
    let (program, arguments) = line.split_first().ok_or_else(|| StartError::Job("its command is empty".into()))?;
    if line.len() > job.argv.len() {
        // Under a tool the program itself is an argument: look for it now, so that its absence is told as such.
        find(job.argv.first().map_or("", String::as_str))?;
    }
    let log = output.for_job().map_err(StartError::State)?;
    let program = find(program)?;
    Ok(duct::cmd(program, arguments)
        .dir(working)
        .full_env(environment)
        .stdin_null()
        // The outermost redirection is applied first, so standard error follows standard output into the log.
        .stderr_to_stdout()
        .stdout_file(log)
        .unchecked()
        .before_spawn(|command| {
            std::os::unix::process::CommandExt::process_group(command, 0);
            Ok(())
        }))
}
