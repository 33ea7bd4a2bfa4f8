//! `cargo xtask docker nightly`: what was built goes to the nightly repositories, by digest; the tags move last.

use std::collections::BTreeSet;

use anyhow::Context as _;

use super::registries::Registries;
use super::selection::ImageSelection;
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::sums::Sha256Sum;
use drydock_config::debversion::is_above;
use drydock_config::images::{Digest, Image, Repository, Tag};
use drydock_config::release::Version;
use drydock_oci::build_record::{self, BuildRecord, RecordTag};
use drydock_oci::image::{REVISION, TITLE, VERSION};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ImageConfig, ParsedManifest};
use drydock_oci::registry::{self, Attachment, Precondition, Reference, Registry};

/// The tag that moves every night.
pub(in crate::commands) const MOVING: &str = "nightly";

/// What a nightly repository has under the tag that moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct Published {
    /// What the tag names.
    pub(in crate::commands) digest: Digest,
    /// The commit that its label tells.
    pub(in crate::commands) revision: Option<String>,
    /// The version that its label tells.
    pub(in crate::commands) version: Option<Version>,
}

impl cli::DockerNightly {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.of.of.into())?;
        let selection = ImageSelection::new(&release, &self.of.images)?;
        let tags = tags(&release)?;
        if self.dry_run {
            for image in &selection.images {
                let (record, _, _) = tried(&selection, image)?;
                let repository = &image.repositories.nightly;
                let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
                output::out(format_args!("push {} to {repository}, then tag it {names}", record.digest));
            }
            return Ok(Exit::Success);
        }
        let mut registries = Registries::new();
        let mut pushed = Vec::new();
        for image in &selection.images {
            let registry = registries.of(&image.repositories.nightly)?;
            let before = published(&registry, &image.repositories.nightly)?;
            let top = push(&registry, &selection, image)?;
            pushed.push((registry, image, top, before));
        }
        // Nothing moves before everything is there, and where it was.
        for (registry, image, top, before) in &pushed {
            let before = before.as_ref().map(|before| before.digest);
            unmoved(registry, &image.repositories.nightly, before, Some(top.digest))?;
        }
        for (registry, image, top, before) in &pushed {
            let repository = &image.repositories.nightly;
            let (tags, stays) = forwards(&tags, &selection.release.version, before.as_ref());
            if let Some(version) = stays {
                output::err(format_args!(
                    "note: {repository}:{MOVING} stays {version}, which is above {}; that one is found by its commit",
                    selection.release.version
                ));
            }
            tag(registry, repository, top, tags, before.as_ref().map(|before| before.digest))?;
            let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
            output::out(format_args!("{repository}@{}  {names}", top.digest));
        }
        Ok(Exit::Success)
    }
}

/// The tags of a nightly in the order in which they are set: the commit, the day, and last the one that moves.
///
/// The day is that of the version: the newest commit's, so that a nightly is called the same whenever it is built.
pub(in crate::commands) fn tags(release: &ReleaseContext) -> anyhow::Result<Vec<Tag>> {
    let day = release.date()?;
    let names = [format!("sha-{}", release.commit.id.short()), format!("{MOVING}-{day}"), MOVING.to_owned()];
    let tag = |name: String| name.parse::<Tag>().map_err(|bad| Failure::declaration(bad.to_string()));
    names.into_iter().map(tag).collect()
}

/// Those of the tags, as [`tags`] gives them, that may be set when a version comes to what is published, and the version
/// that is above it: then `nightly` and the day stay what they are, and only the commit is tagged.
fn forwards<'a>(tags: &'a [Tag], version: &Version, before: Option<&'a Published>) -> (&'a [Tag], Option<&'a Version>) {
    match before.and_then(|before| before.version.as_ref()).filter(|before| is_above(before, version)) {
        Some(above) => (&tags[..tags.len().min(1)], Some(above)),
        None => (tags, None),
    }
}

/// What the moving tag of a repository names.
pub(in crate::commands) fn moving(registry: &Registry, repository: &Repository) -> anyhow::Result<Option<Digest>> {
    let tag: Tag = MOVING.parse().map_err(|bad| Failure::declaration(format!("{bad}")))?;
    Ok(registry.head(repository, &Reference::Tag(tag))?.map(|found| found.digest))
}

