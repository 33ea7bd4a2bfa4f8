//! The laboratory: runs some of the tests in an arrangement, and keeps what they used and printed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;

use super::leavings::Leavings;
use crate::commands::ci::session::{Finished, Goal, Session};
use crate::commands::ci::{Context, RunParameters};
use drydock_base::exec;
use drydock_base::output;
use drydock_base::text::{self, plural};
use drydock_base::units::JobName;
use drydock_ci::collisions::search::{Arrangement, Laboratory, Seen, Trial};
use drydock_ci::collisions::shared::{Shared, Surrounding, Weight, shared};
use drydock_ci::collisions::trace::{self, Act, Resource, Uses};
use drydock_ci::event::{JobResult, RunResult};
use drydock_ci::plan::{Plan, PlannedJob, PlannedTest};
use drydock_config::jobs::Tool;

/// The longest that recording may make a test.
const SLOWER: u32 = 5;
/// Tests that run together on each processor.
const BESIDE: usize = 8;
/// Words of a line that says more than the others.
const TELLING: [&str; 9] = [
    "address already in use",
    "eaddrinuse",
    "database is locked",
    "resource temporarily unavailable",
    "file exists",
    "text file busy",
    "no such file",
    "already running",
    "connection refused",
];

/// The laboratory.
pub(super) struct Lab {
    ctx: Context,
    parameters: RunParameters,
    plan: Plan,
    tests: Vec<PlannedJob>,
    until: Instant,
    /// The number of runs.
    pub(super) runs: u32,
    /// The reason why nothing can be recorded.
    pub(super) untraced: Option<String>,
    /// `true` once a signal ended a run.
    pub(super) is_interrupted: bool,
    uses: Vec<Uses>,
    said: BTreeMap<usize, String>,
    leavings: Option<Leavings>,
    surrounding: Surrounding,
}

impl Lab {
    /// A laboratory for these tests of the plan, which begins no run after `until`.
    pub(super) fn new(
        ctx: Context,
        parameters: RunParameters,
        plan: Plan,
        tests: Vec<PlannedJob>,
        until: Instant,
    ) -> anyhow::Result<Lab> {
        let untraced = cannot_trace(&plan.project);
        let state = ctx.state.root().parent().unwrap_or(&plan.project).to_owned();
        let leavings = untraced.is_none().then(|| Leavings::new(&plan.project, &state));
        let mut variables: BTreeMap<String, PathBuf> = BTreeMap::new();
        for job in &tests {
            let environment = exec::environment(&job.pass_env, &job.env);
            variables.extend(environment.into_iter().filter_map(|(name, value)| {
                let (name, value) = (name.into_string().ok()?, PathBuf::from(value));
                let is_place = name != "PATH" && name != "PWD" && value.is_absolute() && value.parent().is_some();
                is_place.then_some((name, value))
            }));
        }
        let surrounding = Surrounding { project: plan.project.clone(), variables: variables.into_iter().collect() };
        let uses = vec![Uses::default(); tests.len()];
        Ok(Lab {
            ctx,
            parameters,
            plan,
            tests,
            until,
            runs: 0,
            untraced,
            is_interrupted: false,
            uses,
            said: BTreeMap::new(),
            leavings,
            surrounding,
        })
    }

    /// `true` if what tests use can be recorded.
    pub(super) fn traces(&self) -> bool {
        self.untraced.is_none()
    }

    /// What two tests share.
    pub(super) fn shared(&self, left: usize, right: usize) -> Vec<Shared> {
        shared(&self.uses[left], &self.uses[right], &self.surrounding)
    }

    /// The line of a test's output that says most, of a run with others in which it failed.
    pub(super) fn said(&self, test: usize) -> Option<String> {
        self.said.get(&test).cloned()
    }

    /// Deletes what the tests left.
    pub(super) fn clean(&self) {
        if let Some(leavings) = &self.leavings {
            leavings.delete();
        }
    }

