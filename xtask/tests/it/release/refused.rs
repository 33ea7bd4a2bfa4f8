//! Commits and clones that cannot be released, and the remedies in the messages.

use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use super::fixture::{DECLARATION, build, commit, project, release, run};
use crate::support::{Project, git, text};

/// Commits entries that no work tree could have.
fn commit_entries(project: &Project, entries: &[(&str, &[u8])]) {
    commit(project);
    let blob = {
        fs::write(project.path().join(".git/x"), "x").unwrap();
        git(project.path(), &["hash-object", "-w", ".git/x"])
    };
    // Write the tree object directly, as git's index refuses some of these names.
    let mut child = Command::new("git")
        .args(["hash-object", "-t", "tree", "-w", "--stdin", "--literally"])
        .current_dir(project.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let raw: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).unwrap()).collect();
    let declaration = git(project.path(), &["rev-parse", "HEAD:packaging"]);
    let directory: Vec<u8> =
        (0..20).map(|at| u8::from_str_radix(&declaration[2 * at..2 * at + 2], 16).unwrap()).collect();
    // git looks entries up in this order.
    let mut all: Vec<(&[u8], &str, &[u8])> = entries.iter().map(|(mode, name)| (*name, *mode, &raw[..])).collect();
    all.push((b"packaging", "40000", &directory));
    all.sort();
    let one = |(name, mode, oid): (&[u8], &str, &[u8])| [mode.as_bytes(), b" ", name, b"\0", oid].concat();
    let tree: Vec<u8> = all.into_iter().flat_map(one).collect();
    child.stdin.take().unwrap().write_all(&tree).unwrap();
    let oid = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let commit = git(project.path(), &["commit-tree", "-m", "x", oid.trim()]);
    git(project.path(), &["update-ref", "refs/heads/main", &commit]);
    git(project.path(), &["tag", "-f", "v1.0", &commit]);
}

#[track_caller]
fn refused(project: &Project, words: &[&str]) {
    let built = release(project, &["build"]);
    assert_ne!(built.code(), 0, "{}", built.transcript());
    for word in words {
        assert!(built.stderr.contains(word), "{word:?} is not in {}", built.transcript());
    }
    assert!(!project.state().join("dist").exists(), "something was written");
}

#[test]
fn paths_that_unpack_differently_are_all_reported_at_once() {
    let project = project(DECLARATION);
    let entries: &[(&str, &[u8])] = &[
        ("100644", b"README"),
        ("100644", b"readme"),
        ("100644", b"a\\b"),
        ("100644", b"bell\x07"),
        ("100644", b".."),
        ("100644", b".Git"),
        ("100644", b"latin\xe4"),
        ("100644", "caf\u{e9}".as_bytes()),
        ("100644", "cafe\u{301}".as_bytes()),
        ("60000", b"odd-mode"),
    ];
    commit_entries(&project, entries);
    refused(
        &project,
        &[
            "readme: is the same as README",
            "a\\b: contains the character",
            "bell",
            "`..`",
            "`.Git`",
            "not UTF-8",
            "is the same as caf",
            "odd-mode: has a mode that git does not know",
        ],
    );
}

#[test]
fn modes_that_old_versions_of_git_wrote_are_read_as_git_reads_them() {
    let project = project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n");
    commit_entries(&project, &[("0100644", b"a"), ("100600", b"b"), ("100775", b"c"), ("100664", b"d")]);
    let dist = build(&project);
    let listed = run(&dist, "tar", &["-tvf", "p-1.0.tar.gz"]);
    let modes: Vec<&str> = listed
        .lines()
        .filter(|line| ["a", "b", "c", "d"].iter().any(|name| line.ends_with(&format!("p-1.0/{name}"))))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(modes, ["-rw-r--r--", "-rw-r--r--", "-rwxr-xr-x", "-rw-r--r--"], "{listed}");
}

