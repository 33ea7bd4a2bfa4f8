//! One supervised run from lock to results: fresh, resumed, or a rerun that completes an earlier one.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;

use super::actions::RunnerOutput;
use super::on_github::FETCHED;
use super::plan::Lists;
use super::{Context, RunParameters, capacity, export, plan, recorded, stored_plan};

mod identifier;
mod learning;
mod parts;
mod shard;
mod upload;

use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::interrupts::Held;
use drydock_base::lock::Lock;
use drydock_base::output;
use drydock_base::paths::{self, RunDir, State};
use drydock_base::units::JobName;
use drydock_ci::capacity::Capacity;
use drydock_ci::containment::{self, Kind};
use drydock_ci::event::{Event, JobResult, RunResult};
use drydock_ci::journal::{self, Journal};
use drydock_ci::plan::Plan;
use drydock_ci::probe::process;
use drydock_ci::recover;
use drydock_ci::report::commands::{self, Commands};
use drydock_ci::report::{self, Reports, summary};
use drydock_ci::retell;
use drydock_ci::run::Run;
use drydock_ci::shard::{Piece, ShardIdentity};
use learning::{history_with, learn};
use parts::{Begin, Ended, Setting};
pub(super) use shard::{copy_attempts, copy_file};
pub(super) use upload::JournalUpload;
use upload::Uploader;

/// The purpose of a session.
pub(super) enum Goal {
    /// All jobs, or the selected ones.
    Fresh { selectors: Vec<String> },
    /// The last run, from where it stopped.
    Resume,
    /// The jobs that did not pass in the last run, or the selected ones; the other results are carried over.
    Rerun { selectors: Vec<String>, run: Option<String> },
    /// A plan that was made elsewhere.
    Planned { plan: Plan },
    /// A shard of a plan.
    Shard(Box<ShardGoal>),
}

/// What a session of a shard is to do.
pub(super) struct ShardGoal {
    /// The jobs of the shard.
    pub(super) plan: Plan,
    pub(super) identity: ShardIdentity,
    /// The previous attempt, whose results hold for the jobs that did not fail.
    pub(super) previous: Option<Piece>,
    /// How the journal leaves this machine while jobs run.
    pub(super) upload: Option<JournalUpload>,
}

/// A finished run.
pub(super) struct Finished {
    pub(super) dir: RunDir,
    pub(super) run: Run,
    pub(super) result: RunResult,
    pub(super) summary: String,
    for_runner: Option<RunnerOutput>,
}

/// One session.
pub(super) struct Session<'a> {
    pub(super) ctx: &'a Context,
    pub(super) parameters: RunParameters,
}

/// The run that serves a goal: its directory, its initial state, and the events that it records first.
struct Prepared {
    dir: RunDir,
    run: Run,
    first: Vec<Event>,
    resumed: bool,
    reruns: Option<String>,
    shard: Option<ShardIdentity>,
}

impl Finished {
    /// Prints the result for people or for a runner.
    pub(super) fn print(&self) {
        match &self.for_runner {
            Some(runner) => runner.print(&self.summary),
            None => output::out(self.summary.trim_end()),
        }
    }
}

