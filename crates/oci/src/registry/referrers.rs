//! Referrers of a manifest: from the referrers API, or where the registry has none from the fallback tag.
//!
//! OCI distribution specification 1.1, "Listing Referrers" and "Referrers Tag Schema".

use std::sync::atomic::Ordering;

use super::challenge::Scope;
use super::listing::{LARGEST_PAGE, MOST_PAGES};
use super::{FetchedManifest, Reference, Registry, RegistryError, says_unknown};
use crate::model::{Descriptor, Index, ParsedManifest, media};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository, Tag};
use drydock_http::{Method, Request, is_unanswered};

/// The maximum number of referrers of a manifest.
const MOST_REFERRERS: usize = 2_000;
/// The maximum number of writes of a list that others change too.
const MOST_WRITES: u32 = 5;

/// Returns the fallback tag for the referrers of a digest, for registries without a referrers API.
pub fn fallback_tag(digest: &Digest) -> anyhow::Result<Tag> {
    format!("sha256-{}", digest.hex()).parse().map_err(|bad| Failure::usage(format!("{bad}")))
}

impl Registry {
    /// Returns the referrers of a manifest, which need not exist. If the referrers API has none, those under the fallback
    /// tag count: they may be from a time before the API.
    ///
    /// # Errors
    /// The registry refuses a request, cannot be reached, or returns an invalid list.
    pub fn referrers(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<Vec<Descriptor>> {
        if !self.inner.no_referrers.load(Ordering::Relaxed) {
            if let Some(list) = self.listed(repository, digest)?.filter(|list| !list.is_empty()) {
                return Ok(list);
            }
        }
        Ok(self.fallback(repository, digest)?.map(|(_, index)| index.manifests).unwrap_or_default())
    }

    /// Asks the referrers API; none if the registry does not have it.
    fn listed(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<Option<Vec<Descriptor>>> {
        let endless = || RegistryError::protocol(format!("the list of referrers of {digest} does not end"));
        let mut list: Vec<Descriptor> = Vec::new();
        let mut next = Some(self.url(repository, &format!("referrers/{digest}"))?);
        for page in 0..MOST_PAGES {
            let Some(url) = next else { return Ok(Some(list)) };
            let call = Request::new(Method::GET, &url).header("accept", media::INDEX);
            let mut answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
            match answer.status {
                200 => {}
                404 | 405 if page == 0 => {
                    // A registry with the API reports that the repository or the manifest is unknown.
                    if !says_unknown(&mut answer)? {
                        self.inner.no_referrers.store(true, Ordering::Relaxed);
                    }
                    return Ok(None);
                }
                // A redirect to a web page, such as that for logins.
                300..=399 if page == 0 => {
                    self.inner.no_referrers.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                _ => return Err(self.refused(answer, repository)),
            }
            next = self.next_page(&url, answer.headers("link"))?;
            let bytes = answer.bytes(LARGEST_PAGE)?;
            let index: Index = match serde_json::from_slice(&bytes) {
                Ok(index) => index,
                Err(_) if page == 0 => {
                    self.inner.no_referrers.store(true, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) => {
                    return Err(RegistryError::protocol(format!("cannot parse {url} as a list of referrers: {error}")));
                }
            };
            if index.manifests.is_empty() && next.is_some() {
                return Err(endless());
            }
            list.extend(index.manifests);
            if list.len() > MOST_REFERRERS {
                return Err(endless());
            }
        }
        Err(endless())
    }

    /// Reads the list under the fallback tag. GitLab's registry takes such a tag for the digest, and returns the subject.
    fn fallback(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<Option<(FetchedManifest, Index)>> {
        let tag = fallback_tag(digest)?;
        let fetched = self.manifest(repository, &Reference::Tag(tag.clone()))?;
        let Some(fetched) = fetched.filter(|fetched| fetched.descriptor.digest != *digest) else { return Ok(None) };
        match fetched.parse()? {
            ParsedManifest::Index(index) if index.manifests.len() <= MOST_REFERRERS => Ok(Some((fetched, index))),
            ParsedManifest::Index(_) | ParsedManifest::Manifest(_) => {
                Err(RegistryError::protocol(format!("{repository}:{tag} is not a list of referrers of {digest}")))
            }
        }
    }

    /// Adds to the list under the fallback tag. It is read back, since others may write it at the same time.
    pub(super) fn list_under_tag(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrers: &[&Descriptor],
    ) -> anyhow::Result<()> {
        self.rewrite(repository, subject, |list| {
            let before = list.len();
            for referrer in referrers {
                if !list.iter().any(|known| known.digest == referrer.digest) {
                    list.push((*referrer).clone());
                }
            }
            list.len() > before
        })
    }

    /// Removes deleted referrers from the list under the fallback tag. With a referrers API, there is nothing to do.
    ///
    /// # Errors
    /// The registry refuses a request or cannot be reached, or others keep changing the list.
    pub fn unlist(&self, repository: &Repository, subject: &Digest, gone: &[Digest]) -> anyhow::Result<()> {
        self.rewrite(repository, subject, |list| {
            let before = list.len();
            list.retain(|known| !gone.contains(&known.digest));
            list.len() < before
        })
    }

    /// Changes the list under the fallback tag; `change` returns true if it changed anything.
    fn rewrite(
        &self,
        repository: &Repository,
        subject: &Digest,
        change: impl Fn(&mut Vec<Descriptor>) -> bool,
    ) -> anyhow::Result<()> {
        let tag = Reference::Tag(fallback_tag(subject)?);
        let holds_none = || {
            let host = self.host();
            format!(
                "{host} has no referrers API and does not accept the fallback tag {repository}:{tag}; nothing can be attached there"
            )
        };
        for tried in 1..=MOST_WRITES {
            let there = self.fallback(repository, subject)?;
            if there.is_none() && tried > 1 {
                return Err(RegistryError::protocol(holds_none()));
            }
            let mut index = there.map_or_else(|| Index::new(Vec::new()), |(_, index)| index);
            if !change(&mut index.manifests) {
                return Ok(());
            }
            self.put_manifest(repository, &tag, media::INDEX, &serde_json::to_vec(&index)?)
                .map_err(|why| if is_unanswered(&why) { why } else { why.context(holds_none()) })?;
            if tried > 1 {
                self.retry_policy().clock.sleep(self.retry_policy().wait(tried - 1));
            }
        }
        Err(RegistryError::protocol(format!("others keep changing {repository}:{tag}; try again")))
    }
}
