//! `ci rerun --github` and `ci fetch` against GitHub's own description of its API.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::fake::{Prism, SECRET, Said, Server, example};
use crate::support::{Finished, Project, Xtask, need_tool, text};

/// One run of GitHub Actions: `build`, and two shards of which the second fails at the first attempt.
struct Actions {
    attempt: u64,
    /// Questions until the attempt ends.
    busy: u32,
    /// The zip files of artifacts by name, and where they are.
    artifacts: Vec<(&'static str, String)>,
}

impl Actions {
    fn respond(&mut self, line: &str) -> Said {
        let (method, path) = line.split_once(' ').unwrap();
        let Some(path) = path.strip_prefix("/repos/o/r/actions/") else {
            return Said::json(404, &json!({"message": "Not Found", "documentation_url": "x", "status": "404"}));
        };
        if method == "POST" {
            assert_eq!(path, "runs/7/rerun-failed-jobs");
            (self.attempt, self.busy) = (self.attempt + 1, 2);
            return Said::json(201, &json!({}));
        }
        if path.starts_with("runs/7/jobs?") {
            return Said::json(200, &self.jobs());
        }
        if path.starts_with("runs/7/artifacts?") {
            return Said::json(200, &self.list());
        }
        if let Some(id) = path.strip_prefix("artifacts/").and_then(|rest| rest.strip_suffix("/zip")) {
            let (_, link) = &self.artifacts[id.parse::<usize>().unwrap() - 100];
            return Said(302, vec![("location", link.clone())], Vec::new());
        }
        assert_eq!(path, "runs/7");
        Said::json(200, &self.run())
    }

    fn run(&mut self) -> Value {
        let mut run = example("workflow-run");
        let busy = self.busy > 0;
        self.busy = self.busy.saturating_sub(1);
        run["id"] = 7.into();
        run["run_attempt"] = self.attempt.into();
        run["created_at"] = jiff::Timestamp::now().to_string().into();
        run["status"] = if busy { "in_progress" } else { "completed" }.into();
        let conclusion = if self.attempt > 1 { "success" } else { "failure" };
        run["conclusion"] = if busy { Value::Null } else { conclusion.into() };
        run
    }

    fn jobs(&self) -> Value {
        let mut all = example("job-paginated");
        let template = all["jobs"][0].clone();
        let jobs: Vec<Value> = ["build", "shard (1/2)", "shard (2/2)"]
            .into_iter()
            .enumerate()
            .map(|(at, name)| {
                let mut job = template.clone();
                let failed = self.attempt == 1 && name == "shard (2/2)";
                job["id"] = (self.attempt * 1000 + at as u64).into();
                job["name"] = name.into();
                // GitHub's example lacks what its description requires.
                job["created_at"] = job["started_at"].clone();
                job["run_attempt"] = if name == "shard (2/2)" { self.attempt } else { 1 }.into();
                job["conclusion"] = if failed { "failure" } else { "success" }.into();
                if failed {
                    job["steps"][1]["status"] = "in_progress".into();
                    job["steps"][1]["conclusion"] = Value::Null;
                    job["steps"][1]["name"] = "Run the\n::error::shard".into();
                }
                job
            })
            .collect();
        all["total_count"] = jobs.len().into();
        all["jobs"] = jobs.into();
        all
    }

