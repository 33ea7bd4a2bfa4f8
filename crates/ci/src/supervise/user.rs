//! Jobs that run as another user than Drydock.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use drydock_base::exec;

/// Another user, by whose rights a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherUser {
    name: String,
    uid: u32,
    gid: u32,
    home: String,
}

/// The reason why a job cannot run as a user.
#[derive(Debug, thiserror::Error)]
pub(super) enum UserError {
    /// There is none of that name.
    #[error("there is no user `{0}` here; create it, or correct `user`")]
    Unknown(String),
    /// Only root may.
    #[error("only root can run a job as the user `{0}`; run Drydock as root, or as that user without `user`")]
    NotRoot(String),
    /// The attempt's directory, or one above it, is closed to the user.
    #[error(
        "the user `{user}` cannot reach {}, in which its log is kept; allow it with `chmod o+x`, or use a state directory \
         elsewhere with `--state`",
        directory.display()
    )]
    Unreachable {
        /// The user.
        user: String,
        /// The directory that is closed.
        directory: PathBuf,
    },
    /// The directory cannot be given to the user.
    #[error("cannot give {} to the user `{user}`: {}", directory.display(), exec::plain(error))]
    Ownership {
        /// The user.
        user: String,
        /// The directory.
        directory: PathBuf,
        /// The cause.
        error: std::io::Error,
    },
}

impl OtherUser {
    /// The user of that name or number; `None` if it is this process's own.
    ///
    /// # Errors
    /// There is none, or this process may not become it.
    pub(super) fn find(name: &str) -> Result<Option<OtherUser>, UserError> {
        let argv = ["getent", "passwd", name].map(str::to_owned);
        let line = exec::read(&argv, Path::new("/")).map_err(|_| UserError::Unknown(name.to_owned()))?;
        let fields: Vec<&str> = line.lines().next().unwrap_or_default().split(':').collect();
        let user = match fields.as_slice() {
            [own, _, uid, gid, _, home, ..] => uid.parse().ok().zip(gid.parse().ok()).map(|(uid, gid)| OtherUser {
                name: (*own).to_owned(),
                uid,
                gid,
                home: (*home).to_owned(),
            }),
            _ => None,
        };
        let user = user.ok_or_else(|| UserError::Unknown(name.to_owned()))?;
        let own = rustix::process::geteuid();
        if user.uid == own.as_raw() {
            return Ok(None);
        }
        if own.is_root() { Ok(Some(user)) } else { Err(UserError::NotRoot(name.to_owned())) }
    }

    /// Gives an attempt's directory to the user.
    ///
    /// # Errors
    /// A directory above it is closed to the user.
    pub(super) fn may_use(&self, directory: &Path) -> Result<(), UserError> {
        let is_closed = |above: &&Path| {
            std::fs::metadata(above).is_ok_and(|metadata| {
                let bit = match (metadata.uid() == self.uid, metadata.gid() == self.gid) {
                    (true, _) => 0o100,
                    (false, true) => 0o010,
                    (false, false) => 0o001,
                };
                metadata.permissions().mode() & bit == 0
            })
        };
        if let Some(closed) = directory.ancestors().skip(1).find(is_closed) {
            return Err(UserError::Unreachable { user: self.name.clone(), directory: closed.to_owned() });
        }
        let owned = std::os::unix::fs::chown(directory, Some(self.uid), Some(self.gid));
        owned.map_err(|error| UserError::Ownership { user: self.name.clone(), directory: directory.to_owned(), error })
    }

    /// Sets the variables that a login sets, unless the job declares them.
    pub(super) fn settle(&self, environment: &mut BTreeMap<OsString, OsString>, declared: &BTreeMap<String, String>) {
        for (name, value) in [("HOME", &self.home), ("USER", &self.name), ("LOGNAME", &self.name)] {
            if !declared.contains_key(name) && (name == "HOME" || environment.contains_key(OsStr::new(name))) {
                environment.insert(name.into(), value.into());
            }
        }
    }

    /// The command before that of the job (setpriv(1)). It replaces itself by the job's.
    pub(super) fn command(&self) -> Vec<String> {
        let mut words = vec!["setpriv".to_owned()];
        words.extend([format!("--reuid={}", self.uid), format!("--regid={}", self.gid)]);
        words.extend(["--init-groups", "--"].map(str::to_owned));
        words
    }
}
