//! automake, with its own driver and that for TAP.

use super::{SAY, agree};
use crate::support::{Project, need_tools};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// Each test with its script (none for a program), and the results of Drydock and of automake.
const TESTS: &[(&str, &str, &str, &str)] = &[
    ("say", "", "passed", "PASS"),
    ("pass.sh", "exit 0", "passed", "PASS"),
    ("fail.sh", "exit 1", "failed failed{1}", "FAIL"),
    ("skips.sh", "exit 77", "skipped", "SKIP"),
    ("hard.sh", "exit 99", "failed failed{99}", "ERROR"),
    (
        "env.sh",
        "test \"$A\" = '1 2' && test \"$B\" = x && test -f \"$srcdir/pass.sh\" && case $- in *e*) exit 0;; esac; exit 1",
        "passed",
        "PASS",
    ),
    ("x-fails.sh", "exit 1", "passed", "XFAIL"),
    ("x-dies.sh", "kill -ABRT $$", "passed", "XFAIL"),
    ("x-passes.sh", "exit 0", "failed failed{0}", "XPASS"),
    ("x-skips.sh", "exit 77", "skipped", "SKIP"),
    ("x-hard.sh", "exit 99", "failed failed{99}", "ERROR"),
    ("ok.tap", "echo 1..2; echo ok 1; echo ok 2 '# SKIP'", "passed", "PASS"),
    ("not-ok.tap", "echo 1..1; echo not ok 1", "failed failed{0}", "FAIL"),
    ("all.tap", "echo 1..0 '# SKIP' no", "skipped", "SKIP"),
    ("zero.tap", "echo 1..0", "skipped", "SKIP"),
    ("bail.tap", "echo 1..1; echo ok 1; echo 'Bail out!'", "failed failed{0}", "ERROR"),
    // The result of the whole is that of its tests, each of which failed as expected.
    ("x-not-ok.tap", "echo 1..1; echo not ok 1", "passed", "PASS"),
    ("todo.tap", "echo 1..1; echo ok 1 '# TODO'", "failed failed{0}", "FAIL"),
    ("no-plan.tap", "echo ok 1", "failed failed{0}", "ERROR"),
    ("code.tap", "echo 1..1; echo ok 1; exit 1", "failed failed{1}", "ERROR"),
    // `sub` has a program before the driver that changes no variable.
    ("sub/limit.sh", "test $(ulimit -n) = 99", "passed", "PASS"),
    ("sub/below/log.sh", "test -d below", "passed", "PASS"),
    // This one needs what a later one makes: `needs.log: makes.log`.
    ("needs.sh", "test -f made", "passed", "PASS"),
    ("makes.sh", "sleep 0.3; touch made", "passed", "PASS"),
    ("unset.sh", "test -z \"${HOME+x}\"", "passed", "PASS"),
    // The shell makes words of the command before a test, in which the variables of the rule are set.
    ("words.arg", "test \"$1\" = 'name of words.arg'", "passed", "PASS"),
    ("variables.var", "exit 0", "passed", "PASS"),
    ("wrapped.wrap", "exit 0", "failed failed{5}", "FAIL"),
    ("exported.sh", "test \"$FROM_MAKE\" = 'x y'", "passed", "PASS"),
    // What comes before a driver, or changes what is a failure, counts.
    ("driven.drv", "test \"$DRIVEN\" = yes", "passed", "PASS"),
    ("ignored.ign", "echo 1..1; echo ok 1; exit 1", "passed", "PASS"),
    // A driver of the project's own decides by what was printed.
    ("says-ok.own", "echo verdict: PASS; exit 3", "passed", "PASS"),
    ("says-bad.own", "echo verdict: FAIL", "failed failed{1}", "FAIL"),
    ("says-skip.own", "echo verdict: SKIP", "skipped", "SKIP"),
    ("says-nothing.own", "exit 0", "failed failed{99}", "ERROR"),
    ("x-says-bad.own", "echo verdict: FAIL", "passed", "XFAIL"),
    ("x-says-ok.own", "echo verdict: PASS", "failed failed{1}", "XPASS"),
];

/// A driver of the project's own.
const OWN_DRIVER: &str = r#"
while test "$1" != --; do
    case $1 in --log-file) log=$2;; --trs-file) trs=$2;; --expect-failure) fails=$2;; --word) word=$2;; esac
    shift 2
done
shift
test "$word" = 'a b' || exit 1
"$@" >"$log" 2>&1
result=$(sed -n 's/^verdict: //p' "$log")
case $fails$result in yesFAIL) result=XFAIL;; yesPASS) result=XPASS;; no|yes) result=ERROR;; esac
printf ':test-result: %s\n:global-test-result: %s\n:recheck: no\n:copy-in-global-log: no\n' "$result" "$result" >"$trs"
"#;

