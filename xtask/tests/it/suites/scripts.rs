//! pytest, prove and Cargo.

use super::{agree, printed, run_json};
use crate::support::{Finished, Project, need, need_tool, need_tools, skip, text};

const PYTEST: &str = r#"
import pytest
def test_passes(): pass
def test_fails(): assert 0
@pytest.mark.skip(reason="no net")
def test_skipped(): assert 0
def test_skips_inside(): pytest.skip("later")
@pytest.mark.xfail
def test_xfail(): assert 0
@pytest.mark.xfail(strict=True)
def test_xpass_strict(): pass
@pytest.mark.parametrize("v", ["a", "b c", "d::e/f"])
def test_param(v): pass
@pytest.mark.slow
@pytest.mark.timeout(500)
def test_marked(): pass
class TestClass:
    def test_method(self): pass
@pytest.fixture
def broken(): raise OSError("x")
def test_error(broken): pass
"#;

fn run(project: &Project) -> Finished {
    project.xtask(&["ci", "-j", "2"]).run()
}

#[test]
fn each_test_of_pytest_is_a_job_and_pytest_agrees() {
    if !need_tool("pytest-3", "python3-pytest") {
        return;
    }
    // Options of the project's stay; with these it prints no report.
    let project = Project::new()
        .file("tests/test_all.py", PYTEST)
        .file("pytest.ini", "[pytest]\naddopts = -q\nmarkers =\n  slow: x\n  timeout: x\n")
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {pytest: tests}}\n");
    let finished = run(&project);
    let expected = [
        ("test_passes", "passed", ""),
        ("test_fails", "failed failed{1}", "failure"),
        ("test_skipped", "skipped", "skipped"),
        ("test_skips_inside", "skipped", "skipped"),
        ("test_xfail", "passed", "skipped"),
        ("test_xpass_strict", "failed failed{1}", "failure"),
        ("test_param-a", "passed", ""),
        ("test_param-b-c", "passed", ""),
        ("test_param-d::e/f", "passed", ""),
        ("test_marked", "passed", ""),
        ("TestClass::test_method", "passed", ""),
        ("test_error", "failed failed{1}", "error"),
    ];
    let named: Vec<(String, &str)> =
        expected.iter().map(|(name, result, _)| (format!("tests/test_all.py::{name}"), *result)).collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, result)| (name.as_str(), *result)).collect();
    agree(&project, &finished, "suite", &named);
    let label = project.xtask(&["ci", "plan", "label:slow"]).run();
    assert!(label.stdout.starts_with("1 job in") && label.stdout.contains("8m 20s"), "{}", label.transcript());

    let own = project.path().join("own.xml");
    printed(project.path(), &["pytest", "--junit-xml", &text(&own)]);
    let xml = std::fs::read_to_string(own).unwrap();
    let mut verdicts: Vec<(String, String)> = xml
        .split("<testcase ")
        .skip(1)
        .map(|part| {
            let name = part.split("name=\"").nth(2).unwrap().split('"').next().unwrap();
            let children = ["failure", "skipped", "error"];
            let word = children.iter().find(|word| part.contains(&format!("<{word}"))).copied().unwrap_or_default();
            (name.replace(['[', ' '], "-").replace(']', ""), word.to_owned())
        })
        .collect();
    verdicts.sort();
    let mut own: Vec<(String, String)> = expected
        .iter()
        .map(|(name, _, own)| {
            (name.rsplit_once("TestClass::").map_or(*name, |(_, own)| own).to_owned(), (*own).to_owned())
        })
        .collect();
    own.sort();
    assert_eq!(verdicts, own);
}

#[test]
fn a_test_whose_path_is_a_file_of_data_runs_by_its_name() {
    if !need_tool("pytest-3", "python3-pytest") {
        return;
    }
    let hook = "def pytest_collection_modifyitems(items):\n    for item in items:\n        \
                item.path = item.path.parent / 'data.txt'\n";
    let project = Project::new()
        .file("tests/test_a.py", "def test_x(): pass\n")
        .file("tests/data.txt", "x\n")
        .file("tests/conftest.py", hook)
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {pytest: tests}}\n");
    agree(&project, &run(&project), "suite", &[("tests/test_a.py::test_x", "passed")]);
}

