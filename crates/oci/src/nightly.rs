//! The nightly repository of an image: the image that its moving tag names, and how a build is pushed and tagged there.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::build_record::{ARTIFACT_TYPE, BuildRecord, RecordTag, StoredBuild};
use super::image::{REVISION, TITLE, VERSION};
use super::model::{Descriptor, ImageConfig, ParsedManifest};
use super::registry::{self, Attachment, Precondition, PushOutcome, Reference, Registry};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_config::debversion::is_above;
use drydock_config::images::{Digest, Image, Repository, Tag};
use drydock_config::release::Version;

/// The tag that moves to each nightly.
pub const NIGHTLY_TAG: &str = "nightly";

/// The image that the moving tag of a nightly repository names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The digest of the image.
    pub digest: Digest,
    /// The commit in its label.
    pub revision: Option<String>,
    /// The version in its label.
    pub version: Option<Version>,
}

/// Returns the digest that the moving tag of a repository names.
///
/// # Errors
/// The registry refuses the request or cannot be reached.
pub fn current_digest(registry: &Registry, repository: &Repository) -> anyhow::Result<Option<Digest>> {
    let tag: Tag = NIGHTLY_TAG.parse().map_err(|bad| Failure::usage(format!("{bad}")))?;
    Ok(registry.head(repository, &Reference::Tag(tag))?.map(|found| found.digest))
}

/// Returns the image that the moving tag of a repository names, with its labels.
///
/// # Errors
/// The registry refuses a request, cannot be reached, or does not have the image that the tag names.
pub fn published(registry: &Registry, repository: &Repository) -> anyhow::Result<Option<Published>> {
    let Some(digest) = current_digest(registry, repository)? else { return Ok(None) };
    let mut reference = Reference::Digest(digest);
    let config = loop {
        match registry.needed(repository, &reference)?.parse()? {
            ParsedManifest::Manifest(manifest) => break manifest.config,
            // All platforms are built from the same sources.
            ParsedManifest::Index(index) => match index.manifests.first() {
                Some(first) => reference = Reference::Digest(first.digest),
                None => return Ok(Some(Published { digest, revision: None, version: None })),
            },
        }
    };
    let config = serde_json::from_slice::<ImageConfig>(&registry.small_blob(repository, &config)?);
    let labels = config.map(|config| config.config.labels).unwrap_or_default();
    let version = labels.get(VERSION).and_then(|version| version.parse().ok());
    Ok(Some(Published { digest, revision: labels.get(REVISION).cloned(), version }))
}

/// The build that is to be published.
#[derive(Debug, Clone)]
pub struct ExpectedBuild<'a> {
    /// The declaration of the image.
    pub image: &'a Image,
    /// The version.
    pub version: &'a Version,
    /// The commit, all digits.
    pub commit: &'a str,
    /// The tag that names the version, if one does.
    pub tag: Option<RecordTag>,
    /// The checksum of `docker/images.yaml`.
    pub declaration: Checksum,
}

/// The difference between a build record and the build that is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BuildMismatch {
    #[error("was built as {found}, expected {expected}")]
    Version { found: String, expected: String },
    #[error("was built from commit {found:.12}, expected {expected:.12}")]
    Commit { found: String, expected: String },
    #[error("was built at {}, expected {}", tag_text(found), tag_text(expected))]
    Tag { found: Option<RecordTag>, expected: Option<RecordTag> },
    #[error("was built from another docker/images.yaml")]
    Declaration,
    #[error("was built for {found}, expected {expected}")]
    Platforms { found: String, expected: String },
    #[error("was not smoke-tested on any platform")]
    Untested,
    #[error("printed {found:?} in its smoke test, expected {expected:?}")]
    Output { found: String, expected: String },
}

fn tag_text(tag: &Option<RecordTag>) -> String {
    tag.as_ref().map_or("no tag".into(), |tag| format!("tag {} ({:.12})", tag.name, tag.object))
}

