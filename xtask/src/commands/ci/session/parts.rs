//! The parts of a run: jobs run until everything has ended, or until the tests of a suite can be listed that they have built.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};

use anyhow::Context as _;

use super::{Session, begin};
use crate::commands::ci::plan::{self, Lists};
use crate::commands::ci::{RunParameters, capacity};
use drydock_base::failure::Failure;
use drydock_base::held_dir::Access;
use drydock_base::interrupts::Held;
use drydock_base::paths::{self, RunDir};
use drydock_base::text::plural;
use drydock_base::units::JobName;
use drydock_ci::capacity::Capacity;
use drydock_ci::containment::{self, Kind};
use drydock_ci::dangers::{Danger, Surroundings};
use drydock_ci::event::{Event, JobResult, RunResult, RunStarted};
use drydock_ci::history::History;
use drydock_ci::plan::Plan;
use drydock_ci::report::commands;
use drydock_ci::report::terminal::Terminal;
use drydock_ci::run::Run;
use drydock_ci::schedule::Schedule;
use drydock_ci::shard::ShardIdentity;
use drydock_ci::supervise::{Dispatcher, Recorder, Supervisor};

/// What stays the same in all parts of a run.
pub(super) struct Setting<'a> {
    pub(super) session: &'a Session<'a>,
    pub(super) dir: &'a RunDir,
    pub(super) capacity: &'a Capacity,
    pub(super) history: &'a History,
    pub(super) valgrind: Option<&'a str>,
}

/// What is recorded first.
pub(super) struct Begin {
    pub(super) resumed: bool,
    pub(super) reruns: Option<String>,
    pub(super) shard: Option<ShardIdentity>,
    pub(super) first: Vec<Event>,
    pub(super) warnings: Vec<String>,
}

/// A run that has ended.
pub(super) struct Ended {
    pub(super) run: Run,
    /// The reason why the journal is incomplete.
    pub(super) failed: Option<io::Error>,
    pub(super) result: RunResult,
}

impl Setting<'_> {
    /// Runs all jobs. Between two parts the tests that can be listed now are put into the plan.
    pub(super) fn run(&self, run: Run, begin: Begin, signals: &Held) -> anyhow::Result<Ended> {
        let (mut run, mut begin) = (run, Some(begin));
        let mut failed = None;
        loop {
            let (ended, error, result) = self.part(run, begin.take(), signals)?;
            run = ended;
            failed = failed.or(error);
            match result {
                Some(result) => return Ok(Ended { run, failed, result }),
                None => run = self.list(run)?,
            }
        }
    }

    /// Runs what can run until everything has ended, or until tests are to be listed: then there is no result.
    fn part(
        &self,
        run: Run,
        beginning: Option<Begin>,
        signals: &Held,
    ) -> anyhow::Result<(Run, Option<io::Error>, Option<RunResult>)> {
        let Setting { session, dir, capacity, history, valgrind } = self;
        let plan = run.plan.clone();
        let predictions: Vec<_> = plan.jobs.iter().map(|job| history.predict(job, *valgrind)).collect();
        let (containment, weaker) =
            containment::choose(session.parameters.containment, &dir.id()).map_err(|error| {
                // The directory of a new run is empty; that of a resumed one stays.
                std::fs::remove_dir(dir.root()).ok();
                Failure::missing(format!("the requested containment is not available: {error}"))
            })?;
        if beginning.as_ref().is_some_and(|beginning| !beginning.resumed) {
            begin(&session.ctx.state, dir, &plan)?;
        }
        let RunParameters { live, quiet, silent, fail_on_flaky, .. } = session.parameters;
        let mut terminal =
            if silent { Terminal::silent() } else { Terminal::new(&predictions, capacity.slots, live, quiet) };
        let mut recorder = Recorder::new((*dir).clone(), run, &mut terminal)?;
        recorder
            .reserve()
            .map_err(|error| Failure::infrastructure(format!("{error}; free disk space and try again")))?;
        if let Some(Begin { resumed, reruns, shard, first, warnings: strange }) = beginning {
            recorder.emit_now(Event::RunStarted(RunStarted {
                id: dir.id(),
                version: env!("CARGO_PKG_VERSION").into(),
                containment: containment.kind().name().into(),
                group: containment.root().map(std::path::Path::to_owned),
                capacity: (*capacity).clone(),
                resumed,
                reruns,
                valgrind: valgrind.map(str::to_owned),
                revision: plan::revision(&plan.project),
                cores: std::thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()),
                shard: shard.map(Box::new),
            }));
            let surroundings = Surroundings::now();
            let warnings = warnings(&plan, containment.kind(), weaker, &surroundings.dangers);
            recorder.emit_now(Event::Surroundings(Box::new(surroundings)));
            for event in first {
                recorder.emit(event);
            }
            for text in warnings.into_iter().chain(strange).chain(capacity::warnings(&session.parameters, capacity)) {
                recorder.emit(Event::Warning { text });
            }
        }
        let schedule = Schedule::new(&plan, capacity, &predictions);
        let mut dispatcher = Dispatcher::new(&plan, schedule, recorder);
        dispatcher.settle_unrunnable(&predictions, capacity);
        let supervisor = Supervisor::new(dir, dispatcher, containment)?;
        // The loop has a thread of its own: with cgroup v1 it enters jobs' groups to spawn in them, and memory of a
        // process is charged to the group of its first thread.
        let mut recorder = std::thread::scope(|scope| {
            let thread =
                std::thread::Builder::new().name("supervisor".into()).spawn_scoped(scope, || supervisor.run(signals));
            match thread.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Failure::infrastructure(format!(
                    "the supervisor panicked, which is a bug in Drydock; the journal is complete, run `{}`",
                    commands::resume()
                ))),
                Err(error) => Err(error).context("cannot start the supervisor's thread"),
            }
        })?;
        if let Some(asked) = signals.take().first().filter(|_| recorder.run.interrupted.is_none()) {
            recorder.emit_now(Event::Interrupted { signal: asked.signal });
        }
        let result = if recorder.run.interrupted.is_none() && !to_list(&recorder.run).is_empty() {
            None
        } else {
            let result = recorder.run.verdict(fail_on_flaky);
            recorder.emit_now(Event::RunEnded { result });
            Some(result)
        };
        restore_plan(dir, &mut recorder)?;
        let (run, failed) = recorder.finish();
        Ok((run, failed, result))
    }

    /// Lists the tests of suites whose needs have passed, and freezes the lists in the run's plan.
    fn list(&self, run: Run) -> anyhow::Result<Run> {
        let groups = to_list(&run);
        let made = plan::make(self.session.ctx, self.capacity, &[], Lists::Only(&groups), &mut Vec::new())?;
        let mut plan = Plan::clone(&run.plan);
        for group in &groups {
            plan.put_list(group, &made);
        }
        self.dir.write(paths::PLAN, &serde_json::to_vec(&plan)?)?;
        Ok(run.with_plan(plan))
    }
}

