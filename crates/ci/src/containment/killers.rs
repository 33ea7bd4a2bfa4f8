//! What daemons that kill for lack of memory leave of it: notes on a cgroup, and pids in their journals.

use std::path::{Path, PathBuf};

use super::{read_members, subtree};
use crate::probe::userspace;

/// What systemd-oomd notes on a cgroup, as extended attributes, when it kills its processes. The journal may not be readable,
/// and drops messages where it is flooded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OomdKill {
    /// The directory of the cgroup.
    pub group: PathBuf,
    /// The number of processes that it killed (`user.oomd_kill`).
    pub processes: u64,
    /// How often it did so (`user.oomd_ooms`), where it notes that.
    pub times: Option<u64>,
}

impl OomdKill {
    /// Reads the notes on a cgroup v2 and on those below it.
    pub(super) fn read(group: &Path) -> Option<OomdKill> {
        subtree(group).into_iter().find_map(|group| {
            let processes = attribute(&group, "oomd_kill").filter(|count| *count > 0)?;
            let times = attribute(&group, "oomd_ooms");
            Some(OomdKill { group, processes, times })
        })
    }
}

/// A number in an extended attribute: `user.NAME`, or `trusted.NAME` as systemd before 249 has it.
fn attribute(path: &Path, name: &str) -> Option<u64> {
    ["user", "trusted"].iter().find_map(|space| {
        let mut text = [0; 32];
        let length = rustix::fs::getxattr(path, format!("{space}.{name}"), &mut text[..]).ok()?;
        std::str::from_utf8(text.get(..length)?).ok()?.trim_end_matches('\0').parse().ok()
    })
}

/// The pids that a group was seen to have, by which the journals of some daemons name what they killed. They are only
/// noted where such a daemon runs.
#[derive(Debug, Default)]
pub(super) struct SeenPids {
    is_wanted: bool,
    /// In their order.
    pub(super) pids: Vec<u32>,
}

impl SeenPids {
    /// The most pids that are noted of one job.
    const MOST: usize = 1 << 16;

    pub(super) fn new(is_wanted: bool) -> SeenPids {
        SeenPids { is_wanted, pids: Vec::new() }
    }

    pub(super) fn note(&mut self, group: &Path) {
        if !self.is_wanted {
            return;
        }
        for pid in read_members(group).unwrap_or_default() {
            if let Err(place) = self.pids.binary_search(&pid) {
                if self.pids.len() < SeenPids::MOST {
                    self.pids.insert(place, pid);
                }
            }
        }
    }
}

/// Whether a daemon runs that kills single processes, and names them by their pids.
pub(super) fn kills_by_pid() -> bool {
    userspace::running().iter().any(|name| name != userspace::OOMD)
}
