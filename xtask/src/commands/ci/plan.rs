//! `cargo xtask ci plan`, and the plan that every other command starts from.

use std::time::Duration;

use super::Context;
use super::capacity;
use crate::ci::history::History;
use crate::ci::plan::{Plan, ToolKind};
use crate::ci::schedule::Capacity;
use crate::cli;
use crate::config::jobs::{LoadError, Suite};
use crate::config::units::{self, ByteSize};
use crate::exec;
use crate::exit::{Exit, failure};
use crate::output;

impl cli::CiPlan {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let capacity = capacity::find(&self.options);
        let plan = make(ctx, &capacity, &self.selectors)?;
        match self.format {
            cli::Format::Json => output::out(format_args!("{}", serde_json::to_string_pretty(&plan)?)),
            cli::Format::Text => print(&plan, &capacity, &History::load(&ctx.state.history())),
        }
        Ok(Exit::Success)
    }
}

/// Loads the declaration and expands it to what the selectors name.
pub(super) fn make(ctx: &Context, capacity: &Capacity, selectors: &[String]) -> anyhow::Result<Plan> {
    let project = &ctx.declarations.project;
    let suite = suite(ctx)?;
    let file = &suite.file;
    let mut lines_of = |argv: &[String]| -> Result<Vec<String>, String> {
        Ok(exec::read(argv, project)?.lines().map(str::to_owned).collect())
    };
    let plan = Plan::new(&suite, project.clone(), capacity.slots as usize, &mut lines_of)
        .map_err(|problems| failure(Exit::Declaration, format!("{} is not valid\n{problems}", file.display())))?;
    plan.select(selectors).map_err(|error| failure(Exit::Usage, error.to_string()))
}

/// Loads the declaration.
pub(super) fn suite(ctx: &Context) -> anyhow::Result<Suite> {
    let file = ctx.declarations.jobs();
    Suite::load(&file, &ctx.declarations.project).map_err(|error| match error {
        LoadError::Unreadable { .. } => failure(Exit::Declaration, error.to_string()),
        LoadError::Invalid(problems) => {
            failure(Exit::Declaration, format!("{} is not valid\n{problems}", file.display()))
        }
    })
}

/// The version that `valgrind --version` prints, when a job of the plan runs under it.
pub(super) fn valgrind_version(plan: &Plan) -> anyhow::Result<Option<String>> {
    if plan.jobs.iter().all(|job| job.tool.kind == ToolKind::None) {
        return Ok(None);
    }
    let version = exec::read(&["valgrind".into(), "--version".into()], &plan.project).map_err(|why| {
        failure(
            Exit::Missing,
            format!(
                "jobs run under valgrind, which does not run here: {why}; `cargo xtask doctor --install ci` installs it"
            ),
        )
    })?;
    Ok(Some(version.trim_start_matches("valgrind-").to_owned()))
}

fn print(plan: &Plan, capacity: &Capacity, history: &History) {
    output::out(format_args!("{} jobs in {}", plan.jobs.len(), plan.project.display()));
    output::out(format_args!("slots   {}  ({})", capacity.slots, capacity.slots_source));
    output::out(format_args!("memory  {}  ({})", ByteSize::new(capacity.memory), capacity.memory_source));
    let width = plan.jobs.iter().map(|job| job.name.as_str().len()).max().unwrap_or(0).max(3);
    output::out(format_args!("\n{:<width$}  {:<8} {:>9} {:>8} {:>8}  needs", "job", "tool", "memory", "time", "limit"));
    let valgrind = valgrind_version(plan).ok().flatten();
    for job in &plan.jobs {
        let expected = history.predict(job, valgrind.as_deref());
        let time = expected.duration_ms.map_or_else(|| "-".into(), |ms| units::human(Duration::from_millis(ms)));
        let needs: Vec<&str> = job.needs.iter().map(|need| need.as_str()).collect();
        output::out(format_args!(
            "{:<width$}  {:<8} {:>9} {time:>8} {:>8}  {}",
            job.name.as_str(),
            job.tool.kind.name(),
            ByteSize::new(expected.memory).to_string(),
            units::human(job.timeout),
            needs.join(" ")
        ));
        output::out(format_args!("    {}", exec::paste(&job.argv)));
    }
}