impl Session<'_> {
    /// Runs the jobs, and prints the result.
    pub(super) fn run(self, goal: Goal) -> anyhow::Result<Exit> {
        let (state, fail_on_flaky) = (&self.ctx.state, self.parameters.fail_on_flaky);
        let Some(finished) = self.supervised(goal)? else {
            let (dir, run) = recorded(state, None)?;
            let result = run.verdict(fail_on_flaky);
            let repeat = match result {
                RunResult::Passed => String::new(),
                _ => format!("; `{}` repeats the jobs that did not pass", commands::rerun()),
            };
            output::out(format_args!("run {} has already finished{repeat}", dir.id()));
            return Ok(result.into());
        };
        finished.print();
        Ok(finished.result.into())
    }

    /// Runs the jobs and records the result; `None` if there is nothing to resume.
    pub(super) fn supervised(self, goal: Goal) -> anyhow::Result<Option<Finished>> {
        if matches!(self.parameters.containment, None | Some(Kind::V2)) && {
            let _signals = hold_signals()?;
            containment::needs_scope()
        } {
            containment::enter_scope();
        }
        let capacity = capacity::find(&self.parameters);
        let state = &self.ctx.state;
        process::check_namespace().map_err(Failure::missing)?;
        check_paths(&[&self.ctx.declarations.project, &self.ctx.declarations.config, state.root()])?;
        // Errors in the declaration are reported before anything is changed.
        let mut strange = Vec::new();
        let fresh = match &goal {
            Goal::Fresh { selectors } => {
                Some(plan::make(self.ctx, &capacity, selectors, Lists::AfterNeeds, &mut strange)?)
            }
            // The commands of listed tests are not taken from a file.
            Goal::Rerun { run: Some(run), .. } if export::is_file(run) => {
                Some(plan::make(self.ctx, &capacity, &[], Lists::AfterNeeds, &mut strange)?)
            }
            Goal::Rerun { run, .. } => {
                let earlier = recorded(state, run.as_deref())?.1.plan.lists.clone();
                Some(plan::make(self.ctx, &capacity, &[], Lists::Frozen(&earlier), &mut strange)?)
            }
            Goal::Planned { plan } => Some(plan.clone()),
            Goal::Shard(shard) => Some(shard.plan.clone()),
            Goal::Resume => None,
        };
        // A missing tool is reported before a directory is created that would become the latest run.
        let valgrind = fresh.as_ref().map(plan::valgrind_version).transpose()?;
        // From here on an end by a signal has something to tidy up.
        let signals = hold_signals()?;
        state.create()?;
        let _lock = Lock::take(&state.lock(), "another run")?;
        let ended = end_what_a_killed_run_left(state);
        strange
            .extend(ended.iter().map(|command| format!("killed a process that an earlier run left behind: {command}")));
        let mut upload = None;
        let prepared = match (goal, fresh) {
            (Goal::Fresh { .. } | Goal::Planned { .. }, Some(plan)) => new_run(state, plan)?,
            (Goal::Rerun { selectors, run }, Some(plan)) => rerun(state, plan, &selectors, run.as_deref())?,
            (Goal::Shard(mut shard), Some(_)) => {
                upload = shard.upload.take();
                shard::prepare(state, *shard)?
            }
            (Goal::Resume, _) | (_, None) => match resume(state)? {
                Some(prepared) => prepared,
                None => return Ok(None),
            },
        };
        let valgrind = valgrind.map_or_else(|| plan::valgrind_version(&prepared.run.plan), Ok)?;
        let _uploader = upload.and_then(|upload| Uploader::start(upload, &prepared.dir));
        self.supervise(prepared, capacity, strange, valgrind, &signals).map(Some)
    }

    fn supervise(
        self,
        prepared: Prepared,
        capacity: Capacity,
        strange: Vec<String>,
        valgrind: Option<String>,
        signals: &Held,
    ) -> anyhow::Result<Finished> {
        let Prepared { dir, run, first, resumed, reruns, shard } = prepared;
        let state = &self.ctx.state;
        let (history, absent) = history_with(state, &self.parameters.history)?;
        let already: HashMap<JobName, usize> =
            run.plan.jobs.iter().zip(&run.jobs).map(|(job, state)| (job.name.clone(), state.attempts.len())).collect();
        let setting = Setting {
            session: &self,
            dir: &dir,
            capacity: &capacity,
            history: &history,
            valgrind: valgrind.as_deref(),
        };
        let warnings = strange.into_iter().chain(absent).collect();
        let begin = Begin { resumed, reruns, shard, first, warnings };
        let Ended { run, failed, mut result } = setting.run(run, begin, signals)?;
        let dir = if dir.is_in_place() {
            dir
        } else {
            let fresh = store_anew(state, &run)?;
            let place = if fresh.root() == dir.root() { "it".into() } else { fresh.root().display().to_string() };
            output::err(format_args!(
                "warning: {} was moved, deleted or replaced while the run went on; {place} was made anew, with all that is known of the run",
                dir.root().display(),
            ));
            result = if result == RunResult::Passed { RunResult::Infrastructure } else { result };
            fresh
        };
        learn(state, &dir, &run, &already, valgrind.as_deref());
        if let Some(error) = failed {
            output::err(format_args!("warning: the journal is incomplete: {error}"));
            result = if result == RunResult::Passed { RunResult::Infrastructure } else { result };
        }
        let reports = Reports::new(Commands::now(), &run, &dir, &history);
        let summary = summary::render(reports.input(result));
        if let Err(error) = report::write_all(reports.input(result)) {
            output::err(format_args!("warning: {error:#}"));
            result = if result == RunResult::Passed { RunResult::Infrastructure } else { result };
        }
        let for_runner = self.parameters.for_github.then(|| RunnerOutput::new(reports.input(result)));
        drop(reports);
        Ok(Finished { dir, run, result, summary, for_runner })
    }
}

