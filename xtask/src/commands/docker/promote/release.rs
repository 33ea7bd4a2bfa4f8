//! The release that is promoted: its tag, its commit, and the keys that signed it.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::commands::release::policy::{self, KeyFiles};
use crate::commands::release::proved::{Published, WITHOUT};
use crate::commands::release_context::{DeclaredCommit, VersionSource, signing_policy};
use crate::commands::{Context, now};
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_config::release::{Signing, Version};
use drydock_oci::build_record::{BuildRecord, RecordTag};
use drydock_release::keyring::{Keyring, SignedBy};
use drydock_release::manifest::{CHECKSUMS, Manifest, NAME, Tag};
use drydock_release::preflight::Finding;
use drydock_release::signature_block::BlockError;
use drydock_release::tag::{SignedTag, TagError};
use drydock_release::verify;

/// The release that is promoted.
pub(super) struct PromotedRelease {
    pub(super) commit: DeclaredCommit,
    pub(super) version: Version,
    pub(super) tag: RecordTag,
    /// The keys and the quorum for its signatures.
    signing: Option<Signing>,
    /// The files with the declared keys, until the tag is checked.
    keys: Option<KeyFiles>,
    /// The declared keys, once the tag was checked.
    keyring: OnceCell<Keyring>,
    /// The directory of the release's files.
    pub(super) dist: PathBuf,
}

/// The keys that signed a release.
pub(super) struct ReleaseSigners {
    /// The declared keys; none unless enough people signed.
    pub(super) keys: BTreeSet<String>,
    /// The result of the check.
    pub(super) findings: Vec<Finding>,
    /// Whether the signatures are good, but too few yet.
    pub(super) lacks_quorum: bool,
}

/// The check of a tag's signatures, which needs nothing but gpg.
pub(super) struct TagCheck {
    keys: KeyFiles,
    /// The content of the tag object; none of a lightweight tag.
    object: Option<Vec<u8>>,
    name: String,
    commit: String,
}

/// The result of [`TagCheck::run`].
pub(super) struct CheckedTag {
    keyring: Keyring,
    /// The signatures of the tag object; none of a lightweight tag.
    judged: Option<Result<Vec<Result<SignedBy, BlockError>>, TagError>>,
}

