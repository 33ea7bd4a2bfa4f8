//! Fixtures of the release tests: a project in git, and directory trees to compare.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{Finished, Project, git, text};

/// The smallest declaration, with all archive formats.
pub(crate) const DECLARATION: &str =
    "name: p\nversion: {}\narchives: [{format: tar.gz}, {format: tar.xz}, {format: tar.bz2}, {format: zip}]\n";

/// A project with this declaration in a git repository without commits.
pub(crate) fn project(declaration: &str) -> Project {
    let project = Project::new().file("packaging/release.yaml", declaration);
    git(project.path(), &["init", "-q"]);
    project
}

/// Commits everything and tags it `v1.0`.
pub(crate) fn commit(project: &Project) {
    git(project.path(), &["add", "-A", "-f", "."]);
    git(project.path(), &["commit", "-q", "-m", "all"]);
    git(project.path(), &["tag", "-f", "-a", "-m", "1.0", "v1.0"]);
}

/// Runs `xtask --project PROJECT release ARGS…`.
pub(crate) fn release(project: &Project, args: &[&str]) -> Finished {
    project.xtask(&[&["release"], args].concat()).limit(Duration::from_secs(300)).run()
}

/// Builds the release; the directory with the results.
#[track_caller]
pub(crate) fn build(project: &Project) -> PathBuf {
    let built = release(project, &["build"]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    project.state().join("dist/1.0")
}

/// Every path below a directory, with `MODE CHECKSUM`, `MODE directory` or `-> TARGET`.
pub(crate) fn tree(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let name = text(path.strip_prefix(root).unwrap());
            let metadata = fs::symlink_metadata(&path).unwrap();
            let what = if metadata.is_symlink() {
                format!("-> {}", text(&fs::read_link(&path).unwrap()))
            } else if metadata.is_dir() {
                directories.push(path);
                format!("{:o} directory", metadata.permissions().mode() & 0o7777)
            } else {
                let content = fs::read(&path).unwrap();
                let sum = drydock_base::checksum::Checksum::new(&content);
                format!("{:o} {sum}", metadata.permissions().mode() & 0o7777)
            };
            all.insert(name, what);
        }
    }
    all
}

/// Runs a program, which must succeed; its standard output.
#[track_caller]
pub(crate) fn run(directory: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .args(args)
        .current_dir(directory)
        .env("LC_ALL", "C.UTF-8")
        .env_remove("TAR_OPTIONS")
        .output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    assert!(output.status.success(), "{program} {args:?}: {stdout}{stderr}");
    stdout
}
