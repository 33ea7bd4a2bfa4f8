//! Which release is meant: the commit, its declaration, its tag and version.

use std::path::{Path, PathBuf};

use crate::cli::OfRelease;
use crate::commands::Context;
use drydock_archive::source::{self, SourceTree};
use drydock_base::failure::Failure;
use drydock_base::git::{HistoryError, Objects, Oid, Repository};
use drydock_base::sums::Sha256Sum;
use drydock_config::release::{NightlyVersion, Release, Version};
use drydock_deb::{self, version::is_above};
use drydock_release::manifest::{Identity, Tag};
use drydock_release::preflight::Finding;

/// A commit with its declaration.
pub(in crate::commands) struct Loaded {
    pub(in crate::commands) repository: Repository,
    pub(in crate::commands) commit: Oid,
    pub(in crate::commands) release: Release,
    pub(in crate::commands) declaration: Sha256Sum,
    /// The directory with the declaration, when it is not the project's own.
    pub(in crate::commands) config: Option<PathBuf>,
}

/// A version, and the tag that says so.
pub(in crate::commands) struct Versioned {
    pub(in crate::commands) version: Version,
    pub(in crate::commands) tag: Option<Tag>,
}

impl Versioned {
    /// What the version says of a nightly; none for a release.
    pub(in crate::commands) fn nightly(&self) -> Option<NightlyVersion> {
        NightlyVersion::of(&self.version)
    }
}

impl Loaded {
    /// The project's own declaration is read from the commit, one of another directory from there.
    pub(in crate::commands) fn new(ctx: &Context, revision: &str) -> anyhow::Result<Loaded> {
        let declarations = &ctx.declarations;
        let repository = Repository::find(&declarations.project)?;
        let commit = repository.resolve(revision, "commit").ok_or_else(|| {
            let hint =
                if repository.is_shallow { "; the clone is shallow: `git fetch --unshallow --tags`" } else { "" };
            Failure::usage(format!("{revision} names no commit of {}{hint}", declarations.project.display()))
        })?;
        let (text, shown) = declared(ctx, &repository, &commit, declarations.release())?;
        let release = Release::parse(&text, &shown)
            .map_err(|problems| Failure::declaration(format!("{} is not valid\n{problems}", shown.display())))?;
        let config = (declarations.config != declarations.project).then(|| declarations.config.clone());
        Ok(Loaded { repository, commit, release, declaration: Sha256Sum::of(text.as_bytes()), config })
    }

    /// The sources, without derived files.
    pub(in crate::commands) fn tree(&self) -> anyhow::Result<SourceTree> {
        SourceTree::read(&self.repository, &self.commit, self.release.submodules)
    }

    /// The sources of what is meant, without derived files, and its version. Files that hold the version hold that of a
    /// nightly.
    pub(in crate::commands) fn sources(&self, of: &OfRelease) -> anyhow::Result<(SourceTree, Versioned)> {
        let mut tree = self.tree()?;
        let versioned = self.version(of, &tree)?.map_err(|finding| {
            let remedy = finding.remedy.unwrap_or_default();
            Failure::rejected(format!("{}: {}; {remedy}", finding.what, finding.found))
        })?;
        self.stamp(&mut tree, &versioned)?;
        Ok((tree, versioned))
    }

    /// Writes the version of a nightly into the files that hold the version.
    pub(in crate::commands) fn stamp(&self, tree: &mut SourceTree, versioned: &Versioned) -> anyhow::Result<()> {
        match versioned.nightly() {
            Some(_) => source::version::write(tree, &self.release.version_files, &versioned.version),
            None => Ok(()),
        }
    }

