//! `release status`: its next command, typed as it is printed, leads from an untagged commit to an announced release; and before each of
//! them, publishing is refused.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::publish::Release;
use crate::support::{git, text, xtask_binary};

impl Release {
    fn status(&self, more: &[&str]) -> Value {
        let said = self.called(&[&["release", "status", "--format", "json"], more].concat());
        serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}", said.transcript()))
    }

    /// Runs a command as it was printed, in a shell.
    fn typed(&self, line: &str) {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        self.surround(&mut command, self.world.project.path());
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}: {said}");
    }
}

#[test]
fn the_next_command_leads_from_the_tag_to_the_announcement() {
    let Some(release) = Release::new(2, "- {directory: {path: \"{at}www/{version}\"}}\n") else { return };
    let project = release.world.project.path();
    fs::create_dir_all(release.world.at("www")).unwrap();
    fs::remove_dir_all(&release.dist).unwrap();
    let upstream = release.world.at("upstream.git");
    git(&release.world.at("."), &["init", "-q", "--bare", "upstream.git"]);
    git(project, &["remote", "add", "origin", &text(&upstream)]);
    // The key with which git signs, as `git tag -s` does.
    for (name, value) in [("signingkey", "alice@example.org"), ("email", "alice@example.org"), ("name", "Alice")] {
        git(project, &["config", &format!("user.{name}"), value]);
    }
    git(project, &["add", "-A"]);
    git(project, &["commit", "-q", "--allow-empty", "-m", "declare the targets"]);
    git(project, &["tag", "-d", "v1.1"]);

    let guide = release.called(&["release", "guide"]);
    let call = format!("`{} --project ", text(&xtask_binary()));
    let (calls, kinds) = (guide.stdout.matches(&call).count(), ["release prove", "release publish", "release status"]);
    assert!(calls >= 6 && !guide.stdout.contains("cargo xtask"), "{}", guide.transcript());
    assert!(kinds.iter().all(|kind| guide.stdout.contains(kind)), "{}", guide.transcript());

    let mut acts = Vec::new();
    for _ in 0..12 {
        let status = release.status(&[]);
        let next = &status["next"];
        let Some(act) = next["act"].as_str() else { break };
        acts.push(act.to_owned());
        if act != "publish" && act != "announce" {
            // The table says that other acts come first, and so does the command.
            let said = release.publish(&[]);
            assert!(
                said.code() != 0 && fs::read_dir(release.world.at("www")).unwrap().count() == 0,
                "{}",
                said.transcript()
            );
        }
        for command in next["commands"].as_array().unwrap() {
            let line = command.as_str().unwrap();
            match act {
                // The version of a project without version files is that of its tag.
                "tag" => release.typed(&line.replace("TAG", "v1.1")),
                "approve" if line.contains("verify") => {
                    assert_eq!(next["turn"], serde_json::json!(["bob", "carol", "dave", "erin"]));
                    release.sign("bob");
                }
                "approve" if line.contains("--add") => {}
                "announce" => release.typed(&line.replace("URL", "https://example.org/news")),
                _ => release.typed(line),
            }
        }
    }
    assert_eq!(acts, ["tag", "build", "approve", "approve", "publish", "announce"]);

    let status = release.status(&["--html", &text(&release.world.at("status.html"))]);
    assert!(status["next"].is_null() && status["signed-by"] == serde_json::json!(["alice", "bob"]), "{status:#}");
    let said = release.called(&["release", "status"]);
    assert!(
        said.stdout.contains("everything is done") && said.stdout.contains("https://example.org/news at 20"),
        "{}",
        said.transcript()
    );
    // What was there and is not is seen, and so is what was not asked.
    fs::remove_file(release.world.at("www/1.1/p-1.1.zip")).unwrap();
    let status = release.status(&[]);
    let publish = status["acts"].as_array().unwrap().iter().find(|one| one["act"] == "publish").unwrap();
    assert!(publish["state"] == "ready" && publish["evidence"].as_str().unwrap().contains("p-1.1.zip"), "{publish:#}");
    let offline = release.status(&["--offline"]);
    assert_eq!(offline["next"]["evidence"], "the targets were not asked");
    let page = fs::read_to_string(release.world.at("status.html")).unwrap();
    for words in
        ["all of which were read back", "https://example.org/news", "✓ done", "the tag v1.1 is signed by one of them"]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("<script"), "the page runs nothing");

    // A tag that nobody signed is not done.
    git(project, &["tag", "-f", "-a", "-m", "unsigned", "v1.1"]);
    let status = release.status(&["--offline"]);
    let tag = status["acts"].as_array().unwrap().iter().find(|one| one["act"] == "tag").unwrap();
    assert!(tag["state"] != "done" && tag["evidence"].as_str().unwrap().starts_with("v1.1 ("), "{tag:#}");
}
