//! The distribution of units over machines of one class, so that the slowest machine ends as soon as possible.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::durations::Expected;
use super::units::Unit;
use crate::capacity::{Limits, MARGIN};
use crate::plan::PlannedJob;
use crate::schedule::{QUICK, SEED, Task, Workload, bound, order, quick_makespan};
use drydock_config::jobs::Runner;

/// The number of simulated starts of the search for a better distribution. It stops earlier where no better one exists.
pub const THOROUGH: usize = 400_000;
/// The same while the number of machines is searched for.
pub const HASTY: usize = 40_000;
/// What a trial costs beside the starts that it simulates.
const FIXED: usize = 20;
/// The search stops after so many trials in vain for each unit and machine.
const VAIN: usize = 6;
/// The search stops at distributions that exceed the lower bound by at most one part in this many.
const GOOD_ENOUGH: u64 = 200;

/// What is distributed, and over which machines.
#[derive(Debug, Clone, Copy)]
pub struct Balance<'a> {
    /// The jobs of the plan.
    pub jobs: &'a [PlannedJob],
    /// What is expected of each.
    pub expected: &'a [Expected],
    /// The units.
    pub units: &'a [Unit],
    /// The class of the machines.
    pub class: &'a Runner,
}

/// A distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balanced {
    /// The positions of the units of each machine; at least one each.
    pub machines: Vec<Vec<usize>>,
    /// Milliseconds until each machine ends, with its set-up.
    pub ends: Vec<u64>,
    /// Milliseconds below which no distribution over so many machines can stay, with the set-up.
    pub bound: u64,
}

impl Balanced {
    /// Milliseconds until the slowest machine ends.
    pub fn slowest(&self) -> u64 {
        self.ends.iter().max().copied().unwrap_or(0)
    }
}

/// The slots and the memory of a machine of a class, as a run there is expected to find them.
pub(super) fn limits(class: &Runner) -> Limits {
    let memory = class.memory.bytes();
    Limits { slots: class.cores.max(1), memory: (memory - memory / MARGIN).max(1) }
}

/// Distributes the units over so many machines, or fewer if there are not as many units. The same units are always
/// distributed in the same way. The search costs so many simulated starts.
pub fn balance(balance: Balance<'_>, machines: usize, starts: usize) -> Balanced {
    let mut search = Search::new(balance, machines.clamp(1, balance.units.len().max(1)));
    search.deal();
    search.improve(starts);
    search.finish()
}

/// Milliseconds until each machine ends that runs these units, by the same simulation, and the bound; for a distribution
/// that was made elsewhere.
pub fn evaluate(balance: Balance<'_>, machines: Vec<Vec<usize>>) -> Balanced {
    let mut search = Search::new(balance, machines.len());
    search.loads = machines.into_iter().map(|units| Load { units, ..Load::default() }).collect();
    search.finish()
}

/// The locks of each job, by number.
fn numbered_locks(jobs: &[PlannedJob]) -> Vec<Vec<usize>> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    jobs.iter()
        .map(|job| {
            job.locks
                .iter()
                .map(|lock| {
                    let next = numbers.len();
                    *numbers.entry(lock.as_str()).or_insert(next)
                })
                .collect()
        })
        .collect()
}

/// The machine's load by estimate.
#[derive(Debug, Clone, Default)]
struct Load {
    units: Vec<usize>,
    closures: BTreeSet<usize>,
    chain: u64,
    work: u64,
    held: u128,
    excluded: u64,
    longest: u64,
}

/// What all units with the same needs need.
struct Closure {
    /// Milliseconds that its jobs take by themselves.
    chain: u64,
}

struct Search<'a> {
    balance: Balance<'a>,
    limits: Limits,
    tasks: Vec<Task>,
    closures: Vec<Closure>,
    closure_of: Vec<usize>,
    loads: Vec<Load>,
    ends: Vec<u64>,
    bound: u64,
    /// The locks of each job, by number.
    locks: Vec<Vec<usize>>,
}

