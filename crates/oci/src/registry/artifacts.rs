//! Artifacts: small files that are attached to a manifest, such as build records.

use std::collections::BTreeMap;

use super::{Reference, Registry, RegistryError, pool};
use crate::layout::LARGEST_MANIFEST;
use crate::model::{Descriptor, Manifest, ParsedManifest, media};
use drydock_config::images::{Digest, Repository};

/// The largest number of artifacts of one type that are read for one image.
const MOST_ARTIFACTS: usize = 64;

/// The configuration of an artifact (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY: &[u8] = b"{}";

/// One file of an artifact.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// The media type.
    pub media_type: &'a str,
    /// The content.
    pub bytes: &'a [u8],
    /// Annotations, such as `org.opencontainers.image.title` for the file name.
    pub annotations: &'a [(&'a str, &'a str)],
}

/// An artifact whose files are in a repository, and whose manifest is not yet.
#[derive(Debug)]
pub struct Artifact {
    subject: Digest,
    descriptor: Descriptor,
    manifest: Vec<u8>,
}

/// Attaches files to the manifest `subject`, as an artifact. The same content makes the same artifact, so a repeated call
/// changes nothing.
///
/// # Errors
/// The registry refuses a request, cannot be reached, or has no way to list referrers.
pub fn attach(
    registry: &Registry,
    repository: &Repository,
    subject: &Descriptor,
    artifact_type: &str,
    files: &[Attachment<'_>],
) -> anyhow::Result<Descriptor> {
    let artifact = Artifact::upload(registry, repository, subject, artifact_type, files)?;
    let listed = artifact.put(registry, repository)?;
    artifact.confirm(registry, repository)?;
    if !listed {
        registry.list_under_tag(repository, &artifact.subject, &[&artifact.descriptor])?;
    }
    Ok(artifact.descriptor)
}

impl Artifact {
    /// Uploads the files of an artifact about `subject`, which need not exist yet. Nothing names them before
    /// [`Copied::finish`](super::Copied::finish).
    ///
    /// # Errors
    /// The registry refuses a request or cannot be reached.
    pub fn upload(
        registry: &Registry,
        repository: &Repository,
        subject: &Descriptor,
        artifact_type: &str,
        files: &[Attachment<'_>],
    ) -> anyhow::Result<Artifact> {
        // Such files are in hardly any repository, so it is not asked for them.
        let mut layers = pool::each(files, registry.settings().parallel, |file| {
            let mut blob = Descriptor::for_bytes(file.media_type, file.bytes);
            registry.upload_bytes(repository, &blob, file.bytes)?;
            blob.annotations = owned(file.annotations);
            Ok(blob)
        })?;
        let config = Descriptor::for_bytes(media::EMPTY, EMPTY);
        if layers.is_empty() {
            layers.push(config.clone());
        }
        let manifest = Manifest {
            artifact_type: Some(artifact_type.to_owned()),
            subject: Some(Descriptor::new(&subject.media_type, subject.digest, subject.size)),
            ..Manifest::new(config, layers)
        };
        let manifest = serde_json::to_vec(&manifest)?;
        let mut descriptor = Descriptor::for_bytes(media::MANIFEST, &manifest);
        descriptor.artifact_type = Some(artifact_type.to_owned());
        Ok(Artifact { subject: subject.digest, descriptor, manifest })
    }

    /// Puts the manifest and its empty configuration; returns true if the registry lists it as a referrer.
    ///
    /// Most repositories have that configuration, as all artifacts share it. It must not be written while a copy writes it too:
    /// docker's registry answers 500 to who reads what another request is just writing.
    pub(super) fn put(&self, registry: &Registry, repository: &Repository) -> anyhow::Result<bool> {
        let config = Descriptor::for_bytes(media::EMPTY, EMPTY);
        if !registry.has_blob(repository, &config.digest)? {
            registry.upload_bytes(repository, &config, EMPTY)?;
        }
        registry.put(repository, &Reference::Digest(self.descriptor.digest), media::MANIFEST, &self.manifest)
    }

    /// Reads the manifest again after [`Artifact::put`].
    pub(super) fn confirm(&self, registry: &Registry, repository: &Repository) -> anyhow::Result<()> {
        registry.needed(repository, &Reference::Digest(self.descriptor.digest)).map(drop)
    }

    /// The manifest that the artifact is about, and the descriptor for its list of referrers.
    pub(super) fn listed(&self) -> (Digest, &Descriptor) {
        (self.subject, &self.descriptor)
    }
}

fn owned(annotations: &[(&str, &str)]) -> BTreeMap<String, String> {
    annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

impl Registry {
    /// Reads a blob that is at most as large as a manifest.
    ///
    /// # Errors
    /// The blob does not exist, is too large, or does not match its digest; the registry refuses a request or cannot be
    /// reached.
    pub fn small_blob(&self, repository: &Repository, descriptor: &Descriptor) -> anyhow::Result<Vec<u8>> {
        if descriptor.size > LARGEST_MANIFEST {
            let text =
                format!("{} in {repository} is too large to be read ({} bytes)", descriptor.digest, descriptor.size);
            return Err(RegistryError::protocol(text));
        }
        self.content(repository, descriptor, || Ok(Vec::new()))
    }

    /// Reads the files of each artifact of a type that is attached to a manifest.
    ///
    /// # Errors
    /// A file does not exist or is too large; the registry refuses a request or cannot be reached.
    pub fn artifacts(
        &self,
        repository: &Repository,
        subject: &Digest,
        artifact_type: &str,
    ) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
        let referrers = self.referrers(repository, subject)?;
        let of_type = referrers.iter().filter(|one| one.artifact_type.as_deref() == Some(artifact_type));
        let mut artifacts = Vec::new();
        for descriptor in of_type.take(MOST_ARTIFACTS) {
            // A list may name a deleted artifact.
            let Some(fetched) = self.manifest(repository, &descriptor.digest.into())? else { continue };
            let ParsedManifest::Manifest(manifest) = fetched.parse()? else { continue };
            // The artifact itself must confirm what the list says.
            if manifest.artifact_type.as_deref() != Some(artifact_type)
                || manifest.subject.as_ref().map(|subject| subject.digest) != Some(*subject)
            {
                continue;
            }
            let files = manifest.layers.iter().map(|layer| self.small_blob(repository, layer));
            artifacts.push(files.collect::<anyhow::Result<_>>()?);
        }
        Ok(artifacts)
    }
}