impl ExpectedBuild<'_> {
    /// Loads the build of the image below `directory`.
    ///
    /// # Errors
    /// The image was not built, its build is incomplete, or it is another build than expected.
    pub fn load(&self, directory: &std::path::Path) -> anyhow::Result<StoredBuild> {
        let name = &self.image.name;
        let build = BuildRecord::load(directory, name.as_str())?;
        self.check(&build.record).map_err(|why| Failure::rejected(format!("image {name} {why}; build it again")))?;
        Ok(build)
    }

    /// Checks that a record is about this build, for all platforms, and that its smoke tests passed.
    fn check(&self, record: &BuildRecord) -> Result<(), BuildMismatch> {
        if record.version != self.version.as_str() {
            let (found, expected) = (record.version.clone(), self.version.to_string());
            return Err(BuildMismatch::Version { found, expected });
        }
        if record.commit != self.commit {
            let (found, expected) = (record.commit.clone(), self.commit.to_owned());
            return Err(BuildMismatch::Commit { found, expected });
        }
        if record.tag != self.tag {
            return Err(BuildMismatch::Tag { found: record.tag.clone(), expected: self.tag.clone() });
        }
        if record.made_by.as_ref().and_then(|made| made.declaration) != Some(self.declaration) {
            return Err(BuildMismatch::Declaration);
        }
        let declared: BTreeSet<String> = self.image.platforms.iter().map(ToString::to_string).collect();
        if !record.platforms.keys().eq(&declared) {
            let found = record.platforms.keys().cloned().collect::<Vec<_>>().join(", ");
            let expected = declared.into_iter().collect::<Vec<_>>().join(", ");
            return Err(BuildMismatch::Platforms { found, expected });
        }
        let expected = self.image.smoke_test.expect.render(self.version);
        let mut tests = record.platforms.values().filter_map(|platform| platform.smoke_test.as_ref()).peekable();
        if tests.peek().is_none() {
            return Err(BuildMismatch::Untested);
        }
        match tests.find(|test| test.run != self.image.smoke_test.run || test.printed.trim() != expected) {
            Some(test) => Err(BuildMismatch::Output { found: test.printed.clone(), expected }),
            None => Ok(()),
        }
    }
}

/// Pushes a build by digest, and attaches its build record. No tag moves.
///
/// # Errors
/// See [`registry::push`] and [`registry::attach`].
pub fn push(registry: &Registry, repository: &Repository, build: &StoredBuild) -> anyhow::Result<PushOutcome> {
    let outcome = registry::push(registry, repository, &build.layout, &build.index, &[])?;
    let name = format!("{}.json", build.record.image);
    let text = build.record.clone().without_machine().text()?;
    let file = Attachment { media_type: ARTIFACT_TYPE, bytes: text.as_bytes(), annotations: &[(TITLE, &name)] };
    registry::attach(registry, repository, &build.index, ARTIFACT_TYPE, &[file])?;
    Ok(outcome)
}

/// Checks that the moving tag still names the image `before`, or the image `ours` that was pushed meanwhile.
///
/// # Errors
/// The tag names another image: another nightly is running elsewhere.
pub fn ensure_unmoved(
    registry: &Registry,
    repository: &Repository,
    before: Option<Digest>,
    ours: Option<Digest>,
) -> anyhow::Result<()> {
    let now = current_digest(registry, repository)?;
    if now == before || (now.is_some() && now == ours) {
        return Ok(());
    }
    let text = |digest: Option<Digest>| digest.map_or_else(|| "absent".to_owned(), |digest| digest.to_string());
    Err(Failure::remote(format!(
        "{repository}:{NIGHTLY_TAG} was {}, but is now {}; is another nightly running elsewhere?",
        text(before),
        text(now)
    )))
}

/// Sets the tags of a nightly, the moving one only if nobody else moved it since `before` was read.
///
/// # Errors
/// See [`registry::tag`].
pub fn set_tags(
    registry: &Registry,
    repository: &Repository,
    index: &Descriptor,
    tags: &[Tag],
    before: Option<Digest>,
) -> anyhow::Result<()> {
    let precondition = |tag: &Tag| match before {
        _ if tag.as_str() != NIGHTLY_TAG => Precondition::None,
        Some(digest) => Precondition::Matches(digest),
        None => Precondition::Absent,
    };
    let tags: Vec<(Tag, Precondition)> = tags.iter().map(|tag| (tag.clone(), precondition(tag))).collect();
    registry::tag(registry, repository, index, &tags)
        .with_context(|| format!("{repository}:{NIGHTLY_TAG} did not move; is another nightly running elsewhere?"))
}

/// The tags that a nightly may set, and the published version that keeps the others from moving backwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardTags<'a> {
    /// The tags that may be set, in order.
    pub tags: &'a [Tag],
    /// The published version that is newer, if one is.
    pub newer: Option<&'a Version>,
}

