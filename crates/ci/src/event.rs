//! The event stream: everything that happens in a run, once. The journal, the reports and `--resume` all read it.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Evidence, KillReason};
use super::outcome::Verdict;
use super::schedule::Capacity;
use drydock_base::units::{ByteSize, JobName};

/// An event with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// Unix time in milliseconds.
    pub at: i64,
    /// What happened.
    pub event: Event,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Event {
    /// A run began, or went on after an interruption.
    RunStarted(RunStarted),
    /// The result of a job that this run does not repeat, taken over from an earlier run.
    Carried {
        /// The run that has the attempts' files.
        from: String,
        /// The job.
        job: JobName,
        /// How it ended there.
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
        /// From 1.
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
        /// Why.
        reason: KillReason,
        /// The signal's number.
        signal: i32,
    },
    /// An attempt ended and was judged.
    AttemptEnded {
        /// The job.
        job: JobName,
        /// What is known of it.
        record: Box<AttemptRecord>,
    },
    /// No further attempt of the job follows.
    JobSettled {
        /// The job.
        job: JobName,
        /// How it ended.
        result: JobResult,
    },
    /// Jobs that could start are held back, or are not any more.
    Held {
        /// Why; nothing when they start again.
        because: Option<String>,
    },
    /// Something that a person should know.
    Warning {
        /// What.
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

/// The frame of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunStarted {
    /// The run.
    pub id: String,
    /// The version of Drydock.
    pub version: String,
    /// How jobs are contained: `cgroup-v2`, `cgroup-v1` or `none`.
    pub containment: String,
    /// The group that holds the jobs' groups.
    pub group: Option<PathBuf>,
    /// What may be used at once.
    pub capacity: Capacity,
    /// Whether it goes on after an interruption.
    pub resumed: bool,
    /// The run whose results it completes, for a rerun.
    pub reruns: Option<String>,
    /// Version of valgrind, if a job needs it.
    pub valgrind: Option<String>,
    /// The project's commit, where nothing tracked is changed.
    #[serde(default)]
    pub revision: Option<String>,
}

/// The intent to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptStarting {
    /// The job.
    pub job: JobName,
    /// From 1.
    pub attempt: u32,
    /// Bytes set aside for it.
    pub reservation: u64,
    /// Whether nothing else runs beside it.
    pub alone: bool,
    /// Whether it runs with the declared options that save memory and check less.
    #[serde(default)]
    pub diet: bool,
    /// Why it is tried again.
    pub again: Option<String>,
    /// Its group below [`RunStarted::group`].
    pub group: Option<String>,
}

/// One attempt, ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// The verdict with its proof.
    pub verdict: Verdict,
    /// All that was observed.
    pub evidence: Evidence,
    /// Unix time in milliseconds.
    pub started: i64,
    /// Unix time in milliseconds.
    pub ended: i64,
    /// The most memory it used, in bytes, as the scheduler learns it.
    pub peak: Option<u64>,
    /// Bytes that were set aside for it.
    pub reservation: u64,
    /// Whether nothing else ran beside it.
    pub alone: bool,
    /// Whether it ran with the declared options that save memory and check less.
    #[serde(default)]
    pub diet: bool,
    /// Why it was tried again.
    pub again: Option<String>,
}

impl AttemptRecord {
    /// The rung of the ladder that it stood on, in words: what was done so that its memory suffices.
    pub fn rung(&self) -> String {
        let memory = ByteSize::new(self.reservation);
        match (self.alone, self.diet) {
            (false, false) => format!("with {memory} set aside"),
            (false, true) => format!("on valgrind's memory diet, with {memory} set aside"),
            (true, false) => format!("alone, with {memory} set aside"),
            (true, true) => format!("alone and on valgrind's memory diet, with {memory} set aside"),
        }
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

/// How a job ended, over all its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum JobResult {
    /// At the first attempt.
    Passed,
    /// After attempts that the machine broke; the rung that passed.
    PassedAfterInfrastructure {
        /// The attempt that passed.
        attempt: u32,
    },
    /// After a failure of its own that the declaration allows to retry: not a pass.
    Flaky {
        /// The attempt that passed.
        attempt: u32,
    },
    /// For a reason of its own.
    Failed,
    /// For a reason of its own, which its quarantine says is known.
    Quarantined,
    /// Only the machine failed it.
    Infrastructure,
    /// Stopped with the run.
    Cancelled,
    /// Never started.
    NotRun {
        /// Why.
        because: String,
    },
}

impl JobResult {
    /// The kebab-case word used in files and tables.
    pub fn word(&self) -> &'static str {
        match self {
            JobResult::Passed | JobResult::PassedAfterInfrastructure { .. } => "passed",
            JobResult::Flaky { .. } => "flaky",
            JobResult::Failed => "failed",
            JobResult::Quarantined => "quarantined",
            JobResult::Infrastructure => "infrastructure",
            JobResult::Cancelled => "cancelled",
            JobResult::NotRun { .. } => "not-run",
        }
    }

    /// Whether jobs that need this one may run.
    pub fn lets_others_run(&self) -> bool {
        match self {
            JobResult::Passed
            | JobResult::PassedAfterInfrastructure { .. }
            | JobResult::Flaky { .. }
            | JobResult::Quarantined => true,
            JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled | JobResult::NotRun { .. } => false,
        }
    }
}
