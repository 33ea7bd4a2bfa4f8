//! The main job on real input: lanternd built, checked under memcheck, measured under massif.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{Finished, RunJson, git, need_tool, need_tools, text, xtask_binary};

fn example() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/lanternd")
}

/// The tools that these tests need, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[
    ("valgrind", "valgrind"),
    ("lowdown", "lowdown"),
    ("make", "make"),
    ("git", "git"),
    ("dpkg-source", "dpkg-dev"),
    ("dh_clean", "debhelper"),
];

fn call(args: &[&str]) -> Finished {
    Command::new(xtask_binary()).args(args).output().unwrap().into()
}

#[test]
fn the_demo_proves_what_it_says_and_the_spike_is_found() {
    if !need_tools(TOOLS) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let keep = directory.path().join("demo");
    // As the xtask of another project, which has no example: it is in the program.
    let elsewhere = directory.path().join("mine/xtask");
    let mut demo = Command::new(xtask_binary());
    demo.args(["demo", "--keep", &text(&keep)]).env("CARGO_MANIFEST_DIR", &elsewhere);
    let demo: Finished = demo.output().unwrap().into();
    assert_eq!(demo.code(), 0, "{}", demo.transcript());
    assert!(demo.stdout.contains("what was proved") && !demo.stdout.contains("NOT PROVED"), "{}", demo.stdout);
    let own = directory.path().join("own");
    let make = [text(&example().join("tools/make-project.sh")), text(&own)];
    assert!(Command::new("sh").args(make).output().unwrap().status.success());
    let commit = |directory: &Path| git(&directory.join("lanternd"), &["rev-parse", "HEAD"]);
    assert_eq!(commit(&own), commit(&keep), "the example in the program is not that of the clone");
    // All pillars are in the table, and what was not shown says how to see it.
    let rows = |sign: &str| demo.stdout.lines().filter(|line| line.contains(sign)).collect::<Vec<_>>();
    assert_eq!(rows("4 source packages follow Launchpad's rules").len(), 1, "{}", demo.stdout);
    let missing = rows("not shown");
    assert_eq!(missing.len(), 2, "{}", demo.stdout);
    assert!(missing.iter().all(|line| line.contains("demo --all")), "{}", demo.stdout);
    let mut check = Command::new(xtask_binary());
    let check: Finished = check.arg("check").env("CARGO_MANIFEST_DIR", &elsewhere).output().unwrap().into();
    assert_eq!(check.code(), 2, "{}", check.transcript());
    assert!(check.stderr.contains("`check` tests Drydock's own code"), "{}", check.transcript());

    let project = keep.join("lanternd");
    let run = RunJson::latest(&project.join("target/xtask")).unwrap();
    assert!(run.jobs.iter().all(|job| job.result == "passed"), "{}", demo.transcript());
    let units = run.jobs.iter().filter(|job| job.name.starts_with("units/")).count();
    assert!(units >= 15, "{units} unit tests");
    // And the integration test, which starts several daemons with their plugins under memcheck itself.
    assert!(demo.stdout.contains(&format!("{} jobs are clean under memcheck", units + 1)), "{}", demo.stdout);
    let started = fs::read_dir(project.join("target/xtask/runs/latest/jobs/integration-memcheck/1")).unwrap();
    let logs = started.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "xml"));
    assert!(logs.count() >= 6 * 3, "{}", demo.transcript());
    for name in ["build", "integration", "integration-memcheck", "startup-heap"] {
        assert!(run.job(name).is_some(), "{name} is missing");
    }
    assert_eq!(git(&project, &["status", "--porcelain"]), "", "a run leaves the work tree clean");

    // The same project with declarations from elsewhere, built to read whole files: massif finds the spike.
    let config = directory.path().join("config");
    fs::create_dir_all(config.join("ci")).unwrap();
    let yaml = fs::read_to_string(example().join("ci/jobs.yaml")).unwrap();
    let whole = yaml.replace("run: [make, -j, \"{jobs}\", all", "run: [make, CHECKSUM=whole, -j, \"{jobs}\", all");
    assert_ne!(whole, yaml, "the build job is not where this test looks for it");
    fs::write(config.join("ci/jobs.yaml"), whole).unwrap();
    let spike = call(&["--project", &text(&project), "--config", &text(&config), "ci", "startup-heap"]);
    assert_eq!(spike.code(), 1, "{}", spike.transcript());
    let run = RunJson::latest(&project.join("target/xtask")).unwrap();
    let job = run.job("startup-heap").unwrap();
    assert_eq!(job.outcome.as_ref().unwrap().kind, "over-budget", "{}", spike.transcript());
    let reasons = job.attempts[0].reasons.join("\n");
    assert!(reasons.contains("at the peak, most is held by") && reasons.contains(".c:"), "{reasons}");
}

