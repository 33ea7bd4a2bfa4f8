//! A target of make whose prerequisites are the tests.

use super::{agree, printed};
use crate::support::{Project, need_tools};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const MAKEFILE: &str = "\
$(info Building version 1)
export GREETING = hello world
unexport HOME
T = t/pass t/fail t/more
check: units lines ignored variable greets
\t@echo all of them passed
units: $(T:%=unit/%)
unit/%: % .prepare
\t@test -f prepared && MODE=1 ./$* > /dev/null
.prepare:
\t@touch prepared
t/more:
\tcp t/pass $@
lines:
\tcd t
\ttest -f Makefile
ignored:
\t-false
\ttrue
variable: export COLOUR = red
variable:
\ttest \"$$COLOUR\" = red
greets:
\ttest \"$$GREETING\" = 'hello world' && test -z \"$${HOME+x}\"
";

/// Each test, with the result of Drydock.
const TESTS: &[(&str, &str)] = &[
    ("prerequisites", "passed"),
    ("unit/t/pass", "passed"),
    ("unit/t/fail", "failed failed{1}"),
    ("unit/t/more", "passed"),
    // Each line has a shell of its own.
    ("lines", "passed"),
    // What only make can do, it does.
    ("ignored", "passed"),
    ("variable", "passed"),
    ("greets", "passed"),
];

#[test]
fn each_prerequisite_of_a_target_is_a_test_and_make_agrees() {
    if !need_tools(&[("make", "make")]) {
        return;
    }
    let project = Project::new()
        .file("Makefile", MAKEFILE)
        .file("t/pass", "#!/bin/sh\ntest \"$MODE\" = 1\n")
        .file("t/fail", "#!/bin/sh\nexit 1\n")
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {make: check}}\n");
    for name in ["t/pass", "t/fail"] {
        fs::set_permissions(project.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    agree(&project, &finished, "suite", TESTS);
    let own = printed(project.path(), &["make", "-k", "check"]);
    let failed: Vec<&str> = own
        .stderr
        .lines()
        .filter(|line| !line.ends_with("(ignored)"))
        .filter_map(|line| line.split_once("] Error "))
        .map(|(at, _)| at)
        .collect();
    assert_eq!(failed.len(), 1, "{}", own.stderr);
    assert!(failed[0].ends_with(": unit/t/fail"), "{}", own.stderr);
}

#[test]
fn a_target_without_tests_or_without_a_rule_is_an_error() {
    if !need_tools(&[("make", "make")]) {
        return;
    }
    let project = Project::new()
        .file("Makefile", "empty: Makefile\n\t@echo nothing\n")
        .jobs("jobs:\n  a: {for-each: {make: empty}}\n  b: {for-each: {make: nowhere}}\n");
    let finished = project.xtask(&["ci"]).run();
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(said.contains("`make: empty` lists no tests"), "{said}");
    assert!(said.contains("No rule to make target 'nowhere'"), "{said}");
}
