//! The jobs as the planner sees them: time, memory and needs. Also how they would run in some order.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use super::demand::Demand;
use super::queue::Queue;
use crate::capacity::Limits;
use crate::plan::PlannedJob;
use drydock_base::units::JobName;

/// One job as the planner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Wall time in milliseconds.
    pub duration: u64,
    /// The mean of the peak that is expected of it, in bytes.
    pub memory: u64,
    /// The standard deviation of that peak, in bytes; 0 if it is known.
    pub deviation: u64,
}

impl Task {
    /// A task whose time and peak are known.
    pub fn known(duration: u64, memory: u64) -> Task {
        Task { duration, memory, deviation: 0 }
    }

    /// The expected peak.
    pub fn demand(&self) -> Demand {
        Demand { mean: self.memory, deviation: self.deviation }
    }
}

/// Jobs in groups; a group's jobs start when every job of the groups that it needs has ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Workload {
    /// The jobs.
    pub tasks: Vec<Task>,
    /// The group of each job.
    pub group: Vec<usize>,
    /// The groups that each group needs.
    pub needs: Vec<Vec<usize>>,
}

impl Workload {
    /// Jobs without needs.
    pub fn independent(tasks: Vec<Task>) -> Workload {
        Workload { group: vec![0; tasks.len()], needs: vec![Vec::new()], tasks }
    }

    /// Jobs of a plan, with one task a job in their order.
    pub fn new(jobs: &[&PlannedJob], tasks: Vec<Task>) -> Workload {
        // Tests of one suite may need different jobs; those that need the same are a group here.
        let mut numbers: HashMap<(&JobName, Vec<&JobName>), usize> = HashMap::new();
        let mut members: HashMap<&JobName, Vec<usize>> = HashMap::new();
        let mut needs: Vec<Vec<&JobName>> = Vec::new();
        let mut group = Vec::with_capacity(jobs.len());
        let single: HashSet<&JobName> =
            jobs.iter().flat_map(|job| job.needs_jobs().iter().chain(job.follows())).collect();
        for job in jobs {
            let own = if single.contains(&job.name) { &job.name } else { &job.group };
            let before: Vec<&JobName> = job.needs.iter().chain(job.needs_jobs()).chain(job.follows()).collect();
            let number = *numbers.entry((own, before.clone())).or_insert_with(|| {
                needs.push(before);
                members.entry(&job.group).or_default().push(needs.len() - 1);
                if *own != job.group {
                    members.entry(own).or_default().push(needs.len() - 1);
                }
                needs.len() - 1
            });
            group.push(number);
        }
        // A group that a selection left out delays no job.
        let numbers_of = |names: &Vec<&JobName>| -> Vec<usize> {
            let mut found: Vec<usize> = names.iter().filter_map(|name| members.get(*name)).flatten().copied().collect();
            found.sort_unstable();
            found.dedup();
            found
        };
        Workload { needs: needs.iter().map(numbers_of).collect(), group, tasks }
    }

    /// For each group, the groups that need it.
    pub(super) fn dependents(&self) -> Vec<Vec<usize>> {
        let mut dependents = vec![Vec::new(); self.needs.len()];
        for (group, needs) in self.needs.iter().enumerate() {
            for need in needs {
                dependents[*need].push(group);
            }
        }
        dependents
    }

    /// For each group, the time of its longest job.
    fn longest(&self) -> Vec<u64> {
        let mut longest = vec![0; self.needs.len()];
        for (task, group) in self.tasks.iter().zip(&self.group) {
            longest[*group] = task.duration.max(longest[*group]);
        }
        longest
    }

    /// For each job, the time from its start to the end of the longest chain of jobs that begins with it.
    pub fn tails(&self) -> Vec<u64> {
        let dependents = self.dependents();
        let longest = self.longest();
        let mut after = vec![0_u64; self.needs.len()];
        // Groups whose dependents are all known come last in a topological order.
        for group in self.order().into_iter().rev() {
            let chains = dependents[group].iter().map(|next| longest[*next] + after[*next]);
            after[group] = chains.max().unwrap_or(0);
        }
        self.tasks.iter().zip(&self.group).map(|(task, group)| task.duration + after[*group]).collect()
    }

    /// For each job, the earliest time at which what it needs can have ended.
    pub fn heads(&self) -> Vec<u64> {
        let longest = self.longest();
        let mut before = vec![0_u64; self.needs.len()];
        for group in self.order() {
            let chains = self.needs[group].iter().map(|need| before[*need] + longest[*need]);
            before[group] = chains.max().unwrap_or(0);
        }
        self.group.iter().map(|group| before[*group]).collect()
    }

    /// The groups, each behind what it needs.
    fn order(&self) -> Vec<usize> {
        let dependents = self.dependents();
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut order: Vec<usize> = (0..self.needs.len()).filter(|group| missing[*group] == 0).collect();
        let mut next = 0;
        while let Some(group) = order.get(next).copied() {
            next += 1;
            for dependent in &dependents[group] {
                missing[*dependent] -= 1;
                if missing[*dependent] == 0 {
                    order.push(*dependent);
                }
            }
        }
        order
    }

