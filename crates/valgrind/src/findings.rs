//! The findings of one attempt, summed up over the logs of all its processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::around::Around;
use super::by_suite::tool_of_executable;
use super::finding::Finding;
use super::leak_kinds::{LeakKinds, show_what_counts};
use super::options;
use super::stack::{Frame, base_name};
use super::suppression::{MOST_FRAMES, Pattern};
use super::tool::Tool;
use super::watch::Opens;
use super::xml::{self, Error, Extent, Log};
use drydock_base::text::printable;

mod crashes;
mod evidence;
mod messages;
mod names;
mod statics;

pub use evidence::ValgrindEvidence;
use names::{number, parentless, replaced, stem};

/// The number of different findings of one attempt that are kept for the journal.
const KEPT: usize = 64;
/// Their size in the journal in bytes, approximately; the supervisor reserves as much.
pub const KEPT_BYTES: usize = 128 << 10;
/// The number of quoted frames of a crash.
const QUOTED_FRAMES: usize = 12;
/// More processes than this are not read.
const MOST_LOGS: usize = 16 << 10;
/// More reasons why something was not checked are only counted.
const MOST_REASONS: usize = 64;
/// More logs whose content is not known are not listed.
const MOST_LOST: usize = 8;
/// The number of names of used suppressions that are kept.
const MOST_USED: usize = 1024;
/// The number of bytes that are read of all logs of one attempt; the rest counts as not checked. A log of that size
/// holds a hundred thousand errors, and is read in seconds.
pub const MOST_BYTES: u64 = 64 << 20;

/// Without a watch, a log that was overwritten is not noticed.
const UNWATCHED: &str = "the kernel allows no watch of the logs (raise fs.inotify.max_user_instances), so a log that another \
                         process overwrote was not noticed";

/// Without a watch of a log itself, a change by another name of it is not noticed.
const UNWATCHED_LOG: &str = "the kernel allows no watch of each log (raise fs.inotify.max_user_watches), so a change by another \
                             name of one was not noticed";

/// Options by which a suite keeps errors out of the logs, with what.
const HIDING: [(&str, &str); 2] =
    [("--child-silent-after-fork", "what its children find is"), ("--xtree-leak", "its leaks are")];

/// The most programs that are named whose errors are not all in the logs.
const MOST_SILENCED: usize = 16;

/// The traced command, its options, and the place of its logs.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a> {
    /// The directory that holds the logs, `TOOL.PID.xml`, and what valgrind printed itself, `log`.
    pub directory: &'a Path,
    /// The tool.
    pub tool: Tool,
    /// The options that valgrind was given, those of its surroundings too.
    pub args: &'a [String],
    /// Whether the project asks valgrind itself to tell of errors by its exit status, whatever its log shows.
    pub declares_exit: bool,
    /// The command, without valgrind in front.
    pub argv: &'a [String],
    /// Whether valgrind traces every child, whatever its program.
    pub traces_all: bool,
    /// The pid of the main process.
    pub main: Option<u32>,
    /// What happened to the logs while the attempt ran, where that was watched.
    pub opens: Option<&'a Opens>,
    /// Whether the command is a suite that starts valgrind itself: then its processes may run under any tool, and have
    /// parents that do not run under valgrind.
    pub by_suite: bool,
    /// Programs of the system are distinguished from what the job tests; without this, errors of all of them count.
    pub around: Option<Around<'a>>,
}

