//! Valgrind's findings over all jobs of a run, by cause: as the summary prints and `run.json` lists them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::commands::Commands;
use crate::event::JobResult;
use crate::evidence::Finding;
use crate::run::{FindingId, Run};
use drydock_valgrind::cause::{self, Cause, Reported};
use drydock_valgrind::source;
use drydock_valgrind::stack::{self, Frame};
use drydock_valgrind::suppression::Suppression;

/// The least number of frames of a stack that are shown.
const FRAMES: usize = 6;
/// The number of callers that are shown beyond the place.
const CALLERS: usize = 3;
/// The number of frames that are shown of a side stack.
const SIDE_FRAMES: usize = 4;
/// The number of side stacks that are shown.
const SIDES: usize = 4;
/// The number of differing callers that are named.
const MOST_CALLERS: usize = 4;

/// The causes of all findings of all attempts of a run. Computed once, and passed to every report.
#[derive(Debug)]
pub struct Causes<'a> {
    all: Vec<Cause<'a>>,
    /// The position of each finding's cause.
    positions: HashMap<FindingId, usize>,
}

impl<'a> Causes<'a> {
    /// Groups the findings of a run.
    pub fn new(run: &'a Run) -> Causes<'a> {
        let (ids, findings): (Vec<FindingId>, Vec<&Finding>) = run.findings().unzip();
        let tool = |id: &FindingId| run.plan.jobs[id.job].tool.kind.name();
        let reported = ids.iter().zip(findings).map(|(id, finding)| Reported { job: id.job, tool: tool(id), finding });
        let all = cause::causes(reported);
        let members =
            all.iter().enumerate().flat_map(|(position, cause)| cause.members.iter().map(move |m| (m, position)));
        let positions = members.map(|(member, position)| (ids[member.position], position)).collect();
        Causes { all, positions }
    }

    /// All causes, those of most jobs first.
    pub fn all(&self) -> &[Cause<'a>] {
        &self.all
    }

    /// The cause of a finding of this run.
    pub fn get(&self, id: FindingId) -> Option<&Cause<'a>> {
        self.all.get(*self.positions.get(&id)?)
    }
}

/// The number of findings of the run that were counted, but not kept.
pub fn dropped(run: &Run) -> u64 {
    let evidence =
        run.jobs.iter().flat_map(|job| &job.attempts).filter_map(|attempt| attempt.evidence.valgrind.as_ref());
    evidence.map(|valgrind| valgrind.findings.saturating_sub(valgrind.first.len() as u64)).sum()
}

/// Whether a job that has the finding did not pass.
pub(super) fn failed_a_job(cause: &Cause<'_>, run: &Run) -> bool {
    cause
        .jobs()
        .into_iter()
        .any(|job| matches!(run.jobs[job].result, Some(JobResult::Failed | JobResult::Infrastructure)))
}

/// Writes the description of a cause, below its title and its jobs.
pub(super) fn describe(text: &mut String, cause: &Cause<'_>, project: &Path, commands: &Commands) -> std::fmt::Result {
    let Some(finding) = cause.example() else { return Ok(()) };
    writeln!(text, "    {}", finding.what)?;
    write_stack(text, finding, project, "      ")?;
    let callers = cause.callers();
    if !callers.is_empty() {
        let named: Vec<String> = callers
            .iter()
            .take(MOST_CALLERS)
            .map(|(caller, jobs)| format!("{caller} in {}", jobs_in_words(*jobs)))
            .collect();
        let more = callers.len().saturating_sub(MOST_CALLERS);
        let more = if more > 0 { format!(" … and {more} more") } else { String::new() };
        writeln!(text, "    called by {}{more}", named.join(", "))?;
    }
    write_sides(text, finding, "    ")?;
    writeln!(text, "    to suppress it: {}", commands.suppress(&cause.id))
}

/// The frames from the innermost on, with the source line of the place.
fn write_stack(text: &mut String, finding: &Finding, project: &Path, indent: &str) -> std::fmt::Result {
    let place = stack::place(&finding.stack);
    let shown = FRAMES.max(place + 1 + CALLERS);
    for (index, frame) in finding.stack.iter().enumerate().take(shown) {
        writeln!(text, "{indent}{}", frame.describe())?;
        if let Some(line) = (index == place).then(|| source::line(project, frame)).flatten() {
            writeln!(text, "{indent}  {} │ {line}", frame.line.unwrap_or_default())?;
        }
    }
    let more = finding.stack.len().saturating_sub(shown) + finding.more_frames;
    if more > 0 {
        writeln!(text, "{indent}… {more} more")?;
    }
    Ok(())
}

