//! No cgroup: the tree is followed through parents, process groups and sessions, and from the orphans that Drydock adopted;
//! memory is sampled as PSS.

use std::io;
use std::path::Path;

use super::{Containment, Group, Kind, Usage};
use crate::evidence::{GroupCounters, Reading};
use crate::probe::process;
use crate::spawn::Program;
use drydock_base::units::ByteSize;

/// The number of pids of one attempt that are kept, to be matched with the kernel's log.
const REMEMBERED: usize = 4096;

pub(super) struct Uncontained;

impl Containment for Uncontained {
    fn kind(&self) -> Kind {
        Kind::None
    }

    fn root(&self) -> Option<&Path> {
        None
    }

    fn open(&mut self, _id: &str, _limit: Option<ByteSize>) -> io::Result<Box<dyn Group>> {
        Ok(Box::new(Tree { root: None, root_ticks: None, peak: None, pids: Vec::new() }))
    }
}

struct Tree {
    root: Option<u32>,
    /// The start time of the root, which distinguishes it from another process with the same pid.
    root_ticks: Option<u64>,
    peak: Option<u64>,
    pids: Vec<u32>,
}

impl Tree {
    fn scan(&self, adopted: &[u32]) -> io::Result<Vec<u32>> {
        let Some(root) = self.root else { return Ok(Vec::new()) };
        let all = process::all()?;
        // Once the root is reaped and no group or session uses its pid, the kernel may reuse it for an unrelated
        // process.
        let is_stranger =
            all.iter().any(|stat| stat.pid == root && self.root_ticks.is_some_and(|ticks| ticks != stat.ticks));
        let mut members = if is_stranger { Vec::new() } else { process::tree(&all, root) };
        members.extend(adopted.iter().flat_map(|pid| process::tree(&all, *pid)));
        members.sort_unstable();
        members.dedup();
        members.retain(|pid| all.iter().any(|stat| stat.pid == *pid && stat.lives()));
        Ok(members)
    }
}

impl Group for Tree {
    fn start(&mut self, program: &Program) -> io::Result<u32> {
        let pid = program.start()?;
        self.root = Some(pid);
        self.root_ticks = process::stat(pid).map(|stat| stat.ticks);
        self.pids.push(pid);
        Ok(pid)
    }

    fn members(&self, adopted: Option<&[u32]>) -> io::Result<Vec<u32>> {
        let Some(root) = self.root else { return Ok(Vec::new()) };
        // Every survivor of a tree whose root is gone has an ancestor that Drydock adopted.
        if adopted.is_none() && process::stat(root).is_none_or(|stat| !stat.lives()) {
            return Ok(Vec::new());
        }
        self.scan(adopted.unwrap_or_default())
    }

    fn usage(&mut self, adopted: &[u32]) -> io::Result<Usage> {
        let members = self.scan(adopted)?;
        let bytes = members.iter().filter_map(|pid| process::pss(*pid)).sum();
        // None was left, or could be read.
        self.peak = self.peak.max(Some(bytes).filter(|bytes| *bytes > 0));
        for pid in members {
            if self.pids.len() < REMEMBERED && !self.pids.contains(&pid) {
                self.pids.push(pid);
            }
        }
        Ok(Usage { bytes, swapped: 0 })
    }

    fn counters(&self) -> Reading<GroupCounters> {
        Reading::Absent
    }

    fn peak(&self, _highest: Option<u64>) -> Option<u64> {
        self.peak
    }

    fn known_pids(&self) -> &[u32] {
        &self.pids
    }

    fn cgroup(&self) -> Option<&str> {
        None
    }

    fn remove(&mut self) -> io::Result<()> {
        Ok(())
    }
}