    /// The plan of a trial, with what its tests need beside what was run before all of them.
    fn plan(&self, trial: &Trial, traces: &Path) -> Plan {
        let mut jobs: Vec<PlannedJob> = Vec::new();
        let mut before: Option<JobName> = None;
        for test in &trial.tests {
            let mut job = self.tests[*test].clone();
            if trial.traced {
                record(&mut job, &traces.join(test.to_string()));
            }
            if trial.arrangement == Arrangement::InOrder {
                job.test.get_or_insert_with(|| Box::new(PlannedTest::default())).follows =
                    before.take().into_iter().collect();
                before = Some(job.name.clone());
            }
            jobs.push(job);
        }
        // Fixtures: what single tests need, and what puts things in order behind them.
        loop {
            let known: BTreeSet<&JobName> = jobs.iter().map(|job| &job.name).collect();
            let needed: BTreeSet<&JobName> = jobs.iter().flat_map(|job| job.needs_jobs()).collect();
            let cleans = |job: &PlannedJob| {
                job.test
                    .as_ref()
                    .is_some_and(|test| test.cleans_up && test.follows.iter().any(|name| known.contains(name)))
            };
            let more: Vec<PlannedJob> = self
                .plan
                .jobs
                .iter()
                .filter(|job| !known.contains(&job.name) && (needed.contains(&job.name) || cleans(job)))
                .cloned()
                .collect();
            if more.is_empty() {
                break;
            }
            jobs.extend(more);
        }
        for job in &mut jobs {
            job.needs = Vec::new();
            job.attempts = 1;
            job.quarantine = None;
        }
        self.plan.with_jobs(jobs)
    }

    fn look(&mut self, trial: &Trial, finished: &Finished, traces: &Path) -> Seen {
        let mut seen = Seen::default();
        for test in &trial.tests {
            let job = &self.tests[*test];
            let Some(position) = finished.run.position(&job.name) else { continue };
            let state = &finished.run.jobs[position];
            let Some(record) = state.attempts.last() else { continue };
            let failed = match &state.result {
                Some(JobResult::Failed) => true,
                Some(
                    JobResult::Passed
                    | JobResult::PassedAfterInfrastructure { .. }
                    | JobResult::Skipped { .. }
                    | JobResult::Flaky { .. },
                ) => false,
                // The machine's doing says nothing of the tests.
                Some(
                    JobResult::Quarantined
                    | JobResult::Infrastructure
                    | JobResult::Cancelled
                    | JobResult::NotRun { .. },
                )
                | None => continue,
            };
            seen.ran.insert(*test, (record.started, record.ended));
            if failed {
                seen.failed.insert(*test);
                let log = finished.dir.attempt(job.name.as_str(), record.number).join("log");
                if let Some(line) = telling_line(&log) {
                    let known = self.said.entry(*test).or_default();
                    if known.is_empty() || !is_telling(known) && is_telling(&line) {
                        *known = line;
                    }
                }
            }
            if trial.traced {
                let start = self.plan.project.join(&job.directory);
                // A test that did not start left none.
                let uses = trace::read(&traces.join(test.to_string()), &start).unwrap_or_default();
                self.take(*test, uses);
            }
        }
        seen
    }

    fn take(&mut self, test: usize, uses: Uses) {
        let known = &mut self.uses[test];
        for (resource, used) in uses.of {
            let makes = used.acts.iter().any(|act| matches!(act, Act::Creates | Act::Replaces | Act::Binds));
            if let (Resource::File(path), Some(leavings), true) = (&resource, &mut self.leavings, makes) {
                leavings.note(path);
            }
            let all = known.of.entry(resource).or_default();
            all.acts.extend(used.acts);
            all.errors.extend(used.errors);
        }
        known.pids.extend(uses.pids);
        known.signalled.extend(uses.signalled);
    }
}

impl Laboratory for Lab {
    type Error = anyhow::Error;

