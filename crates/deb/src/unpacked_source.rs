//! A source package that dpkg-source unpacked, as builders and archives do.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use drydock_archive::source::vendor;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::scratch::Scratch;

/// An unpacked source package. Dropping it removes its directory.
#[derive(Debug)]
pub struct UnpackedSource {
    scratch: Scratch,
    /// The directories that it unpacked to; exactly one, unless the package is wrong.
    pub directories: Vec<PathBuf>,
    /// The failure of dpkg-source.
    pub failure: Option<UnpackFailure>,
}

/// A failure of dpkg-source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackFailure {
    /// The exit code; 1 if a signal killed dpkg-source.
    pub code: i32,
    /// The end of the error output.
    pub output: String,
}

impl UnpackedSource {
    /// Unpacks a source package, whose files are next to the `.dsc`.
    ///
    /// # Errors
    /// dpkg-source is missing or cannot be run. That it fails is not an error, but [`UnpackedSource::failure`].
    pub fn new(dsc: &Path) -> anyhow::Result<UnpackedSource> {
        let scratch = Scratch::new("unpack")?;
        let dsc = dsc.canonicalize().with_context(|| format!("cannot read {}", dsc.display()))?;
        let argv = ["dpkg-source", "--no-check", "-x", &dsc.display().to_string()].map(str::to_owned);
        let failure = match exec::read(&argv, scratch.path()) {
            Ok(_) => None,
            Err(exec::Error::Exit { status, said, .. }) => {
                Some(UnpackFailure { code: status.code().unwrap_or(1), output: said })
            }
            Err(other) => {
                return Err(Failure::missing(format!("{other}; run `{}`", hint::apt_get(["install", "dpkg-dev"]))));
            }
        };
        let mut directories: Vec<PathBuf> = fs::read_dir(scratch.path())
            .context("cannot read a temporary directory")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
            .collect();
        directories.sort();
        Ok(UnpackedSource { scratch, directories, failure })
    }

    /// The directory of the unpacked sources.
    pub fn root(&self) -> &Path {
        self.directories.first().map_or(self.scratch.path(), PathBuf::as_path)
    }

    /// Checks the vendored crates against their checksums, as unpacked and, if debhelper is installed, after
    /// `debian/rules clean`, which builders run before they build. `None` without vendored crates.
    ///
    /// # Errors
    /// A list of checksums cannot be read, or `debian/rules clean` fails.
    pub fn check_vendored(&self) -> anyhow::Result<Option<VendorCheck>> {
        let directories = vendor::directories(self.root())?;
        if directories.is_empty() {
            return Ok(None);
        }
        let verify = || {
            let mut sum = (0, Vec::new());
            for directory in &directories {
                let (files, problems) = vendor::verify(&self.root().join(directory))?;
                sum.0 += files;
                sum.1.extend(problems.into_iter().map(|problem| format!("{}/{problem}", directory.display())));
            }
            anyhow::Ok(sum)
        };
        let (files, mut problems) = verify()?;
        let cleaned = exec::is_installed("dh_clean");
        if cleaned {
            let argv = ["debian/rules", "clean"].map(str::to_owned);
            exec::contained(&argv, self.root(), exec::environment(&[], &BTreeMap::new()))
                .context("cannot clean the sources")?;
            let (_, after) = verify()?;
            problems.extend(after.into_iter().map(|problem| format!("{problem} after `debian/rules clean`")));
        }
        Ok(Some(VendorCheck { files, cleaned, problems }))
    }
}

/// The result of checking vendored crates.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct VendorCheck {
    /// The number of files that were checked.
    pub files: usize,
    /// Whether they were checked again after `debian/rules clean`.
    pub cleaned: bool,
    /// A sentence about each file that is missing or differs.
    pub problems: Vec<String>,
}