#[test]
fn excluded_paths_are_never_a_problem() {
    let attributes = "# none yet\n";
    let project = project("name: p\nversion: {}\narchives: [{format: tar.gz}, {format: zip}]\n")
        .file("README", "x")
        .file("odd/aux.c", "x")
        .file("odd/Makefile", "x")
        .file("odd/makefile", "x")
        .file("odd/subst", "$Format:%H$")
        .file("odd/lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        .file(".gitattributes", attributes);
    let odd = project.path().join("odd");
    std::os::unix::fs::symlink("/etc/passwd", odd.join("absolute")).unwrap();
    std::os::unix::fs::symlink("../../outside", odd.join("outside")).unwrap();
    std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(b"\xe4"), odd.join("target")).unwrap();
    fs::write(odd.join(std::ffi::OsStr::from_bytes(b"latin\xe4")), "x").unwrap();
    fs::write(odd.join("x".repeat(200)), "x").unwrap();
    fs::write(odd.join(format!("{}?", "x".repeat(200))), "x").unwrap();
    fs::write(odd.join(".gitattributes"), "subst export-subst\nlfs filter=lfs\n").unwrap();
    commit(&project);
    let problems = [
        "odd/absolute",
        "odd/outside",
        "odd/target",
        "odd/latin",
        "aux.c: has a component that is the device AUX",
        "odd/subst",
        "odd/lfs",
    ];
    refused(&project, &problems);
    for rules in ["odd export-ignore\n", "odd/* export-ignore\n", "/odd/** export-ignore\n"] {
        fs::write(project.path().join(".gitattributes"), rules).unwrap();
        commit(&project);
        fs::remove_dir_all(project.state()).ok();
        let dist = build(&project);
        let listed = run(&dist, "tar", &["-tf", "p-1.0.tar.gz"]);
        assert!(listed.contains("p-1.0/README") && !listed.contains("odd/"), "{rules}{listed}");
    }
}

#[test]
fn a_project_may_have_names_that_only_unix_holds_but_never_unsafe_ones() {
    let declaration =
        "name: p\nversion: {}\nsource: {portable-names: false}\narchives: [{format: tar.gz}, {format: zip}]\n";
    let project =
        project(declaration).file("aux.c", "x").file("man/A::B.3pm", "x").file("Makefile", "x").file("makefile", "y");
    commit(&project);
    let dist = build(&project);
    let listed = run(&dist, "tar", &["-tf", "p-1.0.tar.gz"]);
    for name in ["aux.c", "man/A::B.3pm", "Makefile", "makefile"] {
        assert!(listed.lines().any(|line| line == format!("p-1.0/{name}")), "{listed}");
    }
    let verified = release(&project, &["verify", &text(&dist), "--integrity-only"]);
    assert!(verified.code() == 0 || verified.stderr.contains("integrity-only"), "{}", verified.transcript());
    commit_entries(&project, &[("100644", b"git~1")]);
    let built = release(&project, &["build"]);
    assert!(built.code() != 0 && built.stderr.contains("git~1"), "{}", built.transcript());
}

#[test]
fn the_check_names_a_date_that_a_format_cannot_hold() {
    let project = project("name: p\nversion: {}\narchives: [{format: tar.gz}, {format: zip}]\n").file("README", "x");
    for (date, holds) in [("100000000", false), ("4354819199", true), ("4354819200", false)] {
        commit_on(&project, date);
        let checked = release(&project, &["check"]);
        assert_eq!(checked.code(), i32::from(!holds), "{}", checked.transcript());
        assert_eq!(checked.transcript().contains("1980 to 2107"), !holds, "{}", checked.transcript());
    }
    // Without a zip file, dates of every year are held.
    let project = project.file("packaging/release.yaml", "name: p\nversion: {}\narchives: [{format: tar.gz}]\n");
    commit_on(&project, "9000000000");
    let dist = build(&project);
    let listed = run(&dist, "tar", &["--utc", "-tvf", "p-1.0.tar.gz"]);
    assert!(listed.lines().count() > 1 && listed.lines().all(|line| line.contains(" 2255-03-14 ")), "{listed}");
}

