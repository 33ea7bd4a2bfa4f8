//! Suites that start valgrind themselves: what they find, what they cost and how their jobs are handled is the same as with
//! jobs that Drydock wraps.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::{ends, findings, id_of, job_of, kinds_of, programs, ready, reasons_of, run_json, words};
use crate::support::{Project, RunJson, text};

/// The number of jobs of the benchmark `ceiling`, whose sizes the jobs here have.
const SIZES: usize = 60;
/// The number of jobs unless `DRYDOCK_TEST_BY_SUITE` says another: each defect twice. Each job is started three times, and it is
/// valgrind's start that takes the time.
const JOBS: usize = 24;
/// Peaks differ by no more than this.
const TOLERANCE: f64 = 0.05;
/// The job's fields for a suite.
const BY_SUITE: &str = "tool: memcheck, valgrind: by-suite";
const HEAD: &str = "tools: {memcheck: {args: [--leak-check=full], suppressions: [ci/project.supp]}}";

/// The program of the benchmark `ceiling`, each third one with a defect that depends on its number.
fn ballast() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = r#"
#define main ballast
#include "ballast.c"
#undef main
static int hidden;
void lose_a_peer(void) { char *volatile peer = malloc(37); peer[0] = 1; peer = NULL; }
void read_behind(void) { char *volatile block = malloc(8); hidden += block[8]; free(block); }
void use_undefined(void) { int *volatile word = malloc(4); if (*word == 7) hidden++; free(word); }
void free_twice(void) { char *volatile block = malloc(8); free(block); free(block); }
int main(int argc, char **argv)
{
	switch (atoi(argv[1]) % 12) {
	case 1: lose_a_peer(); break;
	case 4: read_behind(); break;
	case 7: use_undefined(); lose_a_peer(); break;
	case 10: free_twice(); break;
	}
	return ballast(argc - 1, argv + 1);
}
"#;
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures-by-suite");
        fs::create_dir_all(&directory).unwrap();
        let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/support");
        let file = tempfile::Builder::new().suffix(".c").tempfile_in(&directory).unwrap();
        fs::write(file.path(), source).unwrap();
        let new = tempfile::Builder::new().tempfile_in(&directory).unwrap().into_temp_path();
        let gcc = ["-g", "-O0", "-w", "-fno-builtin", "-I", &text(&include), "-o"];
        assert!(Command::new("gcc").args(gcc).arg(&new).arg(file.path()).status().unwrap().success());
        new.persist(directory.join("ballast")).unwrap();
        directory.join("ballast")
    })
}

/// The arguments of one of the jobs: its number, the size of its table in MiB, and its rounds.
fn arguments(number: usize) -> [String; 3] {
    [number, 1 + number * 37 % SIZES, 500].map(|value| value.to_string())
}

fn many(count: usize, tool: &str, run: impl Fn(&[String; 3]) -> String) -> Project {
    let mut yaml = format!("defaults: {{memory: 250MiB}}\n{HEAD}\njobs:\n");
    for number in 0..count {
        yaml.push_str(&format!("  j{number:02}: {{run: {}, {tool}}}\n", run(&arguments(number))));
    }
    with_ballast(&yaml)
}

fn with_ballast(yaml: &str) -> Project {
    let project = Project::new().file("ci/project.supp", "").jobs(yaml);
    fs::copy(ballast(), project.path().join("ballast")).unwrap();
    project
}

/// Runs all jobs, of which some have findings.
fn run(project: &Project) -> (Value, RunJson) {
    ends(&project.xtask(&["ci", "-j", "2", "--no-progress"]).limit(Duration::from_secs(1200)).run(), 1);
    (run_json(project), RunJson::latest(&project.state()).unwrap())
}

/// The causes by their ids, each with its place and the jobs that have it.
fn causes(run: &Value) -> BTreeMap<String, (String, Vec<String>)> {
    let cause = |finding: Value| {
        let field = |name: &str| finding[name].as_str().unwrap().to_owned();
        (field("id"), (format!("{} at {}", field("kind"), field("place")), words(&finding["jobs"])))
    };
    findings(run).into_iter().map(cause).collect()
}

fn peaks(run: &RunJson) -> BTreeMap<String, f64> {
    run.jobs.iter().map(|job| (job.name.clone(), job.attempts[0].peak.unwrap() as f64)).collect()
}

