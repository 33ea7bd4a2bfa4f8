//! `run.json` as the tests read it.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

/// `run.json`, read leniently: a field that a test does not look at may change.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct RunJson {
    pub(crate) format: u32,
    pub(crate) id: String,
    pub(crate) containment: String,
    pub(crate) result: Option<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) schedule: Option<serde_json::Value>,
    pub(crate) pauses: Vec<(i64, i64, String)>,
    pub(crate) without_tool: Vec<WithoutToolJson>,
    pub(crate) jobs: Vec<JobJson>,
}

impl RunJson {
    /// Reads the latest run in a state directory.
    pub(crate) fn latest(state: &Path) -> anyhow::Result<Self> {
        let path = state.join("runs/latest/run.json");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot parse {}: {text}", path.display()))
    }

    pub(crate) fn job(&self, name: &str) -> Option<&JobJson> {
        self.jobs.iter().find(|job| job.name == name)
    }
}

/// Tests that ran without the tool that their job declares.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct WithoutToolJson {
    pub(crate) tool: String,
    pub(crate) because: String,
    pub(crate) jobs: usize,
}

/// One job in `run.json`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct JobJson {
    pub(crate) name: String,
    pub(crate) result: String,
    pub(crate) because: Option<String>,
    pub(crate) needs_more_than: Option<u64>,
    /// None of a job that did not run.
    pub(crate) outcome: Option<OutcomeJson>,
    pub(crate) attempts: Vec<AttemptJson>,
}

/// One attempt in `run.json`; times in milliseconds since 1970, the peak in bytes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct AttemptJson {
    pub(crate) number: u32,
    pub(crate) outcome: OutcomeJson,
    pub(crate) confidence: Option<f64>,
    pub(crate) reasons: Vec<String>,
    pub(crate) ruled_out: Vec<String>,
    pub(crate) leftovers: Vec<LeftoverJson>,
    pub(crate) started: Option<i64>,
    pub(crate) ended: Option<i64>,
    pub(crate) peak: Option<u64>,
    pub(crate) cpu_ms: Option<u64>,
    pub(crate) reservation: u64,
    pub(crate) exclusive: bool,
    pub(crate) reduced: bool,
    pub(crate) log: Option<String>,
    pub(crate) subtests: Option<SubtestsJson>,
    pub(crate) ignored_errors: std::collections::BTreeMap<String, u64>,
}

/// The tests that a job reported.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct SubtestsJson {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) failures: Vec<String>,
}

/// A process that outlived its job.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct LeftoverJson {
    pub(crate) pid: i32,
    pub(crate) command: String,
}

/// The verdict; displayed as `failed{1}`, `crashed{11}`, `out-of-memory`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct OutcomeJson {
    pub(crate) kind: String,
    pub(crate) code: Option<serde_json::Value>,
    pub(crate) signal: Option<serde_json::Value>,
    pub(crate) count: Option<serde_json::Value>,
}

impl std::fmt::Display for OutcomeJson {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match [&self.code, &self.signal, &self.count].into_iter().flatten().next() {
            Some(detail) => write!(f, "{}{{{detail}}}", self.kind),
            None => f.write_str(&self.kind),
        }
    }
}
