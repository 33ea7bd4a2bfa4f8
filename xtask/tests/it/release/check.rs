//! `release check`: each obstacle to a release is made with the real git, or played by GitHub's own description of its API, and is
//! named with its remedy.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::fixture::{commit, project};
use crate::github::fake::{Prism, SECRET, Said, Server, example};
use crate::support::{Finished, Project, git, text};

const DECLARATION: &str = "\
name: p
version: {files: [{path: VERSION}], changelog: CHANGES.md}
archives: [{format: tar.gz}]
";

/// The findings of `release check --offline` that do not hold, as `WHAT: FOUND; REMEDY`.
fn wrong(project: &Project, args: &[&str]) -> Vec<String> {
    let said = offline(project, args);
    let all: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.transcript()));
    let bad: Vec<String> = all.as_array().unwrap().iter().filter(|one| one["holds"] == false).map(shown).collect();
    assert_eq!(said.code(), i32::from(!bad.is_empty()), "{}", said.transcript());
    bad
}

fn shown(finding: &Value) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    format!("{}: {}; {}", text("what"), text("found"), text("remedy"))
}

fn offline(project: &Project, args: &[&str]) -> Finished {
    super::fixture::release(project, &[&["check", "--offline", "--format", "json"], args].concat())
}

#[track_caller]
fn check(project: &Project, args: &[&str], expected: &[&[&str]]) {
    let found = wrong(project, args);
    let fits = |(words, one): (&&[&str], &String)| words.iter().all(|word| one.contains(word));
    assert!(found.len() == expected.len() && expected.iter().zip(&found).all(fits), "{expected:?}: {found:#?}");
}

/// Writes the version and the changelog.
fn version(project: &Project, version: &str, heading: &str) {
    let path = |name: &str| project.path().join(name);
    fs::write(path("VERSION"), format!("{version}\n")).unwrap();
    let old = fs::read_to_string(path("CHANGES.md")).unwrap_or_default();
    fs::write(path("CHANGES.md"), format!("## {heading}\n\n- a change\n\n{old}")).unwrap();
}

fn tag(project: &Project, name: &str) {
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "--allow-empty", "-m", name]);
    git(project.path(), &["tag", "-a", "-m", name, name]);
}

