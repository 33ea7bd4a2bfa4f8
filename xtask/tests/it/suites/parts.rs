//! Lists that are made while a run goes on, properties of single items, and runs that end between the parts.

use std::time::Duration;

use super::{agree, results};
use crate::support::Project;
use rustix::process::Signal;

#[test]
fn what_a_suite_does_not_say_of_single_tests_is_declared_in_a_file() {
    let script = |text: &str| format!("#!/bin/sh\n{text}\n");
    let project = Project::new()
        .file("t/fails.sh", &script("exit 3"))
        .file("t/skips.sh", &script("exit 5"))
        .file("t/env.sh", &script("test \"$A\" = own"))
        .file("t/off.sh", &script("exit 1"))
        .file("t/slow.sh", &script("sleep 60"))
        .file("t/port-a.sh", &script("exit 0"))
        .file("t/port-b.sh", &script("exit 0"))
        .file("s/one.t", "print \"1..1\\nok 1\\n\"")
        .file(
            "ci/t.yaml",
            "tests:\n  fails: {expect: failure}\n  skips: {skip-exit: [5]}\n  env: {env: {A: own}}\n  \
             off: {disabled: it hangs}\n  slow: {timeout: 200ms}\n  port-*: {locks: [port-80], memory: 17MiB}\n  \
             port-b: {serial: true}\n",
        )
        .file("ci/s.yaml", "tests:\n  s/one.t: {timeout: 7s}\n")
        .file("m/none.sh", &script("exit 0"))
        .file("m/nothing.sh", &script("exit 0"))
        .file("ci/m.yaml", "tests:\n  none: {without-tool: it starts no program}\n")
        .jobs(
            "defaults: {memory: 16MiB}\njobs:\n  build: {run: [\"true\"]}\n  \
             t: {for-each: {glob: 't/*.sh', properties: ci/t.yaml}, run: [sh, '{item}'], env: {A: theirs}}\n  \
             s: {for-each: {tap: 's/*.t', properties: ci/s.yaml, after: [build]}}\n  \
             m: {for-each: {glob: 'm/*.sh', properties: ci/m.yaml}, run: [sh, '{item}'], tool: memcheck, valgrind: by-suite}\n",
        );
    let finished = project.xtask(&["ci"]).run();
    let expected = [
        ("fails", "passed"),
        ("skips", "skipped"),
        ("env", "passed"),
        ("off", "skipped"),
        ("slow", "failed timed-out"),
        ("port-a", "passed"),
        ("port-b", "passed"),
    ];
    agree(&project, &finished, "t", &expected);
    // Under valgrind, the one that says why needs none.
    agree(&project, &finished, "m", &[("none", "passed"), ("nothing", "failed failed{0}")]);
    assert!(finished.stdout.contains("it starts no program"), "{}", finished.transcript());
    assert_eq!(results(&project)["s/s/one.t"], "passed");
    let plan = project.xtask(&["ci", "plan", "--format", "json"]).run();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let job = |name: &str| plan["jobs"].as_array().unwrap().iter().find(|job| job["name"] == name).unwrap().clone();
    let (a, b) = (job("t/port-a"), job("t/port-b"));
    assert_eq!((&a["locks"], &a["memory"]), (&serde_json::json!(["port-80"]), &serde_json::json!(17 << 20)), "{a}");
    assert_eq!((&a["serial"], &b["serial"]), (&serde_json::Value::Null, &serde_json::json!(true)));
    assert_eq!(job("s/s/one.t")["timeout"], 7000);

    // An entry for a test that does not exist is an error at its place; of a list that is made later, that suite's.
    std::fs::write(project.path().join("ci/s.yaml"), "tests:\n  s/two.t: {timeout: 7s}\n").unwrap();
    let late = project.xtask(&["ci", "s", "build"]).run();
    assert_eq!(late.code(), 1, "{}", late.transcript());
    assert!(late.stdout.contains("no item is called `s/two.t`"), "{}", late.transcript());
    std::fs::write(project.path().join("ci/t.yaml"), "tests:\n  nosuch: {serial: true}\n").unwrap();
    let early = project.xtask(&["ci"]).run();
    assert_eq!(early.code(), 3, "{}", early.transcript());
    assert!(early.stderr.contains("ci/t.yaml:2:3: no item is called `nosuch`"), "{}", early.transcript());
    std::fs::remove_file(project.path().join("ci/t.yaml")).unwrap();
    let missing = project.xtask(&["ci"]).run();
    assert!(missing.code() != 0 && missing.stderr.contains("cannot read ci/t.yaml"), "{}", missing.transcript());
}

