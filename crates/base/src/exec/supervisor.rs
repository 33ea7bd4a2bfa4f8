//! The supervisor of a command: a process between Drydock and the command, to which the kernel gives every descendant of the
//! command whose parent ends (`PR_SET_CHILD_SUBREAPER`), whatever session, group or environment it has. So the supervisor
//! ends all of them by killing its children until it has none. It does so when the command ends, and when the connection to
//! Drydock ends, which the kernel does even if Drydock is killed.
//!
//! A process namespace would do the same with one signal, but is not allowed everywhere, and changes what a command sees.
//!
//! The supervisor is forked by the hook of `std::process::Command` and never executes another program, so that it needs no
//! file of its own. Until its end it may do only what is async-signal-safe: system calls on memory of its stack.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, setsid};

/// The descriptor of the connection in the supervisor.
const LINE: RawFd = 3;
/// The name in lists of processes. It is not that of Drydock, so that `pkill -9 -f drydock` leaves the supervisor to tidy up.
const NAME: &CStr = c"supervisor";
/// The time between two attempts to end all children, in nanoseconds.
const LOOK: i64 = 5_000_000;
/// The number of attempts in which no child ends, after which the rest is left: it cannot be ended.
const ATTEMPTS: u32 = 2_000;

/// What a supervisor tells at its end.
pub(super) enum Report {
    /// It was killed.
    Lost,
    Ended {
        /// The wait status of the command.
        status: i32,
        /// The number of processes that could not be ended.
        left: u32,
    },
}

impl Report {
    /// The report, if there is one yet. The connection does not block.
    pub(super) fn read(line: &UnixStream) -> io::Result<Option<Report>> {
        let mut bytes = [0; 8];
        match rustix::io::read(line, &mut bytes) {
            Ok(8) => {
                let [a, b, c, d, e, f, g, h] = bytes;
                let (status, left) = (i32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
                Ok(Some(Report::Ended { status, left }))
            }
            Ok(_) | Err(rustix::io::Errno::CONNRESET) => Ok(Some(Report::Lost)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// The memory of the command line of this process, as lists of processes show it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Title {
    first: usize,
    length: usize,
}

impl Title {
    /// That of this process, if the kernel tells: fields 48 and 49 of `/proc/self/stat`, see proc_pid_stat(5).
    pub(super) fn find() -> Option<Title> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // The third field is the first one after the name.
        let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(45);
        let (first, last): (usize, usize) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let length = last.checked_sub(first)?;
        (first != 0 && length > NAME.count_bytes()).then_some(Title { first, length })
    }

    #[expect(unsafe_code, reason = "the memory belongs to the C library, which has no function for this")]
    fn set(self) {
        let title = std::ptr::with_exposed_provenance_mut::<u8>(self.first);
        // SAFETY: the kernel put the arguments there, on the stack, where they may be written. They are longer than the name, and
        // the supervisor does not read them.
        unsafe {
            std::ptr::write_bytes(title, 0, self.length);
            std::ptr::copy_nonoverlapping(NAME.as_ptr().cast(), title, NAME.count_bytes());
        }
    }
}

/// Makes this process, which was just forked, a supervisor, and returns in a child of it, which executes the command.
#[expect(unsafe_code, reason = "neither std nor rustix forks")]
pub(super) fn enter(line: RawFd, title: Option<Title>) -> io::Result<()> {
    // Signals to the group of Drydock or of the command do not reach it, and others are blocked.
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let before = block_signals();
    let supervisor = getpid();
    // SAFETY: this process has one thread, and both sides do only what is allowed after fork in a program with several.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            setsid()?;
            // In case that the supervisor is killed.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(supervisor) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            // SAFETY: the set was written by `block_signals`.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), std::ptr::null_mut()) };
            Ok(())
        }
        child => {
            if let Some(title) = title {
                title.set();
            }
            supervise(Pid::from_raw(child), line)
        }
    }
}

/// Blocks all signals, and returns the set of those that were blocked before.
#[expect(unsafe_code, reason = "neither std nor rustix changes the signal mask")]
fn block_signals() -> MaybeUninit<libc::sigset_t> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::uninit();
    // SAFETY: signal sets are plain data that these functions write as a whole.
    unsafe {
        libc::sigemptyset(before.as_mut_ptr());
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
    }
    before
}

