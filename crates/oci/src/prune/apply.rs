//! Applies a plan, and verifies everything that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::contents::{self, RepositoryContents};
use super::{Plan, Prunable, Removed, TagName};
use crate::registry::Registry;
use crate::registry::pool::each;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::{Digest, Tag};

/// The number of parallel requests.
const PARALLEL: usize = 4;

/// The result of applying a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PruneOutcome {
    /// The whole plan was applied.
    Done,
    /// Somebody changed the repository during the call; the rest needs a new plan.
    Changed(String),
}

/// Deletes the manifests of a plan, in order, and passes each to `done`, with false if others had deleted it. Before a tagged
/// manifest is deleted, the tags are read again.
///
/// # Errors
/// The registry refuses a request or cannot be reached, or deletion is disabled.
pub fn apply(
    registry: &Registry,
    place: &Prunable,
    found: &RepositoryContents,
    plan: &Plan,
    done: &mut dyn FnMut(&Removed, bool),
) -> anyhow::Result<PruneOutcome> {
    let repository = place.repository();
    let mut tags: BTreeMap<&Tag, Option<Digest>> = found.graph.tags.iter().map(|(tag, one)| (tag, *one)).collect();
    for removed in &plan.removed {
        if !removed.tags.is_empty() {
            if let Some(change) = changed(registry, place, removed, &tags)? {
                return Ok(PruneOutcome::Changed(change));
            }
        }
        let existed = registry.delete_manifest(repository, &removed.digest)?;
        tags.retain(|tag, _| !removed.tags.contains(tag));
        done(removed, existed);
    }
    Ok(PruneOutcome::Done)
}

/// Returns a difference between the tags and those of the plan.
fn changed(
    registry: &Registry,
    place: &Prunable,
    removed: &Removed,
    expected: &BTreeMap<&Tag, Option<Digest>>,
) -> anyhow::Result<Option<String>> {
    let repository = place.repository();
    let now = registry.tags(repository)?;
    if let Some(new) = now.iter().find(|tag| !expected.contains_key(tag)) {
        return Ok(Some(format!("the tag {new} was created")));
    }
    if let Some(gone) = expected.keys().find(|tag| now.binary_search(tag).is_err()) {
        return Ok(Some(format!("the tag {gone} was deleted")));
    }
    // A tag without a manifest may have been in the middle of its push.
    let is_asked = |tag: &Tag, digest: &Option<Digest>| digest.is_none() || TagName::parse(tag) == TagName::Nightly;
    let moving = expected.iter().filter(|(tag, digest)| is_asked(tag, digest)).map(|(tag, _)| *tag);
    for tag in removed.tags.iter().chain(moving) {
        let head = registry.head(repository, &tag.clone().into())?.map(|descriptor| descriptor.digest);
        if expected.get(tag) != Some(&head) {
            return Ok(Some(format!("the tag {tag} was moved")));
        }
    }
    Ok(None)
}

/// The result of the verification after a removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The number of tags.
    pub tags: usize,
    /// The number of manifests that the tags reach.
    pub manifests: usize,
    /// The number of blobs of these manifests.
    pub blobs: usize,
    /// Descriptions of everything that is missing.
    pub lost: Vec<String>,
}

/// Reads all kept tags with the manifests that they reach, and checks that all blobs exist.
///
/// # Errors
/// The registry refuses a request or cannot be reached.
pub fn verify(registry: &Registry, place: &Prunable, plan: &Plan) -> anyhow::Result<Verified> {
    let found = contents::read(registry, place, BTreeSet::new())?;
    let graph = &found.graph;
    let mut lost: Vec<String> = Vec::new();
    let is_set = |tag: &Tag| graph.tags.get(tag).copied().flatten().is_some();
    let unset = plan.kept.iter().filter(|kept| !is_set(&kept.tag));
    lost.extend(unset.map(|kept| format!("the tag {}", kept.tag)));
    // The manifest of a tag that others have moved may still exist.
    for digest in plan.reached.iter().filter(|digest| !graph.manifests.contains_key(digest)) {
        if registry.head(place.repository(), &(*digest).into())?.is_none() {
            lost.push(format!("the manifest {digest}"));
        }
    }
    lost.extend(plan.missing.iter().map(|lack| format!("{} of {} (also before)", lack.digest, lack.tag)));
    let reached = plan.reached.iter().filter(|digest| graph.manifests.contains_key(digest));
    let blobs: BTreeSet<Digest> =
        reached.clone().filter_map(|digest| found.blobs.get(digest)).flatten().copied().collect();
    let blobs: Vec<Digest> = blobs.into_iter().collect();
    let there = each(&blobs, PARALLEL, |blob| registry.has_blob(place.repository(), blob))?;
    let gone = blobs.iter().zip(there).filter(|(_, there)| !there).map(|(blob, _)| format!("the blob {blob}"));
    lost.extend(gone);
    Ok(Verified { tags: plan.kept.len(), manifests: reached.count(), blobs: blobs.len(), lost })
}

/// The manifests that a call is about to delete, kept on disk until it is done: the children of an index cannot be found
/// once the index is deleted.
#[derive(Debug)]
pub struct PendingRemovals {
    path: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnDisk {
    repository: String,
    digests: BTreeSet<Digest>,
}

impl PendingRemovals {
    /// Returns the file for a repository in a directory.
    pub fn at(directory: &Path, place: &Prunable) -> PendingRemovals {
        let hex = Digest::for_bytes(place.repository().to_string().as_bytes()).hex();
        PendingRemovals { path: directory.join(format!("prune-{}.json", &hex[..16])) }
    }

    /// Reads the manifests that an interrupted call was about to delete.
    ///
    /// # Errors
    /// The file is damaged.
    pub fn read(&self, place: &Prunable) -> anyhow::Result<BTreeSet<Digest>> {
        let Ok(text) = std::fs::read(&self.path) else { return Ok(BTreeSet::new()) };
        let wrong = |why: String| {
            Failure::missing(format!(
                "{}: {why}; the file is from an interrupted removal and can be deleted",
                self.path.display()
            ))
        };
        let found: OnDisk = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        if found.repository == place.repository().to_string() {
            Ok(found.digests)
        } else {
            Err(wrong(format!("it is for {}", found.repository)))
        }
    }

    /// Writes the manifests that will be deleted.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, place: &Prunable, plan: &Plan, before: &BTreeSet<Digest>) -> anyhow::Result<()> {
        let digests = plan.removed.iter().map(|removed| removed.digest).chain(before.iter().copied()).collect();
        let text = serde_json::to_vec(&OnDisk { repository: place.repository().to_string(), digests })?;
        paths::write_atomically(&self.path, &text)
    }

    /// Removes the file.
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
