//! The state of a run: a fold over its events. Live reports, result files, `--resume`, `rerun` and `explain` use it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dangers::Surroundings;
use super::event::{AttemptRecord, AttemptStarting, Event, JobResult, RunResult, RunStarted, ShardRecord, Stamped};
use super::evidence::{Finding, KillReason};
use super::plan::Plan;
use drydock_base::hint;
use drydock_base::paths::RunDir;
use drydock_base::units::JobName;

/// The number of samples kept of one attempt.
const MOST_SAMPLES: usize = 600;

/// The state of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The plan.
    pub plan: Arc<Plan>,
    /// The identity and the setting of the run, once it began.
    pub started: Option<RunStarted>,
    /// The state of the machine at the start of its last session.
    pub surroundings: Option<Surroundings>,
    /// Unix milliseconds of the first event.
    pub began: Option<i64>,
    /// Unix milliseconds of the last event.
    pub last: i64,
    /// In the plan's order.
    pub jobs: Vec<JobState>,
    /// The shards that it consists of, if it is a merged run.
    pub shards: Vec<ShardRecord>,
    /// Warnings for the user.
    pub warnings: Vec<String>,
    /// The reason why admission of ready jobs is paused at present.
    pub paused: Option<String>,
    /// Earlier pauses of admission: begin and end in Unix milliseconds, and the reason.
    pub earlier_pauses: Vec<(i64, i64, String)>,
    /// `MemAvailable` over time: Unix milliseconds and bytes.
    pub available: Vec<(i64, u64)>,
    /// Unix milliseconds at which this process, or the last one that went on with the run, began.
    pub session_began: i64,
    paused_since: i64,
    /// The signal that stopped it.
    pub interrupted: Option<i32>,
    /// The recorded result; `None` when the run has not finished.
    pub result: Option<RunResult>,
    index: HashMap<JobName, usize>,
}

/// The position of a valgrind finding in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FindingId {
    /// The job's position in the plan.
    pub job: usize,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The position among the attempt's findings.
    pub index: usize,
}

/// The state of one job.
#[derive(Debug, Clone, Default)]
pub struct JobState {
    /// Ended attempts.
    pub attempts: Vec<AttemptRecord>,
    /// Memory over time of each attempt: Unix milliseconds and bytes.
    pub samples: Vec<Vec<(i64, u64)>>,
    /// The attempt that has begun and not ended.
    pub in_flight: Option<Box<InFlight>>,
    /// The result, once no further attempt follows.
    pub result: Option<JobResult>,
    /// The run that the result was taken from.
    pub carried_from: Option<String>,
}

/// An attempt without an end.
#[derive(Debug, Clone)]
pub struct InFlight {
    /// The event that announced its start.
    pub start: AttemptStarting,
    /// Unix milliseconds.
    pub began: i64,
    /// Pid and start time in ticks, once the process exists.
    pub process: Option<(u32, u64)>,
    /// The last journalled kill by Drydock.
    pub intent: Option<KillReason>,
    /// Unix milliseconds and bytes.
    pub samples: Vec<(i64, u64)>,
}

impl Run {
    /// A run of which nothing has happened yet.
    pub fn new(plan: impl Into<Arc<Plan>>) -> Run {
        let plan = plan.into();
        let index = plan.jobs.iter().enumerate().map(|(position, job)| (job.name.clone(), position)).collect();
        let jobs = vec![JobState::default(); plan.jobs.len()];
        Run {
            plan,
            started: None,
            surroundings: None,
            began: None,
            last: 0,
            jobs,
            shards: Vec::new(),
            warnings: Vec::new(),
            paused: None,
            earlier_pauses: Vec::new(),
            available: Vec::new(),
            session_began: 0,
            paused_since: 0,
            interrupted: None,
            result: None,
            index,
        }
    }

