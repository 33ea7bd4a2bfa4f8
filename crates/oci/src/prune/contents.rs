//! The graph of a nightly repository, read from its registry.
//!
//! The distribution API lists tags and nothing else, so what no tag reaches cannot be found: it has to be removed together
//! with what reached it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{ManifestNode, Prunable, RepositoryGraph, TagName};
use crate::image::{CREATED, VERSION};
use crate::layout::LARGEST_MANIFEST;
use crate::model::{Descriptor, ImageConfig, ParsedManifest, media};
use crate::registry::pool::each;
use crate::registry::{FetchedManifest, Registry};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository};
use drydock_config::release::{NightlyVersion, Version};

/// The maximum number of manifests.
const MOST_MANIFESTS: usize = 200_000;
/// The number of parallel requests.
const PARALLEL: usize = 4;

/// The contents of a repository.
#[derive(Debug, Clone, Default)]
pub struct RepositoryContents {
    /// The graph.
    pub graph: RepositoryGraph,
    /// The blobs of each manifest.
    pub blobs: BTreeMap<Digest, BTreeSet<Digest>>,
}

/// Reads all manifests that tags reach, and those that an interrupted call was about to remove.
///
/// # Errors
/// The registry refuses a request, cannot be reached, or has too many manifests.
pub fn read(registry: &Registry, place: &Prunable, condemned: BTreeSet<Digest>) -> anyhow::Result<RepositoryContents> {
    let repository = place.repository();
    let tags = registry.tags(repository)?;
    let heads = each(&tags, PARALLEL, |tag| registry.head(repository, &tag.clone().into()))?;
    let digests = heads.into_iter().map(|head| head.map(|descriptor| descriptor.digest));
    let tags: BTreeMap<_, _> = tags.into_iter().zip(digests).collect();
    let about = tags
        .keys()
        .filter_map(|tag| if let TagName::About(subject) = TagName::parse(tag) { Some(subject) } else { None });
    let mut found = RepositoryContents::default();
    let mut work: BTreeSet<Digest> = tags.values().flatten().copied().chain(about).chain(condemned.clone()).collect();
    let mut parsed: BTreeMap<Digest, ParsedManifest> = BTreeMap::new();
    let mut asked: BTreeSet<Digest> = BTreeSet::new();
    while !work.is_empty() {
        asked.extend(&work);
        if asked.len() > MOST_MANIFESTS {
            let text = format!("{repository} has more than {MOST_MANIFESTS} manifests");
            return Err(Failure::remote(text));
        }
        let batch: Vec<Digest> = std::mem::take(&mut work).into_iter().collect();
        let fetched = each(&batch, PARALLEL, |digest| one(registry, repository, *digest))?;
        for (digest, answer) in batch.into_iter().zip(fetched) {
            let Some((fetched, referrers)) = answer else { continue };
            let (node, blobs, content) = node(&fetched, referrers);
            let next = node.children.iter().chain(&node.subject).chain(&node.referrers);
            work.extend(next.filter(|next| !asked.contains(next)));
            found.graph.manifests.insert(digest, node);
            found.blobs.insert(digest, blobs);
            parsed.extend(content.map(|content| (digest, content)));
        }
    }
    found.graph.tags = tags;
    found.graph.condemned = condemned;
    let asked = with_configuration(&found.graph);
    let dates = each(&asked, PARALLEL, |digest| dates(registry, repository, *digest, &parsed))?;
    for (digest, dates) in asked.into_iter().zip(dates) {
        if let Some(node) = found.graph.manifests.get_mut(&digest) {
            node.created = dates.created;
            node.release = dates.release;
        }
    }
    Ok(found)
}

/// Reads a manifest with its referrers.
fn one(
    registry: &Registry,
    repository: &Repository,
    digest: Digest,
) -> anyhow::Result<Option<(FetchedManifest, Vec<Digest>)>> {
    let Some(fetched) = registry.manifest(repository, &digest.into())? else { return Ok(None) };
    let referrers = registry.referrers(repository, &digest)?;
    Ok(Some((fetched, referrers.into_iter().map(|descriptor| descriptor.digest).collect())))
}

