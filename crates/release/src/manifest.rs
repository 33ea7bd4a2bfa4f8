//! `release.json`: which release it is, and the list of everything in it. `SHA256SUMS` lists it too, so that signatures cover it; it
//! has nothing that depends on the machine that built the release.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::binaries::{self, BinaryRecord};
use crate::sbom::{self, Document};
use drydock_archive::source::derive::{Derived, GeneratorRecord};
use drydock_archive::source::{Origin, SourceTree};
use drydock_archive::{EntryKind, Written};
use drydock_base::checksum::{Checksum, merkle_root};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::release::{Format, Release, Version};

/// The name of the file.
pub const NAME: &str = "release.json";
/// The name of the file with the checksums of the artifacts.
pub const CHECKSUMS: &str = "SHA256SUMS";
/// The version of the file format.
const FORMAT: u32 = 1;
/// The largest `release.json` that is read, in bytes.
const LARGEST: u64 = 256 << 20;

/// A source release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "release.json")]
pub struct Manifest {
    /// The version of this file format.
    pub format: u32,
    /// The name of the project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit, in hexadecimal digits.
    pub commit: String,
    /// The release tag; none for a nightly or a trial.
    pub tag: Option<Tag>,
    /// The commit date in seconds since 1970. It is the modification time in the archives, and SOURCE_DATE_EPOCH.
    pub epoch: u64,
    /// The top directory of the archives.
    pub directory: String,
    /// The checksum of `packaging/release.yaml`.
    pub declaration: Checksum,
    /// The commits of the submodules by their paths.
    pub submodules: BTreeMap<String, String>,
    /// The tracked paths that the archives do not contain, each with the reason.
    pub excluded: BTreeMap<String, String>,
    /// The generators of derived files, in the order in which they ran.
    pub generators: Vec<GeneratorRecord>,
    /// Every file and link, sorted by the bytes of the path.
    pub entries: Vec<EntryRecord>,
    /// The root of the Merkle tree (RFC 6962) over the entries. A leaf is `MODE SHA256 SIZE PATH` without a line end.
    pub root: Checksum,
    /// The uncompressed tar stream, which is the same in all tar formats and independent of compressor versions.
    pub tar: StreamDigest,
    /// How binary tarballs were made, in the order of the declaration.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub binaries: Vec<BinaryRecord>,
    /// The files to publish, sorted by name.
    pub artifacts: Vec<Artifact>,
}

/// A release tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// The name.
    pub name: String,
    /// The tag object, or the commit of a lightweight tag, in hexadecimal digits.
    pub object: String,
}

/// The size and checksum of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamDigest {
    /// The size in bytes.
    pub size: u64,
    /// The checksum.
    pub sha256: Checksum,
}

/// A file to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// The file name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The checksum.
    pub sha256: Checksum,
    /// What it is, unless it is an archive of the sources.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<ArtifactKind>,
}

/// What an artifact is that is not an archive of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ArtifactKind {
    /// A package of Python: an sdist or a wheel.
    Python,
    /// A document about the components or the origin.
    Document,
    /// A binary tarball, which is unpacked in `/`.
    Binary,
    /// A source RPM.
    SourceRpm,
}

impl Artifact {
    /// The format of the archive that it is; `None` if it is not one.
    pub fn format(&self) -> Option<Format> {
        match self.kind {
            Some(ArtifactKind::Python) if self.name.ends_with(".whl") => Some(Format::Zip),
            Some(ArtifactKind::Document | ArtifactKind::SourceRpm) => None,
            Some(ArtifactKind::Python | ArtifactKind::Binary) | None => Format::of_name(&self.name),
        }
    }
}

/// A file or link of the sources, with its origin: a blob of a repository, or a generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryRecord {
    /// The path, relative to the project.
    pub path: String,
    /// The permission bits in octal: 644, 755, or 777 for a link.
    pub mode: String,
    /// The size in bytes.
    pub size: u64,
    /// The checksum of the content, or of a link's target.
    pub sha256: Checksum,
    /// The target of a link; none for a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<String>,
    /// The blob in git; none for a derived file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blob: Option<String>,
    /// The path of the submodule with the blob; none if the project itself has it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub submodule: Option<String>,
    /// The name of the generator; none for a file in git.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generator: Option<String>,
}

/// A text that is not a valid manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The text is not JSON, or has other fields.
    #[error("cannot parse it as release.json: {0}")]
    Syntax(#[from] serde_json::Error),
    /// The file has this version of the format, which is not supported.
    #[error(
        "it has version {0} of the format, and this Drydock supports {FORMAT}; use the Drydock that built the release"
    )]
    Format(u32),
    /// The root of the Merkle tree does not match the entries.
    #[error("its entries have the root {computed}, but it states {stated}; it was modified")]
    Root {
        /// The root of the entries.
        computed: Checksum,
        /// The root that the manifest states.
        stated: Checksum,
    },
    /// The name of an artifact is not the file name of an archive or a document.
    #[error("invalid artifact name {0:?}")]
    ArtifactName(String),
    /// Artifacts or entries are not sorted, or duplicated.
    #[error("its artifacts or entries are not sorted, or duplicated; it was modified")]
    Order,
}

