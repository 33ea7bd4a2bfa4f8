//! `release.json`: the one list of what a release consists of. Checksums, signing, upload and verification read only it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use drydock_archive::source::derive::{Derived, GeneratorRecord};
use drydock_archive::source::{Origin, SourceTree};
use drydock_archive::{EntryKind, Written};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_base::sums::{Sha256Sum, merkle_root};
use drydock_config::release::{Format, Release, Version};

/// The file's name.
pub const NAME: &str = "release.json";
/// The file of checksums.
pub const SUMS: &str = "SHA256SUMS";
/// The version of the format.
const FORMAT: u32 = 1;
/// The largest file that is read as one.
const LARGEST: u64 = 256 << 20;

/// A release of sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "release.json")]
pub struct Manifest {
    /// The version of this format.
    pub format: u32,
    /// The project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The commit.
    pub commit: String,
    /// The tag, and the object that it names; none for what is no release.
    pub tag: Option<Tag>,
    /// The date of everything in the archives (SOURCE_DATE_EPOCH), in seconds since 1970: that of the commit.
    pub epoch: u64,
    /// The directory that an archive unpacks to.
    pub directory: String,
    /// The sum of `packaging/release.yaml`.
    pub declaration: Sha256Sum,
    /// The submodules, by path, at their commits.
    pub submodules: BTreeMap<String, String>,
    /// What git tracks and the archives leave out, by path, and why.
    pub excluded: BTreeMap<String, String>,
    /// What made derived files.
    pub generators: Vec<GeneratorRecord>,
    /// Every file and link, sorted by the bytes of its path.
    pub entries: Vec<EntryRecord>,
    /// The root of the Merkle tree (RFC 6962) over the entries, each as `MODE SHA256 SIZE PATH` without a line end.
    pub root: Sha256Sum,
    /// The uncompressed tar stream: the same in all tar formats, whatever becomes of compressors.
    pub tar: Sum,
    /// The files to publish, sorted by name.
    pub artifacts: Vec<Artifact>,
    /// What made it. It may differ between machines that make the same files.
    pub made_by: BTreeMap<String, String>,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The tag object, or the commit when the tag is a light one.
    pub object: String,
}

/// A size and a sum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sum {
    /// In bytes.
    pub size: u64,
    /// The sum.
    pub sha256: Sha256Sum,
}

/// A file to publish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// The sum.
    pub sha256: Sha256Sum,
}

/// A file or link of the sources, and where it comes from: a blob of a repository, or a generator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryRecord {
    /// Its path, relative to the project.
    pub path: String,
    /// Its permissions, octal: 644, 755, or 777 for a link.
    pub mode: String,
    /// In bytes.
    pub size: u64,
    /// The sum of its content, or of a link's target.
    pub sha256: Sha256Sum,
    /// A link's target.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<String>,
    /// The blob.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub blob: Option<String>,
    /// The submodule whose repository has the blob; none for the project's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub submodule: Option<String>,
    /// The generator that made it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub generator: Option<String>,
}

impl EntryRecord {
    /// Its leaf in the Merkle tree.
    fn leaf(&self) -> Vec<u8> {
        format!("{} {} {} {}", self.mode, self.sha256, self.size, self.path).into_bytes()
    }
}

/// What is known about a release before its archives are written.
#[derive(Debug)]
pub struct Identity<'a> {
    /// The declaration.
    pub release: &'a Release,
    /// Its sum.
    pub declaration: Sha256Sum,
    /// The version.
    pub version: &'a Version,
    /// The tag, if there is one.
    pub tag: Option<Tag>,
}

impl Identity<'_> {
    /// The directory that an archive unpacks to.
    pub fn directory(&self) -> String {
        format!("{}-{}", self.release.name, self.version)
    }

    /// The archives with their file names.
    pub fn archives(&self) -> Vec<(Format, String)> {
        self.release.archives.iter().map(|archive| (archive.format, archive.name.render(self.version))).collect()
    }
}

