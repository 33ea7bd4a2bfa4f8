//! Transfers of whole images: from a layout to a registry, from a registry to a layout, and between repositories. Every
//! transfer is by digest; no tag is read from the target or moved there.

use std::collections::BTreeMap;

use tempfile::TempDir;

use super::graph::{Graph, Node};
use super::upload::{UploadOutcome, UploadStart};
use super::{FetchedManifest, Reference, Registry, pool};
use crate::layout::Layout;
use crate::model::{Descriptor, ImageConfig, ParsedManifest};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Platform, Repository};

/// What a push did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOutcome {
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

enum BlobOutcome {
    Present,
    Mounted,
    Uploaded(UploadOutcome),
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
) -> anyhow::Result<PushOutcome> {
    let graph = Graph::collect(top, |descriptors| {
        let read = |descriptor: &Descriptor| -> anyhow::Result<Node> {
            let bytes = layout.read(descriptor)?;
            Ok(Node { fetched: FetchedManifest { descriptor: descriptor.clone(), bytes }, referrers: Vec::new() })
        };
        descriptors.iter().map(|descriptor| read(descriptor).map(Some)).collect()
    })?;
    let blobs: Vec<&Descriptor> = graph.blobs().into_values().collect();
    let missing: Vec<String> =
        blobs.iter().filter(|blob| !layout.has(blob)).map(|blob| blob.digest.to_string()).collect();
    if !missing.is_empty() {
        let directory = layout.directory().display();
        return Err(Failure::not_reproducible(format!("{directory} lacks {}; build it again", missing.join(", "))));
    }
    // The largest first, so that no thread is left alone with it.
    let mut blobs = blobs;
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let parallel = registry.settings().parallel;
    let did = pool::each(&blobs, parallel, |blob| send_blob(registry, repository, layout, blob, sources))?;
    let mut pushed = PushOutcome::default();
    for did in did {
        match did {
            BlobOutcome::Present => pushed.present += 1,
            BlobOutcome::Mounted => pushed.mounted += 1,
            BlobOutcome::Uploaded(sent) => {
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
) -> anyhow::Result<BlobOutcome> {
    if registry.has_blob(repository, &blob.digest)? {
        return Ok(BlobOutcome::Present);
    }
    for source in sources.iter().filter(|source| source.host() == registry.host() && *source != repository) {
        // Whoever may not read the source is refused, and sends the blob.
        match registry.begin(repository, &blob.digest, Some(source)) {
            Ok(UploadStart::Mounted) => return Ok(BlobOutcome::Mounted),
            Ok(UploadStart::Session(session)) => registry.abandon(repository, &session.url),
            Err(_) => break,
        }
    }
    registry.upload(repository, blob, layout).map(BlobOutcome::Uploaded)
}

/// Puts the manifests of a graph, what others point at first, and reads them again. For each whether the registry lists
/// it as a referrer of its subject.
pub(super) fn put_all<'a>(
    registry: &Registry,
    repository: &Repository,
    graph: &'a Graph,
) -> anyhow::Result<BTreeMap<&'a drydock_config::images::Digest, bool>> {
    let put = |fetched: &&FetchedManifest| {
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
    let all: Vec<&FetchedManifest> = images.into_iter().chain(indexes).collect();
    pool::each(&all, parallel, |fetched| {
        let digest = fetched.descriptor.digest;
        let again = registry.needed(repository, &Reference::Digest(digest))?;
        if again.bytes != fetched.bytes || again.descriptor.media_type != fetched.descriptor.media_type {
            let text = format!("{repository} gives another manifest for {digest} than it took; nothing is tagged");
            return Err(Failure::not_reproducible(text));
        }
        Ok(())
    })?;
    Ok(all.iter().map(|fetched| &fetched.descriptor.digest).zip(listed).collect())
}

/// Brings what a reference names into a layout, whose `index.json` is left alone. Of an index with a `platform` only the
/// image of that platform is fetched, and returned; one that is no index has to be of the platform. Nothing that a
/// registry gives is kept unless it has its digest.
///
/// # Errors
/// It is not there or not for the platform, the registry cannot be reached or lies, or the layout cannot be written.
pub fn pull(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    platform: Option<Platform>,
    layout: &Layout,
) -> anyhow::Result<Descriptor> {
    let mut top = registry.needed(repository, reference)?;
    if let (Some(platform), ParsedManifest::Index(index)) = (platform, top.parse()?) {
        let Some(child) = index.for_platform(platform) else {
            let list = index.platforms();
            let text = format!("{repository}@{} has no image for {platform}; it has {list}", top.descriptor.digest);
            return Err(Failure::remote(text));
        };
        top = registry.needed(repository, &Reference::Digest(child.digest))?;
        if let ParsedManifest::Index(_) = top.parse()? {
            let text = format!("{repository}@{} is an index again, where an image is expected", child.digest);
            return Err(Failure::remote(text));
        }
    }
    let parallel = registry.settings().parallel;
    let graph = Graph::collect(&top.descriptor, |descriptors| {
        pool::each(descriptors, parallel, |descriptor| {
            let fetched = match descriptor.digest == top.descriptor.digest {
                true => top.clone(),
                false => registry.needed(repository, &Reference::Digest(descriptor.digest))?,
            };
            Ok(Some(Node { fetched, referrers: Vec::new() }))
        })
    })?;
    let mut blobs: Vec<&Descriptor> = graph.blobs().into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    pool::each(&blobs, parallel, |blob| registry.download(repository, blob, layout))?;
    let (images, indexes) = graph.in_order();
    for fetched in images.into_iter().chain(indexes) {
        layout.put(&fetched.descriptor.media_type, &fetched.bytes)?;
    }
    if let Some(platform) = platform {
        check_platform(&top, platform, repository, layout)?;
    }
    Ok(top.descriptor)
}

/// An image says itself what it is for.
fn check_platform(
    top: &FetchedManifest,
    platform: Platform,
    repository: &Repository,
    layout: &Layout,
) -> anyhow::Result<()> {
    let ParsedManifest::Manifest(manifest) = top.parse()? else { return Ok(()) };
    let config: ImageConfig = serde_json::from_slice(&layout.read(&manifest.config)?)
        .map_err(|error| Failure::remote(format!("the configuration of {repository} is no JSON: {error}")))?;
    let found = &config.platform;
    if found.os == "linux" && found.architecture == platform.architecture() {
        return Ok(());
    }
    let shown = drydock_http::printable(&found.to_string());
    let text = format!("{repository}@{} is an image for {shown}, not for {platform}", top.descriptor.digest);
    Err(Failure::remote(text))
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOutcome {
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
pub fn copy(
    from: (&Registry, &Repository),
    to: (&Registry, &Repository),
    digest: &Digest,
) -> anyhow::Result<CopyOutcome> {
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
    Ok(CopyOutcome {
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
            Ok(UploadStart::Mounted) => return Ok(true),
            Ok(UploadStart::Session(open)) => session = Some(open),
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
        .map_err(|error| Failure::missing(format!("cannot make a temporary directory: {error}")))?;
    let layout = Layout::create(directory.path())?;
    from.0.download(from.1, blob, &layout)?;
    to.0.upload_from(to.1, blob, &layout, session)?;
    Ok(false)
}