impl EntryRecord {
    /// The leaf of the Merkle tree.
    fn leaf(&self) -> Vec<u8> {
        format!("{} {} {} {}", self.mode, self.sha256, self.size, self.path).into_bytes()
    }
}

/// The properties of a release that are known before its archives are written.
#[derive(Debug)]
pub struct Identity<'a> {
    /// The declaration.
    pub release: &'a Release,
    /// The checksum of the declaration file.
    pub declaration: Checksum,
    /// The version.
    pub version: &'a Version,
    /// The release tag; none for a nightly or a trial.
    pub tag: Option<Tag>,
}

/// What was written of a release.
#[derive(Debug, Clone, Copy)]
pub struct Made<'a> {
    /// The archives of the sources.
    pub written: &'a Written,
    /// Packages of Python, binary tarballs and source RPMs.
    pub others: &'a [Artifact],
    /// How the binary tarballs were made.
    pub binaries: &'a [BinaryRecord],
}

impl Identity<'_> {
    /// The top directory of the archives.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.release.name, self.version)
    }

    /// The formats and file names of the archives.
    pub fn archives(&self) -> Vec<(Format, String)> {
        self.release.archives.iter().map(|archive| (archive.format, archive.name.render(self.version))).collect()
    }

    /// The names of all artifacts that are known before they are built: archives, the binaries of a tagged release, and documents, each
    /// if they are declared.
    pub fn names(&self) -> Vec<String> {
        let binaries = binaries::names(&self.release.binaries, &self.release.name, self.version);
        let binaries = binaries.into_iter().filter(|_| self.tag.is_some()).map(|(name, _)| name);
        let documents = sbom::ENDINGS.iter().filter(|_| self.release.sbom.is_some());
        let documents = documents.map(|ending| format!("{}{ending}", self.directory()));
        self.archives().into_iter().map(|(_, name)| name).chain(binaries).chain(documents).collect()
    }
}

impl Manifest {
    /// The manifest of a release whose archives were written.
    ///
    /// # Errors
    /// The documents about its components cannot be made.
    pub fn new(
        identity: &Identity<'_>,
        tree: &SourceTree,
        derived: &Derived,
        made: &Made<'_>,
    ) -> anyhow::Result<(Manifest, Vec<Document>)> {
        let Made { written, others, binaries } = *made;
        let prefix_of = |index: usize| tree.repositories.get(index).map(|source| source.prefix.trim_end_matches('/'));
        let entries: Vec<EntryRecord> = tree
            .entries
            .iter()
            .zip(&written.entries)
            .map(|(entry, sum)| {
                let (blob, submodule, generator) = match &entry.origin {
                    Origin::Git { repository, blob } => {
                        let submodule = prefix_of(*repository).filter(|prefix| !prefix.is_empty());
                        (Some(blob.to_string()), submodule.map(str::to_owned), None)
                    }
                    Origin::Derived { generator, .. } => (None, None, Some(generator.clone())),
                };
                EntryRecord {
                    path: entry.path.clone(),
                    mode: format!("{:o}", entry.kind.mode()),
                    size: sum.size,
                    sha256: sum.sha256,
                    link: match &entry.kind {
                        EntryKind::Symlink { target } => Some(target.clone()),
                        EntryKind::File { .. } | EntryKind::Directory => None,
                    },
                    blob,
                    submodule,
                    generator,
                }
            })
            .collect();
        let mut artifacts: Vec<Artifact> = identity
            .archives()
            .into_iter()
            .zip(&written.archives)
            .map(|((_, name), archive)| Artifact { name, size: archive.size, sha256: archive.sha256, kind: None })
            .chain(others.iter().cloned())
            .collect();
        let documents = match &identity.release.sbom {
            Some(_) => sbom::documents(identity, tree, &artifacts, binaries)?,
            None => Vec::new(),
        };
        artifacts.extend(documents.iter().map(Document::artifact));
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        let submodules = tree.repositories.iter().skip(1);
        let manifest = Manifest {
            submodules: submodules
                .map(|source| (source.prefix.trim_end_matches('/').to_owned(), source.commit.to_string()))
                .collect(),
            excluded: tree.excluded.iter().map(|path| (path.path.clone(), path.reason.to_owned())).collect(),
            generators: derived.generators.clone(),
            root: merkle_root(&entries.iter().map(EntryRecord::leaf).collect::<Vec<_>>()),
            entries,
            tar: StreamDigest { size: written.tar_size, sha256: written.tar },
            binaries: binaries.to_vec(),
            artifacts,
            ..Manifest::empty(identity, tree)
        };
        Ok((manifest, documents))
    }