fn write_sides(text: &mut String, finding: &Finding, indent: &str) -> std::fmt::Result {
    for side in finding.auxiliary.iter().take(SIDES) {
        writeln!(text, "{indent}{}", side.what)?;
        for frame in side.stack.iter().take(SIDE_FRAMES) {
            writeln!(text, "{indent}  {}", frame.describe())?;
        }
    }
    Ok(())
}

/// Writes one finding of one job with all frames.
pub(super) fn write_whole(text: &mut String, id: &str, finding: &Finding, project: &Path) -> std::fmt::Result {
    writeln!(text, "  {id} {}: {}", finding.kind, finding.what)?;
    let place = stack::place(&finding.stack);
    for (index, frame) in finding.stack.iter().enumerate() {
        writeln!(text, "      {}", frame.describe())?;
        if let Some(line) = (index == place).then(|| source::line(project, frame)).flatten() {
            writeln!(text, "        {} │ {line}", frame.line.unwrap_or_default())?;
        }
    }
    if finding.more_frames > 0 {
        writeln!(text, "      … {} more", finding.more_frames)?;
    }
    for side in &finding.auxiliary {
        writeln!(text, "    {}", side.what)?;
        for frame in &side.stack {
            writeln!(text, "      {}", frame.describe())?;
        }
    }
    if finding.processes > 1 {
        writeln!(text, "    reported by {} processes of the job", finding.processes)?;
    }
    Ok(())
}

/// One cause in `run.json`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct FindingFile {
    /// The argument of `ci suppress`: the tool and eight hexadecimal digits, the same in every run.
    id: String,
    /// `memcheck`, `helgrind` or `drd`.
    tool: String,
    /// Valgrind's kind: `InvalidRead`, `Leak_DefinitelyLost`…
    kind: String,
    /// Valgrind's sentence about the first of them.
    what: String,
    /// The frame to look at, `function (file:line)`.
    place: String,
    /// The source line there, when the file is in the project.
    source: Option<String>,
    /// The frames of the first of them, innermost first.
    stack: Vec<String>,
    /// Further sentences with their stacks.
    auxiliary: Vec<SideFile>,
    /// The callers of the place, where they differ.
    callers: Vec<String>,
    /// The suppression that valgrind proposes for the first of them.
    suppression: Option<String>,
    /// The jobs that have it, in declaration order.
    jobs: Vec<String>,
    /// The number of reports, without those that forked children repeat.
    count: u64,
}

/// A sentence beside the main stack, such as where a block was allocated.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct SideFile {
    /// The sentence.
    what: String,
    /// Its frames, innermost first.
    stack: Vec<String>,
}

/// All causes of a run.
pub(super) fn files(run: &Run, causes: &Causes<'_>) -> Vec<FindingFile> {
    causes.all().iter().filter_map(|cause| file(run, cause)).collect()
}

fn file(run: &Run, cause: &Cause<'_>) -> Option<FindingFile> {
    let finding = cause.example()?;
    let place = finding.stack.get(stack::place(&finding.stack));
    let jobs = cause.jobs();
    Some(FindingFile {
        id: cause.id.clone(),
        tool: cause.tool.to_owned(),
        kind: finding.kind.clone(),
        what: finding.what.clone(),
        place: finding.place.clone(),
        source: place.and_then(|frame| source::line(&run.plan.project, frame)),
        stack: described(&finding.stack),
        auxiliary: finding
            .auxiliary
            .iter()
            .map(|side| SideFile { what: side.what.clone(), stack: described(&side.stack) })
            .collect(),
        callers: cause.callers().into_iter().map(|(caller, _)| caller).collect(),
        suppression: finding.suppression.as_ref().map(|raw| proposed(raw).to_string()),
        jobs: jobs.into_iter().map(|job| run.plan.jobs[job].name.to_string()).collect(),
        count: cause.count(),
    })
}

fn proposed(raw: &drydock_valgrind::xml::RawSuppression) -> Suppression {
    let (tool, kind) = raw.kind.split_once(':').unwrap_or(("", &raw.kind));
    Suppression {
        name: "<insert_a_suppression_name_here>".into(),
        tools: vec![tool.to_owned()],
        kind: kind.to_owned(),
        extra: raw.extra.clone(),
        frames: raw.frames.clone(),
        ..Suppression::default()
    }
}

fn described(stack: &[Frame]) -> Vec<String> {
    stack.iter().map(Frame::describe).collect()
}

fn jobs_in_words(jobs: usize) -> String {
    if jobs == 1 { "1 job".into() } else { format!("{jobs} jobs") }
}
