//! Meson: `meson introspect --tests`, and what that leaves out (`should_fail`, changes of variables) from the tests that
//! `meson test` itself loads.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{Context, ListError, malformed, words};
use drydock_base::exec;
use drydock_config::jobs::{Expected, ListedTest, Protocol, TestRules};

/// Prints what `meson test` knows of each test. It runs with Meson's own Python, in the build directory.
const LOADER: &str = r#"
import json, os, pickle, shlex, sys
sys.path[:0] = [p for p in sys.argv[1:] if p]
import mesonbuild
with open(os.path.join('meson-private', 'meson_test_setup.dat'), 'rb') as file:
    tests = pickle.load(file)
before = dict(os.environ)
out = []
for t in tests:
    after = t.env.get_env(dict(before)) if hasattr(t.env, 'get_env') else dict(t.env)
    env = {k: v for k, v in after.items() if before.get(k) != v}
    # Meson 1.11 calls it expected_fail.
    fails = t.should_fail if hasattr(t, 'should_fail') else t.expected_fail
    if getattr(t, 'expected_exitcode', None):
        sys.exit('%s is to end with exit code %d: declare it as a job with expect-exit' % (t.name, t.expected_exitcode))
    # As `meson test` itself does (mtest.py, `_get_cmd`).
    foreign = t.cmd_is_exe and t.is_cross_built and t.needs_exe_wrapper
    wrapper = None
    if foreign and t.exe_wrapper is not None:
        if not t.exe_wrapper.found():
            sys.exit('the exe_wrapper of the cross file was not found')
        wrapper = t.exe_wrapper.get_command()
        env['MESON_EXE_WRAPPER'] = shlex.join(wrapper)
    out.append({'name': t.name, 'suite': t.suite, 'should_fail': bool(fails), 'env': env, 'wrapper': wrapper,
                'unset': sorted(k for k in before if k not in after), 'unrunnable': bool(foreign and wrapper is None)})
print(json.dumps(out))
"#;

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
    should_fail: bool,
    env: BTreeMap<String, String>,
    unset: Vec<String>,
    /// What runs programs for another machine.
    wrapper: Option<Vec<String>>,
    /// `true` for a program of another machine without anything that runs it.
    unrunnable: bool,
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
        tests.push(one(&build, test, &loaded[at]));
    }
    Ok(tests)
}

fn one(build: &Path, test: Introspected, loaded: &Loaded) -> ListedTest {
    let protocol = match test.protocol.as_str() {
        "tap" => Protocol::MesonTap,
        "rust" => Protocol::Libtest,
        _ => Protocol::None,
    };
    let expected = if loaded.should_fail { Expected::FailureOrSignal } else { Expected::Success };
    // GNU's codes for a skipped test and for one that could not be run, which tests that report otherwise do not have.
    let (skip_exit, fail_exit) =
        if protocol == Protocol::None { (vec![77], vec![99]) } else { (Vec::new(), Vec::new()) };
    let rules = TestRules { expected, protocol, skip_exit, fail_exit, ..TestRules::default() };
    // Introspection writes the project in front: `wayland:client`.
    let mut labels: Vec<String> = test.suite.clone();
    labels.extend(test.suite.iter().filter_map(|suite| suite.split_once(':')).map(|(_, own)| own.to_owned()));
    labels.sort();
    labels.dedup();
    ListedTest {
        name: test.name,
        argv: [loaded.wrapper.clone().unwrap_or_default(), test.cmd].concat(),
        directory: test.workdir.unwrap_or_else(|| build.display().to_string()),
        env: loaded.env.clone(),
        unset: loaded.unset.clone(),
        disabled: loaded.unrunnable.then(|| "it is a program for another machine, without an `exe_wrapper`".to_owned()),
        // 0 or less means that there is no limit.
        timeout: test.timeout.filter(|seconds| *seconds > 0.0).and_then(|s| Duration::try_from_secs_f64(s).ok()),
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
    argv.extend([words(&["-c", LOADER]), beside.into_iter().collect()].concat());
    let text = context.read(&argv, build, &[])?;
    serde_json::from_str(&text).map_err(|error| malformed(&words(&["meson", "test"]), error))
}

/// The interpreter in the first line of a script.
fn interpreter(script: &Path) -> Option<Vec<String>> {
    let text = drydock_base::text::whole_file(script).ok()?;
    let line = text.lines().next()?.strip_prefix("#!")?;
    Some(line.split_whitespace().filter(|word| !word.ends_with("/env")).map(str::to_owned).collect())
}
