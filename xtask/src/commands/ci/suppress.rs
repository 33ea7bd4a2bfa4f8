//! `cargo xtask ci suppress`: from a finding to an entry of a suppression file, with its reason, author and end.

use std::fs::{self};
use std::path::Path;

use anyhow::Context as _;
use jiff::ToSpan as _;
use jiff::civil::Date;

use super::{Context, plan, recorded};
use crate::cli;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::git::Repository;
use drydock_base::lock::Lock;
use drydock_base::{exec, output, paths};
use drydock_ci::report::commands;
use drydock_ci::report::findings::{self, Causes};
use drydock_config::jobs::{Suite, usual_suppressions};
use drydock_valgrind::cause::Cause;
use drydock_valgrind::suppress::{self, Note, Refusal};
use drydock_valgrind::suppression::{self, Suppression};

/// The default duration of a suppression, in days.
const DAYS: i64 = 90;

impl cli::CiSuppress {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let project = &ctx.declarations.project;
        let (dir, run) = recorded(&ctx.state, self.run.as_deref())?;
        let causes = Causes::new(&run);
        let causes = causes.all();
        let chosen = self.findings.iter().map(|id| find(causes, id, &dir.id())).collect::<anyhow::Result<Vec<_>>>()?;
        let note = self.note(project)?;
        let entry = suppress::suppression(&chosen, causes, &note).map_err(|refusal| {
            let remedy = match &refusal {
                Refusal::TooMuch(_) => "; name them too, if one suppression may suppress all of them",
                Refusal::Kinds(..) | Refusal::Nothing | Refusal::Unwritable | Refusal::TooLittle(_) => "",
            };
            Failure::usage(format!("cannot suppress {}: {refusal}{remedy}", self.findings.join(" ")))
        })?;
        let dropped = findings::dropped(&run);
        if dropped > 0 {
            output::err(format_args!(
                "warning: {dropped} findings of run {} were not kept, and could not be compared with it",
                dir.id()
            ));
        }
        let suite = plan::suite(ctx)?;
        let tool = chosen.first().map_or("", |cause| cause.tool);
        let file = self.target(&suite, tool)?;
        if self.dry_run {
            output::err(format_args!("would be appended to {file}:"));
            output::out(format_args!("{}", entry.to_string().trim_end()));
            return Ok(Exit::Success);
        }
        let written = append(&project.join(&file), entry).with_context(|| format!("cannot append to {file}"))?;
        output::out(format_args!("{}", written.to_string().trim_end()));
        output::err(format_args!("appended to {file}; `{}` shows what is left", commands::rerun()));
        warn_undeclared(&suite, tool, &file);
        Ok(Exit::Success)
    }

    fn note(&self, project: &Path) -> anyhow::Result<Note> {
        let today = crate::commands::today();
        if self.reason.trim().is_empty() {
            return Err(Failure::usage("the reason is empty; say why the finding may be suppressed"));
        }
        let expires = match &self.expires {
            None => today.checked_add(DAYS.days())?,
            Some(text) => text.parse::<Date>().map_err(|_| {
                Failure::usage(format!("`{text}` is not a date; write it as YYYY-MM-DD, such as {today}"))
            })?,
        };
        if expires < today {
            return Err(Failure::usage(format!("{expires} is in the past; give a future date")));
        }
        let author = match &self.author {
            Some(author) => author.trim().to_owned(),
            None => git_user(project)?,
        };
        Ok(Note { reason: self.reason.clone(), author, added: today, expires })
    }

    /// The file to append to, relative to the project.
    fn target(&self, suite: &Suite, tool: &str) -> anyhow::Result<String> {
        if let Some(file) = &self.file {
            drydock_config::paths::inside(file).map_err(|bad| Failure::usage(format!("--file: {bad}")))?;
            return Ok(file.clone());
        }
        Ok(declared(suite, tool).into_iter().next().unwrap_or_else(|| usual_suppressions(tool)))
    }
}

