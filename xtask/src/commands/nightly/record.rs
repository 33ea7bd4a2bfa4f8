//! `nightly.json` in the state directory: what the last call did, step by step, and the lock that keeps a second one out.
//!
//! Whether a step has to be taken is never told by this file, but by its results.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::commands::Context;
use drydock_base::failure::Failure;
use drydock_base::paths;

/// The file's name.
const NAME: &str = "nightly.json";
/// The version of its format.
pub(super) const FORMAT: u32 = 1;

/// What a call did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Record {
    /// The version of this format.
    pub(super) format: u32,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) commit: String,
    /// The release tag, when it is the build of a release.
    pub(super) tag: Option<String>,
    /// In seconds since 1970.
    pub(super) started: i64,
    /// Why it was built, or why not.
    pub(super) why: String,
    pub(super) result: Outcome,
    /// The step that failed, and how.
    pub(super) failure: Option<String>,
    /// In the order in which they were taken.
    pub(super) steps: Vec<Taken>,
    /// The images, by name.
    pub(super) images: BTreeMap<String, Pushed>,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// It did not end: it goes on, or was killed.
    Running,
    /// Nothing changed.
    Skipped,
    /// Everything is built and proved, and nothing was to be published.
    Built,
    /// Everything is where nightlies are.
    Published,
    /// A step failed.
    Failed,
}

impl Outcome {
    /// Whether nothing is left to be done about that version.
    pub(super) fn is_over(self) -> bool {
        match self {
            Outcome::Skipped | Outcome::Published => true,
            Outcome::Running | Outcome::Built | Outcome::Failed => false,
        }
    }

    /// As it is written.
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Running => "running",
            Outcome::Skipped => "skipped",
            Outcome::Built => "built",
            Outcome::Published => "published",
            Outcome::Failed => "failed",
        }
    }
}

/// A step that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Taken {
    pub(super) step: String,
    /// Whether its results were there already.
    pub(super) reused: bool,
    pub(super) milliseconds: u64,
    /// What came of it.
    pub(super) found: String,
}

/// An image in its nightly repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Pushed {
    pub(super) repository: String,
    pub(super) digest: String,
    /// The tags that name it.
    pub(super) tags: Vec<String>,
}

impl Record {
    /// Where it is.
    pub(super) fn path(state: &Path) -> PathBuf {
        state.join(NAME)
    }

    /// The last call's, when it left one that can be read.
    pub(super) fn last(state: &Path) -> Option<Record> {
        serde_json::from_str(&std::fs::read_to_string(Record::path(state)).ok()?).ok()
    }

    /// Writes it, whole.
    pub(super) fn write(&self, state: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        paths::write_atomically(&Record::path(state), text.as_bytes())
    }
}

/// One nightly at a time in one state directory.
pub(super) fn lock(ctx: &Context) -> anyhow::Result<File> {
    ctx.state.create()?;
    let path = ctx.state.root().join("nightly.lock");
    let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|_| Failure::missing(format!("another nightly is going on here; it holds {}", path.display())))?;
    Ok(file)
}
