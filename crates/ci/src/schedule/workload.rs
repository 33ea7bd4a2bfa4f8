//! The jobs as the planner sees them: time, memory and needs. Also a simulated run of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use super::queue::Queue;
use crate::capacity::Limits;
use crate::plan::Plan;

/// One job as the planner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Wall time in milliseconds.
    pub duration: u64,
    /// Bytes reserved while it runs.
    pub memory: u64,
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

    /// The jobs of a plan, with one task a job in the plan's order.
    pub fn new(plan: &Plan, tasks: Vec<Task>) -> Workload {
        let mut numbers = HashMap::new();
        let mut needs: Vec<&[drydock_base::units::JobName]> = Vec::new();
        let mut group = Vec::with_capacity(plan.jobs.len());
        for job in &plan.jobs {
            let number = *numbers.entry(&job.group).or_insert_with(|| {
                needs.push(&job.needs);
                needs.len() - 1
            });
            group.push(number);
        }
        // A group that a selection left out delays no job.
        let needs = needs.iter().map(|names| names.iter().filter_map(|name| numbers.get(name).copied()).collect());
        Workload { needs: needs.collect(), group, tasks }
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
    /// milliseconds. Each job reserves its entry of `reserved`; `None` reserves each job's memory.
    pub fn simulate(&self, limits: Limits, order: &[usize], reserved: Option<&[u64]>) -> Vec<u64> {
        let dependents = self.dependents();
        let mut missing: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut unsettled = vec![0_usize; self.needs.len()];
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); self.needs.len()];
        let memory = |job: usize| {
            let bytes = reserved.map_or(self.tasks[job].memory, |reserved| reserved[job]);
            bytes.clamp(1, limits.memory.max(1))
        };
        let mut queue = Queue::new(limits.slots, limits.memory.max(1), order.len());
        for (rank, job) in order.iter().enumerate() {
            let group = self.group[*job];
            unsettled[group] += 1;
            if missing[group] == 0 {
                queue.insert(rank, memory(*job));
            } else {
                members[group].push(rank);
            }
        }
        let mut ends = vec![0; self.tasks.len()];
        let mut running = BinaryHeap::new();
        let mut now = 0;
        loop {
            while let Some(rank) = queue.next() {
                running.push(Reverse((now + self.tasks[order[rank]].duration, rank)));
            }
            let Some(Reverse((end, rank))) = running.pop() else { break };
            now = end;
            let job = order[rank];
            ends[job] = end;
            queue.release(rank, memory(job));
            let group = self.group[job];
            unsettled[group] -= 1;
            if unsettled[group] == 0 {
                for dependent in &dependents[group] {
                    missing[*dependent] -= 1;
                    if missing[*dependent] == 0 {
                        for rank in &members[*dependent] {
                            queue.insert(*rank, memory(order[*rank]));
                        }
                    }
                }
            }
        }
        ends
    }

    /// The duration of the simulated run, in milliseconds.
    pub fn makespan(&self, limits: Limits, order: &[usize]) -> u64 {
        self.simulate(limits, order, None).into_iter().max().unwrap_or(0)
    }
}
