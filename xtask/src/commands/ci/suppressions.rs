//! `cargo xtask ci suppressions`: each with its reason, author, end and last use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::{Context, plan, recorded};
use crate::cli::{self, Format};
use crate::exit::Exit;
use drydock_base::output;
use drydock_base::paths::State;
use drydock_base::text::{plural, times};
use drydock_ci::report::suppressions::{self, Entry, Files};
use drydock_ci::run::Run;
use drydock_valgrind::tool::Tool;

/// The number of runs that are searched for the last use.
const MOST_RUNS: usize = 20;

/// One suppression for a program.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Line<'a> {
    file: String,
    line: usize,
    name: &'a str,
    kind: String,
    reason: Option<&'a str>,
    author: Option<&'a str>,
    expires: Option<&'a str>,
    expired: bool,
    /// The newest run that used it, and how often.
    last_use: Option<&'a (String, u64)>,
    /// `true` if a whole run did not use it.
    unused: bool,
    /// The problems of its comments.
    lacks: Vec<String>,
}

impl cli::CiSuppressions {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let files = if self.file.is_empty() { declared(ctx)? } else { named(self.file) };
        let today = crate::commands::today();
        let last = recorded(&ctx.state, None).ok().map(|(_, run)| run);
        let review = suppressions::review(&ctx.declarations.project, &files, last.as_ref(), today);
        let uses = last_uses(&ctx.state);
        for problem in &review.problems {
            output::err(format_args!("warning: {problem}"));
        }
        match self.format {
            Format::Text => {
                review.entries.iter().for_each(|entry| print(entry, uses.get(&entry.suppression.name)));
                summarise(&review.entries, files.len(), last.as_ref());
            }
            Format::Json => {
                let lines: Vec<Line<'_>> =
                    review.entries.iter().map(|entry| line(entry, uses.get(&entry.suppression.name))).collect();
                output::out(format_args!("{}", serde_json::to_string_pretty(&lines)?));
            }
        }
        let fails = self.fail_on_expired && review.entries.iter().any(|entry| entry.expired)
            || self.fail_on_unused && review.entries.iter().any(Entry::is_unused);
        Ok(if fails || !review.problems.is_empty() { Exit::CheckFailed } else { Exit::Success })
    }
}

/// The files that the declaration names, with the tools that are given them.
fn declared(ctx: &Context) -> anyhow::Result<Files> {
    Ok(suppressions::files_of_suite(&plan::suite(ctx)?))
}

fn named(files: Vec<PathBuf>) -> Files {
    files.into_iter().map(|file| (file, Tool::finding_errors().collect())).collect()
}

/// The newest of the last runs in which each suppression was used, by its name.
fn last_uses(state: &State) -> BTreeMap<String, (String, u64)> {
    let mut uses = BTreeMap::new();
    for id in state.run_ids().into_iter().take(MOST_RUNS) {
        let Ok((_, run)) = recorded(state, Some(&id)) else { continue };
        for (name, count) in suppressions::uses(&run) {
            uses.entry(name).or_insert((id.clone(), count));
        }
    }
    uses
}

fn print(entry: &Entry, last_use: Option<&(String, u64)>) {
    let suppression = &entry.suppression;
    output::out(format_args!("{}  {}  {}", entry.place(), suppression.name, kind(entry)));
    if let Some(reason) = suppression.reason() {
        output::out(format_args!("    because {reason}"));
    }
    let author = suppression.author().map_or_else(String::new, |author| format!("{author}, "));
    let over = if entry.expired { " (expired)" } else { "" };
    if let Some(day) = suppression.note("expires") {
        output::out(format_args!("    {author}until {day}{over}"));
    }
    let used = match last_use {
        Some((run, count)) => format!("last used {}, in run {run}", times(*count)),
        None if entry.is_unused() => "unused: every job that could use it ran, and was completely checked".to_owned(),
        None => "no use known; no run of all its jobs was completely checked".to_owned(),
    };
    let unused = if last_use.is_some() && entry.is_unused() { "; unused in the last run" } else { "" };
    output::out(format_args!("    {used}{unused}"));
    let lacks = entry.lacks();
    if !lacks.is_empty() {
        output::out(format_args!("    ! lacks {}", lacks.join(" and ")));
    }
}

fn summarise(entries: &[Entry], files: usize, last: Option<&Run>) {
    let count = |wanted: fn(&Entry) -> bool| entries.iter().filter(|entry| wanted(entry)).count();
    let files = plural(files, "file");
    let run = if last.is_none() { "; no run has used them yet" } else { "" };
    let noun = if entries.len() == 1 { "suppression" } else { "suppressions" };
    output::out(format_args!(
        "{} {noun} in {files}: {} expired, {} unused, {} without reason or end{run}",
        entries.len(),
        count(|entry| entry.expired),
        count(Entry::is_unused),
        count(|entry| !entry.lacks().is_empty()),
    ));
}

fn line<'a>(entry: &'a Entry, last_use: Option<&'a (String, u64)>) -> Line<'a> {
    Line {
        file: entry.file.display().to_string(),
        line: entry.suppression.line,
        name: &entry.suppression.name,
        kind: kind(entry),
        reason: entry.suppression.reason(),
        author: entry.suppression.author(),
        expires: entry.suppression.note("expires"),
        expired: entry.expired,
        last_use,
        unused: entry.is_unused(),
        lacks: entry.lacks(),
    }
}

fn kind(entry: &Entry) -> String {
    format!("{}:{}", entry.suppression.tools.join(","), entry.suppression.kind)
}
