//! Moves tags to a manifest that is there, and sees that it is that one.

use super::{Reference, Registry};
use crate::config::images::{Digest, Repository, Tag};
use crate::exit::{Exit, failure};
use crate::oci::model::Descriptor;

/// What a tag has to point at before it is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Anything or nothing: it moves.
    Any,
    /// Nothing, or the same manifest already: it never moves.
    Unset,
    /// This one, or the same manifest already: nobody moved it meanwhile.
    At(Digest),
}

/// Sets tags, in their order, on a manifest that was pushed before; the bytes are those of the registry. One that is set
/// already is left alone.
///
/// # Errors
/// The manifest is not there or has another digest, a tag points at something unexpected or moved at once, the registry
/// cannot be reached or refuses. The error says which tags are set, and which are not.
pub fn tag(
    registry: &Registry,
    repository: &Repository,
    manifest: &Descriptor,
    tags: &[(Tag, Before)],
) -> anyhow::Result<()> {
    let digest = manifest.digest;
    let fetched = registry.manifest(repository, &Reference::Digest(digest));
    let fetched = fetched.and_then(|fetched| {
        let why = || failure(Exit::Remote, format!("{repository}@{digest} is not there any more; push it again"));
        fetched.ok_or_else(why)
    });
    let fetched = fetched.map_err(|error| standing(error, repository, tags, 0))?;
    // Before anything is set, so that one that may not be set does not leave others behind.
    for (tag, before) in tags {
        expect(registry, repository, tag, *before, digest).map_err(|error| standing(error, repository, tags, 0))?;
    }
    for (done, (tag, before)) in tags.iter().enumerate() {
        let set = || -> anyhow::Result<()> {
            let reference = Reference::Tag(tag.clone());
            if expect(registry, repository, tag, *before, digest)? {
                return Ok(());
            }
            registry.put_manifest(repository, &reference, &fetched.descriptor.media_type, &fetched.bytes)?;
            match registry.manifest(repository, &reference)? {
                Some(again) if again.descriptor.digest == digest => Ok(()),
                found => {
                    let found = found.map_or_else(|| "nothing".to_owned(), |found| found.descriptor.digest.to_string());
                    let text = format!("{repository}:{tag} was set to {digest}, but is {found}; who else moves it?");
                    Err(failure(Exit::Remote, text))
                }
            }
        };
        set().map_err(|error| standing(error, repository, tags, done))?;
    }
    Ok(())
}

/// Whether a tag is set already.
fn expect(
    registry: &Registry,
    repository: &Repository,
    tag: &Tag,
    before: Before,
    digest: Digest,
) -> anyhow::Result<bool> {
    let now = registry.head(repository, &Reference::Tag(tag.clone()))?.map(|found| found.digest);
    let why = match (before, now) {
        (_, Some(now)) if now == digest => return Ok(true),
        (Before::Any, _) | (Before::Unset, None) => return Ok(false),
        (Before::At(expected), Some(now)) if now == expected => return Ok(false),
        (Before::Unset, Some(now)) => format!("is {now} already, and is never moved"),
        (Before::At(expected), Some(now)) => format!("is {now} meanwhile, and not {expected}; who else moves it?"),
        (Before::At(expected), None) => format!("is gone meanwhile, and not {expected}; who else moves it?"),
    };
    Err(failure(Exit::Remote, format!("{repository}:{tag} {why}")))
}

/// The error, with what is set and what is not.
fn standing(error: anyhow::Error, repository: &Repository, tags: &[(Tag, Before)], done: usize) -> anyhow::Error {
    let names = |tags: &[(Tag, Before)]| tags.iter().map(|(tag, _)| tag.to_string()).collect::<Vec<_>>().join(", ");
    let (set, not) = (names(&tags[..done]), names(&tags[done..]));
    let set = if set.is_empty() { "nothing is tagged".to_owned() } else { format!("set is {set}") };
    error.context(format!("cannot tag in {repository}: {set}, not set is {not}"))
}