#[test]
fn a_project_of_the_example_is_the_same_everywhere() {
    if !need_tool("git", "git") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let make = |name: &str, umask: &str| {
        let target = directory.path().join(name);
        let script = text(&example().join("tools/make-project.sh"));
        let line = format!("umask {umask}; exec sh '{script}' '{}'", text(&target));
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        git(&target.join("lanternd"), &["rev-parse", "HEAD"])
    };
    assert_eq!(make("one", "022"), make("two with a space", "077"));
}

#[test]
fn the_time_a_run_is_expected_to_take_is_learned() {
    let project = crate::support::Project::new().jobs("jobs:\n  nap: {run: [sleep, \"0.3\"], memory: 16MiB}\n");
    assert_eq!(project.xtask(&["ci"]).run().code(), 0);
    let plan = project.xtask(&["ci", "plan"]).run();
    let line = plan.stdout.lines().find(|line| line.starts_with("nap ")).unwrap().to_owned();
    let history = std::fs::read_to_string(project.state().join("history.jsonl")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(history.lines().next().unwrap()).unwrap();
    let took = Duration::from_millis(entry["duration-ms"].as_u64().unwrap());
    let expected = format!(" {} ", drydock_base::units::human(took));
    assert!(took >= Duration::from_millis(300) && line.contains(&expected), "{expected}: {line}");
    assert!(!line.contains("16 MiB"), "the reservation is learned from the peak: {line}");
}

/// The figure of each containment agrees with that of the shell, and sleeping jobs use none.
#[test]
fn cpu_time_is_that_of_the_kernel() {
    let busy =
        "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; (i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done); times";
    let yaml = format!(
        "jobs:\n  busy: {{run: [sh, -c, {busy:?}], memory: 16MiB}}\n  nap: {{run: [sleep, \"0.3\"], memory: 16MiB}}\n"
    );
    let project = crate::support::Project::new().jobs(&yaml);
    let mut measured = 0;
    for containment in ["none", "v1", "v2"] {
        let code = project.xtask(&["ci", "--containment", containment]).run().code();
        if containment != "none" && code == 4 {
            continue;
        }
        assert_eq!(code, 0, "{containment}");
        measured += 1;
        let latest = project.state().join("runs/latest");
        let run: serde_json::Value = serde_json::from_slice(&std::fs::read(latest.join("run.json")).unwrap()).unwrap();
        let cpu = |job: usize| run["jobs"][job]["attempts"][0]["cpu-ms"].as_f64().unwrap() / 1000.0;
        let log = std::fs::read_to_string(latest.join("jobs/busy/1/log")).unwrap();
        let seconds = |word: &str| {
            let (minutes, seconds) = word.trim_end_matches('s').split_once('m').unwrap();
            minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
        };
        let own: f64 = log.split_whitespace().map(seconds).sum();
        assert!(own > 0.1 && (cpu(0) - own).abs() < 0.05 + own / 10.0, "{containment}: {} s and {own} s", cpu(0));
        assert!(cpu(1) < 0.1, "{containment}: {} s", cpu(1));
        // The same figure in all that is kept or shown.
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        let ms = run["jobs"][0]["attempts"][0]["cpu-ms"].as_u64().unwrap();
        let property = format!("<property name=\"cpu-seconds busy\" value=\"{:.3}\"", cpu(0));
        assert!(read(latest.join("junit.xml")).contains(&property), "{containment}: no {property}");
        let cell = format!("data-v={ms}");
        let html = read(latest.join("report.html"));
        assert!(html.contains(&cell) && html.contains(" of CPU time"), "{containment}: no {cell}");
        let line = format!("\"cpu-ms\":{ms},");
        assert!(read(project.state().join("history.jsonl")).contains(&line), "{containment}: no {line}");
    }
    assert!(measured > 0);
}