/// Waits for the end of the command or of Drydock, ends all that descends from the command, and reports.
fn supervise(command: Option<Pid>, line: RawFd) -> ! {
    let (line, ended) = keep_only(line);
    // It matters for people only.
    rustix::thread::set_name(NAME).ok();
    let mut children = Children { command, status: None, reaped: 0 };
    while children.reap() && children.status.is_none() {
        let mut waiting =
            [PollFd::from_borrowed_fd(line, PollFlags::IN), PollFd::from_borrowed_fd(ended, PollFlags::IN)];
        // An error here means the same as a wake-up: look again.
        rustix::event::poll(&mut waiting, None).ok();
        drain(ended);
        if waiting.first().is_some_and(|line| !line.revents().is_empty()) {
            break;
        }
    }
    let left = children.end(ended);
    let mut report = [0; 8];
    let status = children.status.unwrap_or_default().to_ne_bytes();
    for (to, from) in report.iter_mut().zip(status.into_iter().chain(left.to_ne_bytes())) {
        *to = from;
    }
    // Drydock may have ended.
    rustix::io::write(line, &report).ok();
    exit();
}

#[expect(unsafe_code, reason = "std::process::exit runs what others registered for the end of Drydock")]
fn exit() -> ! {
    // SAFETY: it has no condition.
    unsafe { libc::_exit(0) }
}

/// Closes all descriptors but that of the connection, and opens one that is readable when a child has ended.
#[expect(unsafe_code, reason = "descriptors of Drydock are closed here that others own there")]
fn keep_only(line: RawFd) -> (BorrowedFd<'static>, BorrowedFd<'static>) {
    // SAFETY: this process shares no descriptor table with any other, and nothing below uses a descriptor of Drydock. Those
    // that are returned are never closed.
    unsafe {
        libc::dup2(line, LINE);
        let first = LINE + 1;
        let closed = libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0);
        if closed != 0 {
            // The kernel is older than 5.9.
            let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
            for descriptor in first..RawFd::try_from(most.min(1 << 20)).unwrap_or(first) {
                libc::close(descriptor);
            }
        }
        for descriptor in 0..LINE {
            libc::close(descriptor);
        }
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        let ended = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        (BorrowedFd::borrow_raw(LINE), BorrowedFd::borrow_raw(ended.max(0)))
    }
}

fn drain(ended: BorrowedFd<'_>) {
    let mut piece = [0; 1024];
    while rustix::io::read(ended, &mut piece).is_ok_and(|read| read > 0) {}
}

/// The children of the supervisor: the command, and all its descendants whose parents have ended.
struct Children {
    command: Option<Pid>,
    /// The wait status of the command, once it has ended.
    status: Option<i32>,
    /// The number of those that ended.
    reaped: u64,
}

