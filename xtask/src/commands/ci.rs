//! `cargo xtask ci`: plan, run, rerun, explain.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::cli::{self, CiCommand};
use crate::exit::Exit;
use clap::ValueEnum as _;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_base::units::ByteSize;
use drydock_ci::containment::Kind;
use drydock_ci::event::JobResult;
use drydock_ci::history::History;
use drydock_ci::plan::SelectError;
use drydock_ci::report::commands::Commands;
use drydock_ci::report::findings::Causes;
use drydock_ci::report::{self, Reports, explain, json, markdown};
use drydock_config::schema;
use drydock_release::build_info::BuildInfo;
use drydock_release::manifest::Manifest;
use drydock_release::proof::Proof;
use drydock_release::verify::Verification;

use super::Context;

mod actions;
mod capacity;
mod collisions;
mod export;
mod flaky;
mod massif;
mod merge;
mod on_github;
mod plan;
mod recorded;
mod session;
mod shards;
mod suppress;
mod suppressions;
mod tune_memory;

pub(super) use plan::dangers;
pub(super) use recorded::recorded;
use recorded::{chosen, is_last, recorded_in, stored_plan};
use session::{Goal, Session};

/// The parameters of running jobs.
#[derive(Debug, Clone)]
pub(super) struct RunParameters {
    /// The number of jobs that run at once; by default the number of processors.
    pub(super) jobs: Option<u32>,
    /// The memory that running jobs may reserve; by default what is available, less a margin.
    pub(super) memory: Option<ByteSize>,
    /// Histories of other machines.
    pub(super) history: Vec<PathBuf>,
    /// The containment of each job; by default the strongest that works.
    pub(super) containment: Option<Kind>,
    /// `true` if a terminal shows live progress.
    pub(super) live: bool,
    /// `true` if only jobs that did not pass are shown.
    pub(super) quiet: bool,
    /// `true` if nothing is shown of the run.
    pub(super) silent: bool,
    /// `true` if a flaky job fails the run.
    pub(super) fail_on_flaky: bool,
    /// `true` if a runner of GitHub Actions reads the output.
    pub(super) for_github: bool,
}

/// Runs all jobs, as `cargo xtask ci` does without options.
pub(super) fn run_all(ctx: &Context) -> anyhow::Result<Exit> {
    run_selected(ctx, &[])
}

/// Runs the selected jobs, or all of them without a selector.
pub(super) fn run_selected(ctx: &Context, selectors: &[String]) -> anyhow::Result<Exit> {
    let goal = Goal::Fresh { selectors: selectors.to_vec() };
    Session { ctx, parameters: cli::RunOptions::default().into() }.run(goal)
}

impl cli::Ci {
    pub(crate) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        match self.command {
            None => self.run.run(ctx).map_err(or_command),
            Some(CiCommand::Run(run)) => run.run(ctx),
            Some(CiCommand::Plan(plan)) => plan.run(ctx),
            Some(CiCommand::Rerun(rerun)) => rerun.run(ctx),
            Some(CiCommand::Merge(merge)) => merge.run(ctx),
            Some(CiCommand::Export(export)) => export.run(ctx),
            Some(CiCommand::Fetch(fetch)) => fetch.run(ctx),
            Some(CiCommand::Explain(explain)) => explain.run(ctx),
            Some(CiCommand::Suppress(suppress)) => suppress.run(ctx),
            Some(CiCommand::Suppressions(suppressions)) => suppressions.run(ctx),
            Some(CiCommand::Report(report)) => report.run(ctx),
            Some(CiCommand::Flaky(flaky)) => flaky.run(ctx),
            Some(CiCommand::TuneMemory(tune)) => tune.run(ctx),
            Some(CiCommand::Massif(massif)) => massif.run_with(Some(ctx)),
            Some(CiCommand::Schema(schema)) => schema.run(),
        }
    }
}

impl cli::CiRun {
    pub(crate) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if self.dry_run {
            return plan::show(ctx, &self.selectors, &self.options.into(), cli::Format::Text);
        }
        if let Some(number) = self.shard.shard {
            return shards::run(ctx, number, self.shard, self.options.into());
        }
        let goal = if self.resume { Goal::Resume } else { Goal::Fresh { selectors: self.selectors } };
        Session { ctx, parameters: self.options.into() }.run(goal)
    }
}

/// Names the command that was probably meant, if a word that is neither a job nor a command looks like one.
fn or_command(error: anyhow::Error) -> anyhow::Error {
    let unknown = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(SelectError::NoMatch { selector, nearest: None }) => Some(selector.clone()),
        Some(SelectError::NoMatch { nearest: Some(_), .. } | SelectError::Invalid { .. }) | None => None,
    });
    match unknown.and_then(|word| cli::Cli::meant("ci", &word)) {
        Some(meant) => {
            let meant = hint::drydock(&["ci"]).args([meant]);
            Failure::usage(format!("{error}; or did you mean the command `{meant}`?"))
        }
        None => error,
    }
}

impl cli::CiRerun {
    fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if let Some(run) = self.on_github.github.clone() {
            return self.on_github.run(ctx, &run);
        }
        Session { ctx, parameters: self.options.into() }.run(Goal::Rerun { selectors: self.selectors, run: self.run })
    }
}

