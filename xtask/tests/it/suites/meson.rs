//! Meson.

use super::{SAY, agree, meson_results, printed};
use crate::support::{Project, need_tools};
use std::collections::BTreeMap;

/// Each test with its command and properties in Meson's language, and the results of Drydock and of Meson.
const TESTS: &[(&str, &str, &str, &str)] = &[
    ("plain", "say, args: ['0']", "passed", "OK"),
    ("fails", "say, args: ['3']", "failed failed{3}", "FAIL"),
    ("dies", "say, args: ['abort']", "failed crashed{6}", "FAIL"),
    ("should fail", "say, args: ['3'], should_fail: true", "passed", "EXPECTEDFAIL"),
    ("should-fail-dies", "say, args: ['abort'], should_fail: true", "passed", "EXPECTEDFAIL"),
    ("should-fail-passes", "say, args: ['0'], should_fail: true", "failed failed{0}", "UNEXPECTEDPASS"),
    ("skipped", "say, args: ['77']", "skipped", "SKIP"),
    ("skipped-should-fail", "say, args: ['77'], should_fail: true", "skipped", "SKIP"),
    ("error", "say, args: ['99']", "failed failed{99}", "ERROR"),
    ("error-should-fail", "say, args: ['99'], should_fail: true", "failed failed{99}", "ERROR"),
    ("env", "sh, args: ['-c', 'test \"$A\" = \"1 2\" && test \"$B\" = x:y'], env: variables", "passed", "OK"),
    ("env-list", "sh, args: ['-c', 'test \"$Q\" = z'], env: ['Q=z']", "passed", "OK"),
    ("workdir", "sh, args: ['-c', 'test -f meson.build'], workdir: meson.current_source_dir()", "passed", "OK"),
    ("slow", "sh, args: ['-c', 'sleep 60'], timeout: 1", "failed timed-out", "TIMEOUT"),
    ("unlimited", "say, args: ['0'], timeout: 0", "passed", "OK"),
    ("alone", "say, args: ['0'], is_parallel: false, priority: 5, suite: ['net', 'quick']", "passed", "OK"),
    // GoogleTest's programs are judged by their exit code.
    ("gtest", "say, args: ['3'], protocol: 'gtest'", "failed failed{3}", "FAIL"),
    ("gtest-skips", "say, args: ['77'], protocol: 'gtest'", "skipped", "SKIP"),
    ("tap", "say, args: ['0', '1..2', 'ok 1', 'ok 2 # SKIP x'], protocol: 'tap'", "passed", "OK"),
    ("tap-fails", "say, args: ['0', '1..2', 'ok 1', 'not ok 2'], protocol: 'tap'", "failed failed{0}", "FAIL"),
    (
        "tap-should-fail",
        "say, args: ['0', '1..1', 'not ok 1'], protocol: 'tap', should_fail: true",
        "passed",
        "EXPECTEDFAIL",
    ),
    ("tap-code", "say, args: ['1', '1..1', 'ok 1'], protocol: 'tap'", "failed failed{1}", "ERROR"),
    (
        "tap-code-should-fail",
        "say, args: ['1', '1..1', 'not ok 1'], protocol: 'tap', should_fail: true",
        "failed failed{1}",
        "ERROR",
    ),
    ("tap-77", "say, args: ['77', '1..1', 'ok 1'], protocol: 'tap'", "failed failed{77}", "ERROR"),
    ("tap-skips", "say, args: ['0', '1..0 # SKIP no net'], protocol: 'tap'", "skipped", "SKIP"),
    ("tap-zero", "say, args: ['0', '1..0'], protocol: 'tap'", "skipped", "SKIP"),
    ("tap-all-skipped", "say, args: ['0', '1..1', 'ok 1 # SKIP'], protocol: 'tap'", "skipped", "SKIP"),
    ("tap-short", "say, args: ['0', '1..3', 'ok 1'], protocol: 'tap'", "failed failed{0}", "ERROR"),
    ("tap-order", "say, args: ['0', '1..2', 'ok 2', 'ok 1'], protocol: 'tap'", "failed failed{0}", "ERROR"),
    ("tap-bail", "say, args: ['0', '1..1', 'ok 1', 'Bail out! x'], protocol: 'tap'", "failed failed{0}", "ERROR"),
    ("tap-todo", "say, args: ['0', '1..1', 'not ok 1 # TODO'], protocol: 'tap'", "passed", "OK"),
    ("tap-todo-passes", "say, args: ['0', '1..1', 'ok 1 # TODO'], protocol: 'tap'", "failed failed{0}", "FAIL"),
    ("tap-no-plan", "say, args: ['0', 'ok 1'], protocol: 'tap'", "passed", "OK"),
    // The one where Drydock is stricter: a program that should report tests, and reports none, tested nothing.
    ("tap-none", "say, args: ['0'], protocol: 'tap'", "failed nothing-tested", "SKIP"),
];

