//! The mark of an attempt's processes: a value that every descendant inherits, and that neither a new session, nor an empty
//! environment, nor closed descriptors, nor exec removes.
//!
//! It is the soft limit `RLIMIT_RTTIME` (getrlimit(2)), which restricts only processes under real-time scheduling, and them
//! only after that many microseconds: more than thirty thousand years. Every user may read it in `/proc/PID/limits`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::probe::process;

/// Marks have this bit, so that no limit that somebody sets is mistaken for one.
const MARK: u64 = 1 << 60;
/// The bits that number the attempts of a run.
const ATTEMPT: u64 = (1 << 24) - 1;

/// The mark of one attempt: a hash of the run's identifier, and the attempt's number within the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u64);

/// The mark of this process while it starts a marked one.
#[must_use]
pub struct Worn {
    before: Rlimit,
}

impl Mark {
    /// The mark of the attempt with that number in the run.
    pub fn new(run: &str, number: u32) -> Mark {
        Mark(Mark::of_run(run) | u64::from(number) & ATTEMPT)
    }

    /// The part that all marks of a run have in common: FNV-1a, 36 bits of it.
    fn of_run(run: &str) -> u64 {
        let hash = run
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        MARK | (hash >> 28) << 24
    }

    /// Marks this process, and so those that it starts, until the value is dropped. Does nothing where it is refused.
    pub(crate) fn wear(self) -> Option<Worn> {
        let before = getrlimit(Resource::Rttime);
        let marked = Rlimit { current: Some(self.0), maximum: before.maximum };
        setrlimit(Resource::Rttime, marked).ok().map(|()| Worn { before })
    }

    /// The mark of a process.
    pub fn read(pid: u32) -> Option<Mark> {
        process::soft_limit(pid, "Max realtime timeout")
            .filter(|value| value & MARK != 0 && *value < MARK << 1)
            .map(Mark)
    }

    /// `true` if it is of an attempt of that run.
    pub fn is_of(self, run: &str) -> bool {
        self.0 & !ATTEMPT == Mark::of_run(run)
    }
}

impl Drop for Worn {
    fn drop(&mut self) {
        // A soft limit can always be raised to the hard one.
        setrlimit(Resource::Rttime, self.before).ok();
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_mark_outlives_all_that_a_daemon_does() {
        let mark = Mark::new("20260101T000000Z-1", 7);
        let worn = mark.wear().unwrap();
        let daemon = ["-i", "/usr/bin/setsid", "/bin/sh", "-c", "/bin/cat /proc/self/limits"];
        let output = Command::new("env").args(daemon).output().unwrap();
        drop(worn);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&mark.0.to_string()), "{text}");
        assert_eq!(Mark::read(std::process::id()), None);
        assert!(mark.is_of("20260101T000000Z-1") && !mark.is_of("20260101T000000Z-2"));
        assert_ne!(mark, Mark::new("20260101T000000Z-1", 8));
    }
}