/// Commits everything with a date in seconds since 1970, which git itself only accepts until 2099.
fn commit_on(project: &Project, date: &str) {
    fs::write(project.path().join("date"), date).unwrap();
    commit(project);
    let raw = git(project.path(), &["cat-file", "commit", "HEAD"]);
    let raw = raw.replace("committer n <m> 1780315200", &format!("committer n <m> {date}"));
    fs::write(project.path().join(".git/raw"), raw + "\n").unwrap();
    let oid = git(project.path(), &["hash-object", "-t", "commit", "-w", ".git/raw"]);
    git(project.path(), &["update-ref", "HEAD", &oid]);
    git(project.path(), &["tag", "-f", "v1.0"]);
}

#[test]
fn links_out_of_the_tree_are_refused() {
    let project = project(DECLARATION);
    for (path, target) in [("absolute", "/etc/passwd"), ("above", "../x"), ("inside", "packaging")] {
        std::os::unix::fs::symlink(target, project.path().join(path)).unwrap();
    }
    commit(&project);
    refused(&project, &["absolute: is a symlink to /etc/passwd", "above: is a symlink to ../x"]);
    assert!(!release(&project, &["build"]).stderr.contains("inside:"));
}

#[test]
fn attributes_that_would_change_the_bytes_are_resolved_or_refused() {
    let project = project(DECLARATION)
        .file(".gitattributes", "version export-subst\n*.bin filter=lfs\nold.bin export-ignore\n")
        .file("version", "$Format:%H$\n")
        .file("real.bin", "the file itself")
        .file("old.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        .file("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    git(project.path(), &["config", "filter.lfs.clean", "cat"]);
    commit(&project);
    refused(&project, &["version: has the attribute export-subst", "big.bin: is a Git LFS pointer"]);
    let said = release(&project, &["build"]).stderr;
    assert!(!said.contains("real.bin") && !said.contains("old.bin"), "{said}");
}

#[test]
fn errors_about_incomplete_clones_name_the_command_that_completes_them() {
    let [library, inner] = ["lib.c", "inner.c"].map(|path| {
        let one = Project::new().file(path, "int x;\n");
        git(one.path(), &["init", "-q"]);
        git(one.path(), &["add", "-A"]);
        git(one.path(), &["commit", "-q", "-m", "x"]);
        one
    });
    git(library.path(), &["submodule", "--quiet", "add", &text(inner.path()), "inner"]);
    git(library.path(), &["commit", "-q", "-m", "y"]);
    let project = project(DECLARATION);
    git(project.path(), &["submodule", "--quiet", "add", &text(library.path()), "lib"]);
    commit(&project);
    let clones = tempfile::tempdir().unwrap();
    let url = format!("file://{}", text(project.path()));
    let check = |name: &str, options: &[&str], words: &[&str]| {
        git(clones.path(), &[&["clone", "-q"], options, &[&url, name]].concat());
        let clone = Project::new();
        fs::remove_dir(clone.path()).unwrap();
        fs::rename(clones.path().join(name), clone.path()).unwrap();
        let said = release(&clone, &["check"]);
        assert_eq!(said.code(), 1, "{}", said.transcript());
        for word in words {
            assert!(said.stdout.contains(word), "{name}: {word:?} is not in {}", said.transcript());
        }
        clone
    };
    let plain = check("plain", &[], &["the submodule lib (pinned at", "git submodule update --init -- lib"]);
    git(plain.path(), &["submodule", "--quiet", "update", "--init"]);
    // The one within it is missing, too; its command works where git has a work tree.
    let said = release(&plain, &["check"]);
    let lib = text(&plain.path().canonicalize().unwrap().join("lib"));
    let command = format!("run `git -C {lib} submodule update --init --recursive -- .`");
    assert!(said.stdout.contains("the submodule lib/inner (pinned at"), "{}", said.transcript());
    assert!(said.stdout.contains(&command), "{}", said.transcript());
    git(lib.as_ref(), &["submodule", "--quiet", "update", "--init", "--recursive", "--", "."]);
    let said = release(&plain, &["check"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    let without_tag = ["--depth=1", "--no-tags", "--recurse-submodules"];
    check("shallow", &without_tag, &["no tag of", "git fetch --tags (the clone is shallow)"]);
    git(project.path(), &["config", "uploadpack.allowFilter", "true"]);
    let partial = ["--filter=blob:none", "--no-checkout"];
    let clone = check_partial(&clones, &url, &partial);
    assert!(clone.contains("the clone is partial; run `git -C") && clone.contains("--refetch"), "{clone}");

    // The submodule's repository lacks the pinned commit.
    fs::write(plain.path().join("lib/lib.c"), "int y;\n").unwrap();
    git(&plain.path().join("lib"), &["commit", "-q", "-a", "-m", "y"]);
    commit(&plain);
    git(&plain.path().join("lib"), &["reset", "-q", "--hard", "HEAD~"]);
    git(&plain.path().join("lib"), &["reflog", "expire", "--expire=all", "--all"]);
    git(&plain.path().join("lib"), &["gc", "-q", "--prune=now"]);
    let said = release(&plain, &["check", "--allow-dirty"]);
    assert!(
        said.stdout.contains("which") && said.stdout.contains("does not have; run `git -C"),
        "{}",
        said.transcript()
    );
}

fn check_partial(clones: &tempfile::TempDir, url: &str, options: &[&str]) -> String {
    git(clones.path(), &[&["clone", "-q"], options, &[url, "partial"]].concat());
    let path = clones.path().join("partial");
    // The project is found by its declaration, which this clone has only in git.
    let output = Command::new(crate::support::xtask_binary())
        .args(["--project", &text(&path), "--config"])
        .arg(config(clones))
        .args(["release", "build", "--untagged"])
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn config(clones: &tempfile::TempDir) -> std::path::PathBuf {
    let directory = clones.path().join("config");
    fs::create_dir_all(directory.join("packaging")).unwrap();
    fs::write(directory.join("packaging/release.yaml"), DECLARATION).unwrap();
    directory
}

#[test]
fn preflight_reports_everything_at_once() {
    let declaration = "\
name: p
version: {files: [{path: VERSION}, {path: lib.toml, line: 'version = \"{version}\"'}, {path: none}], changelog: CHANGES}
source: {derived: {x: {run: ['true'], inputs: [VERSION], outputs: [y], needs: [no-such-package-at-all]}}}
archives: [{format: zip}]
";
    let project = project(declaration)
        .file("VERSION", "0.9\n")
        .file("lib.toml", "version = \"0.8\"\n")
        .file("CHANGES", "# Changes\n\n## 1.0.1\n");
    commit(&project);
    fs::write(project.path().join("VERSION"), "1.0\n").unwrap();
    fs::write(project.path().join("staged"), "x").unwrap();
    git(project.path(), &["add", "staged"]);
    let check = release(&project, &["check"]);
    assert_eq!(check.code(), 1, "{}", check.transcript());
    for words in [
        "VERSION has the version                      line 1 has 0.9",
        "lib.toml has the version                     line 1 has 0.8",
        "none has the version                         the commit has no such file",
        "CHANGES has an entry for 1.0                 line 3: no entry for the version: the topmost heading is `1.0.1`",
        "to do: add a heading such as `## [1.0] - DATE` with the changes below it, and commit it",
        "no-such-package-at-all",
        " M VERSION, A  staged",
        "to do: run `apt-get install no-such-package-at-all`",
    ] {
        assert!(check.stdout.contains(words), "{words:?} is not in {}", check.transcript());
    }
    let json: serde_json::Value =
        serde_json::from_str(&release(&project, &["check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().iter().filter(|finding| finding["holds"] == false).count(), 6);
}
