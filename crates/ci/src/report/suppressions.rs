//! The suppressions of a project compared with those that a run used: author, expiry, and whether each still matches
//! anything.

use drydock_base::hint;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::evidence::SuiteEvidence;
use crate::plan::Plan;
use crate::run::Run;
use drydock_config::jobs::Suite;
use drydock_valgrind::suppression::{self, Suppression};
use drydock_valgrind::tool::Tool;

/// The number of suppressions of each kind that the summary names.
const MOST_NAMED: usize = 5;

/// One suppression.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its file, relative to the project.
    pub file: PathBuf,
    /// The suppression.
    pub suppression: Suppression,
    /// The number of findings that it suppressed in the run.
    pub used: u64,
    /// Whether all jobs that could use it ran and were completely checked. Otherwise it is unknown whether it is unused.
    pub decided: bool,
    /// Whether the day of its `expires:` is over.
    pub expired: bool,
}

impl Entry {
    /// `ci/suppressions/a.supp:12`.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.suppression.line)
    }

    /// Whether every job that could use it ran, and none did.
    pub fn is_unused(&self) -> bool {
        self.decided && self.used == 0
    }

    /// The parts that its comments lack, or have in a wrong form.
    pub fn lacks(&self) -> Vec<String> {
        let mut lacks = Vec::new();
        if self.suppression.reason().is_none() {
            lacks.push("`# reason:`".to_owned());
        }
        match self.suppression.expires() {
            Ok(Some(_)) => {}
            Ok(None) => lacks.push("`# expires:`".to_owned()),
            Err(error) => lacks.push(format!("a valid `# expires:` ({error})")),
        }
        lacks
    }
}

/// All suppressions, and the files that cannot be read.
#[derive(Debug, Clone, Default)]
pub struct Review {
    /// In the order of the files.
    pub entries: Vec<Entry>,
    /// Files that cannot be read, each with the reason.
    pub problems: Vec<String>,
}

/// Suppression files with the tools that are given them.
pub type Files = BTreeMap<PathBuf, Vec<Tool>>;

/// The files that a plan gives to its jobs.
fn files_of_plan(plan: &Plan) -> Files {
    collect(plan.jobs.iter().flat_map(|job| job.tool.suppressions.iter().map(|file| (job.tool.kind, file.clone()))))
}

/// The files that a declaration gives to its jobs.
pub fn files_of_suite(suite: &Suite) -> Files {
    collect(
        suite
            .jobs
            .iter()
            .flat_map(|job| job.tool.settings.suppressions.iter().map(|file| (job.tool.kind, PathBuf::from(file)))),
    )
}

fn collect(pairs: impl Iterator<Item = (Tool, PathBuf)>) -> Files {
    let mut files = Files::new();
    for (tool, file) in pairs {
        let tools = files.entry(file).or_default();
        if !tools.contains(&tool) {
            tools.push(tool);
        }
    }
    files
}

/// Reads the files and compares them with the run, if there is one.
pub fn review(project: &Path, files: &Files, run: Option<&Run>, today: jiff::civil::Date) -> Review {
    let mut review = Review::default();
    let used = run.map(uses).unwrap_or_default();
    for (file, tools) in files {
        let read = match suppression::read(&project.join(file)) {
            Ok(read) => read,
            Err(error) => {
                review.problems.push(format!("{}: {error}", file.display()));
                continue;
            }
        };
        for suppression in read {
            let mine: Vec<Tool> = tools.iter().copied().filter(|tool| suppression.is_for(tool.name())).collect();
            review.entries.push(Entry {
                file: file.clone(),
                used: used.get(&suppression.name).copied().unwrap_or_default(),
                decided: !mine.is_empty() && run.is_some_and(|run| mine.iter().all(|tool| all_checked(run, *tool))),
                expired: suppression.expires().ok().flatten().is_some_and(|day| day < today),
                suppression,
            });
        }
    }
    review
}

/// The number of findings that each suppression matched, by name, in the last attempts of all jobs.
pub fn uses(run: &Run) -> BTreeMap<String, u64> {
    let mut uses: BTreeMap<String, u64> = BTreeMap::new();
    let last = run.jobs.iter().filter_map(|job| job.attempts.last()?.evidence.valgrind.as_ref());
    for (name, count) in last.flat_map(|valgrind| &valgrind.used) {
        let sum = uses.entry(name.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    uses
}

/// Whether every declared job under the tool ran, and each of its processes left a whole log.
fn all_checked(run: &Run, tool: Tool) -> bool {
    !run.plan.partial
        && run.plan.jobs.iter().zip(&run.jobs).filter(|(planned, _)| planned.tool.kind == tool).all(|(_, job)| {
            let Some(evidence) = job.attempts.last().map(|last| &last.evidence) else { return false };
            let all_seen = |suite: &SuiteEvidence| suite.unlogged.is_empty() && suite.without_log.is_empty();
            evidence.valgrind.as_ref().is_some_and(|valgrind| {
                let is_whole = match &evidence.suite {
                    Some(suite) => valgrind.complete > 0 && all_seen(suite),
                    None => valgrind.main_complete == Some(true),
                };
                is_whole
                    && valgrind.unknown().next().is_none()
                    && valgrind.incomplete.is_empty()
                    && valgrind.uncounted == 0
            })
        })
}

/// The notes for the summary of a run; empty when nothing needs attention.
pub fn notes(run: &Run) -> Vec<String> {
    let files = files_of_plan(&run.plan);
    let Ok(today) = jiff::Timestamp::from_millisecond(run.last) else { return Vec::new() };
    let today = jiff::tz::Offset::UTC.to_datetime(today).date();
    let review = review(&run.plan.project, &files, Some(run), today);
    let named = |what: &str, entries: Vec<&Entry>| {
        let names: Vec<String> = entries
            .iter()
            .take(MOST_NAMED)
            .map(|entry| format!("{} ({})", entry.suppression.name, entry.place()))
            .collect();
        let more = entries.len().saturating_sub(MOST_NAMED);
        let more = if more > 0 { format!(" … and {more} more") } else { String::new() };
        let count = entries.len();
        let noun = if count == 1 { "suppression" } else { "suppressions" };
        (count > 0).then(|| format!("{count} {noun} {what}: {}{more}", names.join(", ")))
    };
    let mut notes: Vec<String> = review.problems;
    notes.extend(named("expired and still in use", review.entries.iter().filter(|entry| entry.expired).collect()));
    notes.extend(named("suppressed nothing", review.entries.iter().filter(|entry| entry.is_unused()).collect()));
    if !notes.is_empty() {
        notes.push(format!("`{}` lists all", hint::drydock(&["ci", "suppressions"])));
    }
    notes
}