impl TagCheck {
    /// Reads the keys, and judges the signatures.
    pub(super) fn run(self) -> anyhow::Result<CheckedTag> {
        let keyring = self.keys.keyring()?;
        let judged = match &self.object {
            None => None,
            Some(object) => match SignedTag::read(object, &self.name, &self.commit) {
                Ok(signed) => Some(Ok(signed.judge(&keyring, now())?)),
                Err(error) => Some(Err(error)),
            },
        };
        Ok(CheckedTag { keyring, judged })
    }
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
            let keys = signing.as_ref().map(|signing| policy::key_files(&head, signing)).transpose()?;
            let (dist, keyring) = (ctx.state.dist(version.as_str()), OnceCell::new());
            return Ok(PromotedRelease { commit: head, version, tag, signing, keys, keyring, dist });
        };
        let name = head.declaration.tag.render(version);
        let reference = format!("refs/tags/{name}");
        let object = head.repository.reference(&reference).ok_or_else(|| {
            let project = &ctx.declarations.project;
            let fetch = hint::git(project, &["fetch", "--tags"]);
            Failure::usage(format!("{} has no tag {name}; run `{fetch}`", project.display()))
        })?;
        // By the name of the object that was just read, as the tag may move.
        let commit = DeclaredCommit::resolve_in(ctx, head.repository.clone(), object.as_str())?;
        let signing = signing_policy(head.declaration.signing.as_ref(), commit.declaration.signing.as_ref());
        let keys = signing.as_ref().map(|signing| policy::key_files(&head, signing)).transpose()?;
        let (dist, keyring) = (ctx.state.dist(version.as_str()), OnceCell::new());
        let (version, tag) = (version.clone(), RecordTag { name, object: object.to_string() });
        Ok(PromotedRelease { commit, version, tag, signing, keys, keyring, dist })
    }

    /// The declared keys; none without a declaration, and until [`PromotedRelease::signers`] was called.
    pub(super) fn keyring(&self) -> Option<&Keyring> {
        self.keyring.get()
    }

    /// Returns what [`TagCheck::run`] needs, once; none if no keys are declared.
    pub(super) fn tag_check(&mut self) -> anyhow::Result<Option<TagCheck>> {
        let Some(keys) = self.keys.take() else { return Ok(None) };
        let repository = &self.commit.repository;
        let object = repository.resolve(&format!("refs/tags/{}", self.tag.name), "tag");
        let object = match object {
            Some(object) => Some(repository.read(&object)?.map(|object| object.content).unwrap_or_default()),
            None => None,
        };
        Ok(Some(TagCheck { keys, object, name: self.tag.name.clone(), commit: self.commit.id.to_string() }))
    }

    /// Returns the declared keys that signed the release, with the result of the check.
    pub(super) fn signers(&self, checked: Option<CheckedTag>) -> anyhow::Result<ReleaseSigners> {
        let what = format!("the tag {} is signed", self.tag.name);
        let bad = |found: String, remedy: String| -> anyhow::Result<ReleaseSigners> {
            let findings = vec![Finding::bad(&what, found, remedy)];
            Ok(ReleaseSigners { keys: BTreeSet::new(), findings, lacks_quorum: false })
        };
        let (Some(signing), Some(checked)) = (&self.signing, checked) else {
            let remedy =
                "declare `signing: {keys: packaging/keys}` in packaging/release.yaml, and put the public keys there";
            return bad("no keys are declared to check it against".into(), remedy.into());
        };
        let keyring = self.keyring.get_or_init(|| checked.keyring);
        let again = format!("git tag -f -s {} {}, before the tag is pushed", self.tag.name, self.commit.id.short());
        let judged = match checked.judged {
            None => return bad("it is a lightweight tag, which has no signature".into(), again),
            Some(Ok(judged)) => judged,
            Some(Err(error)) => return bad(error.to_string(), again),
        };
        // One person counts once, whichever of their keys signed.
        let mut signers: BTreeMap<String, String> = BTreeMap::new();
        let mut problems = Vec::new();
        for one in judged {
            match one {
                Ok(one) if one.judgement.counts() => {
                    signers.insert(one.person.unwrap_or_default(), one.key);
                }
                Ok(one) => problems.push(format!("{} ({})", one.judgement, one.key)),
                Err(error) => problems.push(error.to_string()),
            }
        }
        if signers.is_empty() {
            let shown = signing.keys.display();
            return bad(
                problems.join(", "),
                format!(
                    "add the signer's public key to {shown}; if the key does not belong to a release manager, investigate"
                ),
            );
        }
        // Other release managers sign SHA256SUMS instead of the tag.
        if signers.len() < signing.quorum as usize {
            signers.extend(self.checksum_signers(keyring)?);
        }
        if signers.len() < signing.quorum as usize {
            let found = format!("by {} of the declared people, expected {}", signers.len(), signing.quorum);
            let add = hint::drydock(&["release", "sign", "--add", "FILE"]).arg(&self.dist);
            let remedy = format!("add the signatures of other release managers: `{add}`");
            return Ok(ReleaseSigners { lacks_quorum: true, ..bad(found, remedy)? });
        }
        let findings = vec![Finding::good(what, "by declared keys")];
        Ok(ReleaseSigners { keys: signers.into_values().collect(), findings, lacks_quorum: false })
    }

    /// Returns the declared people who signed the checksums of this release, if it was built on this machine, each with their
    /// key.
    fn checksum_signers(&self, keyring: &Keyring) -> anyhow::Result<BTreeMap<String, String>> {
        let Some(manifest) = self.manifest()? else { return Ok(BTreeMap::new()) };
        let written = std::fs::read_to_string(self.dist.join(CHECKSUMS)).unwrap_or_default();
        if written != manifest.checksums()? {
            return Ok(BTreeMap::new());
        }
        let policy = verify::Policy { keyring, quorum: 1, source: String::new() };
        let only = [CHECKSUMS.to_owned()];
        let request = verify::Request {
            directory: &self.dist,
            only: &only,
            policy: Some(policy),
            name: None,
            version: None,
            now: now(),
        };
        let lists = verify::verify(&request)?.report.lists;
        let signatures = lists.into_iter().filter(|list| list.name == CHECKSUMS).flat_map(|list| list.signatures);
        Ok(signatures.filter(|one| one.counts).filter_map(|one| Some((one.person?, one.key))).collect())
    }

    /// Whether the release has a proof of exactly its files at this commit, or a reason is given why it has none.
    pub(super) fn proof(&self, without: Option<&str>) -> Finding {
        let what = "the sources are proved";
        if let Some(reason) = without {
            return Finding::good(what, format!("no; published without a proof: {reason}"));
        }
        let published = Published {
            directory: &self.dist,
            declaration: &self.commit.declaration,
            declaration_digest: self.commit.declaration_digest,
            version: self.version.as_str(),
            commit: self.commit.id.as_str(),
            tag: Some(Tag { name: self.tag.name.clone(), object: self.tag.object.clone() }),
        };
        match published.lacks_proof() {
            None => Finding::good(what, "by proof.json, for exactly these files"),
            Some(why) => Finding::bad(what, why, format!("prove the release at its tag, {WITHOUT}")),
        }
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
