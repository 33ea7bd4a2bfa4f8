//! automake: `TESTS` and its relatives as make itself expands them (automake manual, "Support for test suites").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::{self, Variables};
use super::{Context, ListError, words};
use drydock_config::jobs::{Expected, ListedTest, Protocol, TestRules};
use rule::{Driver, Rule};

mod rule;

/// The deepest nesting of `SUBDIRS`.
const DEEPEST: usize = 32;
/// The variables that every directory is asked for.
const VARIABLES: [&str; 8] =
    ["TESTS", "XFAIL_TESTS", "SUBDIRS", "TEST_EXTENSIONS", "srcdir", "SHELL", "TEST_LOGS", "DISABLE_HARD_ERRORS"];
/// Begins each line with the value of a variable.
const BEGIN: &str = "drydock-variable ";
/// The most tests that make is asked for at a time, since the length of an argument is limited.
const AT_A_TIME: usize = 500;

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
    let of_log = |test: &String| (format!("{}.log", base(test, &extensions)), test.clone());
    let by_log: BTreeMap<String, String> = listed.iter().map(of_log).collect();
    let dependencies = dependencies(context, directory, &by_log)?;
    let rules = rules(context, directory, &variables, &listed)?;
    let mut exported = environment::of_make(context, directory, &[], &[])?;
    exported.set.insert("srcdir".to_owned(), variables.get("srcdir").cloned().unwrap_or_else(|| ".".to_owned()));
    let shell = variables.get("SHELL").filter(|shell| !shell.contains(' ')).map_or("/bin/sh", String::as_str);
    let commands = rule::commands(context, directory, shell, &rules, &exported)?;
    for (rule, command) in rules.iter().zip(commands) {
        let follows = dependencies.get(&format!("{}.log", rule.base)).into_iter().flatten();
        let follows = follows.filter_map(|log| by_log.get(log)).map(|test| format!("{name}{test}")).collect();
        let driver = rule.driver();
        let expected = if rule.fails && driver != Driver::Own { Expected::FailureOrSignal } else { Expected::Success };
        let protocol = if driver == Driver::Tap { Protocol::Tap } else { Protocol::None };
        // GNU's codes for a skipped test and for one that could not be run, which TAP does not have.
        let fails = driver == Driver::Own || (driver == Driver::Plain && rule.hard_errors);
        tests.push(ListedTest {
            name: format!("{name}{}", rule.test),
            argv: command.argv,
            directory: directory.display().to_string(),
            env: command.environment.set,
            unset: command.environment.unset,
            follows,
            rules: TestRules {
                expected,
                protocol,
                skip_exit: if driver == Driver::Tap { Vec::new() } else { vec![77] },
                fail_exit: if fails { vec![99] } else { Vec::new() },
                ..TestRules::default()
            },
            ..ListedTest::default()
        });
    }
    Ok(())
}

/// What make's variables are for each test, in the rule for its log.
fn rules(
    context: &Context<'_>,
    directory: &Path,
    variables: &Variables,
    listed: &[String],
) -> Result<Vec<Rule>, ListError> {
    let extensions = split(variables, "TEST_EXTENSIONS");
    let expected_to_fail = split(variables, "XFAIL_TESTS");
    let one_by_one = split(variables, "TEST_LOGS").is_empty();
    let hard_errors = !one_by_one && split(variables, "DISABLE_HARD_ERRORS").is_empty();
    let sources = variables.get("srcdir").map_or(".", String::as_str);
    let mut rules = Vec::with_capacity(listed.len());
    for some in listed.chunks(AT_A_TIME) {
        let words = some.iter().map(|test| {
            let kind = extensions.iter().find(|extension| test.ends_with(extension.as_str()));
            let kind = kind.map(|extension| format!("{}_", extension.trim_start_matches('.').to_uppercase()));
            let built = directory.join(test).is_file() || !directory.join(sources).join(test).is_file();
            let source = if built { test.clone() } else { format!("{sources}/{test}") };
            format!("{source}|{}|{}", base(test, &extensions), kind.unwrap_or_default())
        });
        let part = |number: usize| format!("$(word {number},$(subst |, ,$(drydock-test)))");
        let (source, base_name, kind) = (part(1), part(2), part(3));
        let show = |text: &str| format!("$(info {BEGIN}={text})");
        let one_test = [
            show(if one_by_one { "$(TESTS_ENVIRONMENT)" } else { "$(AM_TESTS_ENVIRONMENT) $(TESTS_ENVIRONMENT)" }),
            show(&format!("$({kind}LOG_DRIVER)")),
            show(&format!("$(AM_{kind}LOG_DRIVER_FLAGS) $({kind}LOG_DRIVER_FLAGS)")),
            show(&format!("$({kind}LOG_COMPILE)")),
            show("$(AM_TESTS_FD_REDIRECT)"),
        ]
        .concat();
        // The automatic variables are those of the rule for the test's log.
        let asked = format!(
            "$(foreach drydock-test,{},$(foreach @,{base_name}.log,$(foreach *,{base_name},$(foreach <,{source},{one_test}))))",
            words.collect::<Vec<_>>().join(" ")
        );
        let values = asking(context, directory, &asked)?;
        for (test, values) in some.iter().zip(values.chunks(5)) {
            let value = |at: usize| values.get(at).map(|(_, value)| value.clone()).unwrap_or_default();
            let own = |at: usize| if one_by_one { String::new() } else { value(at) };
            rules.push(Rule {
                test: test.clone(),
                base: base(test, &extensions).to_owned(),
                fails: expected_to_fail.contains(test),
                one_by_one,
                hard_errors,
                before: value(0),
                driver: own(1),
                driver_flags: own(2),
                compile: own(3),
                redirect: value(4),
            });
        }
    }
    Ok(rules)
}

/// The name of a test's log without `.log`.
fn base<'a>(test: &'a str, extensions: &[String]) -> &'a str {
    extensions.iter().find_map(|extension| test.strip_suffix(extension.as_str())).unwrap_or(test)
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

/// The values of variables, as make expands them.
fn ask(context: &Context<'_>, directory: &Path, names: &[&str]) -> Result<Variables, ListError> {
    let names = names.join(" ");
    let asked = format!("$(foreach drydock-name,{names},$(info {BEGIN}$(drydock-name)=$($(drydock-name))))");
    Ok(asking(context, directory, &asked)?.into_iter().collect())
}

/// The names and values that make prints when it expands a text in a recipe.
fn asking(context: &Context<'_>, directory: &Path, text: &str) -> Result<Vec<(String, String)>, ListError> {
    let rule = format!(".PHONY: drydock-list\ndrydock-list: ; @: {text}");
    let mut argv = words(&["make", "--no-print-directory", "-s"]);
    argv.extend(context.source.args.iter().cloned());
    argv.extend([format!("--eval={rule}"), "drydock-list".to_owned()]);
    let text = context.read(&argv, directory, &[])?;
    let lines = text.lines().filter_map(|line| line.strip_prefix(BEGIN)?.split_once('='));
    Ok(lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect())
}

fn split(variables: &Variables, name: &str) -> Vec<String> {
    variables.get(name).map(|text| text.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}
