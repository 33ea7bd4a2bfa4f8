//! Commits and clones that cannot be released, and the remedies in the messages.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::fixture::{DECLARATION, commit, project, release};
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
        ("100600", b"odd-mode"),
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
            "mode 100600",
        ],
    );
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
    let library = Project::new().file("lib.c", "int x;\n");
    git(library.path(), &["init", "-q"]);
    git(library.path(), &["add", "-A"]);
    git(library.path(), &["commit", "-q", "-m", "x"]);
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
    let plain = check("plain", &[], &["the submodule lib (pinned at", "git submodule update --init lib"]);
    git(plain.path(), &["submodule", "--quiet", "update", "--init"]);
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
        "VERSION has the version                      0.9",
        "lib.toml has the version                     0.8",
        "none has the version                         the commit has no such file",
        "CHANGES has a heading for 1.0                it has no such heading",
        "no-such-package-at-all",
        " M VERSION, A  staged",
        "to do: apt-get install no-such-package-at-all",
    ] {
        assert!(check.stdout.contains(words), "{words:?} is not in {}", check.transcript());
    }
    let json: serde_json::Value =
        serde_json::from_str(&release(&project, &["check", "--format", "json"]).stdout).unwrap();
    assert_eq!(json.as_array().unwrap().iter().filter(|finding| finding["holds"] == false).count(), 6);
}
