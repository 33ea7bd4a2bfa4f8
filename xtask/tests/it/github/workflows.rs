//! `workflows check` refuses what is broken, and has nothing to say about Drydock's own workflows and those that it writes.

use std::fs;
use std::path::Path;

use crate::support::{Project, need_tools, text};

const TOOLS: [(&str, &str); 4] = [
    ("zizmor", "pipx, then pipx install zizmor"),
    ("check-jsonschema", "pipx, then pipx install check-jsonschema"),
    ("bash", "bash"),
    ("shellcheck", "shellcheck"),
];

#[test]
fn a_project_without_declarations_may_have_workflows() {
    let project = Project::new();
    let none = project.xtask(&["workflows", "check"]).run();
    assert_eq!(none.code(), 2, "{}", none.transcript());
    assert!(
        none.stderr.contains("there are no workflows in") && none.stderr.contains(" init` writes"),
        "{}",
        none.stderr
    );
    let project = project.file(".github/workflows/ci.yml", "on: push\npermissions: {contents: write}\njobs: {}\n");
    let checked = project.xtask(&["workflows", "check"]).run();
    assert_eq!(checked.code(), 1, "{}", checked.transcript());
}

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
        assert_eq!((written.code(), written.stdout.lines().count()), (0, 4), "{}", written.transcript());
        let checked = project.xtask(&["workflows", "check"]).run();
        assert_eq!(checked.code(), 0, "{}", checked.transcript());
        for line in fs::read_to_string(project.path().join(".github/workflows/ci.yml")).unwrap().lines() {
            assert!(
                !line.contains('@') || line.contains("uses: ") || line.contains("[@]"),
                "a placeholder is left: {line}"
            );
        }
    }
    // A project that declares releases, publishes them on GitHub, and pushes images to its registry.
    let whole = Project::new()
        .jobs("jobs: {a: {run: ['true']}}\n")
        .file(
            "packaging/release.yaml",
            "name: x\nversion: {tag: 'x-{version}'}\narchives: [{format: tar.xz}]\n\
             signing: {keys: packaging/keys, quorum: 2}\npublish: [{github: {repository: o/x}}]\n",
        )
        .file(
            "docker/images.yaml",
            "repositories: {nightly: ghcr.io/o/x/nightly, release: ghcr.io/o/x/x}\n\
             images: {x: {base: {suite: bookworm, snapshot: 20260601T000000Z}, from: {debs: [xx]}, entrypoint: [x], smoke-test: {run: [x], expect: '{version}'}}}\n",
        );
    let written = whole.xtask(&["workflows", "write"]).run();
    assert_eq!((written.code(), written.stdout.lines().count()), (0, 4), "{}", written.transcript());
    let checked = whole.xtask(&["workflows", "check"]).run();
    assert_eq!(checked.code(), 0, "{}", checked.transcript());
    let read = |name: &str| fs::read_to_string(whole.path().join(".github/workflows").join(name)).unwrap();
    assert!(read("release.yml").contains("tags: [\"x-*\"]") && read("release.yml").contains("release publish --draft"));
    assert!(read("nightly.yml").contains("nightly --unpack") && !read("nightly.yml").contains("#["));
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
