//! Patterns on a small project.

use super::*;

/// A project with links in it, and a secret beside it.
fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("project");
    for file in [
        "tests/run-b.c",
        "tests/run-a.c",
        "tests/run-slow-1.c",
        "tests/.run-hidden.c",
        "tests/run-dir.c/inner",
        "tests/unit/run-c.c",
        "tests/unit/deep/run-d.c",
        ".git/run-x.c",
        "Makefile",
    ] {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::write(directory.path().join("secret"), "").unwrap();
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.join(at)).unwrap();
    link("../tests", "tests/unit/loop");
    link("../../secret", "tests/run-secret.x");
    link("nowhere", "tests/run-dangling.c");
    link("tests/run-a.c", "linked.c");
    directory
}

#[track_caller]
fn check(patterns: &[&str], except: &[&str], expected: Result<&[&str], &str>) {
    let directory = project();
    let compile = |list: &[&str]| list.iter().map(|text| FileGlob::parse(text).unwrap()).collect::<Vec<_>>();
    let found = files(&directory.path().join("project"), &compile(patterns), &compile(except));
    let found = found.map_err(|error| error.to_string());
    assert_eq!(found, expected.map(|list| list.iter().map(|path| (*path).to_owned()).collect()).map_err(str::to_owned));
}

#[test]
fn patterns_find_files_in_order() {
    check(&["tests/run-*.c"], &[], Ok(&["tests/run-a.c", "tests/run-b.c", "tests/run-slow-1.c"]));
    check(&["./tests/run-*.c"], &["tests/run-slow*"], Ok(&["tests/run-a.c", "tests/run-b.c"]));
    check(&["tests/run-[ab].c", "tests/run-a.?"], &[], Ok(&["tests/run-a.c", "tests/run-b.c"]));
    check(&["**/run-?.c"], &["tests/run-*"], Ok(&["tests/unit/deep/run-d.c", "tests/unit/run-c.c"]));
    check(&["tests/**/run-?.c"], &["**/deep/*"], Ok(&["tests/run-a.c", "tests/run-b.c", "tests/unit/run-c.c"]));
    check(&["tests/unit/**"], &[], Ok(&["tests/unit/deep/run-d.c", "tests/unit/run-c.c"]));
    check(&["Makefile", "linked.c"], &[], Ok(&["Makefile", "linked.c"]));
    check(&["tests/.run-*"], &[], Ok(&["tests/.run-hidden.c"]));
    check(&["nowhere/*", "tests"], &[], Ok(&[]));
    check(&["tests/*.x"], &[], Err("`tests/run-secret.x` is a link to a file outside the project"));
}

#[test]
fn patterns_stay_in_the_project() {
    #[track_caller]
    fn refused(text: &str, part: &str) {
        let error = FileGlob::parse(text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    refused("", "is empty");
    refused("/etc/*", "is absolute");
    refused("../*", "`..`");
    refused("a/../../*", "`..`");
    refused("a/", "names a directory");
    refused("a/[b", "is not valid");
    refused("a**b", "is not valid");
    refused(&"*".repeat(501), "longer than 500 bytes");
}
