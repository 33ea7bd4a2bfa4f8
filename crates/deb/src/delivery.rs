//! Uploads to a declared target with dput, and the log of what was delivered and what the archive answered.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::release::deb::{Method, Place};

/// The name of the target in dput's configuration.
const TARGET: &str = "drydock";

/// An upload target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadTarget {
    /// The target's name in messages and in the log, such as `ppa:OWNER/ARCHIVE`.
    pub name: String,
    /// dput's configuration.
    settings: String,
    /// The log file of the queue, with its answers.
    queue_log: Option<PathBuf>,
}

/// Domains of distributions, to which nothing may be uploaded by accident.
const DISTRIBUTIONS: [&str; 5] = ["ubuntu.com", "launchpad.net", "debian.org", "canonical.com", "ubuntu.org"];

impl UploadTarget {
    /// The target for a declared place. `state` replaces `{state}` in paths.
    ///
    /// # Errors
    /// The place is a distribution's own archive, or has characters that dput would interpret.
    pub fn new(place: &Place, state: &Path) -> anyhow::Result<UploadTarget> {
        let with_state = |text: &str| text.replace("{state}", &state.display().to_string());
        let (name, host, incoming, method, queue_log) = match place {
            Place::Ppa { owner, archive, method } => {
                let host = "ppa.launchpad.net".to_owned();
                (format!("ppa:{owner}/{archive}"), Some(host), format!("~{owner}/ubuntu/{archive}"), *method, None)
            }
            Place::Queue { method, host, incoming, log } => {
                let domain = host.as_deref().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
                let own = |own: &&&str| domain == **own || domain.ends_with(&format!(".{own}"));
                if DISTRIBUTIONS.iter().any(|distribution| own(&distribution)) {
                    let text =
                        format!("{domain} is the archive of a distribution itself; for a PPA, declare `target: ppa`");
                    return Err(Failure::declaration(text));
                }
                let log = log.as_ref().map(|log| PathBuf::from(with_state(&log.display().to_string())));
                let incoming = with_state(incoming);
                let name = format!("{} {incoming}", host.as_deref().unwrap_or("this machine"));
                (name, host.clone(), incoming, *method, log)
            }
        };
        if [host.as_deref().unwrap_or_default(), &incoming].iter().any(|text| text.contains(['\n', '\r', '%'])) {
            return Err(Failure::declaration(format!(
                "invalid upload target {name:?}: line breaks and `%` are not allowed"
            )));
        }
        let mut settings = format!("[{TARGET}]\nmethod = {}\nincoming = {incoming}\n", method.word());
        settings.push_str(&format!("fqdn = {}\n", host.as_deref().unwrap_or("localhost")));
        if method == Method::Ftp {
            settings.push_str("login = anonymous\n");
        }
        settings.push_str("allow_unsigned_uploads = 0\nrun_dinstall = 0\n");
        Ok(UploadTarget { name, settings, queue_log })
    }

    /// Uploads the files of a `.changes`.
    ///
    /// # Errors
    /// dput is missing or fails.
    pub fn upload(&self, changes: &Path) -> anyhow::Result<()> {
        let mut settings =
            tempfile::Builder::new().prefix("drydock-dput-").tempfile().context("cannot create a temporary file")?;
        settings.write_all(self.settings.as_bytes()).context("cannot write a temporary file")?;
        let show = |path: &Path| path.display().to_string();
        // This module keeps its own log; dput's would prevent a second upload.
        let argv = ["dput", "--no-upload-log", "--force", "--config", &show(settings.path()), TARGET, &show(changes)];
        let argv = argv.map(str::to_owned);
        let passed = ["GNUPGHOME", "SSH_AUTH_SOCK", "HTTPS_PROXY", "https_proxy"].map(str::to_owned);
        let environment = exec::environment(&passed, &BTreeMap::new());
        exec::bytes(&argv, Path::new("/"), environment).map_err(|error| {
            let error = error.shown_as(["dput"]);
            Failure::remote(format!("cannot upload {} to {}: {error}", show(changes), self.name))
        })?;
        Ok(())
    }

    /// The queue's answer to an upload, from its log; `None` while there is none.
    pub fn answer(&self, changes: &str) -> Option<ArchiveAnswer> {
        let text = fs::read_to_string(self.queue_log.as_ref()?).ok()?;
        answer_in(&text, changes)
    }
}

/// The answer in the last line of a log that names the upload and has one.
fn answer_in(text: &str, changes: &str) -> Option<ArchiveAnswer> {
    let lines = text.lines().rev().filter(|line| line.split_whitespace().any(|word| word == changes));
    let mut answers = lines.filter_map(|line| {
        let lower = line.to_lowercase();
        if lower.contains("reject") || lower.contains("refuse") {
            return Some(ArchiveAnswer::Rejected(line.trim().to_owned()));
        }
        lower.contains("accept").then_some(ArchiveAnswer::Accepted)
    });
    answers.next()
}

/// An archive's answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveAnswer {
    /// The archive accepted the upload.
    Accepted,
    /// The archive rejected the upload, for this reason.
    Rejected(String),
}

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
        let is_it =
            |record: &&UploadRecord| record.target == target && record.series == series && record.version == version;
        self.records.iter().rev().find(is_it).map(|record| &record.state)
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

    fn queue(host: Option<&str>) -> Place {
        let method = if host.is_some() { Method::Ftp } else { Method::Local };
        Place::Queue { method, host: host.map(str::to_owned), incoming: "{state}/in".into(), log: None }
    }

    #[test]
    fn a_distribution_is_never_uploaded_to_by_accident() {
        let ppa = Place::Ppa { owner: "me".into(), archive: "x".into(), method: Method::Sftp };
        let target = UploadTarget::new(&ppa, Path::new("/s")).unwrap();
        assert!(
            target.settings.contains("incoming = ~me/ubuntu/x\n")
                && target.settings.contains("fqdn = ppa.launchpad.net")
        );
        for host in
            ["upload.ubuntu.com", "ppa.launchpad.net", "UPLOAD.ubuntu.com.", "ftp-master.debian.org", "ubuntu.com"]
        {
            let error = UploadTarget::new(&queue(Some(host)), Path::new("/s")).unwrap_err().to_string();
            assert!(error.contains("the archive of a distribution itself"), "{error}");
        }
        assert!(UploadTarget::new(&queue(Some("notubuntu.com")), Path::new("/s")).is_ok());
        assert!(UploadTarget::new(&queue(Some("x\nfqdn = upload.ubuntu.com")), Path::new("/s")).is_err());
        assert_eq!(UploadTarget::new(&queue(None), Path::new("/s")).unwrap().name, "this machine /s/in");
    }

    #[test]
    fn answers_are_found_in_the_log_of_a_queue() {
        let log = "1 x_1_source.changes rejected: no signature\n2 x_1_source.changes accepted\n3 y_1_source.changes refused: bad\n";
        assert_eq!(answer_in(log, "x_1_source.changes"), Some(ArchiveAnswer::Accepted));
        assert_eq!(
            answer_in(log, "y_1_source.changes"),
            Some(ArchiveAnswer::Rejected("3 y_1_source.changes refused: bad".into()))
        );
        assert_eq!(answer_in(log, "z"), None);
    }

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
