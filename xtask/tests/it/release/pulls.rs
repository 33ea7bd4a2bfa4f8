//! `release notes --from pulls`: requests and responses are those of GitHub's own description, as Prism checks.

use serde_json::{Value, json};

use super::fixture;
use crate::github::fake::{Prism, SECRET, Said, Server, example};
use crate::support::git;

/// A pull request as the description shows one.
fn pull(number: u64, title: &str, label: Option<&str>, login: &str, is_merged: bool) -> Value {
    let mut pull = example("pull-request-simple-items")[0].clone();
    let label = label.map(|name| {
        let mut label = pull["labels"][0].clone();
        label["name"] = json!(name);
        label
    });
    // The example lacks what its schema requires of teams.
    pull["requested_teams"] = json!([]);
    pull["number"] = json!(number);
    pull["title"] = json!(title);
    pull["labels"] = json!(label.into_iter().collect::<Vec<_>>());
    pull["user"]["login"] = json!(login);
    pull["merged_at"] = if is_merged { json!("2026-01-01T00:00:00Z") } else { Value::Null };
    pull
}

#[test]
fn notes_are_collected_from_merged_pull_requests() {
    let declaration = "name: p\nversion: {}\narchives: [{format: tar.gz}]\nci: {github: o/r}\n";
    let project = fixture::project(declaration);
    let commit = |message: &str| {
        git(project.path(), &["add", "-A"]);
        git(project.path(), &["commit", "-q", "--allow-empty", "-m", message]);
        git(project.path(), &["rev-parse", "HEAD"]).trim().to_owned()
    };
    let released = commit("one");
    git(project.path(), &["tag", "-a", "-m", "1.0", "v1.0"]);
    let [button, twice, crash, bot] = ["button", "button again", "crash", "bot"].map(commit);
    let of_button = pull(7, "Add a button", Some("feature"), "alice", true);
    let answers = [
        (&button, json!([of_button])),
        // A second commit of the same one, and one that has it but was not merged.
        (&twice, json!([of_button, pull(8, "fix: never merged", None, "eve", false)])),
        (&crash, json!([pull(9, "fix: a crash", None, "bob", true)])),
        (&bot, json!([pull(10, "Tidy up", None, "tidy[bot]", true)])),
    ];
    let answers: Vec<(String, Value)> =
        answers.into_iter().map(|(commit, pulls)| (format!("/commits/{commit}/pulls"), pulls)).collect();
    let server = Server::new(move |line| match answers.iter().find(|(part, _)| line.contains(part.as_str())) {
        Some((_, pulls)) => Said::json(200, pulls),
        None => Said::json(404, &json!({"message": "Not Found"})),
    });
    let Some(prism) = Prism::start(&server.address) else { return };
    let ask = |address: &str| {
        let mut command = project.xtask(&["release", "notes", "--from", "pulls"]);
        command = command.env("GITHUB_API_URL", address).env("GH_TOKEN", SECRET);
        command.run()
    };
    let said = ask(&prism.address);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    for words in ["### Added\n\n- Add a button", "#7", "@alice", "### Fixed\n\n- A crash", "#9", "@bob"] {
        assert!(said.stdout.contains(words), "{words}: {}", said.transcript());
    }
    assert_eq!(said.stdout.matches("button").count(), 1, "{}", said.transcript());
    assert!(
        !said.stdout.contains("never merged") && said.stderr.contains("left out: #10 Tidy up"),
        "{}",
        said.transcript()
    );
    // What was released before is not asked for, and the token reaches GitHub alone.
    let lines = server.lines();
    assert!(lines.len() >= 4 && lines.iter().all(|line| !line.contains(&released)), "{lines:?}");
    assert!(server.got.lock().unwrap().iter().all(|got| got.has_token));
    assert!(!said.transcript().contains(SECRET));

    // A response that GitHub does not describe is refused by Prism, so it does look; and there are no notes.
    let wrong = Server::new(|_| Said::json(200, &json!([{"number": "seven"}])));
    let Some(prism) = Prism::start(&wrong.address) else { return };
    let said = ask(&prism.address);
    assert!(said.code() == 8 && said.stdout.is_empty(), "{}", said.transcript());
    // Nor are there without a repository.
    let project = fixture::project("name: p\nversion: {}\narchives: [{format: tar.gz}]\n");
    fixture::commit(&project);
    let said = fixture::release(&project, &["notes", "--from", "pulls"]);
    assert!(said.code() == 3 && said.stderr.contains("add `ci: {github: OWNER/NAME}`"), "{}", said.transcript());
}
