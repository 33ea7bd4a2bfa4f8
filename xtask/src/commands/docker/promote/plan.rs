//! The plan of one image's promotion: the image is found and checked, and compared with the release repository.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::release::PromotedRelease;
use super::signed;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_config::images::{Digest, Image, ImageName, Platform, Repository, Tag};
use drydock_oci::build_record::BuildRecord;
use drydock_oci::promote::candidate::{self, Candidate};
use drydock_oci::promote::evidence::{Evidence, ExpectedImage, check};
use drydock_oci::promote::promotion_record::{self as record, ARTIFACT_TYPE, Promotion, SignedTag};
use drydock_oci::promote::{self, CurrentLatest, LATEST, Latest, Promoted};
use drydock_oci::registry::pool::both;
use drydock_oci::registry::{Registries, Registry};
use drydock_release::manifest;
use drydock_release::preflight::Finding;
use drydock_release::proof::{self, Proof};

/// The release that is promoted.
pub(super) struct Planner<'a> {
    pub(super) release: &'a PromotedRelease,
    /// The reason for promoting without a proof.
    pub(super) without_proof: Option<&'a str>,
}

/// The plan of the promotion of one image.
pub(super) struct PromotionPlan {
    pub(super) image: ImageName,
    pub(super) candidate: Candidate,
    /// The way in which the image was found.
    pub(super) found_by: FoundBy,
    /// True if this machine built the same image.
    pub(super) is_built_here: bool,
    pub(super) from: Repository,
    pub(super) to: Repository,
    pub(super) tag: Tag,
    pub(super) is_tagged: bool,
    pub(super) current: Option<CurrentLatest>,
    pub(super) latest: Latest,
    pub(super) record: Promotion,
    /// True if the release repository has a signed record of this promotion.
    pub(super) is_recorded: bool,
}

/// The way in which an image was found.
pub(super) enum FoundBy {
    /// By this tag in the nightly repository.
    Tag(Tag),
    /// By its build on this machine.
    Built,
    /// In the release repository, as the nightly repository does not have it any more.
    Promoted,
}

impl fmt::Display for FoundBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FoundBy::Tag(tag) => tag.fmt(f),
            FoundBy::Built => f.write_str("built on this machine"),
            FoundBy::Promoted => f.write_str("no longer there, but promoted before"),
        }
    }
}

impl PromotionPlan {
    pub(super) fn is_done(&self) -> bool {
        self.is_tagged && self.is_recorded && self.latest != Latest::Moves
    }

    pub(super) fn latest_tag(&self) -> anyhow::Result<Tag> {
        LATEST.parse().map_err(|bad| Failure::usage(format!("{bad}")))
    }
}

/// An image that was found and checked, and what the release repository has.
pub(super) struct FoundImage {
    candidate: Candidate,
    evidence: Evidence,
    found_by: FoundBy,
    is_built_here: bool,
    tag: Tag,
    released: Released,
}

/// What a release repository has.
struct Released {
    /// The image that the tag of this release names.
    tagged: Option<Digest>,
    tags: Vec<Tag>,
    /// The image that `latest` names.
    current: Option<CurrentLatest>,
}

impl Released {
    fn read(registry: &Registry, to: &Repository, tag: &Tag) -> anyhow::Result<Released> {
        let latest: Tag = LATEST.parse().map_err(|bad| Failure::usage(format!("{bad}")))?;
        let tags = || -> anyhow::Result<(Option<Digest>, Vec<Tag>)> {
            let tagged = registry.head(to, &tag.clone().into())?.map(|found| found.digest);
            Ok((tagged, registry.tags(to)?))
        };
        let current = || -> anyhow::Result<Option<CurrentLatest>> {
            let Some(image) = registry.manifest(to, &latest.into())? else { return Ok(None) };
            let version = candidate::version_of(registry, to, &image)?;
            Ok(Some(CurrentLatest { digest: image.descriptor.digest, version }))
        };
        let (tags, current) = both(tags, current);
        let (tagged, tags) = tags?;
        Ok(Released { tagged, tags, current: current? })
    }
}

