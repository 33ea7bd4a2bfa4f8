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
    is("1..0 # skip\n", "skipped: its plan is `1..0`, without a reason", "none");
    is("1..1 # skip no net\nok 1\n", "", "1 passed");
    for protocol in [Protocol::MesonTap, Protocol::ProveTap] {
        let rules = TestRules { protocol, ..TestRules::default() };
        let broken = read(&rules, 0, "1..1 # skip no net\nok 1\n").broken;
        assert_eq!(broken.as_deref(), Some("its plan is to run tests, and to skip all of them"));
    }
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
    let rules = TestRules { skip_exit: vec![0], ..TestRules::default() };
    assert_eq!(read(&rules, 0, "").skipped.as_deref(), Some("exit code 0"));
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

#[track_caller]
fn lists(output: &str, expected: &[(&str, char)]) {
    let letter = |result| match result {
        CaseResult::Passed => 'P',
        CaseResult::Failed => 'F',
        CaseResult::Skipped => 'S',
    };
    let listed = cases::cases(Protocol::None, output);
    let got: Vec<(&str, char)> = listed.iter().map(|case| (case.name.as_str(), letter(case.result))).collect();
    assert_eq!(got, expected, "{output}");
}

#[test]
fn tests_of_runners_are_listed() {
    lists(
        "running 3 tests\ntest a::b ... ok\ntest c - should panic ... \u{1b}[31mFAILED\u{1b}[m\ntest d ... ignored, no net\n\n\
         test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n",
        &[("a::b", 'P'), ("c - should panic", 'F'), ("d", 'S')],
    );
    lists(
        "        PASS [   0.004s] (1/3) small tests::unit\n  TRY 1 FAIL [   0.004s] small::it again\n\
         \x20 TRY 2 PASS [   0.004s] small::it again\n     SIGABRT [   0.1s] (3/3) small tests::dies\n\
         \x20    Summary [   0.2s] 3 tests run: 2 passed, 1 failed, 0 skipped\n",
        &[("small tests::unit", 'P'), ("small::it again", 'P'), ("small tests::dies", 'F')],
    );
    lists(
        "    Start 1: a\n1/4 Test #1: a .................   Passed    0.01 sec\n2/4 Test #2: b c ...............***Failed    0.01 sec\n\
         3/4 Test #3: d ................***Not Run (Disabled)   0.00 sec\n4/4 Test #4: e ......***Exception: SegFault  0.09 sec\n\
         50% tests passed, 2 tests failed out of 4\n",
        &[("a", 'P'), ("b c", 'F'), ("d", 'S'), ("e", 'F')],
    );
    lists(
        "t/x.py::test_a PASSED     [ 33%]\nt/x.py::test_p[b c] SKIPPED (no net) [ 66%]\nt/x.py::test_z XFAIL [100%]\n\
         FAILED t/x.py::test_y - assert 0\n=== 1 failed, 1 passed, 1 skipped, 1 xfailed in 0.01s ===\n",
        &[("t/x.py::test_a", 'P'), ("t/x.py::test_p[b c]", 'S'), ("t/x.py::test_z", 'P'), ("t/x.py::test_y", 'F')],
    );
    lists(
        "t/a.t .. ok\nt/bb.t .. skipped: no\nt/c.t ... Failed 1/2 subtests\nFiles=3, Tests=3,  0 wallclock secs\nResult: FAIL\n",
        &[("t/a.t", 'P'), ("t/bb.t", 'S'), ("t/c.t", 'F')],
    );
    lists("PASS: a\nXFAIL: b\nERROR: c\nSKIP: d\n# TOTAL: 4\n", &[("a", 'P'), ("b", 'P'), ("c", 'F'), ("d", 'S')]);
    lists(
        " 1/3 net / plain        OK              0.01s\n 2/3 b c     EXPECTEDFAIL    0.01s   exit status 1\n\
         3/3 d   TIMEOUT  30.01s   killed by signal 15 SIGTERM\nOk:                 1   \nTimeout:            1   \n",
        &[("net / plain", 'P'), ("b c", 'P'), ("d", 'F')],
    );
    lists(
        "test_a (m.T.test_a) ... ok\ntest_b (m.T.test_b) ... skipped 'x'\ntest_c (m.T.test_c) ... FAIL\nRan 3 tests in 0.000s\n",
        &[("test_a (m.T.test_a)", 'P'), ("test_b (m.T.test_b)", 'S'), ("test_c (m.T.test_c)", 'F')],
    );
    lists(
        "[ RUN      ] S.A\n[       OK ] S.A (0 ms)\n[  FAILED  ] P/S.B/1, where GetParam() = 3 (2 ms)\n\
         [==========] 2 tests from 2 test suites ran. (3 ms total)\n[  FAILED  ] P/S.B/1, where GetParam() = 3\n",
        &[("S.A", 'P'), ("P/S.B/1", 'F')],
    );
    // Lines that only look like those of a runner are not tests without its report.
    lists("PASS: a\ntest b ... ok\n", &[]);
}

#[test]
fn a_job_of_several_tests_has_subtests() {
    let output = "test a ... ok\ntest b ... FAILED\ntest c ... ignored\n\n\
                  test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out\n";
    let subtests = read(&TestRules::default(), 101, output).subtests.unwrap();
    assert_eq!(
        (subtests.describe(), subtests.failures),
        ("1 passed, 1 failed, 1 skipped".into(), vec!["b".to_owned()])
    );
    // One test of a program, as a suite lists them, has none.
    let one = TestRules { protocol: Protocol::Libtest, ..TestRules::default() };
    let output = "test a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
    assert_eq!(read(&one, 0, output), TestEvidence::default());
}

#[test]
fn what_was_dropped_from_a_log_is_no_pass() {
    let cut = format!("1{CUT}16 KiB");
    let meson = TestRules { protocol: Protocol::MesonTap, ..TestRules::default() };
    let expression = TestRules { fail: vec!["ERR".to_owned()], ..TestRules::default() };
    for (rules, output, fails) in [
        (&meson, format!("1..2\nok 1\n{cut}\nok 2\n"), false),
        (&meson, format!("ok 1\n{cut}\nok 2\n"), true),
        (&meson, "ok 1\nok 2\n".to_owned(), false),
        (&expression, cut.clone(), true),
        (&expression, "fine".to_owned(), false),
    ] {
        let evidence = read(rules, 0, &output);
        assert_eq!(evidence.failed.is_some_and(|why| why.contains("log-limit")), fails, "{output}");
    }
}
