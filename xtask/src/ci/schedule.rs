//! Which job starts next: a pure state machine over reservations, slots and needs.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::event::JobResult;
use super::plan::Plan;
use crate::config::units::{ByteSize, JobName};

/// What the jobs of a run may use at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Capacity {
    /// Jobs at a time.
    pub slots: u32,
    /// Where that number comes from.
    pub slots_source: String,
    /// Bytes that may be reserved at once.
    pub memory: u64,
    /// Where that number comes from.
    pub memory_source: String,
}

/// What is expected of a job before it runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Bytes to set aside.
    pub memory: u64,
    /// Wall time in milliseconds, where history knows it.
    pub duration_ms: Option<u64>,
}

/// A job that may start now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// Its position in the plan.
    pub job: usize,
    /// Bytes set aside.
    pub reservation: u64,
    /// Whether nothing runs beside it.
    pub alone: bool,
}

/// After so many younger jobs have passed a job that does not fit, nothing passes it any more.
const PATIENCE: u32 = 32;

/// The state of all jobs of a run.
#[derive(Debug)]
pub struct Schedule {
    capacity: Capacity,
    jobs: Vec<Entry>,
    groups: HashMap<JobName, Group>,
    /// Ready jobs, best first: by descending weight, then by position.
    ready: BTreeMap<(std::cmp::Reverse<u64>, usize), u32>,
    alone: Vec<usize>,
    running: usize,
    reserved: u64,
    running_alone: bool,
    stopped: bool,
}

#[derive(Debug)]
struct Entry {
    group: JobName,
    needs: Vec<JobName>,
    reservation: u64,
    weight: u64,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Running,
    Settled,
}

#[derive(Debug, Default)]
struct Group {
    unsettled: usize,
    broken: Option<String>,
    dependents: Vec<usize>,
}

impl Schedule {
    /// A schedule of the whole plan; `predictions` are in the plan's order.
    pub fn new(plan: &Plan, capacity: Capacity, predictions: &[Prediction]) -> Schedule {
        let mut groups: HashMap<JobName, Group> = HashMap::new();
        for job in &plan.jobs {
            groups.entry(job.group.clone()).or_default().unsettled += 1;
        }
        let mut jobs = Vec::with_capacity(plan.jobs.len());
        for (position, (job, prediction)) in plan.jobs.iter().zip(predictions).enumerate() {
            for need in &job.needs {
                groups.entry(need.clone()).or_default().dependents.push(position);
            }
            jobs.push(Entry {
                group: job.group.clone(),
                needs: job.needs.clone(),
                // Never nothing, so that a machine without free memory runs one job at a time.
                reservation: prediction.memory.clamp(1, capacity.memory.max(1)),
                weight: weight(&capacity, prediction),
                state: State::Waiting,
            });
        }
        let mut schedule = Schedule {
            capacity,
            jobs,
            groups,
            ready: BTreeMap::new(),
            alone: Vec::new(),
            running: 0,
            reserved: 0,
            running_alone: false,
            stopped: false,
        };
        for position in 0..schedule.jobs.len() {
            schedule.promote(position);
        }
        schedule
    }

    /// Takes a job as settled before the run starts, for results carried over.
    pub fn settle_beforehand(&mut self, job: usize, result: &JobResult, name: &str) -> Vec<(usize, String)> {
        if let Some(entry) = self.jobs.get(job) {
            self.ready.remove(&(std::cmp::Reverse(entry.weight), job));
        }
        self.close(job, result, name)
    }

    /// The next job to start, if one may start now; the caller must start it.
    pub fn start_next(&mut self) -> Option<Start> {
        if self.stopped || self.running_alone || self.running >= self.capacity.slots as usize {
            return None;
        }
        let free = self.capacity.memory.saturating_sub(self.reserved);
        let mut chosen = None;
        for (key, passed) in &mut self.ready {
            let entry = &self.jobs[key.1];
            if entry.reservation <= free || self.running == 0 {
                chosen = Some(*key);
                break;
            }
            *passed += 1;
            if *passed > PATIENCE {
                break;
            }
        }
        if let Some(key) = chosen {
            self.ready.remove(&key);
            return Some(self.start(key.1, false));
        }
        if self.ready.is_empty() && self.running == 0 {
            let position = self.alone.pop()?;
            return Some(self.start(position, true));
        }
        None
    }

    fn start(&mut self, position: usize, alone: bool) -> Start {
        let entry = &mut self.jobs[position];
        entry.state = State::Running;
        self.running += 1;
        self.reserved = self.reserved.saturating_add(entry.reservation);
        self.running_alone = alone;
        Start { job: position, reservation: entry.reservation, alone }
    }

    /// A running job ended and is to run again.
    pub fn again(&mut self, job: usize, reservation: u64, alone: bool) {
        self.release(job);
        let entry = &mut self.jobs[job];
        // A resumed run puts a job here that has not run in this process: it is ready still.
        self.ready.remove(&(std::cmp::Reverse(entry.weight), job));
        entry.reservation = reservation.clamp(1, self.capacity.memory.max(1));
        entry.state = State::Ready;
        if alone {
            self.alone.push(job);
        } else {
            self.ready.insert((std::cmp::Reverse(entry.weight), job), 0);
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
            self.running -= 1;
            self.reserved = self.reserved.saturating_sub(entry.reservation);
            self.running_alone = false;
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
            let group_name = self.jobs[position].group.clone();
            let Some(group) = self.groups.get_mut(&group_name) else { continue };
            group.unsettled -= 1;
            if group.broken.is_none() {
                group.broken = broken;
            }
            let Some(reason) = group.broken.clone() else {
                if group.unsettled == 0 {
                    for dependent in group.dependents.clone() {
                        self.promote(dependent);
                    }
                }
                continue;
            };
            for dependent in group.dependents.clone() {
                if self.jobs[dependent].state == State::Waiting {
                    never.push((dependent, reason.clone()));
                    queue.push((dependent, Some(reason.clone())));
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
        if satisfied {
            self.ready.insert((std::cmp::Reverse(entry.weight), position), 0);
            self.jobs[position].state = State::Ready;
        }
    }

    /// Starts nothing any more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The jobs that are neither running nor settled.
    pub fn unstarted(&self) -> Vec<usize> {
        (0..self.jobs.len())
            .filter(|position| matches!(self.jobs[*position].state, State::Waiting | State::Ready))
            .collect()
    }

    /// How many jobs are running.
    pub fn running(&self) -> usize {
        self.running
    }

    /// How many jobs are settled.
    pub fn settled(&self) -> usize {
        self.jobs.iter().filter(|entry| entry.state == State::Settled).count()
    }

    /// Bytes set aside for running jobs.
    pub fn reserved(&self) -> ByteSize {
        ByteSize::new(self.reserved)
    }
}

/// Long jobs and jobs with a large share of the machine first: duration × the larger of 1/slots and memory share, in
/// microseconds. Without history all weights are equal, and the order is that of the declaration.
fn weight(capacity: &Capacity, prediction: &Prediction) -> u64 {
    let Some(duration) = prediction.duration_ms else { return 0 };
    let by_slot = 1.0 / f64::from(capacity.slots.max(1));
    #[expect(clippy::cast_precision_loss, reason = "an order needs no exact bytes")]
    let by_memory = prediction.memory as f64 / capacity.memory.max(1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "bounded")]
    let weight = (duration as f64 * 1000.0 * by_slot.max(by_memory)).min(9e15) as u64;
    weight
}

#[cfg(test)]
mod tests;
