//! The exit codes of the binary: the table in every `--help`, and the code of a lock that another process holds.

use std::fs::{self, File};

use rustix::fs::{FlockOperation, flock};

use crate::release::fixture;
use crate::support::Project;

#[test]
fn the_help_of_every_command_lists_the_exit_codes() {
    let project = Project::new();
    for words in [&["--help"][..], &["ci", "run", "--help"], &["ci", "massif", "show", "-h"], &["nightly", "--help"]] {
        let help = project.xtask(words).run();
        assert_eq!(help.code(), 0, "{}", help.transcript());
        assert!(help.stdout.contains("\n  10  busy: another run holds the lock\n  70  a bug"), "{}", help.transcript());
    }
}

#[test]
fn a_lock_that_another_process_holds_exits_with_10() {
    let project = fixture::project(fixture::DECLARATION).file("a.txt", "a\n");
    fixture::commit(&project);
    fs::create_dir_all(project.state()).unwrap();
    for (lock, words) in [
        ("release.lock", &["release", "build", "--untagged"][..]),
        ("release.lock", &["release", "prove", "--untagged"]),
        ("nightly.lock", &["nightly", "--next", "1.0", "--no-publish"]),
    ] {
        let path = project.state().join(lock);
        let held = File::create(&path).unwrap();
        flock(&held, FlockOperation::LockExclusive).unwrap();
        let busy = project.xtask(words).run();
        assert_eq!(busy.code(), 10, "{words:?}: {}", busy.transcript());
        assert!(busy.stderr.contains(&*path.to_string_lossy()), "{}", busy.transcript());
    }
}
