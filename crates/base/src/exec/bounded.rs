//! Runs a command that may print without end, hang, or leave processes behind.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::OFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use super::{Error, end_of, environment, find};
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

/// Runs a short command, with an empty standard input, and returns its standard output, trimmed. All that it started is
/// ended with it.
///
/// # Errors
/// It cannot be started, does not succeed, prints too much or takes too long.
pub fn read_within(argv: &[String], directory: &Path, bounds: Bounds) -> Result<String, Error> {
    let (program, arguments) = argv.split_first().ok_or(Error::Empty)?;
    let environment = environment(&[], &BTreeMap::new());
    let found = find(program, directory, environment.get(std::ffi::OsStr::new("PATH")))?;
    let failed = |error| Error::Spawn { argv: argv.to_vec(), error };
    let child = Command::new(found)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let mut group = Group { child };
    match group.watch(bounds).map_err(failed)? {
        Watched::Ended { status, stdout, .. } if status.success() => {
            Ok(String::from_utf8_lossy(&stdout).trim_end().to_owned())
        }
        Watched::Ended { status, stderr, .. } => {
            Err(Error::Exit { argv: argv.to_vec(), status, stderr: end_of(&stderr) })
        }
        Watched::TooMuch => Err(Error::TooMuch { argv: argv.to_vec(), limit: bounds.output }),
        Watched::TooLong => Err(Error::TooLong { argv: argv.to_vec(), limit: bounds.time }),
    }
}

/// A process that leads a process group, which ends with this value.
struct Group {
    child: Child,
}

enum Watched {
    Ended { status: ExitStatus, stdout: Vec<u8>, stderr: Vec<u8> },
    TooMuch,
    TooLong,
}

impl Group {
    fn watch(&mut self, bounds: Bounds) -> io::Result<Watched> {
        let deadline = Instant::now() + bounds.time;
        let most = usize::try_from(bounds.output.bytes()).unwrap_or(usize::MAX);
        let mut out = Pipe::new(self.child.stdout.take())?;
        let mut err = Pipe::new(self.child.stderr.take())?;
        let process = rustix::process::pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty())?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Watched::TooLong);
            }
            let mut waiting = vec![PollFd::new(&process, PollFlags::IN)];
            waiting.extend([out.poll(), err.poll()].into_iter().flatten());
            let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
            let timeout = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
            match rustix::event::poll(&mut waiting, Some(&timeout)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            // What it printed before its end is there at its end.
            let status = self.child.try_wait()?;
            while out.read(&mut stdout)? {
                if stdout.len() > most {
                    return Ok(Watched::TooMuch);
                }
            }
            while err.read(&mut stderr)? {
                let excess = stderr.len().saturating_sub(KEPT);
                stderr.drain(..excess);
                if Instant::now() > deadline {
                    return Ok(Watched::TooLong);
                }
            }
            if let Some(status) = status {
                return Ok(Watched::Ended { status, stdout, stderr });
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its members may be gone; the process itself is waited for, so that its number is not reused before.
        rustix::process::kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// The reading end of a pipe, until its end.
struct Pipe<F>(Option<F>);

impl<F: AsFd> Pipe<F> {
    fn new(pipe: Option<F>) -> io::Result<Pipe<F>> {
        if let Some(pipe) = &pipe {
            rustix::fs::fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        Ok(Pipe(pipe))
    }

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
}

impl<F: AsFd> Pipe<F> {
    fn poll(&self) -> Option<PollFd<'_>> {
        self.0.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, output: u64, time: u64) -> Result<String, Error> {
        let argv = ["sh", "-c", script].map(str::to_owned);
        read_within(&argv, Path::new("/"), Bounds { output: ByteSize::kib(output), time: Duration::from_millis(time) })
    }

    #[test]
    fn a_command_ends_within_its_bounds() {
        assert_eq!(run("echo a; echo b", 1, 60_000).unwrap(), "a\nb");
        assert_eq!(run("cat; echo end", 1, 60_000).unwrap(), "end");
        assert!(matches!(run("cat /dev/zero", 64, 60_000), Err(Error::TooMuch { .. })));
        assert!(matches!(run("cat /dev/zero >&2", 64, 300), Err(Error::TooLong { .. })));
        assert!(matches!(run("sleep 1000", 1, 100), Err(Error::TooLong { .. })));
        // What holds the output open does not delay the end, and ends too.
        let text = run("sleep 1000 & echo $!", 1, 60_000).unwrap();
        let ends = || std::fs::read_to_string(format!("/proc/{text}/cmdline")).is_ok_and(|line| line.is_empty());
        let gone = || !Path::new(&format!("/proc/{text}")).exists() || ends();
        while !gone() {
            std::thread::sleep(Duration::from_millis(5));
        }
        let Err(Error::Exit { stderr, .. }) = run("echo broken >&2; exit 3", 1, 60_000) else { panic!() };
        assert_eq!(stderr, "broken");
    }
}