    /// The same run with another plan: jobs that both plans have keep their state.
    pub fn with_plan(self, plan: Plan) -> Run {
        let mut states: HashMap<JobName, JobState> =
            self.plan.jobs.iter().map(|job| job.name.clone()).zip(self.jobs).collect();
        let jobs = plan.jobs.iter().map(|job| states.remove(&job.name).unwrap_or_default()).collect();
        let index = plan.jobs.iter().enumerate().map(|(position, job)| (job.name.clone(), position)).collect();
        Run { plan: Arc::new(plan), jobs, index, ..self }
    }

    /// A run from its journal.
    pub fn replay(plan: impl Into<Arc<Plan>>, events: &[Stamped]) -> Run {
        let mut run = Run::new(plan);
        for event in events {
            run.apply(event);
        }
        run
    }

    /// The position of a job in the plan.
    pub fn position(&self, job: &JobName) -> Option<usize> {
        self.index.get(job).copied()
    }

    fn job(&mut self, name: &JobName) -> Option<&mut JobState> {
        let position = *self.index.get(name)?;
        self.jobs.get_mut(position)
    }

    /// Takes one event in. Events about jobs that the plan does not know are ignored.
    pub fn apply(&mut self, stamped: &Stamped) {
        self.began.get_or_insert(stamped.at);
        self.last = self.last.max(stamped.at);
        match &stamped.event {
            Event::RunStarted(started) => {
                self.interrupted = None;
                self.result = None;
                self.session_began = stamped.at;
                self.started = Some(started.clone());
                for job in &mut self.jobs {
                    // A resumed run repeats the jobs that the interruption cancelled.
                    if matches!(job.result, Some(JobResult::Cancelled | JobResult::NotRun { .. })) {
                        job.result = None;
                    }
                }
            }
            Event::Shard(shard) => self.shards.push((**shard).clone()),
            Event::Surroundings(surroundings) => self.surroundings = Some((**surroundings).clone()),
            Event::Carried { from, job, result, attempts } => {
                if let Some(state) = self.job(job) {
                    state.samples = vec![Vec::new(); attempts.len()];
                    state.attempts.clone_from(attempts);
                    state.result = Some(result.clone());
                    state.carried_from = Some(from.clone());
                }
            }
            Event::AttemptStarting(start) => {
                let began = stamped.at;
                if let Some(state) = self.job(&start.job) {
                    let start = start.clone();
                    let flight = InFlight { start, began, process: None, intent: None, samples: Vec::new() };
                    state.in_flight = Some(Box::new(flight));
                }
            }
            Event::AttemptStarted { job, pid, ticks, .. } => {
                if let Some(flight) = self.job(job).and_then(|state| state.in_flight.as_mut()) {
                    flight.process = Some((*pid, *ticks));
                }
            }
            Event::Samples { jobs, available } => {
                if let Some(bytes) = available {
                    push_sample(&mut self.available, (stamped.at, *bytes), |bytes| !bytes);
                }
                for (job, bytes) in jobs {
                    if let Some(flight) = self.job(job).and_then(|state| state.in_flight.as_mut()) {
                        push_sample(&mut flight.samples, (stamped.at, *bytes), |bytes| bytes);
                    }
                }
            }
            Event::KillIntent { job, reason, .. } => {
                if let Some(flight) = self.job(job).and_then(|state| state.in_flight.as_mut()) {
                    flight.intent = Some(*reason);
                }
            }
            Event::AttemptEnded { job, record } => {
                if let Some(state) = self.job(job) {
                    let samples = state.in_flight.take().map_or_else(Vec::new, |flight| flight.samples);
                    // Most jobs have one attempt; a vector grows to four.
                    state.attempts.reserve_exact(1);
                    state.attempts.push((**record).clone());
                    state.samples.reserve_exact(1);
                    state.samples.push(samples);
                }
            }
            Event::JobSettled { job, result } => {
                if let Some(state) = self.job(job) {
                    state.result = Some(result.clone());
                    state.in_flight = None;
                }
            }
            Event::AdmissionPaused { because } => {
                if let Some(why) = self.paused.take() {
                    self.earlier_pauses.push((self.paused_since, stamped.at, why));
                }
                self.paused.clone_from(because);
                self.paused_since = stamped.at;
            }
            Event::Warning { text } => self.warnings.push(hint::shown(text)),
            Event::Interrupted { signal } => self.interrupted = Some(*signal),
            Event::RunEnded { result } => self.result = Some(*result),
        }
    }