#[test]
fn each_property_of_meson_is_kept_and_meson_agrees() {
    if !need_tools(&[("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc")]) {
        return;
    }
    let mut build = "project('suite', 'c')\nsay = executable('say', 'say.c')\nsh = find_program('sh')\n\
                     variables = environment()\nvariables.set('A', '1 2')\nvariables.append('B', 'x', 'y')\n"
        .to_owned();
    for (name, test, ..) in TESTS {
        build.push_str(&format!("test('{name}', {test})\n"));
    }
    // Two tests may have one name; benchmarks are none.
    build.push_str("test('plain', say, args: ['0'], suite: 'other')\nbenchmark('bench', say, args: ['1'])\n");
    let project = Project::new().file("say.c", SAY).file("meson.build", &build).jobs(
        "defaults: {memory: 16MiB}\njobs:\n  build: {run: [sh, -c, meson setup b && ninja -C b]}\n  \
         suite: {for-each: {meson: b}, needs: [build]}\n",
    );
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let named: Vec<(String, &str)> =
        TESTS.iter().map(|(name, _, result, _)| (name.replace(' ', "-"), *result)).collect();
    let mut named: Vec<(&str, &str)> = named.iter().map(|(name, result)| (name.as_str(), *result)).collect();
    named.push(("plain-2", "passed"));
    agree(&project, &finished, "suite", &named);
    // Programs for another machine run by what its file names.
    let machine = "[binaries]\nc = 'gcc'\nexe_wrapper = ['env', 'WRAPPED=yes']\n[properties]\nneeds_exe_wrapper = true\n\
                   [host_machine]\nsystem = 'linux'\ncpu_family = 'arm'\ncpu = 'armv7'\nendian = 'little'\n";
    std::fs::write(project.path().join("machine.ini"), machine).unwrap();
    std::fs::create_dir(project.path().join("crossed")).unwrap();
    let jobs = "defaults: {memory: 16MiB}\njobs:\n  build: {run: [sh, -c, meson setup --cross-file machine.ini x && ninja -C x]}\n  \
                suite: {for-each: {meson: x, after: [build]}}\n";
    std::fs::write(project.path().join("crossed/jobs.yaml"), jobs).unwrap();
    let crossed = project.xtask(&["--config", "crossed", "ci", "suite/plain", "suite/fails"]).run();
    agree(&project, &crossed, "suite", &[("fails", "failed failed{3}"), ("plain", "passed")]);
    let plan = project.xtask(&["--config", "crossed", "ci", "plan", "suite/plain"]).run();
    assert!(plan.stdout.contains("env WRAPPED=yes ") && plan.stdout.contains("/say 0"), "{}", plan.transcript());
    project.xtask(&["ci", "-j", "2"]).run();
    let label = project.xtask(&["ci", "plan", "label:net"]).run();
    assert!(label.stdout.starts_with("2 jobs in") && label.stdout.contains("suite/alone"), "{}", label.transcript());

    let own = meson_results(project.path(), &[]);
    let second = ("plain-2".to_owned(), "OK".to_owned());
    let tests = TESTS.iter().map(|(name, _, _, own)| ((*name).to_owned(), (*own).to_owned()));
    let expected: BTreeMap<String, String> = tests.chain([second]).collect();
    assert_eq!(own, expected);
}

/// A project with setups: one by default, and one that wraps the programs and leaves a suite out.
const SETUPS: &str = "project('setups', 'c')\nsh = find_program('sh')\n\
    add_test_setup('usual', is_default: true, env: ['MODE=usual'])\n\
    add_test_setup('strict', env: ['MODE=strict', 'MORE=x'], exe_wrapper: ['env', 'WRAPPED=yes'], timeout_multiplier: 100,\n  \
    exclude_suites: ['long'])\n\
    test('usual', sh, args: ['-c', 'test \"$MODE\" = usual'])\n\
    test('strict', sh, args: ['-c', 'test \"$MODE$WRAPPED\" = strictyes'], suite: 'quick')\n\
    test('own-variable', sh, args: ['-c', 'test \"$MODE\" = own'], env: ['MODE=own'], suite: 'quick')\n\
    test('further', sh, args: ['-c', 'test \"$1\" = \"a b\"', 'sh'], suite: 'quick')\n\
    test('long', sh, args: ['-c', 'sleep 2'], suite: 'long', timeout: 1)\n";

