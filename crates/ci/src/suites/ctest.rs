//! CTest: `ctest --show-only=json-v1` (ctest(1), "Show as JSON Object Model"; cmake-properties(7), "Properties on Tests").

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Context, ListError, malformed, words};
use drydock_config::jobs::{Expected, ListedTest, TimeoutAfter};
use resources::Resources;

mod resources;

#[derive(Deserialize)]
struct List {
    tests: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    name: String,
    #[serde(default)]
    command: Vec<String>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    value: Value,
}

/// The fixtures of one test, beside its other properties.
#[derive(Default)]
struct Fixtures {
    required: Vec<String>,
    sets_up: Vec<String>,
    cleans_up: Vec<String>,
}

pub(super) fn list(context: &Context<'_>) -> Result<Vec<ListedTest>, ListError> {
    let build = context.built()?;
    let mut argv = words(&["ctest", "--show-only=json-v1"]);
    argv.extend(context.source.args.iter().cloned());
    let text = context.read(&argv, &build, &[])?;
    let resources = Resources::declared(context, &build)?;
    parse(context, &resources, &text).map_err(|error| malformed(&argv, error)).and_then(|tests| {
        let unbuilt = tests.iter().find(|test| test.argv.is_empty());
        match unbuilt {
            // CTest itself fails such tests; without any program, the tree is not built.
            Some(test) if tests.iter().all(|test| test.argv.is_empty()) => {
                Err(ListError::NotBuilt { test: test.name.clone() })
            }
            Some(_) | None => Ok(tests),
        }
    })
}

fn parse(context: &Context<'_>, resources: &Resources, text: &str) -> Result<Vec<ListedTest>, serde_json::Error> {
    let list: List = serde_json::from_str(text)?;
    let mut fixtures = Vec::with_capacity(list.tests.len());
    let mut tests = Vec::with_capacity(list.tests.len());
    for test in list.tests {
        let (listed, own) = one(context, resources, test);
        tests.push(listed);
        fixtures.push(own);
    }
    connect(&mut tests, &fixtures);
    Ok(tests)
}

fn one(context: &Context<'_>, resources: &Resources, test: Test) -> (ListedTest, Fixtures) {
    let mut listed = ListedTest {
        name: test.name,
        argv: test.command,
        directory: context.at().display().to_string(),
        ..ListedTest::default()
    };
    let mut fixtures = Fixtures::default();
    let mut modifications = Vec::new();
    let mut groups = Vec::new();
    for Property { name, value } in test.properties {
        match name.as_str() {
            "WORKING_DIRECTORY" => listed.directory = text(&value),
            "ENVIRONMENT" => {
                for pair in texts(&value) {
                    match pair.split_once('=') {
                        Some((name, value)) => {
                            listed.env.insert(name.to_owned(), value.to_owned());
                        }
                        // CTest removes such a variable.
                        None => listed.unset.push(pair),
                    }
                }
            }
            "ENVIRONMENT_MODIFICATION" => modifications = texts(&value),
            // 0 or less means that there is no limit.
            "TIMEOUT" => listed.timeout = seconds(&value),
            "LABELS" => listed.labels = texts(&value),
            "COST" => listed.cost_ms = seconds(&value).and_then(|cost| u64::try_from(cost.as_millis()).ok()),
            "RESOURCE_LOCK" => listed.locks = texts(&value),
            "RUN_SERIAL" => listed.serial = value == Value::Bool(true),
            "PROCESSORS" => listed.processors = value.as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
            "DISABLED" if value == Value::Bool(true) => {
                listed.disabled = Some("the suite disables it (`DISABLED`)".to_owned());
            }
            "WILL_FAIL" if value == Value::Bool(true) => listed.rules.expected = Expected::Failure,
            "SKIP_RETURN_CODE" => {
                listed.rules.skip_exit.extend(value.as_i64().and_then(|code| i32::try_from(code).ok()));
            }
            "PASS_REGULAR_EXPRESSION" => listed.rules.pass = expressions(&value),
            "FAIL_REGULAR_EXPRESSION" => listed.rules.fail = expressions(&value),
            "SKIP_REGULAR_EXPRESSION" => listed.rules.skip = expressions(&value),
            "DEPENDS" => listed.follows = texts(&value),
            // CTest looks for them from the build directory.
            "REQUIRED_FILES" => {
                listed.required_files =
                    texts(&value).iter().map(|file| context.at().join(file).display().to_string()).collect();
            }
            "TIMEOUT_AFTER_MATCH" => {
                listed.timeout_after = seconds(&value["timeout"])
                    .map(|timeout| TimeoutAfter { timeout, expressions: expressions(&value["regex"]) });
            }
            "RESOURCE_GROUPS" => groups = resources::groups(&value),
            "FIXTURES_REQUIRED" => fixtures.required = texts(&value),
            "FIXTURES_SETUP" => fixtures.sets_up = texts(&value),
            "FIXTURES_CLEANUP" => fixtures.cleans_up = texts(&value),
            _ => {}
        }
    }
    modify(context, &mut listed, &modifications);
    resources.give(&groups, &mut listed);
    (listed, fixtures)
}

