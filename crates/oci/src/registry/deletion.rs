//! Deletion of manifests, which a registry need not offer.

use super::Registry;
use super::challenge::Scope;
use crate::layout::LARGEST_MANIFEST;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Method, Request};

impl Registry {
    /// Deletes a manifest, with all tags that point at it; returns false if it did not exist.
    ///
    /// # Errors
    /// The registry refuses the request, still has the manifest after it said that it does not exist, or cannot be reached.
    pub fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<bool> {
        self.forget_manifest(repository, digest);
        let url = self.url(repository, &format!("manifests/{digest}"))?;
        let call = Request::new(Method::DELETE, &url);
        let mut answer = self.send(repository.path(), &Scope::delete(repository.path()), call)?;
        match answer.status {
            200 | 202 | 204 => {
                drop(answer.bytes(LARGEST_MANIFEST));
                Ok(true)
            }
            404 => {
                // Without deletion, a registry does not know the address, or the method at this address. Others hide what a user
                // may not delete. So the words of the response prove nothing.
                let refusal =
                    answer.refusal("the manifest still exists: this registry has no deletion, or not for this user");
                if self.head(repository, &(*digest).into())?.is_none() { Ok(false) } else { Err(refusal.into()) }
            }
            405 => {
                let remedy = "this registry has no deletion, or it is disabled; docker's has `storage.delete.enabled`";
                Err(answer.refusal(remedy).into())
            }
            _ => Err(self.refused(answer, repository)),
        }
    }
}
