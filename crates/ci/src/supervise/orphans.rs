//! Orphans: processes whose parent died become children of Drydock, which reaps them when they die.

use std::fs;

use rustix::process::{Pid, WaitOptions};

use super::attempt::Attempt;
use crate::probe::process;

/// Reaps dead children other than the main processes of running attempts.
pub(super) fn reap(running: &[Attempt]) {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return };
    for thread in threads.filter_map(Result::ok) {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let orphans = children
            .split_whitespace()
            .filter_map(|pid| pid.parse::<u32>().ok())
            .filter(|pid| running.iter().all(|attempt| attempt.pid != *pid || attempt.end.is_some()))
            .filter(|pid| process::stat(*pid).is_some_and(|stat| !stat.lives()));
        for orphan in orphans {
            let pid = i32::try_from(orphan).ok().and_then(Pid::from_raw);
            // Another reaper may have been quicker.
            rustix::process::waitpid(pid, WaitOptions::NOHANG).ok();
        }
    }
}
