//! Which release is promoted: its tag, its commit, and who signed it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, VersionSource};
use drydock_base::failure::Failure;
use drydock_base::git::Objects;
use drydock_config::release::{Signing, Version};
use drydock_oci::build_record::{BuildRecord, RecordTag};
use drydock_release::manifest::{Manifest, NAME, SUMS};
use drydock_release::preflight::Finding;
use drydock_release::signatures;
use drydock_release::tag::SignedTag;

/// A release.
pub(super) struct Promoted {
    pub(super) commit: DeclaredCommit,
    pub(super) version: Version,
    pub(super) tag: RecordTag,
    /// Whose signatures count.
    pub(super) signing: Option<Signing>,
}

/// Whose signatures count: keys of the checkout, and as many as it or the tag wants. What a tag declares itself can make it
/// harder to promote, and never easier.
fn policy(checkout: Option<&Signing>, tagged: Option<&Signing>) -> Option<Signing> {
    let checkout = checkout?;
    let quorum = tagged.map_or(checkout.quorum, |tagged| tagged.quorum.max(checkout.quorum));
    Some(Signing { keys: checkout.keys.clone(), quorum })
}

impl Promoted {
    /// That of a version, or of HEAD's tag.
    pub(super) fn find(ctx: &Context, version: Option<&Version>) -> anyhow::Result<Promoted> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let Some(version) = version else {
            let (version, tag) = head.version(&VersionSource::Tag(None))?;
            let tag = tag.ok_or_else(|| Failure::usage("name the version that is promoted"))?;
            let tag = RecordTag { name: tag.name, object: tag.object };
            let signing = head.declaration.signing.clone();
            return Ok(Promoted { commit: head, version, tag, signing });
        };
        let name = head.declaration.tag.render(version);
        let reference = format!("refs/tags/{name}");
        let object = head.repository.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &reference]);
        let object = object.map_err(|_| {
            let text = format!("there is no tag {name} in {}; `git fetch --tags`?", ctx.declarations.project.display());
            Failure::usage(text)
        })?;
        // By the name of the object that was just read, as the tag may move.
        let commit = DeclaredCommit::resolve(ctx, &object)?;
        let signing = policy(head.declaration.signing.as_ref(), commit.declaration.signing.as_ref());
        Ok(Promoted { commit, version: version.clone(), tag: RecordTag { name, object }, signing })
    }

    /// The declared keys that signed the tag, and what keeps them from being enough.
    pub(super) fn signed(&self, ctx: &Context) -> anyhow::Result<(BTreeSet<String>, Vec<Finding>)> {
        let what = format!("the tag {} is signed", self.tag.name);
        let bad = |found: String, remedy: String| Ok((BTreeSet::new(), vec![Finding::bad(&what, found, remedy)]));
        let Some(signing) = &self.signing else {
            let remedy =
                "declare `signing: {keys: packaging/keys}` in packaging/release.yaml, and put public keys there";
            return bad("no keys are declared, so nobody can tell by whom".into(), remedy.into());
        };
        let again = format!("git tag -f -s {} {}, before anyone has it", self.tag.name, self.commit.id.short());
        let Some(object) = self.commit.repository.resolve(&format!("refs/tags/{}", self.tag.name), "tag") else {
            return bad("it is a light tag, which cannot be".into(), again);
        };
        let content = Objects::open(&self.commit.repository)?.read(&object)?.map(|object| object.content);
        let content = content.unwrap_or_default();
        let signed = match SignedTag::read(&content, &self.tag.name, self.commit.id.as_str()) {
            Ok(signed) => signed,
            Err(why) => return bad(why, again),
        };
        let keys = ctx.declarations.config.join(&signing.keys);
        let found = signed.check(&self.tag.name, &keys)?;
        if found.good.is_empty() {
            let shown = signing.keys.display();
            return bad(
                found.problems.join(", "),
                format!(
                    "is the signer's public key missing in {shown}? if it is nobody's who may release, find out who"
                ),
            );
        }
        let mut signers = found.good;
        // Others sign what was released instead of the tag.
        if signers.len() < signing.quorum as usize {
            signers.extend(self.signed_sums(&ctx.state.dist(self.version.as_str()), signing, &keys)?);
        }
        if signers.len() < signing.quorum as usize {
            let found = format!("by {} of the declared keys, {} are wanted", signers.len(), signing.quorum);
            return bad(found, format!("put signatures of others as {SUMS}.asc beside {SUMS} of this release"));
        }
        Ok((signers, vec![Finding::good(what, "by declared keys")]))
    }

    /// The declared keys that signed the sums of this release, as it was built on this machine.
    fn signed_sums(&self, dist: &Path, signing: &Signing, keys: &Path) -> anyhow::Result<BTreeSet<String>> {
        let Some(manifest) = self.manifest(dist)? else { return Ok(BTreeSet::new()) };
        let written = std::fs::read_to_string(dist.join(SUMS)).unwrap_or_default();
        if signing.quorum <= 1 || written != manifest.sums() {
            return Ok(BTreeSet::new());
        }
        let all = signatures::check(dist, keys)?;
        let of_sums = all.into_iter().filter(|signature| signature.file == format!("{SUMS}.asc"));
        Ok(of_sums.flat_map(|signature| signature.good).collect())
    }

    /// Whether a build was one of this version at this tag.
    pub(super) fn is_of(&self, build: &BuildRecord) -> bool {
        build.version == self.version.as_str()
            && build.commit == self.commit.id.as_str()
            && build.tag.as_ref() == Some(&self.tag)
    }

    /// The list of this release, if it was built on this machine.
    pub(super) fn manifest(&self, dist: &Path) -> anyhow::Result<Option<Manifest>> {
        if !dist.join(NAME).is_file() {
            return Ok(None);
        }
        let manifest = Manifest::load(&dist.join(NAME))?;
        let tag = manifest.tag.as_ref().map(|tag| (tag.name.as_str(), tag.object.as_str()));
        let is_this = manifest.commit == self.commit.id.as_str()
            && manifest.version == self.version.as_str()
            && tag == Some((self.tag.name.as_str(), self.tag.object.as_str()));
        Ok(is_this.then_some(manifest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tag_declares_makes_it_only_harder() {
        let signing = |keys: &str, quorum| Signing { keys: keys.into(), quorum };
        let checkout = signing("packaging/keys", 2);
        for (tagged, quorum) in [
            (None, 2),
            (Some(signing("packaging/keys", 1)), 2),
            (Some(signing("theirs", 1)), 2),
            (Some(signing("theirs", 3)), 3),
        ] {
            assert_eq!(policy(Some(&checkout), tagged.as_ref()), Some(signing("packaging/keys", quorum)), "{tagged:?}");
        }
        assert_eq!(policy(None, Some(&signing("theirs", 1))), None);
    }
}
