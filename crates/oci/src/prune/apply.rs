//! A plan carried out, and everything that stays looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::contents::{self, Found};
use super::{Plan, Prunable, Removed, TagName};
use crate::registry::Registry;
use crate::registry::pool::each;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::{Digest, Tag};

/// How many questions are on their way at once.
const PARALLEL: usize = 4;

/// How a removal ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// All of the plan was done.
    Done,
    /// Somebody changed the repository meanwhile, in this way; the rest has to be decided anew.
    Changed(String),
}

/// Deletes what the plan removes, in its order. Before something with tags is deleted, the tags are read again.
///
/// # Errors
/// The registry cannot be reached, refuses, or deletes nothing.
pub fn apply(
    registry: &Registry,
    place: &Prunable,
    found: &Found,
    plan: &Plan,
    done: &mut dyn FnMut(&Removed),
) -> anyhow::Result<End> {
    let repository = place.repository();
    let mut tags: BTreeMap<&Tag, Option<Digest>> = found.graph.tags.iter().map(|(tag, one)| (tag, *one)).collect();
    for removed in &plan.removed {
        if !removed.tags.is_empty() {
            if let Some(change) = changed(registry, place, removed, &tags)? {
                return Ok(End::Changed(change));
            }
        }
        registry.delete_manifest(repository, &removed.digest)?;
        tags.retain(|tag, _| !removed.tags.contains(tag));
        done(removed);
    }
    Ok(End::Done)
}

/// What is different about the tags from what the plan was made of.
fn changed(
    registry: &Registry,
    place: &Prunable,
    removed: &Removed,
    expected: &BTreeMap<&Tag, Option<Digest>>,
) -> anyhow::Result<Option<String>> {
    let repository = place.repository();
    let now = registry.tags(repository)?;
    if let Some(new) = now.iter().find(|tag| !expected.contains_key(tag)) {
        return Ok(Some(format!("the tag {new} is new")));
    }
    if let Some(gone) = expected.keys().find(|tag| now.binary_search(tag).is_err()) {
        return Ok(Some(format!("the tag {gone} is gone")));
    }
    // A tag that named nothing may only have been on its way.
    let is_asked = |tag: &Tag, digest: &Option<Digest>| digest.is_none() || TagName::of(tag) == TagName::Nightly;
    let moving = expected.iter().filter(|(tag, digest)| is_asked(tag, digest)).map(|(tag, _)| *tag);
    for tag in removed.tags.iter().chain(moving) {
        let head = registry.head(repository, &tag.clone().into())?.map(|descriptor| descriptor.digest);
        if expected.get(tag) != Some(&head) {
            return Ok(Some(format!("the tag {tag} has moved")));
        }
    }
    Ok(None)
}

/// What was looked at again after a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Tags that stay.
    pub tags: usize,
    /// Manifests that they reach.
    pub manifests: usize,
    /// Blobs of those.
    pub blobs: usize,
    /// What is not there any more, in words.
    pub lost: Vec<String>,
}

/// Reads every tag that stays again, with all that it reaches: the bytes of manifests, and whether each blob is there.
///
/// # Errors
/// The registry cannot be reached or refuses.
pub fn verify(registry: &Registry, place: &Prunable, plan: &Plan) -> anyhow::Result<Verified> {
    let found = contents::read(registry, place, BTreeSet::new())?;
    let graph = &found.graph;
    let mut lost: Vec<String> = Vec::new();
    let is_set = |tag: &Tag| graph.tags.get(tag).copied().flatten().is_some();
    let unset = plan.kept.iter().filter(|kept| !is_set(&kept.tag));
    lost.extend(unset.map(|kept| format!("the tag {}", kept.tag)));
    // What a tag named that others have moved is not found by reading; it may be there all the same.
    for digest in plan.reached.iter().filter(|digest| !graph.manifests.contains_key(digest)) {
        if registry.head(place.repository(), &(*digest).into())?.is_none() {
            lost.push(format!("the manifest {digest}"));
        }
    }
    lost.extend(plan.missing.iter().map(|lack| format!("{} of {} (before, too)", lack.digest, lack.tag)));
    let reached = plan.reached.iter().filter(|digest| graph.manifests.contains_key(digest));
    let blobs: BTreeSet<Digest> =
        reached.clone().filter_map(|digest| found.blobs.get(digest)).flatten().copied().collect();
    let blobs: Vec<Digest> = blobs.into_iter().collect();
    let there = each(&blobs, PARALLEL, |blob| registry.has_blob(place.repository(), blob))?;
    let gone = blobs.iter().zip(there).filter(|(_, there)| !there).map(|(blob, _)| format!("the blob {blob}"));
    lost.extend(gone);
    Ok(Verified { tags: plan.kept.len(), manifests: reached.count(), blobs: blobs.len(), lost })
}

/// What a removal has decided to delete, kept on disk while it goes on: what an index listed cannot be found any more
/// when the index is gone.
#[derive(Debug)]
pub struct Condemned {
    path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    repository: String,
    digests: BTreeSet<Digest>,
}

impl Condemned {
    /// The file for a repository in a directory.
    pub fn at(directory: &Path, place: &Prunable) -> Condemned {
        let hex = Digest::of(place.repository().to_string().as_bytes()).hex();
        Condemned { path: directory.join(format!("prune-{}.json", &hex[..16])) }
    }

    /// What an interrupted removal left.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn read(&self, place: &Prunable) -> anyhow::Result<BTreeSet<Digest>> {
        let Ok(text) = std::fs::read(&self.path) else { return Ok(BTreeSet::new()) };
        let wrong = |why: String| {
            Failure::missing(format!("{}: {why}; it is of an interrupted removal, remove it", self.path.display()))
        };
        let found: OnDisk = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        match found.repository == place.repository().to_string() {
            true => Ok(found.digests),
            false => Err(wrong(format!("it is about {}", found.repository))),
        }
    }

    /// Remembers what will be deleted.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, place: &Prunable, plan: &Plan, before: &BTreeSet<Digest>) -> anyhow::Result<()> {
        let digests = plan.removed.iter().map(|removed| removed.digest).chain(before.iter().copied()).collect();
        let text = serde_json::to_vec(&OnDisk { repository: place.repository().to_string(), digests })?;
        paths::write_atomically(&self.path, &text)
    }

    /// Forgets it.
    ///
    /// # Errors
    /// The file cannot be removed.
    pub fn forget(&self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