impl<'a> Search<'a> {
    fn new(balance: Balance<'a>, machines: usize) -> Search<'a> {
        let limits = limits(balance.class);
        let task = |expected: &Expected| {
            let demand = expected.prediction.demand.within(limits.memory);
            Task { duration: expected.duration, memory: demand.mean, deviation: demand.deviation }
        };
        let tasks: Vec<Task> = balance.expected.iter().map(task).collect();
        let mut numbers: HashMap<*const Vec<usize>, usize> = HashMap::new();
        let mut same: HashMap<&Vec<usize>, usize> = HashMap::new();
        let mut sets: Vec<&Vec<usize>> = Vec::new();
        let mut closure_of = Vec::with_capacity(balance.units.len());
        for unit in balance.units {
            let number = *numbers.entry(Rc::as_ptr(&unit.setup)).or_insert_with(|| {
                *same.entry(&*unit.setup).or_insert_with(|| {
                    sets.push(&unit.setup);
                    sets.len() - 1
                })
            });
            closure_of.push(number);
        }
        let mut search = Search {
            balance,
            limits,
            tasks,
            closures: Vec::new(),
            closure_of,
            loads: vec![Load::default(); machines],
            ends: vec![0; machines],
            bound: 0,
            locks: numbered_locks(balance.jobs),
        };
        search.closures = sets.into_iter().map(|set| Closure { chain: search.makespan_of(set.clone()) }).collect();
        search.bound = search.bound(machines);
        search
    }

    /// No distribution over so many machines ends before.
    fn bound(&self, machines: usize) -> u64 {
        let units = self.balance.units;
        let least_head = self.closure_of.iter().map(|number| self.closures[*number].chain).min().unwrap_or(0);
        let own: Vec<Task> = units.iter().flat_map(|unit| &unit.jobs).map(|job| self.tasks[*job]).collect();
        let spread = least_head + bound::over_machines(&own, self.limits, machines);
        let longest = |(unit, closure): (&Unit, &usize)| {
            let longest = unit.jobs.iter().map(|job| self.tasks[*job].duration).max().unwrap_or(0);
            self.closures[*closure].chain + longest
        };
        let longest = units.iter().zip(&self.closure_of).map(longest).max().unwrap_or(0);
        self.balance.class.setup_ms + spread.max(longest)
    }

    fn task(&self, unit: usize) -> impl Iterator<Item = Task> + '_ {
        self.balance.units[unit].jobs.iter().map(|job| self.tasks[*job])
    }

    /// The larger of its shares of a machine's slots and memory, times its time.
    fn area(&self, unit: usize) -> u64 {
        let share = |task: Task| {
            let by_memory = u128::from(task.duration) * u128::from(task.memory) / u128::from(self.limits.memory);
            (task.duration / u64::from(self.limits.slots)).max(u64::try_from(by_memory).unwrap_or(u64::MAX))
        };
        self.task(unit).map(share).sum()
    }

    /// The load with one more unit.
    fn with(&self, load: &mut Load, unit: usize) {
        load.units.push(unit);
        let closure = self.closure_of[unit];
        if load.closures.insert(closure) {
            load.chain = load.chain.max(self.closures[closure].chain);
        }
        for task in self.task(unit) {
            load.work += task.duration;
            load.held += u128::from(task.duration) * u128::from(task.memory);
            if task.memory > self.limits.memory / 2 {
                load.excluded += task.duration;
            }
            load.longest = load.longest.max(task.duration);
        }
    }

    /// Milliseconds until the machine ends, by estimate.
    fn estimate(&self, load: &Load, unit: usize) -> u64 {
        let (mut work, mut held, mut excluded, mut longest) = (load.work, load.held, load.excluded, load.longest);
        for task in self.task(unit) {
            work += task.duration;
            held += u128::from(task.duration) * u128::from(task.memory);
            longest = longest.max(task.duration);
            if task.memory > self.limits.memory / 2 {
                excluded += task.duration;
            }
        }
        let by_memory = u64::try_from(held / u128::from(self.limits.memory)).unwrap_or(u64::MAX);
        let closure = self.closure_of[unit];
        // One more closure is work besides its chain, which mostly runs beside the others.
        let more = if load.closures.contains(&closure) { 0 } else { self.closures[closure].chain / 2 };
        load.chain.max(self.closures[closure].chain)
            + more
            + (work / u64::from(self.limits.slots)).max(by_memory).max(excluded).max(longest)
    }

    /// The biggest units first, each to the machine that then ends first; each machine gets one.
    fn deal(&mut self) {
        let mut units: Vec<(u64, usize)> = (0..self.balance.units.len()).map(|unit| (self.area(unit), unit)).collect();
        units.sort_by_key(|(area, unit)| (std::cmp::Reverse(*area), *unit));
        let machines = self.loads.len();
        for (number, (_, unit)) in units.into_iter().enumerate() {
            let empty = || self.loads.iter().position(|load| load.units.is_empty());
            let machine = if number < machines {
                empty().unwrap_or(0)
            } else {
                let estimate = |machine: &usize| (self.estimate(&self.loads[*machine], unit), *machine);
                (0..machines).min_by_key(estimate).unwrap_or(0)
            };
            let mut load = std::mem::take(&mut self.loads[machine]);
            self.with(&mut load, unit);
            self.loads[machine] = load;
        }
        self.ends = (0..machines).map(|machine| self.end(&self.loads[machine].units)).collect();
    }

