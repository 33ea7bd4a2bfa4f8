//! `run.json`: the result for programs. Its shape is the types below; `cargo xtask ci schema run` prints its schema.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Serialize;

use super::ReportInput;
use super::findings::{self, FindingFile};
use super::native::{self, WithoutTool};
use crate::conditions::Conditions;
use crate::event::{AttemptRecord, JobResult, RunResult, ShardRecord};
use crate::evidence::{Leftover, Neighbour};
use crate::outcome::Outcome;
use crate::plan::PlannedJob;
use crate::retry;
use crate::run::JobState;
use crate::schedule_report::ScheduleReport;
use crate::tested::Subtests;
use drydock_valgrind::dhat::AllocationProfile;
use drydock_valgrind::tool::Tool;

/// The version of this shape.
pub const FORMAT: u32 = 1;

/// One run of `cargo xtask ci`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(title = "Drydock run.json")]
pub struct RunFile<'a> {
    /// The version of this shape: 1.
    format: u32,
    /// The run, also the name of its directory.
    id: String,
    /// Version of Drydock.
    version: String,
    /// The work tree that the jobs ran in.
    project: String,
    /// `cgroup-v2`, `cgroup-v1` or `none`.
    containment: String,
    /// Jobs at a time.
    slots: u32,
    /// The processors that Drydock could use; absent in runs of earlier versions.
    cores: Option<u32>,
    /// Bytes that could be reserved at once.
    memory: u64,
    /// Where `memory` comes from.
    memory_source: String,
    /// Version of valgrind, when a job needed it.
    valgrind: Option<String>,
    /// The project's commit, where nothing tracked was changed.
    revision: Option<String>,
    /// Start in Unix milliseconds.
    started: i64,
    /// End in Unix milliseconds.
    ended: i64,
    /// The result of the run.
    result: RunResult,
    /// The signal that stopped it, if one did.
    interrupted: Option<i32>,
    /// The number of jobs with each result.
    totals: BTreeMap<String, usize>,
    /// The quality of the schedule; absent when fewer than two jobs ran.
    schedule: Option<ScheduleReport>,
    /// `MemAvailable` over time: Unix milliseconds and bytes.
    available: Vec<(i64, u64)>,
    /// Pauses of admission, in which ready jobs waited: begin and end in Unix milliseconds, and the reason.
    pauses: Vec<(i64, i64, String)>,
    /// Tests that ran without the tool that their job declares, by tool and reason.
    without_tool: Vec<WithoutTool>,
    /// Warnings of the run.
    warnings: Vec<String>,
    /// Valgrind's findings by cause, those of most jobs first.
    findings: Vec<FindingFile>,
    /// The number of findings that were counted, but are in neither list, because their jobs had too many.
    dropped_findings: u64,
    /// The shards of a merged run; empty in others.
    shards: Vec<ShardFile<'a>>,
    /// In declaration order.
    #[schemars(with = "Vec<JobFile>")]
    jobs: JobFiles<'a>,
}

/// A shard of a merged run.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct ShardFile<'a> {
    /// Its number, such as `2/7`.
    shard: String,
    /// The class of its machine.
    class: &'a str,
    /// The identifier of its run; absent if there is none.
    run: Option<&'a str>,
    /// The attempt of the shard, from 1; 0 if there is no run.
    attempt: u32,
    /// Jobs at a time; 0 if there is no run.
    slots: u32,
    /// Bytes that could be reserved at once; 0 if there is no run.
    memory: u64,
    /// Start in Unix milliseconds; 0 if there is no run.
    started: i64,
    /// End in Unix milliseconds; 0 if there is no run.
    ended: i64,
    /// Milliseconds that were planned for it, with the set-up of its machine.
    planned_ms: u64,
    /// The number of its own jobs.
    jobs: usize,
    /// What is wrong with it, in one sentence.
    trouble: Option<&'a str>,
}