/// Decides which of the tags of a nightly (the commit's first) may be set: all of them, or only the commit's where a newer
/// version is published.
pub fn forward_tags<'a>(tags: &'a [Tag], version: &Version, published: Option<&'a Published>) -> ForwardTags<'a> {
    let newer = published.and_then(|published| published.version.as_ref()).filter(|other| is_above(other, version));
    let tags = if newer.is_some() { &tags[..tags.len().min(1)] } else { tags };
    ForwardTags { tags, newer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build_record::{FORMAT, MadeBy, PlatformRecord, SmokeTestResult};
    use drydock_config::images::Images;
    use std::collections::BTreeMap;
    use std::path::Path;

    const DECLARED: &str = "\
repositories: {nightly: registry.example/n, release: registry.example/r}
images:
  mine:
    from: {dockerfile: Dockerfile}
    platforms: [linux/amd64, linux/arm64]
    smoke-test: {run: [mine, --version], expect: 'mine {version}'}
";

    fn record() -> BuildRecord {
        let of = |printed: Option<&str>| PlatformRecord {
            digest: Digest::for_bytes(b"manifest"),
            base: None,
            smoke_test: printed.map(|printed| SmokeTestResult {
                run: vec!["mine".into(), "--version".into()],
                printed: printed.into(),
            }),
        };
        BuildRecord {
            format: FORMAT,
            image: "mine".into(),
            version: "1.0".into(),
            commit: "c0".into(),
            tag: Some(RecordTag { name: "v1.0".into(), object: "aa".into() }),
            epoch: 1,
            digest: Digest::for_bytes(b"index"),
            platforms: BTreeMap::from([
                ("linux/amd64".into(), of(Some("mine 1.0\n"))),
                ("linux/arm64".into(), of(None)),
            ]),
            inputs: Vec::new(),
            without_proof: None,
            made_by: Some(MadeBy {
                drydock: "0".into(),
                method: "layer".into(),
                declaration: Some(Checksum::new(b"declared")),
            }),
        }
    }

    /// Checks the message about a record that differs from the right one in one field.
    #[track_caller]
    fn refused(change: impl FnOnce(&mut BuildRecord), expected: &str) {
        let image = Images::parse(DECLARED, Path::new("images.yaml")).unwrap().images.remove(0);
        let version = "1.0".parse().unwrap();
        let tag = record().tag;
        let declaration = Checksum::new(b"declared");
        let expected_build = ExpectedBuild { image: &image, version: &version, commit: "c0", tag, declaration };
        assert_eq!(expected_build.check(&record()), Ok(()));
        let mut other = record();
        change(&mut other);
        let why = expected_build.check(&other).unwrap_err().to_string();
        assert!(why.contains(expected), "{why}");
    }

    #[test]
    fn other_builds_are_refused() {
        refused(|record| record.version = "1.1".into(), "as 1.1, expected 1.0");
        refused(|record| record.commit = "c1".into(), "commit c1, expected c0");
        refused(|record| record.tag = None, "at no tag, expected tag v1.0 (aa)");
        refused(|record| record.tag.as_mut().unwrap().object = "bb".into(), "at tag v1.0 (bb)");
        refused(|record| record.made_by = None, "another docker/images.yaml");
        refused(|record| record.made_by.as_mut().unwrap().declaration = None, "another docker/images.yaml");
        let other = Some(Checksum::new(b"other"));
        refused(|record| record.made_by.as_mut().unwrap().declaration = other, "another docker/images.yaml");
        refused(|record| drop(record.platforms.remove("linux/arm64")), "for linux/amd64, expected linux/amd64, linux/");
        let untried = |record: &mut BuildRecord| {
            record.platforms.values_mut().for_each(|platform| platform.smoke_test = None);
        };
        refused(untried, "not smoke-tested on any platform");
        let printed = |record: &mut BuildRecord| {
            record
                .platforms
                .values_mut()
                .filter_map(|one| one.smoke_test.as_mut())
                .for_each(|one| one.printed = "x".into());
        };
        refused(printed, "printed \"x\"");
    }

    /// Checks the tags that a version sets where another is published.
    #[track_caller]
    fn check(version: &str, published: Option<&str>, expected: &[&str]) {
        let names = ["sha-000000000001", "nightly-20260701", NIGHTLY_TAG];
        let tags: Vec<Tag> = names.iter().map(|name| name.parse().unwrap()).collect();
        let before = published.map(|version| Published {
            digest: Digest::for_bytes(version.as_bytes()),
            revision: None,
            version: version.parse().ok(),
        });
        let set = forward_tags(&tags, &version.parse().unwrap(), before.as_ref());
        assert_eq!(set.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), expected, "{version} {published:?}");
    }

    #[test]
    fn tags_never_move_backwards() {
        let all = ["sha-000000000001", "nightly-20260701", "nightly"];
        check("0.4.1", None, &all);
        check("0.4.1", Some("no version"), &all);
        check("0.4.1", Some("0.4.1"), &all);
        check("0.4.1", Some("0.4.1-0.nightly20260701.9.gbbbbbbb"), &all);
        // A release of an older branch.
        check("0.4.1", Some("0.5.0-0.nightly20260701.9.gbbbbbbb"), &all[..1]);
        check("0.4.1-0.nightly20260701.9.gbbbbbbb", Some("0.4.1"), &all[..1]);
    }
}
