//! `cargo xtask docker nightly`: what was built goes to the nightly repositories, by digest; the tags move last.

use std::path::Path;

use anyhow::Context as _;

use super::loaded::Wanted;
use super::registries::Registries;
use crate::cli;
use crate::commands::Context;
use crate::commands::release::loaded::{Loaded, Versioned};
use crate::config::images::{Digest, Image, Repository, Tag};
use crate::config::release::Version;
use crate::deb::version::is_above;
use crate::exit::{Exit, failure};
use crate::oci::layout::Layout;
use crate::oci::model::{Descriptor, ImageConfig, Parsed};
use crate::oci::record::{self, BuildRecord};
use crate::oci::registry::{self, Attachment, Before, Reference, Registry};
use crate::output;

/// The tag that moves every night.
pub(in crate::commands) const MOVING: &str = "nightly";
/// The labels of an image that tell what it was made of.
const REVISION: &str = "org.opencontainers.image.revision";
const VERSION: &str = "org.opencontainers.image.version";

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
        let wanted = Wanted::find(ctx, &self.of)?;
        let tags = tags(&wanted.loaded, &wanted.versioned)?;
        let folder = wanted.folder();
        if self.dry_run {
            for image in &wanted.images {
                let (record, _, _) = tried(image, &folder, &wanted.versioned.version)?;
                let repository = &image.repositories.nightly;
                let names = tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ");
                output::out(format_args!("push {} to {repository}, then tag it {names}", record.digest));
            }
            return Ok(Exit::Success);
        }
        let mut registries = Registries::new();
        let mut pushed = Vec::new();
        for image in &wanted.images {
            let registry = registries.of(&image.repositories.nightly)?;
            let before = published(&registry, &image.repositories.nightly)?;
            let top = push(&registry, image, &folder, &wanted.versioned.version)?;
            pushed.push((registry, image, top, before));
        }
        // Nothing moves before everything is there, and where it was.
        for (registry, image, top, before) in &pushed {
            let before = before.as_ref().map(|before| before.digest);
            unmoved(registry, &image.repositories.nightly, before, Some(top.digest))?;
        }
        for (registry, image, top, before) in &pushed {
            let repository = &image.repositories.nightly;
            let (tags, stays) = forwards(&tags, &wanted.versioned.version, before.as_ref());
            if let Some(version) = stays {
                output::err(format_args!(
                    "note: {repository}:{MOVING} stays {version}, which is above {}; that one is found by its commit",
                    wanted.versioned.version
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
pub(in crate::commands) fn tags(loaded: &Loaded, versioned: &Versioned) -> anyhow::Result<Vec<Tag>> {
    let day = loaded.day(versioned)?;
    let names = [format!("sha-{}", loaded.commit.short()), format!("{MOVING}-{day}"), MOVING.to_owned()];
    let tag = |name: String| name.parse::<Tag>().map_err(|bad| failure(Exit::Declaration, bad.to_string()));
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
    let tag: Tag = MOVING.parse().map_err(|bad| failure(Exit::Declaration, format!("{bad}")))?;
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
        let gone = || failure(Exit::Remote, format!("{repository}@{reference} is named there, and not there"));
        match registry.manifest(repository, &reference)?.ok_or_else(gone)?.parse()? {
            Parsed::Manifest(manifest) => break manifest.config,
            // All platforms are made of the same sources.
            Parsed::Index(index) => match index.manifests.first() {
                Some(first) => reference = Reference::Digest(first.digest),
                None => return Ok(Some(Published { digest, revision: None, version: None })),
            },
        }
    };
    let folder =
        tempfile::Builder::new().prefix("drydock-labels-").tempdir().context("cannot make a temporary folder")?;
    let layout = Layout::create(folder.path())?;
    registry.download(repository, &config, &layout)?;
    let config: Option<ImageConfig> = serde_json::from_slice(&layout.read(&config)?).ok();
    let labels = config.and_then(|config| config.config.labels).unwrap_or_default();
    let version = labels.get(VERSION).and_then(|version| version.parse().ok());
    Ok(Some(Published { digest, revision: labels.get(REVISION).cloned(), version }))
}

/// What was built of an image, when it is of this version and has been tried.
pub(in crate::commands) fn tried(
    image: &Image,
    folder: &Path,
    version: &Version,
) -> anyhow::Result<(BuildRecord, Layout, Descriptor)> {
    let (record, layout, top) = BuildRecord::load(folder, image.name.as_str())?;
    let wanted = image.smoke_test.expect.render(version);
    let again = |why: String| failure(Exit::JobFailed, format!("the image {} {why}; build it again", image.name));
    if record.version != version.as_str() {
        return Err(again(format!("is {} and not {version}", record.version)));
    }
    let mut passed = record.platforms.values().filter_map(|platform| platform.smoke_test.as_ref());
    match passed.clone().next() {
        None => return Err(again("was tried on none of its platforms".to_owned())),
        Some(_) if passed.all(|one| one.run == image.smoke_test.run && one.printed.trim() == wanted) => {}
        Some(other) => return Err(again(format!("printed {:?}, expected {wanted:?}", other.printed))),
    }
    Ok((record, layout, top))
}

/// Pushes an image by digest and says beside it how it was built. No tag moves.
pub(in crate::commands) fn push(
    registry: &Registry,
    image: &Image,
    folder: &Path,
    version: &Version,
) -> anyhow::Result<Descriptor> {
    let repository = &image.repositories.nightly;
    let (record, layout, top) = tried(image, folder, version)?;
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
    let annotations = [("org.opencontainers.image.title", name.as_str())];
    let file = Attachment { media_type: record::ARTIFACT_TYPE, bytes: record.as_bytes(), annotations: &annotations };
    registry::attach(registry, repository, &top, record::ARTIFACT_TYPE, &[file])?;
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
    Err(failure(Exit::Remote, text))
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
        (true, Some(digest)) => Before::At(digest),
        (true, None) => Before::Unset,
        (false, _) => Before::Any,
    };
    let tags: Vec<(Tag, Before)> = tags.iter().map(|tag| (tag.clone(), expected(tag))).collect();
    registry::tag(registry, repository, top, &tags)
        .with_context(|| format!("the nightly of {repository} stays as it was; is another nightly going on elsewhere?"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