    /// The findings of one attempt that were kept.
    pub fn findings_of<'a>(
        job: usize,
        attempt: &'a AttemptRecord,
    ) -> impl Iterator<Item = (FindingId, &'a Finding)> + use<'a> {
        let number = attempt.number;
        let kept = attempt.evidence.valgrind.iter().flat_map(|valgrind| &valgrind.first).enumerate();
        kept.map(move |(index, finding)| (FindingId { job, attempt: number, index }, finding))
    }

    /// The findings of all attempts that were kept.
    pub fn findings(&self) -> impl Iterator<Item = (FindingId, &Finding)> {
        let attempts =
            self.jobs.iter().enumerate().flat_map(|(job, state)| state.attempts.iter().map(move |a| (job, a)));
        attempts.flat_map(|(job, attempt)| Run::findings_of(job, attempt))
    }

    /// The directory of an attempt's files, relative to the directory of this run. For a result that was carried over
    /// from an earlier run it is in that run's directory, which lies beside.
    pub fn attempt_path(&self, job: usize, attempt: u32) -> PathBuf {
        let name = self.plan.jobs.get(job).map_or("", |planned| planned.name.as_str());
        let own = RunDir::attempt_relative(name, attempt);
        match self.jobs.get(job).and_then(|state| state.carried_from.as_ref()) {
            Some(from) => Path::new("..").join(from).join(own),
            None => own,
        }
    }

    /// The directory of an attempt's files; `dir` is the directory of this run.
    pub fn attempt_dir(&self, dir: &RunDir, job: usize, attempt: u32) -> PathBuf {
        dir.root().join(self.attempt_path(job, attempt))
    }

    /// All pauses, as [`Run::earlier_pauses`], with the present one up to the last event.
    pub fn pauses(&self) -> Vec<(i64, i64, String)> {
        let open = self.paused.iter().map(|why| (self.paused_since, self.last, why.clone()));
        self.earlier_pauses.iter().cloned().chain(open).collect()
    }

    /// The result that follows from the state of the jobs.
    pub fn verdict(&self, fail_on_flaky: bool) -> RunResult {
        let any = |wanted: fn(&JobResult) -> bool| self.jobs.iter().filter_map(|job| job.result.as_ref()).any(wanted);
        if self.interrupted.is_some() {
            RunResult::Interrupted
        } else if any(|result| matches!(result, JobResult::Failed)) {
            RunResult::Failed
        } else if any(|result| {
            matches!(result, JobResult::Infrastructure | JobResult::Cancelled | JobResult::NotRun { .. })
        }) || self.jobs.iter().any(|job| job.result.is_none())
        {
            RunResult::Infrastructure
        } else if fail_on_flaky && any(|result| matches!(result, JobResult::Flaky { .. })) {
            RunResult::Flaky
        } else {
            RunResult::Passed
        }
    }
}

/// Keeps the whole span of time at a falling resolution. Of each pair the one with more weight stays, so that no spike
/// is lost.
fn push_sample(samples: &mut Vec<(i64, u64)>, sample: (i64, u64), weight: fn(u64) -> u64) {
    if samples.len() >= MOST_SAMPLES {
        let halved =
            samples.chunks(2).filter_map(|pair| pair.iter().max_by_key(|(_, bytes)| weight(*bytes)).copied()).collect();
        *samples = halved;
    }
    samples.push(sample);
}
