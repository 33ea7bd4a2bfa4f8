//! Copies of the sources in the directory for temporary files: private, and gone after a signal, or after the next call if the
//! process was killed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Project, git_with, need_tools, text, wait_for, xtask_binary};

/// What is in a directory under the name of Drydock's temporary directories.
fn scratches(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("drydock-")).collect()
}

#[test]
fn copies_of_the_sources_are_private_and_do_not_stay_behind() {
    if !need_tools(&[("git", "git")]) {
        return;
    }
    let project = Project::new()
        .file("VERSION", "1.0\n")
        .file(
            "packaging/release.yaml",
            "name: p\nversion: {files: [{path: VERSION}]}\narchives: [{format: tar.gz}]\n\
             source: {derived: {out: {run: [sh, -c, \"touch $GO; while test -e $WAIT; do sleep 0.05; done; echo x >out\"], inputs: [VERSION], outputs: [out]}}}\n",
        );
    let git = |words: &[&str]| git_with(project.path(), words, &[]);
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["commit", "-qm", "one"]);
    git(&["tag", "-a", "-m", "1.0", "v1.0"]);
    let temporary = tempfile::tempdir().unwrap();
    let (go, wait) = (temporary.path().join("go"), temporary.path().join("wait"));
    // The generators know no variable of the caller, so the paths are written into the script.
    let declaration = fs::read_to_string(project.path().join("packaging/release.yaml")).unwrap();
    let declaration = declaration.replace("$GO", &text(&go)).replace("$WAIT", &text(&wait));
    fs::write(project.path().join("packaging/release.yaml"), declaration).unwrap();
    git(&["commit", "-qam", "two"]);
    git(&["tag", "-f", "-a", "-m", "1.0", "v1.0"]);

    for (signal, code) in [("TERM", Some(9)), ("HUP", Some(9)), ("KILL", None)] {
        fs::write(&wait, "").unwrap();
        // It is there only from the first call on.
        fs::remove_file(&go).ok();
        let mut build = Command::new(xtask_binary())
            .args(["--project", &text(project.path()), "release", "build"])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        assert!(wait_for(Duration::from_secs(60), || go.exists().then_some(())).is_some(), "no generator ran");
        let there = scratches(temporary.path());
        assert!(!there.is_empty());
        for path in &there {
            assert_eq!(fs::metadata(path).unwrap().mode() & 0o777, 0o700, "{}", path.display());
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &build.id().to_string()]).status().unwrap();
        assert!(sent.success());
        assert_eq!(build.wait().unwrap().code(), code, "{signal}");
        let left = scratches(temporary.path());
        assert_eq!(left.is_empty(), signal != "KILL", "{signal}: {left:?}");
        fs::remove_file(&wait).unwrap();
    }
    // The next call removes what the killed one left, and leaves nothing itself.
    let next = Command::new(xtask_binary())
        .args(["--project", &text(project.path()), "release", "build"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert!(next.status.success(), "{}", String::from_utf8_lossy(&next.stderr));
    assert_eq!(scratches(temporary.path()), Vec::<PathBuf>::new());

    // One that another process is just making, which has no lock yet, is not old by a varied clock either.
    if !need_tools(&[("faketime", "faketime")]) {
        return;
    }
    let new = temporary.path().join("drydock-scratch-new");
    fs::create_dir(&new).unwrap();
    let varied = Command::new("faketime")
        .args(["-f", "+397d", &text(&xtask_binary()), "--project", &text(project.path()), "release", "check"])
        .env("TMPDIR", temporary.path())
        .output()
        .unwrap();
    assert_eq!(scratches(temporary.path()), [new], "{}", String::from_utf8_lossy(&varied.stderr));
}