    /// The jobs of a machine with these units, in ascending order.
    fn jobs(&self, units: &[usize]) -> Vec<usize> {
        let mut jobs: BTreeSet<usize> = BTreeSet::new();
        let mut closures: BTreeSet<usize> = BTreeSet::new();
        for unit in units {
            jobs.extend(&self.balance.units[*unit].jobs);
            if closures.insert(self.closure_of[*unit]) {
                jobs.extend(self.balance.units[*unit].setup.iter());
            }
        }
        jobs.into_iter().collect()
    }

    fn workload(&self, jobs: &[usize]) -> Workload {
        let planned: Vec<&PlannedJob> = jobs.iter().map(|job| &self.balance.jobs[*job]).collect();
        Workload::new(&planned, jobs.iter().map(|job| self.tasks[*job]).collect())
    }

    fn makespan_of(&self, jobs: Vec<usize>) -> u64 {
        quick_makespan(&self.workload(&jobs), self.limits)
    }

    /// Milliseconds until a machine with these units ends, by simulation.
    fn end(&self, units: &[usize]) -> u64 {
        let jobs = self.jobs(units);
        self.balance.class.setup_ms + self.with_exclusions(&jobs, |jobs| self.makespan_of(jobs))
    }

    /// Milliseconds until these jobs end, where `makespan` knows nothing of exclusions: jobs that share a lock run one after
    /// another, and a serial one runs when nothing else does.
    fn with_exclusions(&self, jobs: &[usize], makespan: impl Fn(Vec<usize>) -> u64) -> u64 {
        let (serial, others): (Vec<usize>, Vec<usize>) =
            jobs.iter().copied().partition(|job| self.balance.jobs[*job].serial);
        let mut locked: HashMap<usize, u64> = HashMap::new();
        for job in &others {
            for lock in &self.locks[*job] {
                *locked.entry(*lock).or_default() += self.tasks[*job].duration;
            }
        }
        let longest = locked.into_values().max().unwrap_or(0);
        let together = if others.is_empty() { 0 } else { makespan(others) };
        together.max(longest) + serial.iter().map(|job| self.tasks[*job].duration).sum::<u64>()
    }

    /// Moves and swaps units of the slowest machine while that helps.
    fn improve(&mut self, starts: usize) {
        let machines = self.loads.len();
        let good_enough = self.bound + self.bound / GOOD_ENOUGH;
        let mut random = fastrand::Rng::with_seed(SEED);
        let (mut spent, mut vain) = (0, 0);
        let most_vain = VAIN * (self.balance.units.len() + machines);
        while spent < starts && vain < most_vain && machines > 1 {
            let Some(slowest) = (0..machines).max_by_key(|machine| (self.ends[*machine], *machine)) else { break };
            if self.ends[slowest] <= good_enough {
                break;
            }
            let two = [random.usize(0..machines), random.usize(0..machines)];
            let Some(other) = two.into_iter().filter(|other| *other != slowest).min_by_key(|other| self.ends[*other])
            else {
                (spent, vain) = (spent + 1, vain + 1);
                continue;
            };
            let (mut from, mut to) = (self.loads[slowest].units.clone(), self.loads[other].units.clone());
            let unit = from.swap_remove(random.usize(0..from.len()));
            if from.is_empty() || random.u8(0..3) > 0 {
                let back = to.swap_remove(random.usize(0..to.len()));
                if self.area(back) >= self.area(unit) {
                    // It would only make the slowest machine slower, unless their shapes differ.
                    if random.u8(0..8) > 0 {
                        (spent, vain) = (spent + 1, vain + 1);
                        continue;
                    }
                }
                from.push(back);
            }
            to.push(unit);
            spent += FIXED + from.len() + to.len();
            vain += 1;
            let ends = (self.end(&from), self.end(&to));
            if ends.0.max(ends.1) < self.ends[slowest] {
                vain = 0;
                (self.ends[slowest], self.ends[other]) = ends;
                self.loads[slowest].units = from;
                self.loads[other].units = to;
            }
        }
    }

    /// The distribution, with the ends that the orders of real runs give.
    fn finish(self) -> Balanced {
        let end = |load: &Load| {
            let ordered = |jobs: Vec<usize>| {
                let workload = self.workload(&jobs);
                let order = order(&workload, self.limits, SEED, QUICK);
                workload.makespan(self.limits, &order)
            };
            self.balance.class.setup_ms + self.with_exclusions(&self.jobs(&load.units), ordered)
        };
        let ends = self.loads.iter().map(end).collect();
        let machines = self.loads.into_iter().map(|load| load.units).collect();
        Balanced { machines, ends, bound: self.bound }
    }
}
