//! `nightly.json` in the state directory: the record of the last nightly, and the lock that excludes a second one.
//!
//! The record does not decide whether a step must run; its results do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::commands::Context;
use drydock_base::lock::Lock;
use drydock_base::paths;

/// The name of the file.
const NAME: &str = "nightly.json";
/// The version of the file's format.
pub(super) const FORMAT: u32 = 1;

/// The record of a nightly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct NightlyRecord {
    /// [`FORMAT`]
    pub(super) format: u32,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) commit: String,
    /// The release tag, if this is the build of a release.
    pub(super) tag: Option<String>,
    /// The start, in seconds since 1970.
    pub(super) started: i64,
    /// The reason for building or not building.
    pub(super) reason: String,
    pub(super) result: Outcome,
    /// `true` if this version was built and proved, by this call or an earlier one, but published nowhere, because no place is
    /// declared.
    #[serde(default)]
    pub(super) unpublished: bool,
    /// The step that failed, and its error.
    pub(super) failure: Option<String>,
    /// The completed steps, in order.
    pub(super) steps: Vec<StepRecord>,
    /// The pushed images, by name.
    pub(super) images: BTreeMap<String, PushedImage>,
}

/// The result of a nightly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// The nightly is running, or was killed.
    #[default]
    Running,
    /// Nothing was built, because nothing changed.
    Skipped,
    /// Everything was built and proved, but not published, as requested.
    Built,
    /// Everything was built and proved, and nothing is declared to publish.
    Proved,
    /// Everything was published.
    Published,
    /// A step failed.
    Failed,
}

impl Outcome {
    /// Whether nothing is left to do for this version.
    pub(super) fn is_complete(self) -> bool {
        match self {
            Outcome::Skipped | Outcome::Proved | Outcome::Published => true,
            Outcome::Running | Outcome::Built | Outcome::Failed => false,
        }
    }

    /// The word in the record.
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Skipped => "skipped",
            Outcome::Built => "built",
            Outcome::Proved => "built and proved",
            Outcome::Published => "published",
            Outcome::Failed => "failed",
        }
    }
}

/// A completed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct StepRecord {
    pub(super) step: String,
    /// Whether the results of an earlier nightly were used.
    pub(super) reused: bool,
    pub(super) milliseconds: u64,
    /// A summary of the results.
    pub(super) summary: String,
}

/// An image that was pushed to its nightly repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct PushedImage {
    pub(super) repository: String,
    pub(super) digest: String,
    /// The tags that were moved to the image.
    pub(super) tags: Vec<String>,
}

impl NightlyRecord {
    fn path(state: &Path) -> PathBuf {
        state.join(NAME)
    }

    /// Reads the record of the last nightly; `None` if there is none that can be parsed.
    pub(super) fn read(state: &Path) -> Option<NightlyRecord> {
        serde_json::from_str(&std::fs::read_to_string(NightlyRecord::path(state)).ok()?).ok()
    }

    /// Writes the record atomically.
    pub(super) fn write(&self, state: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        paths::write_atomically(&NightlyRecord::path(state), text.as_bytes())
    }
}

/// The lock of nightlies in a state directory.
pub(super) fn lock(ctx: &Context) -> anyhow::Result<Lock> {
    ctx.lock("nightly.lock", "another nightly")
}
