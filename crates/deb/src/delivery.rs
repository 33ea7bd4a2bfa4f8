//! Uploads to a declared target, and what the archive answers.

mod answer;
mod log;
mod transport;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use answer::LogPosition;
pub use log::{UploadIdentity, UploadLog, UploadRecord, UploadState};

use crate::control;
use drydock_base::failure::Failure;
use drydock_base::text;
use drydock_config::release::deb::Place;
use transport::Transport;

/// An upload target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadTarget {
    /// The target's name in messages and in the log, such as `ppa:OWNER/ARCHIVE`.
    pub name: String,
    transport: Transport,
    /// The log file of the queue, with its answers.
    queue_log: Option<PathBuf>,
}

/// Domains of distributions, to which nothing may be uploaded by accident.
const DISTRIBUTIONS: [&str; 5] = ["ubuntu.com", "launchpad.net", "debian.org", "canonical.com", "ubuntu.org"];

impl UploadTarget {
    /// The target for a declared place. `state` replaces `{state}` in paths.
    ///
    /// # Errors
    /// The place is a distribution's own archive, or has characters that a name of a host or directory cannot have.
    pub fn new(place: &Place, state: &Path) -> anyhow::Result<UploadTarget> {
        let with_state = |text: &str| text.replace("{state}", &state.display().to_string());
        let is_launchpad = matches!(place, Place::Ppa { .. });
        let (name, transport, queue_log) = match place {
            Place::Ppa { owner, archive, method, login } => {
                let (host, incoming) = ("ppa.launchpad.net".to_owned(), format!("~{owner}/ubuntu/{archive}"));
                let transport = Transport { method: *method, host, incoming, login: login.clone(), is_launchpad };
                (format!("ppa:{owner}/{archive}"), transport, None)
            }
            Place::Queue { method, host, incoming, log, login } => {
                let host = host.clone().unwrap_or_default();
                let without_port = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
                let domain = without_port.trim_end_matches('.').to_ascii_lowercase();
                let own = |own: &&&str| domain == **own || domain.ends_with(&format!(".{own}"));
                if DISTRIBUTIONS.iter().any(|distribution| own(&distribution)) {
                    let text =
                        format!("{domain} is the archive of a distribution itself; for a PPA, declare `target: ppa`");
                    return Err(Failure::declaration(text));
                }
                let log = log.as_ref().map(|log| PathBuf::from(with_state(&log.display().to_string())));
                let incoming = with_state(incoming);
                let name = format!("{} {incoming}", if host.is_empty() { "this machine" } else { &host });
                let transport = Transport { method: *method, host, incoming, login: login.clone(), is_launchpad };
                (name, transport, log)
            }
        };
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter);
        if !transport.host.chars().all(is_host) || transport.host.starts_with('-') {
            let text = format!("invalid `host` of the upload target: {}", text::quoted(&transport.host));
            return Err(Failure::declaration(format!("{text}; declare HOST or HOST:PORT")));
        }
        if transport.incoming.chars().any(text::is_unprintable) {
            let text = format!("invalid `incoming` of the upload target: {}", text::quoted(&transport.incoming));
            return Err(Failure::declaration(format!("{text}; declare a path without control characters")));
        }
        Ok(UploadTarget { name, transport, queue_log })
    }

    /// Checks what can be checked without a connection: programs, the login, keys, and the key of the host.
    ///
    /// # Errors
    /// Something is missing. All of it is named, with the remedies.
    pub fn require_ready(&self) -> anyhow::Result<()> {
        let missing = self.missing();
        if missing.is_empty() {
            return Ok(());
        }
        let list: String = missing.iter().map(|one| format!("\n  {one}")).collect();
        Err(Failure::missing(format!("cannot upload to {}:{list}", self.name)))
    }

    /// What is missing for uploads, each with its remedy.
    pub fn missing(&self) -> Vec<String> {
        self.transport.missing()
    }

    /// Uploads a `.changes` and the files that it lists. The `.changes` is sent last, since queues wait for it.
    ///
    /// # Errors
    /// The `.changes` cannot be read, or not all files were delivered.
    pub fn upload(&self, changes: &Path) -> anyhow::Result<()> {
        let cannot = || format!("cannot read {}", changes.display());
        let text = fs::read_to_string(changes).with_context(cannot)?;
        let listed = control::parse_one(&text).with_context(cannot)?;
        let is_name = |name: &&str| !name.is_empty() && !name.starts_with(['-', '.']) && !name.contains('/');
        let own = changes.file_name().and_then(|name| name.to_str());
        let names = listed.lines("Checksums-Sha256").map(|line| line.split_whitespace().last()).chain([own]);
        let names: Option<Vec<String>> = names.map(|name| name.filter(is_name).map(str::to_owned)).collect();
        let names = names.with_context(|| format!("{} lists a file without a valid name", changes.display()))?;
        let directory = changes.parent().unwrap_or(Path::new("."));
        self.transport.send(directory, &names).map_err(|error| {
            let file = own.unwrap_or_default();
            Failure::remote(format!(
                "cannot upload {file} to {}: {error:#}; run the same command to continue",
                self.name
            ))
        })
    }

    /// The end of the queue's log; none without a log. The answers to an upload come after it.
    pub fn log_position(&self) -> Option<LogPosition> {
        self.queue_log.as_deref().map(LogPosition::at_end)
    }

    /// The queue's answer to an upload, from its log; `None` while there is none.
    pub fn answer(&self, changes: &str, identity: &UploadIdentity) -> Option<ArchiveAnswer> {
        let position = identity.queue_log.as_ref()?;
        answer::find(&position.later_lines(self.queue_log.as_ref()?), changes, &identity.changes)
    }
}

/// An archive's answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveAnswer {
    /// The archive accepted the upload.
    Accepted,
    /// The archive rejected the upload, for this reason.
    Rejected(String),
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::release::deb::Method;

    fn queue(host: Option<&str>) -> Place {
        let method = if host.is_some() { Method::Ftp } else { Method::Local };
        Place::Queue { method, host: host.map(str::to_owned), incoming: "{state}/in".into(), log: None, login: None }
    }

    #[test]
    fn a_distribution_is_never_uploaded_to_by_accident() {
        let ppa = Place::Ppa { owner: "me".into(), archive: "x".into(), method: Method::Sftp, login: None };
        let target = UploadTarget::new(&ppa, Path::new("/s")).unwrap();
        assert_eq!(
            (target.transport.host.as_str(), target.transport.incoming.as_str()),
            ("ppa.launchpad.net", "~me/ubuntu/x")
        );
        for host in
            ["upload.ubuntu.com", "ppa.launchpad.net:22", "UPLOAD.ubuntu.com.", "ftp-master.debian.org", "ubuntu.com"]
        {
            let error = UploadTarget::new(&queue(Some(host)), Path::new("/s")).unwrap_err().to_string();
            assert!(error.contains("the archive of a distribution itself"), "{error}");
        }
        assert!(UploadTarget::new(&queue(Some("notubuntu.com")), Path::new("/s")).is_ok());
        for host in ["x\nfqdn = y", "-oProxyCommand=x", "me@x", "x/y", "x y"] {
            let error = UploadTarget::new(&queue(Some(host)), Path::new("/s")).unwrap_err().to_string();
            assert!(error.starts_with("invalid `host` of the upload target"), "{error}");
        }
        assert_eq!(UploadTarget::new(&queue(None), Path::new("/s")).unwrap().name, "this machine /s/in");
    }
}
