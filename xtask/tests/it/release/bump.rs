//! `release bump`, `notes` and `hotfix` on a Rust workspace in git: files are written as cargo and `release check` want them.

use std::fs;
use std::process::Command;

use super::fixture::{project, release};
use crate::support::{Project, git, need_tool};

const DECLARATION: &str = "\
name: p
version: {files: [{path: Cargo.toml, key: package.version}, {path: VERSION}], changelog: CHANGES.md}
archives: [{format: tar.gz}]
nightly: {next: \"1.1.0\"}
";

/// A workspace whose crates have one version, and a dependency on each other.
fn workspace() -> Project {
    let crate_of = |name: &str, more: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2021\"\n{more}")
    };
    let root = crate_of("own", "\n[dependencies]\nlib = {path = \"lib\", version = \"1.0.0\"}\n");
    let project = project(DECLARATION)
        .file("Cargo.toml", &root)
        .file("src/lib.rs", "")
        .file("lib/Cargo.toml", &crate_of("lib", ""))
        .file("lib/src/lib.rs", "")
        .file("VERSION", "1.0.0\n")
        .file(".gitignore", "target\n")
        .file("CHANGES.md", "# Changes\n\n## [Unreleased]\n\n## [1.0.0] - 2026-06-01\n\n- First\n");
    let made =
        Command::new("cargo").args(["generate-lockfile", "--offline"]).current_dir(project.path()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    commit(&project, "Release 1.0.0");
    git(project.path(), &["tag", "-a", "-m", "1.0.0", "v1.0.0"]);
    project
}

fn commit(project: &Project, message: &str) {
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "-m", message]);
}

#[track_caller]
fn said(project: &Project, args: &[&str], code: i32, words: &[&str]) -> String {
    let said = release(project, args);
    let all = format!("{}{}", said.stdout, said.stderr);
    assert!(said.code() == code && words.iter().all(|word| all.contains(word)), "{words:?}: {}", said.transcript());
    said.stdout
}

#[test]
fn a_version_is_begun_noted_and_repaired_on_a_branch() {
    if !need_tool("cargo", "cargo") {
        return;
    }
    let project = workspace();
    let read = |path: &str| fs::read_to_string(project.path().join(path)).unwrap();
    let fragment = |name: &str, text: &str| {
        fs::create_dir_all(project.path().join("changelog.d")).unwrap();
        fs::write(project.path().join("changelog.d").join(name), text).unwrap();
    };
    // Nothing is written that `release check` would refuse.
    said(&project, &["bump", "1.0.0"], 2, &["1.0.0 is released as v1.0.0; the next one is 1.0.1"]);
    said(&project, &["bump", "0.9"], 2, &["0.9 is below 1.0.0"]);
    said(&project, &["bump", "1.1.0"], 1, &["would have no changes of 1.1.0", "release notes --from commits"]);
    fragment("slug-only.fix.md", "x");
    said(&project, &["bump", "1.1.0"], 3, &["\"slug-only\" is not a number", "+slug-only.KIND.md"]);
    fs::remove_file(project.path().join("changelog.d/slug-only.fix.md")).unwrap();
    assert_eq!(git(project.path(), &["status", "--porcelain", "--untracked-files=no"]), "");

    fragment("12.fix.md", "A crash.");
    fragment("+x.feature.md", "A button.");
    commit(&project, "fix: a crash");
    said(&project, &["notes"], 0, &["### Added\n\n- A button.\n\n### Fixed\n\n- A crash. (#12)"]);
    said(&project, &["notes", "--from", "commits"], 0, &["### Fixed\n\n- A crash"]);
    said(&project, &["bump", "1.1.0", "--dry-run"], 0, &["would write CHANGES.md", "would remove"]);
    assert_eq!(read("VERSION"), "1.0.0\n");
    said(&project, &["bump", "1.1.0"], 0, &["wrote Cargo.lock", "wrote packaging/release.yaml", "removed"]);
    assert!(
        read("CHANGES.md").contains("## [Unreleased]\n\n## [1.1.0] - 20")
            && read("CHANGES.md").contains("- A crash. (#12)")
    );
    // The library keeps its version; cargo accepts the lock file as it is.
    assert!(
        read("Cargo.toml").contains("version = \"1.1.0\"")
            && read("Cargo.toml").contains("lib = {path = \"lib\", version = \"1.0.0\"}")
    );
    let locked = Command::new("cargo")
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .current_dir(project.path())
        .output();
    let locked = locked.unwrap();
    assert!(locked.status.success(), "{}", String::from_utf8_lossy(&locked.stderr));
    // Without the change of the lock file it does not.
    let own = read("Cargo.lock");
    git(project.path(), &["checkout", "-q", "HEAD", "--", "Cargo.lock"]);
    let stale = Command::new("cargo")
        .args(["metadata", "--locked", "--offline", "--format-version=1"])
        .current_dir(project.path())
        .output();
    assert!(!stale.unwrap().status.success() && read("Cargo.lock") != own);
    fs::write(project.path().join("Cargo.lock"), own).unwrap();
    commit(&project, "Release 1.1.0");
    git(project.path(), &["tag", "-a", "-m", "1.1.0", "v1.1.0"]);
    // Today is after the fixed date of the tests' commits, which is all that the check has to say.
    let found =
        said(&project, &["check", "--offline"], 1, &["whose date is after that of the tag", "VERSION has the version"]);
    assert_eq!(found.matches("MISSING").count(), 1, "{found}");
    said(&project, &["bump", "--next"], 0, &["wrote VERSION"]);
    assert_eq!(read("VERSION"), "1.1.1\n");
    commit(&project, "Begin 1.1.1");

    // A branch for 1.0.1, with what may go there.
    fs::write(project.path().join("src/lib.rs"), "// safe\n").unwrap();
    commit(&project, "fix: a hole");
    said(&project, &["hotfix", "0.9"], 2, &["no release is below 0.9"]);
    said(&project, &["hotfix", "1.0.1", "--dry-run"], 0, &["would make the branch release-1.0.1 at v1.0.0"]);
    let text = said(
        &project,
        &["hotfix", "1.0.1"],
        0,
        &["made the branch release-1.0.1 at v1.0.0", "fix: a hole", "since newer releases exist"],
    );
    assert!(!text.contains("Begin 1.1.1") && text.contains("cherry-pick -x COMMIT"), "{text}");
    let at = |name: &str| git(project.path(), &["rev-parse", name]);
    assert_eq!(at("release-1.0.1"), at("v1.0.0^{commit}"));
    said(&project, &["hotfix", "1.0.1"], 0, &["the branch release-1.0.1 is there"]);
    git(project.path(), &["branch", "-f", "release-1.0.1", "HEAD"]);
    said(&project, &["hotfix", "1.0.1"], 0, &["is there, and contains v1.0.0"]);
    git(project.path(), &["checkout", "-q", "--orphan", "other"]);
    git(project.path(), &["commit", "-q", "-m", "unrelated"]);
    said(&project, &["hotfix", "1.0.2", "--branch", "other"], 1, &["does not contain v1.0.0", "--branch"]);
}

