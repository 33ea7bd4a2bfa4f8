//! What `init` leaves alone: files that exist, links, and trees that are made to mislead it.

use std::fs;
use std::os::unix::fs::symlink;

use super::{init, needed, project, read};
use crate::support::git;

const MAKEFILE: (&str, &str) = ("Makefile", "all:\n\t$(CC) -o a a.c\ncheck: all\n\t./a\n");

#[test]
fn nothing_is_overwritten_and_a_dry_run_is_a_diff_that_git_applies() {
    if !needed(&[]) {
        return;
    }
    let files = [MAKEFILE, ("a.c", "int main(void) { return 0; }\n")];
    let dry = project(&files);
    let diff = init(&dry, &["--dry-run"]);
    assert_eq!(diff.code(), 0, "{}", diff.transcript());
    assert!(!dry.path().join("ci").exists() && !dry.path().join("packaging").exists());
    let summary = "nothing was written; without --dry-run, init writes ci/jobs.yaml (";
    assert!(diff.stderr.contains(summary), "{}", diff.transcript());
    fs::write(dry.path().join("../it.diff"), &diff.stdout).unwrap();
    git(dry.path(), &["apply", "../it.diff"]);
    let written = project(&files);
    init(&written, &[]);
    let name = |project: &crate::support::Project, file: &str| {
        read(&project.path().join(file)).replace(&*project.path().file_name().unwrap().to_string_lossy(), "NAME")
    };
    for file in ["ci/jobs.yaml", "packaging/release.yaml"] {
        assert_eq!(name(&dry, file), name(&written, file));
    }
    // The user's own file stays, byte for byte, whatever the options; the other one is written.
    for options in [&[][..], &["--dry-run"], &["--try"]] {
        let own = project(&files).jobs("jobs: {mine: {run: [\"true\"]}}\n");
        let finished = init(&own, options);
        assert_eq!(read(&own.path().join("ci/jobs.yaml")), "jobs: {mine: {run: [\"true\"]}}\n");
        assert!(finished.stderr.contains("ci/jobs.yaml"), "{}", finished.transcript());
        assert_eq!(finished.code(), i32::from(options == ["--try"]), "{}", finished.transcript());
    }
    // A directory that is a link would lead the file out of the project.
    let outside = tempfile::tempdir().unwrap();
    let linked = project(&files);
    symlink(outside.path(), linked.path().join("ci")).unwrap();
    let finished = init(&linked, &[]);
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    assert!(finished.stderr.contains("ci is not a directory"), "{}", finished.transcript());
    assert!(fs::read_dir(outside.path()).unwrap().next().is_none() && !linked.path().join("packaging").exists());
    // A dangling link in the place of the file is something, and is kept.
    let dangling = project(&files);
    fs::create_dir(dangling.path().join("ci")).unwrap();
    symlink("/nonexistent/drydock", dangling.path().join("ci/jobs.yaml")).unwrap();
    let finished = init(&dangling, &[]);
    assert!(finished.stderr.contains("ci/jobs.yaml exists, and is kept as it is"), "{}", finished.transcript());
}

#[test]
fn a_tree_that_misleads_is_looked_at_and_not_obeyed() {
    if !needed(&[]) {
        return;
    }
    let evil = "x\u{1b}[2J\nrun: [evil]: {jobs} {{x}} \"'";
    let option = format!(
        "cmake_minimum_required(VERSION 3.16)\nproject(\"{evil}\" VERSION \"1.0{{version}}\" LANGUAGES C)\noption(WITH_TESTS \"{evil}\" OFF)\nenable_testing()\n"
    );
    let hostile = project(&[
        ("CMakeLists.txt", &option),
        ("Makefile", "check: ; $(CC)\n"),
        ("a.c", ""),
        ("x: {y}.supp", "{\n m\n Memcheck:Leak\n fun:x\n}\n"),
    ]);
    let at = hostile.path();
    symlink("/etc/passwd", at.join("VERSION")).unwrap();
    symlink("/", at.join("src")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(at.join("meson.build")).status().unwrap();
    assert!(fifo.success());
    fs::write(at.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"bad-\xff")), "").unwrap();
    let huge = fs::File::create(at.join("CHANGELOG.md")).unwrap();
    huge.set_len(3 << 30).unwrap();
    // Not a repository, so that the files are found by a walk.
    fs::remove_dir_all(at.join(".git")).unwrap();
    let finished = init(&hostile, &[]);
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    for wanted in [
        "1 path left out: each has a name that is not UTF-8",
        "1 path left out: each is a pipe",
        "CHANGELOG.md is too large",
    ] {
        assert!(finished.stderr.contains(wanted), "{wanted}: {}", finished.transcript());
    }
    assert!(!finished.stderr.contains('\u{1b}'), "{}", finished.stderr);
    let jobs = read(&at.join("ci/jobs.yaml"));
    assert!(!jobs.contains("evil]") || jobs.lines().all(|line| !line.trim_start().starts_with("run: [evil")), "{jobs}");
    assert!(!read(&at.join("packaging/release.yaml")).contains("passwd"));
    let plan = hostile.xtask(&["ci", "plan"]).run();
    assert_eq!(plan.code(), 0, "{}", plan.transcript());

    let empty = project(&[("README", "nothing\n")]);
    let finished = init(&empty, &[]);
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    assert!(finished.stderr.contains("no build system was found at the top"), "{}", finished.transcript());
    // What is there and cannot be read is not what is not there.
    let long = project(&[("a.c", "")]);
    fs::File::create(long.path().join("Makefile")).unwrap().set_len(2 << 20).unwrap();
    let finished = init(&long, &[]);
    let words = "note: Makefile was not read: it is larger than 1 MiB\n";
    assert!(finished.code() == 1 && finished.stderr.contains(words), "{}", finished.transcript());
    let nowhere = init(&empty, &["nowhere"]);
    assert_eq!(nowhere.code(), 2, "{}", nowhere.transcript());
}
