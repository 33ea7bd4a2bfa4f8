//! Transfers of whole images: from a layout to a registry, from a registry to a layout, and between repositories. Every
//! transfer is by digest; no tag is read from the target or moved there.

use std::collections::BTreeMap;

use super::graph::{ManifestGraph, Node};
use super::upload::{UploadOutcome, UploadStart};
use super::{Artifact, FetchedManifest, Reference, Registry, RegistryError, pool};
use crate::base_image::is_for;
use crate::layout::Layout;
use crate::model::{Descriptor, ImageConfig, ParsedManifest};
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_config::images::{Digest, Platform, Repository};

/// The result of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PushOutcome {
    /// Manifests and indexes that were put.
    pub manifests: usize,
    /// Blobs that existed already.
    pub present: usize,
    /// Blobs that were mounted from another repository of the registry.
    pub mounted: usize,
    /// Blobs that were uploaded.
    pub uploaded: usize,
    /// Bytes that were sent for the uploads.
    pub bytes: u64,
    /// Uploads that continued where an earlier process was interrupted.
    pub resumed: usize,
}

enum BlobOutcome {
    Present,
    Mounted,
    Uploaded(UploadOutcome),
}

/// Pushes a manifest of a layout, with everything below it. No tag is set or moved. Blobs that `sources`, other
/// repositories of the same registry, may have are mounted from there.
///
/// # Errors
/// The layout is incomplete, the registry refuses a request or cannot be reached, or a manifest that is read back differs.
/// Nothing is tagged then, and the same call continues.
pub fn push(
    registry: &Registry,
    repository: &Repository,
    layout: &Layout,
    top: &Descriptor,
    sources: &[Repository],
) -> anyhow::Result<PushOutcome> {
    let graph = ManifestGraph::collect(top, |descriptors| {
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
        return Err(RegistryError::wrong_content(format!(
            "{directory} does not have {}; build the image again",
            missing.join(", ")
        )));
    }
    // The largest first, so that the threads finish at about the same time.
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
        // Without read access to the source, the blob is uploaded.
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
    graph: &'a ManifestGraph,
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
            let text =
                format!("{repository} returned another manifest for {digest} than was pushed; nothing was tagged");
            return Err(RegistryError::wrong_content(text));
        }
        Ok(())
    })?;
    Ok(all.iter().map(|fetched| &fetched.descriptor.digest).zip(listed).collect())
}

