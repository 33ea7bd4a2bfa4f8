//! One image that is promoted: found, judged, and compared with what the release repository holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use super::release::Promoted;
use super::signed;
use crate::commands::Context;
use crate::commands::docker::registries::Registries;
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::{Digest, Image, ImageName, Platform, Repository, Tag};
use drydock_oci::build_record::BuildRecord;
use drydock_oci::promote::candidate::{self, Candidate};
use drydock_oci::promote::evidence::{Fit, Wanted, judge};
use drydock_oci::promote::promotion_record::{self as record, ARTIFACT_TYPE, Promotion, SignedTag};
use drydock_oci::promote::{self, Current, LATEST, Latest};
use drydock_oci::registry::Registry;
use drydock_release::manifest;
use drydock_release::preflight::Finding;
use drydock_release::proof::{self, Proof};

/// What every image needs to be promoted.
pub(super) struct Need<'a> {
    pub(super) ctx: &'a Context,
    pub(super) release: &'a Promoted,
    pub(super) signers: &'a BTreeSet<String>,
}

/// An image that can be promoted.
pub(super) struct Prepared {
    pub(super) image: ImageName,
    pub(super) candidate: Candidate,
    /// How it was found.
    pub(super) found_by: Found,
    /// Whether this machine built the same image.
    pub(super) is_built_here: bool,
    pub(super) from: Repository,
    pub(super) to: Repository,
    pub(super) tag: Tag,
    pub(super) is_tagged: bool,
    pub(super) current: Option<Current>,
    pub(super) latest: Latest,
    pub(super) record: Promotion,
    /// Whether the release repository has a good record of this promotion.
    pub(super) is_recorded: bool,
}

/// How an image was found.
pub(super) enum Found {
    /// By this tag in the nightly repository.
    Tag(Tag),
    /// By its build on this machine.
    Built,
    /// In the release repository, as the nightly one does not have it any more.
    Promoted,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::Tag(tag) => tag.fmt(f),
            Found::Built => f.write_str("built on this machine"),
            Found::Promoted => f.write_str("not there any more, but promoted before"),
        }
    }
}

impl Prepared {
    pub(super) fn is_done(&self) -> bool {
        self.is_tagged && self.is_recorded && self.latest != Latest::Moves
    }

    pub(super) fn latest_tag(&self) -> anyhow::Result<Tag> {
        LATEST.parse().map_err(|bad| Failure::usage(format!("{bad}")))
    }
}

