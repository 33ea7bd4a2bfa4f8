//! `cargo xtask ci plan`, and the plan that every other command starts from.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Context;
use super::{RunParameters, capacity, shards};
use crate::cli;
use crate::exit::Exit;
use drydock_base::exec::{self, Bounds};
use drydock_base::failure::Failure;
use drydock_base::git::{Repository, Untracked};
use drydock_base::hint;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_base::units::{self, ByteSize, JobName};
use drydock_ci::capacity::Capacity;
use drydock_ci::containment::{self, Kind};
use drydock_ci::dangers;
use drydock_ci::history::History;
use drydock_ci::plan::Plan;
use drydock_ci::quarantine;
use drydock_ci::schedule::Source;
use drydock_ci::suites;
use drydock_config::jobs::{Job, Listed, ListedTest, Lister, Listing, Suite, TestSource};
use drydock_config::quarantine::Quarantine;

/// The most that a command of `for-each: {lines-of: …}` may print.
const MOST_LISTED: ByteSize = ByteSize::mib(16);

impl cli::CiPlan {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if self.github.github {
            return shards::plan(ctx, self);
        }
        show(ctx, &self.selectors, &self.options.into(), self.format)
    }
}

/// Prints the plan of the selected jobs, and its expected memory and time.
pub(super) fn show(
    ctx: &Context,
    selectors: &[String],
    parameters: &RunParameters,
    format: cli::Format,
) -> anyhow::Result<Exit> {
    let capacity = capacity::find(parameters);
    let mut warnings = Vec::new();
    let plan = make(ctx, &capacity, selectors, Lists::Now, &mut warnings)?;
    for warning in warnings {
        output::err(format_args!("warning: {warning}"));
    }
    match format {
        cli::Format::Json => output::out(format_args!("{}", serde_json::to_string_pretty(&plan)?)),
        cli::Format::Text => {
            let history = History::with(&ctx.state.history(), &parameters.history);
            print(&plan, &capacity, &history, &dangers(parameters.containment));
        }
    }
    Ok(Exit::Success)
}

/// When and from where the tests of suites are listed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lists<'a> {
    /// Now, from what is built.
    Now,
    /// Now, except for those that need other jobs: these build what the list is read from.
    AfterNeeds,
    /// Now for these jobs; others are not listed.
    Only(&'a [JobName]),
    /// As an earlier plan has them.
    Frozen(&'a BTreeMap<JobName, Vec<ListedTest>>),
}

/// Loads the declaration and expands it to the selected jobs.
///
/// Warnings for the user are added to `warnings`.
pub(super) fn make(
    ctx: &Context,
    capacity: &Capacity,
    selectors: &[String],
    lists: Lists<'_>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Plan> {
    let project = &ctx.declarations.project;
    let suite = suite(ctx)?;
    let mut lines_of = |listing: &Listing| -> Result<Vec<String>, exec::Error> {
        let bounds = Bounds { output: MOST_LISTED, time: listing.limit };
        Ok(exec::read_within(&listing.argv, project, bounds)?.lines().map(str::to_owned).collect())
    };
    let mut listed: BTreeMap<JobName, Vec<ListedTest>> = BTreeMap::new();
    let mut tests_of = |job: &Job, source: &TestSource| {
        let now = match lists {
            Lists::Now => true,
            Lists::AfterNeeds => job.needs.is_empty(),
            Lists::Only(groups) => groups.contains(&job.name),
            Lists::Frozen(_) => false,
        };
        let tests = match lists {
            Lists::Frozen(earlier) => earlier.get(&job.name).cloned(),
            Lists::Now | Lists::AfterNeeds | Lists::Only(_) if now => match suites::list(job, source, project) {
                Ok(tests) => Some(tests),
                Err(error) => return Listed::Later(error.to_string()),
            },
            Lists::Now | Lists::AfterNeeds | Lists::Only(_) => None,
        };
        let Some(tests) = tests else {
            return Listed::Later("its tests are listed when the jobs that it needs have passed".to_owned());
        };
        listed.insert(job.name.clone(), tests.clone());
        Listed::Tests(tests)
    };
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut tests_of };
    let mut plan = Plan::new(&suite, project.clone(), capacity.slots as usize, &mut lister)?;
    plan.lists = listed;
    plan.apply_properties(&suite, project, matches!(lists, Lists::Only(_)))?;
    warnings.extend(quarantine(ctx, &mut plan)?);
    Ok(plan.select(selectors)?)
}

/// Marks the jobs in quarantine. Returns a warning for each expired entry.
fn quarantine(ctx: &Context, plan: &mut Plan) -> anyhow::Result<Vec<String>> {
    let file = ctx.declarations.quarantine();
    let today = crate::commands::today();
    let quarantine = Quarantine::load(&file, &ctx.declarations.project, today)?;
    quarantine::apply(&quarantine, plan, today).map_err(|problems| quarantine.diagnose(problems).into())
}

