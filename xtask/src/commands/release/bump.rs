//! `cargo xtask release bump`: version files, lock files, changelog and `nightly.next` of the work tree get another version. Everything is
//! computed and checked before anything is written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::notes;
use crate::cli;
use crate::commands::release_context::DeclaredCommit;
use crate::commands::{Context, now};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::text::quoted;
use drydock_base::{hint, output, paths};
use drydock_config::debversion::is_above;
use drydock_config::release::{Release, Version, VersionFile};
use drydock_config::release_notes::{NotesQuery, ReleaseNotes};
use drydock_release::bump::{self, NewEntry};

/// New contents of files, by their paths relative to the project.
type Changes = BTreeMap<String, String>;

impl cli::ReleaseBump {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let work = WorkTree { root: ctx.declarations.project.clone(), declaration: head.declaration.clone() };
        let old = work.version()?;
        let version = match (self.version, self.next) {
            (Some(version), _) => version,
            (None, true) => next(&head, old.as_ref())?,
            (None, false) => return Err(Failure::usage("name the version, or pass --next")),
        };
        if let Some(released) = head.releases()?.iter().find(|one| one.version == version) {
            let next = version.raised().map_or_else(String::new, |raised| format!("; the next one is {raised}"));
            return Err(Failure::usage(format!("{version} is released as {}{next}", released.tag)));
        }
        if let Some(old) = old.as_ref().filter(|old| is_above(old, &version)) {
            return Err(Failure::usage(format!("{version} is below {old}, which the version files have")));
        }
        let mut changes = Changes::new();
        work.version_files(&version, &mut changes)?;
        if let Some(old) = &old {
            work.locks(old, &version, &mut changes)?;
        }
        let mut fragments = Vec::new();
        if self.next {
            work.nightly(&version, &mut changes)?;
        } else {
            let raised = version.raised();
            match &head.declaration.nightly.next {
                Some(next) if !is_above(next, &version) => match raised {
                    Some(raised) => work.nightly(&raised, &mut changes)?,
                    None => return Err(Failure::declaration(format!("raise `nightly.next` above {version}"))),
                },
                Some(_) | None => {}
            }
            fragments = changelog(ctx, &head, &work, &version, &mut changes)?;
        }
        let verb = if self.dry_run { "would write" } else { "wrote" };
        for (path, content) in &changes {
            if !self.dry_run {
                paths::write_atomically(&work.root.join(path), content.as_bytes())?;
            }
            output::out(format_args!("{verb} {path}"));
        }
        for path in &fragments {
            if !self.dry_run {
                fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
            output::out(format_args!("{} {}", if self.dry_run { "would remove" } else { "removed" }, path.display()));
        }
        if changes.is_empty() && fragments.is_empty() {
            output::out(format_args!("nothing to write: the files have {version} already"));
            return Ok(Exit::Success);
        }
        let message = format!("{} {version}", if self.next { "Begin" } else { "Release" });
        let commit = hint::git(&work.root, &["commit", "-a", "-m", &message]);
        let status = hint::drydock(&["release", "status"]);
        output::out(format_args!("look at the changes, then `{commit}`; `{status}` says what is next"));
        Ok(Exit::Success)
    }
}

/// The version to begin after the last one.
fn next(head: &DeclaredCommit, old: Option<&Version>) -> anyhow::Result<Version> {
    let last = notes::last_release(head)?.map(|one| one.version);
    let from = match (&last, old) {
        (Some(last), Some(old)) if is_above(old, last) => old.clone(),
        (Some(last), _) => last.clone(),
        (None, Some(old)) => old.clone(),
        (None, None) => return Err(Failure::usage("nothing was released yet; name the version")),
    };
    let declared = head.declaration.nightly.next.clone().filter(|next| is_above(next, &from));
    let unknown = || Failure::usage(format!("{from} does not end with a number; name the version after it"));
    declared.or_else(|| from.raised()).ok_or_else(unknown)
}

/// Adds the entry of a version, which is checked as `release check` does; the fragments that it has.
fn changelog(
    ctx: &Context,
    head: &DeclaredCommit,
    work: &WorkTree,
    version: &Version,
    changes: &mut Changes,
) -> anyhow::Result<Vec<PathBuf>> {
    let Some(path) = &work.declaration.changelog else { return Ok(Vec::new()) };
    let text = fs::read_to_string(work.root.join(path)).unwrap_or_default();
    let tag = work.declaration.tag.render(version);
    let query = NotesQuery { file: path, version: version.as_str(), tag: &tag };
    if ReleaseNotes::find(text.as_bytes(), query).is_ok() {
        return Ok(Vec::new());
    }
    let fragments = if ctx.declarations.project.join("changelog.d").is_dir() {
        Some(notes::collect(ctx, head, Some(cli::NotesSource::Fragments), None)?)
    } else {
        None
    };
    let notes = fragments.as_ref().map_or_else(String::new, |found| {
        drydock_release::notes::rendered(&found.notes, notes::address(head).as_deref())
    });
    let before = notes::last_release(head)?.map(|one| one.version);
    let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_second(now())?).date().to_string();
    let entry = NewEntry { version, before: before.as_ref(), tag: &work.declaration.tag, date: &date, notes: &notes };
    let text = bump::changelog(&text, &entry);
    if let Err(error) = ReleaseNotes::find(text.as_bytes(), query) {
        let notes = hint::drydock(&["release", "notes", "--from", "commits"]);
        let text = format!("{path} would have no changes of {version}: {}", error.problem);
        return Err(Failure::rejected(format!(
            "{text}; write them below `## [Unreleased]`, as `{notes}` proposes them"
        )));
    }
    changes.insert(path.clone(), text);
    Ok(fragments.map(|found| found.fragments).unwrap_or_default())
}

