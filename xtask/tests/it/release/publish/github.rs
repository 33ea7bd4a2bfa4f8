//! A release on GitHub: a draft until the quorum has signed, continued by a second captain, after every failure of the server, and
//! after `kill -9`; and what is refused.

use std::collections::BTreeMap;
use std::fs;

use drydock_github::stand_in::{Fault, StandIn, State};

use super::Release;
use super::TOKEN;
use super::killed::killed_at;
use crate::support::{git, need_tools, text};

impl Release {
    /// The object of the tag `v1.1`.
    pub(super) fn object(&self, tag: &str) -> String {
        git(self.world.project.path(), &["rev-parse", tag]).trim().to_owned()
    }

    /// The names and contents that GitHub must have.
    fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let names = self.expected().into_keys();
        names.map(|name| (name.clone(), fs::read(self.dist.join(name)).unwrap())).collect()
    }

    #[track_caller]
    pub(super) fn check_github(&self, state: &State, is_draft: bool) {
        let [release] = state.releases.as_slice() else { panic!("{:?}", state.releases) };
        let assets: BTreeMap<String, Vec<u8>> =
            release.assets.iter().map(|(name, (_, content))| (name.clone(), content.clone().unwrap())).collect();
        assert_eq!(assets, self.contents());
        assert_eq!((release.draft, release.tag.as_str()), (is_draft, "v1.1"));
        assert_eq!(state.latest, if is_draft { "" } else { "v1.1" });
    }
}

#[test]
fn a_release_on_github_is_a_draft_until_everything_is_there() {
    let Some(mut release) = Release::new(2, "- {github: {repository: o/r}}\n") else { return };
    let forge = StandIn::start("o/r", TOKEN).unwrap();
    release.github = Some(forge.address.clone());
    release.refused(7, &["GitHub has no tag v1.1", "push origin v1.1"]);
    forge.state().tags.insert("v1.1".into(), "0".repeat(40));
    release.refused(7, &["the tag v1.1 there is the object 0000", "a tag that was pushed never moves"]);
    forge.state().tags.insert("v1.1".into(), release.object("v1.1"));
    assert!(forge.state().changes.is_empty(), "nothing was done");

    // The draft has everything, and stays a draft.
    release.sign("alice");
    release
        .refused(7, &["1 of 2 people have signed, so nothing is public", "1 more signature of bob, carol, dave, erin"]);
    release.check_github(&forge.state(), true);

    // A second captain, in another clone and with another key, finds the first one's signature in the draft.
    let clone = release.world.at("clone");
    release.world.sh(&release.world.at("."), &format!("git clone -q '{}' clone", text(release.world.project.path())));
    for words in [vec!["build"], vec!["sign", "--key", "bob@example.org"]] {
        let said = release.world.run(&clone, &[&["--project", &text(&clone), "release"], words.as_slice()].concat());
        assert_eq!(said.code(), 0, "{}", said.transcript());
    }
    let said = release.publish_in(&clone, &[]);
    assert!(said.code() == 0 && said.stderr.contains("added signatures that a target has"), "{}", said.transcript());
    super::copy(&clone.join("target/xtask/dist/1.1"), &release.dist);
    release.check_github(&forge.state(), false);
    let changes = forge.state().changes.len();
    release.published(&[]);
    assert_eq!(forge.state().changes.len(), changes, "nothing is done again");

    // What is published cannot be repaired, and is never replaced.
    forge.state().releases[0].assets.remove("p-1.1.zip");
    release.refused(7, &["the release is published and immutable, without this file"]);
    let content = fs::read(release.dist.join("p-1.1.zip")).unwrap();
    forge.state().releases[0].assets.insert("p-1.1.zip".into(), (99, Some(b"evil".to_vec())));
    release.refused(7, &["it has the SHA-256", "what was published is never replaced"]);
    forge.state().releases[0].assets.insert("p-1.1.zip".into(), (99, Some(content)));
    forge.state().releases[0].assets.insert("p-1.1-Fedora.zip".into(), (100, Some(Vec::new())));
    release.refused(7, &["p-1.1-Fedora.zip is there, which no release.json lists"]);
    forge.state().releases[0].assets.remove("p-1.1-Fedora.zip");
    let twice = forge.state().releases[0].clone();
    forge.state().releases.push(twice);
    release.refused(7, &["GitHub has 2 releases with the tag v1.1"]);
    forge.state().releases.clear();
    release.refused(7, &["publish the draft", "and is gone now"]);
}

