//! `doctor`: which tools it lists.

use crate::support::Project;

/// A tool, and whether only Drydock's own tests and its example need it.
type Listed = (String, bool);

/// The tools that `doctor` lists.
fn listed(words: &[&str]) -> Vec<Listed> {
    let finished = Project::new().xtask(words).run();
    let found: serde_json::Value =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.transcript()));
    let one = |tool: &serde_json::Value| {
        let mut needed_by = tool["needed-by"].as_array().unwrap().iter();
        let is_own = needed_by.all(|purpose| ["check", "demo"].contains(&purpose.as_str().unwrap()));
        (tool["name"].as_str().unwrap().to_owned(), is_own)
    };
    found["tools"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn doctor_leaves_out_what_only_drydocks_own_tests_need() {
    let all = listed(&["doctor", "--format", "json"]);
    assert!(!all.is_empty() && all.iter().all(|(_, is_own)| !is_own), "{all:?}");
    // Who asks for them sees them.
    let asked = listed(&["doctor", "check", "--format", "json"]);
    assert!(asked.iter().any(|(_, is_own)| *is_own), "{asked:?}");
    let shown = Project::new().xtask(&["doctor"]).run();
    assert!(
        shown.stdout.contains(" more are only for Drydock's own tests and its example: `"),
        "{}",
        shown.transcript()
    );
    let valgrind = shown.stdout.lines().find(|line| line.contains(" valgrind ")).unwrap();
    assert!(valgrind.contains(" ci ") && !valgrind.contains("check,") && !valgrind.contains("demo"), "{valgrind}");
}
