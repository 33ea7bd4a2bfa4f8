//! Small blobs of a registry, read whole: configurations, and what artifacts say.

use anyhow::Context as _;

use super::layout::{LARGEST_MANIFEST, Layout};
use super::model::{Descriptor, Parsed};
use super::registry::Registry;
use drydock_base::exit::{Exit, failure};
use drydock_config::images::{Digest, Repository};

/// More artifacts of one type than are read about one image.
const MOST_ARTIFACTS: usize = 64;

/// A blob.
///
/// # Errors
/// It is not there, too large, or has another digest; the registry cannot be reached.
pub fn blob(registry: &Registry, repository: &Repository, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
    if descriptor.size > LARGEST_MANIFEST {
        let text = format!("{} in {repository} has {} bytes, too many to be read", descriptor.digest, descriptor.size);
        return Err(failure(Exit::Remote, text));
    }
    let scratch =
        tempfile::Builder::new().prefix("drydock-blob-").tempdir().context("cannot make a temporary directory")?;
    let layout = Layout::create(scratch.path())?;
    registry.download(repository, descriptor, &layout)?;
    layout.read(descriptor)
}

/// The files of each artifact of that type that is said about a manifest.
///
/// # Errors
/// There are too many, one is not there or too large; the registry cannot be reached.
pub fn artifacts(
    registry: &Registry,
    repository: &Repository,
    subject: &Digest,
    artifact_type: &str,
) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
    let referrers = registry.referrers(repository, subject)?;
    let of_type = referrers.iter().filter(|one| one.artifact_type.as_deref() == Some(artifact_type));
    let mut artifacts = Vec::new();
    for descriptor in of_type.take(MOST_ARTIFACTS) {
        // A list may name what was deleted.
        let Some(fetched) = registry.manifest(repository, &descriptor.digest.into())? else { continue };
        let Parsed::Manifest(manifest) = fetched.parse()? else { continue };
        // What a list says of it counts for nothing.
        if manifest.artifact_type.as_deref() != Some(artifact_type)
            || manifest.subject.as_ref().map(|subject| subject.digest) != Some(*subject)
        {
            continue;
        }
        let files = manifest.layers.iter().map(|layer| blob(registry, repository, layer));
        artifacts.push(files.collect::<anyhow::Result<_>>()?);
    }
    Ok(artifacts)
}