impl Need<'_> {
    /// The directory of the release.
    pub(super) fn dist(&self) -> PathBuf {
        self.ctx.state.dist(self.release.version.as_str())
    }

    /// The directory of the declared keys.
    pub(super) fn keys(&self) -> Option<PathBuf> {
        let signing = self.release.signing.as_ref()?;
        Some(self.ctx.declarations.config.join(&signing.keys))
    }

    /// Looks at everything about one image; all that keeps it from being promoted is added to the findings.
    pub(super) fn prepare(
        &self,
        image: &Image,
        registries: &mut Registries,
        findings: &mut Vec<Finding>,
    ) -> anyhow::Result<Option<Prepared>> {
        let (from, to) = (&image.repositories.nightly, &image.repositories.release);
        let version = &self.release.version;
        let tag = match promote::tag(&self.release.commit.declaration.tag, version) {
            Ok(tag) => tag,
            Err(why) => {
                let remedy = "mend `version.tag` in packaging/release.yaml";
                findings.push(Finding::bad(format!("the tag of {} can be one of an image", image.name), why, remedy));
                return Ok(None);
            }
        };
        let registry = registries.of(to)?;
        let now = registry.head(to, &tag.clone().into())?.map(|now| now.digest);
        let mut doubts = Vec::new();
        let own = self.own(image);
        let found = match self.candidate(image, &registries.of(from)?, own, &mut doubts)? {
            Some(found) => Some(found),
            // The nightly repository forgets; what was promoted is there all the same.
            None => now.map(|now| self.promoted(image, &registry, now)).transpose()?.flatten(),
        };
        let Some((candidate, fit, found_by)) = found else {
            findings.extend(doubts);
            return Ok(None);
        };
        let digest = candidate.descriptor.digest;
        if let Some(own) = own.filter(|own| *own != digest) {
            findings.push(self.differs(image, own, &format!("{digest} ({found_by})")));
            return Ok(None);
        }
        if let Some(other) = now.filter(|now| *now != digest) {
            let remedy = format!("a release is never replaced: release another version than {version}");
            let what = format!("{to}:{tag} is free, or is this image");
            findings.push(Finding::bad(what, format!("it is {other}, this image is {digest}"), remedy));
            return Ok(None);
        }
        let (current, latest) = self.latest(&registry, to, &tag, digest)?;
        let record = self.record(image, digest, &fit)?;
        let is_recorded = self.is_recorded(&registry, to, &record)?;
        let (image, from, to, is_tagged) = (image.name.clone(), from.clone(), to.clone(), now.is_some());
        Ok(Some(Prepared {
            image,
            candidate,
            found_by,
            is_built_here: own.is_some(),
            from,
            to,
            tag,
            is_tagged,
            current,
            latest,
            record,
            is_recorded,
        }))
    }

    /// What this machine built at the signed tag, if it did.
    fn own(&self, image: &Image) -> Option<Digest> {
        let (record, _, _) = BuildRecord::load(&self.dist().join("oci"), image.name.as_str()).ok()?;
        self.release.is_of(&record).then_some(record.digest)
    }

    /// Two builds that should be one.
    fn differs(&self, image: &Image, own: Digest, other: &str) -> Finding {
        let (name, tag) = (&image.name, &self.release.tag.name);
        let remedy = format!(
            "find out which is wrong, and why, by a build on a third machine; if it is that of the registry, cargo xtask \
             docker nightly {name} --commit {tag} --tag {tag}; if it is that of this machine, cargo xtask docker build {name} \
             --commit {tag} --tag {tag}"
        );
        Finding::bad(
            format!("two builds of {name} at {tag} are the same"),
            format!("{other}, built here {own}"),
            remedy,
        )
    }

    /// The image that was built at the signed tag, by the tag of its commit, or by what was built on this machine. The one
    /// never stands in for the other: where both are there, they are the same.
    fn candidate(
        &self,
        image: &Image,
        registry: &Registry,
        own: Option<Digest>,
        findings: &mut Vec<Finding>,
    ) -> anyhow::Result<Option<(Candidate, Fit, Found)>> {
        let (from, commit, tag) = (&image.repositories.nightly, &self.release.commit.id, &self.release.tag.name);
        let again = format!("cargo xtask docker nightly {} --tag {tag}", image.name);
        let build = format!("cargo xtask docker build {} --tag {tag}, then {again}", image.name);
        let of_commit: Tag = format!("sha-{}", commit.short())
            .parse()
            .map_err(|bad| Failure::usage(format!("the commit {commit} makes no tag: {bad}")))?;
        let head = registry.head(from, &of_commit.clone().into())?.map(|head| head.digest);
        let (digest, found_by, remedy) = match (head, own) {
            (Some(head), _) => (head, Found::Tag(of_commit), &build),
            (None, Some(own)) => (own, Found::Built, &again),
            (None, None) => {
                let what = format!("{} was built at {tag} and pushed", image.name);
                findings.push(Finding::bad(what, format!("{from} has no tag {of_commit}"), build));
                return Ok(None);
            }
        };
        let place = format!("{from}@{} ({found_by})", digest.short());
        let Some(candidate) = Candidate::read(registry, from, digest)? else {
            findings.push(Finding::bad(format!("{} was pushed", image.name), format!("{place} is not there"), remedy));
            return Ok(None);
        };
        match judge(self.wanted(image), &candidate, Platform::here()) {
            Ok(fit) => Ok(Some((candidate, fit, found_by))),
            Err(reasons) => {
                findings.extend(reasons.into_iter().map(|one| {
                    Finding::bad(format!("{}: {}", image.name, one.what), format!("{} [{place}]", one.found), &build)
                }));
                findings.extend(own.filter(|own| *own != digest).map(|own| self.differs(image, own, &place)));
                Ok(None)
            }
        }
    }

    /// The image that was promoted before, if it is fit.
    fn promoted(
        &self,
        image: &Image,
        registry: &Registry,
        digest: Digest,
    ) -> anyhow::Result<Option<(Candidate, Fit, Found)>> {
        let Some(candidate) = Candidate::read(registry, &image.repositories.release, digest)? else { return Ok(None) };
        let fit = judge(self.wanted(image), &candidate, Platform::here()).ok();
        Ok(fit.map(|fit| (candidate, fit, Found::Promoted)))
    }

    fn wanted<'b>(&'b self, image: &'b Image) -> Wanted<'b> {
        let (version, commit) = (&self.release.version, self.release.commit.id.as_str());
        Wanted { image, version, commit, tag: &self.release.tag }
    }

    /// What `latest` is, and what becomes of it.
    fn latest(
        &self,
        registry: &Registry,
        to: &Repository,
        tag: &Tag,
        digest: Digest,
    ) -> anyhow::Result<(Option<Current>, Latest)> {
        let tags = registry.tags(to)?;
        let pattern = &self.release.commit.declaration.tag;
        let others = tags.iter().filter(|other| *other != tag && other.as_str() != LATEST);
        let released: Vec<_> = others.filter_map(|other| pattern.version_in(other.as_str())).collect();
        let current = match tags.iter().find(|tag| tag.as_str() == LATEST) {
            None => None,
            Some(latest) => match registry.head(to, &latest.clone().into())? {
                None => None,
                Some(head) => {
                    let version = candidate::version_of(registry, to, head.digest)?;
                    Some(Current { digest: head.digest, version })
                }
            },
        };
        let latest = promote::latest((&self.release.version, digest), &released, current.as_ref());
        Ok((current, latest))
    }

    fn record(&self, image: &Image, digest: Digest, fit: &Fit) -> anyhow::Result<Promotion> {
        let (release, tag) = (self.release, &self.release.tag);
        let platforms = fit.platforms.iter().map(|(name, platform)| {
            let platform = record::Platform { digest: platform.digest, smoke_test: platform.smoke_test.clone() };
            (name.clone(), platform)
        });
        Ok(Promotion {
            format: record::FORMAT,
            image: image.name.to_string(),
            version: release.version.to_string(),
            tag: SignedTag { name: tag.name.clone(), object: tag.object.clone(), signed_by: self.signers.clone() },
            commit: release.commit.id.to_string(),
            from: image.repositories.nightly.to_string(),
            to: image.repositories.release.to_string(),
            digest,
            platforms: platforms.collect(),
            proofs: self.proofs()?,
        })
    }

    /// The sums of what proves the release's sources, if that was made on this machine.
    fn proofs(&self) -> anyhow::Result<BTreeMap<String, Sha256Sum>> {
        let dist = self.dist();
        let mut proofs = BTreeMap::new();
        let Some(list) = self.release.manifest(&dist)? else { return Ok(proofs) };
        let mut add = |name: &str| -> anyhow::Result<()> {
            proofs.insert(name.to_owned(), Sha256Sum::of_file(&dist.join(name))?.0);
            Ok(())
        };
        add(manifest::NAME)?;
        if Proof::of(&list, &dist, false).is_ok() {
            add(proof::NAME)?;
        }
        Ok(proofs)
    }

    fn is_recorded(&self, registry: &Registry, to: &Repository, record: &Promotion) -> anyhow::Result<bool> {
        for files in registry.artifacts(to, &record.digest, ARTIFACT_TYPE)? {
            let [text, signature] = files.as_slice() else { continue };
            let is_same = Promotion::parse(text).is_ok_and(|found| found.is_same(record));
            if is_same && signed::is_good(self, text, signature)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
