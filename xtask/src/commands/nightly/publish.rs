//! The steps that publish: images by digest together with their sources, source packages, tags, and removing old nightlies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::nightly_build::NightlyBuild;
use super::record::PushedImage;
use crate::commands::deb::upload::Uploader;
use crate::commands::docker::nightly as images;
use crate::commands::docker::prune::old_nightlies;
use crate::commands::release::build::lock;
use crate::exit::Exit;
use drydock_archive::format;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::images::{Repository, Tag};
use drydock_config::release::{NightlyVersion, Version};
use drydock_oci::model::Descriptor;
use drydock_oci::nightly::{self, Published};
use drydock_oci::registry::{self, Attachment, Registries, RegistryError};
use drydock_release::manifest::{CHECKSUMS, NAME};
use drydock_release::proof;

/// The type of the artifact with the sources.
const SOURCES: &str = "application/vnd.drydock.sources.v1";
/// The annotation with the name of a file.
const TITLE: &str = "org.opencontainers.image.title";

/// The nightly repositories of the images.
pub(super) struct NightlyRepositories {
    registries: Registries,
    /// The nightlies at the start of the build, by repository.
    previous: BTreeMap<String, Option<Published>>,
    /// The descriptors of the pushed images, by name of the image.
    descriptors: BTreeMap<String, Descriptor>,
    /// The pushed images for the record, by name of the image.
    pub(super) pushed: BTreeMap<String, PushedImage>,
}

impl NightlyRepositories {
    pub(super) fn new() -> NightlyRepositories {
        NightlyRepositories {
            registries: Registries::from_process(),
            previous: BTreeMap::new(),
            descriptors: BTreeMap::new(),
            pushed: BTreeMap::new(),
        }
    }

    /// The current nightly of a repository. It is remembered, because later the tag may only be moved from there.
    pub(super) fn current(&mut self, repository: &Repository) -> anyhow::Result<Option<Published>> {
        let registry = self.registries.open(repository)?;
        let found = nightly::published(&registry, repository)?;
        self.previous.insert(repository.to_string(), found.clone());
        Ok(found)
    }

    /// Pushes every image by digest, with its build record and the sources.
    pub(super) fn push(&mut self, nightly: &NightlyBuild) -> anyhow::Result<String> {
        let selection = nightly.selection()?;
        let sources = sources(nightly)?;
        let mut digests = Vec::new();
        for image in nightly.images() {
            let repository = &image.repositories.nightly;
            let registry = self.registries.open(repository)?;
            let build = selection.build_of(image)?;
            images::push(&registry, image, &build)?;
            let top = build.index;
            let titles: Vec<[(&str, &str); 1]> = sources.iter().map(|file| [(TITLE, file.name.as_str())]).collect();
            let files: Vec<Attachment<'_>> = sources
                .iter()
                .zip(&titles)
                .map(|(file, title)| Attachment { media_type: file.media_type, bytes: &file.bytes, annotations: title })
                .collect();
            registry::attach(&registry, repository, &top, SOURCES, &files)?;
            digests.push(format!("{repository}@{}", top.digest));
            let pushed =
                PushedImage { repository: repository.to_string(), digest: top.digest.to_string(), tags: Vec::new() };
            self.pushed.insert(image.name.to_string(), pushed);
            self.descriptors.insert(image.name.to_string(), top);
        }
        Ok(format!("{}, each with its build record and {} source files", digests.join(", "), sources.len()))
    }

    /// Checks that nobody else has moved the tag `nightly` of an image since the build began.
    pub(super) fn check_unmoved(&mut self, nightly: &NightlyBuild) -> anyhow::Result<()> {
        for image in nightly.images() {
            let repository = &image.repositories.nightly;
            let registry = self.registries.open(repository)?;
            let before =
                self.previous.get(&repository.to_string()).and_then(Option::as_ref).map(|before| before.digest);
            let ours = self.descriptors.get(image.name.as_str()).map(|top| top.digest);
            nightly::ensure_unmoved(&registry, repository, before, ours)?;
        }
        Ok(())
    }