#[test]
fn a_run_that_ends_between_its_parts_is_resumed_with_the_list_that_it_had() {
    let wait = "while test ! -e go; do sleep 0.05; done";
    let project = Project::new()
        .file("make.sh", &format!("{wait}\nmkdir -p t\nfor n in 1 2 3; do echo 'exec \"sh\", \"test.sh\"' >t/$n.t; done\n"))
        .file("test.sh", "while test ! -e tests-go; do sleep 0.05; done; echo 1..2; echo '    1..1'; echo '    ok 1 - inner'; echo ok 1; echo ok 2 '# SKIP'\n")
        .jobs(
            "defaults: {memory: 16MiB}\njobs:\n  build: {run: [sh, make.sh]}\n  \
             suite: {for-each: {tap: 't/*.t', after: [build]}}\n  after: {run: [\"true\"], needs: [suite]}\n",
        );
    let journal = || std::fs::read_to_string(project.state().join("runs/latest/journal.jsonl")).unwrap_or_default();
    let until = |running: &mut crate::support::Running, words: &str| {
        let began = running.wait_for(Duration::from_secs(60), || journal().contains(words).then_some(()));
        assert!(began.is_some(), "{words}: {}", journal());
    };
    let go = |file: &str| std::fs::write(project.path().join(file), "").unwrap();
    // It ends while the tests are being built: there is no list yet.
    let mut running = project.xtask(&["ci", "-j", "2"]).spawn();
    until(&mut running, "\"build\"");
    until(&mut running, "attempt-started");
    running.signal(Signal::INT).unwrap();
    assert_eq!(running.wait().code(), 9);
    go("go");
    // The second session lists them, and is killed in the middle of them.
    let mut running = project.xtask(&["ci", "--resume", "-j", "2"]).spawn();
    until(&mut running, "suite/t/1.t");
    running.kill().unwrap();
    running.wait();
    // The suite forgets one of them meanwhile, and gets another.
    let tests = project.path().join("t");
    std::fs::copy(tests.join("1.t"), tests.join("4.t")).unwrap();
    go("tests-go");
    let finished = project.xtask(&["ci", "--resume"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    agree(&project, &finished, "suite", &[("t/1.t", "passed"), ("t/2.t", "passed"), ("t/3.t", "passed")]);
    assert_eq!(results(&project)["after"], "passed");
    // Tests within tests are not counted twice.
    let run = super::run_json(&project);
    let subtests = run.job("suite/t/2.t").unwrap().attempts.last().unwrap().subtests.clone().unwrap();
    assert_eq!((subtests.passed, subtests.skipped, subtests.failed), (1, 1, 0));
    // The one that is new is none of this run's, and not of one that repeats it.
    project.xtask(&["ci", "rerun", "suite/t/3.t"]).run();
    let names: Vec<String> = results(&project).into_keys().collect();
    assert_eq!(names, ["after", "build", "suite/t/1.t", "suite/t/2.t", "suite/t/3.t"]);
}

#[test]
fn a_test_whose_output_was_cut_is_judged_by_what_is_left_and_never_passes_by_it() {
    let noisy = |lines: usize, last: &str| {
        format!("print \"1..2\\nok 1\\n\"; print 'x' x 99, \"\\n\" for 1..{lines}; print \"{last}\";")
    };
    let project = Project::new()
        .file("t/short.t", &noisy(3, "ok 2\\n"))
        .file("t/long.t", &noisy(40_000, "ok 2\\n"))
        .file("t/fails.t", &noisy(40_000, "not ok 2\\n"))
        .file("t/hidden.t", "print \"1..3\\nok 1\\n\"; print 'x' x 99, \"\\n\" for 1..20000; print \"not ok 2\\n\"; print 'x' x 99, \"\\n\" for 1..20000; print \"ok 3\\n\";")
        .jobs("defaults: {memory: 16MiB, log-limit: 64KiB}\njobs:\n  suite: {for-each: {tap: 't/*.t'}}\n");
    let finished = project.xtask(&["ci"]).run();
    let got = results(&project);
    assert_eq!(got["suite/t/short.t"], "passed", "{}", finished.transcript());
    assert_eq!(got["suite/t/long.t"], "passed", "{}", finished.transcript());
    for name in ["fails", "hidden"] {
        assert!(got[&format!("suite/t/{name}.t")].starts_with("failed"), "{name}: {}", finished.transcript());
    }
}
