//! The writer under mutation: each makes the archives depend on something that must not matter, and the varied rebuild has to
//! find it and name the cause.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use drydock_archive::mutation::Mutation;

use super::fixture::{DECLARATION, commit, project};
use crate::support::{Finished, Project, need_tools, text};

/// The words by which each mutation is explained.
const CAUSES: [(&str, &str); Mutation::ALL.len()] = [
    ("umask", "the umask of the builder"),
    ("time", "the clock, instead of SOURCE_DATE_EPOCH"),
    ("order", "entries sorted by another locale or not at all"),
    ("owner", "the owner of the files on disk"),
    ("xz-mode", "the single-threaded encoder"),
    ("deflate-level", "another deflate library or level"),
    ("bzip2-level", "another level than 9"),
    ("locale", "entries sorted by another locale or not at all"),
    ("zone", "the time zone of the builder (TZ)"),
    ("threads", "another block size"),
];

/// The example `mutated`, which cargo builds along with the tests unless only some of them are asked for.
fn mutated() -> PathBuf {
    let cargo = ["build", "--quiet", "--offline", "--workspace", "--example", "mutated", "--message-format", "json"];
    let built = Command::new(env!("CARGO")).args(cargo).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let lines = String::from_utf8(built.stdout).unwrap();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    programs.next_back().expect("cargo names the example")
}

/// `release prove` of a program.
fn prove(program: &std::path::Path, project: &Project) -> Finished {
    let mut command = Command::new(program);
    command.args(["--project", &text(project.path()), "release", "prove", "--threads", "2"]);
    command.env_remove("CI").env_remove("LC_ALL").stdin(Stdio::null()).output().unwrap().into()
}

#[test]
fn every_mutation_of_the_writer_is_found_and_explained() {
    if !need_tools(&[("faketime", "faketime"), ("unshare", "util-linux"), ("git", "git")]) {
        return;
    }
    let project = project(DECLARATION);
    // Enough for several blocks, compressible, and with names that locales sort differently.
    let lines: String = (0..1200_u32).map(|number| format!("line {}\n", number.wrapping_mul(2_654_435_761))).collect();
    for name in ["B.txt", "a.txt", "c/D.txt", "c/d2.txt"] {
        fs::create_dir_all(project.path().join("c")).unwrap();
        fs::write(project.path().join(name), &lines).unwrap();
    }
    for number in 0..30 {
        fs::write(project.path().join(format!("c/{number}")), "small\n").unwrap();
    }
    commit(&project);
    let directory = tempfile::tempdir().unwrap();
    let original = mutated();
    let program = |mutation: Option<&str>| {
        let path = directory.path().join(mutation.unwrap_or("none"));
        // In another process: the programs that other tests start meanwhile would inherit a descriptor that can write, and what
        // is open for writing cannot be executed.
        let end = mutation.map(|name| format!("mutation={name}")).unwrap_or_default();
        let script = "cp \"$1\" \"$2\" && chmod 755 \"$2\" && printf %s \"$3\" >>\"$2\"";
        let words = [text(&original), text(&path), end];
        assert!(Command::new("sh").args(["-c", script, "sh"]).args(words).status().unwrap().success());
        path
    };
    let honest = prove(&program(None), &project);
    assert_eq!(honest.code(), 0, "{}", honest.transcript());
    for ((name, _), (same, cause)) in Mutation::ALL.iter().zip(CAUSES) {
        assert_eq!(*name, same);
        fs::remove_dir_all(project.state()).unwrap();
        let found = prove(&program(Some(name)), &project);
        let said = found.transcript();
        assert!(found.code() == 7 && said.contains("the varied rebuild produced other bytes"), "{name}: {said}");
        assert!(said.contains(cause), "{name} is not explained by {cause:?}: {said}");
        assert!(!project.state().join("dist/1.0/proof.json").exists(), "{name}: there is a proof");
        let line = said.lines().find(|line| line.contains(cause)).unwrap_or_default();
        println!("caught  {name:<14}{}", line.trim());
    }
}