impl cli::CiExplain {
    fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let (dir, run) = recorded(&ctx.state, self.run.as_deref())?;
        let wanted = if self.jobs.is_empty() {
            let (mut passed, mut skipped, mut names) = (0, 0, BTreeSet::new());
            for (planned, job) in run.plan.jobs.iter().zip(&run.jobs) {
                match &job.result {
                    Some(JobResult::Passed | JobResult::PassedAfterInfrastructure { .. }) => passed += 1,
                    Some(JobResult::Skipped { .. }) => skipped += 1,
                    Some(
                        JobResult::Flaky { .. }
                        | JobResult::Failed
                        | JobResult::Quarantined
                        | JobResult::Infrastructure
                        | JobResult::Cancelled
                        | JobResult::NotRun { .. },
                    )
                    | None => drop(names.insert(planned.name.clone())),
                }
            }
            if names.is_empty() && self.format == cli::Format::Text {
                let skipped = if skipped > 0 { format!(", {skipped} skipped") } else { String::new() };
                let jobs = format!("{} passed", plural(passed, "job"));
                output::out(format_args!(
                    "run {} has nothing to explain: {jobs}{skipped}; jobs can be named",
                    dir.id()
                ));
                return Ok(Exit::Success);
            }
            names
        } else {
            chosen(&ctx.state, &dir, &run, &self.jobs)?
        };
        let commands = Commands { run: self.run, is_last: is_last(&ctx.state, &dir) };
        if self.format == cli::Format::Json {
            let result = run.result.unwrap_or_else(|| run.verdict(false));
            let history = History::load(&ctx.state.history());
            let reports = Reports::new(commands, &run, &dir, &history);
            let mut content = Vec::new();
            for report in report::REPORTS.iter().filter(|report| report.file == "run.json") {
                (report.render)(reports.input(result), &mut content)?;
            }
            let mut value: serde_json::Value = serde_json::from_slice(&content)?;
            if let Some(jobs) = value["jobs"].as_array_mut() {
                let is_wanted = |job: &serde_json::Value| wanted.iter().any(|name| job["name"] == name.as_str());
                jobs.retain(is_wanted);
            }
            output::out(serde_json::to_string_pretty(&value)?);
            return Ok(Exit::Success);
        }
        let causes = Causes::new(&run);
        for (position, job) in run.plan.jobs.iter().enumerate() {
            if wanted.contains(&job.name) {
                output::out(format_args!("{}", explain::render(&run, &dir, &causes, &commands, position)));
            }
        }
        Ok(Exit::Success)
    }
}

impl cli::CiReport {
    fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let (dir, run) = recorded(&ctx.state, self.run.as_deref())?;
        let result = run.result.unwrap_or_else(|| run.verdict(false));
        let history = History::load(&ctx.state.history());
        let commands = Commands { run: self.run, is_last: is_last(&ctx.state, &dir) };
        let reports = Reports::new(commands, &run, &dir, &history);
        let input = reports.input(result);
        let Some(format) = self.format else {
            for path in report::write_all(input)? {
                output::out(format_args!("{}", path.display()));
            }
            return Ok(Exit::Success);
        };
        let file = match format {
            cli::ReportFormat::Text => "summary.txt",
            cli::ReportFormat::Json => "run.json",
            cli::ReportFormat::Junit => "junit.xml",
            cli::ReportFormat::Html => "report.html",
            cli::ReportFormat::Sarif => "run.sarif",
            cli::ReportFormat::Markdown => {
                output::out(markdown::render(input, markdown::LARGEST).trim_end());
                return Ok(Exit::Success);
            }
        };
        for report in report::REPORTS.iter().filter(|report| report.file == file) {
            let mut content = Vec::new();
            (report.render)(input, &mut content)?;
            output::out(String::from_utf8_lossy(&content).trim_end());
        }
        Ok(Exit::Success)
    }
}

impl cli::CiSchema {
    /// Needs no project.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let value = match self.of {
            cli::SchemaOf::Jobs => schema::jobs_schema(),
            cli::SchemaOf::Release => schema::release_schema(),
            cli::SchemaOf::Manifest => schemars::schema_for!(Manifest).to_value(),
            cli::SchemaOf::Proof => schemars::schema_for!(Proof).to_value(),
            cli::SchemaOf::BuildInfo => schemars::schema_for!(BuildInfo).to_value(),
            cli::SchemaOf::Verification => schemars::schema_for!(Verification).to_value(),
            cli::SchemaOf::Images => schema::images_schema(),
            cli::SchemaOf::Run => json::schema(),
            cli::SchemaOf::Quarantine => schema::quarantine_schema(),
        };
        let word = self.of.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        match (self.format, self.of) {
            (cli::SchemaFormat::Json, _) => output::out(serde_json::to_string_pretty(&value)?),
            (
                cli::SchemaFormat::Markdown,
                cli::SchemaOf::Jobs | cli::SchemaOf::Release | cli::SchemaOf::Images | cli::SchemaOf::Quarantine,
            ) => output::out(schema::reference(&value, &word).trim_end()),
            (cli::SchemaFormat::Markdown, _) => {
                let text = format!(
                    "{word} is a result; --format markdown is for declarations: jobs, release, images, quarantine"
                );
                return Err(Failure::usage(text));
            }
        }
        Ok(Exit::Success)
    }
}
