//! Test suites as sources of jobs: small real ones of each kind, run by Drydock and by their own runner, which must agree
//! on every test.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::support::{Finished, Project, RunJson};

mod adopted;
mod automake;
mod collisions;
mod ctest;
mod make;
mod meson;
mod natures;
mod parts;
mod scripts;

/// A program that ends as its arguments say: an exit code, `abort`, or `leak`; further arguments are printed before.
const SAY: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int count, char **words) {
    for (int i = 2; i < count; i++) puts(words[i][0] == '$' ? (getenv(words[i] + 1) ? getenv(words[i] + 1) : "unset") : words[i]);
    fflush(stdout);
    if (count > 1 && !strcmp(words[1], "abort")) abort();
    if (count > 1 && !strcmp(words[1], "leak")) { char *volatile lost = malloc(7); lost = 0; return lost != 0; }
    return count > 1 ? atoi(words[1]) : 0;
}
"#;

/// The results of all jobs of the last run: `passed`, or with what the last attempt says, `failed: exit code 1`.
fn results(project: &Project) -> BTreeMap<String, String> {
    let run = run_json(project);
    let said = |job: &crate::support::JobJson| {
        let outcome = job.attempts.last().map(|attempt| attempt.outcome.to_string()).unwrap_or_default();
        if job.result == outcome || outcome.is_empty() {
            job.result.clone()
        } else {
            format!("{} {outcome}", job.result)
        }
    };
    run.jobs.iter().map(|job| (job.name.clone(), said(job))).collect()
}

/// The last run.
fn run_json(project: &Project) -> RunJson {
    RunJson::latest(&project.state()).unwrap()
}

/// Runs a command in a directory, and returns what it printed; it may fail.
fn printed(directory: &Path, argv: &[&str]) -> Finished {
    Command::new(argv[0]).args(&argv[1..]).current_dir(directory).env_remove("CI").output().unwrap().into()
}

/// The words of `meson test`, with further arguments, for each test.
fn meson_results(project: &Path, args: &[&str]) -> BTreeMap<String, String> {
    // The name of the log has that of a setup or a wrapper.
    let logs = || std::fs::read_dir(project.join("b/meson-logs")).unwrap().map(|entry| entry.unwrap().path());
    let is_log = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "json");
    logs().filter(is_log).for_each(|log| std::fs::remove_file(log).unwrap());
    printed(project, &[&["meson", "test", "-C", "b", "--no-rebuild"][..], args].concat());
    let log = logs().find(is_log).unwrap();
    let mut found = BTreeMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let test: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = test["name"].as_str().unwrap().rsplit(" / ").next().unwrap();
        found.insert(numbered(&found, name), test["result"].as_str().unwrap().to_owned());
    }
    found
}

/// A name that is not there yet: of two tests with one name, the second has a number.
fn numbered<T>(names: &BTreeMap<String, T>, name: &str) -> String {
    let all = std::iter::once(name.to_owned()).chain((2..).map(|number| format!("{name}-{number}")));
    all.into_iter().find(|name| !names.contains_key(name)).unwrap()
}

/// Compares the results of the jobs below `group/` with a table.
#[track_caller]
fn agree(project: &Project, finished: &Finished, group: &str, expected: &[(&str, &str)]) {
    let results = results(project);
    let prefix = format!("{group}/");
    let got: Vec<(&str, &str)> =
        results.iter().filter_map(|(name, result)| Some((name.strip_prefix(&prefix)?, result.as_str()))).collect();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(got, expected, "{}", finished.transcript());
}
