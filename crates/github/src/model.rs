//! What GitHub says of runs, jobs and artifacts. Fields that are not used are left out.

use jiff::Timestamp;
use serde::Deserialize;

/// A run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WorkflowRun {
    /// The number in its address.
    pub id: u64,
    /// The newest attempt, from 1.
    #[serde(default = "one")]
    pub run_attempt: u64,
    /// `queued`, `in_progress`, `completed` …
    pub status: Option<String>,
    /// `success`, `failure`, `cancelled` …, once it has ended.
    pub conclusion: Option<String>,
    /// The time of its first attempt.
    #[serde(deserialize_with = "time")]
    pub created_at: Timestamp,
    /// The commit.
    pub head_sha: String,
    /// The name of the workflow.
    pub name: Option<String>,
    /// The page about it.
    #[serde(default)]
    pub html_url: String,
}

fn one() -> u64 {
    1
}

fn time<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| serde::de::Error::custom("a time is not in RFC 3339"))
}

impl WorkflowRun {
    /// Whether its newest attempt has ended.
    pub fn has_ended(&self) -> bool {
        self.status.as_deref() == Some(COMPLETED)
    }

    /// Whether it ended with success.
    pub fn has_passed(&self) -> bool {
        self.has_ended() && self.conclusion.as_deref() == Some(SUCCESS)
    }
}

pub(crate) const COMPLETED: &str = "completed";
pub(crate) const SUCCESS: &str = "success";

/// A job of an attempt of a run.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Job {
    /// The number by which the API knows it; the one in the browser's address is another. It changes with each attempt.
    pub id: u64,
    /// The name, with the values of the matrix: `shard (1/7)`.
    pub name: String,
    /// The attempt that it belongs to.
    #[serde(default = "one")]
    pub run_attempt: u64,
    /// `queued`, `in_progress`, `completed` …
    pub status: String,
    /// `success`, `failure`, `cancelled`, `skipped`, `timed_out` …, once it has ended.
    pub conclusion: Option<String>,
    /// The steps, as far as they are known.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// The runner; 0 or absent if none took it.
    #[serde(default)]
    pub runner_id: Option<u64>,
    /// The name of the runner.
    #[serde(default)]
    pub runner_name: Option<String>,
}

impl Job {
    /// Its conclusion, or else its status, in words.
    pub fn state(&self) -> &str {
        match &self.conclusion {
            Some(conclusion) if self.has_ended() => conclusion,
            Some(_) | None => &self.status,
        }
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.status == COMPLETED
    }

    /// Whether `rerun-failed-jobs` takes it: it ended in another way than with success, or by being skipped.
    pub fn has_failed(&self) -> bool {
        self.has_ended() && !matches!(self.conclusion.as_deref(), Some(SUCCESS | "skipped" | "neutral"))
    }
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Step {
    /// Its heading.
    pub name: String,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// How it ended.
    pub conclusion: Option<String>,
}

/// A file that a run uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Artifact {
    /// The number.
    pub id: u64,
    /// The name, which is unique in one attempt.
    pub name: String,
    /// The size of the zip file in bytes.
    pub size_in_bytes: u64,
    /// Whether GitHub has deleted it.
    pub expired: bool,
    /// `sha256:…` of the zip file; absent for old ones.
    #[serde(default)]
    pub digest: Option<String>,
}
