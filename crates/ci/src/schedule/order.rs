//! The order in which jobs are offered to admission: by dominant share and critical path, improved by local search.

use super::bound;
use super::workload::{RunningTask, Workload};
use crate::capacity::Limits;

/// The number of simulated starts of the search before a run. It stops earlier at an order that is proved to be good.
pub const THOROUGH: usize = 150_000;
/// The same for questions that are asked several times.
pub const QUICK: usize = 10_000;
/// A search before a run that could try fewer orders than this finds nothing that is worth its time, so it is left out.
const FEWEST_STEPS: usize = 32;
/// The search stops at orders that exceed the lower bound by at most one part in this many.
const GOOD_ENOUGH: u64 = 500;

/// The positions of the jobs, best first. The same seed gives the same order. It costs so many simulated
/// starts, or as many as the list orders need.
///
/// Strongly NP-hard in general, so: the best of several list orders (dominant share, longest chain, biggest first),
/// each simulated with the live run's admission, then a local search that moves jobs in the best order found.
pub fn order(workload: &Workload, limits: Limits, seed: u64, starts: usize) -> Vec<usize> {
    let all: Vec<usize> = (0..workload.tasks.len()).collect();
    let bound = bound::lower(workload, limits).makespan;
    let orders: Vec<Vec<usize>> = keys(workload, limits).iter().map(|keys| by_descending(&all, keys)).collect();
    let left = starts.saturating_sub(orders.len() * all.len());
    let left = if left / all.len().max(1) < FEWEST_STEPS { 0 } else { left };
    Search { workload, limits, running: &[], bound }.best(orders, seed, left)
}

/// The duration of the simulated run in the more promising of two list orders, in milliseconds.
pub fn quick_makespan(workload: &Workload, limits: Limits) -> u64 {
    let all: Vec<usize> = (0..workload.tasks.len()).collect();
    let orders = keys(workload, limits).into_iter().take(2).map(|keys| by_descending(&all, &keys));
    orders.map(|order| workload.makespan(limits, &order)).min().unwrap_or(0)
}

/// The order of the jobs that have not started, beside those that run; at least as good as the present one.
pub(super) fn again(
    workload: &Workload,
    limits: Limits,
    present: Vec<usize>,
    running: &[RunningTask],
    starts: usize,
) -> Vec<usize> {
    let bound = bound::remaining(workload, limits, &present, running);
    let mut orders: Vec<Vec<usize>> = keys(workload, limits).iter().map(|keys| by_descending(&present, keys)).collect();
    orders.insert(0, present);
    Search { workload, limits, running, bound }.best(orders, super::SEED, starts)
}

/// A search for the order with the shortest simulated run.
struct Search<'a> {
    workload: &'a Workload,
    limits: Limits,
    running: &'a [RunningTask],
    /// No order is shorter.
    bound: u64,
}

impl Search<'_> {
    fn makespan(&self, order: &[usize]) -> u64 {
        self.workload.makespan_from(self.limits, order, self.running)
    }

    /// The best of these orders, improved.
    fn best(&self, orders: Vec<Vec<usize>>, seed: u64, starts: usize) -> Vec<usize> {
        let good_enough = self.bound + self.bound / GOOD_ENOUGH;
        let mut best = Vec::new();
        let mut shortest = u64::MAX;
        for order in orders {
            let makespan = self.makespan(&order);
            if makespan < shortest {
                (best, shortest) = (order, makespan);
            }
        }
        let count = best.len();
        if count < 2 {
            return best;
        }
        let (mut current, mut length) = (best.clone(), shortest);
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..(starts / count) {
            if shortest <= good_enough {
                break;
            }
            let mut order = current.clone();
            for _ in 0..=random.usize(0..3) {
                let (from, to) = (random.usize(0..count), random.usize(0..count));
                if random.bool() {
                    order.swap(from, to);
                } else {
                    let job = order.remove(from);
                    order.insert(to, job);
                }
            }
            let makespan = self.makespan(&order);
            if makespan < shortest {
                (best, shortest) = (order.clone(), makespan);
            }
            // The search continues from an equally good order, which leads out of dead ends, but the best order stays.
            if makespan <= length {
                (current, length) = (order, makespan);
            }
        }
        best
    }
}

/// Several weights of the jobs, the promising ones first; a larger weight starts sooner.
fn keys(workload: &Workload, limits: Limits) -> Vec<Vec<f64>> {
    let by_slot = 1.0 / f64::from(limits.slots.max(1));
    let share = |memory: u64| (float(memory) / float(limits.memory.max(1))).max(by_slot);
    let tails = workload.tails();
    let each = |key: &dyn Fn(usize) -> f64| (0..workload.tasks.len()).map(key).collect::<Vec<f64>>();
    let task = |job: usize| &workload.tasks[job];
    let chained = workload.needs.iter().any(|needs| !needs.is_empty());
    let mut keys =
        vec![each(&|job| float(tails[job] - task(job).duration) + float(task(job).duration) * share(task(job).memory))];
    keys.push(each(&|job| float(tails[job])));
    keys.push(each(&|job| float(task(job).memory)));
    if chained {
        keys.push(each(&|job| float(task(job).duration) * share(task(job).memory)));
    }
    keys
}

#[expect(clippy::cast_precision_loss, reason = "an order needs no exact bytes")]
fn float(value: u64) -> f64 {
    value as f64
}

/// Stable: of equal jobs the first comes first.
fn by_descending(jobs: &[usize], keys: &[f64]) -> Vec<usize> {
    let mut order = jobs.to_vec();
    order.sort_by(|left, right| keys[*right].total_cmp(&keys[*left]));
    order
}
