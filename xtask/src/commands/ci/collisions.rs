//! `cargo xtask ci flaky --collisions`: runs jobs together and apart, and tells which disturb each other, and what they share.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::Context as _;

use super::plan::{self, Lists};
use super::session::{Goal, Session};
use super::{Context, RunParameters, capacity};
use crate::cli;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths::State;
use drydock_base::text::plural;
use drydock_base::units::{self, JobName};
use drydock_ci::collisions::report::{Known, Name, Report};
use drydock_ci::collisions::search::Search;
use drydock_ci::event::RunResult;
use drydock_ci::plan::{Plan, PlannedJob};
use lab::Lab;

mod lab;
mod leavings;

/// Finds the collisions of the selected jobs, or of all.
pub(super) fn run(ctx: &Context, options: &cli::CiFlaky) -> anyhow::Result<Exit> {
    // Beside the project's runs, so that neither `latest` nor the history is touched; no other run disturbs the tests.
    ctx.state.create()?;
    let _lock = ctx.lock("lock", "another run")?;
    let parameters = RunParameters { live: false, silent: true, ..cli::RunOptions::default().into() };
    let own = ctx.state.root().join("collisions");
    let project = &ctx.declarations.project;
    let apart = Context { state: State::new(project, Some(&own))?, ..ctx.clone() };
    prepare(ctx, &apart, &parameters, &options.selectors)?;

    let mut warnings = Vec::new();
    let plan = plan::make(ctx, &capacity::find(&parameters), &[], Lists::Now, &mut warnings)?;
    let wanted = plan.matching(&options.selectors).map_err(|error| Failure::usage(error.to_string()))?;
    let tests = tests(&plan, &options.selectors, &wanted);
    for job in plan.jobs.iter().filter(|job| tests.iter().any(|test| test.name == job.name)) {
        if let Some(why) = job.unlisted() {
            return Err(Failure::rejected(format!("the tests of {} cannot be listed: {why}", job.name)));
        }
    }
    if tests.len() < 2 {
        return Err(Failure::usage(format!("{} to run together; name at least two", plural(tests.len(), "job"))));
    }
    let names: Vec<Name> =
        tests.iter().map(|job| Name { job: job.name.to_string(), group: job.group.to_string() }).collect();
    let count = tests.len();
    let mut lab = Lab::new(apart, parameters, plan, tests, Instant::now() + options.budget)?;
    let traced = lab.traces();
    if let Some(why) = &lab.untraced {
        output::err(format_args!(
            "warning: {why}, so what tests share is known from their output only, and orders are not tried; install strace"
        ));
    }
    let orders = if traced { ", one run in each order" } else { ", one run after the other" };
    output::err(format_args!(
        "{}: {} runs of all together{orders}; then up to {} of each test that fails, and as many of each pair that uses the \
         same things; at most {}",
        plural(count, "test"),
        options.rounds,
        plural(options.rounds as usize * 2, "run"),
        units::human(options.budget)
    ));
    let found = Search::new(&mut lab, options.rounds, traced).run(count)?;
    lab.clean();
    if lab.is_interrupted {
        return Ok(Exit::Interrupted);
    }
    let known = Known {
        names: &names,
        shared: &|left, right| lab.shared(left, right),
        said: &|test| lab.said(test),
        runs: lab.runs,
        traced,
    };
    let report = Report::new(&found, &known);
    match options.format {
        cli::Format::Json => output::out(format_args!("{}", serde_json::to_string_pretty(&report)?)),
        cli::Format::Text => output::out(report.render(&names).trim_end()),
    }
    Ok(if report.collisions.is_empty() { Exit::Success } else { Exit::CheckFailed })
}

/// Runs what the tests need.
fn prepare(ctx: &Context, apart: &Context, parameters: &RunParameters, selectors: &[String]) -> anyhow::Result<()> {
    let shown = RunParameters { silent: false, quiet: true, ..parameters.clone() };
    let plan = plan::make(ctx, &capacity::find(&shown), selectors, Lists::AfterNeeds, &mut Vec::new())?;
    let needed: BTreeSet<&JobName> = plan.jobs.iter().flat_map(|job| &job.needs).collect();
    let needed: Vec<String> = needed.into_iter().map(JobName::to_string).collect();
    if needed.is_empty() {
        return Ok(());
    }
    let first = plan.clone().select(&needed).map_err(|error| Failure::usage(error.to_string()))?;
    output::err(format_args!("{} that tests need", plural(first.jobs.len(), "job")));
    let finished = Session { ctx: apart, parameters: shown }.supervised(Goal::Planned { plan: first })?;
    let finished = finished.context("what the tests need was not run")?;
    if finished.result == RunResult::Passed {
        return Ok(());
    }
    finished.print();
    Err(Failure::rejected("what the tests need did not pass".to_owned()))
}

/// The jobs to test: those that are selected and that no other job needs or sets in order.
fn tests(plan: &Plan, selectors: &[String], wanted: &BTreeSet<JobName>) -> Vec<PlannedJob> {
    let groups: BTreeSet<&JobName> = plan.jobs.iter().flat_map(|job| &job.needs).collect();
    let single: BTreeSet<&JobName> = plan.jobs.iter().flat_map(|job| job.needs_jobs()).collect();
    let cleans_up = |job: &PlannedJob| job.test.as_ref().is_some_and(|test| test.cleans_up);
    let is_test = |job: &&PlannedJob| {
        (selectors.is_empty() || wanted.contains(&job.name))
            && !groups.contains(&job.group)
            && !single.contains(&job.name)
            && !cleans_up(job)
            && job.disabled().is_none()
    };
    plan.jobs.iter().filter(is_test).cloned().collect()
}
