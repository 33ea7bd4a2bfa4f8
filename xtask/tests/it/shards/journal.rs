//! The journal that leaves the machine while jobs run: what does not work there costs no run.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{ends, on};
use crate::github::fake::{Said, Server};
use crate::support::{Finished, Project, git, text};

const WARNING: &str = "warning: the journal does not leave this machine while jobs run";

/// A job that ends when the server of artifacts was asked, and a job that looks for the token.
fn project() -> Project {
    let project = Project::new().file(".gitignore", "target\nasked\nruntime\nplan\n").jobs(
        "runners:\n  hosted: {runs-on: ubuntu-24.04, cores: 2, memory: 1GiB}\n\
         defaults: {memory: 16MiB, timeout: 10m}\n\
         jobs:\n\
         \x20 waits: {run: [sh, -c, 'until test -e asked; do sleep 0.1; done']}\n\
         \x20 looks: {run: [sh, -c, '! test -e runtime && ! tr \"\\0\" \"\\n\" </proc/$PPID/environ | grep -i token']}\n",
    );
    git(project.path(), &["init", "-q"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-qm", "x"]);
    ends(&on(&project, "plan", &["plan", "--github", "--shards", "1", "--output", &plan(&project)]), 0);
    project
}

fn plan(project: &Project) -> String {
    text(&project.path().join("plan"))
}

/// Runs the shard with what a workflow hands over.
fn shard(project: &Project, runtime: &str) -> Finished {
    let file = text(&project.path().join("runtime"));
    fs::write(&file, runtime).unwrap();
    let upload = ["--upload-journal", "journal", "--upload-every", "100ms", "--runtime", &file];
    let finished = on(project, "one", &[&["--shard", "1/1", "--plan", &plan(project)], &upload[..]].concat());
    assert!(!Path::new(&file).exists(), "the file with the token is deleted, whatever is in it");
    finished
}

fn handed(address: &str) -> String {
    let claims = URL_SAFE_NO_PAD.encode(r#"{"scp": "Actions.Results:run:job"}"#);
    serde_json::json!({"url": address, "token": format!("e30.{claims}.x")}).to_string()
}

#[test]
fn a_journal_that_cannot_leave_is_one_warning_and_no_failure() {
    let project = project();
    let asked = project.path().join("asked");
    // Refused again and again: the job goes on until the third time, and one warning says so.
    let (count, file) = (Arc::new(AtomicUsize::new(0)), asked.clone());
    let server = Server::new(move |_| {
        if count.fetch_add(1, Ordering::Relaxed) == 2 {
            fs::write(&file, "").unwrap();
        }
        Said(403, Vec::new(), b"{\"msg\": \"not for you\"}".to_vec())
    });
    let finished = shard(&project, &handed(&server.address));
    ends(&finished, 0);
    assert!(server.lines().len() >= 3, "{:?}", server.lines());
    assert_eq!(finished.stderr.matches(WARNING).count(), 1, "{}", finished.transcript());
    assert!(finished.stderr.contains("403") && finished.stderr.contains("not for you"), "{}", finished.stderr);
    assert!(finished.stdout.contains("2 jobs: 2 passed"), "{}", finished.transcript());

    // A server that never answers does not keep the run from its end.
    fs::remove_file(&asked).unwrap();
    let file = asked.clone();
    let server = Server::new(move |_| {
        fs::write(&file, "").unwrap();
        loop {
            std::thread::park();
        }
    });
    ends(&shard(&project, &handed(&server.address)), 0);

    // What is not what a runner hands over, or would give the token to anybody on the way.
    for (runtime, why) in [
        ("", "not a JSON object"),
        ("{\"url\": \"http://results.example\", \"token\": \"a.b.c\"}", "must begin with https"),
        ("{\"url\": \"https://results.example\", \"token\": \"a.b.c\"}", "is not one for artifacts"),
        ("{\"token\": \"a.b.c\"}", "no address"),
    ] {
        let finished = shard(&project, runtime);
        ends(&finished, 0);
        assert_eq!(finished.stderr.matches(WARNING).count(), 1, "{}", finished.transcript());
        assert!(finished.stderr.contains(why), "{why}: {}", finished.stderr);
    }
}
