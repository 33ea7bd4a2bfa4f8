//! The exit codes of the binary: the table in every `--help`, and the code of a lock that another process holds.

use std::fs::{self, File};
use std::path::Path;

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
fn the_documented_table_is_that_of_the_help() {
    let help = Project::new().xtask(&["--help"]).run().stdout;
    let (_, help) = help.split_once("Exit codes:\n").unwrap();
    let helped: Vec<(String, String)> = help
        .lines()
        .map_while(|line| line.strip_prefix("  ")?.split_once("  "))
        .map(|(code, meaning)| (code.trim().to_owned(), meaning.trim().to_owned()))
        .collect();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs/exit-codes.md");
    let document = fs::read_to_string(document).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let documented: Vec<(String, String)> = rows
        .filter(|(code, _)| code.parse::<u8>().is_ok())
        .map(|(code, meaning)| (code.to_owned(), meaning.replace(" (`--fail-on-flaky`)", "")))
        .collect();
    assert_eq!(documented, helped);
    assert_eq!(helped.len(), 12, "{help}");
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
