//! Named locks: of the ready jobs that share one, only one is in the queue while another runs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Schedule, State};

/// The locks that running jobs hold, and the ready jobs that wait for them.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: BTreeSet<String>,
    /// Ready jobs by each lock that they need.
    ready: BTreeMap<String, BTreeSet<usize>>,
}

impl Locks {
    /// A ready job waits no more.
    pub(super) fn forget(&mut self, job: usize) {
        self.ready.values_mut().for_each(|waiting| {
            waiting.remove(&job);
        });
    }
}

impl Schedule {
    /// Offers a ready job to the queue, unless a lock that it needs is held, or it must run by itself.
    pub(super) fn offer(&mut self, job: usize) {
        let entry = &self.jobs[job];
        if entry.awaits_list {
            self.to_list.push(job);
            return;
        }
        if entry.serial {
            self.exclusive.push(job);
            return;
        }
        for lock in &entry.locks {
            self.locks.ready.entry(lock.clone()).or_default().insert(job);
        }
        if entry.locks.iter().all(|lock| !self.locks.held.contains(lock)) {
            self.queue.insert(entry.rank, entry.demand);
        }
    }

    /// Takes the locks of a job that starts: others that need one leave the queue.
    pub(super) fn lock(&mut self, job: usize) {
        for lock in self.jobs[job].locks.clone() {
            let waiting = self.locks.ready.entry(lock.clone()).or_default();
            waiting.remove(&job);
            waiting.iter().for_each(|other| self.queue.remove(self.jobs[*other].rank));
            self.locks.held.insert(lock);
        }
    }

    /// Gives the locks of a job back: others that need no held lock enter the queue.
    pub(super) fn unlock(&mut self, locks: &[String]) {
        for lock in locks {
            self.locks.held.remove(lock);
        }
        let waiting: BTreeSet<usize> =
            locks.iter().filter_map(|lock| self.locks.ready.get(lock)).flatten().copied().collect();
        for job in waiting {
            let entry = &self.jobs[job];
            let free = entry.locks.iter().all(|lock| !self.locks.held.contains(lock));
            if entry.state == State::Ready && free {
                self.queue.insert(entry.rank, entry.demand);
            }
        }
    }
}