#[test]
fn a_draft_is_filled_without_asking_other_targets_and_stays_one() {
    let targets = "- {rsync: {to: \"rsync://127.0.0.1:1/m/{version}\"}}\n- {github: {repository: o/r}}\n";
    let Some(mut release) = Release::new(1, targets) else { return };
    let forge = StandIn::start("o/r", TOKEN).unwrap();
    release.github = Some(forge.address.clone());
    forge.state().tags.insert("v1.1".into(), release.object("v1.1"));
    release.sign("alice");
    let mut changes = 0;
    for _ in 0..2 {
        let said = release.publish(&["--draft"]);
        assert_eq!(said.code(), 0, "{}", said.transcript());
        release.check_github(&forge.state(), true);
        let before = std::mem::replace(&mut changes, forge.state().changes.len());
        assert!(before == 0 || before == changes, "nothing is done again: {}", said.transcript());
    }
    // The whole publication asks the mirror, which is out of reach.
    release.refused(8, &["127.0.0.1"]);
    release.check_github(&forge.state(), true);
    // Files of another release of the same name do not become a part of the draft.
    forge.state().releases[0].assets.insert("p-1.1.zip".into(), (9, Some(b"evil".to_vec())));
    let said = release.publish(&["--draft"]);
    assert!(said.code() == 7 && said.transcript().contains("p-1.1.zip"), "{}", said.transcript());
}

#[test]
fn whatever_github_answers_there_is_one_whole_release() {
    let Some(mut release) = Release::new(1, "- {github: {repository: o/r}}\n") else { return };
    let forge = StandIn::start("o/r", TOKEN).unwrap();
    release.github = Some(forge.address.clone());
    release.sign("alice");
    let journal = release.world.project.state().join("publish/1.1.jsonl");
    let clear = |fault: Option<(&'static str, Fault)>| {
        fs::remove_file(&journal).ok(); // not there the first time
        let mut state = forge.state();
        *state = State::default();
        state.tags.insert("v1.1".into(), release.object("v1.1"));
        state.fault = fault.map(|(start, fault)| (start.to_owned(), fault));
    };
    const CREATE: &str = "POST /repos/o/r/releases";
    const UPLOAD: &str = "POST /repos/o/r/releases/";
    const PUBLISH: &str = "PATCH ";
    const LIST: &str = "GET /repos/o/r/releases?";
    const READ: &str = "GET /repos/o/r/releases/assets";
    // The request that fails, how, and whether the command succeeds all the same.
    let rows = [
        (LIST, Fault::Status(401, None), 8),
        (LIST, Fault::Status(403, None), 8),
        (LIST, Fault::Truncated, 8),
        (CREATE, Fault::Status(403, None), 8),
        (CREATE, Fault::Status(422, None), 8),
        (CREATE, Fault::Status(500, None), 8),
        (CREATE, Fault::Lost, 0),
        (CREATE, Fault::Truncated, 0),
        (UPLOAD, Fault::Status(401, None), 8),
        (UPLOAD, Fault::Status(409, None), 8),
        (UPLOAD, Fault::Status(422, None), 8),
        (UPLOAD, Fault::Status(429, Some(100_000)), 8),
        (UPLOAD, Fault::Status(502, None), 8),
        (UPLOAD, Fault::Lost, 0),
        (UPLOAD, Fault::Cut, 8),
        (READ, Fault::Status(404, None), 8),
        (PUBLISH, Fault::Status(403, None), 8),
        (PUBLISH, Fault::Status(422, None), 8),
        (PUBLISH, Fault::Lost, 0),
        (PUBLISH, Fault::Truncated, 0),
    ];
    for (request, fault, code) in rows {
        clear(Some((request, fault.clone())));
        let said = release.publish(&[]);
        assert_eq!(said.code(), code, "{request} {fault:?}: {}", said.transcript());
        assert!(!said.transcript().contains(TOKEN));
        println!(
            "| github | {request} {fault:?} | {code} | {} |",
            if code == 0 { "goes on" } else { "a draft, or nothing" }
        );
        forge.state().fault = None;
        release.published(&[]);
        release.check_github(&forge.state(), false);
        let state = forge.state();
        let created = state.changes.iter().filter(|change| *change == CREATE).count();
        assert!(created == 1 || code == 8, "{request} {fault:?}: {:?}", state.changes);
    }
    // Killed around the draft, the first file and the publication.
    if need_tools(&[("strace", "strace")]) {
        for (call, count) in [("write", 1), ("write", 2), ("fdatasync", 1), ("write", 4), ("write", 13), ("write", 14)]
        {
            clear(None);
            fs::write(&journal, "").unwrap();
            assert!(killed_at(&release, &journal, call, count), "{call} {count}");
            release.published(&[]);
            release.check_github(&forge.state(), false);
        }
    }
    // No token.
    clear(None);
    let said = release.command(release.world.project.path(), &[]).env_remove("GH_TOKEN").output().unwrap();
    assert_eq!(said.status.code(), Some(4), "{}", String::from_utf8_lossy(&said.stderr));
}
