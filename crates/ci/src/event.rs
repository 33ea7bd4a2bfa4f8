//! The event stream: everything that happens in a run, once. It is the journal's content, and the state of a run is
//! folded from it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use super::conditions::Conditions;
use super::dangers::Surroundings;
use super::evidence::{Evidence, KillReason};
use super::outcome::{self, Verdict};
use super::shard::{ShardIdentity, ShardNumber};
use drydock_base::units::JobName;

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Unix time in milliseconds.
    pub at: i64,
    /// The event.
    pub event: Event,
}

/// A change in the state of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// A run began, or was resumed after an interruption.
    RunStarted(RunStarted),
    /// One of the shards that a merged run consists of.
    Shard(Box<ShardRecord>),
    /// What the machine was like when the run began or was resumed.
    Surroundings(Box<Surroundings>),
    /// The result of a job that this run does not repeat, carried over from an earlier run.
    Carried {
        /// The run that has the attempts' files.
        from: String,
        /// The job.
        job: JobName,
        /// Its result there.
        result: JobResult,
        /// Its attempts there.
        attempts: Vec<AttemptRecord>,
    },
    /// An attempt is about to be started.
    AttemptStarting(AttemptStarting),
    /// Its process exists.
    AttemptStarted {
        /// The job.
        job: JobName,
        /// The attempt's number, from 1.
        attempt: u32,
        /// The main process, which leads its own process group.
        pid: u32,
        /// Its start time in clock ticks since boot (`/proc/PID/stat`, field 22): with the pid, an identity.
        ticks: u64,
    },
    /// Memory of the running jobs in bytes.
    Samples {
        /// Job and bytes.
        jobs: Vec<(JobName, u64)>,
        /// `MemAvailable` in bytes.
        available: Option<u64>,
    },
    /// Drydock is about to end a job's processes.
    KillIntent {
        /// The job.
        job: JobName,
        /// Its attempt.
        attempt: u32,
        /// The reason for the kill.
        reason: KillReason,
        /// The signal's number.
        signal: i32,
    },
    /// An attempt ended and was judged.
    AttemptEnded {
        /// The job.
        job: JobName,
        /// The judged attempt.
        record: Box<AttemptRecord>,
    },
    /// No further attempt of the job follows.
    JobSettled {
        /// The job.
        job: JobName,
        /// The job's result.
        result: JobResult,
    },
    /// Admission of ready jobs was paused, or is open again.
    AdmissionPaused {
        /// The reason; absent when jobs start again.
        because: Option<String>,
    },
    /// A warning for the user.
    Warning {
        /// One sentence.
        text: String,
    },
    /// A signal asked the run to stop.
    Interrupted {
        /// The signal's number.
        signal: i32,
    },
    /// The run is over.
    RunEnded {
        /// Its result.
        result: RunResult,
    },
}

/// The setting of a run: identity, capacity and versions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunStarted {
    /// The run.
    pub id: String,
    /// The version of Drydock.
    pub version: String,
    /// Kind of containment: `cgroup-v2`, `cgroup-v1` or `none`.
    pub containment: String,
    /// The cgroup that holds the jobs' cgroups.
    pub group: Option<PathBuf>,
    /// Slots and memory that jobs may use at once.
    pub capacity: Capacity,
    /// `true` if it resumes an interrupted run.
    pub resumed: bool,
    /// The run whose results it completes, for a rerun.
    pub reruns: Option<String>,
    /// Version of valgrind, if a job needs it.
    pub valgrind: Option<String>,
    /// The project's commit, where nothing tracked is changed.
    #[serde(default)]
    pub revision: Option<String>,
    /// The processors that this process may use; absent in runs of earlier versions.
    #[serde(default)]
    pub cores: Option<u32>,
    /// The shard that it is, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<Box<ShardIdentity>>,
}

/// One shard of a merged run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShardRecord {
    /// The shard.
    pub shard: ShardNumber,
    /// The class of its machine.
    pub class: String,
    /// The identifier of its run; absent if there is none.
    pub run: Option<String>,
    /// The attempt of the shard, from 1; 0 if there is no run.
    pub attempt: u32,
    /// Jobs at a time.
    pub slots: u32,
    /// Bytes that could be reserved at once.
    pub memory: u64,
    /// Start in Unix milliseconds.
    pub began: i64,
    /// End in Unix milliseconds.
    pub ended: i64,
    /// Milliseconds that it was expected to take, with the set-up of its machine.
    pub expected_ms: u64,
    /// The number of its own jobs.
    pub jobs: usize,
    /// What is wrong with it, in one sentence.
    pub trouble: Option<String>,
}