fn find<'c, 'a>(causes: &'c [Cause<'a>], id: &str, run: &str) -> anyhow::Result<&'c Cause<'a>> {
    let matching: Vec<&Cause<'_>> =
        causes.iter().filter(|cause| cause.id == id || cause.id.split(':').nth(1) == Some(id)).collect();
    match matching.as_slice() {
        [cause] => Ok(*cause),
        [] => {
            let known: Vec<String> =
                causes.iter().take(20).map(|cause| format!("\n  {} {}", cause.id, cause.title())).collect();
            let known = if known.is_empty() { " nothing".to_owned() } else { known.concat() };
            Err(Failure::usage(format!("run {run} has no finding `{id}`; valgrind found{known}")))
        }
        several => {
            let titles: Vec<String> = several.iter().map(|cause| format!("{} {}", cause.id, cause.title())).collect();
            Err(Failure::usage(format!("`{id}` may be {}", titles.join(" or "))))
        }
    }
}

/// The suppression files that the jobs under a tool are given, in declaration order.
fn declared(suite: &Suite, tool: &str) -> Vec<String> {
    let jobs = suite.jobs.iter().filter(|job| job.tool.kind.finds_errors() && job.tool.kind.name() == tool);
    jobs.flat_map(|job| job.tool.settings.suppressions.iter().cloned()).collect()
}

fn warn_undeclared(suite: &Suite, tool: &str, file: &str) {
    let declared = declared(suite, tool);
    // Without a declaration, the usual file counts as soon as it exists.
    let is_usual = declared.is_empty() && file == usual_suppressions(tool);
    if !is_usual && !declared.iter().any(|declared| declared == file) {
        output::err(format_args!(
            "warning: {file} is not among the `suppressions` of {tool} in {}, so it suppresses nothing yet",
            suite.file.display()
        ));
    }
}

fn git_user(project: &Path) -> anyhow::Result<String> {
    let repository = Repository::find(project).ok();
    let ask = |key: &str| {
        let own = repository.as_ref().and_then(|repository| repository.setting(key));
        let global = || exec::read(&["git", "config", "--global", key].map(str::to_owned), project);
        own.unwrap_or_else(|| global().unwrap_or_default())
    };
    let (name, email) = (ask("user.name"), ask("user.email"));
    match (name.is_empty(), email.is_empty()) {
        (false, false) => Ok(format!("{name} <{email}>")),
        (false, true) => Ok(name),
        (true, false) => Ok(email),
        (true, true) => Err(Failure::usage("git has no user.name here; name the author with --author")),
    }
}

/// Appends under a lock, by a new file that takes the place of the old one: a reader sees the whole of either, and of
/// two writers neither loses what the other wrote.
fn append(path: &Path, mut entry: Suppression) -> anyhow::Result<Suppression> {
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    // If the file is a symbolic link, its target is rewritten.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    // The directory is locked, since the file itself is replaced.
    let directory = path.parent().unwrap_or_else(|| Path::new("."));
    let _lock = Lock::wait(directory).with_context(|| format!("cannot lock {}", directory.display()))?;
    let old = if path.exists() { suppression::text(&path)? } else { String::new() };
    let before = suppression::parse(&old)?;
    let same = |old: &&Suppression| {
        (&old.tools, &old.kind, &old.extra, &old.frames) == (&entry.tools, &entry.kind, &entry.extra, &entry.frames)
    };
    if let Some(same) = before.iter().find(same) {
        let text = format!("line {} has this suppression already, as `{}`; run the jobs again", same.line, same.name);
        return Err(Failure::usage(text));
    }
    // Valgrind counts uses by name.
    let name = entry.name.clone();
    for number in 2.. {
        if !before.iter().any(|old| old.name == entry.name) {
            break;
        }
        entry.name = format!("{name} {number}");
    }
    let gap = match old.as_str() {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let text = format!("{old}{gap}{entry}");
    let after = suppression::parse(&text)?;
    anyhow::ensure!(
        after.len() == before.len() + 1,
        "the new entry would make the file unreadable; the file was not changed"
    );
    paths::write_atomically(&path, text.as_bytes())?;
    Ok(entry)
}