    /// Moves the tags of all images, `nightly` last.
    pub(super) fn tag(&mut self, nightly: &NightlyBuild) -> anyhow::Result<String> {
        self.check_unmoved(nightly)?;
        let tags = images::tags(&nightly.release)?;
        for image in nightly.images() {
            let (repository, name) = (&image.repositories.nightly, image.name.to_string());
            let registry = self.registries.open(repository)?;
            let top = self.descriptors.get(&name).with_context(|| format!("{name} was not pushed"))?;
            let before = self.previous.get(&repository.to_string()).and_then(Option::as_ref);
            nightly::set_tags(&registry, repository, top, &tags, before.map(|before| before.digest))?;
            if let Some(pushed) = self.pushed.get_mut(&name) {
                pushed.tags = tags.iter().map(Tag::to_string).collect();
            }
        }
        Ok(tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "))
    }

    /// Removes expired nightlies from the repositories and from this machine. What a registry or the disk refuses to remove
    /// is only noted, because the next nightly tries again.
    pub(super) fn prune(&mut self, nightly: &NightlyBuild) -> anyhow::Result<String> {
        let mut summaries = Vec::new();
        for image in nightly.images() {
            let pruned = {
                let _lock = lock(nightly.ctx())?;
                old_nightlies(nightly.ctx(), image, &mut self.registries)
            };
            summaries.push(tolerate_refusal(pruned, &image.repositories.nightly)?);
        }
        let keep = Duration::from_secs(u64::from(nightly.release.declaration().nightly.keep_days) * 24 * 60 * 60);
        let removed = remove_old_files(&nightly.release.directory(), keep, SystemTime::now());
        let removed = if removed.is_empty() { "nothing".to_owned() } else { removed.join(", ") };
        summaries.push(format!("{removed} on this machine"));
        Ok(summaries.join("; "))
    }
}

/// Turns a failure of the registry into a note; other errors remain.
fn tolerate_refusal(pruned: anyhow::Result<String>, repository: &Repository) -> anyhow::Result<String> {
    pruned.or_else(|error| {
        let is_refusal = match (RegistryError::find(&error), error.chain().find_map(|cause| cause.downcast_ref())) {
            (Some(RegistryError::WrongContent(_)), _) | (None, Some(drydock_http::Error::Setup(_))) => false,
            (Some(_), _) | (None, Some(_)) => true,
            (None, None) => matches!(Failure::find(&error), Some(Failure::Remote(_))),
        };
        if !is_refusal {
            return Err(error);
        }
        output::err(format_args!("note: cannot remove old nightlies from {repository}: {error:#}"));
        Ok(format!("nothing from {repository}"))
    })
}

/// The tags that will be set, in order.
pub(super) fn tag_names(nightly: &NightlyBuild) -> Vec<String> {
    images::tags(&nightly.release).unwrap_or_default().iter().map(Tag::to_string).collect()
}

/// A file of the artifact with the sources.
struct SourceFile {
    name: String,
    media_type: &'static str,
    bytes: Vec<u8>,
}

/// The archives, their manifest, checksums and proof.
fn sources(nightly: &NightlyBuild) -> anyhow::Result<Vec<SourceFile>> {
    let manifest = super::build::manifest(nightly).ok_or_else(super::build::removed)?;
    let directory = nightly.release.directory();
    let others = [(NAME, "application/json"), (CHECKSUMS, "text/plain"), (proof::NAME, "application/json")];
    let archives =
        manifest.archives(&directory).map(|(artifact, format, _)| (&*artifact.name, format::info(format).media_type));
    let file = |(name, media_type): (&str, &'static str)| -> anyhow::Result<SourceFile> {
        let path = directory.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(SourceFile { name: name.to_owned(), media_type, bytes })
    };
    archives.chain(others).map(file).collect()
}

/// Signs the source packages, uploads them to the target of nightlies, and waits for the answer.
pub(super) fn upload(nightly: &NightlyBuild, repositories: &mut NightlyRepositories) -> anyhow::Result<String> {
    // An archive never accepts a version twice, so nothing is uploaded if another nightly was published meanwhile.
    repositories.check_unmoved(nightly)?;
    let packages = nightly.packages(&[])?;
    let options = &nightly.options;
    let uploader = Uploader {
        key: options.key.clone(),
        wait: options.wait,
        follows_builds: false,
        pause: crate::commands::deb::upload::LAUNCHPAD_PAUSE,
        api: options.api.clone(),
        // An earlier step proved the packages of the series that the declaration names.
        proves_packages: false,
        without_proof: None,
    };
    let mut results = Vec::new();
    let exit = uploader.upload(packages, &mut |line| {
        output::announce(format_args!("{line}"));
        results.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
    })?;
    let results = results.join(", ");
    if exit == Exit::Success {
        return Ok(results);
    }
    Err(Failure::remote(format!("not all source packages were accepted: {results}")))
}

/// Removes the directories of expired nightlies, by the time of their manifests, except that of this build. Returns the names
/// of the removed ones. What cannot be removed is noted.
fn remove_old_files(current: &Path, keep: Duration, now: SystemTime) -> Vec<String> {
    let mut removed = Vec::new();
    let Some(directory) = current.parent() else { return removed };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            output::err(format_args!("note: cannot read {}: {error}", directory.display()));
            return removed;
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_nightly = name.parse::<Version>().is_ok_and(|version| NightlyVersion::parse(&version).is_some());
        let written =
            fs::metadata(entry.path().join(NAME)).or_else(|_| entry.metadata()).and_then(|data| data.modified());
        let is_old = written.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > keep));
        if is_nightly && is_old && entry.path() != current {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => removed.push(name),
                Err(error) => output::err(format_args!("note: cannot remove {}: {error}", entry.path().display())),
            }
        }
    }
    removed.sort();
    removed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_of_the_registry_are_tolerated() {
        let repository: Repository = "registry.example/p/nightly".parse().unwrap();
        let after = |failure: anyhow::Error| tolerate_refusal(Err(failure.context("y")), &repository);
        assert_eq!(tolerate_refusal(Ok("3 of 4 kept".to_owned()), &repository).unwrap(), "3 of 4 kept");
        assert_eq!(after(Failure::remote("x")).unwrap(), "nothing from registry.example/p/nightly");
        let others = [Failure::NotReproducible, Failure::Missing, Failure::Infrastructure, Failure::Interrupted];
        for failure in others {
            let failure = failure("x".to_owned());
            let kind = std::mem::discriminant(&failure);
            let error = after(failure.into()).unwrap_err();
            assert_eq!(Failure::find(&error).map(std::mem::discriminant), Some(kind));
        }
        assert!(after(anyhow::anyhow!("x")).is_err());
    }

    #[test]
    fn expired_nightlies_are_removed_if_possible() {
        let directory = tempfile::tempdir().unwrap();
        let [old, stuck, current] = [1, 2, 3].map(|day| format!("1.1-0.nightly2026070{day}.{day}.gaaaaaa{day}"));
        for name in [&old, &current, "1.0", "notes"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        // This is not a directory, so removing it fails.
        fs::write(directory.path().join(&stuck), "").unwrap();
        let current = directory.path().join(current);
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(remove_old_files(&current, day, SystemTime::now()), Vec::<String>::new());
        assert_eq!(remove_old_files(&current, day, SystemTime::now() + 2 * day), [old]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        assert!(remove_old_files(&directory.path().join("gone/current"), day, SystemTime::now()).is_empty());
    }
}
