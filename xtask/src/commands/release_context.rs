//! The commit that a command releases, with everything derived from it: resolved once, then passed on.
//!
//! `HEAD`, tags and files outside of the commit may change while a command runs. Only [`DeclaredCommit::resolve`] resolves a
//! revision, so all steps of a command work on one commit, one declaration and one version.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Context;
use drydock_archive::source::{self, NameRules, SourceTree};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::git::{Oid, Repository};
use drydock_base::hint;
use drydock_config::images::{Image, Images};
use drydock_config::release::{NightlyVersion, Release, Signing, Version};
use drydock_release::manifest::{Identity, Tag};
use drydock_release::preflight::Finding;

mod earlier;
mod version;

pub(in crate::commands) use earlier::EarlierRelease;

pub(in crate::commands) use version::TAG_NAMES_VERSION;

/// The release that the command line selects.
#[derive(Debug, Clone)]
pub(in crate::commands) struct ReleaseSelector {
    /// A revision that names a commit, as git reads it.
    pub(in crate::commands) revision: String,
    pub(in crate::commands) version: VersionSource,
}

/// The source of a release's version.
#[derive(Debug, Clone)]
pub(in crate::commands) enum VersionSource {
    /// The release tag of the commit: this one, or the only one.
    Tag(Option<String>),
    /// The version file, or the highest release in the history, with the commit's date and abbreviated name appended; for trials.
    /// In a clone without tags, the version is given.
    Untagged(Option<Version>),
    /// The next version, or the full version of a nightly; by default the declared next version.
    Nightly(Option<Version>),
}

/// A commit with its declarations.
#[derive(Debug)]
pub(in crate::commands) struct DeclaredCommit {
    pub(in crate::commands) ctx: Context,
    pub(in crate::commands) repository: Repository,
    pub(in crate::commands) id: Oid,
    pub(in crate::commands) declaration: Release,
    pub(in crate::commands) declaration_digest: Checksum,
    /// The directory with the declarations, when it is not the project's own.
    pub(in crate::commands) config: Option<PathBuf>,
    sources: OnceCell<SourceTree>,
    images: OnceCell<Option<DeclaredImages>>,
}

/// The images that a commit declares.
#[derive(Debug)]
pub(in crate::commands) struct DeclaredImages {
    pub(in crate::commands) images: Vec<Image>,
    /// The digest of `docker/images.yaml`.
    pub(in crate::commands) digest: Checksum,
}

/// A release, a nightly or a trial of one commit.
#[derive(Debug)]
pub(in crate::commands) struct ReleaseContext {
    pub(in crate::commands) commit: DeclaredCommit,
    /// The files of the commit, without derived files. In a nightly, the version files hold its version.
    pub(in crate::commands) tree: SourceTree,
    pub(in crate::commands) version: Version,
    /// The tag that names the version; none in a nightly or a trial.
    pub(in crate::commands) tag: Option<Tag>,
}

/// The reason why a commit has no version.
pub(in crate::commands) enum VersionError {
    /// Its tags do not name exactly one; `release check` reports this beside its other findings.
    Tag(Finding),
    Other(anyhow::Error),
}

impl From<anyhow::Error> for VersionError {
    fn from(error: anyhow::Error) -> VersionError {
        VersionError::Other(error)
    }
}

impl From<VersionError> for anyhow::Error {
    fn from(error: VersionError) -> anyhow::Error {
        match error {
            VersionError::Tag(finding) => {
                let remedy = finding.remedy.unwrap_or_default();
                Failure::rejected(format!("{}; {remedy}", finding.found))
            }
            VersionError::Other(error) => error,
        }
    }
}

impl DeclaredCommit {
    /// Resolves a revision, and reads `packaging/release.yaml`: from the commit, or from the directory of `--config`.
    pub(in crate::commands) fn resolve(ctx: &Context, revision: &str) -> anyhow::Result<DeclaredCommit> {
        DeclaredCommit::resolve_in(ctx, Repository::find(&ctx.declarations.project)?, revision)
    }