#[test]
fn the_reason_why_pytest_cannot_collect_is_named_below_other_chatter() {
    if !need_tool("pytest-3", "python3-pytest") {
        return;
    }
    let project = Project::new()
        .file("tests/test_a.py", "import no_such_lamp\n")
        .file("conftest.py", "import os\nos.write(2, b'warning: this is old\\n')\n")
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {pytest: tests}}\n");
    let finished = run(&project);
    let wanted = "tests/test_a.py: ModuleNotFoundError: No module named 'no_such_lamp'";
    assert!(finished.stdout.contains(wanted), "{}", finished.transcript());
}

#[test]
fn a_test_without_a_mark_has_the_usual_limit_of_pytest_timeout() {
    let has_plugin = || printed(std::path::Path::new("/"), &["pytest-3", "--timeout=9", "--version"]).code() == 0;
    if !need_tool("pytest-3", "python3-pytest")
        || !need(has_plugin(), "pytest-timeout is missing: apt-get install python3-pytest-timeout")
    {
        return;
    }
    let tests = "import pytest\ndef test_usual(): pass\n@pytest.mark.timeout(500)\ndef test_marked(): pass\n";
    // Its option, variable and setting, each before those that follow.
    for (options, variable, ini, usual) in [
        ("", "", "", "1m 10s"),
        ("", "", "timeout = 300", "5m"),
        ("", "240", "timeout = 300", "4m"),
        ("--timeout=180", "240", "timeout = 300", "3m"),
    ] {
        let environment =
            if variable.is_empty() { String::new() } else { format!(", env: {{PYTEST_TIMEOUT: '{variable}'}}") };
        let project = Project::new()
            .file("tests/test_all.py", tests)
            .file("pytest.ini", &format!("[pytest]\naddopts = {options}\n{ini}\n"))
            .jobs(&format!(
                "defaults: {{timeout: 70s}}\njobs:\n  suite: {{for-each: {{pytest: tests}}{environment}}}\n"
            ));
        for (test, limit) in [("test_usual", usual), ("test_marked", "8m 20s")] {
            let plan = project.xtask(&["ci", "plan", &format!("suite/tests/test_all.py::{test}")]).run();
            assert!(plan.stdout.contains(limit), "{options} {variable} {ini}: {test}: {limit}: {}", plan.transcript());
        }
    }
}