#[test]
fn many_jobs_find_and_cost_the_same_wrapped_and_by_suites() {
    if !ready() {
        return;
    }
    let count = std::env::var("DRYDOCK_TEST_BY_SUITE").map_or(JOBS, |count| count.parse().unwrap());
    let quoted = |words: &[String]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let wrapped = many(count, "tool: memcheck", |arguments| format!("[./ballast, {}]", quoted(arguments)));
    let script = "valgrind -q --error-exitcode=7 --log-file=/dev/null ./ballast \"$@\" || true";
    let suites = many(count, BY_SUITE, |arguments| format!("[sh, -c, {script:?}, suite, {}]", quoted(arguments)));
    let all: String = (0..count).map(|number| format!("one {}\n", arguments(number).join(" "))).collect();
    let script = format!("#!/bin/sh\none() {{ valgrind -q ./ballast \"$@\"; }}\n{all}exit 0\n");
    let yaml = format!("{HEAD}\njobs:\n  all: {{run: [sh, suite.sh], timeout: 20m, {BY_SUITE}}}\n");
    let suite = with_ballast(&yaml).file("suite.sh", &script);

    let [(wrapped, wrapped_jobs), (suites, suites_jobs), (suite, suite_jobs)] = [&wrapped, &suites, &suite].map(run);
    let expected = causes(&wrapped);
    assert_eq!(expected.len(), 4, "{expected:#?}");
    assert_eq!(expected.values().map(|(_, jobs)| jobs.len()).sum::<usize>(), count / 12 * 5);
    assert_eq!(causes(&suites), expected, "the same causes in the same jobs");
    let ids = |causes: BTreeMap<String, (String, Vec<String>)>| {
        causes.into_iter().map(|(id, (what, _))| (id, what)).collect::<BTreeSet<_>>()
    };
    assert_eq!(ids(causes(&suite)), ids(expected), "the same causes in one job");
    for (one, other) in wrapped_jobs.jobs.iter().zip(&suites_jobs.jobs) {
        let outcome = |job: &crate::support::JobJson| job.outcome.as_ref().unwrap().to_string();
        assert_eq!((&one.name, outcome(one)), (&other.name, outcome(other)));
    }
    println!("containment {}", wrapped_jobs.containment);
    if wrapped_jobs.containment == "none" {
        // Sampled peaks depend on the moments of the samples.
        return;
    }
    let (expected, found) = (peaks(&wrapped_jobs), peaks(&suites_jobs));
    let off = |name: &String, peak: f64| (found[name] / peak - 1.0).abs();
    let worst = expected.iter().map(|(name, peak)| (off(name, *peak), name)).max_by(|a, b| a.0.total_cmp(&b.0));
    println!("peaks differ by at most {worst:?}");
    assert!(worst.as_ref().is_some_and(|(off, _)| *off <= TOLERANCE), "{worst:?}");
    let highest = |peaks: &BTreeMap<String, f64>| peaks.values().copied().fold(0.0, f64::max);
    let (one, many) = (highest(&peaks(&suite_jobs)), highest(&expected));
    println!("the suite's peak is {:.3} of the highest of its processes", one / many);
    assert!((one / many - 1.0).abs() <= TOLERANCE, "{one} {many}");
}

/// A project whose suite is this shell script, beside the program `memory`.
fn suite(head: &str, tool: &str, script: &str) -> Project {
    project_in(Project::new(), head, tool, script)
}

fn project_in(project: Project, head: &str, tool: &str, script: &str) -> Project {
    let project = project
        .file("ci/project.supp", "")
        .file("suite.sh", script)
        .jobs(&format!("{head}\njobs:\n  suite: {{run: [sh, suite.sh], {tool}}}\n"));
    fs::copy(programs().join("memory"), project.path().join("memory")).unwrap();
    project
}

#[test]
fn a_finding_of_a_suite_is_explained_reported_suppressed_and_run_again() {
    if !ready() {
        return;
    }
    let project = suite(HEAD, BY_SUITE, "valgrind -q --error-exitcode=7 ./memory fork-leak\n");
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, 1);
    let run = run_json(&project);
    assert_eq!(job_of(&run, "suite")["outcome"]["kind"], "findings");
    assert_eq!(kinds_of(&run, "suite"), ["Leak_DefinitelyLost"]);
    let id = findings(&run)[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(id_of(&run, "Leak_DefinitelyLost", findings(&run)[0]["place"].as_str().unwrap()), id);

    let explained = project.xtask(&["ci", "explain", "suite"]).run();
    ends(&explained, 0);
    for words in [&id, "memcheck, which the command starts itself", "the suite ended by itself with exit code 7"] {
        assert!(explained.stdout.contains(words), "{}", explained.stdout);
    }
    for report in ["report.html", "junit.xml", "summary.txt"] {
        let report = fs::read_to_string(project.state().join("runs/latest").join(report)).unwrap();
        assert!(report.contains("Leak_DefinitelyLost"), "{report}");
    }

    ends(&project.xtask(&["ci", "suppress", &id, "--reason", "a test", "--author", "A Tester"]).run(), 0);
    ends(&project.xtask(&["ci", "rerun", "--no-progress"]).run(), 0);
    let run = run_json(&project);
    assert_eq!(job_of(&run, "suite")["result"], "passed");
    ends(&project.xtask(&["ci", "suppressions", "--fail-on-unused", "--fail-on-expired"]).run(), 0);

    // A suppression that no process of the suite needs any more is listed, unless valgrind does not count.
    for (options, is_listed) in [("", true), ("-q", false)] {
        fs::write(project.path().join("suite.sh"), format!("valgrind {options} ./memory nothing\n")).unwrap();
        let finished = project.xtask(&["ci", "--no-progress"]).run();
        ends(&finished, 0);
        let listed = finished.stdout.contains("1 suppression suppressed nothing");
        assert_eq!(listed, is_listed, "{options}: {}", finished.stdout);
    }
}

