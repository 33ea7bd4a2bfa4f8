//! The vocabulary of `packaging/release.yaml`, as it is written: each field once, with its default.

use super::deb::DebDeclaration;
use super::nightly::NightlyDeclaration;
use super::version::VersionText;
use crate::decode::{Bounded, Entries, FromText, Keyword, OneOrMany, Spanned, declaration};
use drydock_base::text::quoted;
use drydock_base::units::{BadValue, JobName};
use schemars::{Schema, json_schema};

/// A text with its place.
pub(super) type Text = Spanned<String>;

declaration! {
    /// What a release consists of, and what proves it.
    pub(in crate) struct ReleaseFile {
        /// The project's name: the first part of file names and of the directory that an archive unpacks to.
        name: Spanned<ProjectName>,
        /// Where the version is written.
        version: VersionDeclaration,
        /// What the sources are beside the files of the commit. Default: nothing.
        source: SourceDeclaration,
        /// The archives to make of the sources, at least one.
        archives: Spanned<Vec<ArchiveDeclaration>>,
        /// How it is proved that the archives can be built without a network. Default: it is not proved.
        offline_proof: Option<OfflineProofDeclaration>,
        /// Whose signatures count. Default: nobody's.
        signing: Option<SigningDeclaration>,
        /// The Debian source package, and where it goes. Default: there is none.
        deb: Option<DebDeclaration>,
        /// What nightlies lead to, and where they go. Default: the defaults of its fields.
        nightly: NightlyDeclaration,
    }
}

declaration! {
    /// Where the version is written.
    pub(in crate) struct VersionDeclaration {
        /// What the tag of a version is called.
        tag: Spanned<VersionText> = Spanned::unwritten(VersionText::new("v", "")),
        /// Files that hold the version. Default: none is checked.
        files: Option<Vec<VersionFileDeclaration>>,
        /// The file with a heading for each version, such as `## [1.2.0] - 2026-06-01`. Default: none is looked for.
        changelog: Option<Text>,
    }
}

declaration! {
    /// A file that holds the version.
    pub(in crate) struct VersionFileDeclaration {
        /// The file, relative to the project.
        path: Text,
        /// The line that holds it, with `{version}` in its place. Default: the file holds the version and nothing else.
        line: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// What the sources are beside the files of the commit.
    pub(in crate) struct SourceDeclaration {
        /// Whether the files of submodules belong to the sources, at the commits that the project pins.
        submodules: bool = true,
        /// Generators of files that are not in git, by name, in the order in which they run.
        /// Default: none.
        derived: Option<Entries<JobName, GeneratorDeclaration>>,
    }
}

declaration! {
    /// A command that makes files of other files.
    pub(in crate) struct GeneratorDeclaration {
        /// The command as a list of its words, without a shell. It runs in a clean copy of the sources.
        run: Spanned<Vec<Text>>,
        /// Patterns of the files that it reads; each must match something.
        inputs: Spanned<OneOrMany<Text>>,
        /// Patterns of the files that it makes; each must match something that it wrote, hidden files as well.
        outputs: Spanned<OneOrMany<Text>>,
        /// Patterns of files that it leaves behind and that are not shipped. Default: none.
        scratch: Option<OneOrMany<Text>>,
        /// Debian packages that have what it calls.
        needs: Vec<Text> = Vec::new(),
        /// Whether every machine makes the same bytes. If not, the outputs are not shipped: a builder makes them again.
        host_independent: bool = true,
        /// Texts that the outputs may hold although they look like the version of an installed package.
        allow: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// An archive to make.
    pub(in crate) struct ArchiveDeclaration {
        /// Its format.
        format: Spanned<Format>,
        /// Its file name, with `{version}`. Default: `NAME-{version}.` and the format.
        name: Option<Spanned<VersionText>>,
    }
}

declaration! {
    /// How it is proved that the archives can be built without a network.
    pub(in crate) struct OfflineProofDeclaration {
        /// The command that builds the unpacked archive, as a list of its words.
        build: Spanned<Vec<Text>>,
        /// The command that tests what was built. Default: nothing is tested.
        test: Option<Spanned<Vec<Text>>>,
        /// Programs that a builder need not have: they are replaced by ones that fail.
        poisoned: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// Whose signatures count.
    pub(in crate) struct SigningDeclaration {
        /// The directory with the signers' public OpenPGP keys, one a file (`*.asc` or `*.gpg`), relative to the project.
        keys: Text,
        /// How many of them must have signed.
        quorum: Bounded<1, 100> = Bounded(1),
    }
}

/// The format of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// tar, compressed by deflate.
    TarGz,
    /// tar, compressed by LZMA2.
    TarXz,
    /// tar, compressed by bzip2.
    TarBz2,
    /// zip with deflate.
    Zip,
}

impl Format {
    /// Every format.
    pub const ALL: [Format; 4] = [Format::TarGz, Format::TarXz, Format::TarBz2, Format::Zip];

    /// The ending of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Format::TarGz => "tar.gz",
            Format::TarXz => "tar.xz",
            Format::TarBz2 => "tar.bz2",
            Format::Zip => "zip",
        }
    }

    /// The format of a file, by its name.
    pub fn of_name(name: &str) -> Option<Format> {
        Self::ALL.into_iter().find(|format| name.ends_with(&format!(".{}", format.extension())))
    }
}

impl Keyword for Format {
    const WHAT: &'static str = "the format of an archive";
    const WORDS: &'static [(&'static str, Self)] =
        &[("tar.gz", Self::TarGz), ("tar.xz", Self::TarXz), ("tar.bz2", Self::TarBz2), ("zip", Self::Zip)];
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
        Err(BadValue::new(format!("{} cannot name files", quoted(text)), expected))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9+._-]*$"})
    }
}
