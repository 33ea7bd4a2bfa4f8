//! From a layout to a registry, by digest only: blobs, then manifests, the children first; then all are read again.

use std::collections::BTreeMap;

use super::blobs::Begun;
use super::graph::{Graph, Node};
use super::upload::Sent;
use super::{Fetched, Reference, Registry, pool};
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::exit::{Exit, failure};
use drydock_config::images::Repository;

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// Manifests and indexes that were put.
    pub manifests: usize,
    /// Blobs that were there.
    pub present: usize,
    /// Blobs that were taken over from another repository of the registry.
    pub mounted: usize,
    /// Blobs that were uploaded.
    pub uploaded: usize,
    /// Bytes that were sent for them.
    pub bytes: u64,
    /// Blobs whose upload went on where an earlier process was cut.
    pub resumed: usize,
}

enum Did {
    Present,
    Mounted,
    Uploaded(Sent),
}

/// Brings what `top` points at, and everything below it, to a repository. No tag is set or moved. Blobs that other
/// repositories of the same registry may have are taken over from the `sources`.
///
/// # Errors
/// Something is missing in the layout, the registry cannot be reached or refuses, or it gives other bytes than it took.
/// Nothing is tagged then, and the same call goes on from what is there.
pub fn push(
    registry: &Registry,
    repository: &Repository,
    layout: &Layout,
    top: &Descriptor,
    sources: &[Repository],
) -> anyhow::Result<Pushed> {
    let graph = Graph::collect(top, |descriptors| {
        let read = |descriptor: &Descriptor| -> anyhow::Result<Node> {
            let bytes = layout.read(descriptor)?;
            Ok(Node { fetched: Fetched { descriptor: descriptor.clone(), bytes }, referrers: Vec::new() })
        };
        descriptors.iter().map(|descriptor| read(descriptor).map(Some)).collect()
    })?;
    let blobs: Vec<&Descriptor> = graph.blobs().into_values().collect();
    let missing: Vec<String> =
        blobs.iter().filter(|blob| !layout.has(blob)).map(|blob| blob.digest.to_string()).collect();
    if !missing.is_empty() {
        let directory = layout.directory().display();
        return Err(failure(
            Exit::NotReproducible,
            format!("{directory} lacks {}; build it again", missing.join(", ")),
        ));
    }
    // The largest first, so that no thread is left alone with it.
    let mut blobs = blobs;
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let parallel = registry.settings().parallel;
    let did = pool::each(&blobs, parallel, |blob| send_blob(registry, repository, layout, blob, sources))?;
    let mut pushed = Pushed::default();
    for did in did {
        match did {
            Did::Present => pushed.present += 1,
            Did::Mounted => pushed.mounted += 1,
            Did::Uploaded(sent) => {
                pushed.uploaded += 1;
                pushed.bytes += sent.bytes;
                pushed.resumed += usize::from(sent.resumed);
            }
        }
    }
    pushed.manifests = put_all(registry, repository, &graph)?.len();
    Ok(pushed)
}

fn send_blob(
    registry: &Registry,
    repository: &Repository,
    layout: &Layout,
    blob: &Descriptor,
    sources: &[Repository],
) -> anyhow::Result<Did> {
    if registry.has_blob(repository, &blob.digest)? {
        return Ok(Did::Present);
    }
    for source in sources.iter().filter(|source| source.host() == registry.host() && *source != repository) {
        // Whoever may not read the source is refused, and sends the blob.
        match registry.begin(repository, &blob.digest, Some(source)) {
            Ok(Begun::Mounted) => return Ok(Did::Mounted),
            Ok(Begun::Session(session)) => registry.abandon(repository, &session.url),
            Err(_) => break,
        }
    }
    registry.upload(repository, blob, layout).map(Did::Uploaded)
}

/// Puts the manifests of a graph, what others point at first, and reads them again. For each whether the registry lists
/// it as a referrer of its subject.
pub(super) fn put_all<'a>(
    registry: &Registry,
    repository: &Repository,
    graph: &'a Graph,
) -> anyhow::Result<BTreeMap<&'a drydock_config::images::Digest, bool>> {
    let put = |fetched: &&Fetched| {
        let descriptor = &fetched.descriptor;
        let reference = Reference::Digest(descriptor.digest);
        registry.put(repository, &reference, &descriptor.media_type, &fetched.bytes)
    };
    let parallel = registry.settings().parallel;
    let (images, indexes) = graph.in_order();
    let mut listed = pool::each(&images, parallel, put)?;
    for index in &indexes {
        listed.push(put(index)?);
    }
    let all: Vec<&Fetched> = images.into_iter().chain(indexes).collect();
    pool::each(&all, parallel, |fetched| {
        let digest = fetched.descriptor.digest;
        let again = registry.needed(repository, &Reference::Digest(digest))?;
        if again.bytes != fetched.bytes || again.descriptor.media_type != fetched.descriptor.media_type {
            let text = format!("{repository} gives another manifest for {digest} than it took; nothing is tagged");
            return Err(failure(Exit::NotReproducible, text));
        }
        Ok(())
    })?;
    Ok(all.iter().map(|fetched| &fetched.descriptor.digest).zip(listed).collect())
}