const CONFIGURE: &str = "AC_INIT([suite],[1])\nAC_CONFIG_AUX_DIR([aux])\nAM_INIT_AUTOMAKE([foreign subdir-objects])\n\
                         AC_PROG_CC\nAC_PROG_AWK\nAC_REQUIRE_AUX_FILE([tap-driver.sh])\n\
                         AC_CONFIG_FILES([Makefile sub/Makefile])\nAC_OUTPUT\n";

#[test]
fn each_property_of_automake_is_kept_and_make_check_agrees() {
    let tools = [("automake", "automake"), ("autoreconf", "autoconf"), ("gcc", "gcc"), ("make", "make")];
    if !need_tools(&tools) {
        return;
    }
    let here = |test: &&str| !test.contains('/');
    let all: Vec<&str> = TESTS.iter().map(|(name, ..)| *name).filter(here).collect();
    let expected_to_fail: Vec<&str> = all.iter().filter(|name| name.starts_with("x-")).copied().collect();
    let makefile = format!(
        "SUBDIRS = . sub\ncheck_PROGRAMS = say\nTEST_EXTENSIONS = .sh .tap .own .arg .var .wrap .drv .ign\nARG_LOG_COMPILER = $(SHELL) -c '. \"$$2\"' sh \"name of $$f\"\nSH_LOG_COMPILER = $(SHELL)\n\
         AM_SH_LOG_FLAGS = -e\nTAP_LOG_DRIVER = $(SHELL) $(top_srcdir)/aux/tap-driver.sh\n\
         OWN_LOG_DRIVER = $(SHELL) $(top_srcdir)/own-driver\nAM_OWN_LOG_DRIVER_FLAGS = --word 'a b'\nneeds.log: makes.log\n\
         VAR_LOG_COMPILER = $(SHELL) -c 'test \"$$1\" = \"variables variables.log variables.log\"' sh \"$$b $$log $@\"\n\
         WRAP_LOG_COMPILER = $$WRAP\nFROM_MAKE = x y\nexport FROM_MAKE\n\
         DRV_LOG_DRIVER = env DRIVEN=yes $(SHELL) $(top_srcdir)/aux/test-driver\n\
         IGN_LOG_DRIVER = $(SHELL) $(top_srcdir)/aux/tap-driver.sh\nIGN_LOG_DRIVER_FLAGS = --ignore-exit\n\
         AM_TESTS_ENVIRONMENT = A='1 2'; export A; unset HOME; WRAP=$(top_srcdir)/wrapper;\nTESTS_ENVIRONMENT = B=x\nTESTS = {}\nXFAIL_TESTS = {}\n",
        all.join(" "),
        expected_to_fail.join(" ")
    );
    let mut project = Project::new()
        .file("say.c", SAY)
        .file("configure.ac", CONFIGURE)
        .file("Makefile.am", &makefile)
        .file("sub/Makefile.am", "TESTS = limit.sh below/log.sh\nTESTS_ENVIRONMENT = $(top_srcdir)/limited\n")
        .file("wrapper", "#!/bin/sh\nexit 5\n")
        .file("limited", "#!/bin/sh\nulimit -n 99\n\"$@\"\n")
        .file("aux/none", "")
        .file("own-driver", OWN_DRIVER)
        .jobs(
            "defaults: {memory: 64MiB}\njobs:\n  bootstrap: {run: [autoreconf, --install]}\n  \
             configure: {needs: [bootstrap], run: [../configure, -q], directory: b}\n  \
             build: {needs: [configure], run: [make, check, 'TESTS='], directory: b, allow-no-tests: true}\n  \
             suite: {for-each: {automake: b, after: [build]}}\n",
        )
        .file("b/none", "");
    for (name, script, ..) in TESTS.iter().filter(|(_, script, ..)| !script.is_empty()) {
        project = project.file(name, &format!("#!/bin/sh\n{script}\n"));
    }
    for name in TESTS.iter().map(|(name, ..)| *name).filter(|name| *name != "say").chain(["wrapper", "limited"]) {
        fs::set_permissions(project.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let library = fs::read_dir("/usr/share").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let driver = library.map(|path| path.join("tap-driver.sh")).find(|path| path.is_file()).unwrap();
    fs::copy(driver, project.path().join("aux/tap-driver.sh")).unwrap();
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let expected: Vec<(&str, &str)> = TESTS.iter().map(|(name, _, result, _)| (*name, *result)).collect();
    agree(&project, &finished, "suite", &expected);

    super::printed(&project.path().join("b"), &["make", "-k", "check"]);
    let own: BTreeMap<&str, String> = TESTS
        .iter()
        .map(|(name, ..)| {
            // `sub` declares no extensions.
            let stem = if name.contains('/') { name } else { name.split('.').next().unwrap() };
            let result = fs::read_to_string(project.path().join(format!("b/{stem}.trs"))).unwrap();
            let result = result.lines().find_map(|line| line.strip_prefix(":global-test-result: ")).unwrap();
            (*name, result.to_owned())
        })
        .collect();
    let expected: BTreeMap<&str, String> = TESTS.iter().map(|(name, _, _, own)| (*name, (*own).to_owned())).collect();
    assert_eq!(own, expected);
}

/// Tests of the harness that runs one after the other: it has no drivers, and only `TESTS_ENVIRONMENT`.
const ONE_BY_ONE: &[(&str, &str, &str, &str)] = &[
    ("pass.sh", "test \"$A\" = 1", "passed", "PASS"),
    ("wrapped.sh", "false; exit 0", "failed failed{1}", "FAIL"),
    ("skips.sh", "exit 77", "skipped", "SKIP"),
    ("x-hard.sh", "exit 99", "passed", "XFAIL"),
];

#[test]
fn the_serial_harness_runs_tests_by_the_program_in_tests_environment() {
    let tools = [("automake", "automake"), ("autoreconf", "autoconf"), ("make", "make")];
    if !need_tools(&tools) {
        return;
    }
    let names: Vec<&str> = ONE_BY_ONE.iter().map(|(name, ..)| *name).collect();
    let makefile = format!(
        "TESTS = {}\nXFAIL_TESTS = x-hard.sh\nTESTS_ENVIRONMENT = A=1 $(SHELL) -e\nLOG_COMPILER = none\n",
        names.join(" ")
    );
    let configure =
        "AC_INIT([suite],[1])\nAM_INIT_AUTOMAKE([foreign serial-tests])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n";
    let mut project = Project::new().file("configure.ac", configure).file("Makefile.am", &makefile).jobs(
        "defaults: {memory: 64MiB}\njobs:\n  build: {run: [sh, -c, autoreconf -i && ./configure -q]}\n  \
         suite: {for-each: {automake: ., after: [build]}}\n",
    );
    for (name, script, ..) in ONE_BY_ONE {
        project = project.file(name, &format!("{script}\n"));
    }
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let expected: Vec<(&str, &str)> = ONE_BY_ONE.iter().map(|(name, _, result, _)| (*name, *result)).collect();
    agree(&project, &finished, "suite", &expected);
    let own = super::printed(project.path(), &["make", "check"]).stdout;
    for (name, _, _, result) in ONE_BY_ONE {
        assert!(own.contains(&format!("{result}: {name}\n")), "{own}");
    }
}

/// Without hard errors, the code 99 is a failure as any other, which may be expected.
const WITHOUT_HARD_ERRORS: &[(&str, &str, &str, &str)] =
    &[("hard.sh", "exit 99", "failed failed{99}", "FAIL"), ("x-hard.sh", "exit 99", "passed", "XFAIL")];

#[test]
fn a_project_may_disable_hard_errors() {
    let tools = [("automake", "automake"), ("autoreconf", "autoconf"), ("make", "make")];
    if !need_tools(&tools) {
        return;
    }
    let configure = "AC_INIT([suite],[1])\nAM_INIT_AUTOMAKE([foreign])\nAC_CONFIG_FILES([Makefile])\nAC_OUTPUT\n";
    let makefile = "TEST_EXTENSIONS = .sh\nSH_LOG_COMPILER = $(SHELL)\nTESTS = hard.sh x-hard.sh\nXFAIL_TESTS = x-hard.sh\n\
                    DISABLE_HARD_ERRORS = yes\n";
    let mut project = Project::new().file("configure.ac", configure).file("Makefile.am", makefile).jobs(
        "defaults: {memory: 64MiB}\njobs:\n  build: {run: [sh, -c, autoreconf -i && ./configure -q]}\n  \
         suite: {for-each: {automake: ., after: [build]}}\n",
    );
    for (name, script, ..) in WITHOUT_HARD_ERRORS {
        project = project.file(name, &format!("{script}\n"));
    }
    let finished = project.xtask(&["ci", "-j", "2"]).run();
    let expected: Vec<(&str, &str)> = WITHOUT_HARD_ERRORS.iter().map(|(name, _, result, _)| (*name, *result)).collect();
    agree(&project, &finished, "suite", &expected);
    let own = super::printed(project.path(), &["make", "-k", "check"]).stdout;
    for (name, _, _, result) in WITHOUT_HARD_ERRORS {
        assert!(own.contains(&format!("{result}: {name}\n")), "{own}");
    }
}
