//! Outputs of real runners, and what they mean.

use super::*;

#[track_caller]
fn check(output: &str, expected: Option<(u64, u64)>) {
    assert_eq!(reports::read(output).map(|report| (report.ran, report.skipped)), expected, "{output}");
}

#[test]
fn reports_of_runners_are_counted() {
    let libtest = |passed, ignored| {
        format!(
            "\nrunning 0 tests\n\ntest result: ok. {passed} passed; 0 failed; {ignored} ignored; 0 measured; 9 filtered out; \
             finished in 0.00s\n"
        )
    };
    check(&libtest(0, 0), Some((0, 0)));
    check(&format!("{}{}", libtest(0, 0), libtest(2, 1)), Some((2, 1)));
    check(
        "\u{1b}[32;1mtest result: \u{1b}[0mok. 0 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out",
        Some((0, 0)),
    );
    check("     Summary [   0.001s] 0 tests run: 0 passed, 3 skipped\n", Some((0, 0)));
    check("     Summary [   0.001s] 1 test run: 1 passed, 3 skipped\n", Some((1, 0)));
    check("No tests were found!!!\n", Some((0, 0)));
    check("100% tests passed, 0 tests failed out of 23\n", Some((23, 0)));
    check("===== no tests ran in 0.01s =====\n", Some((0, 0)));
    check("1 skipped in 0.01s\n", Some((0, 1)));
    check("==== 1 failed, 2 passed, 1 skipped, 1 xfailed in 63.10s (0:01:03) ====\n", Some((4, 1)));
    check("3 deselected in 0.00s", Some((0, 0)));
    check("Files=0, Tests=0,  0 wallclock secs\nResult: NOTESTS\n", Some((0, 0)));
    check("Files=2, Tests=5,  0 wallclock secs ( 0.01 usr +  0.00 sys =  0.01 CPU)", Some((5, 0)));
    check("# TOTAL: 0\n# PASS:  0\n", Some((0, 0)));
    check("No tests defined.\n", Some((0, 0)));
    check("Ok:                 0   \nExpected Fail:      0   \nSkipped:            2   \n", Some((0, 2)));
    check("Ran 0 tests in 0.000s\n\nOK\n", Some((0, 0)));
    check("[==========] 0 tests from 0 test suites ran. (0 ms total)\n", Some((0, 0)));
    check("testing: warning: no tests to run\nPASS\n", Some((0, 0)));
    check("100%: Checks: 3, Failures: 0, Errors: 0\n", Some((3, 0)));
    check("# tests 0\n# pass 0\n", Some((0, 0)));
    // Ordinary words are not reports.
    check("compiled 3 files in 0.2s\nfinished in 3s\nOk: 3\nRan away\n", None);
}

/// Reads an output by rules; the exit code is 0.
fn read(rules: &TestRules, code: i32, output: &str) -> TestEvidence {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), output).unwrap();
    TestEvidence::read(rules, Some(code), 0, file.path()).unwrap_or_default()
}

#[test]
fn tap_is_read() {
    let tap = TestRules { protocol: Protocol::Tap, ..TestRules::default() };
    let said = |output: &str| {
        let evidence = read(&tap, 0, output);
        let word = [
            ("failed", &evidence.failed),
            ("broken", &evidence.broken),
            ("skipped", &evidence.skipped),
            ("nothing", &evidence.nothing),
        ];
        let word = word.into_iter().find_map(|(word, why)| Some(format!("{word}: {}", why.as_ref()?)));
        (word.unwrap_or_default(), evidence.subtests.unwrap().describe())
    };
    let is = |output: &str, word: &str, subtests: &str| assert_eq!(said(output), (word.into(), subtests.into()));
    is("1..2\nok 1 - a\nok 2 - b\n", "", "2 passed");
    is("TAP version 13\nok 1\n# words\nnot ok 2 - b # TODO later\n1..2\n", "", "2 passed");
    is("ok 1 # SKIP no net\nok 2\n1..2\n", "", "1 passed, 1 skipped");
    is("ok 1 # skip no net\n1..1\n", "skipped: it skipped all of its 1 TAP tests", "1 skipped");
    is("1..0 # SKIP no python\n", "skipped: its plan is `1..0`: no python", "none");
    is("1..0\n", "skipped: its plan is `1..0`, without a reason", "none");
    is("words\n", "nothing: it printed no TAP test", "none");
    is("1..2\nok 1\nnot ok 2 - b\n", "failed: 1 of 2 TAP tests failed, such as `2 - b`", "1 passed, 1 failed");
    is("1..3\nok 1\n", "broken: it planned 3 TAP tests and ran 1", "1 passed");
    is("ok 1\n", "broken: it ran 1 TAP tests without a plan (`1..1`)", "1 passed");
    is("1..1\nok 1\nBail out! no disk\n", "broken: it bailed out: no disk", "1 passed");
    is(
        "ok 1\nok 2 # todo later\n1..2\n",
        "failed: 1 of 2 TAP tests failed, such as `2 (to be done, and passed)`",
        "1 passed, 1 failed",
    );
    is("1..2\nok 2\nok 1\n", "broken: its TAP test 1 has the number 2", "2 passed");
    // Subtests are indented, and words that only begin like a test are not one.
    is("    not ok 1 - inner\nok 1 - outer\nokay\n1..1\n", "", "1 passed");
}

#[test]
fn rules_decide_by_code_and_by_text() {
    let list = |text: &str| vec![text.to_owned()];
    let rules = TestRules { skip_exit: vec![77], ..TestRules::default() };
    assert_eq!(read(&rules, 77, "").skipped.as_deref(), Some("exit code 77"));
    let rules =
        TestRules { pass: list("all good"), fail: list("ERR[0-9]"), skip: list("no gpu"), ..TestRules::default() };
    assert!(read(&rules, 1, "x\nall good\n").passed.is_some());
    assert_eq!(read(&rules, 0, "x").failed.as_deref(), Some("no pass expression matches its output"));
    assert!(read(&rules, 0, "all good\nERR7\n").failed.is_some());
    assert_eq!(read(&rules, 0, "no gpu here").skipped.as_deref(), Some("it printed `no gpu`"));
    let rules = TestRules { expect_output: Some("^[1-9][0-9]* checks".into()), ..TestRules::default() };
    assert!(read(&rules, 0, "0 checks\n").failed.is_some());
    assert!(read(&rules, 0, "12 checks\n").failed.is_none());
    let nothing = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n";
    assert!(read(&TestRules::default(), 0, nothing).nothing.is_some());
    assert!(read(&TestRules { allow_no_tests: true, ..TestRules::default() }, 0, nothing).nothing.is_none());
    let one = TestRules { protocol: Protocol::Libtest, ..TestRules::default() };
    assert!(read(&one, 0, "words").nothing.is_some());
    assert!(read(&one, 0, &nothing.replace("0 ignored", "1 ignored")).skipped.is_some());
}