/// Pulls an image into a layout, whose `index.json` is not changed. With a `platform`, only the image of that platform is
/// pulled, and its descriptor is returned. All content is verified by its digest.
///
/// # Errors
/// The image does not exist or is not for the platform, the registry refuses a request or cannot be reached, the content
/// does not match its digest, or the layout cannot be written.
pub fn pull(
    registry: &Registry,
    repository: &Repository,
    reference: &Reference,
    platform: Option<Platform>,
    layout: &Layout,
) -> anyhow::Result<Descriptor> {
    let mut top = registry.needed(repository, reference)?;
    if let (Some(platform), ParsedManifest::Index(index)) = (platform, top.parse()?) {
        let mut found = None;
        for child in index.candidates(platform) {
            let fetched = registry.needed(repository, &Reference::Digest(child.digest))?;
            let ParsedManifest::Manifest(manifest) = fetched.parse()? else {
                let text = format!("{repository}@{} is an index within an index; expected an image", child.digest);
                return Err(RegistryError::protocol(text));
            };
            if child.platform.is_none() {
                registry.download(repository, &manifest.config, layout)?;
            }
            if child.platform.is_some() || is_for(layout, &manifest, platform) {
                found = Some(fetched);
                break;
            }
        }
        let Some(found) = found else {
            let list = index.platforms();
            let digest = top.descriptor.digest;
            let text = format!("{repository}@{digest} is not available for {platform}; its platforms are {list}");
            return Err(Failure::declaration(text));
        };
        top = found;
    }
    let parallel = registry.settings().parallel;
    let graph = ManifestGraph::collect(&top.descriptor, |descriptors| {
        pool::each(descriptors, parallel, |descriptor| {
            let fetched = if descriptor.digest == top.descriptor.digest {
                top.clone()
            } else {
                registry.needed(repository, &Reference::Digest(descriptor.digest))?
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

/// Checks the platform in the configuration of an image.
fn check_platform(
    top: &FetchedManifest,
    platform: Platform,
    repository: &Repository,
    layout: &Layout,
) -> anyhow::Result<()> {
    let ParsedManifest::Manifest(manifest) = top.parse()? else { return Ok(()) };
    let config: ImageConfig = serde_json::from_slice(&layout.read(&manifest.config)?)
        .map_err(|error| RegistryError::protocol(format!("cannot parse the configuration of {repository}: {error}")))?;
    let found = &config.platform;
    if found.os == "linux" && found.architecture == platform.architecture() {
        return Ok(());
    }
    let shown = drydock_http::printable(&found.to_string());
    let text = format!("{repository}@{} is an image for {shown}, not for {platform}", top.descriptor.digest);
    Err(RegistryError::protocol(text))
}

/// The result of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOutcome {
    /// The descriptor of the manifest that was copied.
    pub descriptor: Descriptor,
    /// Manifests and indexes that were copied, with referrers.
    pub manifests: usize,
    /// Referrers among them.
    pub referrers: usize,
    /// Blobs that were mounted from the other repository.
    pub mounted: usize,
    /// Blobs that were transferred, or existed already.
    pub carried: usize,
}

/// Copies a manifest by digest, with all its children, blobs and referrers. No tag of an image is set or moved; where the
/// target registry has no referrers API, the fallback tags are set. All manifests are read back from the target and
/// compared.
///
/// # Errors
/// The manifest does not exist, a registry refuses a request or cannot be reached, or content does not match its digest.
/// Nothing is tagged then, and the call can be repeated.
pub fn copy(
    from: (&Registry, &Repository),
    to: (&Registry, &Repository),
    digest: &Digest,
) -> anyhow::Result<CopyOutcome> {
    copy_content(from, to, digest)?.finish(to, None)
}

/// A manifest that was copied with everything below it and about it, where fallback tags may not have all referrers yet.
#[derive(Debug)]
pub struct Copied {
    outcome: CopyOutcome,
    /// The referrers that the registry does not list itself, by their subject.
    unlisted: BTreeMap<Digest, Vec<Descriptor>>,
}

impl Copied {
    /// Nothing: the manifest was copied before.
    pub fn before(descriptor: &Descriptor) -> Copied {
        let descriptor = descriptor.clone();
        let outcome = CopyOutcome { descriptor, manifests: 0, referrers: 0, mounted: 0, carried: 0 };
        Copied { outcome, unlisted: BTreeMap::new() }
    }

    /// The descriptor of the manifest.
    pub fn descriptor(&self) -> &Descriptor {
        &self.outcome.descriptor
    }

    /// Attaches an artifact, and lists all referrers where the registry does not: each list is written once.
    ///
    /// # Errors
    /// The registry refuses a request or cannot be reached, or has no way to list referrers.
    pub fn finish(mut self, to: (&Registry, &Repository), artifact: Option<&Artifact>) -> anyhow::Result<CopyOutcome> {
        if let Some(artifact) = artifact {
            if !artifact.put(to.0, to.1)? {
                let (subject, descriptor) = artifact.listed();
                self.unlisted.entry(subject).or_default().push(descriptor.clone());
            }
        }
        let list = || -> anyhow::Result<()> {
            self.unlisted.iter().try_for_each(|(subject, referrers)| {
                to.0.list_under_tag(to.1, subject, &referrers.iter().collect::<Vec<_>>())
            })
        };
        let confirm = || artifact.map_or(Ok(()), |artifact| artifact.confirm(to.0, to.1));
        let (listed, confirmed) = pool::both(list, confirm);
        confirmed.and(listed)?;
        Ok(self.outcome)
    }
}

/// As [`copy`], except for the lists of referrers.
///
/// # Errors
/// See [`copy`].
pub fn copy_content(
    from: (&Registry, &Repository),
    to: (&Registry, &Repository),
    digest: &Digest,
) -> anyhow::Result<Copied> {
    let parallel = to.0.settings().parallel;
    let read = |digest: &Digest| -> anyhow::Result<Option<Node>> {
        let (fetched, referrers) =
            pool::both(|| from.0.manifest_once(from.1, *digest), || from.0.referrers(from.1, digest));
        let Some(fetched) = fetched? else { return Ok(None) };
        Ok(Some(Node { fetched, referrers: referrers? }))
    };
    let missing = || RegistryError::NotFound(format!("{}@{digest}", from.1));
    let top = read(digest)?.ok_or_else(missing)?;
    let descriptor = top.fetched.descriptor.clone();
    let graph = ManifestGraph::collect(&descriptor, |descriptors| {
        pool::each(descriptors, parallel, |descriptor| {
            if descriptor.digest == *digest { Ok(Some(top.clone())) } else { read(&descriptor.digest) }
        })
    })?;
    let mut blobs: Vec<&Descriptor> = graph.blobs().into_values().collect();
    blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
    let mounted = pool::each(&blobs, parallel, |blob| copy_blob(from, to, blob))?;
    let mounted = mounted.into_iter().filter(|mounted| *mounted).count();
    let listed = put_all(to.0, to.1, &graph)?;
    let lists = graph.referrers();
    let mut unlisted: BTreeMap<Digest, Vec<Descriptor>> = BTreeMap::new();
    for (subject, referrers) in &lists {
        let others = referrers.iter().filter(|one| !listed.get(&one.digest).copied().unwrap_or(false));
        let others: Vec<Descriptor> = others.map(|one| (*one).clone()).collect();
        if !others.is_empty() {
            unlisted.insert(**subject, others);
        }
    }
    let outcome = CopyOutcome {
        descriptor,
        manifests: listed.len(),
        referrers: lists.values().map(Vec::len).sum(),
        mounted,
        carried: blobs.len() - mounted,
    };
    Ok(Copied { outcome, unlisted })
}

/// Copies a blob; returns true if it was mounted.
fn copy_blob(from: (&Registry, &Repository), to: (&Registry, &Repository), blob: &Descriptor) -> anyhow::Result<bool> {
    let mut session = None;
    if from.0.host() == to.0.host() {
        // Without read access to the source, the blob is transferred.
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
    let directory = Scratch::new("copy").map_err(|error| Failure::missing(format!("{error:#}")))?;
    let layout = Layout::create(directory.path())?;
    from.0.download(from.1, blob, &layout)?;
    to.0.upload_from(to.1, blob, &layout, session)?;
    Ok(false)
}
