//! What of a run is in the file, and the limits of GitHub.

use super::{LARGEST, MOST_RESULTS, render, uri};
use crate::event::JobResult;
use crate::evidence::{Finding, ValgrindEvidence};
use crate::outcome::Outcome;
use crate::report::html::tests::{begin, end, frame, plan, record};
use crate::report::tests::with_input;
use crate::run::Run;
use drydock_valgrind::stack::Frame;
use drydock_valgrind::tool::Tool;
use serde_json::{Value, json};

fn sarif(run: &Run) -> Value {
    let bytes = with_input(run, |input| render(input).unwrap());
    assert!(bytes.len() <= LARGEST);
    serde_json::from_slice(&bytes).unwrap()
}

fn run(jobs: usize, finding: impl Fn(usize) -> Finding) -> Run {
    let names: Vec<String> = (0..jobs).map(|number| format!("j{number}")).collect();
    let mut plan = plan(&names.iter().map(String::as_str).collect::<Vec<_>>());
    plan.jobs.iter_mut().for_each(|job| job.tool_mut().kind = Tool::Memcheck);
    let mut run = Run::new(plan);
    begin(&mut run, 0, false);
    for job in 0..jobs {
        let mut failed = record(Outcome::Findings { count: 1 }, 0, 10);
        let first = vec![finding(job)];
        failed.evidence.valgrind =
            Some(Box::new(ValgrindEvidence { findings: 1, first, ..ValgrindEvidence::default() }));
        end(&mut run, job, failed, Some(JobResult::Failed));
    }
    run
}

fn at(function: &str, line: u32) -> Frame {
    Frame { directory: Some("/p/src".into()), line: Some(line), ..frame(function) }
}

fn leak(stack: Vec<Frame>) -> Finding {
    let place = stack.first().map(Frame::describe).unwrap_or_default();
    Finding { kind: "Leak_DefinitelyLost".into(), what: "8 bytes lost".into(), place, stack, ..Finding::default() }
}

#[test]
fn a_cause_is_one_result_whose_fingerprint_stays_the_same() {
    let of_lines = |lines: [u32; 2]| {
        let run = run(3, |job| leak(vec![at("new_peer", lines[job % 2]), at(&format!("test_{job}"), 9)]));
        sarif(&run)["runs"][0].clone()
    };
    let first = of_lines([10, 20]);
    assert_eq!(first["results"].as_array().unwrap().len(), 1);
    let result = &first["results"][0];
    assert_eq!(result["ruleId"], "memcheck/Leak_DefinitelyLost");
    assert_eq!((&result["level"], &result["ruleIndex"]), (&json!("error"), &json!(0)));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"], json!({"uri": "src/a.c", "uriBaseId": "%SRCROOT%"}));
    assert_eq!(place["region"]["startLine"], 10);
    let related = result["relatedLocations"].as_array().unwrap();
    assert_eq!(related.len(), 2, "the other line, and the callers, which are in one line: {related:#?}");
    assert_eq!(result["properties"]["job-count"], 3);
    let moved = of_lines([110, 120]);
    assert_eq!(moved["results"][0]["partialFingerprints"], result["partialFingerprints"]);
}

#[test]
fn a_finding_outside_of_the_repository_has_a_place_in_it() {
    let run = run(1, |_| leak(vec![Frame { object: Some("/usr/lib/libc.so".into()), ..Frame::default() }]));
    let place = &sarif(&run)["runs"][0]["results"][0]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "ci/jobs.yaml");
}

#[test]
fn a_run_without_findings_closes_old_alerts() {
    let file = sarif(&Run::new(plan(&["a"])));
    assert_eq!(file["runs"].as_array().unwrap().len(), 1);
    assert_eq!(file["runs"][0]["results"], json!([]));
}

#[test]
fn very_many_findings_stay_within_the_limits_of_github() {
    let long = |job: usize| (0..24).map(|number| at(&format!("{}_{job}_{number}", "f".repeat(700)), 1)).collect();
    for (jobs, finding, results) in [
        (700, &(|job| leak(long(job))) as &dyn Fn(usize) -> Finding, 700),
        (MOST_RESULTS + 1, &|job| leak(vec![at(&format!("f{job}"), 1)]), MOST_RESULTS),
    ] {
        let file = sarif(&run(jobs, finding));
        let run = &file["runs"][0];
        assert_eq!(run["results"].as_array().unwrap().len(), results);
        assert_eq!(run["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().len(), 1, "{jobs}");
        assert_eq!(run["results"][0]["stacks"].is_null(), jobs == 700);
    }
}

#[test]
fn paths_are_references() {
    assert_eq!(uri("a b/ü%:c?#.c"), "a%20b/%C3%BC%25%3Ac%3F%23.c");
}
