//! `init` on small projects of every build system: what it writes is accepted as it stands, and runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::support::git;
use crate::support::{Finished, Project, RunJson, need_tools};

mod kinds;
mod more;
mod refusals;
mod trials;

/// A project with these files, those that begin with `#!` executable, committed to git.
fn project(files: &[(&str, &str)]) -> Project {
    let project = files.iter().fold(Project::new(), |project, (path, text)| project.file(path, text));
    for (path, text) in files {
        if text.starts_with("#!") {
            fs::set_permissions(project.path().join(path), fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
    git(project.path(), &["init", "--quiet"]);
    git(project.path(), &["add", "--all"]);
    git(project.path(), &["commit", "--quiet", "-m", "a"]);
    project
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn init(project: &Project, options: &[&str]) -> Finished {
    let words: Vec<&str> = ["init"].iter().chain(options).copied().collect();
    project.xtask(&words).run()
}

/// The names of all jobs of the last run with their results.
fn results(project: &Project) -> Vec<(String, String)> {
    let run = RunJson::latest(&project.state()).unwrap();
    run.jobs.iter().map(|job| (job.name.clone(), job.result.clone())).collect()
}

const TOOLS: &[(&str, &str)] = &[("git", "git"), ("make", "make"), ("gcc", "gcc"), ("valgrind", "valgrind")];

fn needed(more: &[(&str, &str)]) -> bool {
    need_tools(TOOLS) && need_tools(more)
}