fn node(fetched: &FetchedManifest, referrers: Vec<Digest>) -> (ManifestNode, BTreeSet<Digest>, Option<ParsedManifest>) {
    let mut node = ManifestNode { referrers, ..ManifestNode::default() };
    let Ok(parsed) = ParsedManifest::read(&fetched.descriptor.media_type, &fetched.bytes) else {
        node.is_opaque = true;
        return (node, BTreeSet::new(), None);
    };
    node.subject = parsed.subject().map(|subject| subject.digest);
    let blobs = match &parsed {
        ParsedManifest::Manifest(manifest) => manifest.blobs().map(|one| one.digest).collect(),
        ParsedManifest::Index(index) => {
            // Build caches are indexes of layers.
            let is_manifest = |one: &&Descriptor| media::ANY_MANIFEST.contains(&one.media_type.as_str());
            let (children, others): (Vec<&Descriptor>, Vec<_>) = index.manifests.iter().partition(is_manifest);
            node.children = children.into_iter().map(|one| one.digest).collect();
            others.into_iter().map(|one| one.digest).collect()
        }
    };
    (node, blobs, Some(parsed))
}

/// Returns the manifests whose configuration is read: images of commits, which may be releases or have no tag of a day,
/// and subjects of lists of referrers.
fn with_configuration(graph: &RepositoryGraph) -> Vec<Digest> {
    let mut names: BTreeMap<Digest, Vec<TagName>> = BTreeMap::new();
    for (tag, digest) in graph.tags.iter().filter_map(|(tag, digest)| Some((tag, (*digest)?))) {
        let name = TagName::parse(tag);
        names.entry(digest).or_default().push(name);
        if let TagName::About(subject) = name {
            names.entry(subject).or_default().push(name);
        }
    }
    let has_day = |names: &[TagName]| names.iter().any(|name| matches!(name, TagName::Day(_)));
    let is_about = |names: &[TagName]| names.iter().any(|name| matches!(name, TagName::About(_)));
    let is_asked = |names: &[TagName]| names.contains(&TagName::Commit) || (is_about(names) && !has_day(names));
    let wanted = names.into_iter().filter(|(_, names)| is_asked(names));
    wanted.map(|(digest, _)| digest).filter(|digest| graph.manifests.contains_key(digest)).collect()
}

/// The labels of an image that count for its age and version.
#[derive(Default)]
struct ImageDates {
    created: Option<Timestamp>,
    release: Option<Version>,
}

/// Reads the build time and the release version of an image, from itself or from its first platform.
fn dates(
    registry: &Registry,
    repository: &Repository,
    digest: Digest,
    parsed: &BTreeMap<Digest, ParsedManifest>,
) -> anyhow::Result<ImageDates> {
    let time = |text: &String| text.parse::<Timestamp>().ok();
    let mut dates = ImageDates::default();
    // The first image, at any depth.
    let (mut work, mut seen) = (vec![digest], BTreeSet::new());
    let manifest = loop {
        let Some(next) = work.pop() else { return Ok(dates) };
        let (annotations, manifest) = match parsed.get(&next) {
            Some(ParsedManifest::Manifest(manifest)) => (&manifest.annotations, Some(manifest)),
            Some(ParsedManifest::Index(index)) if seen.insert(next) => {
                work.extend(index.manifests.iter().rev().map(|child| child.digest));
                (&index.annotations, None)
            }
            Some(ParsedManifest::Index(_)) | None => continue,
        };
        dates.created = dates.created.or_else(|| annotations.get(CREATED).and_then(time));
        if let Some(manifest) = manifest {
            break manifest;
        }
    };
    let config = &manifest.config;
    let is_config = matches!(config.media_type.as_str(), media::CONFIG | media::DOCKER_CONFIG);
    if !is_config || config.size > LARGEST_MANIFEST || !registry.has_blob(repository, &config.digest)? {
        return Ok(dates);
    }
    let bytes = registry.small_blob(repository, config)?;
    let Ok(config) = serde_json::from_slice::<ImageConfig>(&bytes) else { return Ok(dates) };
    let label = |name: &str| config.config.labels.get(name);
    let created = || label(CREATED).and_then(time).or_else(|| config.created.as_ref().and_then(time));
    dates.created = dates.created.or_else(created);
    let version = label(VERSION).and_then(|version| version.parse::<Version>().ok());
    dates.release = version.filter(|version| NightlyVersion::parse(version).is_none());
    Ok(dates)
}
