//! The choice of the next job to start: a pure state machine over reservations, slots and needs.

use std::collections::{HashMap, HashSet};

use super::capacity::{Capacity, Limits};
use super::event::JobResult;
use super::plan::{Plan, PlannedJob};
use drydock_base::units::{ByteSize, JobName};

pub mod bound;
pub mod contention;
mod demand;
mod locks;
mod order;
mod prediction;
mod queue;
mod replan;
mod simulated;
mod workload;

pub use demand::{Demand, Safety, Total};
use locks::Locks;
pub use order::{QUICK, THOROUGH, order, quick_makespan};
pub use prediction::{Prediction, Source};
pub use queue::MAX_PASSES;
use queue::Queue;
pub use replan::Progress;
pub use simulated::{SimulatedRun, simulate_run};
pub use workload::{Task, Workload};

/// The seed of the search for a good order: the same jobs are always run in the same order.
pub const SEED: u64 = 1;

/// A job that may start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Its position in the plan.
    pub job: usize,
    /// Its expected peak.
    pub demand: Demand,
    /// `true` if no other job runs beside it.
    pub exclusive: bool,
}

/// The state of all jobs of a run.
#[derive(Debug)]
pub struct Schedule {
    limits: Limits,
    workload: Workload,
    jobs: Vec<Entry>,
    groups: HashMap<JobName, Group>,
    queue: Queue,
    /// The jobs in the order in which they are offered to the queue.
    order: Vec<usize>,
    /// Ready jobs that run exclusively.
    exclusive: Vec<usize>,
    running_exclusively: bool,
    locks: Locks,
    /// Ready jobs that stand for tests which are to be listed now; no other job starts before.
    to_list: Vec<usize>,
    stopped: bool,
    /// `true` if the times of some jobs are known, so that an order can be better than another.
    is_timed: bool,
    /// `true` if a job ended since the order was made.
    is_stale: bool,
}

#[derive(Debug)]
struct Entry {
    group: JobName,
    name: JobName,
    /// The groups, and single jobs, that must have passed before.
    needs: Vec<JobName>,
    /// The single jobs that must have ended before.
    follows: Vec<JobName>,
    locks: Vec<String>,
    serial: bool,
    /// The number of slots that it takes, at least 1 and at most all.
    slots: usize,
    awaits_list: bool,
    /// As expected before it starts.
    demand: Demand,
    /// As expected now.
    now: Demand,
    /// Milliseconds after its start at which its peak is past.
    peak_past_ms: Option<u64>,
    elapsed_ms: u64,
    rank: usize,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Running,
    Settled,
}

/// The jobs of a declared job, or a single one that others name.
#[derive(Debug, Default)]
struct Group {
    unsettled: usize,
    broken: Option<String>,
    dependents: Vec<usize>,
    /// Jobs that only wait for its end.
    followers: Vec<usize>,
}

