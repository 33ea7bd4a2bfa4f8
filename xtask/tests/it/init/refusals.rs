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

/// Where init is called counts as much as what is there.
#[test]
fn each_place_in_and_around_a_repository_has_its_own_answer() {
    if !needed(&[]) {
        return;
    }
    let part =
        project(&[("lib/Makefile", MAKEFILE.1), ("lib/a.c", "int main(void) { return 0; }\n"), ("doc/a.txt", "a\n")]);
    let around = tempfile::tempdir().unwrap();
    let at = |name: &str| around.path().join(name).to_str().unwrap().to_owned();
    let top = part.path().to_str().unwrap().to_owned();
    let address = format!("file://{top}");
    git(part.path(), &["tag", "v1.0"]);
    git(part.path(), &["clone", "--quiet", "--bare", &top, &at("bare.git")]);
    git(part.path(), &["clone", "--quiet", "--depth", "1", "--no-tags", &address, &at("shallow")]);
    fs::create_dir(at("empty")).unwrap();
    let called = |directory: &str| {
        let finished = part.xtask(&["init", directory]).run();
        let is_written = std::path::Path::new(directory).join("packaging").exists();
        (finished.code(), is_written, finished.stderr.clone())
    };
    for (directory, code, written, words) in [
        (
            at("bare.git"),
            2,
            false,
            format!(
                "is a bare repository, which has no files; clone it, and call init in the clone: git clone {} WORKTREE",
                at("bare.git")
            ),
        ),
        (
            format!("{top}/.git"),
            2,
            false,
            "is in the directory of git's own data; call init in the work tree".to_owned(),
        ),
        (at("empty"), 1, false, "has no files that could be looked at; nothing was written".to_owned()),
        (format!("{top}/doc"), 1, false, format!("which is a directory of {top}; call init there: ")),
        (format!("{top}/lib"), 0, false, "so only ci/jobs.yaml is written here".to_owned()),
        (at("shallow"), 0, true, "the clone is shallow, so tags may be missing; run `git -C ".to_owned()),
    ] {
        let (found, is_written, stderr) = called(&directory);
        assert_eq!((found, is_written), (code, written), "{directory}: {stderr}");
        assert!(stderr.contains(&words), "{directory}: {stderr}");
    }
    assert_eq!(
        fs::read_dir(at("bare.git")).unwrap().filter(|entry| entry.as_ref().unwrap().path().ends_with("ci")).count(),
        0
    );
    // A project that git does not track is not a part of the repository around it.
    fs::create_dir(part.path().join("other")).unwrap();
    fs::write(part.path().join("other/Makefile"), MAKEFILE.1).unwrap();
    fs::write(part.path().join("other/a.c"), "int main(void) { return 0; }\n").unwrap();
    assert!(called(&format!("{top}/other")).1);
}

#[test]
fn what_runs_leave_in_target_is_no_change_of_the_work_tree() {
    if !needed(&[("cmake", "cmake")]) {
        return;
    }
    let cmake = "cmake_minimum_required(VERSION 3.16)\nproject(c VERSION 1.2 LANGUAGES C)\nenable_testing()\nadd_executable(c a.c)\nadd_test(c c)\n";
    let project = project(&[("CMakeLists.txt", cmake), ("a.c", "int main(void) { return 0; }\n")]);
    assert_eq!(init(&project, &[]).code(), 0);
    git(project.path(), &["add", "--all"]);
    git(project.path(), &["commit", "--quiet", "-m", "b"]);
    let finished = project.xtask(&["ci"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    // Another program that makes files there, such as pip.
    fs::create_dir_all(project.path().join("target/python")).unwrap();
    fs::write(project.path().join("target/python/a.py"), "").unwrap();
    let status = std::process::Command::new("git").args(["status", "--porcelain"]).current_dir(project.path()).output();
    assert_eq!(String::from_utf8(status.unwrap().stdout).unwrap(), "");
}
