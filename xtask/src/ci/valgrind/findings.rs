//! What the logs of all processes of one attempt add up to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::command::LeakKinds;
use super::xml::{self, Error, Extent, Frame};
use crate::ci::evidence::{Finding, ValgrindEvidence};
use crate::ci::plan::ToolKind;

/// How many frames make two errors the same.
const IDENTITY_FRAMES: usize = 8;
/// How many findings are quoted.
const QUOTED: usize = 8;
/// How many frames of a finding are quoted.
const QUOTED_FRAMES: usize = 12;
/// More processes than this are not read.
const MOST_LOGS: usize = 4096;

/// Reads every log of the tool in `folder`. `main` is the pid of the job's main process, `program` what it was started as.
pub fn gather(folder: &Path, tool: ToolKind, args: &[String], main: Option<u32>, program: &str) -> ValgrindEvidence {
    let mut evidence = ValgrindEvidence::default();
    let leaks = LeakKinds::of(args);
    let mut seen = BTreeSet::new();
    let mut logs = match log_files(folder, tool) {
        Ok(logs) => logs,
        Err(error) => {
            evidence.incomplete.push(format!("{}: {error}", folder.display()));
            return evidence;
        }
    };
    if logs.len() > MOST_LOGS {
        evidence.incomplete.push(format!("{} further process logs were not read", logs.len() - MOST_LOGS));
        logs.truncate(MOST_LOGS);
    }
    for (name, path) in logs {
        let log = match xml::read(&path) {
            Ok(log) => log,
            Err(error) => {
                evidence.incomplete.push(format!("{name}: {error}"));
                continue;
            }
        };
        let is_main = main.is_some() && log.pid.or_else(|| pid_of(&name)) == main;
        match &log.extent {
            Extent::Complete => evidence.complete += 1,
            Extent::Stub => {}
            Extent::Cut(why) => evidence.incomplete.push(format!("{name}: {why}")),
            Extent::Empty => evidence.incomplete.push(format!("{name}: it is empty")),
        }
        if is_main {
            evidence.main_complete = Some(log.extent == Extent::Complete);
            evidence.main_crash = log.fatal_stack.iter().take(QUOTED_FRAMES).map(Frame::describe).collect();
            if let Some(became) = log.command.first().filter(|became| base_name(became) != base_name(program)) {
                // The log is written anew after exec, under the same pid.
                evidence.incomplete.push(format!("{program} became {became} by exec; errors before that are lost"));
            }
        }
        for error in log.errors.iter().filter(|error| leaks.counts(&error.kind)) {
            // A forked child repeats what it inherited, so an error counts once a job, whichever process tells it.
            if seen.insert(identity(error)) {
                evidence.findings += 1;
                if evidence.first.len() < QUOTED {
                    evidence.first.push(finding(error));
                }
            }
        }
        evidence.findings += log.more_errors;
    }
    evidence
}

fn log_files(folder: &Path, tool: ToolKind) -> std::io::Result<Vec<(String, std::path::PathBuf)>> {
    let prefix = format!("{}.", tool.name());
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && name.ends_with(".xml") {
            logs.push((name, entry.path()));
        }
    }
    logs.sort();
    Ok(logs)
}

fn pid_of(name: &str) -> Option<u32> {
    name.split('.').nth(1)?.parse().ok()
}

/// Kind, then function and file of each frame.
type Identity = (String, Vec<(Option<String>, Option<String>)>);

/// Kind and the innermost frames by function and file: stable over addresses, pids and lines.
fn identity(error: &Error) -> Identity {
    let frames = error
        .stack
        .iter()
        .take(IDENTITY_FRAMES)
        .map(|frame| (frame.function.clone(), frame.file.clone().or_else(|| frame.object.clone())));
    (error.kind.clone(), frames.collect())
}

fn finding(error: &Error) -> Finding {
    let place =
        error.stack.iter().find(|frame| frame.file.is_some() && !is_allocator(frame)).or_else(|| error.stack.first());
    Finding {
        kind: error.kind.clone(),
        what: error.what.split(" in loss record ").next().unwrap_or_default().to_owned(),
        place: place.map_or_else(|| "an unknown place".to_owned(), Frame::describe),
        stack: error.stack.iter().take(QUOTED_FRAMES).map(Frame::describe).collect(),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Valgrind's own replacements of malloc and strings live in its preloaded objects.
fn is_allocator(frame: &Frame) -> bool {
    frame.object.as_deref().is_some_and(|object| object.contains("/vgpreload_"))
}
