//! Uploads to a declared target with dput, and what the archive answers.

mod answer;
mod log;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use answer::LogPosition;
pub use log::{UploadIdentity, UploadLog, UploadRecord, UploadState};

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
}
