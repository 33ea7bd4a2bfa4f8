//! Tests that ran without the tool that their job declares, and why: what a reader of a report would otherwise take for checked.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use crate::plan::Native;
use crate::run::Run;
use drydock_base::text::plural;
use drydock_valgrind::tool::Tool;

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