    /// As [`DeclaredCommit::resolve`], in the repository of another commit.
    pub(in crate::commands) fn resolve_in(
        ctx: &Context,
        repository: Repository,
        revision: &str,
    ) -> anyhow::Result<DeclaredCommit> {
        let declarations = &ctx.declarations;
        let id = repository.resolve(revision, "commit").ok_or_else(|| {
            let shallow =
                repository.is_shallow.then(|| format!("; the clone is shallow: `{}`", repository.unshallow()));
            let unborn = if revision == "HEAD" { "; commit the project first" } else { "" };
            let why = shallow.as_deref().unwrap_or(unborn);
            Failure::usage(format!("{revision} names no commit of {}{why}", declarations.project.display()))
        })?;
        let file = declarations.release();
        let text = declared(ctx, &repository, &id, &file)?.ok_or_else(|| undeclared(ctx, &id, &file))?;
        let shown = shown(ctx, &file);
        let declaration = Release::parse(&text, shown)?;
        let config = (declarations.config != declarations.project).then(|| declarations.config.clone());
        Ok(DeclaredCommit {
            ctx: ctx.clone(),
            repository,
            id,
            declaration,
            declaration_digest: Checksum::new(text.as_bytes()),
            config,
            sources: OnceCell::new(),
            images: OnceCell::new(),
        })
    }

    /// The files of the commit, without derived files; read at the first call.
    pub(in crate::commands) fn sources(&self) -> anyhow::Result<&SourceTree> {
        if let Some(tree) = self.sources.get() {
            return Ok(tree);
        }
        let names = if self.declaration.portable_names { NameRules::Portable } else { NameRules::Unix };
        let tree = SourceTree::read(&self.repository, &self.id, self.declaration.submodules, names)?;
        Ok(self.sources.get_or_init(|| tree))
    }

    /// The images of `docker/images.yaml`, `None` without that file; read at the first call.
    pub(in crate::commands) fn images_if_declared(&self) -> anyhow::Result<Option<&DeclaredImages>> {
        if let Some(images) = self.images.get() {
            return Ok(images.as_ref());
        }
        let file = self.ctx.declarations.images();
        let images = match declared(&self.ctx, &self.repository, &self.id, &file)? {
            Some(text) => {
                let shown = shown(&self.ctx, &file);
                let images = Images::parse(&text, shown)?;
                Some(DeclaredImages { images: images.images, digest: Checksum::new(text.as_bytes()) })
            }
            None => None,
        };
        Ok(self.images.get_or_init(|| images).as_ref())
    }

    /// The images of `docker/images.yaml`, which must exist.
    pub(in crate::commands) fn images(&self) -> anyhow::Result<&DeclaredImages> {
        let missing = || undeclared(&self.ctx, &self.id, &self.ctx.declarations.images());
        self.images_if_declared()?.ok_or_else(missing)
    }

    /// The release of this commit.
    pub(in crate::commands) fn release(self, version: &VersionSource) -> anyhow::Result<ReleaseContext> {
        let (version, tag) = self.version(version)?;
        self.release_of(version, tag)
    }

    /// The release of this commit with a version that is already known.
    pub(in crate::commands) fn release_of(
        mut self,
        version: Version,
        tag: Option<Tag>,
    ) -> anyhow::Result<ReleaseContext> {
        self.sources()?;
        let mut tree = self.sources.take().context("the sources were just read")?;
        if NightlyVersion::parse(&version).is_some() {
            source::version::write(&mut tree, &self.declaration.version_files, &version)?;
        }
        Ok(ReleaseContext { commit: self, tree, version, tag })
    }
}

impl ReleaseContext {
    /// Resolves the revision, and determines the version.
    pub(in crate::commands) fn resolve(ctx: &Context, selector: &ReleaseSelector) -> anyhow::Result<ReleaseContext> {
        DeclaredCommit::resolve(ctx, &selector.revision)?.release(&selector.version)
    }

    pub(in crate::commands) fn ctx(&self) -> &Context {
        &self.commit.ctx
    }

    /// `packaging/release.yaml` of the commit, or of the directory of `--config`.
    pub(in crate::commands) fn declaration(&self) -> &Release {
        &self.commit.declaration
    }

