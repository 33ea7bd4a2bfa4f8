//! automake: `TESTS` and its relatives as make itself expands them (automake manual, "Support for test suites").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Context, ListError, malformed, words};
use drydock_config::jobs::{Expected, ListedTest, Protocol, TestRules};

/// The deepest nesting of `SUBDIRS`.
const DEEPEST: usize = 32;
/// The variables that every directory is asked for.
const VARIABLES: [&str; 11] = [
    "TESTS",
    "XFAIL_TESTS",
    "SUBDIRS",
    "TEST_EXTENSIONS",
    "srcdir",
    "LOG_COMPILER",
    "AM_LOG_FLAGS",
    "LOG_FLAGS",
    "LOG_DRIVER",
    "AM_TESTS_ENVIRONMENT",
    "TESTS_ENVIRONMENT",
];

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let top = context.built()?;
    if !top.join("Makefile").is_file() {
        return Err(ListError::Missing(PathBuf::from(&context.source.at).join("Makefile")));
    }
    let mut tests = Vec::new();
    visit(context, &top, "", 0, &mut tests)?;
    Ok(tests)
}

/// Adds the tests of one directory and those below it.
fn visit(
    context: &Context<'_>,
    directory: &Path,
    name: &str,
    depth: usize,
    tests: &mut Vec<ListedTest>,
) -> Result<(), ListError> {
    let variables = ask(context, directory, &VARIABLES)?;
    for below in split(&variables, "SUBDIRS").into_iter().filter(|below| below != ".") {
        let path = directory.join(&below);
        if depth < DEEPEST && path.join("Makefile").is_file() {
            visit(context, &path, &format!("{name}{below}/"), depth + 1, tests)?;
        }
    }
    let listed = split(&variables, "TESTS");
    if listed.is_empty() {
        return Ok(());
    }
    let extensions = split(&variables, "TEST_EXTENSIONS");
    let kinds: Vec<String> =
        extensions.iter().map(|extension| extension.trim_start_matches('.').to_uppercase()).collect();
    let names: Vec<String> = kinds
        .iter()
        .flat_map(|kind| ["LOG_COMPILER", "LOG_FLAGS", "LOG_DRIVER"].map(|end| format!("{kind}_{end}")))
        .chain(kinds.iter().map(|kind| format!("AM_{kind}_LOG_FLAGS")))
        .collect();
    let own = ask(context, directory, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let environment = environment(context, directory, &variables)?;
    let expected_to_fail = split(&variables, "XFAIL_TESTS");
    let of_log = |test: &String| {
        let extension = extensions.iter().find(|extension| test.ends_with(extension.as_str()));
        (log(test, extension.map(String::as_str)), test.clone())
    };
    let by_log: BTreeMap<String, String> = listed.iter().map(of_log).collect();
    let dependencies = dependencies(context, directory, &by_log)?;
    for test in listed {
        let kind = extensions.iter().zip(&kinds).find(|(extension, _)| test.ends_with(extension.as_str()));
        let get = |end: &str| match kind {
            Some((_, kind)) if end.starts_with("AM_") => own.get(&format!("AM_{kind}_{}", &end[3..])),
            Some((_, kind)) => own.get(&format!("{kind}_{end}")),
            None => variables.get(end),
        };
        let command =
            ["LOG_COMPILER", "AM_LOG_FLAGS", "LOG_FLAGS"].map(|end| get(end).map_or("", String::as_str)).join(" ");
        let sources = variables.get("srcdir").map_or(".", String::as_str);
        let mut argv = shell_words(context, directory, &command, (&test, sources))?;
        argv.push(file(directory, &test, sources));
        let expected = if expected_to_fail.contains(&test) { Expected::FailureOrSignal } else { Expected::Success };
        let driver = get("LOG_DRIVER").map_or("", String::as_str);
        let tap = driver.contains("tap-driver");
        let protocol = if tap { Protocol::Tap } else { Protocol::None };
        let own_driver = !driver.is_empty() && !KNOWN_DRIVERS.iter().any(|known| driver.contains(known));
        let (argv, expected) =
            if own_driver { (driven(driver, &test, expected, argv), Expected::Success) } else { (argv, expected) };
        let log = log(&test, kind.map(|(extension, _)| extension.as_str()));
        let follows = dependencies.get(&log).into_iter().flatten().filter_map(|log| by_log.get(log));
        tests.push(ListedTest {
            name: format!("{name}{test}"),
            argv,
            directory: directory.display().to_string(),
            env: environment.set.clone(),
            unset: environment.unset.clone(),
            follows: follows.map(|test| format!("{name}{test}")).collect(),
            // GNU's codes for a skipped test and for one that could not be run, which TAP does not have.
            rules: TestRules {
                expected,
                protocol,
                skip_exit: if tap { Vec::new() } else { vec![77] },
                fail_exit: if tap { Vec::new() } else { vec![99] },
                ..TestRules::default()
            },
            ..ListedTest::default()
        });
    }
    Ok(())
}

/// The words that the shell makes of the command before a test. `f` is the test, and there are the other variables that the rules of
/// automake set (lib/am/check.am, `am__check_pre`).
fn shell_words(
    context: &Context<'_>,
    directory: &Path,
    command: &str,
    (test, sources): (&str, &str),
) -> Result<Vec<String>, ListError> {
    if !command.contains(['"', '\'', '$', '\\', '`', '*', '?', '[', '~', '{']) {
        return Ok(command.split_whitespace().map(str::to_owned).collect());
    }
    let script = format!(
        "f=$1 p=$1; if test -f \"./$f\"; then dir=./; elif test -f \"$f\"; then dir=; else dir=$srcdir/; fi; tst=$dir$f\n\
         set -- {command}\nfor word; do printf '%s\\0' \"$word\"; done"
    );
    let argv = words(&["sh", "-c", &script, "sh", test]);
    let output = context.read(&argv, directory, &[("srcdir", sources.to_owned())])?;
    Ok(output.split_terminator('\0').map(str::to_owned).collect())
}

/// Drivers whose rules Drydock has itself: that of automake, and that for TAP.
const KNOWN_DRIVERS: [&str; 2] = ["test-driver", "tap-driver"];

/// The command that runs a test by a driver of the project's own, and ends as its result says (automake manual, "API for Custom
/// Test Drivers").
fn driven(driver: &str, test: &str, expected: Expected, argv: Vec<String>) -> Vec<String> {
    let script = concat!(
        "d=$(mktemp -d) || exit 99; trap 'rm -rf \"$d\"' EXIT; driver=$1 name=$2 fails=$3; shift 3\n",
        "$driver --test-name \"$name\" --log-file \"$d/log\" --trs-file \"$d/trs\" --color-tests no ",
        "--enable-hard-errors yes --expect-failure \"$fails\" -- \"$@\" || exit 99\n",
        "cat \"$d/log\"; result=$(sed -n 's/^:global-test-result: *//p' \"$d/trs\"); echo \"the driver's result: $result\"\n",
        "case $result in PASS|XFAIL) exit 0;; SKIP) exit 77;; FAIL|XPASS) exit 1;; *) exit 99;; esac"
    );
    let fails = if expected == Expected::Success { "no" } else { "yes" };
    [words(&["sh", "-c", script, "sh", driver, test, fails]), argv].concat()
}

/// The name of a test's log.
fn log(test: &str, extension: Option<&str>) -> String {
    format!("{}.log", extension.and_then(|extension| test.strip_suffix(extension)).unwrap_or(test))
}

/// The logs that must be there before each log, from the rules of the project: `foo.log: bar.log`.
fn dependencies(
    context: &Context<'_>,
    directory: &Path,
    by_log: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Vec<String>>, ListError> {
    let makefile = drydock_base::text::whole_file(&directory.join("Makefile")).unwrap_or_default();
    // Most have none, and asking make for all its rules takes time.
    let mentions = |line: &str| line.split_once(':').is_some_and(|(_, needs)| needs.contains(".log"));
    if !makefile.lines().any(|line| !line.starts_with(['\t', '#']) && !line.contains('=') && mentions(line)) {
        return Ok(BTreeMap::new());
    }
    let mut argv = words(&["make", "--no-print-directory", "-s", "-p", "-n"]);
    argv.extend(context.source.args.iter().cloned());
    argv.extend(["--eval=.PHONY: drydock-list\ndrydock-list: ; @:", "drydock-list"].map(str::to_owned));
    let text = context.read(&argv, directory, &[])?;
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with(['\t', '#', ' '])) {
        let Some((log, needs)) = line.split_once(':').filter(|(log, _)| by_log.contains_key(*log)) else { continue };
        let needs = needs.split_whitespace().filter(|need| by_log.contains_key(*need) && *need != log);
        found.entry(log.to_owned()).or_default().extend(needs.map(str::to_owned));
    }
    Ok(found)
}

/// The test's file as the directory's make would find it: built, or in the sources.
fn file(directory: &Path, test: &str, sources: &str) -> String {
    if test.starts_with('/') {
        test.to_owned()
    } else if directory.join(test).is_file() || !directory.join(sources).join(test).is_file() {
        format!("./{test}")
    } else {
        format!("{sources}/{test}")
    }
}

/// The values of variables, as make expands them.
fn ask(context: &Context<'_>, directory: &Path, names: &[&str]) -> Result<BTreeMap<String, String>, ListError> {
    const BEGIN: &str = "drydock-variable ";
    let rule = format!(
        ".PHONY: drydock-list\ndrydock-list: ; @: $(foreach name,{},$(info {BEGIN}$(name)=$($(name))))",
        names.join(" ")
    );
    let mut argv = words(&["make", "--no-print-directory", "-s"]);
    argv.extend(context.source.args.iter().cloned());
    argv.extend([format!("--eval={rule}"), "drydock-list".to_owned()]);
    let text = context.read(&argv, directory, &[])?;
    let lines = text.lines().filter_map(|line| line.strip_prefix(BEGIN)?.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn split(variables: &BTreeMap<String, String>, name: &str) -> Vec<String> {
    variables.get(name).map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// What the shell text before each test does to its environment.
struct TestEnvironment {
    /// The variables that it sets, with their values.
    set: BTreeMap<String, String>,
    /// Those that it removes.
    unset: Vec<String>,
}

/// Runs the shell text that make has before each test, and compares the variables before and after it.
fn environment(
    context: &Context<'_>,
    directory: &Path,
    variables: &BTreeMap<String, String>,
) -> Result<TestEnvironment, ListError> {
    let text = |name: &str| variables.get(name).map_or("", String::as_str);
    let script = format!("{} {} env -0", text("AM_TESTS_ENVIRONMENT"), text("TESTS_ENVIRONMENT"));
    let source = text("srcdir").to_owned();
    let read = |script: &str| -> Result<BTreeMap<String, String>, ListError> {
        let argv = words(&["sh", "-c", script]);
        let output = context.read(&argv, directory, &[("srcdir", source.clone())])?;
        let pairs = output.split('\0').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').ok_or_else(|| malformed(&argv, "a line without `=`"))?;
            Ok((name.to_owned(), value.to_owned()))
        });
        pairs.collect()
    };
    let before = read("env -0")?;
    let mut after = read(&script)?;
    let unset = before.keys().filter(|name| !after.contains_key(*name)).cloned().collect();
    after.retain(|name, value| before.get(name) != Some(value) && name != "_");
    after.insert("srcdir".to_owned(), source);
    Ok(TestEnvironment { set: after, unset })
}