/// Nightlies have their version in these lines, too.
#[test]
fn numbers_on_lines_of_their_own_are_checked_and_written() {
    let project = project(
        "name: p\nversion:\n  files:\n    - {path: VERSION}\n    - path: p.h\n      \
         lines: ['#define P_MAJOR {major}', '#define P_MINOR {minor}', '#define P_PATCH {patch}']\n    \
         - {path: p.rc, lines: ['FILEVERSION {major},{minor},{patch},0']}\narchives: [{format: tar.gz}]\n",
    )
    .file("VERSION", "1.9.3\n")
    .file("p.h", "#pragma once\n#define P_MAJOR 1 // breaks\n#define P_MINOR 9\n#define P_PATCH 3\n")
    .file("p.rc", "1 VERSIONINFO\n  FILEVERSION 1,9,3,0\n");
    commit(&project, "Release 1.9.3");
    git(project.path(), &["tag", "-a", "-m", "1.9.3", "v1.9.3"]);
    let read = |path: &str| fs::read_to_string(project.path().join(path)).unwrap();
    said(&project, &["check", "--offline"], 0, &["line 2: 1.9.3", "p.rc has the version"]);
    said(&project, &["bump", "1.10.0"], 0, &["wrote p.h", "wrote p.rc"]);
    let header = "#pragma once\n#define P_MAJOR 1 // breaks\n#define P_MINOR 10\n#define P_PATCH 0\n";
    assert_eq!((read("p.h").as_str(), read("p.rc").as_str()), (header, "1 VERSIONINFO\n  FILEVERSION 1,10,0,0\n"));
    // One number is forgotten.
    fs::write(project.path().join("p.h"), header.replace("MINOR 10", "MINOR 9")).unwrap();
    commit(&project, "Release 1.10.0");
    git(project.path(), &["tag", "-a", "-m", "1.10.0", "v1.10.0"]);
    let found = said(&project, &["check", "--offline"], 1, &["line 2 has 1.9.0", "set p.h:2 to 1.10.0"]);
    assert_eq!(found.matches("MISSING").count(), 1, "{found}");
    git(project.path(), &["tag", "-d", "v1.10.0"]);
    said(&project, &["build", "--nightly", "1.10.0"], 0, &["3 of them derived"]);
    // Two ways at once, a line without the major number, one that is no longer there.
    let declaration = read("packaging/release.yaml");
    for (from, to, words) in [
        ("{path: VERSION}", "{path: VERSION, key: a, lines: ['{major}']}", "`lines` beside `key`"),
        ("'#define P_MAJOR {major}', ", "", "no line has `{major}`"),
        ("'#define P_MAJOR {major}', ", "'#define P_MAJOR 1', ", "does not contain `{major}`, `{minor}` or `{patch}`"),
        ("P_PATCH", "P_MICRO", "p.h does not have lines like `#define P_MAJOR {major}`, "),
    ] {
        fs::write(project.path().join("packaging/release.yaml"), declaration.replace(from, to)).unwrap();
        commit(&project, words);
        let said = release(&project, &["check", "--offline", "--nightly", "1.10.0"]);
        let said = if said.code() == 0 { release(&project, &["build", "--nightly", "1.10.0"]) } else { said };
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!([1, 3].contains(&said.code()) && all.contains(words), "{words}: {}", said.transcript());
    }
}
