//! `packaging/release.yaml`: the contents of a release and its proof. The resolved and validated result.

mod binaries;
mod ci;
pub mod deb;
mod declared;
mod format;
mod nightly;
mod publish;
mod resolve;
mod sbom;
mod vendor;
mod version;
mod version_file;
mod words;

pub use binaries::{Binary, Srpm, SrpmName};
pub use ci::RequiredCi;
pub use format::Format;
pub use nightly::Nightly;
pub use publish::{FileAccess, FileTarget, PublishTarget, PypiTarget, PythonIndex};
pub use sbom::{Sbom, VendoredLibrary};
pub use vendor::Vendor;
pub use version::{NightlyVersion, Place, Version, VersionText};
pub use version_file::{HeldVersion, NumberLine, VersionFile, VersionPlace, line_with};

pub(crate) use declared::ReleaseFile;

use super::decode;
use super::diagnostic::{Diagnostics, Problems};
use super::globs::FileGlob;
use std::path::{Path, PathBuf};

/// The contents of a release, validated, with every default applied.
#[derive(Debug, Clone)]
pub struct Release {
    /// The project's name.
    pub name: String,
    /// The name of a version's tag.
    pub tag: VersionText,
    /// Files that contain the version.
    pub version_files: Vec<VersionFile>,
    /// The file with a heading for each version.
    pub changelog: Option<String>,
    /// True if the files of submodules are part of the sources.
    pub submodules: bool,
    /// False if names are allowed that Windows or macOS cannot hold or cannot tell apart.
    pub portable_names: bool,
    /// The crates that the sources contain.
    pub vendor: Option<Vendor>,
    /// Generators of derived files, in the order in which they run.
    pub generators: Vec<Generator>,
    /// The archives to build, at least one, with different names.
    pub archives: Vec<Archive>,
    /// The binary tarballs to build from the source archive, with different names.
    pub binaries: Vec<Binary>,
    /// The proof that the archives can be built without a network.
    pub offline_proof: Option<OfflineProof>,
    /// Documents about the components and the origin.
    pub sbom: Option<Sbom>,
    /// The signers, and the number of signatures that are required.
    pub signing: Option<Signing>,
    /// The Debian source package and its upload target.
    pub deb: Option<deb::Deb>,
    /// The settings of nightlies.
    pub nightly: Nightly,
    /// The tests that a commit must have passed.
    pub ci: Option<RequiredCi>,
    /// The targets of a release, in the order in which they are served.
    pub publish: Vec<PublishTarget>,
}

/// A command that generates files from other files.
#[derive(Debug, Clone)]
pub struct Generator {
    /// The key under `derived`.
    pub name: String,
    /// The command, at least one word.
    pub run: Vec<String>,
    /// Patterns of the files that it reads.
    pub inputs: Vec<FileGlob>,
    /// Patterns of the files that it writes.
    pub outputs: Vec<FileGlob>,
    /// Patterns of temporary files that it leaves behind and that are not shipped.
    pub scratch: Vec<FileGlob>,
    /// Debian packages that provide the programs that it calls.
    pub needs: Vec<String>,
    /// True if the outputs are the same on every machine, so that they are shipped.
    pub host_independent: bool,
    /// True if the outputs are copies of files from elsewhere, which may contain versions of programs and libraries.
    pub copies: bool,
    /// Texts that lines of the outputs may contain although they look like a trace of a machine.
    pub allow: Vec<String>,
}

/// An archive to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The format.
    pub format: Format,
    /// The file name.
    pub name: VersionText,
}

/// The proof that the archives can be built without a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineProof {
    /// The command that builds.
    pub build: Vec<String>,
    /// The command that tests.
    pub test: Option<Vec<String>>,
    /// Programs that the build must not use.
    pub poisoned: Vec<String>,
}

/// The signers, and the number of signatures that are required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// The directory with the signers' public keys, relative to the project.
    pub keys: PathBuf,
    /// The number of signers that must have signed.
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

    /// The directories of the packages of Python that a release has.
    pub fn python_packages(&self) -> &[String] {
        let packages = self.publish.iter().find_map(|target| match target {
            PublishTarget::Pypi(pypi) => Some(pypi.packages.as_slice()),
            PublishTarget::Files(_)
            | PublishTarget::Deb { .. }
            | PublishTarget::Images(_)
            | PublishTarget::Github(_) => None,
        });
        packages.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
