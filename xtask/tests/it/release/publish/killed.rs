//! `kill -9` before and after every line of the journal, by strace: whatever the moment, the same command ends in the same state.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::Release;
use crate::release::fixture::tree;
use crate::support::{need_tools, text, xtask_binary};

/// All files and links of the target.
fn state(release: &Release) -> BTreeMap<String, String> {
    tree(&release.world.at("www"))
}

/// Runs the command until the `count`th call of a system call on the journal; true if it was killed there.
pub(super) fn killed_at(release: &Release, journal: &Path, call: &str, count: usize) -> bool {
    let project = text(release.world.project.path());
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-P", &text(journal), "-e", &format!("inject={call}:signal=SIGKILL:when={count}")]);
    command.arg("--").arg(xtask_binary()).args(["--project", &project, "release", "publish"]);
    command.args(["--without-proof", "made by a test", "--key", "alice@example.org"]);
    release.surround(&mut command, Path::new(&project));
    let output = command.output().unwrap();
    if output.status.success() {
        return false;
    }
    // strace ends as its child ended.
    assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn killed_anywhere_the_release_ends_in_the_same_state() {
    if !need_tools(&[("strace", "strace")]) {
        return;
    }
    let targets = "- {directory: {path: \"{at}www/{version}\", latest: true}}\n";
    let Some(release) = Release::new(1, targets) else { return };
    release.sign("alice");
    let journal = release.world.project.state().join("publish/1.1.jsonl");
    let clear = || {
        fs::remove_dir_all(release.world.at("www")).ok(); // not there the first time
        fs::create_dir(release.world.at("www")).unwrap();
        fs::create_dir_all(journal.parent().unwrap()).unwrap();
        fs::write(&journal, "").unwrap();
    };
    clear();
    release.published(&[]);
    let expected = state(&release);
    let lines = fs::read_to_string(&journal).unwrap().lines().count() - 1;
    // Two lines for each step: two archives, release.json, the checksums and their signatures, and the pointer.
    assert_eq!(lines, 2 * 6);
    let mut rows = Vec::new();
    for count in 1..=lines {
        // Before a line is written; and after that, before the step of the line. After a step that is the same as before the
        // next line.
        let is_begun = count % 2 == 1;
        for call in ["write"].into_iter().chain(is_begun.then_some("fdatasync")) {
            clear();
            assert!(killed_at(&release, &journal, call, count), "{call} {count} was not reached");
            let held = state(&release).len();
            release.published(&[]);
            assert_eq!(state(&release), expected, "killed at {call} {count}");
            rows.push((call, count, held));
        }
    }
    assert_eq!(rows.len(), 18);
    // The kills were at different moments: the target had from nothing to nearly everything.
    assert!(rows.iter().any(|row| row.2 == 0) && rows.iter().any(|row| row.2 + 1 >= expected.len()), "{rows:?}");
}
