//! The log of what was delivered and what the archive answered.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::LogPosition;

/// The state of an upload, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "text")]
pub enum UploadState {
    /// The files are being delivered.
    Delivering,
    /// All files were delivered.
    Delivered,
    /// The archive accepted the upload.
    Accepted,
    /// The archive rejected the upload, for this reason.
    Rejected(String),
}

/// What tells an upload from other uploads of the same version: each is signed anew, so its checksums are its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UploadIdentity {
    /// The SHA-256 checksum of `.changes`.
    pub changes: String,
    /// The SHA-256 checksum of `.dsc`.
    pub dsc: String,
    /// The end of the queue's log before the upload; none without a log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub queue_log: Option<LogPosition>,
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// The time in seconds since 1970.
    pub time: u64,
    /// [`UploadTarget::name`]
    pub target: String,
    /// The series.
    pub series: String,
    /// The source package.
    pub source: String,
    /// The version of the source package.
    pub version: String,
    /// The files of the source package: SHA-256 checksums by name.
    pub files: BTreeMap<String, String>,
    /// The reason for uploading it without a proof; none if it had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_proof: Option<String>,
    /// What the archive's answer to exactly this upload is recognised by.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub identity: Option<UploadIdentity>,
    /// The state that the upload reached.
    #[serde(flatten)]
    pub state: UploadState,
}

/// The log of all uploads of a project.
#[derive(Debug, Clone)]
pub struct UploadLog {
    path: PathBuf,
    /// The records, oldest first.
    pub records: Vec<UploadRecord>,
}

impl UploadLog {
    /// Reads the log. Lines that a killed process left incomplete are skipped.
    ///
    /// # Errors
    /// The file exists, but cannot be read.
    pub fn read(path: &Path) -> anyhow::Result<UploadLog> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        let records = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(UploadLog { path: path.to_owned(), records })
    }

    /// Adds a record and syncs it to disk.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(&mut self, record: UploadRecord) -> anyhow::Result<()> {
        let cannot = || format!("cannot write {}", self.path.display());
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&self.path).with_context(cannot)?;
        writeln!(file, "{}", serde_json::to_string(&record)?).with_context(cannot)?;
        file.sync_data().with_context(cannot)?;
        self.records.push(record);
        Ok(())
    }

    /// The last state of an upload.
    pub fn last(&self, target: &str, series: &str, version: &str) -> Option<&UploadState> {
        self.of(target, series, version).next_back().map(|record| &record.state)
    }

    /// The identities of all uploads of a version, the oldest first. An earlier one may have come through although it
    /// was interrupted.
    pub fn identities(&self, target: &str, series: &str, version: &str) -> Vec<&UploadIdentity> {
        self.of(target, series, version).filter_map(|record| record.identity.as_ref()).collect()
    }

    fn of(&self, target: &str, series: &str, version: &str) -> impl DoubleEndedIterator<Item = &UploadRecord> {
        let is_it = move |record: &&UploadRecord| {
            record.target == target && record.series == series && record.version == version
        };
        self.records.iter().filter(is_it)
    }

    /// The SHA-256 checksum of a file that a target accepted.
    pub fn accepted(&self, target: &str, file: &str) -> Option<&str> {
        let is_accepted = |record: &&UploadRecord| record.target == target && record.state == UploadState::Accepted;
        self.records.iter().filter(is_accepted).find_map(|record| record.files.get(file)).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_survives_a_killed_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("uploads.jsonl");
        let mut log = UploadLog::read(&path).unwrap();
        let record = |state: UploadState| UploadRecord {
            time: 1,
            target: "p".into(),
            series: "noble".into(),
            source: "x".into(),
            version: "1".into(),
            files: BTreeMap::from([("x.orig".into(), "ab".into())]),
            without_proof: None,
            identity: None,
            state,
        };
        log.add(record(UploadState::Delivering)).unwrap();
        log.add(record(UploadState::Rejected("why".into()))).unwrap();
        assert_eq!(log.accepted("p", "x.orig"), None);
        log.add(record(UploadState::Accepted)).unwrap();
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"time\":").unwrap();
        let read = UploadLog::read(&path).unwrap();
        assert_eq!(read.records, log.records);
        assert_eq!(read.last("p", "noble", "1"), Some(&UploadState::Accepted));
        assert_eq!((read.accepted("p", "x.orig"), read.accepted("q", "x.orig")), (Some("ab"), None));
    }
}