    fn list(&self) -> Value {
        let mut all = example("artifact-paginated");
        let template = all["artifacts"][0].clone();
        let artifacts = self.artifacts.iter().enumerate().map(|(at, (name, _))| {
            let mut artifact = template.clone();
            artifact["id"] = (100 + at).into();
            artifact["name"] = (*name).into();
            artifact["expired"] = false.into();
            artifact.as_object_mut().unwrap().remove("digest");
            artifact
        });
        let artifacts: Vec<Value> = artifacts.collect();
        all["total_count"] = artifacts.len().into();
        all["artifacts"] = artifacts.into();
        all
    }
}

fn call(project: &Project, api: &str, args: &[&str]) -> Xtask {
    let call = project.xtask(args);
    call.env("GITHUB_API_URL", api).env("GITHUB_TOKEN", SECRET).env("GITHUB_REPOSITORY", "o/r").env("GH_TOKEN", "")
}

/// The token is neither in the output nor in a file of the project.
#[track_caller]
fn assert_secret(project: &Project, finished: &Finished) {
    assert!(!finished.transcript().contains("s3cret"), "{}", finished.transcript());
    let found = Command::new("grep").args(["-r", "-l", "-a", "s3cret"]).arg(project.path()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

#[test]
fn failed_jobs_of_a_run_are_run_again_and_followed() {
    let mut actions = Actions { attempt: 1, busy: 1, artifacts: Vec::new() };
    let server = Server::new(move |line| actions.respond(line));
    let Some(prism) = Prism::start(&server.address) else { return };
    let project = Project::new().jobs("jobs: {a: {run: ['true']}}\n");
    let rerun =
        |args: &[&str]| call(&project, &prism.address, &[&["ci", "rerun", "--every", "10ms"], args].concat()).run();
    let missing = rerun(&["--github", "7", "--job", "shard (3/2)"]);
    assert_eq!(missing.code(), 2, "{}", missing.transcript());
    assert!(missing.stderr.contains("the run has no job `shard (3/2)`; did you mean `shard (1/2)`?"));
    let again = rerun(&["--github", "https://github.com/o/r/actions/runs/7/job/3", "--job", "shard (2/2)"]);
    assert_eq!(again.code(), 0, "{}", again.transcript());
    for line in [
        "run 7, attempt 2: success; attempt 1 before",
        "failure → success      run again  shard (2/2)",
        "as it was  build",
    ] {
        assert!(again.stdout.contains(line), "{line}: {}", again.transcript());
    }
    // As a comment asks for it: the same jobs have passed by now, so there is nothing to run again.
    let comment = rerun(&["--github", "", "--job", "", "--comment", "/rerun 7 shard (3/2)\nplease"]);
    assert!(comment.code() == 2 && comment.stderr.contains("no job `shard (3/2)`"), "{}", comment.transcript());
    let other = rerun(&["--github", "", "--comment", "hello; rm -rf /"]);
    assert!(other.code() == 2 && other.stderr.contains("write `/rerun RUN`"), "{}", other.transcript());
    let nothing = rerun(&["--github"]);
    assert!(nothing.code() == 2 && nothing.stderr.contains("needs a run"), "{}", nothing.transcript());
    let posts: Vec<String> = server.lines().into_iter().filter(|line| line.starts_with("POST")).collect();
    assert_eq!(posts, ["POST /repos/o/r/actions/runs/7/rerun-failed-jobs"]);
    assert_secret(&project, &again);

    // An address of another host, an API without encryption and no token are refused before anything is sent.
    let before = server.lines().len();
    let address = "https://github.com.evil.example/o/r/actions/runs/7";
    let other = call(&project, &prism.address, &["ci", "rerun", "--github", address]).run();
    assert!(
        other.code() == 2 && other.stderr.contains("the run is on github.com.evil.example"),
        "{}",
        other.transcript()
    );
    let plain = call(&project, "http://git.example", &["ci", "rerun", "--github", "7"]).run();
    assert!(plain.code() == 4 && plain.stderr.contains("must begin with https"), "{}", plain.transcript());
    let none = call(&project, &prism.address, &["ci", "fetch", "7"]).env("GITHUB_TOKEN", "").run();
    assert!(none.code() == 4 && none.stderr.contains("GH_TOKEN"), "{}", none.transcript());
    assert_eq!(server.lines().len(), before);

    let nothing = call(&project, &prism.address, &["ci", "fetch", "7"]).run();
    assert!(
        nothing.stderr.contains("the run has no artifact drydock-run-* or drydock-shard-*"),
        "{}",
        nothing.transcript()
    );

    // Prism does refuse what the description does not allow, and errors do not show the token.
    let wrong = call(&project, &prism.address, &["ci", "fetch", "7", "--repository", "o/other"]).run();
    assert!(wrong.code() == 8 && wrong.stderr.contains("GitHub refused GET http"), "{}", wrong.transcript());
    let invalid =
        Command::new("curl").args(["-s", &format!("{}/repos/o/r/actions/runs/x", prism.address)]).output().unwrap();
    assert!(String::from_utf8_lossy(&invalid.stdout).contains("UNPROCESSABLE_ENTITY"));
}

/// A project with a run that failed, and its directory.
fn run_elsewhere(jobs: &str) -> (Project, PathBuf) {
    let project = Project::new().jobs(jobs);
    let finished = project.xtask(&["ci"]).run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    let latest = fs::canonicalize(project.state().join("runs/latest")).unwrap();
    (project, latest)
}

/// Zip files as GitHub writes them: as a stream, so that sizes follow the data. `more` are members with their content; a path
/// that begins with `>` is a symbolic link.
fn zip(into: &Path, directory: &Path, more: &[(&str, &str)]) {
    const SCRIPT: &str = r#"
import os, sys, zipfile
class Stream:
    def __init__(self, file): self.file = file
    def write(self, data): return self.file.write(data)
    def flush(self): self.file.flush()
with open(sys.argv[1], "wb") as file, zipfile.ZipFile(Stream(file), "w", zipfile.ZIP_DEFLATED) as out:
    for root, _, names in os.walk(sys.argv[2]):
        for name in names:
            path = os.path.join(root, name)
            out.write(path, os.path.relpath(path, sys.argv[2]))
    for name, content in zip(sys.argv[3::2], sys.argv[4::2]):
        info = zipfile.ZipInfo(name.lstrip(">"))
        info.external_attr = (0o120777 if name.startswith(">") else 0o100644) << 16
        out.writestr(info, content)
"#;
    let words = more.iter().flat_map(|(name, content)| [*name, *content]);
    let made = Command::new("python3").args(["-c", SCRIPT]).arg(into).arg(directory).args(words).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

#[test]
fn a_run_is_fetched_and_hostile_files_are_not() {
    if !need_tool("python3", "python3") {
        return;
    }
    let jobs = "jobs:\n  good: {run: [echo, fine]}\n  bad: {run: [sh, -c, 'echo went-wrong-there; exit 3']}\n";
    let (_elsewhere, run) = run_elsewhere(jobs);
    let zips = tempfile::tempdir().unwrap();
    // A run whose machine went away while a job ran.
    let lost = zips.path().join("lost");
    fs::create_dir(&lost).unwrap();
    fs::copy(run.join("plan.json"), lost.join("plan.json")).unwrap();
    let journal = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let until: Vec<&str> = journal.lines().take_while(|line| !line.contains("attempt-ended")).collect();
    assert!(until.len() < journal.lines().count() && until.iter().any(|line| line.contains("attempt-starting")));
    fs::write(lost.join("journal.jsonl"), until.join("\n") + "\n").unwrap();
    let empty = zips.path().join("empty");
    fs::create_dir(&empty).unwrap();
    // As workflows pack it.
    let packed = zips.path().join("packed");
    fs::create_dir(&packed).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--create", "--gzip", "--file"]).arg(packed.join("drydock-run-1.tar.gz"));
    let done = tar.arg("--directory").arg(run.parent().unwrap()).arg(run.file_name().unwrap()).status().unwrap();
    assert!(done.success());
    for (name, directory, more) in [
        ("run.zip", &packed, &[][..]),
        ("lost.zip", &lost, &[("notes.txt", "x")]),
        ("escape.zip", &empty, &[("../../evil", "x")]),
        ("absolute.zip", &empty, &[("/tmp/evil", "x")]),
        ("link.zip", &empty, &[(">jobs", "/etc"), ("jobs/passwd", "x")]),
        ("nothing.zip", &empty, &[("a.txt", "x")]),
        ("junk.zip", &empty, &[("plan.json", "{}"), ("journal.jsonl", "junk")]),
    ] {
        zip(&zips.path().join(name), directory, more);
    }
    let directory = zips.path().to_owned();
    let storage = Server::new(move |line| {
        let name = line.rsplit('/').next().unwrap().split('?').next().unwrap();
        match fs::read(directory.join(name)) {
            Ok(bytes) => Said(200, Vec::new(), bytes),
            Err(_) => Said(403, Vec::new(), b"<Error>AuthenticationFailed</Error>".to_vec()),
        }
    });
    let link = |file: &str| format!("{}/{file}?sig=s3cret", storage.address);
    let artifacts = ["drydock-run-1", "lost", "escape", "absolute", "link", "nothing", "junk", "gone"];
    let files =
        ["run.zip", "lost.zip", "escape.zip", "absolute.zip", "link.zip", "nothing.zip", "junk.zip", "gone.zip"];
    let artifacts = artifacts.into_iter().zip(files.map(link)).collect();
    let mut actions = Actions { attempt: 1, busy: 0, artifacts };
    let server = Server::new(move |line| actions.respond(line));
    let project = Project::new().jobs(&jobs.replace("exit 3", "exit 0"));
    // Prism follows redirects itself, so it cannot be between.
    let fetch = |args: &[&str]| call(&project, &server.address, &[&["ci", "fetch", "7"], args].concat()).run();

    let fetched = fetch(&[]);
    assert_eq!(fetched.code(), 0, "{}", fetched.transcript());
    let warning = "warning: shard (2/2): its runner was lost in the step `Run the ::error::shard`";
    assert!(fetched.stderr.contains(warning), "{}", fetched.transcript());
    assert_eq!(
        fetched.stdout.lines().collect::<Vec<_>>(),
        fetch(&[]).stdout.lines().collect::<Vec<_>>(),
        "not taken twice"
    );
    let explained = project.xtask(&["ci", "explain", "bad"]).run();
    assert!(explained.stdout.contains("went-wrong-there"), "{}", explained.transcript());
    let report = project.xtask(&["ci", "report"]).run();
    assert_eq!(report.code(), 0, "{}", report.transcript());
    // Nothing that the file says is run here, and what failed there is run as it is declared here.
    let resumed = project.xtask(&["ci", "--resume"]).run();
    assert!(resumed.code() == 2 && resumed.stderr.contains("was fetched from GitHub"), "{}", resumed.transcript());
    let again = project.xtask(&["ci", "rerun"]).run();
    assert!(again.code() == 0 && again.stdout.contains("2 passed (1 carried over"), "{}", again.transcript());
    assert!(server.got.lock().unwrap().iter().all(|got| got.has_token));
    assert!(storage.got.lock().unwrap().iter().all(|got| !got.has_token));

    let fetched = fetch(&["--artifact", "lost"]);
    assert_eq!(fetched.code(), 0, "{}", fetched.transcript());
    let explained = project.xtask(&["ci", "explain", "good", "bad"]).run();
    assert!(explained.stdout.contains(": lost"), "{}", explained.transcript());
    assert_eq!(project.xtask(&["ci", "--resume"]).run().code(), 2);
    for (name, code, expected) in [
        ("escape", 1, "cannot unpack the artifact escape: "),
        ("absolute", 1, "cannot unpack the artifact absolute: "),
        ("link", 1, "cannot unpack the artifact link: "),
        ("nothing", 1, "no artifact of the run holds a run of Drydock"),
        ("junk", 1, "cannot take the run in the artifact junk"),
        ("gone", 8, "403 Forbidden"),
        ("missing", 2, "the run has no artifact missing; it has "),
    ] {
        let refused = fetch(&["--artifact", name]);
        assert!(refused.code() == code && refused.stderr.contains(expected), "{name}: {}", refused.transcript());
        assert_secret(&project, &refused);
    }
    assert!(!project.path().join("evil").exists() && !project.path().join("target/evil").exists());
    let left: Vec<String> = fs::read_dir(project.state())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".fetch"))
        .collect();
    assert!(left.is_empty(), "{left:?} in {}", text(&project.state()));
}