    /// The manifest of a release that was not built yet: the names of its archives, with the checksum of nothing.
    pub fn planned(identity: &Identity<'_>, tree: &SourceTree) -> Manifest {
        let nothing = Checksum::new(b"");
        let mut artifacts: Vec<Artifact> =
            identity.names().into_iter().map(|name| Artifact { name, size: 0, sha256: nothing, kind: None }).collect();
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        Manifest { artifacts, ..Manifest::empty(identity, tree) }
    }

    /// What is known of a release before anything of it is written.
    fn empty(identity: &Identity<'_>, tree: &SourceTree) -> Manifest {
        Manifest {
            format: FORMAT,
            name: identity.release.name.clone(),
            version: identity.version.to_string(),
            commit: tree.commit.to_string(),
            tag: identity.tag.clone(),
            epoch: tree.epoch,
            directory: identity.directory(),
            declaration: identity.declaration,
            submodules: Default::default(),
            excluded: Default::default(),
            generators: Vec::new(),
            root: merkle_root(&[]),
            entries: Vec::new(),
            tar: StreamDigest { size: 0, sha256: Checksum::new(b"") },
            binaries: Vec::new(),
            artifacts: Vec::new(),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a valid manifest.
    pub fn load(path: &Path) -> anyhow::Result<Manifest> {
        let wrong = |why: String| Failure::not_reproducible(format!("{}: {why}", path.display()));
        let file =
            paths::open_regular(path).with_context(|| format!("cannot read {}; is it a release?", path.display()))?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, LARGEST), &mut text)
            .map_err(|error| wrong(format!("cannot read it as text: {error}")))?;
        Manifest::parse(&text).map_err(|error| wrong(error.to_string()))
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        let manifest: Manifest = serde_json::from_str(text)?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Format(manifest.format));
        }
        let root = merkle_root(&manifest.entries.iter().map(EntryRecord::leaf).collect::<Vec<_>>());
        if root != manifest.root {
            return Err(ManifestError::Root { computed: root, stated: manifest.root });
        }
        for artifact in &manifest.artifacts {
            let name = Path::new(&artifact.name);
            let is_right = match artifact.kind {
                Some(ArtifactKind::Document) => sbom::is_document(&artifact.name),
                Some(ArtifactKind::SourceRpm) => artifact.name.ends_with(".src.rpm"),
                Some(ArtifactKind::Python | ArtifactKind::Binary) | None => artifact.format().is_some(),
            };
            if name.file_name() != Some(name.as_os_str()) || !is_right {
                return Err(ManifestError::ArtifactName(artifact.name.clone()));
            }
        }
        let sorted = manifest.artifacts.windows(2).all(|pair| pair[0].name < pair[1].name);
        if !sorted || manifest.entries.windows(2).any(|pair| pair[0].path.as_bytes() >= pair[1].path.as_bytes()) {
            return Err(ManifestError::Order);
        }
        Ok(manifest)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// Serialisation fails, which is a bug.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// The text of `SHA256SUMS`: the artifacts and this file.
    ///
    /// # Errors
    /// Serialisation fails, which is a bug.
    pub fn checksums(&self) -> anyhow::Result<String> {
        let own = (NAME, Checksum::new(self.text()?.as_bytes()));
        let mut lines: Vec<(&str, Checksum)> =
            self.artifacts.iter().map(|artifact| (artifact.name.as_str(), artifact.sha256)).chain([own]).collect();
        lines.sort_unstable();
        Ok(lines.into_iter().map(|(name, checksum)| format!("{checksum}  {name}\n")).collect())
    }

    /// The artifacts with their formats and their paths in a directory.
    pub fn files<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Artifact, Format, PathBuf)> {
        self.artifacts
            .iter()
            .filter_map(|artifact| Some((artifact, artifact.format()?, directory.join(&artifact.name))))
    }

    /// The archives of the sources, as [`Manifest::files`] has them.
    pub fn archives<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Artifact, Format, PathBuf)> {
        self.files(directory).filter(|(artifact, ..)| artifact.kind.is_none())
    }

    /// The origin of an entry in words, by its path in an archive; none for an unknown path.
    pub fn origin_of(&self, path_in_archive: &str) -> Option<String> {
        let path = path_in_archive.strip_prefix(&self.directory)?.strip_prefix('/')?;
        let entry = self.entries.iter().find(|entry| entry.path == path)?;
        Some(match (&entry.generator, &entry.blob, &entry.submodule) {
            (Some(generator), _, _) => format!("from the generator {generator}"),
            (None, Some(blob), Some(submodule)) => format!("blob {blob} of the submodule {submodule}"),
            (None, blob, _) => format!("blob {}", blob.as_deref().unwrap_or("unknown")),
        })
    }
}
