//! What leaves this machine: images by digest with their sources beside them, source packages, and last the tags.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;

use super::night::Night;
use super::record::Pushed;
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
use drydock_oci::registry::{self, Attachment, Registries};
use drydock_release::manifest::{CHECKSUMS, NAME};
use drydock_release::proof;

/// The type of the artifact with the sources of a nightly.
const SOURCES: &str = "application/vnd.drydock.sources.v1";
/// What every file of it is called by.
const TITLE: &str = "org.opencontainers.image.title";

/// The nightly repositories: what they had when the night began, and what was pushed.
pub(super) struct Remote {
    registries: Registries,
    /// By repository.
    before: BTreeMap<String, Option<Published>>,
    /// By image.
    tops: BTreeMap<String, Descriptor>,
    /// By image.
    pub(super) pushed: BTreeMap<String, Pushed>,
}

impl Remote {
    pub(super) fn new() -> Remote {
        Remote {
            registries: Registries::from_process(),
            before: BTreeMap::new(),
            tops: BTreeMap::new(),
            pushed: BTreeMap::new(),
        }
    }

    /// What the tag `nightly` of a repository names now; later it may only be moved from there.
    pub(super) fn ask(&mut self, repository: &Repository) -> anyhow::Result<Option<Published>> {
        let registry = self.registries.open(repository)?;
        let found = nightly::published(&registry, repository)?;
        self.before.insert(repository.to_string(), found.clone());
        Ok(found)
    }

    /// Pushes every image by digest, with its build record and the sources.
    pub(super) fn push(&mut self, night: &Night) -> anyhow::Result<String> {
        let wanted = night.selection()?;
        let sources = sources(night)?;
        let mut digests = Vec::new();
        for image in night.images() {
            let repository = &image.repositories.nightly;
            let registry = self.registries.open(repository)?;
            let build = wanted.build_of(image)?;
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
                Pushed { repository: repository.to_string(), digest: top.digest.to_string(), tags: Vec::new() };
            self.pushed.insert(image.name.to_string(), pushed);
            self.tops.insert(image.name.to_string(), top);
        }
        Ok(format!("{}, each with its build record and {} files of sources", digests.join(", "), sources.len()))
    }

    /// Looks at every image's `nightly` again. Nothing is uploaded, and nothing tagged, once another night has moved one.
    pub(super) fn unmoved(&mut self, night: &Night) -> anyhow::Result<()> {
        for image in night.images() {
            let repository = &image.repositories.nightly;
            let registry = self.registries.open(repository)?;
            let before = self.before.get(&repository.to_string()).and_then(Option::as_ref).map(|before| before.digest);
            let ours = self.tops.get(image.name.as_str()).map(|top| top.digest);
            nightly::ensure_unmoved(&registry, repository, before, ours)?;
        }
        Ok(())
    }

    /// Moves the tags of every image, `nightly` last.
    pub(super) fn tag(&mut self, night: &Night) -> anyhow::Result<String> {
        self.unmoved(night)?;
        let tags = images::tags(&night.release)?;
        for image in night.images() {
            let (repository, name) = (&image.repositories.nightly, image.name.to_string());
            let registry = self.registries.open(repository)?;
            let top = self.tops.get(&name).with_context(|| format!("{name} was not pushed"))?;
            let before = self.before.get(&repository.to_string()).and_then(Option::as_ref);
            nightly::set_tags(&registry, repository, top, &tags, before.map(|before| before.digest))?;
            if let Some(pushed) = self.pushed.get_mut(&name) {
                pushed.tags = tags.iter().map(Tag::to_string).collect();
            }
        }
        Ok(tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", "))
    }

    /// Removes what is past its time: images in the nightly repositories, and files here. What a registry does not let go,
    /// or the disk, is told and is no failure of the night; something lost that had to stay is one.
    pub(super) fn prune(&mut self, night: &Night) -> anyhow::Result<String> {
        let mut told = Vec::new();
        for image in night.images() {
            let pruned = {
                let _lock = lock(night.ctx())?;
                old_nightlies(night.ctx(), image, &mut self.registries)
            };
            told.push(forgiven(pruned, &image.repositories.nightly)?);
        }
        let keep = Duration::from_secs(u64::from(night.release.declaration().nightly.keep_days) * 24 * 60 * 60);
        let here = old_files(&night.release.directory(), keep, SystemTime::now());
        told.push(if here.is_empty() { "nothing here".to_owned() } else { format!("{} here", here.join(", ")) });
        Ok(told.join("; "))
    }
}