impl<'a> ShardFile<'a> {
    fn new(record: &'a ShardRecord) -> ShardFile<'a> {
        ShardFile {
            shard: record.shard.to_string(),
            class: &record.class,
            run: record.run.as_deref(),
            attempt: record.attempt,
            slots: record.slots,
            memory: record.memory,
            started: record.began,
            ended: record.ended,
            planned_ms: record.expected_ms,
            jobs: record.jobs,
            trouble: record.trouble.as_deref(),
        }
    }
}

/// The jobs, each of which is made when it is written: all of them together would need much memory.
#[derive(Debug)]
struct JobFiles<'a>(ReportInput<'a>);

impl Serialize for JobFiles<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let jobs = self.0.run.plan.jobs.iter().zip(&self.0.run.jobs).enumerate();
        serializer.collect_seq(jobs.map(|(position, (planned, job))| job_file(self.0, position, planned, job)))
    }
}

/// One job.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct JobFile {
    name: String,
    /// The tool that it runs under.
    tool: Tool,
    /// For a test that does not run under the tool that its job declares: that tool, and the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    without_tool: Option<NativeFile>,
    /// `passed`, `flaky`, `failed`, `quarantined`, `infrastructure`, `cancelled` or `not-run`.
    result: String,
    /// The reason why it was not run, or why it is in quarantine.
    because: Option<String>,
    /// The last attempt's outcome.
    outcome: Option<Outcome>,
    /// The run that this result was taken from, when it was not run here.
    carried_from: Option<String>,
    /// A lower bound, in bytes, for the memory of a job whose every retry ran out of memory.
    needs_more_than: Option<u64>,
    /// In order.
    attempts: Vec<AttemptFile>,
}

/// A tool that a test does not run under.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct NativeFile {
    tool: Tool,
    because: String,
}

/// One attempt.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct AttemptFile {
    /// The attempt's number, from 1.
    number: u32,
    /// The end of the attempt.
    outcome: Outcome,
    /// Of the outcome, from 0 to 1.
    confidence: f64,
    /// The reasons of the outcome.
    reasons: Vec<String>,
    /// The reasons against other outcomes.
    ruled_out: Vec<String>,
    /// The remedy.
    advice: Option<String>,
    /// Start in Unix milliseconds.
    started: i64,
    /// End in Unix milliseconds.
    ended: i64,
    /// The most memory it used, in bytes.
    peak: Option<u64>,
    /// CPU time of its processes in milliseconds, user and system.
    cpu_ms: Option<u64>,
    /// The conditions that it ran under.
    #[serde(flatten)]
    conditions: Conditions,
    /// Processes that it left behind and that were ended.
    leftovers: Vec<Leftover>,
    /// For an attempt that the machine failed: the memory of all running jobs at that moment, largest first.
    memory_at_death: Vec<Neighbour>,
    /// Allocations by site, for a job under dhat.
    allocations: Option<AllocationProfile>,
    /// Errors that valgrind found, in one line each.
    findings: Vec<String>,
    /// Errors of programs of the system around a test, which do not count, by program.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    ignored_errors: BTreeMap<String, u64>,
    /// The tests that it reported, if it reported several.
    #[serde(skip_serializing_if = "Option::is_none")]
    subtests: Option<Subtests>,
    /// Its output, relative to the run's directory; below `..` for a result of an earlier run.
    log: String,
    /// Memory over time: Unix milliseconds and bytes.
    samples: Vec<(i64, u64)>,
}

/// The file's content.
pub(super) fn render(input: ReportInput<'_>, to: &mut dyn io::Write) -> anyhow::Result<()> {
    let ReportInput { run, dir, result, causes, schedule, .. } = input;
    let started = run.started.as_ref();
    let mut totals = BTreeMap::new();
    for job in &run.jobs {
        *totals.entry(result_word(job).to_owned()).or_insert(0) += 1;
    }
    let file = RunFile {
        format: FORMAT,
        id: dir.id(),
        version: started.map_or_else(String::new, |started| started.version.clone()),
        project: run.plan.project.display().to_string(),
        containment: started.map_or_else(String::new, |started| started.containment.clone()),
        slots: started.map_or(0, |started| started.capacity.slots),
        cores: started.and_then(|started| started.cores),
        memory: started.map_or(0, |started| started.capacity.memory),
        memory_source: started.map_or_else(String::new, |started| started.capacity.memory_source.clone()),
        valgrind: started.and_then(|started| started.valgrind.clone()),
        revision: started.and_then(|started| started.revision.clone()),
        started: run.began.unwrap_or_default(),
        ended: run.last,
        result,
        interrupted: run.interrupted,
        totals,
        schedule: schedule.cloned(),
        available: run.available.clone(),
        pauses: run.earlier_pauses.clone(),
        without_tool: native::groups(run),
        warnings: run.warnings.clone(),
        findings: findings::files(run, causes),
        dropped_findings: findings::dropped(run),
        shards: input.run.shards.iter().map(ShardFile::new).collect(),
        jobs: JobFiles(input),
    };
    serde_json::to_writer_pretty(&mut *to, &file)?;
    to.write_all(b"\n")?;
    Ok(())
}

