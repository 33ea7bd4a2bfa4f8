//! Runs rows of the table through the real `xtask` and judges what it says.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::causes::{CAUSES, Cause, Company};
use super::matrix::{Cell, Column};
use super::scenarios;
use crate::support::{
    Finished, JobJson, OuterGroup, Project, RunJson, kernel_oom_kills, marker, mortal, need, oom_lock, processes_with,
    text,
};

/// The memory limit, in bytes, of the whole `xtask` where jobs do not have cgroups of their own.
const OUTER_LIMIT: u64 = 256 * 1024 * 1024;

/// The limit for a run of the table; a guest is slow.
const RUN_LIMIT: Duration = Duration::from_secs(100);

/// Does all cells of one column that this machine can produce, and hands each over as soon as it is known.
pub(crate) fn column(column: Column, mut done: impl FnMut(Cell)) {
    batch(column, &rows(Company::Together)).into_iter().for_each(&mut done);
    for cause in rows(Company::Exclusive) {
        batch(column, &[cause]).into_iter().for_each(&mut done);
    }
    if column.contains() {
        batch(column, &rows(Company::Crowd)).into_iter().for_each(&mut done);
    }
    scenarios::all(column, done);
}

fn rows(company: Company) -> Vec<&'static Cause> {
    CAUSES.iter().filter(|cause| cause.company == company).collect()
}

/// One run with these jobs.
fn batch(column: Column, causes: &[&Cause]) -> Vec<Cell> {
    let _lock = oom_lock();
    let must_not_kill = causes.iter().all(|cause| cause.limit.is_none());
    for _ in 0..2 {
        let before = kernel_oom_kills();
        let cells = batch_once(column, causes);
        if !(must_not_kill && kernel_oom_kills() > before) {
            return cells;
        }
        println!("some other program here was killed for want of memory: the verdicts may be doubtful, once more");
    }
    batch_once(column, causes)
}

fn batch_once(column: Column, causes: &[&Cause]) -> Vec<Cell> {
    let scratch = tempfile::tempdir().unwrap();
    let markers: BTreeMap<_, _> = causes.iter().map(|cause| (cause.name, marker("job"))).collect();
    let mut yaml = "defaults: {timeout: 10m, grace: 2s, memory: 32MiB}\njobs:\n".to_owned();
    for cause in causes {
        let path = text(&scratch.path().join(&markers[cause.name]));
        declare(&mut yaml, column, cause, &path, &markers[cause.name]);
    }
    let project = Project::new().jobs(&yaml);
    let call = ["ci", "run", "--containment", column.flag(), "-j", "4", "--no-progress"];
    let mut call = project.xtask(&call).limit(RUN_LIMIT);
    let limited = causes.iter().any(|cause| cause.limit.is_some());
    let _outer = if limited && !column.contains() {
        let Ok(group) = OuterGroup::new(OUTER_LIMIT) else {
            assert!(!need(false, &format!("{}: no cgroup can be made here", causes[0].name)));
            return Vec::new();
        };
        call = call.within(&group);
        Some(group)
    } else {
        None
    };
    let mut running = call.spawn();
    let mut victims: Vec<_> = causes.iter().filter(|cause| cause.killed).map(|cause| &markers[cause.name]).collect();
    running.wait_for(RUN_LIMIT, || {
        // Not before the program itself is reached: it does nothing the second time.
        victims.retain(|marker| match processes_with(marker).pop() {
            Some(process) if scratch.path().join(marker).exists() => {
                process.kill();
                false
            }
            _ => true,
        });
        victims.is_empty().then_some(())
    });
    let finished = running.wait();
    let run = RunJson::latest(&project.state());
    let of_all = problems_of_the_run(column, causes, &finished, &run);
    let judge_one = |cause: &&Cause| {
        let mut cell =
            judge(column, cause, run.as_ref().ok().and_then(|run| run.job(cause.name)), &markers[cause.name]);
        cell.problems.extend(of_all.clone());
        if !cell.problems.is_empty() {
            cell.problems.push(evidence(&project.state(), cause.name));
        }
        cell
    };
    let mut cells: Vec<_> = causes.iter().map(judge_one).collect();
    // The output is one for all jobs of the run.
    if let Some(cell) = cells.iter_mut().find(|cell| !cell.problems.is_empty()) {
        cell.problems.push(format!("xtask said: {}", tail(&finished.transcript(), 60)));
    }
    cells
}

/// Writes the job as one line of YAML.
fn declare(yaml: &mut String, column: Column, cause: &Cause, scratch: &str, marker: &str) {
    let program = if cause.missing { "/nonexistent/program".to_owned() } else { text(&mortal()) };
    let mut run = vec![program];
    run.extend(cause.args.iter().map(|arg| arg.replace("{scratch}", scratch)));
    run.push(marker.to_owned());
    // JSON is YAML.
    let run = serde_json::to_string(&run).unwrap();
    write!(yaml, "  {}: {{run: {run}", serde_json::to_string(cause.name).unwrap()).unwrap();
    if !cause.settings.is_empty() {
        write!(yaml, ", {}", cause.settings).unwrap();
    }
    if let Some(limit) = cause.limit.filter(|_| column.contains()) {
        write!(yaml, ", memory-limit: {limit}").unwrap();
    }
    yaml.push_str("}\n");
}

