//! `packaging/release.yaml`: what a release consists of, and what proves it. The resolved and validated result.

pub mod deb;
mod declared;
mod nightly;
mod resolve;
mod version;

pub use declared::Format;
pub use nightly::Nightly;
pub use version::{NightlyVersion, Place, Version, VersionText};

pub(crate) use declared::ReleaseFile;

use super::decode;
use super::diagnostic::{Diagnostics, Problems};
use super::globs::FileGlob;
use std::path::{Path, PathBuf};

/// What a release consists of, validated, with every default applied.
#[derive(Debug, Clone)]
pub struct Release {
    /// The project's name.
    pub name: String,
    /// What the tag of a version is called.
    pub tag: VersionText,
    /// Files that hold the version.
    pub version_files: Vec<VersionFile>,
    /// The file with a heading for each version.
    pub changelog: Option<String>,
    /// Whether the files of submodules belong to the sources.
    pub submodules: bool,
    /// Generators of derived files, in the order in which they run.
    pub generators: Vec<Generator>,
    /// The archives to make, at least one, with different names.
    pub archives: Vec<Archive>,
    /// How it is proved that the archives can be built without a network.
    pub offline_proof: Option<OfflineProof>,
    /// Whose signatures count.
    pub signing: Option<Signing>,
    /// The Debian source package, and where it goes.
    pub deb: Option<deb::Deb>,
    /// What nightlies lead to, and where they go.
    pub nightly: Nightly,
}

/// A file that holds the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// The file, relative to the project.
    pub path: String,
    /// The line that holds it; without one, the file holds nothing else.
    pub line: Option<VersionText>,
}

/// A command that makes files of other files.
#[derive(Debug, Clone)]
pub struct Generator {
    /// The key under `derived`.
    pub name: String,
    /// The command, at least one word.
    pub run: Vec<String>,
    /// Patterns of the files that it reads.
    pub inputs: Vec<FileGlob>,
    /// Patterns of the files that it makes.
    pub outputs: Vec<FileGlob>,
    /// Patterns of what it leaves behind and is not shipped.
    pub scratch: Vec<FileGlob>,
    /// Debian packages that have what it calls.
    pub needs: Vec<String>,
    /// Whether every machine makes the same bytes, so that the outputs are shipped.
    pub host_independent: bool,
    /// Texts that the outputs may hold although they look like the version of an installed package.
    pub allow: Vec<String>,
}

/// An archive to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// Its format.
    pub format: Format,
    /// Its file name.
    pub name: VersionText,
}

/// How it is proved that the archives can be built without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineProof {
    /// The command that builds.
    pub build: Vec<String>,
    /// The command that tests.
    pub test: Option<Vec<String>>,
    /// Programs that a builder need not have.
    pub poisoned: Vec<String>,
}

/// Whose signatures count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// The directory with the signers' public keys, relative to the project.
    pub keys: PathBuf,
    /// How many of them must have signed.
    pub quorum: u32,
}

impl Release {
    /// Validates a text.
    ///
    /// # Errors
    /// All problems of the text at once.
    pub fn parse(text: &str, shown_as: &Path) -> Result<Release, Diagnostics> {
        let mut problems = Problems::default();
        let declared: Option<ReleaseFile> = decode::document(text, &mut problems);
        let release = declared.and_then(|file| resolve::release(file, &mut problems));
        match release {
            Some(release) if problems.is_empty() => Ok(release),
            Some(_) | None => Err(problems.in_file(shown_as, text)),
        }
    }
}

#[cfg(test)]
mod tests;
