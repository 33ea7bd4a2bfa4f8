//! Suites that start valgrind themselves: evidence in, verdict out.

use crate::evidence::{End, Evidence, Finding, KillIntent, KillReason, SuiteEvidence, ValgrindEvidence};
use crate::outcome::{Verdict, judge};
use drydock_valgrind::tool::Tool;

/// A suite with this exit code, of which so many processes left a complete log with so many findings.
fn suite(code: i32, complete: u64, findings: u64) -> Evidence {
    let first = vec![Finding { kind: "InvalidRead".into(), ..Finding::default() }; usize::try_from(findings).unwrap()];
    Evidence {
        suite: Some(Box::new(SuiteEvidence { tool: Tool::Memcheck, ..SuiteEvidence::default() })),
        valgrind: Some(Box::new(ValgrindEvidence { complete, findings, first, ..ValgrindEvidence::default() })),
        ..Evidence::new(End::Exited { code })
    }
}

fn with(evidence: Evidence, change: impl FnOnce(&mut SuiteEvidence, &mut ValgrindEvidence)) -> Evidence {
    let mut evidence = evidence;
    if let (Some(suite), Some(valgrind)) = (&mut evidence.suite, &mut evidence.valgrind) {
        change(suite, valgrind);
    }
    evidence
}

#[track_caller]
fn check(evidence: &Evidence, outcome: &str, reason: &str) -> Verdict {
    let verdict = judge(evidence);
    assert_eq!(verdict.outcome.word(), outcome, "{verdict:#?}");
    assert!(verdict.reasons.iter().any(|why| why.contains(reason)), "{verdict:#?}");
    verdict
}

#[test]
fn its_own_exit_code_and_the_findings_are_one_verdict() {
    check(&suite(0, 3, 0), "passed", "exit code 0");
    check(&suite(0, 3, 2), "findings", "2 errors");
    check(&suite(7, 3, 2), "findings", "exit code 7");
    check(&suite(7, 3, 0), "failed", "exit code 7");
    // A wrapped program that fails with findings of its own is a failure.
    check(&Evidence { suite: None, ..suite(7, 3, 2) }, "failed", "exit code 7");
    let intent = Some(KillIntent { reason: KillReason::Timeout, at: 0, escalated: false });
    check(&Evidence { intent, ..suite(7, 3, 2) }, "timed-out", "valgrind also found");
    check(&Evidence { end: End::Signaled { signal: 11, core: false }, ..suite(0, 3, 2) }, "crashed", "SIGSEGV");
}

#[test]
fn what_was_not_checked_is_no_pass() {
    let none = check(&suite(0, 0, 0), "failed", "none of its processes ran under memcheck");
    assert!(none.advice.is_some_and(|advice| advice.contains("VALGRIND_OPTS")));
    let cut = with(suite(0, 0, 0), |_, valgrind| valgrind.incomplete.push("memcheck.1.xml: it is cut".into()));
    check(&cut, "failed", "of 1 processes under valgrind none was checked to its end");
    let unlogged = with(suite(0, 3, 0), |suite, _| suite.unlogged.push("d: --xml=no".into()));
    check(&unlogged, "failed", "d: --xml=no");
    let destroyed = with(suite(0, 3, 0), |_, valgrind| {
        valgrind.destroyed.insert("memcheck.7".into(), "memcheck.7.xml: it is missing".into());
    });
    check(&destroyed, "failed", "memcheck.7.xml: it is missing");
    // Findings weigh more, and what was not checked is said with them.
    check(
        &with(suite(0, 3, 1), |suite, _| suite.unlogged.push("d: --xml=no".into())),
        "findings",
        "not checked: d: --xml=no",
    );
}

#[test]
fn what_the_suite_leaves_out_is_said_with_a_pass() {
    let native = with(suite(0, 3, 0), |suite, valgrind| {
        suite.native.insert("cli".into(), 3);
        suite.other_tools.insert("d (callgrind)".into(), 1);
        suite.without_log.insert("memcheck.7".into(), "e has none".into());
        suite.without_log.insert("memcheck.8".into(), "f has none".into());
        valgrind.incomplete.push("memcheck.9.xml: it is cut".into());
        suite.leave_out(&[("memcheck.8".into(), "memcheck.8.xml: it is missing".into())].into());
    });
    let verdict = check(&native, "passed", "not checked: without valgrind: cli (3 processes)");
    let unchecked: Vec<&str> = verdict.reasons.iter().filter_map(|why| why.strip_prefix("not ")).collect();
    assert_eq!(
        unchecked,
        [
            "completely checked: memcheck.9.xml: it is cut",
            "checked: e has none",
            "checked: under another tool of valgrind: d (callgrind)",
            "checked: without valgrind: cli (3 processes)",
        ]
    );
}
