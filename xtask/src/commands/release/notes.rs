//! `cargo xtask release notes`: the notes of the next release, from fragments, commits or pull requests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::{self, NotesSource};
use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, EarlierRelease};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::debversion::is_above;
use drydock_github::{Api, Settings};
use drydock_release::notes::{self, ChangeKind, CommitMessage, Fragment, Note};

/// The directory of fragments.
const FRAGMENTS: &str = "changelog.d";

/// The collected notes.
pub(super) struct Collected {
    pub(super) notes: Vec<Note>,
    /// The files of fragments that they come from.
    pub(super) fragments: Vec<PathBuf>,
    /// The subjects of commits that have no note.
    silent: Vec<String>,
}

impl cli::ReleaseNotes {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let head = DeclaredCommit::resolve(ctx, "HEAD")?;
        let collected = collect(ctx, &head, self.from, self.since.as_deref())?;
        let text = notes::rendered(&collected.notes, address(&head).as_deref());
        for subject in &collected.silent {
            output::err(format_args!("note: left out: {subject}"));
        }
        if text.is_empty() {
            let text =
                "there are no notes; write fragments such as changelog.d/12.fixed.md, or commits such as `fix: TEXT`";
            return Err(Failure::rejected(text));
        }
        output::out(text.trim_end());
        Ok(Exit::Success)
    }
}

/// Where links of notes lead.
pub(super) fn address(head: &DeclaredCommit) -> Option<String> {
    head.declaration.ci.as_ref().map(|ci| format!("https://github.com/{}", ci.repository))
}

/// Collects the notes of what is not released yet.
///
/// # Errors
/// A fragment cannot be used, the tag does not exist, or GitHub cannot be asked.
pub(super) fn collect(
    ctx: &Context,
    head: &DeclaredCommit,
    source: Option<NotesSource>,
    since: Option<&str>,
) -> anyhow::Result<Collected> {
    let directory = ctx.declarations.project.join(FRAGMENTS);
    let source = source.unwrap_or(if directory.is_dir() { NotesSource::Fragments } else { NotesSource::Commits });
    if source == NotesSource::Fragments {
        return of_fragments(&directory);
    }
    let earlier = match since {
        Some(tag) => {
            let missing = || Failure::usage(format!("{tag} names no commit; give --since a tag or a commit"));
            Some(head.repository.resolve(tag, "commit").ok_or_else(missing)?)
        }
        None => last_release(head)?.map(|one| one.commit),
    };
    let commits = head.repository.commits_since(&head.id, earlier.as_ref())?;
    if source == NotesSource::Pulls {
        let ids: Vec<&str> = commits.iter().filter(|one| !one.is_merge).map(|one| one.id.as_str()).collect();
        return of_pulls(head, &ids);
    }
    let message = |one: drydock_base::git::LoggedCommit| CommitMessage {
        author: one.author,
        message: one.message,
        is_merge: one.is_merge,
    };
    let (notes, silent) = notes::from_commits(&commits.into_iter().map(message).collect::<Vec<_>>());
    Ok(Collected { notes, fragments: Vec::new(), silent })
}

/// The highest release in the history of a commit; of another branch if its history has none.
pub(super) fn last_release(head: &DeclaredCommit) -> anyhow::Result<Option<EarlierRelease>> {
    let all = head.releases()?;
    let mut within = Vec::new();
    for one in &all {
        if head.repository.contains(&head.id, &one.commit).map_err(Failure::missing)? {
            within.push(one.clone());
        }
    }
    let chosen = if within.is_empty() { all } else { within };
    Ok(chosen.into_iter().reduce(|a, b| if is_above(&b.version, &a.version) { b } else { a }))
}

fn of_fragments(directory: &Path) -> anyhow::Result<Collected> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()).filter(|_| path.is_file()) else { continue };
        let content = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push(Fragment { name: name.to_owned(), content });
    }
    let (notes, errors) = notes::from_fragments(&files);
    if !errors.is_empty() {
        let list: Vec<String> = errors.iter().map(|error| format!("\n  {FRAGMENTS}/{error}")).collect();
        return Err(Failure::declaration(format!("fragments cannot be used:{}", list.concat())));
    }
    let used = |file: &&Fragment| {
        !file.name.starts_with(['.', '_']) && !file.name.starts_with("README") && !file.name.ends_with('~')
    };
    let fragments = files.iter().filter(used).map(|file| directory.join(&file.name)).collect();
    Ok(Collected { notes, fragments, silent: Vec::new() })
}

fn of_pulls(head: &DeclaredCommit, commits: &[&str]) -> anyhow::Result<Collected> {
    let ci = head.declaration.ci.as_ref().ok_or_else(|| {
        Failure::declaration(
            "no repository on GitHub is declared; add `ci: {github: OWNER/NAME}` to packaging/release.yaml",
        )
    })?;
    let settings = Settings::new(&|variable| std::env::var_os(variable))?;
    let api = Api::new(settings, ci.repository.parse()?, |line: &str| output::err(format_args!("== {line}")))?;
    let (mut notes, mut silent, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    for commit in commits {
        for pull in api.pulls_of(commit)? {
            // A pull request that is not merged has the commit, but did not bring it.
            if pull.merged_at.is_none() || !seen.insert(pull.number) {
                continue;
            }
            let author = pull.user.map(|user| user.login).filter(|login| !login.ends_with("[bot]"));
            let own = CommitMessage { author: String::new(), message: pull.title.clone(), is_merge: false };
            let by_title = notes::from_commits(&[own]).0.pop();
            let by_label = pull.labels.iter().find_map(|label| ChangeKind::from_word(&label.name));
            let Some(kind) = by_label.or(by_title.as_ref().map(|note| note.kind)) else {
                silent.push(format!("#{} {}", pull.number, pull.title));
                continue;
            };
            let text = by_title.map_or(pull.title, |note| note.text);
            let authors = author.map(|login| format!("@{login}")).into_iter().collect();
            notes.push(Note { kind, text, numbers: BTreeSet::from([pull.number]), authors });
        }
    }
    Ok(Collected { notes, fragments: Vec::new(), silent })
}
