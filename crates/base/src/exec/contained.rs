//! Runs a command that may print without end, hang, leave processes behind, or still run when this process is killed: all that
//! it started is ended with it, whatever ends it. See [`supervisor`].

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions};

use super::supervisor::{self, Report, Title};
use super::{Error, environment, find};
use crate::units::ByteSize;

/// The number of bytes of standard error that are kept, from its end.
const KEPT: usize = 8 << 10;

/// The bounds of a command.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most that it may print to standard output.
    pub output: ByteSize,
    /// The longest that it may take.
    pub time: Duration,
}

impl Bounds {
    /// No bounds.
    pub const NONE: Bounds = Bounds { output: ByteSize::new(u64::MAX), time: Duration::MAX };
}

/// A command that ends with all its descendants: when its first process ends, when it exceeds its bounds, and when this
/// process ends, whatever ends that. It has a session of its own, and an empty standard input.
#[derive(Debug)]
pub struct Contained<'a> {
    /// The program and its arguments.
    pub argv: &'a [String],
    /// The working directory.
    pub directory: &'a Path,
    /// All variables of its environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// What it may print and how long it may take.
    pub bounds: Bounds,
    /// Whether standard error goes where standard output goes.
    pub merged: bool,
}

impl<'a> Contained<'a> {
    /// A command without bounds, whose standard error is kept apart.
    pub fn new(argv: &'a [String], directory: &'a Path, environment: BTreeMap<OsString, OsString>) -> Contained<'a> {
        Contained { argv, directory, environment, bounds: Bounds::NONE, merged: false }
    }

    /// Runs it, and returns what it printed to standard output.
    ///
    /// # Errors
    /// As [`Contained::run`], or it does not succeed.
    pub fn read(self) -> Result<Vec<u8>, Error> {
        let argv = self.argv;
        let output = self.run()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::ended(argv, output.status, &output.stderr, &output.stdout))
    }

    /// Runs it. Of standard error the end is returned. That it does not succeed is not an error.
    ///
    /// # Errors
    /// It cannot be started, prints too much, takes too long, or leaves processes that this one may not end.
    pub fn run(self) -> Result<Output, Error> {
        let (program, arguments) = self.argv.split_first().ok_or(Error::Empty)?;
        let found = find(program, self.directory, self.environment.get(OsStr::new("PATH")))?;
        let failed = |error| Error::Spawn { argv: self.argv.to_vec(), error };
        let mut command = Command::new(found);
        command.args(arguments).current_dir(self.directory).env_clear().envs(self.environment).stdin(Stdio::null());
        let mut running = Running::start(command, self.merged).map_err(failed)?;
        let argv = || self.argv.to_vec();
        match running.watch(self.bounds).map_err(failed)? {
            Watched::Ended(output, 0) => Ok(output),
            Watched::Ended(_, count) => Err(Error::Left { argv: argv(), count }),
            Watched::Unsupervised => Err(Error::Unsupervised { argv: argv() }),
            Watched::TooMuch => Err(Error::TooMuch { argv: argv(), limit: self.bounds.output }),
            Watched::TooLong => Err(Error::TooLong { argv: argv(), limit: self.bounds.time }),
        }
    }
}

/// Runs a command in exactly this environment, and returns what it printed to standard output. All that it started is ended
/// with it, or with this process.
///
/// # Errors
/// As [`Contained::read`].
pub fn contained(
    argv: &[String],
    directory: &Path,
    environment: BTreeMap<OsString, OsString>,
) -> Result<Vec<u8>, Error> {
    Contained::new(argv, directory, environment).read()
}

/// Runs a short command, with an empty standard input, and returns its standard output, trimmed. All that it started is
/// ended with it.
///
/// # Errors
/// It cannot be started, does not succeed, prints too much or takes too long.
pub fn read_within(argv: &[String], directory: &Path, bounds: Bounds) -> Result<String, Error> {
    let environment = environment(&[], &BTreeMap::new());
    let stdout = Contained { bounds, ..Contained::new(argv, directory, environment) }.read()?;
    Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
}

/// The supervisors that run at present.
static SUPERVISORS: Mutex<Vec<Line>> = Mutex::new(Vec::new());

/// The connection to a supervisor.
#[derive(Debug)]
struct Line {
    pid: u32,
    stream: UnixStream,
}

fn supervisors() -> MutexGuard<'static, Vec<Line>> {
    SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The supervisors of a process that is about to end.