/// The schema of the file.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RunFile<'static>).to_value()
}

fn result_word(job: &JobState) -> &'static str {
    job.result.as_ref().map_or("not-run", JobResult::word)
}

fn job_file(input: ReportInput<'_>, position: usize, planned: &PlannedJob, job: &JobState) -> JobFile {
    let ReportInput { run, commands, .. } = input;
    let (name, tool) = (planned.name.as_str(), planned.tool.kind);
    let because = match &job.result {
        Some(JobResult::Quarantined) => planned.quarantine.as_ref().map(|quarantine| quarantine.reason.clone()),
        Some(JobResult::NotRun { because } | JobResult::Skipped { because }) => Some(because.clone()),
        None => Some("the run ended before".into()),
        Some(
            JobResult::Passed
            | JobResult::PassedAfterInfrastructure { .. }
            | JobResult::Flaky { .. }
            | JobResult::Failed
            | JobResult::Infrastructure
            | JobResult::Cancelled,
        ) => None,
    };
    let outcome = job.attempts.last().map(|last| last.verdict.outcome.clone());
    let empty = Vec::new();
    let attempts = job
        .attempts
        .iter()
        .enumerate()
        .map(|(number, attempt)| {
            let log = run.attempt_path(position, attempt.number).join("log");
            let samples = job.samples.get(number).unwrap_or(&empty);
            AttemptFile { advice: commands.advice(planned, &attempt.verdict), ..attempt_file(attempt, log, samples) }
        })
        .collect();
    JobFile {
        name: name.into(),
        tool,
        without_tool: planned
            .native()
            .map(|native| NativeFile { tool: native.without, because: native.because.clone() }),
        result: result_word(job).into(),
        because,
        outcome,
        carried_from: job.carried_from.clone(),
        needs_more_than: retry::needs_more_than(&job.attempts),
        attempts,
    }
}

fn attempt_file(attempt: &AttemptRecord, log: PathBuf, samples: &[(i64, u64)]) -> AttemptFile {
    let neighbours = attempt.verdict.outcome.is_infrastructure().then_some(&attempt.evidence.neighbours);
    AttemptFile {
        number: attempt.number,
        outcome: attempt.verdict.outcome.clone(),
        confidence: attempt.verdict.confidence,
        reasons: attempt.verdict.reasons.clone(),
        ruled_out: attempt.verdict.ruled_out.clone(),
        advice: None,
        started: attempt.started,
        ended: attempt.ended,
        peak: attempt.peak,
        cpu_ms: attempt.cpu_ms,
        conditions: attempt.conditions.clone(),
        leftovers: attempt.evidence.leftovers.clone(),
        allocations: attempt.evidence.allocations.as_deref().cloned(),
        memory_at_death: neighbours.cloned().unwrap_or_default(),
        findings: attempt
            .evidence
            .valgrind
            .as_ref()
            .map_or_else(Vec::new, |valgrind| valgrind.first.iter().map(crate::evidence::Finding::line).collect()),
        ignored_errors: attempt
            .evidence
            .valgrind
            .as_ref()
            .map_or_else(BTreeMap::new, |valgrind| valgrind.ignored.clone()),
        subtests: attempt.evidence.test.as_ref().and_then(|test| test.subtests.clone()),
        log: log.display().to_string(),
        samples: samples.to_vec(),
    }
}