#[test]
fn paths_with_blanks_reach_valgrind() {
    if !ready() {
        return;
    }
    let suppression = "{\n   known\n   Memcheck:Leak\n   fun:malloc\n   ...\n}\n";
    let head = "tools: {memcheck: {args: [--leak-check=full], suppressions: [\"ci/a file.supp\"]}}";
    let outer = tempfile::Builder::new().prefix("drydock with blanks ").tempdir().unwrap();
    let project = project_in(Project::within(outer.path()), head, BY_SUITE, "valgrind -q ./memory invalid-read\n")
        .file("ci/a file.supp", "");
    let ci = || project.xtask(&["ci", "--no-progress"]).run();
    let scripts = [("fork-leak", "", 1), ("fork-leak", suppression, 0)];
    for (what, suppressions, code) in scripts {
        fs::write(project.path().join("suite.sh"), format!("valgrind -q ./memory {what}\n")).unwrap();
        fs::write(project.path().join("ci/a file.supp"), suppressions).unwrap();
        ends(&ci(), code);
    }
    fs::write(project.path().join("suite.sh"), "env -i /usr/bin/valgrind -q ./memory fork-leak\n").unwrap();
    ends(&ci(), 1);
    assert!(reasons_of(&run_json(&project), "suite").contains("did not pass VALGRIND_OPTS on"));
}

#[test]
fn suites_profile_the_heap() {
    if !ready() {
        return;
    }
    for (name, more, code) in [("massif", "", 0), ("massif", ", heap: {limit: 4B}", 1), ("dhat", "", 0)] {
        let tool = &format!("tool: {name}, valgrind: by-suite{more}");
        let script = &format!("for what in nothing fork-leak; do valgrind -q --tool={name} ./memory $what; done\n");
        let project = suite("", tool, script);
        let finished = project.xtask(&["ci", "--no-progress"]).run();
        ends(&finished, code);
        let explained = project.xtask(&["ci", "explain", "suite"]).run();
        assert!(explained.stdout.contains("heap     "), "{tool}: {}", explained.stdout);
    }
    // A profiler that the suite does not run, and one whose file goes elsewhere.
    for (script, why) in [
        ("valgrind -q ./memory nothing\n", "massif left no file that can be read"),
        (
            "valgrind -q --tool=massif --massif-out-file=own ./memory nothing\n",
            "its command line has --massif-out-file=own",
        ),
    ] {
        let project = suite("", "tool: massif, valgrind: by-suite", script);
        ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
        let reasons = reasons_of(&run_json(&project), "suite");
        assert!(reasons.contains(why), "{reasons}");
    }
}

#[test]
fn tune_memory_tries_options_on_a_suite() {
    if !ready() {
        return;
    }
    let head = "tools: {memcheck: {args: [--leak-check=full, --track-origins=yes]}}";
    let project = suite(head, BY_SUITE, "valgrind -q ./memory nothing\n");
    let finished = project.xtask(&["ci", "tune-memory", "suite"]).limit(Duration::from_secs(600)).run();
    ends(&finished, 0);
    let said = &finished.stdout;
    let line = said.lines().find(|line| line.starts_with("--track-origins=no ")).unwrap_or_default();
    assert!(line.contains(" MiB ") && said.contains("9 of 9 seeded bugs found"), "{said}");
}

/// Jobs that were not checked to their end for different reasons need different remedies.
#[test]
fn what_was_not_checked_is_grouped_by_its_reason() {
    if !ready() {
        return;
    }
    let suite = |line: &str| format!("{{run: [sh, -c, '{line}; true'], tool: memcheck, valgrind: by-suite}}");
    let project = Project::new().jobs(&format!(
        "jobs:\n  redirected: {}\n  unknown: {}\n  absent: {}\n",
        suite("VALGRIND_OPTS=\"$VALGRIND_OPTS --xml=no\" valgrind -q true"),
        suite("valgrind --no-such-option true"),
        suite("valgrind --suppressions=absent.supp true"),
    ));
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, 1);
    let said = &finished.stdout;
    assert!(said.contains("2 causes, 3 jobs"), "{said}");
    assert!(
        said.contains("gave up before it had checked one of its programs\n    2 jobs: unknown, absent\n"),
        "{said}"
    );
    assert!(said.contains("did not get all that valgrind found\n    1 job: redirected\n"), "{said}");
}