/// Reads every log of the attempt.
pub fn gather(attempt: Traced<'_>) -> ValgrindEvidence {
    let mut sum = Sum { leaks: LeakKinds::from_args(attempt.args), ..Sum::default() };
    sum.evidence.error_exit = options::error_exit(attempt.tool, attempt.args);
    // A leak report in a file of its own replaces the one in the log.
    let leaks_elsewhere = options::last(attempt.tool, attempt.args, "--xtree-leak").as_deref() == Some("yes");
    sum.evidence.shows_all = !attempt.declares_exit && !leaks_elsewhere;
    let tool = attempt.tool.name();
    let logs = match log_files(attempt.directory, tool, attempt.by_suite) {
        Ok(logs) => logs,
        Err(error) => {
            sum.unchecked(format!("{}: {error}", attempt.directory.display()));
            return sum.evidence();
        }
    };
    let names: Vec<String> = logs.iter().map(|(name, _)| name.clone()).collect();
    let more = logs.len().saturating_sub(MOST_LOGS);
    if more > 0 {
        sum.lost(format!("{more} logs were not read, since {MOST_LOGS} are the most that are read of one job"));
    }
    let mut left = MOST_BYTES;
    // The main process's log comes first: a verdict depends on it.
    let is_main = |name: &str| attempt.main.is_some() && pid_of(name) == attempt.main;
    let (first, rest): (Vec<_>, Vec<_>) = logs.into_iter().partition(|(name, _)| is_main(name));
    let mut parents = Vec::new();
    let mut successors = replaced(first.iter().chain(&rest).map(|(name, _)| name.as_str()));
    for (name, path) in first.into_iter().chain(rest).take(MOST_LOGS) {
        match xml::read(&path, left) {
            Ok((log, read)) => {
                left -= read;
                parents.push((pid_of(&name), log.parent));
                let was_replaced = successors.remove(&name);
                sum.add(&name, log, is_main(&name), was_replaced, attempt);
            }
            Err(error) => sum.lost(format!("{name}: {error}")),
        }
    }
    if more == 0 && !attempt.by_suite {
        parentless(&parents, attempt.main).into_iter().for_each(|why| sum.unchecked(why));
    }
    let messages = messages::Messages::read(&attempt.directory.join("log"));
    let no_log = messages.no_log;
    if !attempt.by_suite {
        no_log.iter().for_each(|line| sum.unchecked(format!("a process has no log, {line}")));
    }
    messages.missing.into_iter().for_each(|line| sum.unchecked(format!("nothing ran there, {line}")));
    sum.evidence.refused = messages.refused.into_iter().collect();
    sum.evidence.gave_up = messages.gave_up.into_iter().collect();
    if attempt.by_suite {
        // Valgrind ends a process that has no log, whatever the suite makes of that.
        sum.evidence.gave_up.extend(no_log);
    }
    match attempt.opens {
        Some(opens) => {
            sum.compare(opens, &names, attempt);
            if opens.unwatched && attempt.by_suite {
                sum.lost(UNWATCHED_LOG.into());
            } else if opens.unwatched {
                sum.unchecked(UNWATCHED_LOG.into());
            }
        }
        None if attempt.by_suite => sum.lost(UNWATCHED.into()),
        None => sum.unchecked(UNWATCHED.into()),
    }
    sum.statics.notes().into_iter().for_each(|why| sum.unchecked(why));
    sum.evidence()
}

/// The size of all logs of an attempt in bytes. Logs that cannot be examined are left out.
pub fn size(directory: &Path, tool: &str, by_suite: bool) -> u64 {
    let logs = log_files(directory, tool, by_suite).unwrap_or_default();
    logs.iter().filter_map(|(_, path)| fs::symlink_metadata(path).ok()).map(|metadata| metadata.len()).sum()
}

/// The sum of the logs that were read so far.
#[derive(Default)]
struct Sum {
    evidence: ValgrindEvidence,
    leaks: LeakKinds,
    /// Kept findings by identity; dropped ones too, without a position.
    seen: BTreeMap<Identity, Option<usize>>,
    kept_bytes: usize,
    more_reasons: usize,
    statics: statics::Statics,
}