impl Schedule {
    /// A schedule of the whole plan; `predictions` are in the plan's order.
    pub fn new(plan: &Plan, capacity: &Capacity, predictions: &[Prediction]) -> Schedule {
        let limits = capacity.limits();
        let listed: Vec<&PlannedJob> = plan.jobs.iter().collect();
        let workload = Workload::new(&listed, prediction::tasks(predictions, limits));
        let mut groups: HashMap<JobName, Group> = HashMap::new();
        for job in &plan.jobs {
            groups.entry(job.group.clone()).or_default().unsettled += 1;
        }
        let all: HashSet<&JobName> = plan.jobs.iter().map(|job| &job.name).collect();
        for name in plan.jobs.iter().flat_map(|job| job.needs_jobs().iter().chain(job.follows())) {
            if !groups.contains_key(name) {
                groups.insert(name.clone(), Group { unsettled: usize::from(all.contains(name)), ..Group::default() });
            }
        }
        let mut jobs = Vec::with_capacity(plan.jobs.len());
        for (position, (job, prediction)) in plan.jobs.iter().zip(predictions).enumerate() {
            for need in job.needs.iter().chain(job.needs_jobs()) {
                groups.entry(need.clone()).or_default().dependents.push(position);
            }
            for name in job.follows() {
                groups.entry(name.clone()).or_default().followers.push(position);
            }
            let demand = prediction.demand.within(limits.memory);
            jobs.push(Entry {
                group: job.group.clone(),
                name: job.name.clone(),
                needs: job.needs.iter().chain(job.needs_jobs()).cloned().collect(),
                follows: job.follows().to_vec(),
                locks: job.locks.clone(),
                serial: job.serial,
                slots: job.processors.clamp(1, limits.slots.max(1)) as usize,
                awaits_list: job.awaits_list(),
                demand,
                now: demand,
                peak_past_ms: prediction.peak_past_ms,
                elapsed_ms: 0,
                rank: 0,
                state: State::Waiting,
            });
        }
        let order = order(&workload, limits, SEED, THOROUGH);
        for (rank, job) in order.iter().enumerate() {
            jobs[*job].rank = rank;
        }
        let queue = Queue::new(limits.slots, limits.memory, jobs.len());
        let mut schedule = Schedule {
            limits,
            workload,
            jobs,
            groups,
            queue,
            order,
            exclusive: Vec::new(),
            running_exclusively: false,
            locks: Locks::default(),
            to_list: Vec::new(),
            stopped: false,
            is_timed: predictions.iter().any(|prediction| prediction.duration_ms.is_some()),
            is_stale: false,
        };
        for position in 0..schedule.jobs.len() {
            schedule.promote(position);
        }
        schedule
    }

    /// Takes a job as settled before the run starts, for results carried over and for jobs that are refused.
    pub fn settle_beforehand(&mut self, job: usize, result: &JobResult, name: &str) -> Vec<(usize, String)> {
        self.withdraw(job);
        self.close(job, result, name)
    }

    /// A job that is ready does not start any more.
    fn withdraw(&mut self, job: usize) {
        if let Some(entry) = self.jobs.get(job) {
            self.queue.remove(entry.rank);
        }
        self.exclusive.retain(|other| *other != job);
        self.to_list.retain(|other| *other != job);
        self.locks.forget(job);
    }

    /// The next job to start, if one may start now and `room` allows it: the caller must start it, and is asked with
    /// the demand of the job and its safety. If it refuses, no job starts now.
    pub fn start_next(&mut self, room: &mut dyn FnMut(Demand, Safety) -> bool) -> Option<Start> {
        if self.stopped || self.running_exclusively || !self.to_list.is_empty() {
            return None;
        }
        if std::mem::take(&mut self.is_stale) && self.is_timed {
            self.order_again();
        }
        if let Some(rank) = self.queue.peek() {
            let job = self.order[rank];
            // One that uses several processors waits for as many slots; none overtakes it, so that they become free.
            if self.queue.running() + self.jobs[job].slots > self.limits.slots as usize {
                return None;
            }
            let demand = self.jobs[job].demand;
            if !room(demand, self.queue.safety(demand)) {
                return None;
            }
            self.queue.take(rank);
            return Some(self.started(job, false));
        }
        if self.queue.has_ready() || self.queue.running() > 0 {
            return None;
        }
        let job = *self.exclusive.last()?;
        if !room(self.jobs[job].demand, Safety::most()) {
            return None;
        }
        self.exclusive.pop();
        self.queue.occupy(self.jobs[job].rank, self.jobs[job].demand);
        Some(self.started(job, true))
    }

    fn started(&mut self, job: usize, exclusive: bool) -> Start {
        let entry = &mut self.jobs[job];
        entry.state = State::Running;
        (entry.now, entry.elapsed_ms) = (entry.demand, 0);
        self.running_exclusively = exclusive;
        self.queue.occupy_slots(entry.slots - 1);
        let start = Start { job, demand: entry.demand, exclusive };
        self.lock(job);
        start
    }