pub(crate) struct Last(MutexGuard<'static, Vec<Line>>);

/// From now on, no command starts: a thread that wants to waits for the end of this process.
pub(crate) fn close() -> Last {
    Last(supervisors())
}

impl Last {
    /// `true` if this process is a supervisor.
    pub(crate) fn has(&self, pid: u32) -> bool {
        self.0.iter().any(|line| line.pid == pid)
    }

    /// Asks all supervisors to end their commands and themselves.
    pub(crate) fn end(&self) {
        for line in self.0.iter() {
            // One that has ended meanwhile has no connection.
            line.stream.shutdown(Shutdown::Both).ok();
        }
    }
}

/// A supervisor, which ends with this value, and the command below it.
struct Running {
    supervisor: Child,
    line: UnixStream,
    stdout: Pipe,
    stderr: Pipe,
}

enum Watched {
    /// With the number of processes that could not be ended.
    Ended(Output, u32),
    Unsupervised,
    TooMuch,
    TooLong,
}

impl Running {
    #[expect(unsafe_code, reason = "std has no safe hook between fork and exec")]
    fn start(mut command: Command, merged: bool) -> io::Result<Running> {
        let (line, theirs) = UnixStream::pair()?;
        let (stdout, out) = pipe()?;
        let (stderr, err) = if merged {
            (Pipe(None), out.try_clone()?)
        } else {
            let (stderr, err) = pipe()?;
            (stderr, err)
        };
        command.stdout(out).stderr(err);
        let (number, title) = (theirs.as_raw_fd(), Title::find());
        // SAFETY: between fork and exec only async-signal-safe work is allowed, see `supervisor`. The descriptor is open
        // as long as `theirs` lives, which is longer than the call of `spawn`.
        unsafe { command.pre_exec(move || supervisor::enter(number, title)) };
        let mut all = supervisors();
        // Without a subreaper, only what outlives its supervisor is lost.
        adopt(true).ok();
        let supervisor = command.spawn()?;
        all.push(Line { pid: supervisor.id(), stream: line.try_clone()? });
        drop(theirs);
        Ok(Running { supervisor, line, stdout, stderr })
    }

    fn watch(&mut self, bounds: Bounds) -> io::Result<Watched> {
        let deadline = Instant::now().checked_add(bounds.time);
        let most = usize::try_from(bounds.output.bytes()).unwrap_or(usize::MAX);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.line.set_nonblocking(true)?;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(Watched::TooLong);
            }
            let mut waiting = vec![PollFd::new(&self.line, PollFlags::IN)];
            waiting.extend([self.stdout.poll(), self.stderr.poll()].into_iter().flatten());
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            match rustix::event::poll(&mut waiting, timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            // What was printed before the end is there at the end.
            let report = Report::read(&self.line)?;
            while self.stdout.read(&mut stdout)? {
                if stdout.len() > most {
                    return Ok(Watched::TooMuch);
                }
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    return Ok(Watched::TooLong);
                }
            }
            while self.stderr.read(&mut stderr)? {
                let excess = stderr.len().saturating_sub(KEPT);
                stderr.drain(..excess);
                if deadline.is_some_and(|deadline| Instant::now() > deadline) {
                    return Ok(Watched::TooLong);
                }
            }
            match report {
                None => {}
                Some(Report::Lost) => {
                    self.supervisor.wait()?;
                    end_orphans();
                    return Ok(Watched::Unsupervised);
                }
                Some(Report::Ended { status, left }) => {
                    let status = ExitStatus::from_raw(status);
                    return Ok(Watched::Ended(Output { status, stdout, stderr }, left));
                }
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The supervisor takes it as the request to end, if it has not ended.
        self.line.shutdown(Shutdown::Both).ok();
        self.supervisor.wait().ok();
        let mut all = supervisors();
        all.retain(|line| line.pid != self.supervisor.id());
        if all.is_empty() {
            // As above.
            adopt(false).ok();
        }
    }
}

/// Makes this process the one that gets the orphans of its descendants, in case that a supervisor is killed, or no longer.
/// What starts meanwhile and is not contained, such as an agent, is not touched.
fn adopt(adopts: bool) -> rustix::io::Result<()> {
    static BEFORE: AtomicBool = AtomicBool::new(false);
    static ADOPTS: AtomicBool = AtomicBool::new(false);
    if ADOPTS.swap(adopts, Ordering::SeqCst) == adopts {
        return Ok(());
    }
    if adopts {
        BEFORE.store(rustix::process::child_subreaper()?.is_some(), Ordering::SeqCst);
    }
    let me = (adopts || BEFORE.load(Ordering::SeqCst)).then(rustix::process::getpid);
    rustix::process::set_child_subreaper(me)
}

/// Ends what a supervisor left that was killed: children of this process in other sessions, which are not supervisors. Own
/// children that are not contained are in the session of this process.
fn end_orphans() {
    let own = session(rustix::process::getpid());
    let all = supervisors();
    loop {
        let mut orphans = Vec::new();
        for thread in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let list = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            orphans.extend(list.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)));
        }
        let is_supervisor = |pid: Pid| all.iter().any(|line| u32::try_from(pid.as_raw_nonzero().get()) == Ok(line.pid));
        orphans.retain(|pid| session(*pid) != own && !is_supervisor(*pid));
        // One that may not be killed is left, rather than waited for.
        let killed = |pid: &Pid| rustix::process::kill_process(*pid, Signal::KILL).is_ok();
        orphans.retain(killed);
        if orphans.is_empty() {
            return;
        }
        for pid in orphans {
            rustix::process::waitpid(Some(pid), WaitOptions::empty()).ok();
        }
    }
}

/// The session of a process: the sixth field of `/proc/PID/stat`, see proc_pid_stat(5). It is 0 where the leader is outside of
/// the pid namespace, as in a container that was entered; getsid of rustix takes that for impossible.
fn session(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The third field is the first one after the name.
    stat.rsplit_once(") ")?.1.split(' ').nth(3)?.parse().ok()
}

fn pipe() -> io::Result<(Pipe, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    rustix::fs::fcntl_setfl(&reader, OFlags::NONBLOCK)?;
    Ok((Pipe(Some(reader)), writer))
}

/// The reading end of a pipe, until its end.
struct Pipe(Option<OwnedFd>);

impl Pipe {
    /// Reads a piece; `false` if there is nothing to read now.
    fn read(&mut self, into: &mut Vec<u8>) -> io::Result<bool> {
        let Some(pipe) = &self.0 else { return Ok(false) };
        let mut piece = [0; 16 << 10];
        match rustix::io::read(pipe, &mut piece) {
            Ok(0) => self.0 = None,
            Ok(read) => {
                into.extend_from_slice(piece.get(..read).unwrap_or_default());
                return Ok(true);
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(false)
    }

    fn poll(&self) -> Option<PollFd<'_>> {
        let borrowed: Option<BorrowedFd<'_>> = self.0.as_ref().map(|pipe| pipe.as_fd());
        borrowed.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::IN))
    }
}

#[cfg(test)]
mod tests;
