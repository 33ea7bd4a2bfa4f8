//! `cargo xtask ci export`: a run as one file for other machines, and such a file as a run of this one.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::session::{copy_attempts, copy_file};
use super::shards::{Unpacked, pack_run};
use super::{Context, is_last, recorded, recorded_in};
use crate::cli::{self, ExportFormat};
use crate::exit::Exit;
use drydock_archive::bundle;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths::{self, JOURNAL, PLAN, RunDir, State};
use drydock_ci::history::History;
use drydock_ci::journal::Journal;
use drydock_ci::plan::Plan;
use drydock_ci::report::commands::Commands;
use drydock_ci::report::{self, Reports, trace};
use drydock_ci::retell;
use drydock_ci::run::Run;
use drydock_ci::shard::{self, SEAL, Sealed, ShardNumber};

impl cli::CiExport {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        if let (Some(number), Some(plan)) = (self.shard, &self.plan) {
            if self.output.exists() {
                return Ok(Exit::Success);
            }
            check_shard(&ctx.state, number, plan)?;
        }
        let (dir, run) = recorded(&ctx.state, self.run.as_deref())?;
        match self.format {
            ExportFormat::Run => export(&ctx.state, &dir, run, &self.output)?,
            ExportFormat::Trace => {
                let result = run.result.unwrap_or_else(|| run.verdict(false));
                let history = History::default();
                let commands = Commands { run: self.run, is_last: is_last(&ctx.state, &dir) };
                let reports = Reports::new(commands, &run, &dir, &history);
                let text = serde_json::to_vec(&trace::render(reports.input(result)))?;
                paths::write_atomically(&self.output, &text)?;
            }
        }
        output::out(format_args!("{}", self.output.display()));
        Ok(Exit::Success)
    }
}

/// The last run is this shard of this plan.
fn check_shard(state: &State, number: ShardNumber, plan: &Path) -> anyhow::Result<()> {
    let mut unpacked = Unpacked::new()?;
    let (_, checksum) = super::shards::read_plan(&unpacked.plan(plan)?)?;
    let (dir, run) = recorded(state, None)?;
    let shard = run.started.as_ref().and_then(|started| started.shard.as_deref());
    if shard.is_some_and(|shard| shard.shard == number && shard.plan == checksum) {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "the last run, {}, is not shard {number} of {}: it has not begun",
        dir.id(),
        plan.display()
    )))
}

/// Writes a run with everything that is known of it to one file.
fn export(state: &State, dir: &RunDir, mut run: Run, file: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir().context("cannot create a directory for the export")?;
    let whole = RunDir::new(scratch.path().join(dir.id()));
    fs::create_dir(whole.root())?;
    // What was taken over from earlier runs has its files in their directories.
    let mut wanted: HashMap<PathBuf, HashSet<String>> = HashMap::new();
    let mut carries = false;
    for (planned, job) in run.plan.jobs.iter().zip(&mut run.jobs) {
        let from = job.carried_from.take();
        carries |= from.is_some();
        let root = from.map_or_else(|| dir.root().to_owned(), |from| state.run(&from).root().to_owned());
        wanted.entry(root).or_default().insert(planned.name.to_string());
    }
    for (root, jobs) in wanted.iter().filter(|(root, _)| root.is_dir()) {
        copy_attempts(root, &whole, &|job, _| jobs.contains(job))?;
    }
    whole.write(PLAN, &serde_json::to_vec(&*run.plan)?)?;
    if carries {
        Journal::write_anew(&whole, &retell::events(&run))?.close()?;
    } else {
        copy_file(&dir.journal(), &whole.journal())?;
    }
    let result = run.result.unwrap_or_else(|| run.verdict(false));
    let history = History::load(&state.history());
    report::write_all(Reports::new(Commands::default(), &run, &whole, &history).input(result))?;
    shard::seal(&whole)?;
    pack_run(&whole, file)
}

/// `true` if a run is named by the file that holds it, and not by its identifier.
pub(super) fn is_file(run: &str) -> bool {
    run.contains('/') || run.ends_with(".tar.gz") || Path::new(run).is_file()
}

/// Makes the run in a file one of this machine, beside its own runs; the last run stays the last. A run that is there
/// already is used. Nothing in the file is executed, and nothing of it is written elsewhere.
///
/// # Errors
/// The file is not a whole run, or is damaged.
pub(super) fn import(state: &State, file: &Path) -> anyhow::Result<RunDir> {
    state.create()?;
    let scratch = tempfile::Builder::new().prefix(".import-").tempdir_in(state.runs())?;
    let inside = scratch.path().join("run");
    fs::create_dir(&inside)?;
    let top = bundle::unpack(file, &inside)
        .with_context(|| format!("cannot use {} as a run of another machine", file.display()))?;
    let broken = |why: &dyn std::fmt::Display| {
        Failure::not_reproducible(format!("{} is not a whole run: {why}", file.display()))
    };
    Sealed::check(&inside, None).map_err(|error| broken(&error))?;
    let events = shard::events(&inside).map_err(|error| broken(&error))?;
    let plan: Plan = serde_json::from_slice(&paths::read_regular(&inside.join(PLAN)).map_err(|error| broken(&error))?)
        .map_err(|error| broken(&error))?;
    let run = Run::replay(plan, &events);
    if run.jobs.iter().any(|job| job.carried_from.is_some()) {
        return Err(broken(&"it refers to other runs"));
    }
    let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let id = if top.chars().all(plain) && top != "latest" && top.len() < 200 { top } else { "imported".to_owned() };
    let seal = |dir: &Path| paths::read_regular(&dir.join(SEAL)).ok();
    for number in 1.. {
        let name = if number == 1 { id.clone() } else { format!("{id}-{number}") };
        let dir = state.run(&name);
        if !dir.root().exists() {
            fs::rename(&inside, dir.root()).with_context(|| format!("cannot create {}", dir.root().display()))?;
            return Ok(dir);
        }
        let is_same =
            seal(dir.root()) == seal(&inside) || fs::read(dir.journal()).ok() == fs::read(inside.join(JOURNAL)).ok();
        if is_same && recorded_in(&dir).is_ok() {
            return Ok(dir);
        }
    }
    Err(Failure::infrastructure("no directory name is free for the run; remove old runs from the state directory"))
}
