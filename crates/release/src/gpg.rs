//! gpg in a home directory of its own, which has only the declared keys: no configuration, no agent, no network.
//!
//! What gpg prints for people is not read, nor its exit code, which is that of the worst signature. The lines of its status
//! output and of its key listing are data (`doc/DETAILS` of GnuPG).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::Scratch;

mod listing;
mod status;

pub use listing::{KeyRecord, parse_listing};
pub use status::{SignatureStatus, StatusKind, ValidSignature, parse_status};

/// A home directory with imported keys.
#[derive(Debug)]
pub struct Home {
    directory: Scratch,
    program: PathBuf,
}

impl Home {
    /// An empty home directory.
    ///
    /// # Errors
    /// gpg is missing.
    pub fn create() -> anyhow::Result<Home> {
        let search = std::env::var_os("PATH");
        let program = exec::find("gpg", Path::new("/"), search.as_ref()).map_err(|_| {
            let install = hint::apt_get(["install", "gpg"]);
            Failure::missing(format!("gpg is missing, which checks OpenPGP signatures; run `{install}`"))
        })?;
        Ok(Home { directory: Scratch::new("gpg")?, program })
    }

    /// Imports keys, as binary packets; the fingerprints of their primary keys.
    ///
    /// # Errors
    /// gpg cannot be run.
    pub fn import(&self, keys: &[u8]) -> anyhow::Result<Vec<String>> {
        let file = self.write("keys", keys)?;
        let status = self.run(&["--status-fd", "1", "--import", "--", &file])?;
        let lines = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] IMPORT_OK "));
        let mut primaries: Vec<String> =
            lines.filter_map(|words| Some(words.split_once(' ')?.1.trim().to_owned())).collect();
        primaries.sort();
        primaries.dedup();
        Ok(primaries)
    }

    /// Every imported key and subkey.
    ///
    /// # Errors
    /// gpg cannot be run.
    pub fn keys(&self) -> anyhow::Result<Vec<KeyRecord>> {
        let options = ["--with-colons", "--with-fingerprint", "--with-fingerprint", "--fixed-list-mode", "--list-keys"];
        Ok(parse_listing(&self.run(&options)?))
    }

    /// What gpg says about one detached signature, which is a single packet, of bytes.
    ///
    /// # Errors
    /// gpg cannot be run.
    pub fn verify(&self, signature: &[u8], signed: &[u8]) -> anyhow::Result<Vec<SignatureStatus>> {
        let [signature, signed] = [self.write("signature", signature)?, self.write("signed", signed)?];
        let status = self.run(&["--status-fd", "1", "--verify", "--", &signature, &signed])?;
        Ok(parse_status(&status))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> anyhow::Result<String> {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).context("cannot write to the temporary directory")?;
        Ok(path.display().to_string())
    }

    /// The standard output of gpg, whatever its exit code.
    fn run(&self, words: &[&str]) -> anyhow::Result<String> {
        let home = self.directory.path().display().to_string();
        let options = "--no-options --batch --no-tty --no-autostart --disable-dirmngr --no-auto-key-retrieve \
                       --no-auto-check-trustdb --trust-model always --quiet";
        let output = duct::cmd(
            &self.program,
            ["--homedir", &home].into_iter().chain(options.split_whitespace()).chain(words.iter().copied()),
        )
        .dir(self.directory.path())
        .full_env(exec::environment(&[], &BTreeMap::new()))
        .stdin_null()
        .stdout_capture()
        .stderr_capture()
        .unchecked()
        .run()
        .context("cannot run gpg")?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