/// What the moving tag of a repository names, and what that says it was made of.
pub(in crate::commands) fn published(
    registry: &Registry,
    repository: &Repository,
) -> anyhow::Result<Option<Published>> {
    let Some(digest) = moving(registry, repository)? else { return Ok(None) };
    let mut reference = Reference::Digest(digest);
    let config = loop {
        let gone = || Failure::remote(format!("{repository}@{reference} is named there, and not there"));
        match registry.manifest(repository, &reference)?.ok_or_else(gone)?.parse()? {
            ParsedManifest::Manifest(manifest) => break manifest.config,
            // All platforms are made of the same sources.
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

/// What was built of an image, when it is what is wanted and has been tried.
pub(in crate::commands) fn tried(
    selection: &ImageSelection<'_>,
    image: &Image,
) -> anyhow::Result<(BuildRecord, Layout, Descriptor)> {
    let (record, layout, top) = BuildRecord::load(&selection.directory(), image.name.as_str())?;
    let built = Built {
        version: &selection.release.version,
        commit: selection.release.commit.id.as_str(),
        tag: selection.tag(),
        declaration: selection.declaration,
    };
    let again = |why: String| Failure::rejected(format!("the image {} {why}; build it again", image.name));
    built.fits(image, &record).map_err(again)?;
    Ok((record, layout, top))
}

/// What a build has to be of.
struct Built<'a> {
    version: &'a Version,
    commit: &'a str,
    tag: Option<RecordTag>,
    declaration: Sha256Sum,
}

impl Built<'_> {
    /// Whether a record is about this, all platforms and a passed smoke test; if not, in words, why.
    fn fits(&self, image: &Image, record: &BuildRecord) -> Result<(), String> {
        if record.version != self.version.as_str() {
            return Err(format!("is {} and not {}", record.version, self.version));
        }
        if record.commit != self.commit {
            return Err(format!("is made of the commit {:.12} and not {:.12}", record.commit, self.commit));
        }
        if record.tag != self.tag {
            let word = |tag: &Option<RecordTag>| {
                tag.as_ref()
                    .map_or("without a tag".into(), |tag| format!("of the tag {} ({:.12})", tag.name, tag.object))
            };
            return Err(format!("is {} and not {}", word(&record.tag), word(&self.tag)));
        }
        if record.made_by.as_ref().and_then(|made| made.declaration) != Some(self.declaration) {
            return Err("is made by another declaration than is there now".to_owned());
        }
        let declared: BTreeSet<String> = image.platforms.iter().map(ToString::to_string).collect();
        if !record.platforms.keys().eq(&declared) {
            let names = |list: Vec<&str>| list.join(", ");
            let built = names(record.platforms.keys().map(String::as_str).collect());
            return Err(format!(
                "is built for {built}, and not for {}",
                names(declared.iter().map(String::as_str).collect())
            ));
        }
        let expected = image.smoke_test.expect.render(self.version);
        let mut passed = record.platforms.values().filter_map(|platform| platform.smoke_test.as_ref());
        match passed.clone().next() {
            None => Err("was tried on none of its platforms".to_owned()),
            Some(_) if passed.all(|one| one.run == image.smoke_test.run && one.printed.trim() == expected) => Ok(()),
            Some(other) => Err(format!("printed {:?}, expected {expected:?}", other.printed)),
        }
    }
}

/// Pushes an image by digest and says beside it how it was built. No tag moves.
pub(in crate::commands) fn push(
    registry: &Registry,
    selection: &ImageSelection<'_>,
    image: &Image,
) -> anyhow::Result<Descriptor> {
    let repository = &image.repositories.nightly;
    let (record, layout, top) = tried(selection, image)?;
    let pushed = registry::push(registry, repository, &layout, &top, &[])?;
    output::err(format_args!(
        "== {repository}@{}: {} blobs there, {} sent ({} bytes)",
        top.digest.short(),
        pushed.present + pushed.mounted,
        pushed.uploaded,
        pushed.bytes
    ));
    let name = format!("{}.json", image.name);
    let record = record.without_machine().text()?;
    let annotations = [(TITLE, name.as_str())];
    let file =
        Attachment { media_type: build_record::ARTIFACT_TYPE, bytes: record.as_bytes(), annotations: &annotations };
    registry::attach(registry, repository, &top, build_record::ARTIFACT_TYPE, &[file])?;
    Ok(top)
}

/// Whether the moving tag still names what it named, or what was pushed meanwhile.
///
/// # Errors
/// It names another image.
pub(in crate::commands) fn unmoved(
    registry: &Registry,
    repository: &Repository,
    before: Option<Digest>,
    ours: Option<Digest>,
) -> anyhow::Result<()> {
    let now = moving(registry, repository)?;
    if now == before || (now.is_some() && now == ours) {
        return Ok(());
    }
    let word = |digest: Option<Digest>| digest.map_or_else(|| "nothing".to_owned(), |digest| digest.to_string());
    let (now, before) = (word(now), word(before));
    let text =
        format!("{repository}:{MOVING} is {now} meanwhile, and not {before}; is another nightly going on elsewhere?");
    Err(Failure::remote(text))
}

/// Sets the tags, the moving one last, and only when nobody else moved it since `before` was read.
pub(in crate::commands) fn tag(
    registry: &Registry,
    repository: &Repository,
    top: &Descriptor,
    tags: &[Tag],
    before: Option<Digest>,
) -> anyhow::Result<()> {
    let expected = |tag: &Tag| match (tag.as_str() == MOVING, before) {
        (true, Some(digest)) => Precondition::Matches(digest),
        (true, None) => Precondition::Absent,
        (false, _) => Precondition::None,
    };
    let tags: Vec<(Tag, Precondition)> = tags.iter().map(|tag| (tag.clone(), expected(tag))).collect();
    registry::tag(registry, repository, top, &tags)
        .with_context(|| format!("the nightly of {repository} stays as it was; is another nightly going on elsewhere?"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::images::Images;
    use drydock_oci::build_record::{FORMAT, MadeBy, PlatformRecord, SmokeTestResult};
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
            digest: Digest::of(b"manifest"),
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
            digest: Digest::of(b"index"),
            platforms: BTreeMap::from([
                ("linux/amd64".into(), of(Some("mine 1.0\n"))),
                ("linux/arm64".into(), of(None)),
            ]),
            inputs: Vec::new(),
            made_by: Some(MadeBy {
                drydock: "0".into(),
                way: "layer".into(),
                declaration: Some(Sha256Sum::of(b"declared")),
            }),
        }
    }

    /// What is said about a record that is like the right one, but for a change.
    #[track_caller]
    fn refused(change: impl FnOnce(&mut BuildRecord), expected: &str) {
        let image = Images::parse(DECLARED, Path::new("images.yaml")).unwrap().images.remove(0);
        let version = "1.0".parse().unwrap();
        let tag = record().tag;
        let built = Built { version: &version, commit: "c0", tag, declaration: Sha256Sum::of(b"declared") };
        assert_eq!(built.fits(&image, &record()), Ok(()));
        let mut other = record();
        change(&mut other);
        let why = built.fits(&image, &other).unwrap_err();
        assert!(why.contains(expected), "{why}");
    }

    #[test]
    fn a_build_of_something_else_is_not_taken_for_this_one() {
        refused(|record| record.version = "1.1".into(), "is 1.1 and not 1.0");
        refused(|record| record.commit = "c1".into(), "the commit c1 and not c0");
        refused(|record| record.tag = None, "is without a tag and not of the tag v1.0 (aa)");
        refused(|record| record.tag.as_mut().unwrap().object = "bb".into(), "of the tag v1.0 (bb)");
        refused(|record| record.made_by = None, "another declaration");
        refused(|record| record.made_by.as_mut().unwrap().declaration = None, "another declaration");
        let other = Some(Sha256Sum::of(b"other"));
        refused(|record| record.made_by.as_mut().unwrap().declaration = other, "another declaration");
        refused(
            |record| drop(record.platforms.remove("linux/arm64")),
            "for linux/amd64, and not for linux/amd64, linux/",
        );
        let untried = |record: &mut BuildRecord| {
            record.platforms.values_mut().for_each(|platform| platform.smoke_test = None);
        };
        refused(untried, "on none of its platforms");
        let printed = |record: &mut BuildRecord| {
            record
                .platforms
                .values_mut()
                .filter_map(|one| one.smoke_test.as_mut())
                .for_each(|one| one.printed = "x".into());
        };
        refused(printed, "printed \"x\"");
    }

    /// The tags that are set by a version where another is published.
    #[track_caller]
    fn check(version: &str, published: Option<&str>, expected: &[&str]) {
        let names = ["sha-000000000001", "nightly-20260701", MOVING];
        let tags: Vec<Tag> = names.iter().map(|name| name.parse().unwrap()).collect();
        let before = published.map(|version| Published {
            digest: Digest::of(version.as_bytes()),
            revision: None,
            version: version.parse().ok(),
        });
        let (set, _) = forwards(&tags, &version.parse().unwrap(), before.as_ref());
        assert_eq!(set.iter().map(Tag::as_str).collect::<Vec<_>>(), expected, "{version} {published:?}");
    }

    #[test]
    fn what_moves_never_moves_backwards() {
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