/// A test that says what it sees of the virtual environment.
const IN_ENVIRONMENT: &str = r#"
import os, shutil, subprocess, sys
def test_environment():
    venv = os.path.join(os.getcwd(), ".venv")
    assert sys.prefix == venv and os.environ["VIRTUAL_ENV"] == venv
    assert shutil.which("helper") == os.path.join(venv, "bin", "helper")
    assert subprocess.run(["python3", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True).stdout.strip() == venv
"#;

#[test]
fn tests_run_in_a_virtual_environment_as_if_it_were_activated() {
    if !need_tools(&[("pytest-3", "python3-pytest"), ("python3", "python3")]) {
        return;
    }
    let declared = "defaults: {memory: 64MiB}\njobs:\n  inside: {for-each: {pytest: tests}}\n  \
                    outside: {for-each: {pytest: tests}, env: {PATH: '/usr/bin:/bin'}}\n";
    let project = Project::new().file("tests/test_all.py", IN_ENVIRONMENT).jobs(declared);
    let at = project.path();
    let venv = ["/usr/bin/python3", "-m", "venv", "--without-pip", "--system-site-packages", ".venv"];
    assert_eq!(printed(at, &venv).code(), 0);
    let pytest = format!("#!{}/.venv/bin/python3\nimport pytest, sys\nsys.exit(pytest.main())\n", at.display());
    for (name, text) in [("pytest", pytest.as_str()), ("helper", "#!/bin/sh\n")] {
        let path = at.join(".venv/bin").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let finished = run(&project);
    let result = |job: &str| {
        run_json(&project).job(&format!("{job}/tests/test_all.py::test_environment")).unwrap().result.clone()
    };
    assert_eq!(result("inside"), "passed", "{}", finished.transcript());
    // A job that sets PATH decides for itself.
    assert_eq!(result("outside"), "failed", "{}", finished.transcript());
}

#[test]
fn each_script_that_prints_tap_is_a_job_and_prove_agrees() {
    if !need_tools(&[("perl", "perl"), ("prove", "perl")]) {
        return;
    }
    let tests = [
        ("sh.t", "#!/bin/sh\necho 1..1; echo ok 1\n", "passed", "ok"),
        ("todo.t", "print \"1..1\\nok 1 # TODO x\\n\";", "passed", "ok"),
        ("skip.t", "#!/usr/bin/perl -w\nuse Test::More; plan skip_all => 'no'", "skipped", "skipped: no"),
        ("bad.t", "use Test::More; ok(0, 'bad'); done_testing;", "failed failed{1}", "Failed"),
        ("no-plan.t", "print \"ok 1\\n\"", "failed failed{0}", "All 1 subtests passed"),
        ("library.t", "use Own; print \"1..1\\nok 1\\n\"", "passed", "ok"),
        // As prove does it, the modules are found from another directory, by programs that the test starts, and with checks for taint.
        ("away.t", "chdir '/'; require Own; print `$^X -MOwn -e 'print \"1..1\\nok 1\\n\"'`", "passed", "ok"),
        ("taint.t", "#!/usr/bin/perl -T\nuse Own; print \"1..1\\nok 1\\n\"", "passed", "ok"),
        ("none.t", "print \"hello\\n\"", "failed nothing-tested", "No subtests run"),
    ];
    let mut project = Project::new()
        .file("lib/Own.pm", "1;")
        .jobs("defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {tap: 't/*.t', args: [-Ilib]}}\n");
    for (name, script, ..) in tests {
        project = project.file(&format!("t/{name}"), script);
    }
    let finished = run(&project);
    let named: Vec<(String, &str)> = tests.iter().map(|(name, _, result, _)| (format!("t/{name}"), *result)).collect();
    let named: Vec<(&str, &str)> = named.iter().map(|(name, result)| (name.as_str(), *result)).collect();
    agree(&project, &finished, "suite", &named);
    let report = |file: &str| std::fs::read_to_string(project.state().join("runs/latest").join(file)).unwrap();
    let junit = report("junit.xml");
    let inner = junit.split("<testsuite ").find(|part| part.starts_with("name=\"suite/t/bad.t\"")).unwrap();
    assert!(inner.contains("name=\"1 - bad\"") && inner.contains("failures=\"1\""), "{inner}");
    let subtests = run_json(&project).job("suite/t/bad.t").unwrap().attempts[0].subtests.clone().unwrap();
    assert_eq!((subtests.failed, subtests.failures), (1, vec!["1 - bad".to_owned()]));
    let html = report("report.html");
    assert!(html.contains("Subtests: 1 failed") && html.contains("1 - bad"), "{html}");
    let own = printed(project.path(), &["prove", "-Ilib", "t"]);
    for (name, _, _, verdict) in tests {
        let after = own.stdout.split_once(&format!("t/{name} ")).unwrap().1;
        let result = after.trim_start_matches(['.', ' ', '\n']);
        assert!(result.starts_with(verdict) || result.lines().nth(1).unwrap().starts_with(verdict), "{name}: {own:?}");
    }
}

#[test]
fn each_test_of_cargo_is_a_job_and_none_passes_without_a_test() {
    let library = "//! ```\n//! assert_eq!(small::one(), 1);\n//! ```\npub fn one() -> i32 { 1 }\n#[cfg(test)]\nmod tests {\n\
                   #[test] fn unit() { assert_eq!(std::env::var(\"CARGO_PKG_NAME\").unwrap(), \"small\"); }\n\
                   #[test] #[ignore] fn ignored() {}\n#[test] #[should_panic] fn panics() { panic!() }\n\
                   #[test] fn fails() { panic!(\"x\") }\n}\n";
    let project = Project::new()
        .file(
            "Cargo.toml",
            "[package]\nname = \"small\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[[test]]\nname = \"own\"\n\
             harness = false\n[workspace]\n",
        )
        .file("src/lib.rs", library)
        .file("src/main.rs", "fn main() {}\n#[test] fn unit() {}\n")
        .file("tests/it.rs", "#[test] fn unit() { assert!(std::path::Path::new(\"Cargo.toml\").exists()); }\n")
        .file(
            "checked/jobs.yaml",
            "defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {cargo-test: .}, tool: memcheck}\n  \
             several: {run: [cargo, test, --lib, --, --skip, fails]}\n",
        )
        .file("tests/own.rs", "fn main() { println!(\"a harness of its own\"); }\n")
        .file("filtered/jobs.yaml", "defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {cargo-test: ., args: [--lib]}}\n")
        .jobs(
            "defaults: {memory: 64MiB}\njobs:\n  suite: {for-each: {cargo-test: .}, locks: [target]}\n  \
             wrong-name: {run: [cargo, test, -q, --lib, --, --exact, nosuch], needs: [suite-runs]}\n  \
             suite-runs: {run: [cargo, test, --no-run]}\n  \
             declared: {run: [cargo, test, -q, --lib, --, --exact, nosuch], needs: [wrong-name-ran], allow-no-tests: true}\n  \
             wrong-name-ran: {run: [\"true\"]}\n  \
             said: {run: [echo, 3 checks], expect-output: '[1-9][0-9]* checks'}\n  \
             said-nothing: {run: [echo, 0 checks], expect-output: '[1-9][0-9]* checks'}\n  \
             skips: {run: [sh, -c, exit 7], skip-exit: [7]}\n  after-skip: {run: [\"true\"], needs: [skips]}\n",
        );
    let finished = run(&project);
    let expected = [
        ("small/lib/tests::unit", "passed"),
        ("small/lib/tests::ignored", "skipped"),
        ("small/lib/tests::panics", "passed"),
        ("small/lib/tests::fails", "failed failed{101}"),
        ("small/bin-small/unit", "passed"),
        ("small/test-it/unit", "passed"),
        ("small/test-own", "passed"),
        ("small/doc", "passed"),
    ];
    agree(&project, &finished, "suite", &expected);
    let results = super::results(&project);
    let own = |name: &str| results[name].clone();
    assert_eq!(own("wrong-name"), "failed nothing-tested", "{}", finished.transcript());
    assert_eq!(
        (own("declared"), own("said"), own("said-nothing")),
        ("passed".into(), "passed".into(), "failed failed{0}".into())
    );
    assert_eq!((own("skips"), own("after-skip")), ("skipped".into(), "passed".into()));

    // Documentation tests do not run under the declared tool, and every reader of a report sees that, and why.
    let finished = project.xtask(&["--config", "checked", "ci", "several", "suite/small/doc"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    assert!(
        finished.stdout.contains("! 1 test ran without memcheck, such as suite/small/doc: rustdoc"),
        "{}",
        finished.stdout
    );
    let report = |file: &str| std::fs::read_to_string(project.state().join("runs/latest").join(file)).unwrap();
    assert!(report("report.html").contains("1 test ran without memcheck, such as "));
    assert!(report("junit.xml").contains("<property name=\"without-memcheck suite/small/doc\" value=\"rustdoc"));
    let run = run_json(&project);
    let without = &run.without_tool[0];
    assert_eq!((without.tool.as_str(), without.jobs), ("memcheck", 1), "{}", without.because);
    // A job of several tests has them in the reports.
    let several = run.job("several").unwrap();
    assert_eq!(several.attempts[0].subtests.as_ref().map(|tests| (tests.passed, tests.skipped)), Some((2, 1)));
    let junit = report("junit.xml");
    let inner = junit.split("<testsuite ").find(|part| part.starts_with("name=\"several\" tests=\"3\"")).unwrap();
    assert!(inner.contains("name=\"tests::unit\"") && inner.contains("<skipped"), "{inner}");

    // What nextest's configuration leaves out is left out here as well, by nextest's own list.
    if !printed(project.path(), &["cargo", "--list"]).stdout.contains("    nextest") {
        return skip("cargo-nextest is not installed");
    }
    let project = project.file(".config/nextest.toml", "[profile.default]\ndefault-filter = 'not test(fails)'\n");
    let finished = project.xtask(&["--config", "filtered", "ci"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let expected = [
        ("small/lib/tests::unit", "passed"),
        ("small/lib/tests::ignored", "skipped"),
        ("small/lib/tests::panics", "passed"),
        ("small/lib/tests::fails", "skipped"),
    ];
    agree(&project, &finished, "suite", &expected);
    let own = printed(project.path(), &["cargo", "nextest", "run", "--lib"]);
    assert!(own.stderr.contains("2 tests run: 2 passed, 2 skipped"), "{}", own.transcript());
}
