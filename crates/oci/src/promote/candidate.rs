//! An image that may be promoted, as read from its registry, with its labels and build records.

use std::collections::BTreeMap;

use crate::build_record::{self, BuildRecord, RecordError};
use crate::image::VERSION;
use crate::model::{Descriptor, ImageConfig, Index, ParsedManifest, PlatformObject};
use crate::registry::{FetchedManifest, Registry, pool};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository};
use drydock_config::release::Version;

/// An image that may be promoted.
#[derive(Debug)]
pub struct Candidate {
    /// The descriptor of its index.
    pub descriptor: Descriptor,
    /// The image of each platform that the index lists.
    pub platforms: Vec<PlatformImage>,
    /// The build records that are attached to it; errors for those that cannot be read.
    pub records: Vec<Result<BuildRecord, RecordError>>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// The platform in the index.
    pub platform: Option<PlatformObject>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The labels; none if the configuration cannot be read.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Candidate {
    /// Reads an image; `None` if it does not exist.
    ///
    /// # Errors
    /// The manifest is not an index, or the registry refuses a request or cannot be reached.
    pub fn read(registry: &Registry, repository: &Repository, digest: Digest) -> anyhow::Result<Option<Candidate>> {
        let Some(fetched) = registry.manifest(repository, &digest.into())? else { return Ok(None) };
        let ParsedManifest::Index(index) = fetched.parse()? else {
            let text = format!("{repository}@{digest} is not an index; Drydock publishes all images as indexes");
            return Err(Failure::rejected(text));
        };
        let children: Vec<&Descriptor> = images(&index).collect();
        let image = |child: &&Descriptor| -> anyhow::Result<PlatformImage> {
            let labels = labels(registry, repository, child.digest)?;
            Ok(PlatformImage { platform: child.platform.clone(), digest: child.digest, labels })
        };
        let (platforms, artifacts) = pool::both(
            || pool::each(&children, registry.settings().parallel, image),
            || registry.artifacts(repository, &digest, build_record::ARTIFACT_TYPE),
        );
        let (platforms, artifacts) = (platforms?, artifacts?);
        let read = |files: Vec<Vec<u8>>| {
            let first = files.first().ok_or(RecordError::Empty)?;
            BuildRecord::parse(&String::from_utf8_lossy(first))
        };
        let records = artifacts.into_iter().map(read).collect();
        Ok(Some(Candidate { descriptor: fetched.descriptor, platforms, records }))
    }
}

/// Returns the version in the label of an image, from its first platform.
///
/// # Errors
/// The registry refuses a request or cannot be reached.
pub fn version_of(
    registry: &Registry,
    repository: &Repository,
    image: &FetchedManifest,
) -> anyhow::Result<Option<Version>> {
    let first = match image.parse() {
        Ok(ParsedManifest::Index(index)) => images(&index).next().map(|child| child.digest),
        Ok(ParsedManifest::Manifest(_)) => Some(image.descriptor.digest),
        Err(_) => None,
    };
    let Some(first) = first else { return Ok(None) };
    let labels = labels(registry, repository, first)?;
    Ok(labels.and_then(|labels| labels.get(VERSION)?.parse().ok()))
}

/// Iterates over the images of an index, without attestations, which builders list with the platform `unknown`.
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