impl Manifest {
    /// Everything about a release that was just written.
    pub fn new(identity: &Identity<'_>, tree: &SourceTree, derived: &Derived, written: &Written) -> Manifest {
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
            .map(|((_, name), archive)| Artifact { name, size: archive.size, sha256: archive.sha256 })
            .collect();
        artifacts.sort_by(|a, b| a.name.cmp(&b.name));
        let submodules = tree.repositories.iter().skip(1);
        Manifest {
            format: FORMAT,
            name: identity.release.name.clone(),
            version: identity.version.to_string(),
            commit: tree.commit.to_string(),
            tag: identity.tag.clone(),
            epoch: tree.epoch,
            directory: identity.directory(),
            declaration: identity.declaration,
            submodules: submodules
                .map(|source| (source.prefix.trim_end_matches('/').to_owned(), source.commit.to_string()))
                .collect(),
            excluded: tree.excluded.iter().map(|path| (path.path.clone(), path.reason.to_owned())).collect(),
            generators: derived.generators.clone(),
            root: merkle_root(&entries.iter().map(EntryRecord::leaf).collect::<Vec<_>>()),
            entries,
            tar: Sum { size: written.tar_size, sha256: written.tar },
            artifacts,
            made_by: BTreeMap::new(),
        }
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// It is missing, no such file, of another version of the format, or does not agree with itself.
    pub fn load(path: &Path) -> anyhow::Result<Manifest> {
        let wrong = |why: String| Failure::not_reproducible(format!("{}: {why}", path.display()));
        let file =
            paths::open_regular(path).with_context(|| format!("cannot read {}; is it a release?", path.display()))?;
        let mut text = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, LARGEST), &mut text)
            .map_err(|error| wrong(format!("it is no text: {error}")))?;
        Manifest::parse(&text).map_err(wrong)
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(text: &str) -> Result<Manifest, String> {
        let manifest: Manifest =
            serde_json::from_str(text).map_err(|error| format!("it is no release.json: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!(
                "it has the format {}, this Drydock reads {FORMAT}; use that of the release",
                manifest.format
            ));
        }
        let root = merkle_root(&manifest.entries.iter().map(EntryRecord::leaf).collect::<Vec<_>>());
        if root != manifest.root {
            return Err(format!("its entries have the root {root}, but it says {}; it was changed", manifest.root));
        }
        for artifact in &manifest.artifacts {
            let name = Path::new(&artifact.name);
            if name.file_name() != Some(name.as_os_str()) || Format::of_name(&artifact.name).is_none() {
                return Err(format!("{:?} is no name of an archive", artifact.name));
            }
        }
        let sorted = manifest.artifacts.windows(2).all(|pair| pair[0].name < pair[1].name);
        if !sorted || manifest.entries.windows(2).any(|pair| pair[0].path.as_bytes() >= pair[1].path.as_bytes()) {
            return Err("its artifacts or entries are not sorted, or one is there twice; it was changed".into());
        }
        Ok(manifest)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// None in practice.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// The text of `SHA256SUMS`. `release.json` is not in it, as it names the tools of the machine: so all who build the
    /// same release sign the same sums.
    pub fn sums(&self) -> String {
        self.artifacts.iter().map(|artifact| format!("{}  {}\n", artifact.sha256, artifact.name)).collect()
    }

    /// The same release made elsewhere: everything but what made it.
    pub fn is_same_release(&self, other: &Manifest) -> bool {
        let without = |manifest: &Manifest| Manifest { made_by: BTreeMap::new(), ..manifest.clone() };
        without(self) == without(other)
    }

    /// The files of its artifacts in a directory.
    pub fn files<'a>(&'a self, directory: &'a Path) -> impl Iterator<Item = (&'a Artifact, Format, PathBuf)> {
        self.artifacts
            .iter()
            .filter_map(|artifact| Some((artifact, Format::of_name(&artifact.name)?, directory.join(&artifact.name))))
    }

    /// What made the entry of a path in an archive, in words.
    pub fn origin_of(&self, path_in_archive: &str) -> Option<String> {
        let path = path_in_archive.strip_prefix(&self.directory)?.strip_prefix('/')?;
        let entry = self.entries.iter().find(|entry| entry.path == path)?;
        Some(match (&entry.generator, &entry.blob, &entry.submodule) {
            (Some(generator), _, _) => format!("made by the generator {generator}"),
            (None, Some(blob), Some(submodule)) => format!("blob {blob} of the submodule {submodule}"),
            (None, blob, _) => format!("blob {}", blob.as_deref().unwrap_or("unknown")),
        })
    }
}
