//! `init --try`: one run of the drafted jobs, and a second one without valgrind of what failed in it.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use crate::cli;
use crate::commands::{Context, ci};
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths::{self, State};
use drydock_base::scratch::Scratch;
use drydock_base::text::plural;
use drydock_ci::outcome::OutcomeKind;
use drydock_ci::run::{JobState, Run};
use drydock_config::Declarations;
use drydock_init::facts::Facts;
use drydock_init::jobs;
use drydock_init::learned::{Ended, Measured};

/// The tests of the run, or the reason to learn nothing from it.
pub(super) enum Trial {
    /// It ran, and this was measured.
    Measured(Vec<Measured>),
    /// It was stopped, or could not begin.
    Ended(Exit),
}

/// Runs the jobs of a draft in the project, with a declaration that is in no file of it.
pub(super) fn run(facts: &Facts, text: &str, project: &Path, place: &cli::Place) -> anyhow::Result<Trial> {
    output::announce(format_args!("try: build and test once, with what was found"));
    let (exit, mut measured) = once(text, project, place, &[])?;
    if !matches!(exit, Exit::Success | Exit::CheckFailed | Exit::Flaky | Exit::Infrastructure) {
        return Ok(Trial::Ended(exit));
    }
    let under_memcheck: Vec<&str> = facts
        .groups
        .iter()
        .flat_map(|group| &group.jobs)
        .filter(|job| job.memcheck && !job.by_suite)
        .map(|job| job.name.as_str())
        .collect();
    let doubtful: Vec<String> = measured
        .iter()
        .filter(|one| one.is_doubtful() && under_memcheck.contains(&one.group.as_str()))
        .map(|one| one.name.clone())
        .collect();
    // Without valgrind from the beginning, the first run is the second opinion.
    for one in &mut measured {
        let is_test =
            facts.groups.iter().flat_map(|group| &group.jobs).any(|job| job.name == one.group && job.suite.is_some());
        if is_test && one.is_doubtful() && !under_memcheck.contains(&one.group.as_str()) {
            one.native = Some(one.ended.clone());
        }
    }
    if !doubtful.is_empty() {
        output::announce(format_args!("try: {} again without valgrind", plural(doubtful.len(), "job that failed")));
        let mut native = facts.clone();
        for job in native.groups.iter_mut().flat_map(|group| &mut group.jobs).filter(|job| !job.by_suite) {
            job.memcheck = false;
        }
        let text = jobs::text(&native, &[]).unwrap_or_default();
        let (exit, again) = once(&text, project, place, &doubtful)?;
        if exit == Exit::Interrupted {
            return Ok(Trial::Ended(exit));
        }
        for one in again {
            if let Some(first) = measured.iter_mut().find(|first| first.name == one.name && first.is_doubtful()) {
                first.native = Some(one.ended);
            }
        }
    }
    Ok(Trial::Measured(measured))
}

/// One run of the selected jobs of a declaration.
fn once(text: &str, project: &Path, place: &cli::Place, selectors: &[String]) -> anyhow::Result<(Exit, Vec<Measured>)> {
    let scratch = Scratch::new("init").context("cannot make a directory for the declaration")?;
    fs::write(scratch.path().join("jobs.yaml"), text).context("cannot write the declaration")?;
    let project = paths::absolute(project).context("cannot resolve the project")?;
    let state = State::new(&project, place.state.as_deref())?;
    let declarations = Declarations { project, config: scratch.path().to_owned() };
    let ctx = Context { declarations, state };
    let exit = ci::run_selected(&ctx, selectors)?;
    let (_, run) = ci::recorded(&ctx.state, None)
        .map_err(|error| Failure::missing(format!("the run left no record: {error:#}")))?;
    Ok((exit, measured(&run)))
}

/// Says, on standard error, how the run ended.
pub(super) fn tell(measured: &[Measured]) {
    let names = |wanted: fn(&Measured) -> bool| -> Vec<&str> {
        measured.iter().filter(|one| wanted(one)).map(|one| one.name.as_str()).collect()
    };
    let passed = names(|one| one.ended == Ended::Well).len();
    output::announce(format_args!("try: {passed} of {} passed", plural(measured.len(), "job")));
    let groups = [
        (names(|one| one.ended == Ended::Findings), "with findings of valgrind, which stay"),
        (
            names(|one| one.is_doubtful() && one.native.is_some()),
            "that failed without a finding, listed in ci/quarantine.yaml",
        ),
        (names(|one| one.is_doubtful() && one.native.is_none()), "that failed"),
        (names(|one| one.ended == Ended::Unknown), "of which nothing is known, since they did not run to their end"),
    ];
    for (names, what) in groups.iter().filter(|(names, _)| !names.is_empty()) {
        let first: Vec<&str> = names.iter().take(5).copied().collect();
        let more = if names.len() > 5 { " …" } else { "" };
        output::err(format_args!("   {} {what}: {}{more}", plural(names.len(), "job"), first.join(", ")));
        output::err(format_args!("     {}", hint::drydock(&["ci", "explain", names[0]])));
    }
}

fn measured(run: &Run) -> Vec<Measured> {
    let of = |(planned, state): (&drydock_ci::plan::PlannedJob, &JobState)| {
        let last = state.attempts.last();
        Measured {
            group: planned.group.as_str().to_owned(),
            name: planned.name.as_str().to_owned(),
            peak: state.attempts.iter().filter_map(|attempt| attempt.peak).max(),
            took: last.map_or(Duration::ZERO, |last| {
                Duration::from_millis(u64::try_from(last.ended - last.started).unwrap_or_default())
            }),
            ended: last.map_or(Ended::Unknown, |last| ended(&last.verdict)),
            native: None,
        }
    };
    run.plan.jobs.iter().zip(&run.jobs).map(of).collect()
}

fn ended(verdict: &drydock_ci::outcome::Verdict) -> Ended {
    match verdict.outcome.kind() {
        OutcomeKind::Passed | OutcomeKind::Skipped => Ended::Well,
        OutcomeKind::Findings | OutcomeKind::OverBudget => Ended::Findings,
        OutcomeKind::Failed | OutcomeKind::Crashed | OutcomeKind::TimedOut | OutcomeKind::AllocationFailure => {
            Ended::Failed(verdict.outcome.describe())
        }
        OutcomeKind::NothingTested
        | OutcomeKind::OutOfMemory
        | OutcomeKind::KilledFromOutside
        | OutcomeKind::DiskFull
        | OutcomeKind::Cancelled
        | OutcomeKind::FailedToStart
        | OutcomeKind::Lost => Ended::Unknown,
    }
}