/// What a removal did, in words, also when the registry refused it or was away: the next night tries again.
fn forgiven(pruned: anyhow::Result<String>, repository: &Repository) -> anyhow::Result<String> {
    pruned.or_else(|error| {
        if !matches!(Failure::find(&error), Some(Failure::Remote(_))) {
            return Err(error);
        }
        output::err(format_args!("note: nothing more is removed in {repository}: {error:#}"));
        Ok(format!("not in {repository}"))
    })
}

/// The tags that will be set, in their order.
pub(super) fn tag_names(night: &Night) -> Vec<String> {
    images::tags(&night.release).unwrap_or_default().iter().map(Tag::to_string).collect()
}

/// A file of the sources.
struct File {
    name: String,
    media_type: &'static str,
    bytes: Vec<u8>,
}

/// The archives, their list, their sums, and their proof.
fn sources(night: &Night) -> anyhow::Result<Vec<File>> {
    let manifest = super::build::manifest(night)
        .ok_or_else(|| Failure::missing("the archives went away while this went on; start it again"))?;
    let directory = night.release.directory();
    let others = [(NAME, "application/json"), (CHECKSUMS, "text/plain"), (proof::NAME, "application/json")];
    let archives =
        manifest.files(&directory).map(|(artifact, format, _)| (&*artifact.name, format::info(format).media_type));
    let file = |(name, media_type): (&str, &'static str)| -> anyhow::Result<File> {
        let path = directory.join(name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(File { name: name.to_owned(), media_type, bytes })
    };
    archives.chain(others).map(file).collect()
}

/// Signs and uploads the source packages to where nightlies go, and waits for the answer.
pub(super) fn upload(night: &Night, remote: &mut Remote) -> anyhow::Result<String> {
    // An archive never gives a version back, so a night that lost to another one does not take one.
    remote.unmoved(night)?;
    let Some(packages) = night.packages(&[])? else { return Ok("nothing".to_owned()) };
    let options = &night.options;
    let uploader = Uploader { key: options.key.clone(), wait: options.wait, api: options.api.clone() };
    let mut told = Vec::new();
    let exit = uploader.upload(packages, &mut |line| {
        output::err(format_args!("== {line}"));
        told.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
    })?;
    match exit {
        Exit::Success => Ok(told.join(", ")),
        _ => Err(Failure::remote(format!("the source packages were not all taken: {}", told.join(", ")))),
    }
}

/// Removes the files of nightlies that are older than they are kept, by when their list was written. Those of tonight and of
/// releases stay. What cannot be removed is told.
fn old_files(tonight: &Path, keep: Duration, now: SystemTime) -> Vec<String> {
    let mut gone = Vec::new();
    let Some(directory) = tonight.parent() else { return gone };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            output::err(format_args!("note: cannot read {}: {error}", directory.display()));
            return gone;
        }
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_nightly = name.parse::<Version>().is_ok_and(|version| NightlyVersion::parse(&version).is_some());
        let written =
            fs::metadata(entry.path().join(NAME)).or_else(|_| entry.metadata()).and_then(|data| data.modified());
        let is_old = written.is_ok_and(|time| now.duration_since(time).is_ok_and(|age| age > keep));
        if is_nightly && is_old && entry.path() != tonight {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => gone.push(name),
                Err(error) => output::err(format_args!("note: cannot remove {}: {error}", entry.path().display())),
            }
        }
    }
    gone.sort();
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_registry_is_forgiven() {
        let repository: Repository = "registry.example/p/nightly".parse().unwrap();
        let after = |failure: anyhow::Error| forgiven(Err(failure.context("y")), &repository);
        assert_eq!(forgiven(Ok("3 of 4 kept".to_owned()), &repository).unwrap(), "3 of 4 kept");
        assert_eq!(after(Failure::remote("x")).unwrap(), "not in registry.example/p/nightly");
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
    fn old_files_of_nightlies_go_and_what_cannot_go_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        let [old, stuck, tonight] = [1, 2, 3].map(|day| format!("1.1-0.nightly2026070{day}.{day}.gaaaaaa{day}"));
        for name in [&old, &tonight, "1.0", "notes"] {
            fs::create_dir(directory.path().join(name)).unwrap();
        }
        // A file is no directory to be emptied.
        fs::write(directory.path().join(&stuck), "").unwrap();
        let tonight = directory.path().join(tonight);
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(old_files(&tonight, day, SystemTime::now()), Vec::<String>::new());
        assert_eq!(old_files(&tonight, day, SystemTime::now() + 2 * day), [old]);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
        assert!(old_files(&directory.path().join("gone/tonight"), day, SystemTime::now()).is_empty());
    }
}