/// Plans are JSON and valgrind's logs are XML; neither can have other paths.
fn check_paths(paths: &[&Path]) -> anyhow::Result<()> {
    match paths.iter().find(|path| path.to_str().is_none()) {
        Some(path) => Err(Failure::usage(format!(
            "the path {} is not valid UTF-8, which runs need; rename the directory, or choose another one",
            path.display()
        ))),
        None => Ok(()),
    }
}

pub(super) fn hold_signals() -> anyhow::Result<Held> {
    Held::new(Exit::Interrupted.code()).context("cannot hold signals")
}

/// Kills the processes of a run that was itself killed.
fn end_what_a_killed_run_left(state: &State) -> Vec<String> {
    match recorded(state, None) {
        Ok((dir, run)) if run.result.is_none() => recover::end_leftovers(&run, &dir.id()),
        Ok(_) | Err(_) => Vec::new(),
    }
}

fn new_run(state: &State, plan: Plan) -> anyhow::Result<Prepared> {
    let dir = make_dir(state)?;
    Ok(Prepared { dir, run: Run::new(plan), first: Vec::new(), resumed: false, reruns: None, shard: None })
}

/// The directory of a new run.
pub(super) fn make_dir(state: &State) -> anyhow::Result<RunDir> {
    new_dir(state, &identifier::new())
}

/// A directory of that name, or with a number behind it where the name is taken.
fn new_dir(state: &State, name: &str) -> anyhow::Result<RunDir> {
    let mut id = name.to_owned();
    for number in 2_u32.. {
        match state.new_run(&id) {
            Err(error) if is_taken(&error) => id = format!("{name}-{number}"),
            other => return other,
        }
    }
    state.new_run(&id)
}

fn is_taken(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    kind == Some(std::io::ErrorKind::AlreadyExists)
}

/// Stores everything that is known of a run in a new directory, since a job moved, deleted or replaced its own.
fn store_anew(state: &State, run: &Run) -> anyhow::Result<RunDir> {
    let id = run.started.as_ref().map_or("recovered", |started| started.id.as_str());
    let dir = new_dir(state, id)?;
    store_plan(&dir, &run.plan)?;
    Journal::write_anew(&dir, &retell::events(run))?.close()?;
    // All that is known is kept, whatever a job put in the way of the link.
    if let Err(error) = make_latest(state, &dir) {
        output::err(format_args!("warning: {error:#}; `--run {}` names this run", dir.id()));
    }
    Ok(dir)
}

/// Stores the plan and makes the run the latest.
pub(super) fn begin(state: &State, dir: &RunDir, plan: &Plan) -> anyhow::Result<()> {
    store_plan(dir, plan)?;
    make_latest(state, dir)
}

fn store_plan(dir: &RunDir, plan: &Plan) -> anyhow::Result<()> {
    dir.write(paths::PLAN, &serde_json::to_vec(plan)?)?;
    Ok(())
}

fn make_latest(state: &State, dir: &RunDir) -> anyhow::Result<()> {
    let link = || format!("cannot make {} a link to the run", state.runs().join("latest").display());
    state.set_latest(&dir.id()).with_context(link)
}