impl Sum {
    fn add(&mut self, name: &str, log: Log, is_main: bool, was_replaced: bool, attempt: Traced<'_>) {
        let name = &match log.command.first() {
            Some(program) if attempt.by_suite => format!("{program} ({name})"),
            Some(_) | None => name.to_owned(),
        };
        let is_command = is_main && log.command.first() == attempt.argv.first();
        let around = attempt.around.and_then(|around| Some((around, around.program(&log, is_command)?)));
        // It ends where it would become its tool.
        let is_valgrind = log.command.first().is_some_and(|program| {
            ["valgrind", "valgrind.bin"].contains(&base_name(program))
                || tool_of_executable(Path::new(program)).is_some()
        });
        self.evidence.nested |= is_valgrind && !attempt.by_suite && !was_replaced && log.extent != Extent::Complete;
        let stops = options::last(attempt.tool, attempt.args, "--exit-on-first-error").as_deref() == Some("yes");
        let stopped = stops && log.after_error && log.extent != Extent::Complete;
        match &log.extent {
            Extent::Complete => {
                self.evidence.complete += 1;
                self.evidence.around += u64::from(around.is_some());
                self.evidence.uncounted += u64::from(!log.counts_used);
            }
            // The process went on with another program, which has a log of its own.
            Extent::Stub | Extent::Cut(_) if was_replaced => self.evidence.became_another |= around.is_none(),
            // As a forked shell leaves it that becomes a program that is not traced.
            Extent::Stub if !attempt.traces_all => self.evidence.stubs += 1,
            // A shell that is killed, or what it called, says nothing about the test.
            Extent::Stub | Extent::Cut(_) if around.is_some() && !is_main => self.cut_around(name, &log),
            // Where every program is traced, a log like that has no innocent cause.
            Extent::Stub => {
                self.unchecked(format!(
                    "{name}: only its beginning is there: the process was killed, or became a program that cannot be traced"
                ));
            }
            Extent::Cut(_) if stopped => {
                self.unchecked(format!(
                    "{name}: valgrind ended the process at its first error (--exit-on-first-error)"
                ));
            }
            Extent::Cut(why) => self.unchecked(format!("{name}: {why}")),
            Extent::Damaged(why) | Extent::Unread(why) => self.lost(format!("{name}: {why}")),
            Extent::Empty => self.unchecked(format!("{name}: it is empty")),
        }
        if attempt.opens.is_none() && is_main && !attempt.by_suite && !is_same_command(&log, attempt) {
            let (before, became) = (attempt.argv.first(), log.command.first());
            let [before, became] = [before, became].map(|name| name.map_or("another program", String::as_str));
            self.lost(format!("{before} became {became} by exec; errors before that are lost"));
        }
        // The verdict on a job tells of the crash of its main process.
        if attempt.by_suite || !is_main {
            self.evidence.note_crash(&log);
        }
        if is_main && !was_replaced {
            self.evidence.stopped = stopped;
            self.evidence.main_complete = Some(log.extent == Extent::Complete);
            self.evidence.main_crash = log.fatal_stack.iter().take(QUOTED_FRAMES).map(Frame::describe).collect();
        }
        for (name, count) in log.used {
            if self.evidence.used.len() < MOST_USED || self.evidence.used.contains_key(&name) {
                let sum = self.evidence.used.entry(name).or_default();
                *sum = sum.saturating_add(count);
            }
        }
        let mut records: BTreeMap<usize, u64> = BTreeMap::new();
        let declared = self.leaks;
        // What a suite adds to the declared options counts too, and what it takes away still counts.
        let own = if attempt.by_suite { LeakKinds::from_args(&log.options) } else { declared };
        let counts = |kind: &str, at_end| declared.counts(kind, at_end) || own.counts(kind, at_end);
        if attempt.by_suite && log.tool.as_deref() == Some("memcheck") && show_what_counts(&log.options).is_some() {
            self.unchecked(format!("{name}: its options count leaks that they do not show (--errors-for-leak-kinds)"));
        }
        // Of a child that it forks, there is no other trace than what was seen of its processes.
        for (option, hidden) in HIDING.into_iter().filter(|_| attempt.by_suite) {
            if options::last(attempt.tool, &log.options, option).as_deref() == Some("yes") {
                let program = printable(log.command.first().map_or("?", String::as_str), 200);
                let why = format!("{program}: with {option}=yes, {hidden} not in the logs");
                if self.evidence.silenced.len() < MOST_SILENCED && !self.evidence.silenced.contains(&why) {
                    self.evidence.silenced.push(why);
                }
            }
        }
        let mut counted = 0_u64;
        for error in log.errors.into_iter().filter(|error| counts(&error.kind, error.at_end)) {
            counted += 1;
            if let Some((around, program)) = &around {
                if around.is_foreign(program, &error) {
                    self.ignore(program);
                    continue;
                }
            }
            if self.statics.hide(attempt.tool, &error) {
                continue;
            }
            if let Some(position) = self.keep(error) {
                *records.entry(position).or_default() += 1;
            }
        }
        for (position, count) in records {
            let finding = &mut self.evidence.first[position];
            // A forked child repeats what it inherited, so the highest count of a process is kept, not the sum.
            finding.records = finding.records.max(count);
            finding.processes += 1;
        }
        let more = log.more_errors.iter().filter(|((kind, at_end), _)| counts(kind, *at_end));
        let more: u64 = more.map(|(_, count)| count).sum();
        self.evidence.findings += more;
        // Without leaks at the end, valgrind still counts those that it reports because it was asked for XML.
        if counted + more == 0 && own.at_end() {
            self.evidence.unshown = self.evidence.unshown.saturating_add(log.counted.unwrap_or_default());
        }
    }

