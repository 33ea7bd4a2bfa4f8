//! The release that is promoted: its tag, its commit, and the keys that signed it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, VersionSource, signing_policy};
use drydock_base::failure::Failure;
use drydock_base::git::Objects;
use drydock_base::hint;
use drydock_config::release::{Signing, Version};
use drydock_oci::build_record::{BuildRecord, RecordTag};
use drydock_release::manifest::{CHECKSUMS, Manifest, NAME};
use drydock_release::preflight::Finding;
use drydock_release::signatures;
use drydock_release::tag::SignedTag;

/// The release that is promoted.
pub(super) struct PromotedRelease {
    pub(super) commit: DeclaredCommit,
    pub(super) version: Version,
    pub(super) tag: RecordTag,
    /// The keys and the quorum for its signatures.
    signing: Option<Signing>,
    /// The directory of the declared keys.
    pub(super) keys: Option<PathBuf>,
    /// The directory of the release's files.
    pub(super) dist: PathBuf,
}

impl PromotedRelease {
    /// Finds the release of a version, or of the tag at HEAD.
    pub(super) fn find(ctx: &Context, version: Option<&Version>) -> anyhow::Result<PromotedRelease> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let Some(version) = version else {
            let (version, tag) = head.version(&VersionSource::Tag(None))?;
            let tag = tag.ok_or_else(|| Failure::usage("name the version to promote"))?;
            let tag = RecordTag { name: tag.name, object: tag.object };
            let signing = head.declaration.signing.clone();
            return Ok(PromotedRelease::new(ctx, head, version, tag, signing));
        };
        let name = head.declaration.tag.render(version);
        let reference = format!("refs/tags/{name}");
        let object = head.repository.ask(&["rev-parse", "--verify", "--quiet", "--end-of-options", &reference]);
        let object = object.map_err(|_| {
            let project = &ctx.declarations.project;
            let fetch = hint::git(project, &["fetch", "--tags"]);
            Failure::usage(format!("{} has no tag {name}; run `{fetch}`", project.display()))
        })?;
        // By the name of the object that was just read, as the tag may move.
        let commit = DeclaredCommit::resolve(ctx, &object)?;
        let signing = signing_policy(head.declaration.signing.as_ref(), commit.declaration.signing.as_ref());
        Ok(PromotedRelease::new(ctx, commit, version.clone(), RecordTag { name, object }, signing))
    }

    fn new(
        ctx: &Context,
        commit: DeclaredCommit,
        version: Version,
        tag: RecordTag,
        signing: Option<Signing>,
    ) -> PromotedRelease {
        let keys = signing.as_ref().map(|signing| ctx.declarations.config.join(&signing.keys));
        let dist = ctx.state.dist(version.as_str());
        PromotedRelease { commit, version, tag, signing, keys, dist }
    }

    /// Returns the declared keys that signed the release, with the result of the check.
    pub(super) fn signers(&self) -> anyhow::Result<(BTreeSet<String>, Vec<Finding>)> {
        let what = format!("the tag {} is signed", self.tag.name);
        let bad = |found: String, remedy: String| Ok((BTreeSet::new(), vec![Finding::bad(&what, found, remedy)]));
        let (Some(signing), Some(keys)) = (&self.signing, &self.keys) else {
            let remedy =
                "declare `signing: {keys: packaging/keys}` in packaging/release.yaml, and put the public keys there";
            return bad("no keys are declared to check it against".into(), remedy.into());
        };
        let again = format!("git tag -f -s {} {}, before the tag is pushed", self.tag.name, self.commit.id.short());
        let Some(object) = self.commit.repository.resolve(&format!("refs/tags/{}", self.tag.name), "tag") else {
            return bad("it is a lightweight tag, which has no signature".into(), again);
        };
        let content = Objects::open(&self.commit.repository)?.read(&object)?.map(|object| object.content);
        let content = content.unwrap_or_default();
        let signed = match SignedTag::read(&content, &self.tag.name, self.commit.id.as_str()) {
            Ok(signed) => signed,
            Err(error) => return bad(error.to_string(), again),
        };
        let found = signed.check(&self.tag.name, keys)?;
        if found.good.is_empty() {
            let shown = signing.keys.display();
            return bad(
                found.problems.join(", "),
                format!(
                    "add the signer's public key to {shown}; if the key does not belong to a release manager, investigate"
                ),
            );
        }
        let mut signers = found.good;
        // Other release managers sign SHA256SUMS instead of the tag.
        if signers.len() < signing.quorum as usize {
            signers.extend(self.sums_signers(signing, keys)?);
        }
        if signers.len() < signing.quorum as usize {
            let found = format!("by {} of the declared keys, expected {}", signers.len(), signing.quorum);
            return bad(
                found,
                format!(
                    "save the signatures of other release managers as {CHECKSUMS}.asc beside {CHECKSUMS} of this release"
                ),
            );
        }
        Ok((signers, vec![Finding::good(what, "by declared keys")]))
    }

    /// Returns the declared keys that signed the checksums of this release, if it was built on this machine.
    fn sums_signers(&self, signing: &Signing, keys: &Path) -> anyhow::Result<BTreeSet<String>> {
        let Some(manifest) = self.manifest()? else { return Ok(BTreeSet::new()) };
        let written = std::fs::read_to_string(self.dist.join(CHECKSUMS)).unwrap_or_default();
        if signing.quorum <= 1 || written != manifest.checksums() {
            return Ok(BTreeSet::new());
        }
        let all = signatures::check(&self.dist, keys)?;
        let of_sums = all.into_iter().filter(|signature| signature.file == format!("{CHECKSUMS}.asc"));
        Ok(of_sums.flat_map(|signature| signature.good).collect())
    }

    /// Returns true if a build is of this version, at this tag.
    pub(super) fn is_of(&self, build: &BuildRecord) -> bool {
        build.version == self.version.as_str()
            && build.commit == self.commit.id.as_str()
            && build.tag.as_ref() == Some(&self.tag)
    }

    /// Returns the manifest of this release, if it was built on this machine.
    pub(super) fn manifest(&self) -> anyhow::Result<Option<Manifest>> {
        if !self.dist.join(NAME).is_file() {
            return Ok(None);
        }
        let manifest = Manifest::load(&self.dist.join(NAME))?;
        let tag = manifest.tag.as_ref().map(|tag| (tag.name.as_str(), tag.object.as_str()));
        let is_this = manifest.commit == self.commit.id.as_str()
            && manifest.version == self.version.as_str()
            && tag == Some((self.tag.name.as_str(), self.tag.object.as_str()));
        Ok(is_this.then_some(manifest))
    }
}
