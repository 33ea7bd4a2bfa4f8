//! Linux signal numbers, and what each implies about a death (signal(7)).

pub(super) const ABRT: i32 = 6;
pub(super) const KILL: i32 = 9;
pub(super) const SEGV: i32 = 11;
pub(super) const TERM: i32 = 15;

const NAMES: [(i32, &str); 20] = [
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (3, "SIGQUIT"),
    (4, "SIGILL"),
    (5, "SIGTRAP"),
    (ABRT, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (KILL, "SIGKILL"),
    (10, "SIGUSR1"),
    (SEGV, "SIGSEGV"),
    (12, "SIGUSR2"),
    (13, "SIGPIPE"),
    (14, "SIGALRM"),
    (TERM, "SIGTERM"),
    (16, "SIGSTKFLT"),
    (24, "SIGXCPU"),
    (25, "SIGXFSZ"),
    (29, "SIGIO"),
    (31, "SIGSYS"),
];

/// `SIGSEGV` for 11; `signal 40` for one without a name of its own.
pub fn name(signal: i32) -> String {
    NAMES
        .iter()
        .find(|(number, _)| *number == signal)
        .map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).into())
}

/// Signals that people and supervisors send, and that a program does not raise by misbehaving.
pub(super) fn from_outside(signal: i32) -> bool {
    matches!(signal, 1 | 2 | 3 | KILL | TERM)
}
