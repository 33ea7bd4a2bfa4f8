//! Says something about a manifest: a small artifact that refers to it.

use std::collections::BTreeMap;

use super::{Reference, Registry};
use crate::model::{Descriptor, Manifest, media};
use drydock_config::images::Repository;

/// One file of an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// Its type.
    pub media_type: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
    /// What else is to be known, such as `org.opencontainers.image.title`, its name.
    pub annotations: &'a [(&'a str, &'a str)],
}

/// Puts an artifact that refers to `subject`, and lists it. The same content makes the same artifact, so that doing it
/// again changes nothing. No other tag is set.
///
/// # Errors
/// The registry cannot be reached or refuses, or can hold no list of what refers to a manifest.
pub fn attach(
    registry: &Registry,
    repository: &Repository,
    subject: &Descriptor,
    artifact_type: &str,
    files: &[Attachment<'_>],
) -> anyhow::Result<Descriptor> {
    let put = |media_type: &str, bytes: &[u8]| -> anyhow::Result<Descriptor> {
        let blob = Descriptor::of(media_type, bytes);
        if !registry.has_blob(repository, &blob.digest)? {
            registry.upload_bytes(repository, &blob, bytes)?;
        }
        Ok(blob)
    };
    let config = put(media::EMPTY, b"{}")?;
    let mut layers = Vec::new();
    for file in files {
        let mut layer = put(file.media_type, file.bytes)?;
        layer.annotations = owned(file.annotations);
        layers.push(layer);
    }
    if layers.is_empty() {
        layers.push(config.clone());
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: Some(media::MANIFEST.to_owned()),
        artifact_type: Some(artifact_type.to_owned()),
        config,
        layers,
        subject: Some(Descriptor::new(&subject.media_type, subject.digest, subject.size)),
        annotations: BTreeMap::new(),
    };
    let bytes = serde_json::to_vec(&manifest)?;
    let mut descriptor = Descriptor::of(media::MANIFEST, &bytes);
    let reference = Reference::Digest(descriptor.digest);
    let listed = registry.put(repository, &reference, media::MANIFEST, &bytes)?;
    registry.needed(repository, &reference)?;
    descriptor.artifact_type = Some(artifact_type.to_owned());
    if !listed {
        registry.list_under_tag(repository, &subject.digest, &[&descriptor])?;
    }
    Ok(descriptor)
}

fn owned(annotations: &[(&str, &str)]) -> BTreeMap<String, String> {
    annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
