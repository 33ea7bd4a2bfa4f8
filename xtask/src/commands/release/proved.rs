//! What is published has a proof: of exactly these files, this commit and this version; or the reason is published why it has none.

use std::path::Path;

use crate::commands::release_context::ReleaseContext;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::{hint, output};
use drydock_config::release::Release;
use drydock_release::manifest::{Identity, Manifest, NAME, Tag};
use drydock_release::proof::Proof;

/// The release that is published.
pub(in crate::commands) struct Published<'a> {
    pub(in crate::commands) directory: &'a Path,
    pub(in crate::commands) declaration: &'a Release,
    pub(in crate::commands) declaration_digest: Checksum,
    pub(in crate::commands) version: &'a str,
    pub(in crate::commands) commit: &'a str,
    pub(in crate::commands) tag: Option<Tag>,
}

impl Published<'_> {
    /// The manifest of its archives in the directory, if they belong to it and are intact.
    pub(in crate::commands) fn manifest(&self) -> Option<Manifest> {
        let manifest = Manifest::load(&self.directory.join(NAME)).ok()?;
        let is_current = manifest.commit == self.commit
            && manifest.version == self.version
            && manifest.tag == self.tag
            && manifest.declaration == self.declaration_digest;
        let is_intact = manifest.artifacts.iter().all(|artifact| {
            let path = self.directory.join(&artifact.name);
            Checksum::from_file(&path).is_ok_and(|found| found == (artifact.sha256, artifact.size))
        });
        (is_current && is_intact).then_some(manifest)
    }

    /// The reason why a release is not complete: declared files that it was built without. None if it has all.
    pub(in crate::commands) fn lacks_files(&self, manifest: &Manifest) -> Option<String> {
        let version = self.version.parse().ok()?;
        let (declaration, tag) = (self.declaration_digest, self.tag.clone());
        let names = Identity { release: self.declaration, declaration, version: &version, tag }.names();
        let is_there = |name: &String| manifest.artifacts.iter().any(|artifact| artifact.name == *name);
        let missing: Vec<String> = names.into_iter().filter(|name| !is_there(name)).collect();
        let prove = hint::drydock(&["release", "prove"]);
        (!missing.is_empty()).then(|| format!("it was built without {}; run `{prove}`", missing.join(", ")))
    }

    /// The reason why there is no proof of exactly these archives; none if there is one.
    pub(in crate::commands) fn lacks_proof(&self) -> Option<String> {
        let Some(manifest) = self.manifest() else {
            let commit = self.commit.get(..12).unwrap_or(self.commit);
            let what = format!("{} at the commit {commit}", self.version);
            let prove = hint::drydock(&["release", "prove"]);
            return Some(format!("{} has no intact archives of {what}; run `{prove}`", self.directory.display()));
        };
        let declared = self.declaration.offline_proof.as_ref();
        Proof::load(&manifest, self.directory, declared).err().map(|error| format!("{error:#}"))
    }

    /// Fails unless the archives have a proof, or a reason is given for publishing without one.
    ///
    /// # Errors
    /// The archives are not there, are of something else, or have no proof of exactly them.
    pub(in crate::commands) fn require_proof(&self, without: Option<&str>) -> anyhow::Result<()> {
        if let Some(reason) = without {
            output::err(format_args!("note: published without a proof: {reason}"));
            return Ok(());
        }
        match self.lacks_proof() {
            None => Ok(()),
            Some(why) => Err(Failure::not_reproducible(format!("not published: {why}, {WITHOUT}"))),
        }
    }
}

/// The other way to publish, as the end of a message.
pub(in crate::commands) const WITHOUT: &str = "or give a reason with --without-proof, which is published";

impl ReleaseContext {
    /// What is published of this release; its files are in `directory`.
    pub(in crate::commands) fn published<'a>(&'a self, directory: &'a Path) -> Published<'a> {
        Published {
            directory,
            declaration: self.declaration(),
            declaration_digest: self.commit.declaration_digest,
            version: self.version.as_str(),
            commit: self.commit.id.as_str(),
            tag: self.tag.clone(),
        }
    }
}

/// The reason for publishing without a proof, as the command line has it.
///
/// # Errors
/// It is empty, too long, or not a single line.
pub(crate) fn reason(text: &str) -> Result<String, BadReason> {
    let text = text.trim();
    let fits = !text.is_empty() && text.len() <= 500 && !text.chars().any(drydock_base::text::is_unprintable);
    if fits { Ok(text.to_owned()) } else { Err(BadReason) }
}

/// A reason that cannot be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a sentence on one line, of at most 500 characters")]
pub(crate) struct BadReason;
