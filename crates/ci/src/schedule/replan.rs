//! What is seen of running jobs: their expected peaks, and a new order of the jobs that have not started.

use super::demand::Demand;
use super::workload::RunningTask;
use super::{Schedule, State, order};

/// The simulated starts of a new order during a run, for each millisecond in which no job is expected to end: less than
/// 1 % of the time.
const STARTS_A_MS: u64 = 5;
/// The most simulated starts of a new order during a run.
const MOST_STARTS: u64 = 1_000;
/// A search for a new order that could try fewer than so many is not worth its time.
const FEWEST_ORDERS: u64 = 4;
/// A job that has run for as long as expected is assumed to go on for one part in so many of that time.
const OVERDUE: u64 = 8;

/// What a running job was seen to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Milliseconds since its start.
    pub elapsed_ms: u64,
    /// The most bytes so far.
    pub used: u64,
}

impl Schedule {
    /// Takes note of what a running job uses. Returns what it is expected to need now.
    pub fn observe(&mut self, job: usize, progress: Progress) -> Demand {
        let entry = &mut self.jobs[job];
        let is_past = entry.peak_past_ms.is_some_and(|past| progress.elapsed_ms >= past);
        entry.elapsed_ms = progress.elapsed_ms;
        entry.now = entry.demand.given(progress.used, is_past).within(self.limits.memory);
        self.queue.observe(entry.rank, entry.now);
        entry.now
    }

    /// Milliseconds after its start at which the peak of a job is past, if earlier runs tell.
    pub fn peak_past_ms(&self, job: usize) -> Option<u64> {
        self.jobs[job].peak_past_ms
    }

    /// Orders the jobs that have not started anew, since others took more or less time or memory than expected.
    pub(super) fn order_again(&mut self) {
        let is_open = |job: &usize| {
            matches!(self.jobs[*job].state, State::Waiting | State::Ready) && !self.exclusive.contains(job)
        };
        let open: Vec<usize> = self.order.iter().copied().filter(is_open).collect();
        let running: Vec<RunningTask> = (0..self.jobs.len())
            .filter(|job| self.jobs[*job].state == State::Running)
            .map(|job| {
                let (entry, expected) = (&self.jobs[job], self.workload.tasks[job].duration);
                // One that takes longer than expected will mostly end soon.
                let remaining = expected.saturating_sub(entry.elapsed_ms).max(expected / OVERDUE);
                RunningTask { job, remaining, demand: entry.now }
            })
            .collect();
        let count = open.len() as u64;
        let work: u64 = open.iter().map(|job| self.workload.tasks[*job].duration).sum();
        let between_ends = work.checked_div(count * u64::from(self.limits.slots.max(1))).unwrap_or(0);
        let starts = (between_ends * STARTS_A_MS).min(MOST_STARTS);
        if count < 2 || starts < count * FEWEST_ORDERS {
            return;
        }
        let ranks: Vec<usize> = open.iter().map(|job| self.jobs[*job].rank).collect();
        let starts = usize::try_from(starts).unwrap_or(usize::MAX);
        let order = order::again(&self.workload, self.limits, open, &running, starts);
        let mut renumbered = Vec::with_capacity(ranks.len());
        for (job, rank) in order.into_iter().zip(ranks) {
            let before = std::mem::replace(&mut self.jobs[job].rank, rank);
            renumbered.push((before, rank));
            self.order[rank] = job;
        }
        self.queue.renumber(&renumbered);
    }
}