    /// Counts an error of a program of the system.
    fn ignore(&mut self, program: &Path) {
        let program = printable(&program.display().to_string(), 200);
        if self.evidence.ignored.len() < MOST_REASONS || self.evidence.ignored.contains_key(&program) {
            *self.evidence.ignored.entry(program).or_default() += 1;
        } else {
            *self.evidence.ignored.entry("others".to_owned()).or_default() += 1;
        }
    }

    fn cut_around(&mut self, name: &str, log: &Log) {
        if self.evidence.cut_around.len() < MOST_REASONS {
            let program = log.command.first().map_or("?", String::as_str);
            self.evidence
                .cut_around
                .push(printable(&format!("{name}: {program} was killed, or its log ends early"), 400));
        }
    }

    /// The position of the error among the kept findings. It counts once a job, whichever process reported it.
    fn keep(&mut self, error: Error) -> Option<usize> {
        let identity = identity(&error);
        if let Some(position) = self.seen.get(&identity) {
            return *position;
        }
        self.evidence.findings += 1;
        let mut position = None;
        if self.evidence.first.len() < KEPT && self.kept_bytes < KEPT_BYTES {
            let mut finding = Finding::new(error);
            finding.processes = 0;
            self.kept_bytes += serde_json::to_vec(&finding).map_or(0, |text| text.len());
            position = Some(self.evidence.first.len());
            self.evidence.first.push(finding);
        }
        self.seen.insert(identity, position);
        position
    }

    /// Compares what was opened and kept with the files that are there.
    fn compare(&mut self, opens: &Opens, names: &[String], attempt: Traced<'_>) {
        let is_log = |name: &&String| is_log(name, attempt.tool.name(), attempt.by_suite);
        for (name, count) in opens.count.iter().filter(|(name, _)| is_log(name)) {
            let is_first = stem(name) + ".xml" == *name;
            // What Drydock copied itself has no number.
            let numbered = |other: &&String| stem(other) == stem(name) && number(other).is_some();
            let (count, kept) = (*count, opens.kept.get(name).copied().unwrap_or_default());
            let left = u32::try_from(names.iter().filter(numbered).count()).unwrap_or(u32::MAX);
            let in_place = u32::from(names.contains(name));
            if !is_first {
                if count > 0 {
                    self.destroyed(name, "another program than valgrind opened it for writing");
                }
            } else if left < kept || count > 0 && left + in_place == 0 {
                self.destroyed(name, "it was written, but is missing");
            } else if count > kept + in_place {
                let times = match count - kept - in_place {
                    1 => "once".to_owned(),
                    lost => format!("{lost} times"),
                };
                self.lost(format!(
                    "{name}: it was overwritten {times} by a process with the same pid, before Drydock could put it aside"
                ));
            }
        }
        for name in opens.foreign.iter().filter(is_log) {
            self.destroyed(name, "another program than valgrind put it there, linked it, or changed it");
        }
        if opens.overflowed {
            self.lost(
                "so many files were written at once that logs may have been overwritten without being noticed".into(),
            );
        }
    }