/// A project with a subproject that has another test with the same name, and no setup.
const PARTS: &str = "project('parts', 'c')\nsh = find_program('sh')\nadd_test_setup('slow', timeout_multiplier: 2)\nsubproject('dep')\n\
    test('one', sh, args: ['-c', 'exit 0'], suite: 'quick')\n\
    test('a[1]', sh, args: ['-c', 'exit 0'])\ntest('a1', sh, args: ['-c', 'exit 1'])\n";
const DEP: &str = "project('dep', 'c')\nsh = find_program('sh')\n\
    test('one', sh, args: ['-c', 'exit 1'])\ntest('only-dep', sh, args: ['-c', 'exit 0'])\n";

/// Compares Drydock and `meson test` for arguments, each with the number of tests that they choose.
fn agree_for(project: &Project, rows: &[(&[&str], usize)]) {
    for (args, count) in rows {
        declare(project, args);
        let finished = project.xtask(&["ci", "-j", "2"]).run();
        let own = meson_results(project.path(), args);
        assert_eq!(own.len(), *count, "{args:?}: {own:?}");
        let result = |word: &str| match word {
            "OK" => "passed",
            "TIMEOUT" => "failed timed-out",
            _ => "failed failed{1}",
        };
        let named: Vec<(String, &str)> =
            own.iter().map(|(name, word)| (name.replace('[', "-").replace(']', ""), result(word))).collect();
        let expected: Vec<(&str, &str)> = named.iter().map(|(name, result)| (name.as_str(), *result)).collect();
        agree(project, &finished, "suite", &expected);
    }
}

fn declare(project: &Project, args: &[&str]) {
    let args = serde_json::to_string(args).unwrap();
    let jobs = format!("defaults: {{memory: 16MiB}}\njobs:\n  suite: {{for-each: {{meson: b, args: {args}}}}}\n");
    std::fs::write(project.path().join("ci/jobs.yaml"), jobs).unwrap();
}

/// Arguments for which the tests cannot be listed, each with words of the message.
fn refused_for(project: &Project, rows: &[(&[&str], &str)]) {
    for (args, words) in rows {
        declare(project, args);
        let refused = project.xtask(&["ci", "-j", "2"]).run();
        assert!(!refused.status.success() && refused.stderr.contains(words), "{args:?}: {}", refused.transcript());
    }
}

#[test]
fn meson_s_own_rules_select_tests_and_what_selects_none_is_an_error() {
    if !need_tools(&[("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc")]) {
        return;
    }
    let project = Project::new().file("meson.build", PARTS).file("subprojects/dep/meson.build", DEP).jobs("jobs: {}\n");
    printed(project.path(), &["meson", "setup", "b"]);
    agree_for(
        &project,
        &[
            (&["--setup", "slow", "--no-suite", "dep"], 3),
            (&["--setup", "slow", "--suite", "quick"], 1),
            // A name without brackets before Meson 1.2, and a pattern since.
            (&["a[1]"], 1),
            (&["dep:"], 2),
            (&["dep:one", "a1"], 2),
            (&[":one"], 2),
        ],
    );
    refused_for(
        &project,
        &[
            (&["--setup", "slow"], "Meson has no test setup dep:slow; it has parts:slow"),
            (&["one", "typo"], "the name typo selects no test"),
            (&["--suite", "parts", "dep:one"], "the name dep:one selects no test"),
            (&["--suite", "quick", "--suite", "typo"], "--suite typo selects no test"),
        ],
    );
}

#[test]
fn setups_and_the_options_of_meson_test_are_followed() {
    if !need_tools(&[("meson", "meson"), ("ninja", "ninja-build"), ("gcc", "gcc")]) {
        return;
    }
    let project = Project::new().file("meson.build", SETUPS).jobs("jobs: {}\n");
    printed(project.path(), &["meson", "setup", "b"]);
    agree_for(
        &project,
        &[
            (&[], 5),
            (&["--setup=strict"], 4),
            (&["--setup", "setups:strict", "--suite", "long"], 1),
            (&["--no-suite=long", "--wrap", "env WRAPPED=yes MODE=strict"], 4),
            (&["-t", "0", "--test-args", "'a b'"], 5),
            (&["further", "setups:strict"], 2),
        ],
    );
    refused_for(
        &project,
        &[
            (&["--setup=none"], "Meson has no test setup setups:none; it has setups:strict, setups:usual"),
            (&["--repeat=2"], "`args` of a Meson suite cannot have --repeat=2; they may have --setup"),
            (&["--setup=strict", "--wrapper=env"], "both --wrapper and the test setup setups:strict"),
            (&["nothing"], "the name nothing selects no test"),
            (&["--setup=strict", "strict", "long"], "the name long selects no test"),
        ],
    );
}