#[test]
fn the_place_of_a_release_among_others_is_checked() {
    // Commits of tests are of 2026-06-01.
    let project = project(DECLARATION);
    version(&project, "1.0", "1.0 - 2026-06-01");
    tag(&project, "v1.0");
    check(&project, &[], &[]);
    // A second tag at the commit, and a tag that was moved to the code of another release.
    git(project.path(), &["tag", "-a", "-m", "x", "v1.1"]);
    check(&project, &[], &[&["a tag names the version", "v1.0, v1.1"]]);
    let words: &[&[&str]] = &[
        &["VERSION has the version", "line 1 has 1.0"],
        &["CHANGES.md has an entry for 1.1"],
        &[
            "the commit differs from earlier releases",
            "it is the commit of v1.0",
            "tag the commit that is to be released",
        ],
    ];
    check(&project, &["--tag", "v1.1"], words);
    git(project.path(), &["tag", "-d", "v1.1"]);
    tag(&project, "v1.1");
    check(&project, &["--tag", "v1.1"], &[words[0], words[1], &["its files are those of v1.0"]]);
    git(project.path(), &["tag", "-d", "v1.1"]);

    // Dates that are not those of the release.
    for (heading, words) in [
        ("1.1", "has no date, as others have"),
        ("1.1 - 2026-06-31", "in which `2026-06-31` is not a date"),
        ("1.1 - TBD", "`TBD` is not a date"),
        ("1.1 - 2026-06-03", "after that of the tag, 2026-06-01"),
        ("1.1 - 2025-06-01", "before that of the release before, 2026-06-01"),
        ("1.1 - 2026-06-01", ""),
    ] {
        version(&project, "1.1", heading);
        tag(&project, "v1.1");
        let expected: &[&[&str]] = &[&["has an entry for 1.1", words, "`## [1.1] - 2026-06-01`"]];
        check(&project, &[], if words.is_empty() { &[] } else { expected });
        git(project.path(), &["tag", "-d", "v1.1"]);
        let old = fs::read_to_string(project.path().join("CHANGES.md")).unwrap();
        fs::write(project.path().join("CHANGES.md"), &old[old.find("## 1.0").unwrap()..]).unwrap();
    }

    // A fix on the branch of 1.0 that the main branch lacks; its version and changelog are not missed.
    git(project.path(), &["checkout", "-q", "-f", "-b", "fixes", "v1.0"]);
    fs::write(project.path().join("fix.c"), "fixed\n").unwrap();
    git(project.path(), &["add", "-A"]);
    git(project.path(), &["commit", "-q", "-m", "Fix the crash"]);
    let fix = git(project.path(), &["rev-parse", "HEAD"]);
    version(&project, "1.0.1", "1.0.1 - 2026-06-01");
    tag(&project, "v1.0.1");
    check(&project, &[], &[]);
    git(project.path(), &["checkout", "-q", "-f", "main"]);
    tag(&project, "v1.1");
    let lacks = [
        "it contains the release before",
        "v1.0.1 is not in its history, with 1 change:",
        "Fix the crash",
        "merge v1.0.1",
    ];
    check(&project, &[], &[&lacks]);
    git(project.path(), &["cherry-pick", fix.trim()]);
    git(project.path(), &["tag", "-f", "-a", "-m", "x", "v1.1"]);
    check(&project, &[], &[]);
    // Its candidate may be the same commit; a nightly that would be below the release may not be declared.
    version(&project, "1.2", "1.2 - 2026-06-01");
    fs::write(project.path().join("packaging/release.yaml"), format!("{DECLARATION}nightly: {{next: \"1.2\"}}\n"))
        .unwrap();
    tag(&project, "v1.2");
    git(project.path(), &["tag", "-a", "-m", "x", "v1.2rc1"]);
    check(
        &project,
        &["--tag", "v1.2"],
        &[&["the next version is known", "`nightly.next` is 1.2", "for example to 1.3"]],
    );

    // A clone without history knows nothing of that.
    let shallow = Project::new();
    fs::remove_dir(shallow.path()).unwrap();
    let url = format!("file://{}", text(project.path()));
    git(Path::new("/"), &["clone", "-q", "--depth=1", "--branch=v1.2", &url, &text(shallow.path())]);
    git(shallow.path(), &["fetch", "-q", "--depth=1", "origin", "tag", "v1.1"]);
    let found = wrong(&shallow, &["--tag", "v1.2"]);
    assert!(found.iter().any(|one| one.contains("the clone is shallow") && one.contains("--unshallow")), "{found:#?}");
}

#[test]
fn submodules_must_be_at_commits_that_others_can_get() {
    let library = Project::new().file("lib.c", "int x;\n");
    git(library.path(), &["init", "-q"]);
    git(library.path(), &["add", "-A"]);
    git(library.path(), &["commit", "-q", "-m", "x"]);
    let project = project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n");
    git(project.path(), &["submodule", "--quiet", "add", &text(library.path()), "lib"]);
    commit(&project);
    check(&project, &[], &[]);
    let lib = project.path().join("lib");
    for (file, words) in [("staged", "A  lib/staged"), ("untracked", "?? lib/untracked")] {
        fs::write(lib.join(file), "x").unwrap();
        if file == "staged" {
            git(&lib, &["add", "staged"]);
        }
        check(&project, &[], &[&["the work tree has no changes", words]]);
        git(&lib, &["rm", "-q", "-f", "--cached", "--ignore-unmatch", file]);
        fs::remove_file(lib.join(file)).unwrap();
    }
    fs::write(lib.join("lib.c"), "int y;\n").unwrap();
    git(&lib, &["commit", "-q", "-a", "-m", "y"]);
    commit(&project);
    check(
        &project,
        &[],
        &[&["the submodules are at published commits", "which no branch of its remotes", "push it from"]],
    );
    git(&lib, &["push", "-q", "origin", "HEAD:refs/heads/other"]);
    check(&project, &[], &[]);
}