impl Children {
    /// Takes in what has ended; `false` if there is no child any more.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    self.reaped += 1;
                    if Some(pid) == self.command {
                        self.status = Some(status.as_raw());
                    }
                }
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Kills all children, and those that they leave, until there are none. Returns the number of those that remain, because
    /// they do not end.
    fn end(&mut self, ended: BorrowedFd<'_>) -> u32 {
        let (mut attempts, mut left) = (0, 0);
        while self.reap() && attempts < ATTEMPTS {
            let reaped = self.reaped;
            left = self.kill();
            let mut waiting = [PollFd::from_borrowed_fd(ended, PollFlags::IN)];
            // As above.
            rustix::event::poll(&mut waiting, Some(&Timespec { tv_sec: 0, tv_nsec: LOOK })).ok();
            drain(ended);
            if !self.reap() {
                return 0;
            }
            attempts = if self.reaped == reaped { attempts + 1 } else { 0 };
        }
        if attempts < ATTEMPTS { 0 } else { left.max(1) }
    }

    /// Kills the children of this process; their number. No other process can have got the pid of one, as long as it is not
    /// waited for.
    fn kill(&self) -> u32 {
        let kill = |pid: Pid| {
            // One of another user cannot be killed, such as a program with the set-user-id bit.
            kill_process(pid, Signal::KILL).ok();
        };
        let listed = listed(c"/proc/thread-self/children", kill).or_else(|| by_parent(getpid(), kill));
        listed.unwrap_or_else(|| {
            // Without /proc, only the command and its group are known.
            let command = self.command.filter(|_| self.status.is_none());
            if let Some(command) = self.command {
                rustix::process::kill_process_group(command, Signal::KILL).ok();
            }
            command.map_or(0, |command| {
                kill(command);
                1
            })
        })
    }
}

/// Calls `each` with the pids in a file with pids; their number. None if it cannot be read.
fn listed(file: &CStr, mut each: impl FnMut(Pid)) -> Option<u32> {
    let file = openat(CWD, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let (mut count, mut pid) = (0, 0_i32);
    let mut piece = [0; 1024];
    loop {
        let read = rustix::io::read(&file, &mut piece).ok()?;
        for byte in piece.iter().take(read) {
            if let digit @ b'0'..=b'9' = byte {
                pid = pid.wrapping_mul(10).wrapping_add(i32::from(digit - b'0'));
            } else if let Some(one) = Pid::from_raw(std::mem::take(&mut pid)) {
                count += 1;
                each(one);
            }
        }
        if read == 0 {
            return Some(count);
        }
    }
}

/// Calls `each` with the children of a process, for a kernel without `CONFIG_PROC_CHILDREN`; their number. None without /proc.
fn by_parent(parent: Pid, mut each: impl FnMut(Pid)) -> Option<u32> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let all = openat(CWD, c"/proc", directory, Mode::empty()).ok()?;
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(all.as_fd(), &mut buffer);
    let mut count = 0;
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let Some(pid) = number(entry.file_name().to_bytes()).and_then(Pid::from_raw) else { continue };
        // It may have ended.
        let Ok(process) = openat(&all, entry.file_name(), directory, Mode::empty()) else { continue };
        let Ok(stat) = openat(&process, c"stat", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else { continue };
        let mut text = [0; 256];
        let read = rustix::io::read(&stat, &mut text).unwrap_or(0);
        // `PID (NAME) STATE PARENT …`, where the name may have any bytes.
        let text = text.get(..read).unwrap_or_default();
        let fields = text.iter().rposition(|byte| *byte == b')').and_then(|at| text.get(at..)).unwrap_or_default();
        if fields.split(|byte| *byte == b' ').nth(2).and_then(number) == Some(parent.as_raw_nonzero().get()) {
            count += 1;
            each(pid);
        }
    }
    Some(count)
}

fn number(digits: &[u8]) -> Option<i32> {
    let digit = |sum: i32, byte: &u8| {
        let digit = byte.is_ascii_digit().then(|| i32::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    digits.iter().try_fold(0, digit).filter(|_| !digits.is_empty())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn both_ways_to_list_children_find_a_child() {
        let mut child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let own = i32::try_from(child.id()).unwrap();
        let (mut found, mut also) = (Vec::new(), Vec::new());
        let count = listed(c"/proc/thread-self/children", |pid| found.push(pid.as_raw_nonzero().get())).unwrap();
        assert_eq!((count as usize, found.contains(&own)), (found.len(), true));
        let count = by_parent(getpid(), |pid| also.push(pid.as_raw_nonzero().get())).unwrap();
        assert_eq!((count as usize, also.contains(&own)), (also.len(), true));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn numbers_are_read_as_a_whole() {
        assert_eq!([&b"12"[..], b"", b"1x", b"99999999999"].map(number), [Some(12), None, None, None]);
    }
}
