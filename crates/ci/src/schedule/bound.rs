//! Lower bounds of the makespan of any schedule, and which of them binds.

use serde::{Deserialize, Serialize};

use super::workload::{RunningTask, Task, Workload};
use crate::capacity::Limits;

/// The resource or the jobs that keep a run from being shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Binding {
    /// The work of all jobs, divided by the slots.
    Slots,
    /// The CPU time of all jobs, divided by the processors.
    Cores,
    /// The time that jobs hold memory, divided by the memory.
    Memory,
    /// One job.
    LongestJob,
    /// Jobs that wait for one another.
    CriticalPath,
}

/// A lower bound of the makespan of every schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Milliseconds.
    pub makespan: u64,
    /// The term that it comes from.
    pub binding: Binding,
}

/// The largest of the bounds that hold for every schedule of these jobs: total time over slots, memory held over time
/// over memory, the longest job, the longest chain of needs. Jobs that need others begin no sooner than what they need
/// can have ended, so slots and memory are also counted for all jobs that begin at a time or later.
///
/// Memory is counted by dual feasible functions (Fekete and Schepers, "New classes of fast lower bounds for bin packing
/// problems", 2001): a function f with Σ f(m) ≤ 1 for all jobs that fit together makes Σ d·f(m) a bound. The identity
/// gives the plain one; the others see that two jobs of 60 % never run together, and that of jobs of 40 % only two do.
pub fn lower(workload: &Workload, limits: Limits) -> Bound {
    let tasks = &workload.tasks;
    let tails = workload.tails();
    let heads = workload.heads();
    let mut candidates = vec![
        (tasks.iter().map(|task| task.duration).max().unwrap_or(0), Binding::LongestJob),
        (tails.iter().max().copied().unwrap_or(0), Binding::CriticalPath),
    ];
    let mut starts = heads.clone();
    starts.sort_unstable();
    starts.dedup();
    // Every distinct time is a group's, so there are few; of very many the first are looked at.
    for start in starts.into_iter().take(MOST_STARTS) {
        let later: Vec<usize> = (0..tasks.len()).filter(|job| heads[*job] >= start).collect();
        let after = later.iter().map(|job| tails[*job] - tasks[*job].duration).min().unwrap_or(0);
        let some: Vec<Task> = later.iter().map(|job| tasks[*job]).collect();
        let work: u64 = some.iter().map(|task| task.duration).sum();
        candidates.push((start + work.div_ceil(u64::from(limits.slots.max(1))) + after, Binding::Slots));
        candidates.push((start + memory(&some, limits.memory) + after, Binding::Memory));
    }
    let mut best = Bound { makespan: 0, binding: Binding::LongestJob };
    for (makespan, binding) in candidates {
        if makespan > best.makespan {
            best = Bound { makespan, binding };
        }
    }
    best
}

/// Milliseconds below which the slowest of so many machines cannot stay, however jobs without needs are distributed: the
/// longest job, the work over all slots, and the memory held over time, which the functions of [`lower`] bound on each
/// machine, so together they bound the sum.
pub fn over_machines(tasks: &[Task], limits: Limits, machines: usize) -> u64 {
    let machines = u64::try_from(machines).unwrap_or(u64::MAX).max(1);
    let longest = tasks.iter().map(|task| task.duration).max().unwrap_or(0);
    let work: u64 = tasks.iter().map(|task| task.duration).sum();
    let by_slots = work.div_ceil(u64::from(limits.slots.max(1)).saturating_mul(machines));
    longest.max(by_slots).max(memory(tasks, limits.memory).div_ceil(machines))
}

/// Milliseconds until the last of these jobs can have ended, beside those that run already: the work over the slots, the
/// memory held over time over the memory, the longest job.
pub(super) fn remaining(workload: &Workload, limits: Limits, jobs: &[usize], running: &[RunningTask]) -> u64 {
    let waiting = jobs.iter().map(|job| (workload.tasks[*job].duration, workload.tasks[*job].memory));
    let all = waiting.chain(running.iter().map(|task| (task.remaining, task.demand.mean)));
    let (mut longest, mut work, mut held) = (0, 0_u64, 0_u128);
    for (duration, memory) in all {
        longest = longest.max(duration);
        work += duration;
        held += u128::from(duration) * u128::from(memory.min(limits.memory));
    }
    let by_memory = u64::try_from(held / u128::from(limits.memory.max(1))).unwrap_or(u64::MAX);
    longest.max(work / u64::from(limits.slots.max(1))).max(by_memory)
}