/// An attempt that is about to be started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptStarting {
    /// The job.
    pub job: JobName,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// The conditions that it runs under.
    pub conditions: Conditions,
    /// Its cgroup below [`RunStarted::group`].
    pub group: Option<String>,
}

/// One attempt, ended and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptRecord {
    /// The attempt's number, from 1.
    pub number: u32,
    /// The conditions that it ran under.
    pub conditions: Conditions,
    /// The verdict with its proof.
    pub verdict: Verdict,
    /// All that was observed.
    pub evidence: Evidence,
    /// Start in Unix milliseconds.
    pub started: i64,
    /// End in Unix milliseconds.
    pub ended: i64,
    /// The most memory it used, in bytes, as the scheduler learns it; absent when it could not be measured.
    pub peak: Option<u64>,
    /// CPU time of its processes in milliseconds, user and system; absent when it could not be measured.
    #[serde(default)]
    pub cpu_ms: Option<u64>,
    /// Milliseconds from its start to the sample at which its memory was highest; absent if it was never sampled.
    #[serde(default)]
    pub peak_ms: Option<u64>,
}

/// Times and memory of an ended attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Measured {
    /// Start in Unix milliseconds.
    pub started: i64,
    /// End in Unix milliseconds.
    pub ended: i64,
    /// The most memory it used, in bytes, as the scheduler learns it; absent when it could not be measured.
    pub peak: Option<u64>,
    /// CPU time of its processes in milliseconds, user and system; absent when it could not be measured.
    pub cpu_ms: Option<u64>,
    /// Milliseconds from its start to the sample at which its memory was highest; absent if it was never sampled.
    pub peak_ms: Option<u64>,
}

impl AttemptRecord {
    /// The record of an ended attempt, judged by its evidence.
    pub fn new(number: u32, conditions: Conditions, evidence: Evidence, measured: Measured) -> AttemptRecord {
        let Measured { started, ended, peak, cpu_ms, peak_ms } = measured;
        let verdict = outcome::judge(&evidence);
        AttemptRecord { number, conditions, verdict, evidence, started, ended, peak, cpu_ms, peak_ms }
    }

    /// Wall time in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.ended.saturating_sub(self.started)).unwrap_or_default()
    }
}

/// The result of a whole run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunResult {
    /// No job failed a run.
    Passed,
    /// At least one job failed for a reason of its own.
    Failed,
    /// Only the machine failed: a job ran out of memory at every retry, was lost or cancelled, or could not start.
    Infrastructure,
    /// A job was flaky, and the caller asked to fail on it.
    Flaky,
    /// A signal interrupted the run.
    Interrupted,
}

impl RunResult {
    /// The result as a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            RunResult::Passed => "The run passed.",
            RunResult::Failed => "At least one job failed.",
            RunResult::Infrastructure => "Only the infrastructure failed.",
            RunResult::Flaky => "The run fails because of flaky jobs.",
            RunResult::Interrupted => "The run was interrupted.",
        }
    }
}

/// The result of a job over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum JobResult {
    /// Passed at the first attempt.
    Passed,
    /// Passed after attempts that failed because of the machine.
    PassedAfterInfrastructure {
        /// The attempt that passed.
        attempt: u32,
    },
    /// Passed after a failure of its own that the declaration allows to retry; this is not a pass.
    Flaky {
        /// The attempt that passed.
        attempt: u32,
    },
    /// It says of itself that it was skipped: neither a pass nor a failure.
    Skipped {
        /// What said so.
        because: String,
    },
    /// Failed for a reason of its own.
    Failed,
    /// Failed for a reason of its own that its quarantine lists.
    Quarantined,
    /// Failed because of the machine only.
    Infrastructure,
    /// Stopped together with the run.
    Cancelled,
    /// Never started.
    NotRun {
        /// The reason.
        because: String,
    },
}

impl JobResult {
    /// The kebab-case word used in files and tables.
    pub fn word(&self) -> &'static str {
        match self {
            JobResult::Passed | JobResult::PassedAfterInfrastructure { .. } => "passed",
            JobResult::Flaky { .. } => "flaky",
            JobResult::Skipped { .. } => "skipped",
            JobResult::Failed => "failed",
            JobResult::Quarantined => "quarantined",
            JobResult::Infrastructure => "infrastructure",
            JobResult::Cancelled => "cancelled",
            JobResult::NotRun { .. } => "not-run",
        }
    }

    /// `true` if jobs that need this one may run.
    pub fn lets_others_run(&self) -> bool {
        match self {
            JobResult::Passed
            | JobResult::PassedAfterInfrastructure { .. }
            | JobResult::Flaky { .. }
            | JobResult::Skipped { .. }
            | JobResult::Quarantined => true,
            JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled | JobResult::NotRun { .. } => false,
        }
    }
}
