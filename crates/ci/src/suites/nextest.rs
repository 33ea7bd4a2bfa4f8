//! cargo-nextest: the tests that the project's own configuration of it leaves out, where it is installed.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Context, ListError, malformed, words};

/// The project's configuration, below the workspace. Without it nextest runs every test, as Cargo does.
const CONFIGURATION: &str = ".config/nextest.toml";

/// What `cargo nextest list --message-format json` prints.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct List {
    rust_suites: BTreeMap<String, Program>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Program {
    binary_path: PathBuf,
    #[serde(default)]
    testcases: BTreeMap<String, Test>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Test {
    filter_match: Match,
}

#[derive(Deserialize)]
struct Match {
    #[serde(default)]
    reason: Option<String>,
}

/// The tests that the `default-filter` leaves out: program and name.
pub(super) fn left_out(context: &Context<'_>, workspace: &Path) -> Result<HashSet<(PathBuf, String)>, ListError> {
    let path = context.variable("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).any(|directory| directory.join("cargo-nextest").is_file());
    if !installed || !workspace.join(CONFIGURATION).is_file() {
        return Ok(HashSet::new());
    }
    let mut argv = words(&["cargo", "nextest", "list", "--message-format", "json"]);
    argv.extend(context.source.args.iter().cloned());
    let text = context.read(&argv, workspace, &[])?;
    read(&text).map_err(|error| malformed(&argv, error))
}

fn read(text: &str) -> serde_json::Result<HashSet<(PathBuf, String)>> {
    let list: List = serde_json::from_str(text)?;
    let tests = list.rust_suites.into_values().flat_map(|program| {
        // `ignored` is a reason too, which the test itself says when it runs.
        let out = |test: &Test| test.filter_match.reason.as_deref() == Some("default-filter");
        let path = program.binary_path;
        program.testcases.into_iter().filter(move |(_, test)| out(test)).map(move |(name, _)| (path.clone(), name))
    });
    Ok(tests.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_filter_leaves_out_is_left_out() {
        let text = r#"{"rust-build-meta": {}, "test-count": 3, "rust-suites": {"nx": {"binary-path": "/t/nx-1", "status": "listed",
            "testcases": {
                "quick": {"ignored": false, "filter-match": {"status": "matches"}},
                "slow": {"ignored": false, "filter-match": {"status": "mismatch", "reason": "default-filter"}},
                "off": {"ignored": true, "filter-match": {"status": "mismatch", "reason": "ignored"}}}},
            "nx::api": {"binary-path": "/t/api-2", "status": "skipped"}}}"#;
        let expected = HashSet::from([(PathBuf::from("/t/nx-1"), "slow".to_owned())]);
        assert_eq!(read(text).unwrap(), expected);
    }
}