    /// A log that is no longer what valgrind wrote.
    fn destroyed(&mut self, name: &str, why: &str) {
        if self.evidence.destroyed.len() < MOST_REASONS {
            let why = printable(&format!("{name}: {why}"), 400);
            self.evidence.destroyed.entry(stem(name)).or_insert(why);
        }
    }

    /// A log whose content is not known. One is enough for a verdict.
    fn lost(&mut self, why: String) {
        if self.evidence.lost.len() < MOST_LOST {
            self.evidence.lost.push(printable(&why, 400));
        }
    }

    fn unchecked(&mut self, why: String) {
        if self.evidence.incomplete.len() < MOST_REASONS {
            self.evidence.incomplete.push(printable(&why, 400));
        } else {
            self.more_reasons += 1;
        }
    }

    fn evidence(mut self) -> ValgrindEvidence {
        if self.more_reasons > 0 {
            self.evidence.incomplete.push(format!("and {} more", self.more_reasons));
        }
        self.evidence
    }
}

/// Whether the log is about the command that was started, as far as its words tell.
fn is_same_command(log: &Log, attempt: Traced<'_>) -> bool {
    log.command.iter().zip(attempt.argv).enumerate().all(|(index, (now, then))| {
        // The system may have found the program elsewhere than its name says.
        let (now, then) = if index == 0 { (base_name(now), base_name(then)) } else { (now.as_str(), then.as_str()) };
        now == then || now.contains('\u{fffd}') || then.chars().any(|letter| letter.is_control() || letter == ' ')
    })
}

fn log_files(directory: &Path, tool: &str, by_suite: bool) -> std::io::Result<Vec<(String, PathBuf)>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_log(&name, tool, by_suite) {
            logs.push((name, entry.path()));
        }
    }
    logs.sort();
    Ok(logs)
}

/// `memcheck.4711.xml`. A suite may use any tool.
fn is_log(name: &str, tool: &str, by_suite: bool) -> bool {
    let is_of =
        |tool: &str| name.strip_prefix(tool).is_some_and(|rest| rest.starts_with('.')) && name.ends_with(".xml");
    is_of(tool) || by_suite && Tool::finding_errors().any(|tool| is_of(tool.name()))
}

fn pid_of(name: &str) -> Option<u32> {
    name.split('.').nth(1)?.parse().ok()
}

/// The kind, then function (or object) and file of each frame.
type Identity = (String, Vec<(String, String)>);

/// The identity of an error within a job: kind and frames, without addresses, pids and lines.
fn identity(error: &Error) -> Identity {
    let proposed = error.suppression.as_ref().map_or(&[][..], |raw| &raw.frames);
    let frames = error.stack.iter().take(MOST_FRAMES).enumerate().map(|(index, frame)| {
        let name = match (proposed.get(index), &frame.function, &frame.object) {
            (Some(Pattern::Function(name)), _, _) => name.clone(),
            (_, Some(function), _) => function.clone(),
            (_, None, Some(object)) => object.clone(),
            (_, None, None) => String::new(),
        };
        (name, frame.file.clone().unwrap_or_default())
    });
    (error.kind.clone(), frames.collect())
}

#[cfg(test)]
mod tests;
