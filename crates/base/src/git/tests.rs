//! Tests with real repositories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use super::{Repository, Untracked};

#[track_caller]
fn git(directory: &Path, words: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"])
        .args(["-c", "user.name=n", "-c", "user.email=m"])
        .args(words)
        .current_dir(directory)
        .envs([("GIT_CONFIG_GLOBAL", "/dev/null"), ("GIT_CONFIG_NOSYSTEM", "1")])
        .output()
        .unwrap();
    assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

fn write(directory: &Path, path: &str, content: &str) {
    let file = directory.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// A repository with one commit of `a` and `b/c`.
fn repository(init: &[&str]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    git(directory.path(), &[&["init", "-q"], init].concat());
    write(directory.path(), "a", "a\n");
    write(directory.path(), "b/c", "c\n");
    commit(directory.path());
    directory
}

fn commit(directory: &Path) {
    git(directory, &["add", "-A"]);
    git(directory, &["commit", "-q", "-m", "x"]);
}

fn changes(directory: &Path) -> Vec<String> {
    let changes = Repository::find(directory).unwrap().changes(Untracked::Counted).unwrap();
    changes.iter().map(ToString::to_string).collect()
}

#[test]
fn changes_are_those_that_git_status_names() {
    let directory = repository(&[]);
    let at = directory.path();
    assert_eq!(changes(at), Vec::<String>::new());
    write(at, "a", "other\n");
    write(at, "b/staged", "x");
    git(at, &["add", "b/staged"]);
    write(at, "new/file", "x");
    write(at, ".gitignore", "ignored\n");
    write(at, "ignored", "x");
    write(at, ".git/info/exclude", "mine\n");
    write(at, "mine", "x");
    fs::remove_file(at.join("b/c")).unwrap();
    let right = [" M a", " D b/c", "?? .gitignore", "A  b/staged", "?? new/file"];
    let mut right = right.map(str::to_owned);
    right.sort_by(|a, b| a[3..].cmp(&b[3..]));
    assert_eq!(changes(at), right);
    // From a directory below the top, too.
    assert_eq!(changes(&at.join("b")), right);
    let known = Repository::find(at).unwrap().changes(Untracked::Ignored).unwrap();
    assert!(known.iter().all(|change| change.state != "??") && known.len() == 3, "{known:?}");
}

#[test]
fn no_program_of_a_clone_runs_although_a_touched_file_is_compared() {
    let directory = repository(&[]);
    let at = directory.path();
    write(at, ".gitattributes", "* filter=x diff=x\n");
    commit(at);
    let script = at.join(".git/evil");
    fs::write(&script, format!("#!/bin/sh\ntouch '{}/PWNED'\ncat\n", at.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let evil = script.to_str().unwrap();
    for key in ["filter.x.clean", "filter.x.smudge", "filter.x.process", "core.fsmonitor", "diff.x.textconv"] {
        git(at, &["config", key, evil]);
    }
    // The same content with another time, and one with other content.
    write(at, "a", "a\n");
    write(at, "b/c", "changed\n");
    let found = changes(at);
    assert_eq!(found, [" M b/c (compared without its filter x, which is a program of this clone)"]);
    assert!(!at.join("PWNED").exists());
    // The check can fail: git itself runs it.
    git(at, &["status"]);
    assert!(at.join("PWNED").exists());
}

#[test]
fn changes_of_submodules_are_found_without_their_configuration() {
    let library = repository(&[]);
    let directory = repository(&[]);
    let at = directory.path();
    git(at, &["submodule", "add", "-q", library.path().to_str().unwrap(), "libs/one"]);
    commit(at);
    assert_eq!(changes(at), Vec::<String>::new());
    let sub = at.join("libs/one");
    git(&sub, &["config", "core.fsmonitor", "touch PWNED; false"]);
    write(&sub, "a", "changed\n");
    write(&sub, "new", "x");
    assert_eq!(changes(at), [" M libs/one/a", "?? libs/one/new"]);
    assert!(!sub.join("PWNED").exists());
    let config = at.join(".git/modules/libs/one/config");
    let own = fs::read(&config).unwrap();
    fs::remove_file(&config).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &config, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(changes(at), [" M libs/one/a", "?? libs/one/new"]);
    fs::remove_file(&config).unwrap();
    fs::write(&config, own).unwrap();
    git(&sub, &["config", "--unset", "core.fsmonitor"]);
    commit(&sub);
    assert_eq!(changes(at), [" M libs/one"]);
    git(at, &["add", "libs/one"]);
    assert_eq!(changes(at), ["M  libs/one"]);
    // Not initialised: nothing differs.
    commit(at);
    git(at, &["submodule", "deinit", "-q", "-f", "libs/one"]);
    assert_eq!(changes(at), Vec::<String>::new());
}

#[test]
fn repositories_of_every_kind_are_found() {
    for init in [&[][..], &["--object-format=sha256"], &["--separate-git-dir=elsewhere.git"]] {
        let directory = repository(init);
        let at = directory.path();
        let head = git(at, &["rev-parse", "HEAD"]);
        let found = Repository::find(&at.join("b")).unwrap();
        assert_eq!(found.resolve("HEAD", "commit").unwrap().as_str(), head);
        assert_eq!(found.work_tree().unwrap(), at.canonicalize().unwrap());
        assert_eq!(found.history(&found.resolve("HEAD", "commit").unwrap()).unwrap().0, 1);
        assert!(!found.is_shallow && !found.is_partial());
    }
    let directory = repository(&[]);
    let at = directory.path();
    // A linked work tree has its own HEAD and index, and the references of the clone.
    git(at, &["worktree", "add", "-q", "-b", "side", "linked"]);
    let linked = at.join("linked");
    write(&linked, "a", "side\n");
    commit(&linked);
    git(at, &["tag", "v1", "side"]);
    write(&linked, "b/c", "changed\n");
    let found = Repository::find(&linked).unwrap();
    assert_eq!(found.resolve("HEAD", "commit"), found.resolve("v1", "commit"));
    assert_eq!(changes(&linked), [" M b/c"]);
    // Bare, packed, and with references of another time.
    git(at, &["clone", "-q", "--bare", at.to_str().unwrap(), "bare.git"]);
    let bare = Repository::find(&at.join("bare.git")).unwrap();
    assert_eq!((bare.work_tree(), bare.changes(Untracked::Counted).unwrap()), (None, Vec::new()));
    assert!(bare.resolve("refs/tags/v1", "commit").is_some());
    let before = Repository::find(at).unwrap();
    git(at, &["tag", "v2"]);
    git(at, &["pack-refs", "--all", "--prune"]);
    assert_eq!(before.resolve("v2", "commit"), before.resolve("HEAD", "commit"));
    // A split index, and a shallow clone.
    git(at, &["update-index", "--split-index"]);
    write(at, "a", "changed\n");
    assert!(changes(at).contains(&" M a".to_owned()), "{:?}", changes(at));
    git(&linked, &["commit", "-q", "-a", "-m", "y"]);
    git(at, &["clone", "-q", "--depth=1", &format!("file://{}", linked.display()), "shallow"]);
    let shallow = Repository::find(&at.join("shallow")).unwrap();
    assert!(shallow.is_shallow && shallow.history(&shallow.resolve("HEAD", "commit").unwrap()).is_err());
}

#[test]
fn what_is_no_repository_is_refused_by_name() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let find = |path: &Path| Repository::find(path).map(|_| ()).unwrap_err().to_string();
    assert!(find(at).ends_with("is in no git repository"), "{}", find(at));
    assert!(find(&at.join("missing")).contains("cannot read"), "{}", find(&at.join("missing")));
    write(at, ".git", "gitdir: /nowhere\n");
    assert!(find(at).ends_with(".git does not lead to a git repository"), "{}", find(at));
}

#[test]
fn a_configuration_that_git_would_wait_for_or_cannot_parse_has_no_say() {
    let directory = repository(&[]);
    let at = directory.path();
    let head = git(at, &["rev-parse", "HEAD"]);
    let resolves = || {
        let found = Repository::find(at).unwrap();
        assert_eq!(found.resolve("HEAD", "commit").unwrap().as_str(), head);
        assert_eq!(changes(at), Vec::<String>::new());
    };
    let pipe = at.join(".git/pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let own = fs::read_to_string(at.join(".git/config")).unwrap();
    for config in [format!("{own}[include]\n\tpath = pipe\n"), format!("{own}[[[\n"), String::new()] {
        fs::write(at.join(".git/config"), config).unwrap();
        resolves();
    }
    fs::remove_file(at.join(".git/config")).unwrap();
    fs::rename(&pipe, at.join(".git/config")).unwrap();
    resolves();
}

#[test]
fn one_process_answers_for_all_names_and_what_it_cannot_answer_is_none() {
    let directory = repository(&[]);
    let at = directory.path();
    git(at, &["tag", "-a", "-m", "x", "v1"]);
    git(at, &["tag", "plain"]);
    let one = |words: &[&str]| git(at, words);
    let found = Repository::find(at).unwrap();
    let head = found.resolve("HEAD", "commit").unwrap();
    assert_eq!(head.as_str(), one(&["rev-parse", "HEAD"]));
    assert_eq!(found.resolve("v1", "commit").as_ref(), Some(&head));
    assert_eq!(found.reference("refs/tags/v1").unwrap().as_str(), one(&["rev-parse", "refs/tags/v1"]));
    assert_eq!(found.resolve("refs/tags/plain", "tag"), None);
    for path in ["a", "b", "b/", "b/c"] {
        let expected = one(&["rev-parse", &format!("HEAD:{}", path.trim_end_matches('/'))]);
        assert_eq!(found.at(&head, path).unwrap().as_str(), expected, "{path}");
    }
    for path in ["c", "b/a", "a/c", "b/c/d", "../a", "a\nb", " a"] {
        assert_eq!(found.at(&head, path), None, "{path:?}");
    }
    for name in ["", "HEAD missing", "nothing", "-x", "HEAD\nHEAD", "HEAD^{blob}", &"0".repeat(40), "a b c"] {
        assert_eq!(found.reference(name), None, "{name:?}");
        assert_eq!(found.resolve(name, "commit"), None, "{name:?}");
    }
    let listed = found.list(&found.resolve("HEAD", "tree").unwrap()).unwrap();
    let names: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.is_file)).collect();
    assert_eq!(names, [("a", true), ("b", false)]);
    assert_eq!(found.list(&listed[0].object), None);
    // What is committed and tagged later is found by the same process.
    write(at, "later", "later\n");
    commit(at);
    git(at, &["tag", "-f", "plain"]);
    git(at, &["gc", "-q", "--prune=now"]);
    let later = found.resolve("refs/tags/plain", "commit").unwrap();
    assert_eq!(later.as_str(), one(&["rev-parse", "HEAD"]));
    let blob = found.at(&later, "later").unwrap();
    assert_eq!(found.read(&blob).unwrap().unwrap().content, b"later\n");
}

#[test]
fn a_damaged_object_is_an_error_and_the_next_question_is_answered() {
    let directory = repository(&[]);
    let at = directory.path();
    let found = Repository::find(at).unwrap();
    let head = found.resolve("HEAD", "commit").unwrap();
    let blob = found.at(&head, "a").unwrap();
    let (start, file) = blob.as_str().split_at(2);
    let file = at.join(".git/objects").join(start).join(file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&file, "garbage").unwrap();
    let read = found.read(&blob);
    assert!(!matches!(read, Ok(Some(_))), "{read:?}");
    let other = found.at(&head, "b/c").unwrap();
    assert_eq!(found.read(&other).unwrap().unwrap().content, b"c\n");
}
