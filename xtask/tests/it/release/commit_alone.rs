//! The commit alone decides: no setting, variable, graft, hook or attribute of a clone changes a release, and no program of
//! the clone runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::fixture::{self, run};
use crate::support::{Project, git, git_with, marker, text, xtask_binary};

const DECLARATION: &str = "name: p\nversion: {files: [{path: VERSION}]}\narchives: [{format: tar.gz}]\n";
const JOBS: &str = "jobs: {touch: {run: [touch, README]}}\n";

/// A project whose history, dates, attributes and submodule give settings something to change.
fn project() -> Project {
    let project =
        fixture::project(DECLARATION).jobs(JOBS).file("README", "one\r\ntwo\n$Id$\n").file("VERSION", "1.0\n");
    let project = project
        .file(".gitattributes", "* filter=x diff=x merge=x ident\nREADME text eol=crlf\n")
        .file(".gitignore", "/target\n");
    let at = project.path();
    git(at, &["init", "-q", "sub"]);
    fs::write(at.join("sub/file"), "sub\n").unwrap();
    git(&at.join("sub"), &["add", "."]);
    git(&at.join("sub"), &["commit", "-q", "-m", "sub"]);
    git(at, &["submodule", "--quiet", "add", "./sub"]);
    for (date, message) in [("1780315200 +0000", "one"), ("1780000000 -0900", "earlier"), ("1780400000 +1400", "last")]
    {
        let dates = [("GIT_COMMITTER_DATE", date), ("GIT_AUTHOR_DATE", date)];
        git(at, &["-c", "filter.x.clean=cat", "add", "-A"]);
        git_with(at, &["commit", "-q", "--allow-empty", "-m", message], &dates);
    }
    project
}

/// Everything that a release and a run take from git: the version, the checksums, and the state of the work tree.
fn observed(project: &Path, variables: &[(&str, &str)]) -> String {
    // The work tree is compared, and some files have another time than the index.
    for file in ["VERSION", "sub/file"] {
        let content = fs::read(project.join(file)).unwrap();
        fs::write(project.join(file), content).unwrap();
    }
    let state = tempfile::tempdir().unwrap();
    let mut all = String::new();
    let call = |words: &[&str]| {
        let output = Command::new(xtask_binary())
            .args(["--project", &text(project), "--state", &text(state.path())])
            .args(words)
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let end: Vec<String> =
            [&output.stdout, &output.stderr].iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        (output.status.code(), end.concat())
    };
    let (code, _) = call(&["release", "build", "--nightly", "1.1"]);
    let dist = state.path().join("dist");
    for entry in fs::read_dir(&dist).into_iter().flatten() {
        let sums = fs::read_to_string(entry.unwrap().path().join("SHA256SUMS")).unwrap_or_default();
        all.push_str(&format!("{code:?} {sums}"));
    }
    let (code, checked) = call(&["release", "check", "--nightly", "1.1"]);
    let clean: Vec<&str> = checked.lines().filter(|line| line.contains("no changes")).collect();
    all.push_str(&format!("{code:?} {clean:?}"));
    let (code, _) = call(&["ci", "--no-progress"]);
    let run = fs::read_to_string(state.path().join("runs/latest/run.json")).unwrap_or_default();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap_or_default();
    all.push_str(&format!("{code:?} {}", run["revision"]));
    all
}

/// Every setting that git's documentation lists, with names in place of the placeholders.
fn settings() -> Vec<String> {
    let listed = run(Path::new("/"), "git", &["help", "--config"]);
    let names = listed.lines().filter(|line| line.contains('.') && !line.contains(' '));
    let known: Vec<String> = names
        .map(|name| {
            let (mut plain, mut inside) = (String::new(), false);
            for c in name.chars() {
                match c {
                    '<' => (inside, plain) = (true, plain + "x"),
                    '>' => inside = false,
                    '*' => plain.push('x'),
                    _ if inside => {}
                    c => plain.push(c),
                }
            }
            plain
        })
        // The formats of objects and references are no matter of taste.
        .filter(|name| !name.to_lowercase().starts_with("extensions."))
        .collect();
    assert!(known.len() > 500, "{}", known.len());
    known
}