impl Planner<'_> {
    /// Finds and checks one image, and reads the release repository. The inner error is all problems.
    pub(super) fn find(
        &self,
        image: &Image,
        registries: &mut Registries,
    ) -> anyhow::Result<Result<Box<FoundImage>, Vec<Finding>>> {
        let (from, to) = (&image.repositories.nightly, &image.repositories.release);
        let version = &self.release.version;
        let tag = match promote::tag(&self.release.commit.declaration.tag, version) {
            Ok(tag) => tag,
            Err(why) => {
                let what = format!("the tag of {} is valid for an image", image.name);
                let remedy = "change `version.tag` in packaging/release.yaml";
                return Ok(Err(vec![Finding::bad(what, why.to_string(), remedy)]));
            }
        };
        let (registry, nightly) = (registries.open(to)?, registries.open(from)?);
        let mut doubts = Vec::new();
        let own = self.own(image);
        let (released, found) =
            both(|| Released::read(&registry, to, &tag), || self.candidate(image, &nightly, own, &mut doubts));
        let released = released?;
        let found = match found? {
            Some(found) => Some(found),
            // The nightly repository is pruned; a promoted image is still in the release repository.
            None => released.tagged.map(|now| self.promoted(image, &registry, now)).transpose()?.flatten(),
        };
        let Some((candidate, evidence, found_by)) = found else { return Ok(Err(doubts)) };
        let digest = candidate.descriptor.digest;
        if let Some(own) = own.filter(|own| *own != digest) {
            return Ok(Err(vec![self.differs(image, own, &format!("{digest} ({found_by})"))]));
        }
        if let Some(other) = released.tagged.filter(|now| *now != digest) {
            let remedy = format!("{version} cannot be replaced; release a new version");
            let what = format!("{to}:{tag} does not exist or is this image");
            return Ok(Err(vec![Finding::bad(what, format!("it is {other}, this image is {digest}"), remedy)]));
        }
        Ok(Ok(Box::new(FoundImage { candidate, evidence, found_by, is_built_here: own.is_some(), tag, released })))
    }

    /// Plans the promotion of an image that was found, of a release that these keys signed.
    pub(super) fn plan(
        &self,
        image: &Image,
        found: FoundImage,
        signers: &BTreeSet<String>,
        registries: &mut Registries,
    ) -> anyhow::Result<PromotionPlan> {
        let FoundImage { candidate, evidence, found_by, is_built_here, tag, released } = found;
        let (from, to) = (image.repositories.nightly.clone(), image.repositories.release.clone());
        let digest = candidate.descriptor.digest;
        let latest = self.latest(&released, &tag, digest);
        let record = self.record(image, digest, &evidence, signers)?;
        let is_recorded = self.is_recorded(&registries.open(&to)?, &to, &record)?;
        let (image, is_tagged, current) = (image.name.clone(), released.tagged.is_some(), released.current);
        Ok(PromotionPlan {
            image,
            candidate,
            found_by,
            is_built_here,
            from,
            to,
            tag,
            is_tagged,
            current,
            latest,
            record,
            is_recorded,
        })
    }

    /// Returns the digest of the image that this machine built at the signed tag, if it did.
    fn own(&self, image: &Image) -> Option<Digest> {
        let record = BuildRecord::load(&self.release.dist.join("oci"), image.name.as_str()).ok()?.record;
        self.release.is_of(&record).then_some(record.digest)
    }

    /// Reports that two builds of the same release differ.
    fn differs(&self, image: &Image, own: Digest, other: &str) -> Finding {
        let (name, tag) = (&image.name, &self.release.tag.name);
        let remedy = format!(
            "build on a third machine to find out which of the two is wrong; to replace that of the registry: `{}`; to \
             replace that of this machine: `{}`",
            hint::drydock(&["docker", "nightly", name.as_str(), "--commit", tag, "--tag", tag]),
            hint::drydock(&["docker", "build", name.as_str(), "--commit", tag, "--tag", tag])
        );
        Finding::bad(
            format!("two builds of {name} at {tag} are identical"),
            format!("{other}, built here {own}"),
            remedy,
        )
    }

    /// Finds the image that was built at the signed tag: by the tag of its commit, or by the build on this machine. Where
    /// both exist, they must be identical.
    fn candidate(
        &self,
        image: &Image,
        registry: &Registry,
        own: Option<Digest>,
        findings: &mut Vec<Finding>,
    ) -> anyhow::Result<Option<(Candidate, Evidence, FoundBy)>> {
        let (from, commit, tag) = (&image.repositories.nightly, &self.release.commit.id, &self.release.tag.name);
        let again = format!("`{}`", hint::drydock(&["docker", "nightly", image.name.as_str(), "--tag", tag]));
        let build = hint::drydock(&["docker", "build", image.name.as_str(), "--tag", tag]);
        let build = format!("`{build}`, then {again}");
        let of_commit: Tag = format!("sha-{}", commit.short())
            .parse()
            .map_err(|bad| Failure::usage(format!("cannot make a tag of commit {commit}: {bad}")))?;
        let head = registry.head(from, &of_commit.clone().into())?.map(|head| head.digest);
        let (digest, found_by, remedy) = match (head, own) {
            (Some(head), _) => (head, FoundBy::Tag(of_commit), &build),
            (None, Some(own)) => (own, FoundBy::Built, &again),
            (None, None) => {
                let what = format!("{} was built at {tag} and pushed", image.name);
                findings.push(Finding::bad(what, format!("{from} has no tag {of_commit}"), build));
                return Ok(None);
            }
        };
        let place = format!("{from}@{} ({found_by})", digest.short());
        let Some(candidate) = Candidate::read(registry, from, digest)? else {
            findings.push(Finding::bad(
                format!("{} was pushed", image.name),
                format!("{place} does not exist"),
                remedy,
            ));
            return Ok(None);
        };
        match check(self.expected(image), &candidate, Platform::here()) {
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

    /// Returns the image that was promoted before, if it passes the checks.
    fn promoted(
        &self,
        image: &Image,
        registry: &Registry,
        digest: Digest,
    ) -> anyhow::Result<Option<(Candidate, Evidence, FoundBy)>> {
        let Some(candidate) = Candidate::read(registry, &image.repositories.release, digest)? else { return Ok(None) };
        let fit = check(self.expected(image), &candidate, Platform::here()).ok();
        Ok(fit.map(|fit| (candidate, fit, FoundBy::Promoted)))
    }

    fn expected<'b>(&'b self, image: &'b Image) -> ExpectedImage<'b> {
        let (version, commit) = (&self.release.version, self.release.commit.id.as_str());
        ExpectedImage { image, version, commit, tag: &self.release.tag }
    }

    /// Decides whether `latest` moves.
    fn latest(&self, released: &Released, tag: &Tag, digest: Digest) -> Latest {
        let pattern = &self.release.commit.declaration.tag;
        let others = released.tags.iter().filter(|other| *other != tag && other.as_str() != LATEST);
        let versions: Vec<_> = others.filter_map(|other| pattern.version_in(other.as_str())).collect();
        let promoted = Promoted { version: &self.release.version, digest };
        promote::latest(promoted, &versions, released.current.as_ref())
    }

    fn record(
        &self,
        image: &Image,
        digest: Digest,
        fit: &Evidence,
        signers: &BTreeSet<String>,
    ) -> anyhow::Result<Promotion> {
        let (release, tag) = (self.release, &self.release.tag);
        let platforms = fit.platforms.iter().map(|(name, platform)| {
            let platform =
                record::PromotedPlatform { digest: platform.digest, smoke_test: platform.smoke_test.clone() };
            (name.clone(), platform)
        });
        Ok(Promotion {
            format: record::FORMAT,
            image: image.name.to_string(),
            version: release.version.to_string(),
            tag: SignedTag { name: tag.name.clone(), object: tag.object.clone(), signed_by: signers.clone() },
            commit: release.commit.id.to_string(),
            from: image.repositories.nightly.to_string(),
            to: image.repositories.release.to_string(),
            digest,
            platforms: platforms.collect(),
            proofs: self.proofs()?,
            without_proof: self.without_proof.map(str::to_owned),
        })
    }

    /// Returns the checksums of `release.json` and `proof.json`, if the release was built on this machine.
    fn proofs(&self) -> anyhow::Result<BTreeMap<String, Checksum>> {
        let dist = &self.release.dist;
        let mut proofs = BTreeMap::new();
        let Some(list) = self.release.manifest()? else { return Ok(proofs) };
        let mut add = |name: &str| -> anyhow::Result<()> {
            proofs.insert(name.to_owned(), Checksum::from_file(&dist.join(name))?.0);
            Ok(())
        };
        add(manifest::NAME)?;
        if Proof::load(&list, dist, self.release.commit.declaration.offline_proof.as_ref()).is_ok() {
            add(proof::NAME)?;
        }
        Ok(proofs)
    }

    fn is_recorded(&self, registry: &Registry, to: &Repository, record: &Promotion) -> anyhow::Result<bool> {
        for files in registry.artifacts(to, &record.digest, ARTIFACT_TYPE)? {
            let [text, signature] = files.as_slice() else { continue };
            let is_same = Promotion::parse(text).is_ok_and(|found| found.is_same(record));
            if is_same && signed::is_good(self.release, text, signature)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