/// Tests that require a fixture need those that set it up; those that clean up follow all that use it.
fn connect(tests: &mut [ListedTest], fixtures: &[Fixtures]) {
    let mut sets_up: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut uses: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (test, own) in tests.iter().zip(fixtures) {
        for fixture in &own.sets_up {
            sets_up.entry(fixture).or_default().push(test.name.clone());
        }
        for fixture in own.required.iter().chain(&own.sets_up) {
            uses.entry(fixture).or_default().insert(test.name.clone());
        }
    }
    for (test, own) in tests.iter_mut().zip(fixtures) {
        test.needs = own.required.iter().filter_map(|name| sets_up.get(name.as_str())).flatten().cloned().collect();
        for fixture in &own.cleans_up {
            test.cleans_up = true;
            let users = uses.get(fixture.as_str()).into_iter().flatten();
            test.follows.extend(users.filter(|user| **user != test.name).cloned());
        }
    }
}

/// Applies operations such as `PATH=path_list_prepend:/x`.
fn modify(context: &Context<'_>, test: &mut ListedTest, modifications: &[String]) {
    let ListedTest { env, unset, .. } = test;
    // The value before the first modification, for `reset`.
    let original = env.clone();
    let parts = |text: &str| {
        let (name, operation) = text.split_once('=')?;
        let (operation, value) = operation.split_once(':')?;
        Some((name.to_owned(), operation.to_owned(), value.to_owned()))
    };
    for modification in modifications {
        let Some((name, operation, value)) = parts(modification) else { return cannot_run(test, modification) };
        let (name, operation, value) = (&name, operation.as_str(), value.as_str());
        let was_unset = unset.iter().any(|other| other == name);
        unset.retain(|other| other != name);
        let inherited = || context.variable(name).filter(|_| !was_unset);
        let now = env.get(name).cloned().or_else(inherited).unwrap_or_default();
        let joined = |first: &str, separator: &str, second: &str| {
            let separator = if first.is_empty() || second.is_empty() { "" } else { separator };
            format!("{first}{separator}{second}")
        };
        let changed = match operation {
            "set" => value.to_owned(),
            "unset" => {
                env.remove(name);
                unset.push(name.to_owned());
                continue;
            }
            "string_append" => joined(&now, "", value),
            "string_prepend" => joined(value, "", &now),
            "path_list_append" => joined(&now, ":", value),
            "path_list_prepend" => joined(value, ":", &now),
            "cmake_list_append" => joined(&now, ";", value),
            "cmake_list_prepend" => joined(value, ";", &now),
            "reset" => match original.get(name).cloned().or_else(|| context.variable(name)) {
                Some(value) => value,
                None => {
                    env.remove(name);
                    continue;
                }
            },
            _ => return cannot_run(test, modification),
        };
        env.insert(name.to_owned(), changed);
    }
}

/// CTest does not run a test with a modification that it does not understand, and counts it as failed.
fn cannot_run(test: &mut ListedTest, modification: &str) {
    let said = format!("invalid `ENVIRONMENT_MODIFICATION`: {modification}");
    test.argv = words(&["sh", "-c", "echo \"$1\" >&2; exit 99", "sh", &said]);
    test.rules.fail_exit.push(99);
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
}

fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().filter(|seconds| *seconds > 0.0)?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn expressions(value: &Value) -> Vec<String> {
    texts(value).iter().map(|text| translated(text)).collect()
}

/// An expression of CMake in the syntax of ours (cmake-language "string(REGEX)"): `.` matches a newline too, a backslash
/// only takes the meaning of the next character away, braces have none, and in brackets nothing but `]`, `^` and `-` has.
fn translated(cmake: &str) -> String {
    let mut ours = String::from("(?s)");
    let mut characters = cmake.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => ours.extend(characters.next().map(|next| regex_lite::escape(&next.to_string()))),
            '{' | '}' => ours.extend(['\\', character]),
            '[' => {
                ours.push('[');
                ours.extend(characters.next_if_eq(&'^'));
                let mut first = true;
                while let Some(inner) = characters.next_if(|next| first || *next != ']') {
                    if matches!(inner, '\\' | '[' | ']' | '&' | '~' | '^') {
                        ours.push('\\');
                    }
                    ours.push(inner);
                    first = false;
                }
            }
            other => ours.push(other),
        }
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_of_cmake_keep_their_meaning() {
        for (cmake, text, matches) in [
            ("^a.b", "a\nb", true),
            ("^b", "a\nb", false),
            ("a$", "a\nb", false),
            ("x{2}", "x{2}", true),
            ("x{2}", "xx", false),
            ("\\d", "d", true),
            ("\\d", "1", false),
            ("1\\.2", "1x2", false),
            ("[\\.]", "\\", true),
            ("[]]x", "]x", true),
            ("[^a-c]z", "dz", true),
            ("[^a-c]z", "bz", false),
            ("[[]", "[", true),
            ("(a|b)+$", "xabab", true),
        ] {
            let regex = regex_lite::Regex::new(&translated(cmake)).unwrap();
            assert_eq!(regex.is_match(text), matches, "{cmake} on {text:?}: {regex}");
        }
    }
}
