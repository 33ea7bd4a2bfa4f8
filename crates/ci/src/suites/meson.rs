//! Meson: `meson introspect --tests`, and what that leaves out (`should_fail`, changes of variables, setups) from the tests that
//! `meson test` itself loads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Context, ListError, malformed, words};
use drydock_base::exec;
use drydock_config::jobs::{Expected, ListedTest, Protocol, TestRules};

/// Prints what `meson test` knows of each test. It runs with Meson's own Python, in the build directory, with the directory of Meson's
/// modules, which may be empty, and the arguments of `meson test`.
const LOADER: &str = include_str!("meson/loader.py");

#[derive(Deserialize)]
struct Introspected {
    cmd: Vec<String>,
    name: String,
    workdir: Option<String>,
    timeout: Option<f64>,
    #[serde(default)]
    suite: Vec<String>,
    is_parallel: bool,
    #[serde(default)]
    priority: i64,
    protocol: String,
}

#[derive(Deserialize)]
struct Loaded {
    name: String,
    suite: Vec<String>,
    /// How it runs; none if a setup, or the arguments, leave it out.
    run: Option<Run>,
}

#[derive(Deserialize)]
struct Run {
    should_fail: bool,
    env: BTreeMap<String, String>,
    unset: Vec<String>,
    /// What runs the program: that of a setup, and that for programs of another machine.
    wrapper: Vec<String>,
    /// Further arguments of the program.
    args: Vec<String>,
    /// `true` for a program of another machine without anything that runs it.
    unrunnable: bool,
    /// What the time limit is multiplied by; 0 or less means that there is none.
    timeout_multiplier: Option<f64>,
}

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let build = context.built()?;
    let mut argv = words(&["meson", "introspect", "--tests"]);
    argv.push(build.display().to_string());
    let text = context.read(&argv, context.project, &[])?;
    let introspected: Vec<Introspected> = serde_json::from_str(&text).map_err(|error| malformed(&argv, error))?;
    let loaded = load(context, &build)?;
    let mut tests = Vec::with_capacity(introspected.len());
    let mut taken = vec![false; loaded.len()];
    for test in introspected {
        // Both lists have the same tests, in any order; two with the same name differ by their suites.
        let at = (0..loaded.len())
            .find(|at| !taken[*at] && loaded[*at].name == test.name && loaded[*at].suite == test.suite);
        let Some(at) = at else {
            return Err(malformed(&argv, format!("`meson test` does not know the test `{}`", test.name)));
        };
        taken[at] = true;
        tests.extend(loaded[at].run.as_ref().map(|run| one(&build, test, run)));
    }
    Ok(tests)
}

fn one(build: &Path, test: Introspected, run: &Run) -> ListedTest {
    let protocol = match test.protocol.as_str() {
        "tap" => Protocol::MesonTap,
        "rust" => Protocol::Libtest,
        _ => Protocol::None,
    };
    let expected = if run.should_fail { Expected::FailureOrSignal } else { Expected::Success };
    // GNU's codes for a skipped test and for one that could not be run, which tests that report otherwise do not have.
    let (skip_exit, fail_exit) =
        if protocol == Protocol::None { (vec![77], vec![99]) } else { (Vec::new(), Vec::new()) };
    let rules = TestRules { expected, protocol, skip_exit, fail_exit, ..TestRules::default() };
    // Introspection writes the project in front: `wayland:client`.
    let mut labels: Vec<String> = test.suite.clone();
    labels.extend(test.suite.iter().filter_map(|suite| suite.split_once(':')).map(|(_, own)| own.to_owned()));
    labels.sort();
    labels.dedup();
    let multiplier = run.timeout_multiplier.unwrap_or(1.0);
    ListedTest {
        name: test.name,
        argv: [run.wrapper.clone(), test.cmd, run.args.clone()].concat(),
        directory: test.workdir.unwrap_or_else(|| build.display().to_string()),
        env: run.env.clone(),
        unset: run.unset.clone(),
        disabled: run.unrunnable.then(|| "it is a program for another machine, without an `exe_wrapper`".to_owned()),
        // 0 or less means that there is no limit.
        timeout: test
            .timeout
            .map(|seconds| seconds * multiplier)
            .filter(|seconds| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        labels,
        serial: !test.is_parallel,
        // Meson starts tests with a higher priority first, as the schedule does with longer ones.
        cost_ms: u64::try_from(test.priority).ok().filter(|priority| *priority > 0).map(|priority| priority * 1000),
        rules,
        ..ListedTest::default()
    }
}

/// Loads the tests as `meson test` does.
fn load(context: &Context<'_>, build: &Path) -> Result<Vec<Loaded>, ListError> {
    let search = context.variable("PATH").map(std::ffi::OsString::from);
    let meson = exec::find("meson", context.project, search.as_ref())?;
    let mut argv = interpreter(&meson).unwrap_or_else(|| words(&["python3"]));
    // Beside a program that was not installed lies its module.
    let beside = meson.canonicalize().ok().and_then(|file| Some(file.parent()?.display().to_string()));
    argv.extend(words(&["-c", LOADER, &beside.unwrap_or_default()]));
    argv.extend(context.source.args.iter().cloned());
    // Its command would be a page of Python.
    let mut shown = words(&["meson", "test", "-C", &build.display().to_string(), "--list"]);
    shown.extend(context.source.args.iter().cloned());
    let text = context.read(&argv, build, &[]).map_err(|error| match error {
        ListError::Command(error) => ListError::Command(error.shown_as(shown.clone())),
        other => other,
    })?;
    serde_json::from_str(&text).map_err(|error| malformed(&shown, error))
}

/// The interpreter in the first line of a script.
fn interpreter(script: &Path) -> Option<Vec<String>> {
    let text = drydock_base::text::whole_file(script).ok()?;
    let line = text.lines().next()?.strip_prefix("#!")?;
    Some(line.split_whitespace().filter(|word| !word.ends_with("/env")).map(str::to_owned).collect())
}
