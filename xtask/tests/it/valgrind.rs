//! Memcheck, helgrind and drd on small wrong programs: the findings, their reports and their suppressions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{Finished, Project, need, need_tools, text};

mod by_suite;
mod kinds;
mod logs;
mod processes;
mod suppress;

/// Whether valgrind, its headers and the compilers are installed.
fn ready() -> bool {
    let tools = [("valgrind", "valgrind"), ("gcc", "gcc"), ("g++", "g++")];
    need_tools(&tools) && need(Path::new("/usr/include/valgrind/memcheck.h").exists(), "valgrind's headers are missing")
}

/// The directory with the wrong programs, built once a test process: `memory`, `threads`, `names-cc`, `names-rs`, and
/// `stripped`, which is `memory` without any name.
fn programs() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/valgrind");
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fixtures-valgrind");
        fs::create_dir_all(&directory).unwrap();
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
        let c = ["gcc", "-Wall", "-Wextra", "-Werror", "-g", "-O0", "-fno-builtin", "-pthread", "-o"];
        for (name, compiler, file) in [
            ("memory", &c[..], "memory.c"),
            ("stripped", &["gcc", "-s", "-O0", "-fno-builtin", "-o"], "memory.c"),
            ("threads", &c, "threads.c"),
            ("names-cc", &["g++", "-w", "-g", "-O0", "-o"], "names.cc"),
            ("names-rs", &[&rustc, "-g", "--edition", "2024", "-o"], "names.rs"),
        ] {
            // Several test processes may build at once, and a program that runs cannot be overwritten.
            let new = tempfile::Builder::new().tempfile_in(&directory).unwrap().into_temp_path();
            let built = Command::new(compiler[0]).args(&compiler[1..]).arg(&new).arg(source.join(file)).status();
            assert!(built.unwrap().success(), "cannot compile {file}");
            new.persist(directory.join(name)).unwrap();
        }
        directory
    })
}

/// A project with the programs, their sources and one job a line: its name, then its words, of which the first is a
/// program. `tool` is what follows the job's command in the declaration.
fn project(head: &str, tool: &str, jobs: &[(&str, &[&str])]) -> Project {
    let mut yaml = format!("defaults: {{memory: 64MiB, timeout: 10m}}\n{head}\njobs:\n");
    for (name, words) in jobs {
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        yaml.push_str(&format!("  {name}: {{run: [{}], {tool}}}\n", words.join(", ")));
    }
    let project = Project::new().file("ci/project.supp", "").jobs(&yaml);
    for name in ["memory", "stripped", "threads", "names-cc", "names-rs"] {
        fs::copy(programs().join(name), project.path().join(name)).unwrap();
    }
    project
}

/// A word in double quotes, with every letter that might not be printable written as an escape.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_graphic() && !"\"\\".contains(letter) || letter == ' ';
    let letters =
        word.chars().map(|letter| if plain(letter) { letter.into() } else { format!("\\u{:04x}", u32::from(letter)) });
    format!("\"{}\"", letters.collect::<String>())
}

/// `run.json` of the latest run.
fn run_json(project: &Project) -> Value {
    let path = project.state().join("runs/latest/run.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The findings of a run; of each, what a test may look at.
fn findings(run: &Value) -> Vec<Value> {
    run["findings"].as_array().unwrap().clone()
}

/// A field that is a list of words.
fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The kinds that were found in a job, sorted.
fn kinds_of(run: &Value, job: &str) -> Vec<String> {
    let of_job = findings(run).into_iter().filter(|finding| words(&finding["jobs"]).iter().any(|name| name == job));
    let mut kinds: Vec<String> = of_job.map(|finding| finding["kind"].as_str().unwrap().to_owned()).collect();
    kinds.sort();
    kinds
}

/// The job of that name.
fn job_of<'a>(run: &'a Value, name: &str) -> &'a Value {
    let jobs = run["jobs"].as_array().unwrap();
    jobs.iter().find(|job| job["name"] == name).unwrap_or_else(|| panic!("no job {name}"))
}

/// The reasons of a job's last verdict.
fn reasons_of(run: &Value, name: &str) -> String {
    words(&job_of(run, name)["attempts"].as_array().unwrap().last().unwrap()["reasons"]).join("\n")
}

#[track_caller]
fn ends(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "{}", finished.transcript());
}

/// The id of the only finding of a kind at a place that starts like this.
#[track_caller]
fn id_of(run: &Value, kind: &str, place: &str) -> String {
    let all = findings(run);
    let of_kind = |finding: &&Value| finding["kind"] == kind && finding["place"].as_str().unwrap().starts_with(place);
    let found: Vec<&Value> = all.iter().filter(of_kind).collect();
    assert_eq!(found.len(), 1, "{kind} at {place}: {all:#?}");
    found[0]["id"].as_str().unwrap().to_owned()
}

/// A path as a word.
fn word(path: &Path) -> String {
    text(path)
}
