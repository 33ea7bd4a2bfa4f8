//! Tests that ran without the tool that their job declares, and why: what a reader of a report would otherwise take for checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::JobResult;
use crate::plan::{Native, PlannedJob};
use crate::run::{JobState, Run};
use drydock_base::text::plural;
use drydock_valgrind::tool::Tool;

/// The number of programs of the system that are named.
const MOST_PROGRAMS: usize = 8;

/// Tests that ran without a tool for one reason.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) struct WithoutTool {
    /// The tool that their job declares.
    pub(super) tool: Tool,
    /// The reason why they ran without it.
    pub(super) because: String,
    /// Their number.
    pub(super) jobs: usize,
    /// The position of the first in the plan.
    #[serde(skip)]
    pub(super) first: usize,
}

impl WithoutTool {
    /// One line for a person, without the name of a job.
    pub(super) fn line(&self) -> String {
        format!("{} ran without {}", plural(self.jobs, "test"), self.tool.name())
    }
}

/// By tool and reason, those of most tests first. Only tests that ran count.
pub(super) fn groups(run: &Run) -> Vec<WithoutTool> {
    let mut groups: BTreeMap<&Native, WithoutTool> = BTreeMap::new();
    for (position, (planned, job)) in run.plan.jobs.iter().zip(&run.jobs).enumerate() {
        let Some(native) = planned.native().filter(|_| !job.attempts.is_empty()) else { continue };
        let Native { without, because } = native;
        let group = || WithoutTool { tool: *without, because: because.clone(), jobs: 0, first: position };
        groups.entry(native).or_insert_with(group).jobs += 1;
    }
    let mut groups: Vec<WithoutTool> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.jobs));
    groups
}

/// What is said of programs of the system around the tests of a run.
pub(super) fn around(run: &Run) -> Vec<String> {
    let mut ignored: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut with_ignored, mut only_around) = (0, Vec::new());
    for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
        let Some(evidence) = job.attempts.last().map(|last| &last.evidence) else { continue };
        let Some(valgrind) = evidence.valgrind.as_ref().filter(|_| evidence.suite.is_none()) else { continue };
        with_ignored += usize::from(!valgrind.ignored.is_empty());
        for (program, count) in &valgrind.ignored {
            *ignored.entry(program).or_default() += count;
        }
        if valgrind.only_around() && job.result.as_ref().is_some_and(JobResult::lets_others_run) {
            only_around.push((planned.name.as_str(), planned.tool.kind));
        }
    }
    let mut said = Vec::new();
    let recognised = |(planned, job): &(&PlannedJob, &JobState)| planned.tool.recognised && !job.attempts.is_empty();
    let recognised: Vec<_> = run.plan.jobs.iter().zip(&run.jobs).filter(recognised).collect();
    if let Some((planned, _)) = recognised.first() {
        let jobs = if recognised.len() == 1 { "job starts" } else { "jobs start" };
        said.push(format!(
            "{} {jobs} valgrind by the command, so Drydock did not as well (`valgrind: by-suite`), such as {}",
            recognised.len(),
            planned.name
        ));
    }
    if !ignored.is_empty() {
        let more = ignored.len().saturating_sub(MOST_PROGRAMS);
        let more = if more > 0 { format!(" and {more} more programs") } else { String::new() };
        let programs: Vec<String> =
            ignored.iter().take(MOST_PROGRAMS).map(|(program, count)| format!("{program} ({count})")).collect();
        said.push(format!(
            "errors of programs of the system do not count in {}: {}{more}; `system-programs: check` counts them",
            plural(with_ignored, "job"),
            programs.join(", ")
        ));
    }
    if let Some((name, tool)) = only_around.first() {
        let (jobs, tool) = (plural(only_around.len(), "job"), tool.name());
        said.push(format!(
            "{jobs} ran only programs of the system under {tool}, and none of the project, such as {name}"
        ));
    }
    said
}
