//! From a registry to a layout: an image of one platform, or an index with all that it has.

use super::graph::{Graph, Node};
use super::{Fetched, Reference, Registry, pool};
use crate::layout::Layout;
use crate::model::{Descriptor, Parsed};
use drydock_base::exit::{Exit, failure};
use drydock_config::images::{Platform, Repository};

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
    if let (Some(platform), Parsed::Index(index)) = (platform, top.parse()?) {
        let is_that = |child: &&Descriptor| child.platform.as_ref().is_some_and(|object| object.is(platform));
        let Some(child) = index.manifests.iter().find(is_that) else {
            let list = index.manifests.iter().filter_map(|child| child.platform.as_ref());
            let list: Vec<String> = list.map(|object| format!("{}/{}", object.os, object.architecture)).collect();
            let list = drydock_http::printable(&list.join(", "));
            let text = format!("{repository}@{} has no image for {platform}; it has {list}", top.descriptor.digest);
            return Err(failure(Exit::Remote, text));
        };
        top = registry.needed(repository, &Reference::Digest(child.digest))?;
        if let Parsed::Index(_) = top.parse()? {
            let text = format!("{repository}@{} is an index again, where an image is expected", child.digest);
            return Err(failure(Exit::Remote, text));
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
fn check_platform(top: &Fetched, platform: Platform, repository: &Repository, layout: &Layout) -> anyhow::Result<()> {
    let Parsed::Manifest(manifest) = top.parse()? else { return Ok(()) };
    let config: serde_json::Value = serde_json::from_slice(&layout.read(&manifest.config)?)
        .map_err(|error| failure(Exit::Remote, format!("the configuration of {repository} is no JSON: {error}")))?;
    let text = |name: &str| config.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let (os, architecture) = (text("os"), text("architecture"));
    if os == "linux" && architecture == platform.architecture() {
        return Ok(());
    }
    let shown = drydock_http::printable(&format!("{os}/{architecture}"));
    let text = format!("{repository}@{} is an image for {shown}, not for {platform}", top.descriptor.digest);
    Err(failure(Exit::Remote, text))
}
