//! The runs of 50 shards with 1,000 jobs, and how long `ci merge` takes.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use drydock_base::paths::RunDir;
use drydock_ci::capacity::Capacity;
use drydock_ci::conditions::Conditions;
use drydock_ci::event::{AttemptRecord, AttemptStarting, Event, JobResult, Measured, RunResult, RunStarted, Stamped};
use drydock_ci::evidence::{End, Evidence};
use drydock_ci::journal::Journal;
use drydock_ci::shard::{self, FrozenPlan, ShardIdentity};

use super::support::{Figures, median};

const JOBS: usize = 1000;
const SHARDS: usize = 50;
const ROUNDS: usize = 5;
/// The samples of the memory of one attempt.
const SAMPLES: i64 = 20;

/// Measures the merge of shards, with all reports.
pub(crate) fn measure(figures: &mut Figures) {
    let directory = tempfile::tempdir().expect("a directory");
    let project = directory.path();
    let mut text = "jobs:\n".to_owned();
    (0..JOBS).for_each(|job| text.push_str(&format!("  t{job}: {{run: [\"true\"]}}\n")));
    fs::create_dir_all(project.join("ci")).expect("a directory");
    fs::write(project.join("ci/jobs.yaml"), text).expect("a file");
    let file = project.join("plan.json");
    let file_name = file.to_str().expect("a name");
    let shards = SHARDS.to_string();
    run(project, &["plan", "--github", "--shards", &shards, "--output", file_name]);
    let (plan, checksum) = FrozenPlan::read(&file).expect("a plan");
    let art = project.join("art");
    for (number, planned) in plan.numbers().zip(&plan.shards) {
        let dir = RunDir::new(art.join(format!("s{}", number.number)));
        fs::create_dir_all(dir.root()).expect("a directory");
        let identity = ShardIdentity { shard: number, plan: checksum, attempt: 1, completes: Vec::new() };
        write(&plan, &dir, planned.jobs.as_slice(), identity);
    }
    let mut seconds = Vec::new();
    let mut size = 0;
    for _ in 0..ROUNDS {
        let began = Instant::now();
        run(project, &["merge", art.to_str().expect("a name"), "--plan", file_name]);
        seconds.push(began.elapsed().as_secs_f64());
        let runs = project.join("target/xtask/runs");
        size = fs::metadata(runs.join("latest/report.html")).map_or(0, |metadata| metadata.len());
        fs::remove_dir_all(runs).expect("the runs");
    }
    let seconds = median(&mut seconds);
    figures.figure(&format!("{seconds:.2} s to merge {JOBS} jobs of {SHARDS} shards"), "2 s", seconds < 2.0);
    let megabytes = size as f64 / 1e6;
    figures.figure(&format!("{megabytes:.1} MB of report.html"), "5 MB", size > 0 && size < 5_000_000);
}

fn run(project: &Path, args: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_drydock")).arg("--project").arg(project).arg("ci").args(args).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write(plan: &FrozenPlan, dir: &RunDir, jobs: &[usize], identity: ShardIdentity) {
    let started = RunStarted {
        id: format!("r{}", identity.shard.number),
        version: plan.version.clone(),
        containment: "cgroup-v2".into(),
        group: None,
        capacity: Capacity { slots: 4, slots_source: "a".into(), memory: 15 << 30, memory_source: "b".into() },
        resumed: false,
        reruns: None,
        valgrind: None,
        revision: None,
        cores: Some(4),
        shard: Some(Box::new(identity)),
    };
    let mut at = 1_700_000_000_000;
    let mut events = vec![Stamped { at, event: Event::RunStarted(started) }];
    for job in jobs {
        let job = plan.plan.jobs[*job].name.clone();
        let starting = AttemptStarting { job: job.clone(), attempt: 1, conditions: Conditions::default(), group: None };
        events.push(Stamped { at, event: Event::AttemptStarting(starting) });
        let began = at;
        for sample in 0..SAMPLES {
            at += 200;
            let jobs = vec![(job.clone(), 1_000_000 * (1 + sample.unsigned_abs() % 7))];
            events.push(Stamped { at, event: Event::Samples { jobs, available: Some(15 << 30) } });
        }
        let measured = Measured { started: began, ended: at, peak: Some(9_000_000), ..Measured::default() };
        let record = AttemptRecord::new(1, Conditions::default(), Evidence::new(End::Exited { code: 0 }), measured);
        events.push(Stamped { at, event: Event::AttemptEnded { job: job.clone(), record: Box::new(record) } });
        events.push(Stamped { at, event: Event::JobSettled { job: job.clone(), result: JobResult::Passed } });
        let attempt = dir.attempt(job.as_str(), 1);
        fs::create_dir_all(&attempt).expect("a directory");
        fs::write(attempt.join("log"), "a line of a log, as long as they are\n".repeat(300)).expect("a log");
    }
    events.push(Stamped { at, event: Event::RunEnded { result: RunResult::Passed } });
    Journal::write_anew(dir, &events).and_then(|journal| Ok(journal.close()?)).expect("a journal");
    shard::seal(dir).expect("a seal");
}
