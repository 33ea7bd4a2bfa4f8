//! The budget of the heap: a limit, a checked-in file to compare with, or both.

use super::declared::{HeapDeclaration, JobDeclaration, Text};
use super::{Job, PlannedItem};
use crate::diagnostic::{Place, Problem, Problems};
use crate::paths;
use crate::template::{Placeholder, Template};
use drydock_base::hint;
use drydock_base::text::quoted;
use drydock_base::units::{ByteSize, Percent};
use std::path::Path;

/// The default tolerance: twice massif's own `--peak-inaccuracy` of 1 %.
pub(super) const USUAL_TOLERANCE: Percent = Percent::whole(2);

/// The heap budget: a limit, a baseline, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapBudget {
    /// The largest peak that passes.
    pub limit: Option<ByteSize>,
    /// A massif file of the project, whose peak may be exceeded by its tolerance.
    pub baseline: Option<HeapBaseline>,
}

/// A checked-in massif file and the permitted increase over its peak.
#[derive(Debug, Clone, PartialEq)]
pub struct HeapBaseline {
    /// The file, relative to the project.
    pub file: Template,
    /// The permitted increase over the peak of the file.
    pub tolerance: Percent,
    /// The place of the declaration.
    pub place: Place,
}

/// The budget of one job; none if it is not declared, or after a problem was added.
pub(super) fn resolve(job: &JobDeclaration, allowed: &[Placeholder], problems: &mut Problems) -> Option<HeapBudget> {
    let declared = job.heap.as_ref()?;
    let HeapDeclaration { limit, baseline, tolerance } = declared.value.as_ref()?;
    if limit.is_none() && baseline.is_none() {
        let problem = Problem::new(declared.place, "neither `limit` nor `baseline`");
        problems.push(problem.expected("a `limit` such as `4MiB`, a `baseline` with a massif file, or both"));
    }
    if let Some(tolerance) = tolerance.as_ref().filter(|_| baseline.is_none()) {
        let problem = Problem::new(tolerance.place, "`tolerance` without `baseline`");
        problems.push(problem.help("remove it; the `limit` is exact"));
    }
    let tolerance = tolerance.as_ref().and_then(|tolerance| tolerance.value).unwrap_or(USUAL_TOLERANCE);
    let baseline = baseline.as_ref().and_then(|file| {
        Some(HeapBaseline { file: baseline_file(file, allowed, problems)?, tolerance, place: file.place })
    });
    Some(HeapBudget { limit: limit.and_then(|limit| limit.value).map(|limit| limit.0), baseline })
}

fn baseline_file(file: &Text, allowed: &[Placeholder], problems: &mut Problems) -> Option<Template> {
    if let Err(bad) = paths::inside(file.value.as_ref()?) {
        problems.push(Problem::bad_value(file.place, bad));
        return None;
    }
    super::words::template(file, allowed, problems)
}

/// The problem of a planned job whose baseline does not exist; its content is not checked.
pub(super) fn missing(job: &Job, planned: &PlannedItem, project: &Path) -> Option<Problem> {
    let baseline = job.tool.heap.as_ref()?.baseline.as_ref()?;
    let file = baseline.file.render(&planned.values(1));
    if let Err(bad) = paths::inside(&file) {
        return Some(Problem::bad_value(baseline.place, bad));
    }
    if project.join(&file).is_file() {
        return None;
    }
    let problem = Problem::new(baseline.place, format!("the baseline {} does not exist", quoted(&file)));
    Some(problem.help(format!("run the job without `baseline`, then {}", write_it(planned, &file))))
}

/// The command that writes a baseline.
pub fn write_it(planned: &PlannedItem, file: &str) -> String {
    let command = hint::drydock(&["ci", "massif", "baseline", planned.name.as_str(), "--output", file]);
    format!("`{command}`")
}