/// The last run with its open attempts judged, or `None` if it has finished.
fn resume(state: &State) -> anyhow::Result<Option<Prepared>> {
    let dir =
        state.latest_run().ok_or_else(|| Failure::usage(format!("no run to resume in {}", state.runs().display())))?;
    if dir.root().join(FETCHED).exists() {
        // What a file from elsewhere says is not run here.
        return Err(Failure::usage(format!(
            "run {} was fetched from GitHub; `{}` runs again here what did not pass there",
            dir.id(),
            commands::rerun()
        )));
    }
    let dir = dir.held().with_context(|| format!("cannot resume the last run of {}", state.runs().display()))?;
    let run = Run::replay(stored_plan(&dir)?, &journal::read(&dir.journal())?);
    let undone = |job: &drydock_ci::run::JobState| {
        matches!(job.result, None | Some(JobResult::Cancelled)) || job.in_flight.is_some()
    };
    let stopped = run.interrupted.is_some() || run.result.is_none() || run.result == Some(RunResult::Infrastructure);
    let left_out = run.jobs.iter().any(|job| matches!(job.result, Some(JobResult::NotRun { .. })));
    if !(run.jobs.iter().any(undone) || stopped && left_out || run.result.is_none()) {
        return Ok(None);
    }
    let loss = recover::loss(&run);
    let first = run
        .plan
        .jobs
        .iter()
        .zip(&run.jobs)
        .filter_map(|(planned, job)| {
            let record = recover::lost(job.in_flight.as_deref()?, planned.expect_exit, run.last, loss.clone());
            Some(Event::AttemptEnded { job: planned.name.clone(), record: Box::new(record) })
        })
        .collect();
    let shard = run.started.as_ref().and_then(|started| started.shard.as_deref().cloned());
    Ok(Some(Prepared { dir, run, first, resumed: true, reruns: None, shard }))
}

fn rerun(state: &State, plan: Plan, selectors: &[String], run: Option<&str>) -> anyhow::Result<Prepared> {
    let (last_dir, last) = recorded(state, run)?;
    let in_last = |name: &str| last.plan.job(name).is_some();
    let repeat: Vec<String> = if selectors.is_empty() {
        let jobs = last.plan.jobs.iter().zip(&last.jobs);
        jobs.filter(|(planned, job)| {
            !job.result
                .as_ref()
                .is_some_and(|result| matches!(result, JobResult::Passed | JobResult::PassedAfterInfrastructure { .. }))
                && plan.may_run(&planned.name)
        })
        .map(|(planned, _)| planned.name.to_string())
        .collect()
    } else {
        let chosen = plan.matching(selectors).map_err(|error| Failure::usage(error.to_string()))?;
        chosen.into_iter().map(|name| name.to_string()).collect()
    };
    if repeat.is_empty() {
        return Err(Failure::usage(format!("everything passed in run {}; name the jobs to run again", last_dir.id())));
    }
    // Names contain no glob characters, so they select themselves; the jobs that they need are run as well.
    let again = plan.clone().select(&repeat).map_err(|error| Failure::usage(error.to_string()))?;
    let mut whole = plan;
    let all = whole.jobs.len();
    whole.jobs.retain(|job| in_last(job.name.as_str()) || again.job(job.name.as_str()).is_some());
    whole.partial = whole.jobs.len() < all;
    let first = last
        .plan
        .jobs
        .iter()
        .zip(&last.jobs)
        .filter(|(planned, _)| again.job(planned.name.as_str()).is_none() && whole.job(planned.name.as_str()).is_some())
        .filter_map(|(planned, job)| {
            Some(Event::Carried {
                from: job.carried_from.clone().unwrap_or_else(|| last_dir.id()),
                job: planned.name.clone(),
                result: job.result.clone()?,
                attempts: job.attempts.clone(),
            })
        })
        .collect();
    let dir = make_dir(state)?;
    Ok(Prepared { dir, run: Run::new(whole), first, resumed: false, reruns: Some(last_dir.id()), shard: None })
}
