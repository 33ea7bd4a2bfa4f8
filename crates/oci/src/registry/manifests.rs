//! Reading manifests, which are verified by their digest.

use std::sync::PoisonError;

use super::challenge::Scope;
use super::{FetchedManifest, Reference, Registry, RegistryError, digest_header, media_type};
use crate::layout::LARGEST_MANIFEST;
use crate::model::{Descriptor, media};
use drydock_config::images::{Digest, Repository};
use drydock_http::{Method, Request};

/// The size in bytes of the largest manifest that is kept for the same process, and the number of them: 16 MiB in all.
const LARGEST_KEPT: usize = 64 << 10;
const MOST_KEPT: usize = 256;

impl Registry {
    /// Reads a manifest; none if it does not exist.
    ///
    /// # Errors
    /// The registry refuses the request or cannot be reached, or the manifest does not match its digest.
    pub fn manifest(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<Option<FetchedManifest>> {
        let url = self.url(repository, &format!("manifests/{reference}"))?;
        let call = Request::new(Method::GET, &url).header("accept", media::ANY_MANIFEST.join(", "));
        let mut answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(answer, repository)),
        }
        let media_type = media_type(&answer);
        let says = digest_header(&answer);
        let bytes = answer.bytes(LARGEST_MANIFEST)?;
        let descriptor = Descriptor::for_bytes(&media_type, &bytes);
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => says,
        };
        if expected.is_some_and(|expected| expected != descriptor.digest) {
            let digest = descriptor.digest;
            let page =
                if media_type.starts_with("text/html") { ": a web page, perhaps of a proxy or a login" } else { "" };
            let why = format!("{repository} returned other content for {reference}, with the digest {digest}{page}");
            return Err(RegistryError::wrong_content(why));
        }
        let fetched = FetchedManifest { descriptor, bytes };
        let mut manifests = self.inner.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        if fetched.bytes.len() <= LARGEST_KEPT && manifests.len() < MOST_KEPT {
            manifests.insert((repository.path().to_owned(), fetched.descriptor.digest), fetched.clone());
        }
        drop(manifests);
        Ok(Some(fetched))
    }

    /// Returns a manifest that this process has read from the repository, or reads it; none if it does not exist. A digest names
    /// the same bytes for ever, but only [`Registry::manifest`] shows that they are still there.
    ///
    /// # Errors
    /// As [`Registry::manifest`].
    pub(super) fn manifest_once(
        &self,
        repository: &Repository,
        digest: Digest,
    ) -> anyhow::Result<Option<FetchedManifest>> {
        let manifests = self.inner.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = manifests.get(&(repository.path().to_owned(), digest)).cloned();
        drop(manifests);
        match kept {
            Some(kept) => Ok(Some(kept)),
            None => self.manifest(repository, &digest.into()),
        }
    }

    /// Forgets a manifest that this process has read, before it is deleted.
    pub(super) fn forget_manifest(&self, repository: &Repository, digest: &Digest) {
        let mut manifests = self.inner.manifests.lock().unwrap_or_else(PoisonError::into_inner);
        manifests.remove(&(repository.path().to_owned(), *digest));
    }

    /// Reads a manifest that must exist.
    pub(crate) fn needed(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<FetchedManifest> {
        self.manifest(repository, reference)?.ok_or_else(|| {
            let at = match reference {
                Reference::Tag(tag) => format!("{repository}:{tag}"),
                Reference::Digest(digest) => format!("{repository}@{digest}"),
            };
            RegistryError::NotFound(at).into()
        })
    }

    /// Returns the descriptor of a manifest; none if it does not exist.
    ///
    /// # Errors
    /// The registry refuses the request or cannot be reached.
    pub fn head(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<Option<Descriptor>> {
        let url = self.url(repository, &format!("manifests/{reference}"))?;
        let call = Request::new(Method::HEAD, &url).header("accept", media::ANY_MANIFEST.join(", "));
        let answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(answer, repository)),
        }
        let size = answer.header("content-length").and_then(|text| text.parse().ok());
        match (digest_header(&answer), size) {
            (Some(digest), Some(size)) => Ok(Some(Descriptor::new(&media_type(&answer), digest, size))),
            // Both headers are optional; without them, the content is read.
            (_, _) => Ok(self.manifest(repository, reference)?.map(|fetched| fetched.descriptor)),
        }
    }
}