    /// The directory of everything that is built of this release.
    pub(in crate::commands) fn directory(&self) -> PathBuf {
        self.ctx().state.dist(self.version.as_str())
    }

    /// The parts of a nightly's version; none in a release or a trial.
    pub(in crate::commands) fn nightly(&self) -> Option<NightlyVersion> {
        NightlyVersion::parse(&self.version)
    }

    /// Whether this is a trial: neither a release nor a nightly.
    pub(in crate::commands) fn is_trial(&self) -> bool {
        self.tag.is_none() && self.nightly().is_none()
    }

    /// The date by which a nightly is called, such as `20260701`: that of the newest commit in its history.
    pub(in crate::commands) fn date(&self) -> anyhow::Result<String> {
        if let Some(nightly) = self.nightly() {
            return Ok(nightly.day);
        }
        let (_, newest) = self.commit.repository.history(&self.commit.id).map_err(Failure::missing)?;
        version::date(newest)
    }

    /// The parts of the release that names and contents of archives depend on.
    pub(in crate::commands) fn identity(&self) -> Identity<'_> {
        Identity {
            release: &self.commit.declaration,
            declaration: self.commit.declaration_digest,
            version: &self.version,
            tag: self.tag.clone(),
        }
    }
}

/// The signing policy for something that `judged` declares: the keys of the checkout, and the larger of the two quorums.
/// Nothing can make its own acceptance easier than the checkout does.
pub(in crate::commands) fn signing_policy(checkout: Option<&Signing>, judged: Option<&Signing>) -> Option<Signing> {
    let checkout = checkout?;
    let quorum = judged.map_or(checkout.quorum, |judged| judged.quorum.max(checkout.quorum));
    Some(Signing { keys: checkout.keys.clone(), quorum })
}

/// The text of a declaration: from the commit, or from the directory of `--config`. `None` without such a file.
fn declared(ctx: &Context, repository: &Repository, commit: &Oid, file: &Path) -> anyhow::Result<Option<String>> {
    if ctx.declarations.config == ctx.declarations.project {
        let path = shown(ctx, file).to_string_lossy();
        let Some(blob) = repository.at(commit, &path) else { return Ok(None) };
        let object = repository.read(&blob)?;
        return Ok(object.map(|object| String::from_utf8_lossy(&object.content).into_owned()));
    }
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
    }
}

/// A declaration as messages name it: relative to the project when it is inside.
fn shown<'a>(ctx: &Context, file: &'a Path) -> &'a Path {
    file.strip_prefix(&ctx.declarations.project).unwrap_or(file)
}

fn undeclared(ctx: &Context, commit: &Oid, file: &Path) -> anyhow::Error {
    let shown = shown(ctx, file).display();
    let text = if ctx.declarations.config == ctx.declarations.project {
        let remedy = if file.is_file() {
            // As after `init`.
            "it is in the work tree: commit it".to_owned()
        } else {
            // Not every project has images.
            let only = if file == ctx.declarations.images() { " for Dockerfiles whose images are pinned" } else { "" };
            format!("`{}` writes it{only}; then commit it", hint::drydock(&["init"]))
        };
        format!("the commit {} has no {shown}; {remedy}", commit.short())
    } else {
        format!("{shown} does not exist; `{}` writes it", hint::drydock(&["init"]))
    };
    Failure::declaration(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_can_only_raise_the_quorum() {
        let signing = |keys: &str, quorum| Signing { keys: keys.into(), quorum };
        let checkout = signing("packaging/keys", 2);
        for (tagged, quorum) in [
            (None, 2),
            (Some(signing("packaging/keys", 1)), 2),
            (Some(signing("theirs", 1)), 2),
            (Some(signing("theirs", 3)), 3),
        ] {
            assert_eq!(
                signing_policy(Some(&checkout), tagged.as_ref()),
                Some(signing("packaging/keys", quorum)),
                "{tagged:?}"
            );
        }
        assert_eq!(signing_policy(None, Some(&signing("theirs", 1))), None);
    }
}
