//! Runs as their directories record them, and the jobs of a run that selectors choose.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use super::export;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::paths::{self, RunDir, State};
use drydock_base::units::JobName;
use drydock_ci::journal;
use drydock_ci::plan::{Plan, SelectError};
use drydock_ci::run::Run;

/// The number of the newest runs in which a job is looked for.
const MOST_RUNS: usize = 200;

/// A run as its directory records it: the named one, or the last.
pub(crate) fn recorded(state: &State, id: Option<&str>) -> anyhow::Result<(RunDir, Run)> {
    let dir = match id {
        Some(file) if export::is_file(file) => Some(export::import(state, Path::new(file))?),
        Some(id) => Some(state.run(id)).filter(|dir| dir.journal().is_file()),
        None => state.latest_run(),
    };
    let dir = dir.ok_or_else(|| no_such_run(state, id))?;
    let run = recorded_in(&dir)?;
    Ok((dir, run))
}

fn no_such_run(state: &State, id: Option<&str>) -> anyhow::Error {
    let runs = state.runs();
    let last = state.latest_run().map(|dir| dir.id()).or_else(|| state.run_ids().into_iter().next());
    Failure::usage(match (id, last) {
        (Some(id), Some(last)) => format!("there is no run `{id}` in {}; the last run is {last}", runs.display()),
        (None, Some(last)) => {
            format!("{} does not name the last run; add `--run {last}`", runs.join("latest").display())
        }
        (Some(_) | None, None) => {
            format!("there are no runs in {}; start one with `{}`", runs.display(), hint::drydock(&["ci"]))
        }
    })
}

/// A run as a directory records it.
pub(super) fn recorded_in(dir: &RunDir) -> anyhow::Result<Run> {
    Ok(Run::replay(stored_plan(dir)?, &journal::read(&dir.journal())?))
}

/// Whether no run began after this one.
pub(super) fn is_last(state: &State, dir: &RunDir) -> bool {
    state.latest_run().is_some_and(|last| last.id() == dir.id())
}

pub(super) fn stored_plan(dir: &RunDir) -> anyhow::Result<Plan> {
    let path = dir.plan();
    let text = paths::read_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not a plan of this version of Drydock", path.display()))
}

/// The jobs of a run that the selectors match.
///
/// # Errors
/// A selector matches none. The error names the last run that had such a job.
pub(super) fn chosen(
    state: &State,
    dir: &RunDir,
    run: &Run,
    selectors: &[String],
) -> anyhow::Result<BTreeSet<JobName>> {
    run.plan.matching(selectors).map_err(|error| match &error {
        SelectError::NoMatch { selector, .. } => match last_with(state, dir, selector) {
            Some(other) => Failure::usage(format!(
                "run {} has no job `{selector}`; the last run that has it is {other}: add `--run {other}`",
                dir.id()
            )),
            None if run.plan.partial => Failure::usage(format!("run {} has only some of the jobs: {error}", dir.id())),
            None => Failure::usage(error.to_string()),
        },
        SelectError::Invalid { .. } => Failure::usage(error.to_string()),
    })
}

/// The newest of the other runs with a job that the selector matches.
fn last_with(state: &State, dir: &RunDir, selector: &String) -> Option<String> {
    let others = state.run_ids().into_iter().filter(|id| *id != dir.id()).take(MOST_RUNS);
    others.into_iter().find(|id| {
        let dir = state.run(id);
        // Without a journal, nothing can be told of the run.
        dir.journal().is_file()
            && stored_plan(&dir).is_ok_and(|plan| plan.matching(std::slice::from_ref(selector)).is_ok())
    })
}
