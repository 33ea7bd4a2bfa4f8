//! `doctor` in a clone of Drydock and elsewhere.

use crate::support::Project;

/// A tool, and whether only Drydock's own tests and its example need it.
type Listed = (String, bool);

/// The tools that `doctor` lists, where cargo runs it from the package in a directory.
fn listed(package: &str, words: &[&str]) -> Vec<Listed> {
    let finished = Project::new().xtask(words).env("CARGO_MANIFEST_DIR", package).run();
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
fn outside_of_a_clone_doctor_leaves_out_what_only_drydocks_own_tests_need() {
    let elsewhere = tempfile::tempdir().unwrap();
    let package = elsewhere.path().join("xtask").display().to_string();
    let doctor = ["doctor", "--format", "json"];
    let (own, others): (Vec<Listed>, Vec<Listed>) =
        listed(env!("CARGO_MANIFEST_DIR"), &doctor).into_iter().partition(|(_, is_own)| *is_own);
    assert!(!own.is_empty() && !others.is_empty());
    assert_eq!(listed(&package, &doctor), others);
    // Who asks for them sees them.
    let asked = listed(&package, &["doctor", "check", "--format", "json"]);
    assert!(asked.iter().any(|(_, is_own)| *is_own), "{asked:?}");
    let shown = Project::new().xtask(&["doctor"]).env("CARGO_MANIFEST_DIR", &package).run();
    let line = format!("{} more are for Drydock's own tests and its example: `", own.len());
    assert!(shown.stdout.contains(&line), "{}", shown.transcript());
    let shown = Project::new().xtask(&["doctor"]).env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR")).run();
    assert!(!shown.stdout.contains("more are for Drydock's own tests"), "{}", shown.transcript());
}
