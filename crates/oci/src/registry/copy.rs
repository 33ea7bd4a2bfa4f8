//! From one repository to another, by digest: a manifest with all its children, blobs and referrers.

use tempfile::TempDir;

use super::blobs::Begun;
use super::graph::{Graph, Node};
use super::push::put_all;
use super::{Reference, Registry, pool};
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::exit::{Exit, failure};
use drydock_config::images::{Digest, Repository};

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// The manifest that was asked for.
    pub descriptor: Descriptor,
    /// Manifests and indexes, with referrers.
    pub manifests: usize,
    /// How many of them are referrers.
    pub referrers: usize,
    /// Blobs that the registry took over by itself.
    pub mounted: usize,
    /// Blobs that went through here, or were there.
    pub carried: usize,
}

/// Copies a manifest. No tag of images is set or moved; where the target registry keeps no lists of referrers, the tags
/// that stand for them are. Every manifest is read again from the target and compared.
///
/// # Errors
/// It is not there, a registry cannot be reached, refuses, or lies. Nothing is tagged then, and doing it again is safe.
pub fn copy(from: (&Registry, &Repository), to: (&Registry, &Repository), digest: &Digest) -> anyhow::Result<Copied> {
    let parallel = to.0.settings().parallel;
    let top = from.0.needed(from.1, &Reference::Digest(*digest))?;
    let graph = Graph::collect(&top.descriptor, |descriptors| {
        pool::each(descriptors, parallel, |descriptor| {
            let fetched = match descriptor.digest == top.descriptor.digest {
                true => Some(top.clone()),
                false => from.0.manifest(from.1, &Reference::Digest(descriptor.digest))?,
            };
            let Some(fetched) = fetched else { return Ok(None) };
            let referrers = from.0.referrers(from.1, &descriptor.digest)?;
            Ok(Some(Node { fetched, referrers }))
        })
    })?;
    let mut blobs: Vec<&Descriptor> = graph.blobs().into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let mounted = pool::each(&blobs, parallel, |blob| copy_blob(from, to, blob))?;
    let mounted = mounted.into_iter().filter(|mounted| *mounted).count();
    let listed = put_all(to.0, to.1, &graph)?;
    let lists = graph.referrers();
    for (subject, referrers) in &lists {
        let unlisted: Vec<&Descriptor> = referrers
            .iter()
            .copied()
            .filter(|referrer| !listed.get(&referrer.digest).copied().unwrap_or(false))
            .collect();
        if !unlisted.is_empty() {
            to.0.list_under_tag(to.1, subject, &unlisted)?;
        }
    }
    Ok(Copied {
        descriptor: top.descriptor,
        manifests: listed.len(),
        referrers: lists.values().map(Vec::len).sum(),
        mounted,
        carried: blobs.len() - mounted,
    })
}

/// Whether the registry took it over by itself.
fn copy_blob(from: (&Registry, &Repository), to: (&Registry, &Repository), blob: &Descriptor) -> anyhow::Result<bool> {
    let mut session = None;
    if from.0.host() == to.0.host() {
        // Whoever may write to the one and not read the other for that is refused, and carries the blob.
        match to.0.begin(to.1, &blob.digest, Some(from.1)) {
            Ok(Begun::Mounted) => return Ok(true),
            Ok(Begun::Session(open)) => session = Some(open),
            Err(_) => {}
        }
    }
    if to.0.has_blob(to.1, &blob.digest)? {
        if let Some(open) = session {
            to.0.abandon(to.1, &open.url);
        }
        return Ok(false);
    }
    let directory = TempDir::with_prefix("drydock-copy-")
        .map_err(|error| failure(Exit::Missing, format!("cannot make a temporary directory: {error}")))?;
    let layout = Layout::create(directory.path())?;
    from.0.download(from.1, blob, &layout)?;
    to.0.upload_from(to.1, blob, &layout, session)?;
    Ok(false)
}