/// The number of earliest start times that are considered.
const MOST_STARTS: usize = 64;

/// The best bound over the dual feasible functions, in milliseconds.
fn memory(tasks: &[Task], total: u64) -> u64 {
    let total = u128::from(total.max(1));
    let mut sorted: Vec<(u128, u128)> = tasks
        .iter()
        .filter(|task| task.memory > 0)
        .map(|task| (u128::from(task.memory).min(total), u128::from(task.duration)))
        .collect();
    sorted.sort_unstable();
    // Sums over the jobs up to each position: of time, and of time × memory.
    let mut time = vec![0_u128];
    let mut held = vec![0_u128];
    for (memory, duration) in &sorted {
        time.push(time[time.len() - 1] + duration);
        held.push(held[held.len() - 1] + duration * memory);
    }
    let all = sorted.len();
    let up_to = |bytes: u128| sorted.partition_point(|(memory, _)| *memory < bytes);
    let mut best = held[all].div_ceil(total);
    let mut previous = 0;
    // f(m) = 1 above M − e, m / M between, 0 below e: of all e only those just at a job's memory differ.
    for (memory, _) in &sorted {
        if *memory * 2 > total || *memory == previous {
            continue;
        }
        previous = *memory;
        let (small, big) = (up_to(*memory), up_to(total - memory + 1));
        let value = (time[all] - time[big]) + (held[big] - held[small]).div_ceil(total);
        best = best.max(value);
    }
    // Without the small ones: jobs over half of the memory exclude each other.
    best = best.max(time[all] - time[up_to(total / 2 + 1)]);
    // f(m) = ⌊(k + 1)·m / M⌋ / k, and m / M where (k + 1)·m / M is whole.
    for k in 1..=MOST_PARTS {
        let scaled: u128 = sorted
            .iter()
            .map(|(memory, duration)| {
                let parts = (k + 1) * memory;
                // In units of 1 / (k · M).
                if parts % total == 0 { duration * memory * k } else { duration * (parts / total) * total }
            })
            .sum();
        best = best.max(scaled.div_ceil(k * total));
    }
    u64::try_from(best).unwrap_or(u64::MAX)
}

/// The largest number of concurrent jobs that the rounding functions consider.
const MOST_PARTS: u128 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Limits = Limits { slots: 4, memory: 10 };

    #[track_caller]
    fn check(tasks: &[(u64, u64)], makespan: u64, binding: Binding) {
        let tasks = tasks.iter().map(|(duration, memory)| Task::known(*duration, *memory)).collect();
        assert_eq!(lower(&Workload::independent(tasks), TEN), Bound { makespan, binding });
    }

    #[test]
    fn the_largest_term_binds() {
        check(&[(8, 1), (8, 1), (8, 1), (8, 1), (8, 1)], 10, Binding::Slots);
        check(&[(9, 1), (1, 1)], 9, Binding::LongestJob);
        check(&[(8, 5), (8, 5), (8, 5), (8, 5)], 16, Binding::Memory);
        // Two jobs of 60 % never run together, whatever the sums say.
        check(&[(8, 6), (8, 6), (1, 1)], 16, Binding::Memory);
        // Of jobs of 40 % only two run together: 3 × 8 × 0.4 = 9.6 would be too little.
        check(&[(8, 4), (8, 4), (8, 4), (8, 4)], 16, Binding::Memory);
        check(&[], 0, Binding::LongestJob);
    }

    #[test]
    fn a_chain_of_needs_binds() {
        let task = Task::known(5, 1);
        let workload = Workload { tasks: vec![task; 3], group: vec![0, 1, 2], needs: vec![vec![], vec![0], vec![1]] };
        assert_eq!(lower(&workload, TEN), Bound { makespan: 15, binding: Binding::CriticalPath });
        assert_eq!((workload.tails(), workload.heads()), (vec![15, 10, 5], vec![0, 5, 10]));
    }

    #[test]
    fn what_waits_for_a_build_starts_after_it() {
        let mut workload = Workload::independent(vec![Task::known(5, 1); 9]);
        workload.group = vec![0, 1, 1, 1, 1, 1, 1, 1, 1];
        workload.needs = vec![vec![], vec![0]];
        assert_eq!(lower(&workload, TEN), Bound { makespan: 5 + 10, binding: Binding::Slots });
    }
}