/// The files of the project as they are now.
struct WorkTree {
    root: PathBuf,
    declaration: Release,
}

impl WorkTree {
    fn read(&self, path: &str) -> anyhow::Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// The version of the first version file.
    fn version(&self) -> anyhow::Result<Option<Version>> {
        let Some(file) = self.declaration.version_files.first() else { return Ok(None) };
        Ok(file.held(&self.read(&file.path)?).into_iter().next().map(|held| held.version))
    }

    fn version_files(&self, version: &Version, changes: &mut Changes) -> anyhow::Result<()> {
        for file in &self.declaration.version_files {
            let text = changes.get(&file.path).map_or_else(|| self.read(&file.path), |text| Ok(text.clone()))?;
            let missing =
                || Failure::declaration(format!("{} does not have {}; correct `version.files`", file.path, file.place));
            let new = file.with_version(&text, version).ok_or_else(missing)?;
            let held = file.held(&new).into_iter().next().map(|held| held.version);
            if !held.is_some_and(|held| file.agrees(&held, version)) {
                return Err(Failure::rejected(format!("{} would not have {version} afterwards", file.path)));
            }
            if new != text {
                changes.insert(file.path.clone(), new);
            }
        }
        Ok(())
    }

    /// The lock files, and requirements of one own crate by another.
    fn locks(&self, old: &Version, version: &Version, changes: &mut Changes) -> anyhow::Result<()> {
        let manifests = self.tracked("Cargo.toml")?;
        let of_workspace = |file: &VersionFile| file.path.ends_with("Cargo.toml");
        let mut own = BTreeSet::new();
        for path in &manifests {
            let text = self.read(path)?;
            let Ok(manifest) = text.parse::<toml::Table>() else { continue };
            let package = manifest.get("package");
            let Some(name) = package.and_then(|package| package.get("name")).and_then(toml::Value::as_str) else {
                continue;
            };
            let inherits = package.and_then(|package| package.get("version")).is_some_and(toml::Value::is_table);
            let is_bumped = self.declaration.version_files.iter().any(|file| file.path == *path);
            if is_bumped || (inherits && self.declaration.version_files.iter().any(of_workspace)) {
                own.insert(name.to_owned());
            }
        }
        for path in &manifests {
            let text = changes.get(path).map_or_else(|| self.read(path), |text| Ok(text.clone()))?;
            // `own = {path = "…", version = "1.0"}`: cargo refuses a path whose version does not fit.
            let required = |line: &str| {
                let name = line.split_once([' ', '=']).map_or("", |(name, _)| name);
                let is_own = own.contains(name) && line.contains("path");
                let line_of =
                    |operator: &str| line.replace(&format!("\"{operator}{old}\""), &format!("\"{operator}{version}\""));
                if is_own { [line_of(""), line_of("=")].into_iter().find(|new| new != line) } else { None }
            };
            let new: String =
                text.split_inclusive('\n').map(|line| required(line).unwrap_or_else(|| line.to_owned())).collect();
            if new != text {
                changes.insert(path.clone(), new);
            }
        }
        for path in self.tracked("Cargo.lock")? {
            let text = self.read(&path)?;
            let new = bump::cargo_lock(&text, &own, old, version);
            if new != text {
                changes.insert(path, new);
            }
        }
        Ok(())
    }

    /// `nightly.next` in the declaration, if it is there.
    fn nightly(&self, next: &Version, changes: &mut Changes) -> anyhow::Result<()> {
        let Some(old) = self.declaration.nightly.next.as_ref().filter(|old| *old != next) else { return Ok(()) };
        let path = "packaging/release.yaml";
        let text = self.read(path)?;
        let found = text.match_indices("next:").find_map(|(at, _)| {
            let rest = &text[at + 5..];
            let blanks = rest.len() - rest.trim_start_matches([' ', '"', '\'']).len();
            rest[blanks..].starts_with(old.as_str()).then_some(at + 5 + blanks)
        });
        let at = found.ok_or_else(|| Failure::declaration(format!("{path}: set `nightly.next` to {next} by hand")))?;
        let new = format!("{}{next}{}", &text[..at], &text[at + old.as_str().len()..]);
        let parsed = Release::parse(&new, Path::new(path))?;
        if parsed.nightly.next.as_ref() != Some(next) {
            return Err(Failure::declaration(format!(
                "{path}: set `nightly.next` to {} by hand",
                quoted(next.as_str())
            )));
        }
        changes.insert(path.to_owned(), new);
        Ok(())
    }

    /// The files with this name that git knows, outside of submodules.
    fn tracked(&self, name: &str) -> anyhow::Result<Vec<String>> {
        let repository = drydock_base::git::Repository::find(&self.root)?;
        let answer = repository.ask(&["ls-tree", "-r", "--full-tree", "-z", "--name-only", "HEAD"])?;
        let fits = |path: &&str| *path == name || path.ends_with(&format!("/{name}"));
        Ok(answer.split('\0').filter(fits).filter(|path| self.root.join(path).is_file()).map(str::to_owned).collect())
    }
}
