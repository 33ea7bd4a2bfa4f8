//! A source package unpacked by dpkg-source, as builders and archives do it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::vendor;
use drydock_base::exec;
use drydock_base::failure::Failure;

/// An unpacked source package. The directory goes away with it.
#[derive(Debug)]
pub struct Unpacked {
    scratch: tempfile::TempDir,
    /// The directories that it unpacked to; one, unless something is wrong.
    pub directories: Vec<PathBuf>,
    /// The error of dpkg-source, when it failed.
    pub failure: Option<exec::Error>,
}

/// Unpacks a source package; the files stand beside the `.dsc`.
///
/// # Errors
/// dpkg-source is missing, or there is no room.
pub fn unpack(dsc: &Path) -> anyhow::Result<Unpacked> {
    let scratch = tempfile::Builder::new().prefix("drydock-unpack-").tempdir().context("cannot make a directory")?;
    let name = dsc.canonicalize().with_context(|| format!("cannot read {}", dsc.display()))?;
    let argv = ["dpkg-source", "--no-check", "-x", &name.display().to_string()].map(str::to_owned);
    exec::find("dpkg-source", Path::new("/"), std::env::var_os("PATH").as_ref())
        .map_err(|why| Failure::missing(format!("{why}; apt-get install dpkg-dev")))?;
    let failure = exec::read(&argv, scratch.path()).err();
    let mut directories: Vec<PathBuf> = fs::read_dir(scratch.path())
        .context("cannot read a temporary directory")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    directories.sort();
    Ok(Unpacked { scratch, directories, failure })
}

impl Unpacked {
    /// The unpacked sources.
    pub fn root(&self) -> &Path {
        self.directories.first().map_or(self.scratch.path(), PathBuf::as_path)
    }

    /// Whether the crates survive what builders do before they build: as unpacked, and after `debian/rules clean` where
    /// its tools are here. Says how many files were checked, and what is wrong.
    ///
    /// # Errors
    /// A list of checksums cannot be read.
    pub fn crates_survive(&self) -> anyhow::Result<Option<Survival>> {
        let directory = self.root().join(vendor::COMPONENT);
        if !directory.is_dir() {
            return Ok(None);
        }
        let (files, mut wrong) = vendor::rehash(&directory)?;
        let argv = ["debian/rules", "clean"].map(str::to_owned);
        let mut cleaned = false;
        if exec::is_installed("dh_clean") {
            exec::read(&argv, self.root()).map_err(|why| {
                Failure::rejected(format!("the sources cannot be cleaned as a builder does it: {why}"))
            })?;
            cleaned = true;
            let (_, after) = vendor::rehash(&directory)?;
            wrong.extend(after.into_iter().map(|what| format!("{what} after `debian/rules clean`")));
        }
        Ok(Some(Survival { files, cleaned, wrong }))
    }
}

/// What became of vendored crates.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Survival {
    /// How many files were hashed.
    pub files: usize,
    /// Whether they were hashed again after `debian/rules clean`.
    pub cleaned: bool,
    /// What is wrong.
    pub wrong: Vec<String>,
}