/// The commit that the project is at, where nothing tracked is changed: the code that results are about.
pub(super) fn revision(project: &std::path::Path) -> Option<String> {
    let repository = Repository::find(project).ok()?;
    let commit = repository.resolve("HEAD", "commit")?;
    let changes = repository.changes(Untracked::Ignored).ok()?;
    changes.is_empty().then(|| commit.to_string())
}

/// Loads the declaration.
pub(super) fn suite(ctx: &Context) -> anyhow::Result<Suite> {
    Ok(Suite::load(&ctx.declarations.jobs(), &ctx.declarations.project)?)
}

/// The version that `valgrind --version` prints, when a job of the plan runs under it.
pub(super) fn valgrind_version(plan: &Plan) -> anyhow::Result<Option<String>> {
    if plan.jobs.iter().all(|job| !job.tool.kind.is_valgrind()) {
        return Ok(None);
    }
    let version = exec::read(&["valgrind".into(), "--version".into()], &plan.project).map_err(|why| {
        Failure::missing(format!(
            "jobs run under valgrind, which does not run here: {why}; `{}` installs it",
            hint::drydock(&["doctor", "--install", "ci"])
        ))
    })?;
    Ok(Some(version.trim_start_matches("valgrind-").to_owned()))
}

/// What this machine does when memory runs out, one sentence for each setting or daemon.
pub(in crate::commands) fn dangers(containment: Option<Kind>) -> Vec<String> {
    let found = dangers::find();
    if found.is_empty() {
        return Vec::new();
    }
    // Nothing remains of this: the groups are removed with the value.
    let chosen = containment::choose(containment, &format!("plan-{:x}", std::process::id()));
    let is_scoped =
        matches!(containment, None | Some(Kind::V2)) && containment::needs_scope() && containment::has_scope();
    let kind = match chosen {
        _ if is_scoped => Kind::V2,
        chosen => chosen.map_or(Kind::None, |(containment, _)| containment.kind()),
    };
    let mut said: Vec<String> = found.iter().map(|danger| danger.describe(kind)).collect();
    said.dedup();
    said
}

fn print(plan: &Plan, capacity: &Capacity, history: &History, dangers: &[String]) {
    output::out(format_args!("{} in {}", plural(plan.jobs.len(), "job"), plan.project.display()));
    output::out(format_args!("slots   {}  ({})", capacity.slots, capacity.slots_source));
    output::out(format_args!("memory  {}  ({})", ByteSize::new(capacity.memory), capacity.memory_source));
    let rooms = capacity::rooms();
    // A single limit may be named in the line above.
    let is_named = |source: &str| rooms.len() == 1 && capacity.memory_source.ends_with(source);
    for (bytes, source) in rooms.iter().filter(|(_, source)| !is_named(source)) {
        let bytes = *bytes;
        output::out(format_args!("        {:>9} free by {source}", ByteSize::new(bytes).to_string()));
    }
    for danger in dangers {
        output::out(format_args!("danger  {danger}"));
    }
    let width = plan.jobs.iter().map(|job| job.name.as_str().len()).max().unwrap_or(0).max(3);
    output::out(format_args!(
        "\n{:<width$}  {:<8} {:>9} {:>9} {:<10} {:>8} {:>8}  needs",
        "job", "tool", "memory", "±", "", "time", "limit"
    ));
    let valgrind = valgrind_version(plan).ok().flatten();
    for job in &plan.jobs {
        let expected = history.predict(job, valgrind.as_deref());
        let time = expected.duration_ms.map_or_else(|| "-".into(), |ms| units::human(Duration::from_millis(ms)));
        let needs: Vec<&str> = job.needs.iter().map(|need| need.as_str()).collect();
        let source = match expected.source {
            Source::Learned { runs: 1 } => "1 run".into(),
            Source::Learned { runs } => format!("{runs} runs"),
            Source::Killed => "was killed".into(),
            Source::Declared => "declared".into(),
            Source::Usual => "default".into(),
        };
        let deviation = expected.demand.deviation;
        let spread = if deviation > 0 { ByteSize::new(deviation).to_string() } else { String::new() };
        output::out(format_args!(
            "{:<width$}  {:<8} {:>9} {spread:>9} {source:<10} {time:>8} {:>8}  {}",
            job.name.as_str(),
            job.tool.kind.name(),
            ByteSize::new(expected.demand.mean).to_string(),
            units::human(job.timeout),
            needs.join(" ")
        ));
        match job.unlisted() {
            Some(why) => output::out(format_args!("    its tests are not listed yet: {why}")),
            None => output::out(format_args!("    {}", exec::paste(&job.argv))),
        }
        if let Some(native) = job.native() {
            output::out(format_args!("    without {}: {}", native.without.name(), native.because));
        }
        if let Some(why) = expected.refusal(capacity) {
            output::out(format_args!("    would not be started: {why}"));
        }
    }
}
