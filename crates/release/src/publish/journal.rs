//! The journal of a release's publication: written before and after every step, and synced to disk.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;

/// What a journal is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedRelease {
    /// The name of the project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit.
    pub commit: String,
    /// The checksum of `SHA256SUMS`.
    pub checksums: Checksum,
}

/// What happened to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JournalEvent {
    /// It is about to be done.
    Begun,
    /// It was done, by the evidence in the text.
    Done,
    /// Its result was found at the target.
    Found,
    /// It failed, for the reason in the text.
    Failed,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JournalRecord {
    /// The time in seconds since 1970.
    pub time: i64,
    /// The target's name.
    pub target: String,
    /// The step.
    pub step: String,
    /// What happened.
    pub event: JournalEvent,
    /// The evidence or the reason.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl JournalRecord {
    /// The time for a reader.
    pub fn when(&self) -> String {
        jiff::Timestamp::from_second(self.time).map_or_else(|_| self.time.to_string(), |time| time.to_string())
    }
}

/// The journal of one release.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    release: PublishedRelease,
    /// The records, the oldest first.
    pub records: Vec<JournalRecord>,
    /// Whether the file has its first line.
    is_begun: bool,
    /// Whether the file ends within a line, where a process was killed.
    is_cut: bool,
    /// Returns the seconds since 1970.
    clock: fn() -> i64,
}

impl Journal {
    /// Reads the journal of a release; a missing one is empty. Nothing is written.
    ///
    /// # Errors
    /// It cannot be read, or is that of other bytes under the same version.
    pub fn open(path: &Path, release: PublishedRelease, clock: fn() -> i64) -> anyhow::Result<Journal> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let text = String::from_utf8_lossy(&bytes);
        let is_cut = !bytes.is_empty() && !bytes.ends_with(b"\n");
        let mut lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::trim_end);
        let mut is_begun = false;
        let first = lines.by_ref().find_map(|line| serde_json::from_str::<PublishedRelease>(line).ok());
        if let Some(first) = first {
            is_begun = true;
            if first != release {
                return Err(Failure::not_reproducible(format!(
                    "{} is the journal of other bytes of {} {} (commit {}, SHA256SUMS {}); what was published once never changes: \
                     release a new version, or build again what was published",
                    path.display(),
                    first.name,
                    first.version,
                    first.commit.get(..12).unwrap_or(&first.commit),
                    first.checksums
                )));
            }
        }
        let records = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Journal { path: path.to_owned(), release, records, is_begun, is_cut, clock })
    }

    /// Adds a record, and syncs it to disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, target: &str, step: &str, event: JournalEvent, text: String) -> anyhow::Result<()> {
        let record =
            JournalRecord { time: (self.clock)(), target: target.to_owned(), step: step.to_owned(), event, text };
        let mut lines = String::new();
        if self.is_cut {
            lines.push('\n');
        }
        if !self.is_begun {
            lines.push_str(&format!("{}\n", serde_json::to_string(&self.release)?));
        }
        lines.push_str(&format!("{}\n", serde_json::to_string(&record)?));
        let cannot = || format!("cannot write {}", self.path.display());
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory).with_context(cannot)?;
        }
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).with_context(cannot)?;
        file.write_all(lines.as_bytes()).with_context(cannot)?;
        file.sync_data().with_context(cannot)?;
        (self.is_begun, self.is_cut) = (true, false);
        self.records.push(record);
        Ok(())
    }

    /// Adds that a result was found, unless the journal says already that it is there.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn found(&mut self, target: &str, step: &str, evidence: &str) -> anyhow::Result<()> {
        let last = self.records.iter().rev().find(|record| record.target == target && record.step == step);
        if last.is_some_and(|last| matches!(last.event, JournalEvent::Done | JournalEvent::Found)) {
            return Ok(());
        }
        self.add(target, step, JournalEvent::Found, evidence.to_owned())
    }
}
