//! Setting tags: on a manifest that exists, under a precondition, and verified afterwards.

use super::{FetchedManifest, Reference, Registry, RegistryError, pool};
use crate::model::Descriptor;
use drydock_config::images::{Digest, Repository, Tag};
use drydock_http::{Retry, is_unanswered, short_reason};

/// The condition under which a tag is set. A tag that points at the manifest already always passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// The tag is set whatever it points at.
    None,
    /// The tag must not exist: it never moves.
    Absent,
    /// The tag must point at this manifest: nobody else moved it since it was read.
    Matches(Digest),
}

/// Sets tags, in order, on a manifest that was pushed before. Tags that are set already are not written.
///
/// # Errors
/// The manifest does not exist or has another digest, a tag does not fulfil its precondition or is moved at the same time
/// ([`RegistryError::Changed`]), or the registry refuses a request or cannot be reached. The message lists the tags that
/// are set, and those that are not.
pub fn tag(
    registry: &Registry,
    repository: &Repository,
    manifest: &Descriptor,
    tags: &[(Tag, Precondition)],
) -> anyhow::Result<()> {
    let digest = manifest.digest;
    let (fetched, before) = pool::both(
        || registry.manifest_once(repository, digest),
        || pool::each(tags, registry.settings().parallel, |(tag, _)| current(registry, repository, tag)),
    );
    let fetched = fetched.and_then(|fetched| {
        let why = || RegistryError::NotFound(format!("{repository}@{digest}")).into();
        fetched.ok_or_else(why)
    });
    let fetched = fetched.map_err(|error| standing(error, repository, tags, 0))?;
    // All preconditions are checked before the first tag is set.
    let found = before.map_err(|error| standing(error, repository, tags, 0))?;
    for ((tag, before), now) in tags.iter().zip(&found) {
        let expected = expect(repository, tag, *before, *now, digest);
        expected.map_err(|error| standing(error, repository, tags, 0))?;
    }
    for (done, (tag, before)) in tags.iter().enumerate() {
        // Nothing was done since the first one was read.
        let now = if done == 0 { found.first().copied() } else { None };
        set(registry, repository, &fetched, (tag, *before), now).map_err(|error| {
            // The request may have succeeded although its response was lost.
            match current(registry, repository, tag) {
                Ok(Some(now)) if now == digest => standing(error, repository, tags, done + 1),
                Ok(_) => standing(error, repository, tags, done),
                Err(_) => {
                    standing(error, repository, tags, done).context(format!("it is unknown whether {tag} is set"))
                }
            }
        })?;
    }
    Ok(())
}

/// Sets one tag. It is read before each attempt, so that a change by somebody else is not overwritten; `now` is what it points
/// at, if it was read just before.
fn set(
    registry: &Registry,
    repository: &Repository,
    fetched: &FetchedManifest,
    (tag, before): (&Tag, Precondition),
    now: Option<Option<Digest>>,
) -> anyhow::Result<()> {
    let (reference, digest) = (Reference::Tag(tag.clone()), fetched.descriptor.digest);
    let media_type = &fetched.descriptor.media_type;
    let first = match now {
        Some(now) => now,
        None => current(registry, repository, tag)?,
    };
    if expect(repository, tag, before, first, digest)? {
        return Ok(());
    }
    for tried in 1.. {
        let sent = registry.send_manifest(repository, &reference, media_type, &fetched.bytes, Retry::Never);
        let (why, asked) = match sent {
            Ok(answer) if matches!(answer.status, 429 | 500 | 502 | 503 | 504) => {
                let asked = answer.retry_after(registry.retry_policy().clock.now());
                (registry.refused(answer, repository), asked)
            }
            Ok(answer) => {
                registry.taken(answer, repository, &fetched.bytes)?;
                break;
            }
            Err(why) if is_unanswered(&why) => (why, None),
            Err(why) => return Err(why),
        };
        let inner = &registry.inner;
        if !inner.client.wait(&inner.base, tried, asked, &short_reason(&why)) {
            return Err(why);
        }
        match current(registry, repository, tag)? {
            Some(now) if now == digest => return Ok(()),
            now if now == first => {}
            now => {
                let error =
                    RegistryError::changed(repository, tag, format!("is now {}; who else moves it?", shown(now)));
                return Err(anyhow::Error::new(error).context(format!("{why:#}")));
            }
        }
    }
    match registry.manifest(repository, &reference)?.map(|found| found.descriptor.digest) {
        Some(now) if now == digest => Ok(()),
        now => {
            let why = format!("was set to {digest}, but is now {}; who else moves it?", shown(now));
            Err(RegistryError::changed(repository, tag, why).into())
        }
    }
}

fn current(registry: &Registry, repository: &Repository, tag: &Tag) -> anyhow::Result<Option<Digest>> {
    Ok(registry.head(repository, &Reference::Tag(tag.clone()))?.map(|found| found.digest))
}

fn shown(digest: Option<Digest>) -> String {
    digest.map_or_else(|| "absent".to_owned(), |digest| digest.to_string())
}

/// Checks the precondition of a tag that points at `now`; returns true if the tag is set already.
fn expect(
    repository: &Repository,
    tag: &Tag,
    before: Precondition,
    now: Option<Digest>,
    digest: Digest,
) -> anyhow::Result<bool> {
    let why = match (before, now) {
        (_, Some(now)) if now == digest => return Ok(true),
        (Precondition::None, _) | (Precondition::Absent, None) => return Ok(false),
        (Precondition::Matches(expected), Some(now)) if now == expected => return Ok(false),
        (Precondition::Absent, Some(now)) => format!("exists already ({now}) and is never moved"),
        (Precondition::Matches(expected), Some(now)) => {
            format!("was {expected}, but is now {now}; who else moves it?")
        }
        (Precondition::Matches(expected), None) => format!("was {expected}, but was deleted; who else moves it?"),
    };
    Err(RegistryError::changed(repository, tag, why).into())
}

/// Adds the tags that are set, and those that are not, to an error.
fn standing(error: anyhow::Error, repository: &Repository, tags: &[(Tag, Precondition)], done: usize) -> anyhow::Error {
    let names =
        |tags: &[(Tag, Precondition)]| tags.iter().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>().join(", ");
    let (set, not) = (names(&tags[..done]), names(&tags[done..]));
    let set = if set.is_empty() { "no tag is set".to_owned() } else { format!("{set} is set") };
    let not = if not.is_empty() { String::new() } else { format!(", {not} is not set") };
    error.context(format!("cannot tag in {repository}: {set}{not}"))
}