    /// The version that the commit's tag says, or what keeps it from having one.
    pub(in crate::commands) fn version(
        &self,
        of: &OfRelease,
        tree: &SourceTree,
    ) -> anyhow::Result<Result<Versioned, Finding>> {
        if let Some(next) = &of.nightly {
            return Ok(Ok(Versioned { version: self.nightly(next, tree)?, tag: None }));
        }
        if of.untagged {
            return Ok(Ok(Versioned { version: self.untagged(tree)?, tag: None }));
        }
        let tags = self.repository.tags_of(&self.commit).map_err(|why| Failure::missing(why))?;
        let mut versions: Vec<(Version, Tag)> = tags
            .into_iter()
            .filter(|(name, _)| of.tag.as_ref().is_none_or(|wanted| wanted == name))
            .filter_map(|(name, object)| {
                Some((self.release.tag.version_in(&name)?, Tag { name, object: object.to_string() }))
            })
            .collect();
        let what = "a tag names the version";
        let names =
            |list: &[(Version, Tag)]| list.iter().map(|(_, tag)| tag.name.clone()).collect::<Vec<_>>().join(", ");
        Ok(match versions.len() {
            1 => versions
                .pop()
                .map(|(version, tag)| Versioned { version, tag: Some(tag) })
                .ok_or_else(|| unreachable(what)),
            0 => {
                let example = self.release.tag.to_string();
                let next = self.written(tree)?.map(|version| self.release.tag.render(&version));
                let next = next.unwrap_or_else(|| example.replace("{version}", "VERSION"));
                let shallow = match self.repository.is_shallow {
                    true => "git fetch --tags (the clone is shallow), or ",
                    false => "",
                };
                Err(Finding::bad(
                    what,
                    format!("no tag of {} is like `{example}`", self.commit.short()),
                    format!("{shallow}git tag -s {next} {}, or --untagged for a trial", self.commit.short()),
                ))
            }
            _ => Err(Finding::bad(what, format!("several do: {}", names(&versions)), "name one with --tag")),
        })
    }

    /// The day by which the sources are called: that of the newest commit in their history, as far as that is known.
    pub(in crate::commands) fn day(&self, versioned: &Versioned) -> anyhow::Result<String> {
        if let Some(nightly) = versioned.nightly() {
            return Ok(nightly.day);
        }
        let (_, newest) = self.repository.history(&self.commit).map_err(|why| Failure::missing(why))?;
        day_of(newest)
    }

    /// What a release is, for its archives.
    pub(in crate::commands) fn identity<'a>(&'a self, versioned: &'a Versioned) -> Identity<'a> {
        Identity {
            release: &self.release,
            declaration: self.declaration,
            version: &versioned.version,
            tag: versioned.tag.clone(),
        }
    }

    /// The version that the first version file holds, with the commit's date and name.
    fn untagged(&self, tree: &SourceTree) -> anyhow::Result<Version> {
        let base = self.written(tree)?.map_or_else(|| "0".to_owned(), |version| version.to_string());
        let day = day_of(tree.epoch)?;
        format!("{base}+git{day}.{}", self.commit.short())
            .parse()
            .map_err(|bad| Failure::declaration(format!("the version cannot be made: {bad}")))
    }