/// What GitHub says of the commit and of the token.
#[derive(Default)]
struct Forge {
    runs: Vec<(&'static str, &'static str)>,
    statuses: Vec<(&'static str, &'static str)>,
    /// The status of the answer about the rights of the token.
    rights: u16,
}

impl Forge {
    fn respond(&self, line: &str) -> Said {
        let missing =
            |status: u16| Said::json(status, &json!({"message": "No", "documentation_url": "x", "status": "x"}));
        let path = line.split_once("/repos/o/r/").map_or("", |(_, path)| path);
        if path.starts_with("commits/") && path.contains("/check-runs") {
            let mut all = example("check-run-paginated");
            let template = all["check_runs"][0].clone();
            let run = |(at, (name, word)): (usize, &(&str, &str))| {
                let mut run = template.clone();
                let waits = *word == "in_progress";
                run["id"] = (at + 1).into();
                run["name"] = (*name).into();
                run["status"] = if waits { "in_progress" } else { "completed" }.into();
                run["conclusion"] = if waits { Value::Null } else { (*word).into() };
                run
            };
            let runs: Vec<Value> = self.runs.iter().enumerate().map(run).collect();
            all["total_count"] = runs.len().into();
            all["check_runs"] = runs.into();
            return Said::json(200, &all);
        }
        if path.starts_with("commits/") && path.contains("/status") {
            let mut all = example("combined-commit-status");
            let template = all["statuses"][0].clone();
            let status = |(at, (context, state)): (usize, &(&str, &str))| {
                let mut status = template.clone();
                status["id"] = (at + 1).into();
                status["context"] = (*context).into();
                status["state"] = (*state).into();
                status
            };
            let statuses: Vec<Value> = self.statuses.iter().enumerate().map(status).collect();
            all["total_count"] = statuses.len().into();
            all["statuses"] = statuses.into();
            return Said::json(200, &all);
        }
        match path {
            "releases/generate-notes" if self.rights == 200 => Said::json(200, &example("release-notes-content")),
            "releases/generate-notes" => missing(self.rights),
            _ => missing(404),
        }
    }
}

#[test]
fn the_tests_of_the_commit_are_asked_of_github() {
    let forge = Arc::new(Mutex::new(Forge::default()));
    let shared = Arc::clone(&forge);
    let server = Server::new(move |line| shared.lock().unwrap().respond(line));
    let Some(prism) = Prism::start(&server.address) else { return };
    let project = project(&format!("{DECLARATION}ci: {{github: o/r}}\n"));
    version(&project, "1.0", "1.0 - 2026-06-01");
    tag(&project, "v1.0");
    let ask = |address: &str| {
        let call = project.xtask(&["release", "check", "--format", "json"]);
        let call = call.env("GITHUB_API_URL", address).env("GH_TOKEN", SECRET).env("GITHUB_RUN_ID", "");
        let said = call.run();
        assert!(!said.transcript().contains(SECRET));
        let all: Value = serde_json::from_str(&said.stdout).unwrap();
        let about = |one: &&Value| one["what"].as_str().unwrap().contains("has passed its tests on o/r");
        shown(all.as_array().unwrap().iter().find(about).unwrap())
    };
    for (runs, statuses, words) in [
        (vec![], vec![], "nothing has tested the commit"),
        (
            vec![("gate", "success"), ("tests", "failure")],
            vec![("other", "pending")],
            "tests (failure), other (pending)",
        ),
        (vec![("gate", "in_progress")], vec![], "gate (in_progress); push the commit, wait for its tests"),
        (vec![("gate", "success"), ("docs", "skipped")], vec![("other", "success")], "2 passed, 1 skipped"),
    ] {
        *forge.lock().unwrap() = Forge { runs, statuses, rights: 200 };
        let found = ask(&prism.address);
        assert!(found.contains(words), "{found}");
    }
    // What cannot be asked is not a pass.
    drop(prism);
    let gone = Server::new(|_| Said(503, Vec::new(), Vec::new()));
    assert!(ask(&gone.address).contains("503"), "{}", ask(&gone.address));
}

