//! An image that may become a release, as its registry has it, with what is said about it.

use std::collections::BTreeMap;

use crate::build_record::{self, BuildRecord};
use crate::image::VERSION;
use crate::model::{Descriptor, ImageConfig, Index, ParsedManifest, PlatformObject};
use crate::registry::Registry;
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository};
use drydock_config::release::Version;

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its index.
    pub descriptor: Descriptor,
    /// The image of each platform that the index lists.
    pub platforms: Vec<PlatformImage>,
    /// The build records that are attached to it, or what is wrong with one.
    pub records: Vec<Result<BuildRecord, String>>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// As the index says.
    pub platform: Option<PlatformObject>,
    /// Its manifest.
    pub digest: Digest,
    /// Its labels; none when it has no configuration that can be read.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Candidate {
    /// Reads an image; `None` when there is none.
    ///
    /// # Errors
    /// It is no index, or the registry cannot be reached or refuses.
    pub fn read(registry: &Registry, repository: &Repository, digest: Digest) -> anyhow::Result<Option<Candidate>> {
        let Some(fetched) = registry.manifest(repository, &digest.into())? else { return Ok(None) };
        let ParsedManifest::Index(index) = fetched.parse()? else {
            let text = format!("{repository}@{digest} is no index; Drydock's own images always are");
            return Err(Failure::rejected(text));
        };
        let mut platforms = Vec::new();
        for child in images(&index) {
            let labels = labels(registry, repository, child.digest)?;
            platforms.push(PlatformImage { platform: child.platform.clone(), digest: child.digest, labels });
        }
        let artifacts = registry.artifacts(repository, &digest, build_record::ARTIFACT_TYPE)?;
        let read = |files: Vec<Vec<u8>>| {
            let first = files.first().ok_or_else(|| "it is empty".to_owned())?;
            BuildRecord::parse(&String::from_utf8_lossy(first))
        };
        let records = artifacts.into_iter().map(read).collect();
        Ok(Some(Candidate { descriptor: fetched.descriptor, platforms, records }))
    }
}

/// The version that an image says it has: of the first of its platforms that says one.
///
/// # Errors
/// The registry cannot be reached or refuses.
pub fn version_of(registry: &Registry, repository: &Repository, digest: Digest) -> anyhow::Result<Option<Version>> {
    let Some(fetched) = registry.manifest(repository, &digest.into())? else { return Ok(None) };
    let first = match fetched.parse() {
        Ok(ParsedManifest::Index(index)) => images(&index).next().map(|child| child.digest),
        Ok(ParsedManifest::Manifest(_)) => Some(digest),
        Err(_) => None,
    };
    let Some(first) = first else { return Ok(None) };
    let labels = labels(registry, repository, first)?;
    Ok(labels.and_then(|labels| labels.get(VERSION)?.parse().ok()))
}

/// What an index lists, without what builders say about it under the platform `unknown`.
fn images(index: &Index) -> impl Iterator<Item = &Descriptor> {
    index.manifests.iter().filter(|child| child.platform.as_ref().is_none_or(|platform| platform.os != "unknown"))
}

fn labels(
    registry: &Registry,
    repository: &Repository,
    digest: Digest,
) -> anyhow::Result<Option<BTreeMap<String, String>>> {
    let Some(fetched) = registry.manifest(repository, &digest.into())? else { return Ok(None) };
    let Ok(ParsedManifest::Manifest(manifest)) = fetched.parse() else { return Ok(None) };
    let bytes = registry.small_blob(repository, &manifest.config)?;
    let config = serde_json::from_slice::<ImageConfig>(&bytes).ok();
    Ok(config.map(|config| config.config.labels))
}