    /// The version of a nightly of what will be `next`, or the nightly that `next` names.
    fn nightly(&self, next: &str, tree: &SourceTree) -> anyhow::Result<Version> {
        let usage = |why: String| Failure::usage(why);
        let wanted: Option<Version> = match next {
            "" => None,
            text => Some(text.parse().map_err(|bad| usage(format!("--nightly: {bad}")))?),
        };
        if let Some(nightly) = wanted.as_ref().and_then(NightlyVersion::of) {
            // Which is all that a clone without history can know.
            return match (wanted, self.commit.as_str().starts_with(&nightly.commit)) {
                (Some(version), true) => Ok(version),
                (_, _) => Err(usage(format!("{nightly} is a nightly of another commit than {}", self.commit.short()))),
            };
        }
        let declared = || self.release.nightly.next.clone();
        let next = match wanted.or_else(declared) {
            Some(next) => next,
            None => self.written(tree)?.ok_or_else(|| {
                let text = "what will be released next is not known; declare `nightly: {next: VERSION}`, or say --next";
                Failure::declaration(text)
            })?,
        };
        let unknown = |why: HistoryError| Failure::missing(format!("the version of the nightly is not known: {why}"));
        let (number, newest) = self.repository.history(&self.commit).map_err(unknown)?;
        let released = self.repository.tags_until(&self.commit).map_err(|error| unknown(error.into()))?;
        let released = released.iter().filter_map(|name| self.release.tag.version_in(name));
        let last = released.reduce(|one, other| if is_above(&other, &one) { other } else { one });
        let place = drydock_deb::version::place(&next, last.as_ref()).map_err(|why| {
            let remedy = "raise `nightly.next` in packaging/release.yaml, or say --next VERSION";
            Failure::declaration(format!("{why}; {remedy}"))
        })?;
        let day = day_of(newest)?;
        let commit = self.commit.as_str()[..NightlyVersion::DIGITS].to_owned();
        let version = NightlyVersion { place, day, number, commit }.to_string();
        version.parse().map_err(|bad| Failure::declaration(format!("the nightly has no version: {bad}")))
    }

    /// The version that the first version file holds.
    fn written(&self, tree: &SourceTree) -> anyhow::Result<Option<Version>> {
        let Some(file) = self.release.version_files.first() else { return Ok(None) };
        let Some(entry) = tree.get(&file.path) else { return Ok(None) };
        let content = tree.reader().content(entry)?;
        let text = String::from_utf8_lossy(&content);
        Ok(match &file.line {
            None => text.trim().parse().ok(),
            Some(line) => text.lines().find_map(|one| line.version_in(one.trim())),
        })
    }
}

/// The day of a moment, in UTC: `20260701`.
fn day_of(epoch: u64) -> anyhow::Result<String> {
    Ok(jiff::Timestamp::from_second(i64::try_from(epoch)?)?.strftime("%Y%m%d").to_string())
}

fn unreachable(what: &str) -> Finding {
    Finding::bad(what, "the tag went away", "run it again")
}

/// The text of a declaration, from the commit when it is the project's own, and how it is called in messages.
pub(in crate::commands) fn declared(
    ctx: &Context,
    repository: &Repository,
    commit: &Oid,
    file: PathBuf,
) -> anyhow::Result<(String, PathBuf)> {
    let declarations = &ctx.declarations;
    let shown = file.strip_prefix(&declarations.project).unwrap_or(&file).to_owned();
    let own = declarations.config == declarations.project;
    let text = if own { committed(repository, commit, &shown)? } else { std::fs::read_to_string(&file).ok() };
    let text = text.ok_or_else(|| {
        let place = if own { format!("the commit {}", commit.short()) } else { "the directory".to_owned() };
        let why = format!("{place} has no {}; write it as the README shows", shown.display());
        Failure::declaration(if own { format!("{why}, and commit it") } else { why })
    })?;
    Ok((text, shown))
}

/// Whether a declaration is there: in the commit, or in the directory that `--config` names.
pub(in crate::commands) fn is_declared(ctx: &Context, repository: &Repository, commit: &Oid, file: &Path) -> bool {
    let declarations = &ctx.declarations;
    let shown = file.strip_prefix(&declarations.project).unwrap_or(file);
    match declarations.config == declarations.project {
        true => repository.at(commit, &shown.to_string_lossy()).is_some(),
        false => file.is_file(),
    }
}

/// A file of a commit, as text.
fn committed(repository: &Repository, commit: &Oid, path: &Path) -> anyhow::Result<Option<String>> {
    let Some(blob) = repository.at(commit, &path.to_string_lossy()) else { return Ok(None) };
    let object = Objects::open(repository)?.read(&blob)?;
    Ok(object.map(|object| String::from_utf8_lossy(&object.content).into_owned()))
}