    /// A running job ended and is to run once more like this.
    pub fn requeue(&mut self, start: Start) {
        let Start { job, demand, exclusive } = start;
        self.release(job);
        // A resumed run requeues a job that has not run in this process: it is ready still.
        self.withdraw(job);
        let entry = &mut self.jobs[job];
        entry.demand = demand.within(self.limits.memory);
        let task = &mut self.workload.tasks[job];
        (task.memory, task.deviation) = (entry.demand.mean, entry.demand.deviation);
        entry.state = State::Ready;
        if exclusive {
            self.exclusive.push(job);
        } else {
            self.offer(job);
        }
    }

    /// A running job ended for good. Returns the jobs that can therefore never run, with the reason.
    pub fn settle(&mut self, job: usize, result: &JobResult, name: &str) -> Vec<(usize, String)> {
        self.release(job);
        self.close(job, result, name)
    }

    fn release(&mut self, job: usize) {
        let entry = &self.jobs[job];
        if entry.state == State::Running {
            self.queue.release(entry.rank);
            self.is_stale = true;
            self.queue.release_slots(entry.slots - 1);
            self.running_exclusively = false;
            let locks = entry.locks.clone();
            self.unlock(&locks);
        }
    }

    fn close(&mut self, job: usize, result: &JobResult, name: &str) -> Vec<(usize, String)> {
        let mut never = Vec::new();
        let mut queue =
            vec![(job, (!result.lets_others_run()).then(|| format!("it needs {name}, which did not pass")))];
        while let Some((position, broken)) = queue.pop() {
            if self.jobs[position].state == State::Settled {
                continue;
            }
            self.jobs[position].state = State::Settled;
            let (group, own) = (self.jobs[position].group.clone(), self.jobs[position].name.clone());
            let single = (own != group).then_some(own);
            for name in std::iter::once(group).chain(single) {
                let Some(group) = self.groups.get_mut(&name) else { continue };
                group.unsettled -= 1;
                if group.broken.is_none() {
                    group.broken.clone_from(&broken);
                }
                let ready = group.unsettled == 0;
                let (followers, dependents) = (group.followers.clone(), group.dependents.clone());
                let reason = group.broken.clone();
                for waiting in followers.into_iter().filter(|_| ready) {
                    self.promote(waiting);
                }
                for dependent in dependents {
                    match &reason {
                        None if ready => self.promote(dependent),
                        None => break,
                        Some(reason) if self.jobs[dependent].state == State::Waiting => {
                            never.push((dependent, reason.clone()));
                            queue.push((dependent, Some(reason.clone())));
                        }
                        Some(_) => {}
                    }
                }
            }
        }
        never.sort();
        never.dedup_by_key(|(position, _)| *position);
        never
    }

    fn promote(&mut self, position: usize) {
        let entry = &self.jobs[position];
        if entry.state != State::Waiting {
            return;
        }
        let satisfied = entry
            .needs
            .iter()
            .all(|need| self.groups.get(need).is_none_or(|group| group.unsettled == 0 && group.broken.is_none()));
        let ended = entry.follows.iter().all(|name| self.groups.get(name).is_none_or(|group| group.unsettled == 0));
        if satisfied && ended {
            self.jobs[position].state = State::Ready;
            self.offer(position);
        }
    }

    /// Starts no further job.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The jobs that are neither running nor settled.
    pub fn unstarted(&self) -> Vec<usize> {
        (0..self.jobs.len())
            .filter(|position| matches!(self.jobs[*position].state, State::Waiting | State::Ready))
            .collect()
    }

    /// `true` if tests are to be listed before any other job starts.
    pub fn awaits_list(&self) -> bool {
        !self.to_list.is_empty() && !self.stopped
    }

    /// Slots and memory that jobs may use at once.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The number of running jobs.
    pub fn running(&self) -> usize {
        self.queue.running()
    }

    /// The number of settled jobs.
    pub fn settled(&self) -> usize {
        self.jobs.iter().filter(|entry| entry.state == State::Settled).count()
    }

    /// Bytes reserved for running jobs together.
    pub fn reserved(&self) -> ByteSize {
        ByteSize::new(self.queue.reserved())
    }
}

#[cfg(test)]
mod tests;
