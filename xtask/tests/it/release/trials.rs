//! The version of a trial of a commit without a tag.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::fixture::{self, release};
use crate::support::{Project, git, need_tools, text, xtask_binary};

/// The name of the only directory in that of the results.
fn version(project: &Project) -> String {
    let mut found: Vec<String> = fs::read_dir(project.state().join("dist"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn next_commit(project: &Path, message: &str) {
    git(project, &["commit", "-q", "--allow-empty", "-m", message]);
}

#[test]
fn a_trial_is_named_after_the_last_release_also_where_it_is_built_again_without_tags() {
    if !need_tools(&[("git", "git")]) {
        return;
    }
    let project = fixture::project("name: p\nversion: {tag: 'v{version}'}\narchives: [{format: tar.gz}]\n");
    let at = project.path();
    let built = |words: &[&str]| {
        fs::remove_dir_all(project.state().join("dist")).ok();
        let built = release(&project, &[&["build"], words].concat());
        (built.code(), built.transcript())
    };
    git(at, &["add", "-A", "-f", "packaging"]);
    next_commit(at, "one");
    let (code, said) = built(&["--untagged"]);
    assert_eq!(code, 0, "{said}");
    assert!(version(&project).starts_with("0+git"), "no release is in the history");
    for tag in ["v1.2", "v1.10", "other-9.0"] {
        git(at, &["tag", tag]);
        next_commit(at, tag);
    }
    let (code, said) = built(&["--untagged"]);
    assert_eq!(code, 0, "{said}");
    let found = version(&project);
    let place = found.strip_prefix("1.10").unwrap_or_else(|| panic!("{found}")).to_owned();
    assert!(place.starts_with("+git"), "{found}");
    // A tag that is not in the history names no release of it.
    git(at, &["switch", "-q", "-c", "other"]);
    next_commit(at, "elsewhere");
    git(at, &["tag", "v2.0"]);
    git(at, &["switch", "-q", "-"]);

    // The rebuild has only the commit, and so has a shallow clone of somebody who verifies.
    let proved = release(&project, &["prove", "--untagged"]);
    assert_eq!(proved.code(), 0, "{}", proved.transcript());
    let clones = tempfile::tempdir().unwrap();
    let clone = clones.path().join("clone");
    git(at, &["clone", "-q", "--depth=1", "--no-tags", &format!("file://{}", text(at)), &text(&clone)]);
    let dist = text(&project.state().join("dist").join(&found));
    let mut drydock = Command::new(xtask_binary());
    drydock.args(["--project", &text(&clone), "release", "verify", &dist, "--rebuild", "--integrity-only"]);
    let verified = drydock.output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    for (given, fits) in [
        (format!("1.10{place}"), true),
        (format!("1.9{place}"), true),
        ("1.10".to_owned(), false),
        (place.clone(), false),
        ("1.10+git20000101.0123456789ab".to_owned(), false),
    ] {
        let (code, said) = built(&[&format!("--untagged={given}")]);
        assert_eq!(code, if fits { 0 } else { 2 }, "{given}: {said}");
        assert!(!fits || version(&project) == given);
    }
}

#[test]
fn the_version_file_names_a_trial_whatever_the_tags_are() {
    if !need_tools(&[("git", "git")]) {
        return;
    }
    let declared = "name: p\nversion: {tag: 'v{version}', files: [{path: VERSION}]}\narchives: [{format: tar.gz}]\n";
    let project = fixture::project(declared).file("VERSION", "1.3\n");
    fixture::commit(&project);
    next_commit(project.path(), "next");
    let built = release(&project, &["build", "--untagged"]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let found = version(&project);
    let place = found.strip_prefix("1.3").unwrap_or_else(|| panic!("{found}"));
    let other = release(&project, &["build", &format!("--untagged=1.0{place}")]);
    assert_eq!(other.code(), 2, "{}", other.transcript());
}
