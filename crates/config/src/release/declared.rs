//! The vocabulary of `packaging/release.yaml`, as it is written: each field once, with its default.

use super::binaries::BinaryDeclaration;
use super::ci::CiDeclaration;
use super::deb::DebDeclaration;
use super::format::Format;
use super::nightly::NightlyDeclaration;
use super::publish::PublishDeclaration;
use super::sbom::SbomDeclaration;
use super::vendor::VendorDeclaration;
use super::version::VersionText;
use super::version_file::NumberLine;
use crate::decode::{Bounded, Entries, FromText, OneOrMany, Spanned, declaration};
use crate::diagnostic::{Place, Problem, Problems};
use drydock_base::text::quoted;
use drydock_base::units::{BadValue, JobName};
use schemars::{Schema, json_schema};

/// A text with its place.
pub(super) use super::words::Text;

declaration! {
    /// The contents of a release and its proof.
    pub(in crate) struct ReleaseFile {
        /// The project's name: the first part of the names of archives and of their top directories.
        name: Spanned<ProjectName>,
        /// The places that contain the version.
        version: VersionDeclaration,
        /// Sources in addition to the files of the commit. Default: the defaults of its fields.
        source: SourceDeclaration,
        /// The archives to build from the sources, at least one.
        archives: Spanned<Vec<ArchiveDeclaration>>,
        /// The binary tarballs of a release, by the names of distributions, such as `Fedora-42-amd64`; nightlies have none. Default: none.
        binaries: Option<Entries<JobName, BinaryDeclaration>>,
        /// The proof that the archives can be built without a network. Default: no proof.
        offline_proof: Option<OfflineProofDeclaration>,
        /// Documents about the components and the origin of the release. Default: none.
        sbom: Option<SbomDeclaration>,
        /// The signers and the required number of signatures. Default: none.
        signing: Option<SigningDeclaration>,
        /// The Debian source package and its upload target. Default: none.
        deb: Option<DebDeclaration>,
        /// The settings of nightlies. Default: the defaults of its fields.
        nightly: NightlyDeclaration,
        /// The tests that a commit must have passed. Default: those on GitHub, if `publish` has a target there.
        ci: Option<CiDeclaration>,
        /// The targets of a release, in the order in which they are served. Default: none.
        publish: Option<Spanned<Vec<Spanned<PublishDeclaration>>>>,
    }
}

declaration! {
    /// The places that contain the version.
    pub(in crate) struct VersionDeclaration {
        /// The name of a version's tag.
        tag: Spanned<VersionText> = Spanned::unwritten(VersionText::new("v", "")),
        /// Files that contain the version. Default: none is checked.
        files: Option<Vec<VersionFileDeclaration>>,
        /// The file with a heading for each version, such as `## [1.2.0] - 2026-06-01`. Default: none is checked.
        changelog: Option<Text>,
    }
}

declaration! {
    /// A file that contains the version.
    pub(in crate) struct VersionFileDeclaration {
        /// The file, relative to the project.
        path: Text,
        /// The line that contains the version, written as `{version}`. Blanks may be around it, and a comment after it.
        /// Default: the file contains only the version.
        line: Option<Spanned<VersionText>>,
        /// Instead of `line`: the lines that contain the numbers of the version, written as `{major}`, `{minor}` and `{patch}`,
        /// such as `#define LAMP_VERSION_MAJOR {major}`. Default: none.
        lines: Option<Spanned<Vec<Spanned<NumberLine>>>>,
        /// The key whose value is the version, such as `package.version`, in TOML, JSON, or a file with sections, instead of
        /// `line`. Default: none.
        key: Option<Text>,
    }
}

declaration! {
    /// Sources in addition to the files of the commit.
    pub(in crate) struct SourceDeclaration {
        /// True to include the files of submodules, at the commits that the project pins.
        submodules: bool = true,
        /// False to allow names that Windows or macOS cannot hold or cannot tell apart, such as `aux.c`, `a:b`, or
        /// `makefile` beside `Makefile`. Default: such names are refused.
        portable_names: bool = true,
        /// Crates that the archives contain, so that they can be built without a network. Default: none.
        vendor: Option<VendorDeclaration>,
        /// Generators of files that are not in git, by name, in the order in which they run.
        /// Default: none.
        derived: Option<Entries<JobName, GeneratorDeclaration>>,
    }
}

declaration! {
    /// A command that generates files from other files.
    pub(in crate) struct GeneratorDeclaration {
        /// The command as a list of its words, without a shell. It runs in a clean copy of the sources, with the version in the
        /// environment variable `DRYDOCK_VERSION`.
        run: Spanned<Vec<Text>>,
        /// Patterns of the files that it reads; each must match at least one file.
        inputs: Spanned<OneOrMany<Text>>,
        /// Patterns of the files that it writes, including names with a leading dot; each must match at least one of them.
        outputs: Spanned<OneOrMany<Text>>,
        /// Patterns of temporary files that it leaves behind and that are not shipped. Default: none.
        scratch: Option<OneOrMany<Text>>,
        /// Debian packages that provide the programs that it calls.
        needs: Vec<Text> = Vec::new(),
        /// True if the outputs are the same on every machine. Otherwise they are not shipped, and the build generates them.
        host_independent: bool = true,
        /// True if the outputs are copies of files from elsewhere, such as the sources of crates, whose checksums are among the
        /// inputs. They are not searched for versions of programs and libraries.
        copies: bool = false,
        /// Texts that lines of the outputs may contain although they look like a trace of a machine.
        allow: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// An archive to build.
    pub(in crate) struct ArchiveDeclaration {
        /// The format.
        format: Spanned<Format>,
        /// The file name, with `{version}`. Default: `NAME-{version}.` and the format.
        name: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// The proof that the archives can be built without a network.
    pub(in crate) struct OfflineProofDeclaration {
        /// The command that builds the unpacked archive, as a list of its words.
        build: Spanned<Vec<Text>>,
        /// The command that tests the build. Default: no test.
        test: Option<Spanned<Vec<Text>>>,
        /// Programs that the build must not use: they are replaced by programs that fail.
        poisoned: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// The signers and the required number of signatures.
    pub(in crate) struct SigningDeclaration {
        /// The directory with the signers' public keys, OpenPGP or SSH, relative to the project. One file is one person, and
        /// is named after them.
        keys: Text,
        /// The number of people who must have signed.
        quorum: Bounded<1, 100> = Bounded(1),
    }
}

/// Checks the name of a file with an ending; problems are added to `problems`.
pub(super) fn file_name(name: &VersionText, place: Place, ending: &str, problems: &mut Problems) {
    let text = name.to_string();
    if text.contains('/') || text.starts_with(['.', '-']) || text.chars().any(|c| c.is_control() || c == '\\') {
        let problem = Problem::new(place, format!("{} is not a file name", quoted(&text)));
        problems.push(problem.expected("a name without `/` and `\\`, not starting with `.` or `-`"));
    } else if !text.ends_with(ending) {
        let problem = Problem::new(place, format!("{} does not end with `{ending}`", quoted(&text)));
        problems.push(problem.expected("the ending of its format"));
    }
}

/// The name of a project, fit for file names everywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProjectName(pub(super) String);

impl FromText for ProjectName {
    const WHAT: &'static str = "the name of a project";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+._-".contains(&byte);
        let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if starts && text.len() <= 64 && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "at most 64 letters, digits and `+ . _ -`, starting with a letter or digit";
        Err(BadValue::new(format!("{} is not the name of a project", quoted(text)), expected))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9+._-]*$"})
    }
}