#[test]
fn no_setting_of_a_clone_or_of_a_user_changes_a_release_or_runs_a_program() {
    let project = project();
    let at = project.path();
    let right = observed(at, &[]);
    assert!(
        right.contains("p-1.1") && right.contains("none") && right.contains(&git(at, &["rev-parse", "HEAD"])),
        "{right}"
    );

    let secret = tempfile::tempdir().unwrap();
    let pwned = secret.path().join("PWNED");
    let script = secret.path().join("evil");
    fs::write(&script, format!("#!/bin/sh\necho \"$0 $*\" >>'{}'\ncat\n", pwned.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = text(&script);
    let own = fs::read_to_string(at.join(".git/config")).unwrap();
    let all = settings();
    let home = secret.path().join("home");
    fs::create_dir(&home).unwrap();
    for value in [evil.as_str(), "true", "garbage \\\" value", "0", "always"] {
        let mut config = own.clone();
        for name in &all {
            let (section, key) = name.rsplit_once('.').unwrap();
            let section = section.split_once('.').map_or(section.to_owned(), |(a, b)| format!("{a} \"{b}\""));
            config.push_str(&format!("[{section}]\n\t{key} = {value}\n"));
        }
        fs::write(at.join(".git/config"), &config).unwrap();
        fs::write(home.join(".gitconfig"), &config).unwrap();
        let sub = at.join("sub/.git/config");
        let own_sub = fs::read_to_string(&sub).unwrap();
        fs::write(&sub, format!("{own_sub}{}", &config[own.len()..])).unwrap();
        let found = observed(at, &[("HOME", &text(&home))]);
        fs::write(sub, own_sub).unwrap();
        assert_eq!(found, right, "with {value}");
        assert!(!pwned.exists(), "{}", fs::read_to_string(&pwned).unwrap());
    }
    fs::write(at.join(".git/config"), own).unwrap();
    // The check can fail: git itself runs such a program.
    git(at, &["-c", &format!("filter.x.clean={evil}"), "add", "--renormalize", "."]);
    assert!(pwned.exists());
}

#[test]
fn no_graft_replacement_hook_attribute_or_variable_changes_a_release() {
    let project = project();
    let at = project.path();
    let right = observed(at, &[]);
    let secret = tempfile::tempdir().unwrap();
    let pwned = secret.path().join("PWNED");
    let script = format!("#!/bin/sh\ntouch '{}'\nexit 1\n", pwned.display());
    let head = git(at, &["rev-parse", "HEAD"]);

    fs::create_dir_all(at.join(".git/info")).unwrap();
    fs::write(at.join(".git/info/grafts"), format!("{head}\n")).unwrap();
    assert_eq!(observed(at, &[]), right, "a graft");
    fs::remove_file(at.join(".git/info/grafts")).unwrap();

    let other = git(at, &["commit-tree", "-m", "other", "HEAD~1^{tree}"]);
    git(at, &["replace", "-f", &head, &other]);
    assert_eq!(observed(at, &[]), right, "a replacement");
    git(at, &["replace", "-d", &head]);

    fs::write(at.join(".git/info/attributes"), "* export-ignore export-subst -text\n").unwrap();
    assert_eq!(observed(at, &[]), right, "attributes of the clone");
    fs::remove_file(at.join(".git/info/attributes")).unwrap();

    for hook in ["post-index-change", "pre-commit", "post-checkout", "fsmonitor-watchman", "reference-transaction"] {
        let file = at.join(".git/hooks").join(hook);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    assert_eq!(observed(at, &[]), right, "hooks");

    // The commit-graph and the index of all packs are caches, which may be stale or wrong.
    git(at, &["commit-graph", "write", "--reachable"]);
    let graph = at.join(".git/objects/info/commit-graph");
    let mut bytes = fs::read(&graph).unwrap();
    let end = bytes.len() - 60;
    bytes[end..].iter_mut().for_each(|byte| *byte ^= 0x55);
    fs::remove_file(&graph).unwrap();
    fs::write(&graph, bytes).unwrap();
    assert_eq!(observed(at, &[]), right, "a damaged commit-graph");

    let evil = secret.path().join("evil");
    fs::write(&evil, &script).unwrap();
    fs::set_permissions(&evil, fs::Permissions::from_mode(0o755)).unwrap();
    let (evil, elsewhere) = (text(&evil), text(secret.path()));
    let word = marker("git");
    let hostile: Vec<(&str, &str)> = [
        ("GIT_DIR", "/nonexistent"),
        ("GIT_WORK_TREE", "/"),
        ("GIT_INDEX_FILE", "/nonexistent"),
        ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
        ("GIT_COMMON_DIR", "/nonexistent"),
        ("GIT_NAMESPACE", &word),
        ("GIT_CEILING_DIRECTORIES", "/"),
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", "log.showSignature"),
        ("GIT_CONFIG_VALUE_0", "true"),
        ("GIT_CONFIG_PARAMETERS", "'core.abbrev=4'"),
        ("GIT_EXTERNAL_DIFF", &evil),
        ("GIT_PAGER", &evil),
        ("PAGER", &evil),
        ("GIT_EDITOR", &evil),
        ("GIT_ASKPASS", &evil),
        ("GIT_SSH", &evil),
        ("GIT_PROXY_COMMAND", &evil),
        ("GIT_TRACE", "1"),
        ("GIT_TRACE2", "1"),
        ("GIT_SHALLOW_FILE", "/nonexistent"),
        ("GIT_GRAFT_FILE", "/nonexistent"),
        ("GIT_REPLACE_REF_BASE", "refs/heads/"),
        ("GIT_ATTR_SOURCE", "HEAD~1"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_DEFAULT_HASH", "sha256"),
        ("GIT_ICASE_PATHSPECS", "1"),
        ("XDG_CONFIG_HOME", &elsewhere),
        ("LANG", "de_DE.UTF-8"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANGUAGE", "de"),
        ("TZ", "Pacific/Kiritimati"),
        ("TERM", "dumb"),
        ("COLUMNS", "20"),
    ]
    .to_vec();
    assert_eq!(observed(at, &hostile), right, "variables");
    assert!(!pwned.exists());
}