/// The jobs whose tests are to be listed now.
fn to_list(run: &Run) -> Vec<JobName> {
    let passed = |at: usize| run.jobs[at].result.as_ref().is_some_and(JobResult::lets_others_run);
    let mut waiting = run.plan.awaiting_list(&passed);
    waiting.retain(|name| run.position(name).is_some_and(|at| run.jobs[at].result.is_none()));
    waiting
}

/// Writes the plan again if another process changed it: `--resume` and all reports begin with it.
fn restore_plan(dir: &RunDir, recorder: &mut Recorder<'_>) -> anyhow::Result<()> {
    if !dir.is_in_place() || is_stored(dir, &recorder.run.plan) {
        return Ok(());
    }
    dir.write(paths::PLAN, &serde_json::to_vec(&*recorder.run.plan)?)?;
    let text = format!("{} was changed while the run went on; it was written again", paths::PLAN);
    recorder.emit_now(Event::Warning { text });
    Ok(())
}

/// Whether the file has this plan, which may be large: both are read piece by piece.
fn is_stored(dir: &RunDir, plan: &Plan) -> bool {
    let file = dir.directory().and_then(|directory| directory.file(paths::PLAN, Access::Read));
    let Ok(file) = file else { return false };
    let mut same = BufWriter::with_capacity(PIECE, Same { stored: file, piece: Vec::new() });
    let written = serde_json::to_writer(&mut same, plan).is_ok();
    let Ok(Same { mut stored, .. }) = same.into_inner() else { return false };
    written && matches!(stored.read(&mut [0]), Ok(0))
}

/// The size of the pieces that are compared, in bytes.
const PIECE: usize = 64 << 10;

/// A writer that fails at the first byte that the file does not have.
struct Same {
    stored: File,
    piece: Vec<u8>,
}

impl Write for Same {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.resize(bytes.len(), 0);
        self.stored.read_exact(&mut self.piece)?;
        if self.piece == bytes { Ok(bytes.len()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn warnings(plan: &Plan, kind: Kind, weaker: Option<String>, dangers: &[Danger]) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Some(why) = weaker {
        warnings.push(format!(
            "jobs are not contained in cgroups: {why}; memory is sampled, and verdicts are less certain"
        ));
    }
    let limited = plan.jobs.iter().filter(|job| job.memory_limit.is_some()).count();
    if kind == Kind::None && limited > 0 {
        warnings.push(format!("`memory-limit` of {} is not enforced: that needs a cgroup", plural(limited, "job")));
    }
    warnings.extend(dangers.iter().filter(|danger| danger.kills_supervisor(kind)).map(|danger| danger.describe(kind)));
    warnings
}