#[test]
fn targets_are_asked_without_changing_anything() {
    let Some(mut release) = super::publish::Release::new(1, "- {directory: {path: \"{at}www/{version}\"}}\n") else {
        return;
    };
    let at = |name: &str| release.world.at(name);
    let ask = |release: &super::publish::Release| {
        let said = release.called(&["release", "check", "--format", "json", "--allow-dirty"]);
        let all: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.transcript()));
        let all: Vec<String> = all.as_array().unwrap().iter().map(shown).collect();
        all.into_iter().find(|one| one.starts_with("the target ")).unwrap()
    };
    let check = |release: &super::publish::Release, words: &[&str]| {
        let found = ask(release);
        assert!(words.iter().all(|word| found.contains(word)), "{words:?}: {found}");
    };
    check(&release, &["www is not a directory; create it"]);
    fs::create_dir_all(at("www")).unwrap();
    check(&release, &["www can be written to; nothing of the release is there yet"]);
    assert_eq!(fs::read_dir(at("www")).unwrap().count(), 0);
    // The same bytes are no conflict, other bytes are.
    fs::create_dir_all(at("www/1.1")).unwrap();
    fs::copy(release.dist.join("p-1.1.zip"), at("www/1.1/p-1.1.zip")).unwrap();
    check(&release, &["www can be written to; 1 of"]);
    fs::write(at("www/1.1/p-1.1.zip"), "other").unwrap();
    check(&release, &["p-1.1.zip", "release a new version"]);
    // Before the build nobody can tell whether they are the same.
    fs::rename(&release.dist, release.dist.with_extension("away")).unwrap();
    check(&release, &["p-1.1.zip", "release build", "the same bytes are no conflict"]);

    // A token that may not write releases, and one that may.
    let forge = Arc::new(Mutex::new(Forge { rights: 403, ..Forge::default() }));
    let shared = Arc::clone(&forge);
    let server = Server::new(move |line| {
        if line.ends_with("/git/ref/tags/v1.1") {
            return Said::json(404, &json!({"message": "Not Found"}));
        }
        if line.contains("/repos/o/r/releases?") {
            return Said::json(200, &json!([]));
        }
        if line.ends_with("/repos/o/r") {
            return Said::json(200, &json!({}));
        }
        shared.lock().unwrap().respond(line)
    });
    release.github = Some(server.address.clone());
    release.declare("- {github: {repository: o/r}}\n");
    release.world.commit("v1.2", "two again\n");
    git(release.world.project.path(), &["tag", "-d", "v1.2"]);
    git(release.world.project.path(), &["tag", "-d", "v1.1"]);
    release.world.commit("v1.1", "two, to GitHub\n");
    check(&release, &["the target github o/r", "generate-notes: 403: No; may the token", "`contents: write`"]);
    forge.lock().unwrap().rights = 200;
    check(&release, &["the target github o/r", "GitHub has no tag v1.1", "push origin v1.1"]);
    // A declared requirement holds for publishing, too.
    release.declare("- {github: {repository: o/r}}\nci: {github: o/r}\n");
    git(release.world.project.path(), &["tag", "-d", "v1.1"]);
    release.world.commit("v1.1", "two, tested\n");
    let said = release.publish(&[]);
    let words = "has passed its tests on o/r";
    assert!(
        said.code() == 1 && said.stderr.contains(words) && said.stderr.contains("nothing has tested"),
        "{}",
        said.transcript()
    );
    let changes = server.lines().into_iter().filter(|line| !line.starts_with("GET ")).collect::<Vec<_>>();
    assert!(changes.iter().all(|line| line.ends_with("generate-notes")), "{changes:?}");
}