    /// Simulates the jobs with the live run's admission, in `order`, best first. Returns the end of each job in
    /// milliseconds.
    pub fn simulate(&self, limits: Limits, order: &[usize]) -> Vec<u64> {
        self.simulate_from(limits, order, &[])
    }

    /// The same beside jobs that run already. All other jobs that `order` does not name have ended; their ends are 0.
    pub(super) fn simulate_from(&self, limits: Limits, order: &[usize], running: &[RunningTask]) -> Vec<u64> {
        let mut simulation = Simulation::new(self, limits, order, running);
        let started = running.iter().enumerate();
        let mut ends: BinaryHeap<Reverse<(u64, usize)>> =
            started.map(|(number, task)| Reverse((task.remaining, order.len() + number))).collect();
        let mut now = 0;
        loop {
            while let Some(rank) = simulation.queue.next() {
                let task = &self.tasks[order[rank]];
                ends.push(Reverse((now + task.duration, rank)));
                if task.deviation > 0 {
                    // Its peak is seen soon, and is as high as expected on average.
                    simulation.queue.observe(rank, Demand::fixed(task.demand().within(limits.memory).mean));
                }
            }
            let Some(Reverse((end, rank))) = ends.pop() else { break };
            now = end;
            simulation.end(rank, now);
        }
        simulation.ends
    }

    /// The duration of the simulated run, in milliseconds.
    pub fn makespan(&self, limits: Limits, order: &[usize]) -> u64 {
        self.makespan_from(limits, order, &[])
    }

    /// Milliseconds until the last of the jobs ends, beside jobs that run already.
    pub(super) fn makespan_from(&self, limits: Limits, order: &[usize], running: &[RunningTask]) -> u64 {
        self.simulate_from(limits, order, running).into_iter().max().unwrap_or(0)
    }
}

/// A job that runs while the rest is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunningTask {
    /// Its position in the workload.
    pub(super) job: usize,
    /// Milliseconds until its expected end.
    pub(super) remaining: u64,
    /// Its expected peak.
    pub(super) demand: Demand,
}

/// The state of a simulated run, by rank: first the jobs that have not started, then those that run already.
struct Simulation<'a> {
    workload: &'a Workload,
    jobs: Vec<usize>,
    queue: Queue,
    demands: Vec<Demand>,
    dependents: Vec<Vec<usize>>,
    missing: Vec<usize>,
    unsettled: Vec<usize>,
    /// The ranks that wait for another group, by their own.
    members: Vec<Vec<usize>>,
    ends: Vec<u64>,
}

impl<'a> Simulation<'a> {
    fn new(workload: &'a Workload, limits: Limits, order: &[usize], running: &[RunningTask]) -> Simulation<'a> {
        let groups = workload.needs.len();
        let demand = |job: &usize| workload.tasks[*job].demand().within(limits.memory);
        let jobs: Vec<usize> = order.iter().copied().chain(running.iter().map(|task| task.job)).collect();
        let mut unsettled = vec![0; groups];
        for job in &jobs {
            unsettled[workload.group[*job]] += 1;
        }
        let is_missing = |need: &&usize| unsettled[**need] > 0;
        let mut simulation = Simulation {
            workload,
            queue: Queue::new(limits.slots, limits.memory.max(1), order.len()),
            demands: order.iter().map(demand).collect(),
            dependents: workload.dependents(),
            missing: workload.needs.iter().map(|needs| needs.iter().filter(is_missing).count()).collect(),
            members: vec![Vec::new(); groups],
            ends: vec![0; workload.tasks.len()],
            unsettled,
            jobs,
        };
        for (number, task) in running.iter().enumerate() {
            simulation.queue.occupy(order.len() + number, task.demand);
        }
        let mut ready = Vec::with_capacity(order.len());
        for (rank, job) in order.iter().enumerate() {
            let group = workload.group[*job];
            if simulation.missing[group] == 0 {
                ready.push((rank, simulation.demands[rank]));
            } else {
                simulation.members[group].push(rank);
            }
        }
        simulation.queue.insert_all(ready.into_iter());
        simulation
    }

    /// A running job ended for good.
    fn end(&mut self, rank: usize, now: u64) {
        let job = self.jobs[rank];
        self.ends[job] = now;
        self.queue.release(rank);
        let group = self.workload.group[job];
        self.unsettled[group] -= 1;
        if self.unsettled[group] > 0 {
            return;
        }
        for dependent in &self.dependents[group] {
            self.missing[*dependent] -= 1;
            if self.missing[*dependent] == 0 {
                for rank in &self.members[*dependent] {
                    self.queue.insert(*rank, self.demands[*rank]);
                }
            }
        }
    }
}
