//! `workflows check` refuses what is broken, and has nothing to say about Drydock's own workflows and those that it writes.

use std::fs;
use std::path::Path;

use crate::support::{Project, need_tools, text};

const TOOLS: [(&str, &str); 3] = [
    ("zizmor", "pipx, then pipx install zizmor"),
    ("check-jsonschema", "pipx, then pipx install check-jsonschema"),
    ("bash", "bash"),
];

#[test]
fn broken_workflows_are_refused_and_our_own_are_not() {
    if !need_tools(&TOOLS) {
        return;
    }
    let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/workflows");
    let files: Vec<std::path::PathBuf> = fs::read_dir(&broken).unwrap().map(|entry| entry.unwrap().path()).collect();
    let named: Vec<String> = files.iter().map(|file| text(file)).collect();
    let call: Vec<&str> = ["workflows", "check"].into_iter().chain(named.iter().map(String::as_str)).collect();
    let checked = Project::new().jobs("jobs: {a: {run: ['true']}}\n").xtask(&call).run();
    assert_eq!(checked.code(), 1, "{}", checked.transcript());
    for file in &files {
        let content = fs::read_to_string(file).unwrap();
        let expected = content.lines().next().unwrap().trim_start_matches("# ");
        let name = text(file);
        // The schema and zizmor name the file in another line.
        let is_foreign = ["schema.yml", "zizmor.yml"].iter().any(|own| name.ends_with(own));
        let found = checked.stdout.lines().any(|line| line.contains(expected) && (is_foreign || line.contains(&name)));
        assert!(found && checked.stdout.contains(&name), "{name}: {expected}: {}", checked.transcript());
    }
    let rows = files.len();
    assert!(rows > 20, "{rows}");

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let project = Project::new().jobs("jobs: {a: {run: ['true']}}\n");
    for (command, setup) in [
        ("cargo xtask", "$/.github/actions/setup"),
        ("drydock", &format!("o/drydock/.github/actions/setup@{} # v1", "a1".repeat(20))),
    ] {
        let write = ["workflows", "write", "--command", command, "--setup", setup, "--tags", "v*", "--force"];
        let written = project.xtask(&write).run();
        assert_eq!((written.code(), written.stdout.lines().count()), (0, 3), "{}", written.transcript());
        let checked = project.xtask(&["workflows", "check"]).run();
        assert_eq!(checked.code(), 0, "{}", checked.transcript());
        for line in fs::read_to_string(project.path().join(".github/workflows/ci.yml")).unwrap().lines() {
            assert!(
                !line.contains('@') || line.contains("uses: ") || line.contains("[@]"),
                "a placeholder is left: {line}"
            );
        }
    }
    let again = project.xtask(&["workflows", "write"]).run();
    assert!(again.code() == 2 && again.stderr.contains("would be replaced; use --force"), "{}", again.transcript());
    let evil = project.xtask(&["workflows", "write", "--force", "--command", "x; ${{ secrets.A }}"]).run();
    assert!(evil.code() == 2 && evil.stderr.contains("would not take literally"), "{}", evil.transcript());
    let root = text(root);
    let own = std::process::Command::new(crate::support::xtask_binary())
        .args(["--project", &root, "workflows", "check"])
        .output()
        .unwrap();
    assert!(own.status.success(), "{}", String::from_utf8_lossy(&own.stdout));
}
