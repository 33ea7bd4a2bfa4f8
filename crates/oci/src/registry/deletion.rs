//! Deletion of manifests, which a registry need not offer.

use super::challenge::Scope;
use super::{Registry, says_unknown};
use crate::layout::LARGEST_MANIFEST;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Method, Request};

impl Registry {
    /// Deletes a manifest, with all tags that point at it; returns true if it existed.
    ///
    /// # Errors
    /// The registry refuses the request or cannot be reached.
    pub fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<bool> {
        let url = self.url(repository, &format!("manifests/{digest}"))?;
        let call = Request::new(Method::DELETE, &url);
        let mut answer = self.send(repository.path(), &Scope::delete(repository.path()), call)?;
        match answer.status {
            200 | 202 | 204 => {
                drop(answer.bytes(LARGEST_MANIFEST));
                Ok(true)
            }
            404 => {
                // A registry without deletion does not know the address, or the method at this address.
                if says_unknown(&mut answer)? || self.head(repository, &(*digest).into())?.is_none() {
                    return Ok(false);
                }
                Err(answer.refusal("the manifest still exists; this registry has no deletion").into())
            }
            405 => {
                let remedy = "this registry has no deletion, or it is disabled; docker's has `storage.delete.enabled`";
                Err(answer.refusal(remedy).into())
            }
            _ => Err(self.refused(answer, repository)),
        }
    }
}