fn judge(column: Column, cause: &Cause, job: Option<&JobJson>, marker: &str) -> Cell {
    let mut cell = Cell {
        cause: cause.name.to_owned(),
        column,
        verdict: "nothing".to_owned(),
        confidence: None,
        problems: still_running(marker),
    };
    let Some((job, attempt)) = job.and_then(|job| Some((job, job.attempts.first()?))) else {
        cell.problems.push("run.json has no attempt of this job".to_owned());
        return cell;
    };
    cell.verdict = attempt.outcome.to_string();
    cell.confidence = attempt.confidence;
    let right = cause.right(column);
    if !right.contains(&cell.verdict.as_str()) {
        cell.problems.push(format!("the verdict is {}, right is {}", cell.verdict, right.join(" or ")));
    }
    if attempt.confidence.is_some_and(|confidence| !(0.0..=1.0).contains(&confidence)) {
        cell.problems.push(format!("a confidence of {:?}", attempt.confidence));
    }
    let results: &[&str] = match attempt.outcome.kind.as_str() {
        "passed" => &["passed"],
        // The machine may be to blame, and the job is run again.
        "out-of-memory" | "killed-from-outside" | "lost" => &["failed", "infrastructure", "flaky", "passed"],
        _ => &["failed"],
    };
    if !results.contains(&job.result.as_str()) {
        cell.problems.push(format!("the result is {:?}, right is {}", job.result, results.join(" or ")));
    }
    if cause.leftover && !attempt.leftovers.iter().any(|leftover| leftover.command.contains(marker)) {
        cell.problems.push(format!("the daemon is not among the leftovers: {:?}", attempt.leftovers));
    }
    if let Some(untrue) = cause.untrue.filter(|words| attempt.reasons.iter().any(|reason| reason.contains(words))) {
        cell.problems.push(format!("a reason says {untrue:?}, which is not true"));
    }
    if !cell.problems.is_empty() {
        cell.problems.push(format!("reasons: {:#?}\nruled out: {:#?}", attempt.reasons, attempt.ruled_out));
    }
    cell
}

/// The errors of the whole run, which count for each of its cells.
fn problems_of_the_run(
    column: Column,
    causes: &[&Cause],
    finished: &Finished,
    run: &anyhow::Result<RunJson>,
) -> Vec<String> {
    let mut problems = panics(finished);
    // 1: a job failed; 5: only the machine did. A limit of the job's own is the job's failure.
    let right: &[i32] = match (causes, column.contains()) {
        ([_], true) => &[1, 5],
        ([_], false) => &[5],
        _ => &[1],
    };
    if !right.contains(&finished.code()) {
        problems.push(format!("exit code {} of xtask, right is {right:?}", finished.code()));
    }
    match run {
        Err(error) => problems.push(format!("{error:#}")),
        Ok(run) => {
            if run.containment != column.name() {
                problems.push(format!("containment {:?}", run.containment));
            }
            let code = match run.result.as_deref() {
                Some("passed") => 0,
                Some("failed") => 1,
                Some("infrastructure") => 5,
                Some("flaky") => 6,
                Some("interrupted") => 9,
                _ => -1,
            };
            if code != finished.code() {
                problems.push(format!("run.json says {:?}, xtask exits {}", run.result, finished.code()));
            }
        }
    }
    problems
}

/// A panic of `xtask` is a problem whatever it says otherwise.
pub(crate) fn panics(finished: &Finished) -> Vec<String> {
    let panicked = finished.stderr.contains("panicked at") || finished.code() == 101;
    if panicked { vec!["xtask panicked".to_owned()] } else { Vec::new() }
}

/// The processes of a job that outlived `xtask`. Ends them.
pub(crate) fn still_running(marker: &str) -> Vec<String> {
    let processes = processes_with(marker);
    processes.iter().for_each(|process| process.kill());
    processes.iter().take(3).map(|process| format!("still running: {} {}", process.pid, process.command)).collect()
}

/// The evidence for a wrong cell: the journal and the log of its job.
pub(crate) fn evidence(state: &Path, job: &str) -> String {
    let latest = state.join("runs/latest");
    let mut text = String::new();
    let journal = std::fs::read_to_string(latest.join("journal.jsonl")).unwrap_or_else(|error| error.to_string());
    let quoted = format!("{job:?}");
    let lines: Vec<_> = journal.lines().filter(|line| line.contains(&quoted)).collect();
    write!(text, "journal of {job}:\n{}", tail(&lines.join("\n"), 12)).unwrap();
    let log = std::fs::read(latest.join("jobs").join(job).join("1/log")).unwrap_or_default();
    let log = &log[log.len().saturating_sub(1000)..];
    write!(text, "\nend of the log of {job}:\n{}", tail(&String::from_utf8_lossy(log), 12)).unwrap();
    text
}

/// The last lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
