//! `cargo xtask ci merge`: the runs of all shards as one run with one report and one history.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;

use super::actions::RunnerOutput;
use super::session::{begin, copy_attempts, make_dir};
use super::shards::{FoundRun, Unpacked};
use super::{Context, shards};
use crate::cli;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::lock::Lock;
use drydock_base::output;
use drydock_base::paths::{RunDir, State};
use drydock_ci::event::RunResult;
use drydock_ci::history::{self, History};
use drydock_ci::journal::Journal;
use drydock_ci::plan::Plan;
use drydock_ci::report::commands::Commands;
use drydock_ci::report::{self, Reports, summary};
use drydock_ci::retell;
use drydock_ci::shard::{self, FrozenPlan, Merged, PREPARED, Piece, Pieces, Source, Trouble, TroubleKind};

impl cli::CiMerge {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let mut unpacked = Unpacked::new()?;
        let file = unpacked.plan(&self.plan)?;
        let (frozen, checksum) = shards::read_plan(&file)?;
        let plan = Arc::new(Plan { project: ctx.declarations.project.clone(), ..frozen.plan.clone() });
        let found = read(unpacked.runs(&self.directories), &plan);
        let prepared = prepared(&frozen, &file, &plan);
        let merged = shard::merge(Pieces { frozen: &frozen, checksum, plan, prepared, found });
        let state = &ctx.state;
        state.create()?;
        let _lock = Lock::take(&state.lock(), "another run")?;
        let dir = make_dir(state)?;
        let Stored { merged, result } = store(state, &dir, merged, self.fail_on_flaky)?;
        let history = learn(state, &merged.pieces);
        let reports = Reports::new(Commands::now(), &merged.run, &dir, &history);
        report::write_all(reports.input(result))?;
        let text = summary::render(reports.input(result));
        if self.output_for.is_github() {
            RunnerOutput::new(reports.input(result)).print(&text);
        } else {
            output::out(text.trim_end());
        }
        for trouble in &merged.troubles {
            output::err(format_args!("error: {trouble}"));
        }
        let shown = self.output.as_deref().unwrap_or(dir.root());
        if let Some(target) = &self.output {
            if shards::is_packed(target) {
                shard::seal(&dir).context("cannot close the merged run; is the disk full?")?;
            }
            shards::hand_over(&dir, target)?;
        }
        output::out(format_args!("merged run: {}", shown.display()));
        Ok(exit(result, &merged.troubles))
    }
}

/// The runs in the given directories.
fn read(mut all: Vec<FoundRun>, plan: &Arc<Plan>) -> Vec<(PathBuf, Result<Piece, shard::PieceError>)> {
    let mut seen = HashSet::new();
    // The same directory by two names is one result.
    all.retain(|found| seen.insert(std::fs::canonicalize(&found.shown).unwrap_or_else(|_| found.shown.clone())));
    all.into_iter().filter_map(|found| found.read(plan)).collect()
}

/// The run that the plan was made with, if its results are needed.
fn prepared(frozen: &FrozenPlan, file: &Path, plan: &Arc<Plan>) -> Option<Result<Piece, shard::PieceError>> {
    let prepared = frozen.prepared.as_ref()?;
    Some(Piece::read(&beside(file, PREPARED), plan, Some(prepared.seal)))
}

/// A file beside the plan.
pub(super) fn beside(plan: &Path, name: &str) -> PathBuf {
    plan.parent().unwrap_or_else(|| Path::new("")).join(name)
}

/// A merged run on the disk.
struct Stored {
    merged: Merged,
    result: RunResult,
}

/// Writes the plan, the journal and the files of all attempts.
fn store(state: &State, dir: &RunDir, mut merged: Merged, fail_on_flaky: bool) -> anyhow::Result<Stored> {
    let run = &mut merged.run;
    let verdict = run.verdict(fail_on_flaky);
    let result = match verdict {
        RunResult::Passed | RunResult::Flaky if !merged.troubles.is_empty() => RunResult::Infrastructure,
        other => other,
    };
    run.result = Some(result);
    run.warnings.extend(merged.troubles.iter().map(Trouble::to_string));
    if let Some(started) = &mut run.started {
        started.id = dir.id();
    }
    begin(state, dir, &run.plan)?;
    let mut wanted: HashMap<&Path, HashSet<(&str, u32)>> = HashMap::new();
    for Source { job, attempt, dir } in &merged.sources {
        let name = run.plan.jobs[*job].name.as_str();
        wanted.entry(dir.as_path()).or_default().insert((name, *attempt));
    }
    for (from, attempts) in wanted {
        copy_attempts(from, dir, &|job, attempt| attempts.contains(&(job, attempt)))
            .context("cannot copy the files of a shard; is the disk full?")?;
    }
    Journal::write_anew(dir, &retell::events(run))?.close()?;
    Ok(Stored { result, merged })
}

/// Adds what the shards measured to the history, each attempt once.
fn learn(state: &State, pieces: &[Piece]) -> History {
    let known = History::load(&state.history());
    let known: HashSet<(i64, String, u32)> =
        known.jobs().flat_map(|(_, lines)| lines).map(|line| (line.at, line.job.to_string(), line.attempt)).collect();
    let mut lines = Vec::new();
    for piece in pieces {
        let valgrind = piece.run.started.as_ref().and_then(|started| started.valgrind.as_deref());
        lines.extend(history::lines(&piece.run, &piece.id, &HashMap::new(), valgrind));
    }
    lines.retain(|line| !known.contains(&(line.at, line.job.to_string(), line.attempt)));
    if let Err(error) = history::append(&state.history(), lines) {
        output::err(format_args!("warning: {error:#}"));
    }
    History::load(&state.history())
}

/// A failed job is reported first, then files that are not those of the run, then wrong directories.
fn exit(result: RunResult, troubles: &[Trouble]) -> Exit {
    let any = |kind| troubles.iter().any(|trouble| trouble.kind() == kind);
    match result {
        RunResult::Failed => Exit::CheckFailed,
        _ if any(TroubleKind::Tampered) => Exit::NotReproducible,
        _ if any(TroubleKind::Misused) => Exit::Usage,
        RunResult::Passed | RunResult::Infrastructure | RunResult::Flaky | RunResult::Interrupted => result.into(),
    }
}

/// The error for a plan that cannot be read.
pub(super) fn unreadable(file: &Path, error: shard::FrozenPlanError) -> anyhow::Error {
    let text = format!("{}: {error}", file.display());
    match error {
        shard::FrozenPlanError::Unreadable(cause) => anyhow::Error::new(cause).context(text),
        shard::FrozenPlanError::TooLong(_)
        | shard::FrozenPlanError::Invalid(_)
        | shard::FrozenPlanError::Inconsistent(_) => Failure::rejected(text),
    }
}
