//! No cgroup: the tree is followed through parents, process groups, sessions and a marker in the environment; memory
//! is sampled as PSS.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Containment, Group, Kind, MARKER, Usage};
use crate::evidence::{GroupCounters, Reading};
use crate::probe::process::{self, Stat};
use drydock_base::units::ByteSize;

/// The number of pids of one attempt that are kept, to be matched with the kernel's log.
const REMEMBERED: usize = 4096;

/// The main processes of the running attempts.
type Roots = Arc<Mutex<BTreeSet<u32>>>;

pub(super) struct Uncontained {
    run: String,
    roots: Roots,
}

impl Uncontained {
    pub(super) fn new(run: &str) -> Uncontained {
        Uncontained { run: run.to_owned(), roots: Roots::default() }
    }
}

impl Containment for Uncontained {
    fn kind(&self) -> Kind {
        Kind::None
    }

    fn root(&self) -> Option<&Path> {
        None
    }

    fn open(&mut self, id: &str, _limit: Option<ByteSize>) -> io::Result<Box<dyn Group>> {
        Ok(Box::new(Tree {
            marker: format!("{}/{id}", self.run),
            root: None,
            root_ticks: None,
            roots: Arc::clone(&self.roots),
            peak: None,
            pids: Vec::new(),
        }))
    }
}

struct Tree {
    marker: String,
    root: Option<u32>,
    /// The start time of the root, which distinguishes it from another process with the same pid.
    root_ticks: Option<u64>,
    roots: Roots,
    peak: Option<u64>,
    pids: Vec<u32>,
}

impl Tree {
    fn scan(&self) -> io::Result<Vec<u32>> {
        let Some(root) = self.root else { return Ok(Vec::new()) };
        let all = process::all()?;
        // Once the root is reaped and no group or session uses its pid, the kernel may reuse it for an unrelated
        // process.
        let is_stranger =
            all.iter().any(|stat| stat.pid == root && self.root_ticks.is_some_and(|ticks| ticks != stat.ticks));
        let mut members = if is_stranger { Vec::new() } else { process::tree(&all, root) };
        // A process that left its parent, group and session is adopted by Drydock (a child subreaper) and has the
        // marker.
        let me = std::process::id();
        let adopted = all
            .iter()
            .filter(|stat| stat.parent == me && stat.pid != root && !members.contains(&stat.pid))
            .filter(|stat| self.is_marked(stat))
            .flat_map(|stat| process::tree(&all, stat.pid))
            .collect::<Vec<u32>>();
        members.extend(adopted);
        members.sort_unstable();
        members.dedup();
        members.retain(|pid| all.iter().any(|stat| stat.pid == *pid && stat.lives()));
        Ok(members)
    }

    fn is_marked(&self, stat: &Stat) -> bool {
        process::environment_variable(stat.pid, MARKER).is_some_and(|marker| marker == self.marker)
    }
}

impl Group for Tree {
    fn spawn(&mut self, command: duct::Expression) -> io::Result<duct::Handle> {
        let handle = command.start()?;
        self.root = handle.pids().first().copied();
        self.root_ticks = self.root.and_then(process::stat).map(|stat| stat.ticks);
        lock(&self.roots).extend(self.root);
        self.pids.extend(self.root);
        Ok(handle)
    }

    fn members(&self) -> io::Result<Vec<u32>> {
        let Some(root) = self.root else { return Ok(Vec::new()) };
        // Every survivor of a tree whose root is gone has an ancestor that Drydock adopted. So when Drydock has no
        // other child than the roots, which the kernel lists cheaply, nothing needs to be searched.
        if process::stat(root).is_none_or(|stat| !stat.lives()) && !has_other_children(&lock(&self.roots)) {
            return Ok(Vec::new());
        }
        self.scan()
    }

    fn usage(&mut self) -> io::Result<Usage> {
        let members = self.scan()?;
        let bytes = members.iter().filter_map(|pid| process::pss(*pid)).sum();
        self.peak = self.peak.max(Some(bytes));
        for pid in members {
            if self.pids.len() < REMEMBERED && !self.pids.contains(&pid) {
                self.pids.push(pid);
            }
        }
        Ok(Usage { bytes })
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
        if let Some(root) = self.root {
            lock(&self.roots).remove(&root);
        }
        Ok(())
    }
}

fn lock(roots: &Roots) -> std::sync::MutexGuard<'_, BTreeSet<u32>> {
    roots.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `true` if this process has living children beside the given ones; `true` where the kernel does not list children
/// (CONFIG_PROC_CHILDREN).
fn has_other_children(roots: &BTreeSet<u32>) -> bool {
    let Ok(threads) = fs::read_dir("/proc/self/task") else { return true };
    for thread in threads.filter_map(Result::ok) {
        let Ok(children) = fs::read_to_string(thread.path().join("children")) else { return true };
        let other = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .filter(|pid| !roots.contains(pid))
            .filter_map(process::stat)
            .any(|stat| stat.lives());
        if other {
            return true;
        }
    }
    false
}
