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

/// A Makefile, what happens between two runs, and the results of the tests of `check` in both.
struct Case {
    name: &'static str,
    makefile: &'static str,
    /// The file that is written between the runs, and its content.
    then: Option<(&'static str, &'static str)>,
    first: &'static [(&'static str, &'static str)],
    second: &'static [(&'static str, &'static str)],
}

const FAILED: &str = "failed failed{1}";
const PASSED: &str = "passed";

/// Ways in which a test could pass although make would let it fail, or vanish.
const CASES: &[Case] = &[
    Case {
        name: "only make can run it, and the file of an earlier success is there",
        makefile: ".POSIX:\ncheck: a.ok\na.ok: a.prog\n\t./a.prog\n\ttouch a.ok\na.prog: a.src\n\tcp a.src a.prog; chmod 755 a.prog\n",
        then: Some(("a.src", "#!/bin/sh\nexit 1\n")),
        first: &[("prerequisites", PASSED), ("a.ok", PASSED)],
        second: &[("prerequisites", PASSED), ("a.ok", "failed failed{2}")],
    },
    Case {
        name: "a test that fails leaves a file that make takes for its success",
        makefile: "check: a.log b.pat\na.log: a.src\n\tsh $< > $@; exit 1\n%.pat: a.src\n\t-@true\n\tsh $< > $@ && false\n",
        then: None,
        first: &[("a.log", FAILED), ("b.pat", "failed failed{2}")],
        second: &[("a.log", FAILED), ("b.pat", "failed failed{2}")],
    },
    Case {
        name: "its recipe asks for all prerequisites",
        makefile: "check: a.log\na.log: a.src\n\tcat $^ > $@ && exit 1\n",
        then: None,
        first: &[("a.log", FAILED)],
        second: &[("a.log", "failed failed{2}")],
    },
    Case {
        name: "what a success leaves does not hide the test either, and a product is none",
        makefile: "check: a.ok late\na.ok: a.src\n\tsh $< && touch $@\nlate: a.src\n\tcp a.src late\n",
        then: None,
        first: &[("prerequisites", PASSED), ("a.ok", PASSED)],
        second: &[("prerequisites", PASSED), ("a.ok", PASSED)],
    },
    Case {
        name: "the Makefile asks for the goal",
        makefile: "ifeq ($(MAKECMDGOALS),check)\nexport FAULT = 1\nendif\ncheck: direct by-make\ndirect:\n\ttest -z \"$$FAULT\"\nby-make:\n\
                   \t-@true\n\ttest -z \"$$FAULT\"\n",
        then: None,
        first: &[("direct", FAILED), ("by-make", "failed failed{2}")],
        second: &[("direct", FAILED), ("by-make", "failed failed{2}")],
    },
    Case {
        name: "a phony test has an option as a linker has it",
        makefile: ".PHONY: check out/a\ncheck: out/a\nout/a:\n\tsh a.src -o out/a && exit 1\n",
        then: None,
        first: &[("out/a", FAILED)],
        second: &[("out/a", FAILED)],
    },
    Case {
        name: "a recipe has the words of the data base",
        makefile: "check: a b\na:\n\t# Files\n\ttrue\nb:\n\tfalse\n",
        then: None,
        first: &[("a", PASSED), ("b", FAILED)],
        second: &[("a", PASSED), ("b", FAILED)],
    },
    Case {
        name: "a function prints text while make reads another recipe",
        makefile: "say = $(info exit 0)$1\ncheck: a b\na b:\n\t$(call say,false)\n",
        then: None,
        first: &[("a", "failed failed{2}"), ("b", FAILED)],
        second: &[("a", "failed failed{2}"), ("b", FAILED)],
    },
    Case {
        name: "tests must not run at the same time",
        makefile: ".NOTPARALLEL:\ncheck: a b\na b:\n\tmkdir lock && sleep 0.3 && rmdir lock\n",
        then: None,
        first: &[("a", PASSED), ("b", PASSED)],
        second: &[("a", PASSED), ("b", PASSED)],
    },
    Case {
        name: "a test calls another make, which must do what it does by itself",
        makefile: "check: a.ok\na.ok: a.src\n\tprintf 'all:\\n\\tfalse\\n' | $(MAKE) -f -\n\ttouch a.ok\n",
        then: None,
        first: &[("a.ok", "failed failed{2}")],
        second: &[("a.ok", "failed failed{2}")],
    },
    Case {
        name: "a test has variables of its own, which count for what it needs",
        makefile: "check: a\na: WITH = exit 1\na: a.prog\n\tsh a.prog\na.prog:\n\techo '$(WITH)' > a.prog\n",
        then: None,
        first: &[("a", "failed failed{2}")],
        second: &[("a", "failed failed{2}")],
    },
];

#[test]
fn what_make_lets_fail_never_passes_and_never_vanishes() {
    if !need_tools(&[("make", "make")]) {
        return;
    }
    for case in CASES {
        let project = Project::new()
            .file("Makefile", case.makefile)
            .file("a.src", "#!/bin/sh\nexit 0\n")
            .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {make: check}}\n");
        let fails = |expected: &[(&str, &str)]| expected.iter().any(|(_, result)| *result != PASSED);
        for (at, expected) in [case.first, case.second].into_iter().enumerate() {
            let finished = project.xtask(&["ci", "-j", "2"]).run();
            agree(&project, &finished, "suite", expected);
            assert_eq!(finished.code() != 0, fails(expected), "{}: {}", case.name, finished.transcript());
            if let (0, Some((path, content))) = (at, case.then) {
                fs::write(project.path().join(path), content).unwrap();
            }
        }
        // make itself, in a fresh copy.
        let fresh = Project::new().file("Makefile", case.makefile).file("a.src", "#!/bin/sh\nexit 0\n");
        if let Some((path, content)) = case.then {
            fs::write(fresh.path().join(path), content).unwrap();
        }
        let own = std::process::Command::new("make").args(["-k", "check"]).current_dir(fresh.path()).output().unwrap();
        assert_eq!(!own.status.success(), fails(case.second), "{}: {own:?}", case.name);
    }
}

#[test]
fn what_cannot_be_split_is_refused_with_the_reason() {
    if !need_tools(&[("make", "make")]) {
        return;
    }
    for (makefile, why) in [
        ("check: export FAULT = 1\ncheck: a\na:\n\ttest -z \"$$FAULT\"\n", "`check` has variables of its own"),
        (
            "check: group\ngroup: WRAP = ./wrap\ngroup: a\na:\n\t-true\n\t$(WRAP) ./a\n",
            "`group` has variables of its own",
        ),
        (
            "MAKEFLAGS += --no-print-directory\ncheck: below top\nbelow:\n\t$(MAKE) -C sub check\ntop:\n\tfalse\n",
            "make calls make without saying in which directory",
        ),
    ] {
        let project = Project::new()
            .file("Makefile", makefile)
            .file("sub/Makefile", "check: t\nt:\n\ttrue\n")
            .jobs("jobs:\n  suite: {for-each: {make: check}}\n");
        let finished = project.xtask(&["ci"]).run();
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(finished.code() != 0 && said.contains(why), "{why}: {}", finished.transcript());
    }
    // Where make says it, the tests below are the test above.
    let project = Project::new()
        .file("Makefile", "check: below top\nbelow:\n\t$(MAKE) -C sub check\ntop:\n\tfalse\n")
        .file("sub/Makefile", "check: t\nt:\n\ttest -f Makefile && test ! -e sub\n")
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {make: check}}\n");
    let finished = project.xtask(&["ci"]).run();
    agree(&project, &finished, "suite", &[("below", PASSED), ("top", FAILED)]);
}