    fn run(&mut self, trial: &Trial) -> anyhow::Result<Option<Seen>> {
        if self.is_interrupted || Instant::now() >= self.until {
            return Ok(None);
        }
        self.clean();
        self.runs += 1;
        let tests = match trial.tests.as_slice() {
            [only] => self.tests[*only].name.to_string(),
            [left, right] => format!("{} and {}", self.tests[*left].name, self.tests[*right].name),
            many => plural(many.len(), "test"),
        };
        let how = match (trial.tests.len(), trial.arrangement) {
            (1, _) => "",
            (_, Arrangement::Together) => " together",
            (_, Arrangement::InOrder) => " one after the other",
        };
        let recorded = if trial.traced { ", recorded" } else { "" };
        let traces = tempfile::tempdir().context("cannot make a directory for what tests use")?;
        for test in trial.tests.iter().filter(|_| trial.traced) {
            std::fs::create_dir(traces.path().join(test.to_string())).context("cannot make a directory for a test")?;
        }
        let plan = self.plan(trial, traces.path());
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let slots = match trial.arrangement {
            Arrangement::Together => trial.tests.len().clamp(2, cores * BESIDE),
            Arrangement::InOrder => 1,
        };
        let parameters = RunParameters { jobs: u32::try_from(slots).ok(), ..self.parameters.clone() };
        // What was learned would change the order; there may be none yet.
        std::fs::remove_file(self.ctx.state.history()).ok();
        let finished = Session { ctx: &self.ctx, parameters }.supervised(Goal::Planned { plan })?;
        let finished = finished.context("the tests were not run")?;
        if finished.result == RunResult::Interrupted {
            self.is_interrupted = true;
            return Ok(None);
        }
        let seen = self.look(trial, &finished, traces.path());
        let failed = match seen.failed.len() {
            0 => "all passed".to_owned(),
            count => format!("{count} failed"),
        };
        output::err(format_args!("run {}: {tests}{how}{recorded}: {failed}", self.runs));
        // Its results are taken in.
        std::fs::remove_dir_all(finished.dir.root()).ok();
        Ok(Some(seen))
    }

    fn suspicion(&self, left: usize, right: usize) -> u32 {
        let strongest = self.shared(left.min(right), left.max(right)).iter().map(|shared| shared.weight).max();
        match strongest {
            Some(Weight::Strong) => 3,
            Some(Weight::Medium) => 2,
            Some(Weight::Weak) => 1,
            None => 0,
        }
    }

    fn are_kept_apart(&self, left: usize, right: usize) -> bool {
        let (left, right) = (&self.tests[left], &self.tests[right]);
        let follows = |one: &PlannedJob, other: &PlannedJob| one.follows().contains(&other.name);
        left.serial
            || right.serial
            || left.locks.iter().any(|lock| right.locks.contains(lock))
            || follows(left, right)
            || follows(right, left)
    }
}

/// Has strace record what the job uses, without the job's tool, which would only be in the way.
fn record(job: &mut PlannedJob, directory: &Path) {
    let files = directory.join(trace::PREFIX.trim_end_matches('.'));
    let mut argv: Vec<String> = [
        "strace",
        "-D",
        "-ff",
        "--seccomp-bpf",
        "-qq",
        "-y",
        "-s",
        "4096",
        "-e",
        "signal=none",
        "-e",
        trace::CALLS,
        "-o",
    ]
    .iter()
    .map(|word| (*word).to_owned())
    .collect();
    argv.extend([files.display().to_string(), "--".to_owned()]);
    argv.append(&mut job.argv);
    job.argv = argv;
    job.tool_mut().kind = Tool::None;
    job.tool_mut().by_suite = false;
    job.timeout = job.timeout.saturating_mul(SLOWER).min(drydock_base::units::MAX_LIMIT);
}

/// The reason why strace cannot record anything here.
fn cannot_trace(project: &Path) -> Option<String> {
    let argv = ["strace", "--seccomp-bpf", "-f", "-qq", "-o", "/dev/null", "-e", trace::CALLS, "--", "true"];
    exec::read(&argv.map(str::to_owned), project).err().map(|error| error.to_string())
}

fn is_telling(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    TELLING.iter().any(|word| line.contains(word))
}

/// The line of the end of a log that says most: one with a telling word, or the last.
fn telling_line(log: &Path) -> Option<String> {
    /// Enough for a whole message.
    const MOST: usize = 200;
    let text = text::end_of_file(log).ok()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling = lines.clone().find(|line| is_telling(line));
    telling.or_else(|| lines.next_back()).map(|line| text::printable(line, MOST))
}
