//! `cargo xtask ci plan --github` and `cargo xtask ci --shard`: one plan for several machines, and the run of one part.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::merge::{beside, unreadable};
use super::plan::{self, Lists};
use super::session::{Finished, Goal, JournalUpload, Session, ShardGoal, copy_attempts, copy_file};
use super::{Context, RunParameters, capacity};
use crate::cli;
use crate::commands::step_output::step_output;
use crate::exit::Exit;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths::{self, JOURNAL, PLAN, RunDir};
use drydock_base::units::{ByteSize, JobName};
use drydock_ci::event::RunResult;
use drydock_ci::history::History;
use drydock_ci::plan::{FORMAT, Plan};
use drydock_ci::report::REPORTS;
use drydock_ci::shard::{
    self, FrozenPlan, PREPARED, Piece, Prepared, SEAL, ShardIdentity, ShardNumber, Shards, SplitError, Unfit,
};
use drydock_config::diagnostic::Problem;
use drydock_config::jobs::{ListedTest, Runner, Suite, usual_runner};

mod packed;
mod prepare;
mod relocate;

pub(super) use packed::{FoundRun, PART, Unpacked, is_packed, pack_run};

/// `ci plan --github`.
pub(super) fn plan(ctx: &Context, command: cli::CiPlan) -> anyhow::Result<Exit> {
    let cli::CiPlan { selectors, options, mut github, format } = command;
    let packed = github.output.clone().filter(|file| is_packed(file));
    let packing = Unpacked::new()?;
    if packed.is_some() {
        github.output = Some(packing.plan_to_pack());
    }
    let parameters: RunParameters = options.into();
    let suite = plan::suite(ctx)?;
    let goal = match (github.shards, github.duration) {
        (Some(shards), _) => shard::Goal::Shards(usize::from(shards)),
        (None, Some(time)) => shard::Goal::Within(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        (None, None) => return Err(Failure::usage("`--github` needs --shards N or --duration TIME")),
    };
    let capacity = capacity::find(&parameters);
    let mut notes = Vec::new();
    let first = plan::make(ctx, &capacity, &selectors, Lists::AfterNeeds, &mut notes)?;
    let to_prepare = prepare::jobs(&first);
    let mut ran: Option<Finished> = None;
    if !to_prepare.is_empty() {
        match &github.output {
            Some(_) => {
                let selected = first.clone().select(&to_prepare).map_err(|error| Failure::usage(error.to_string()))?;
                let session = Session { ctx, parameters: parameters.clone() };
                let finished = session.supervised(Goal::Planned { plan: selected })?;
                ran = finished;
            }
            None => notes.push(format!(
                "with --output, {} would run first: others share what they make, or tests are listed from it",
                to_prepare.join(", ")
            )),
        }
    }
    if let Some(finished) = ran.as_ref().filter(|finished| finished.result != RunResult::Passed) {
        output::err(finished.summary.trim_end());
        output::err(format_args!("error: there is no plan, since jobs that must run first did not pass"));
        return Ok(finished.result.into());
    }
    let whole = plan::make(ctx, &capacity, &selectors, Lists::Now, &mut notes)?;
    let unlisted: Vec<String> = whole
        .jobs
        .iter()
        .filter_map(|job| Some(format!("the tests of {} cannot be listed: {}", job.name, job.unlisted()?)))
        .collect();
    if github.output.is_some() && !unlisted.is_empty() {
        return Err(Failure::rejected(unlisted.join("\n")));
    }
    notes.extend(unlisted);
    let history = History::with(&ctx.state.history(), &parameters.history);
    let valgrind = plan::valgrind_version(&whole).ok().flatten();
    let expected = shard::expected(&whole.jobs, &history, valgrind.as_deref());
    let prepared: Vec<JobName> = match &ran {
        Some(finished) => prepare::lasting(&whole, &finished.run.plan),
        None => {
            prepare::lasting(&whole, &first.select(&to_prepare).map_err(|error| Failure::usage(error.to_string()))?)
        }
    };
    let prepared: Vec<JobName> = if to_prepare.is_empty() { Vec::new() } else { prepared };
    let positions: HashSet<usize> =
        (0..whole.jobs.len()).filter(|at| prepared.contains(&whole.jobs[*at].name)).collect();
    let classes = classes(&suite, &mut notes)?;
    let Shards { shards, bound, notes: more } = shard::split(&whole, &expected, &classes, &positions, goal)
        .map_err(|error| cannot_split(&suite, &whole, error))?;
    notes.extend(more);
    let mut frozen = FrozenPlan {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").into(),
        revision: plan::revision(&whole.project),
        declaration: Checksum::new(suite.text().as_bytes()),
        plan: whole,
        prepared: None,
        shards,
    };
    if let (Some(file), Some(finished)) = (&github.output, &ran) {
        frozen.prepared = prepare::store(&frozen.plan, prepared, finished, file, &[ctx.state.root().to_owned()])?;
    } else if !prepared.is_empty() {
        frozen.prepared = Some(Prepared { jobs: prepared, seal: Checksum::new(b""), archive: None });
    }
    if let Some(file) = &github.output {
        paths::write_atomically(file, &serde_json::to_vec(&frozen)?)?;
    }
    if let Some(file) = &packed {
        packing.pack_plan(file)?;
    }
    let text = shard::describe(&frozen, &Shards { shards: frozen.shards.clone(), bound, notes }, &expected);
    match format {
        cli::Format::Text => output::out(text.trim_end()),
        cli::Format::Json => {
            output::err(text.trim_end());
            let matrix = shard::matrix(&frozen).to_string();
            step_output("matrix", &matrix)?;
            output::out(matrix);
        }
    }
    Ok(Exit::Success)
}

/// The declared classes, or the usual one.
fn classes(suite: &Suite, notes: &mut Vec<String>) -> anyhow::Result<Vec<Runner>> {
    if !suite.runners.is_empty() {
        return Ok(suite.runners.clone());
    }
    let usual = usual_runner().context("the usual class of machines is not valid")?;
    notes.push(format!(
        "no `runners` are declared; assumed {} with {} cores and {}",
        usual.runs_on.join(", "),
        usual.cores,
        usual.memory
    ));
    Ok(vec![usual])
}

/// Jobs that fit no class are shown at their places in the declaration.
fn cannot_split(suite: &Suite, plan: &Plan, error: SplitError) -> anyhow::Error {
    let unfit = match error {
        SplitError::Unfit(unfit) => unfit,
        SplitError::Empty | SplitError::TooFew { .. } => return Failure::usage(error.to_string()),
    };
    let problem = |Unfit { job, because, largest, .. }: &Unfit| {
        let planned = &plan.jobs[*job];
        let place = suite.jobs.iter().find(|declared| declared.name == planned.group)?.place;
        let usable = largest.memory.bytes() - largest.memory.bytes() / drydock_ci::capacity::MARGIN;
        let text = format!(
            "`{}` fits no class of machines: {because}, and jobs on `{}`, the largest, may use {}",
            planned.name,
            largest.name,
            ByteSize::new(usable)
        );
        Some(Problem::new(place, text).help("declare a class with more memory under `runners`, or lower `memory`"))
    };
    suite.diagnose(unfit.iter().filter_map(problem).collect()).into()
}

/// A plan for several machines, with the checksum of its file.
pub(super) fn read_plan(file: &Path) -> anyhow::Result<(FrozenPlan, Checksum)> {
    let (plan, checksum) = FrozenPlan::read(file).map_err(|error| unreadable(file, error))?;
    if plan.version != env!("CARGO_PKG_VERSION") {
        return Err(Failure::usage(format!(
            "{} was made by Drydock {}, and this is {}; use the same version on all machines",
            file.display(),
            plan.version,
            env!("CARGO_PKG_VERSION")
        )));
    }
    Ok((plan, checksum))
}

/// `ci --shard`.
pub(super) fn run(
    ctx: &Context,
    number: ShardNumber,
    options: cli::ShardOptions,
    parameters: RunParameters,
) -> anyhow::Result<Exit> {
    let cli::ShardOptions { plan: file, previous, output: target, upload_journal, upload_every, runtime, .. } = options;
    let Some(file) = file else { return Err(Failure::usage("`--shard` needs --plan FILE")) };
    let mut unpacked = Unpacked::new()?;
    let file = unpacked.plan(&file)?;
    let (frozen, checksum) = read_plan(&file)?;
    let Some(planned) = frozen.shard(number) else {
        let shards = frozen.shards.len();
        return Err(Failure::usage(format!("there is no shard {number} in {}, which has {shards}", file.display())));
    };
    check_project(ctx, &frozen, &file)?;
    let is_taken = |target: &&Path| if is_packed(target) { target.exists() } else { target.join(JOURNAL).exists() };
    if let Some(target) = target.as_deref().filter(is_taken) {
        return Err(Failure::usage(format!("{} has a run already; name another --output", target.display())));
    }
    let previous = match previous {
        Some(dir) => self::previous(&dir, &mut unpacked, number, &frozen, checksum)?,
        None => None,
    };
    let mut identity = ShardIdentity { shard: number, plan: checksum, attempt: 1, completes: Vec::new() };
    if let Some(piece) = &previous {
        let before = piece.identity.as_ref();
        identity.attempt = before.map_or(1, |before| before.attempt).saturating_add(1);
        identity.completes = before.map(|before| before.completes.clone()).unwrap_or_default();
        identity.completes.push(piece.id.clone());
    }
    prepare::restore(&frozen, &file, &ctx.declarations.project)?;
    let capacity = capacity::find(&parameters);
    let names: HashSet<&JobName> =
        planned.jobs.iter().chain(&planned.setup).map(|job| &frozen.plan.jobs[*job].name).collect();
    let mut warnings = Vec::new();
    let lists = relocate::lists(&frozen.plan.lists, &frozen.plan.project, &ctx.declarations.project);
    let plan = shard_plan(ctx, &capacity, &lists, &names, &mut warnings)?;
    if capacity.slots < planned.class.cores || capacity.memory < planned.class.memory.bytes() / 2 {
        warnings.push(format!(
            "this machine has {} slots and {} of memory, and the plan expected {} cores and {} of class {}",
            capacity.slots,
            ByteSize::new(capacity.memory),
            planned.class.cores,
            planned.class.memory,
            planned.class.name
        ));
    }
    for warning in warnings {
        output::err(format_args!("warning: {warning}"));
    }
    let upload = upload_journal.zip(runtime);
    let upload = upload.map(|(name, runtime)| JournalUpload { name, runtime, every: upload_every });
    let goal = ShardGoal { plan, identity, previous, upload };
    let finished = Session { ctx, parameters }.supervised(Goal::Shard(Box::new(goal)))?;
    // Only a run that is resumed may not exist, and a shard is never resumed.
    let Some(finished) = finished else {
        anyhow::bail!("shard {number} ended without a run, which is a bug; report it")
    };
    finished.print();
    shard::seal(&finished.dir).context("cannot close the run of the shard; is the disk full?")?;
    let shown = target.as_deref().unwrap_or(finished.dir.root());
    if let Some(target) = &target {
        hand_over(&finished.dir, target)?;
    }
    output::out(format_args!("shard {number}: {}", shown.display()));
    Ok(finished.result.into())
}

/// The plan is of this declaration and this commit.
fn check_project(ctx: &Context, frozen: &FrozenPlan, file: &Path) -> anyhow::Result<()> {
    let suite = plan::suite(ctx)?;
    if Checksum::new(suite.text().as_bytes()) != frozen.declaration {
        return Err(Failure::usage(format!(
            "{} was made from another {}; make the plan again with `{}`",
            file.display(),
            suite.file.display(),
            hint::drydock(&["ci", "plan"])
        )));
    }
    if let (Some(here), Some(planned)) = (plan::revision(&ctx.declarations.project), &frozen.revision) {
        if here != *planned {
            return Err(Failure::usage(format!(
                "{} is a plan for commit {planned}, and the project is at {here}; check that commit out",
                file.display()
            )));
        }
    }
    Ok(())
}

/// The jobs of a shard, as this project declares them: no command is taken from the plan, except those of listed tests.
fn shard_plan(
    ctx: &Context,
    capacity: &drydock_ci::capacity::Capacity,
    lists: &BTreeMap<JobName, Vec<ListedTest>>,
    names: &HashSet<&JobName>,
    warnings: &mut Vec<String>,
) -> anyhow::Result<Plan> {
    let mut plan = plan::make(ctx, capacity, &[], Lists::Frozen(lists), warnings)?;
    plan.jobs.retain(|job| names.contains(&job.name));
    plan.partial = true;
    if plan.jobs.len() < names.len() {
        let missing: Vec<&str> =
            names.iter().filter(|name| plan.job(name.as_str()).is_none()).map(|name| name.as_str()).take(5).collect();
        return Err(Failure::rejected(format!(
            "jobs of the plan are not in this project: {}; are files missing that `for-each` found when it was made?",
            missing.join(", ")
        )));
    }
    Ok(plan)
}

/// The newest attempt of this shard among the runs of a directory; `None` if it has no run at all, since the machine of the
/// previous attempt was lost.
fn previous(
    dir: &Path,
    unpacked: &mut Unpacked,
    number: ShardNumber,
    frozen: &FrozenPlan,
    plan: Checksum,
) -> anyhow::Result<Option<Piece>> {
    let planned = std::sync::Arc::new(frozen.plan.clone());
    let mut newest: Option<((u32, bool, i64), Piece)> = None;
    for found in unpacked.runs(&[dir.to_owned()]) {
        if found.dir.as_ref().is_ok_and(|dir| !dir.join(JOURNAL).exists()) {
            continue;
        }
        let Some((dir, piece)) = found.read(&planned) else { continue };
        let piece = piece.map_err(|error| {
            Failure::not_reproducible(format!("the previous attempt in {}: {error}", dir.display()))
        })?;
        let identity = piece.identity.as_ref();
        let Some(identity) = identity.filter(|identity| identity.shard == number && identity.plan == plan) else {
            return Err(Failure::usage(format!(
                "{} is not the previous attempt of shard {number} of this plan",
                dir.display()
            )));
        };
        // Of one attempt there may be what was sent while it went on, beside its end.
        let attempt = (identity.attempt, piece.is_closed, piece.run.last);
        if newest.as_ref().is_none_or(|(known, _)| attempt > *known) {
            newest = Some((attempt, piece));
        }
    }
    if newest.is_none() {
        output::err(format_args!("{} has no previous attempt of shard {number}: all of its jobs run", dir.display()));
    }
    Ok(newest.map(|(_, piece)| piece))
}

/// Copies or packs a run that has ended and was sealed.
pub(super) fn hand_over(dir: &RunDir, target: &Path) -> anyhow::Result<()> {
    if is_packed(target) { pack_run(dir, target) } else { copy_run(dir, target) }
}

/// Copies a run that has ended, with everything that another machine needs of it.
pub(super) fn copy_run(dir: &RunDir, target: &Path) -> anyhow::Result<()> {
    copy_attempts(dir.root(), &RunDir::new(target.to_owned()), &|_, _| true)?;
    let reports = REPORTS.iter().map(|report| report.file);
    // The list of all files is written last, so that a copy that was cut has none.
    for file in [PLAN, JOURNAL].into_iter().chain(reports).chain([SEAL]) {
        let from = dir.root().join(file);
        if from.exists() {
            copy_file(&from, &target.join(file))?;
        }
    }
    Ok(())
}

/// The directory of the prepared run beside a plan.
fn prepared_dir(file: &Path) -> PathBuf {
    beside(file, PREPARED)
}
