//! What a process inherits from its caller, made the same for everything that it starts: descriptors, signals, the mask of
//! new files.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustix::fs::Mode;
use signal_hook::consts::{SIGKILL, SIGPIPE, SIGSTOP, SIGXFSZ};

/// Signals that the C library uses itself.
const RESERVED: [i32; 2] = [32, 33];
/// The highest signal.
const LAST: i32 = 64;

/// Makes this process's children independent of its caller; call it first, before any thread starts.
///
/// Children get no descriptor but 0, 1 and 2, no blocked signals and no ignored ones, and create files with the mask 022.
/// Signals that the caller ignores stay without effect on this process, as nohup(1) wants it, and can again be waited for
/// (SIGCHLD). A file beyond `RLIMIT_FSIZE` is an error of the write, not the end of this process. Returns the ignored
/// signals.
///
/// # Errors
/// A signal's handler cannot be set.
pub fn normalise() -> io::Result<Vec<i32>> {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    keep_descriptors_from_children();
    accept_all_signals();
    let ignored = ignored_signals();
    // What is ignored stays ignored in children; what is handled has its default effect in them.
    for signal in ignored.iter().copied().chain([SIGXFSZ]) {
        signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(ignored)
}

/// The signals that this process ignores. Rust itself ignores SIGPIPE, and resets it in children.
fn ignored_signals() -> Vec<i32> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let fixed = [SIGKILL, SIGSTOP, SIGPIPE];
    (1..=LAST)
        .filter(|signal| mask & 1 << (signal - 1) != 0 && !fixed.contains(signal) && !RESERVED.contains(signal))
        .collect()
}

#[expect(unsafe_code, reason = "neither std nor rustix changes the signal mask")]
fn accept_all_signals() {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: a signal set is plain data that `sigemptyset` writes as a whole.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Marks all descriptors from 3 on as close-on-exec.
#[expect(unsafe_code, reason = "std and rustix change descriptors only of those who own them")]
fn keep_descriptors_from_children() {
    // SAFETY: nothing is closed: a flag is set, which matters only to exec.
    let set = unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if set == 0 {
        return;
    }
    // The kernel is older than 5.11.
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        if let Some(descriptor) = entry.file_name().to_str().and_then(|name| name.parse().ok()).filter(|fd| *fd > 2) {
            // SAFETY: as above.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}
/// Gives a command a session keyring of its own, which is empty: it cannot read the keys of this session (keyrings(7)).
#[expect(unsafe_code, reason = "neither std nor rustix has keyctl(2), nor a safe hook between fork and exec")]
pub fn without_session_keys(command: &mut Command) {
    // linux/keyctl.h; not in libc.
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: between fork and exec only async-signal-safe work is allowed: this is one system call, without a pointer.
    unsafe {
        command.pre_exec(|| {
            if libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0) >= 0 {
                return Ok(());
            }
            match io::Error::last_os_error() {
                // The kernel has no keys, or a filter of system calls refuses them; it does so for the command too.
                error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => Ok(()),
                error => Err(error),
            }
        });
    }
}
