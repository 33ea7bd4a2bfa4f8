//! Publishing to remembered targets: what is done, what is refused, and what is found after a failure.

use super::*;
use drydock_base::checksum::Checksum;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The directory behind a target, and how it answers.
#[derive(Default)]
struct Remote {
    held: BTreeMap<String, String>,
    /// The step that fails, and whether its result arrives all the same.
    fails: Option<(String, bool)>,
    unreachable: bool,
}

struct Fake {
    name: &'static str,
    steps: Vec<(&'static str, Stage, bool)>,
    remote: Rc<RefCell<Remote>>,
}

impl Target for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn missing(&self) -> Vec<String> {
        Vec::new()
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        let remote = self.remote.borrow();
        if remote.unreachable {
            return Err(Failure::remote("out of reach"));
        }
        let observed = |(step, stage, is_final): &(&str, Stage, bool)| ObservedStep {
            step: (*step).to_owned(),
            stage: *stage,
            held: match remote.held.get(*step).map(String::as_str) {
                None => Held::Absent,
                Some("good") => Held::Same("good".into()),
                Some(other) => Held::Other(Conflict { found: other.to_owned(), remedy: "look".into() }),
            },
            is_final: *is_final,
        };
        Ok(self.steps.iter().filter(|step| step.1 == stage).map(observed).collect())
    }

    fn act(&mut self, step: &str) -> anyhow::Result<String> {
        let mut remote = self.remote.borrow_mut();
        let fails = remote.fails.clone().filter(|(fails, _)| fails == step);
        if fails.as_ref().is_none_or(|(_, arrives)| *arrives) {
            remote.held.insert(step.to_owned(), "good".into());
        }
        if fails.is_some() {
            return Err(Failure::remote("the connection was lost"));
        }
        Ok("sent".into())
    }
}

fn remote() -> Rc<RefCell<Remote>> {
    Rc::new(RefCell::new(Remote::default()))
}

fn two(remotes: &[Rc<RefCell<Remote>>; 2]) -> Vec<Box<dyn Target>> {
    let [a, b] = remotes.clone();
    vec![
        Box::new(Fake {
            name: "mirror",
            steps: vec![("upload a", Stage::Files, false), ("latest", Stage::Announce, false)],
            remote: a,
        }),
        Box::new(Fake {
            name: "forge",
            steps: vec![
                ("draft", Stage::Draft, false),
                ("index", Stage::Files, true),
                ("publish", Stage::Announce, true),
            ],
            remote: b,
        }),
    ]
}

fn journal(directory: &tempfile::TempDir) -> Journal {
    let release = PublishedRelease {
        name: "p".into(),
        version: "1".into(),
        commit: "c".repeat(40),
        checksums: Checksum::new(b""),
    };
    Journal::open(&directory.path().join("state/1.jsonl"), release, || 0).unwrap()
}

/// Plans and does everything; the steps that were done, or the error.
fn publish(
    remotes: &[Rc<RefCell<Remote>>; 2],
    directory: &tempfile::TempDir,
    quorum: &Quorum,
) -> anyhow::Result<(Advanced, Vec<String>)> {
    let mut targets = two(remotes);
    let mut journal = journal(directory);
    let before = journal.records.len();
    let decisions = plan(&mut targets, &journal)?;
    let advanced = advance(&mut targets, &decisions, quorum, &mut journal, &mut |_| {});
    let new = journal.records[before..].iter().filter(|record| record.event == JournalEvent::Begun);
    let steps = new.map(|record| format!("{}: {}", record.target, record.step)).collect();
    advanced.map(|(advanced, _)| (advanced, steps))
}

#[test]
fn stages_are_passed_by_all_targets_together() {
    let (remotes, directory) = ([remote(), remote()], tempfile::tempdir().unwrap());
    let (advanced, steps) = publish(&remotes, &directory, &Quorum::Incomplete).unwrap();
    assert_eq!((advanced, steps), (Advanced::WaitsForSignatures, vec!["forge: draft".to_owned()]));
    let (advanced, steps) = publish(&remotes, &directory, &Quorum::Complete).unwrap();
    assert_eq!(advanced, Advanced::Published);
    assert_eq!(steps, ["mirror: upload a", "forge: index", "mirror: latest", "forge: publish"]);
    assert_eq!(publish(&remotes, &directory, &Quorum::Complete).unwrap().1, Vec::<String>::new());
    // Another clone has no journal, and finds everything.
    let other = tempfile::tempdir().unwrap();
    assert_eq!(publish(&remotes, &other, &Quorum::Complete).unwrap().1, Vec::<String>::new());
    assert!(journal(&other).records.iter().all(|record| record.event == JournalEvent::Found));
}

#[test]
fn the_target_decides_and_the_journal_remembers() {
    for (break_it, expected) in [
        (("upload a", None), Ok(vec!["mirror: upload a"])),
        (("upload a", Some("evil")), Err("cannot upload a: evil; look")),
        (("publish", None), Err("it was there at 1970-01-01T00:00:00Z, and is gone now; find out who removed it")),
        (("latest", Some("evil")), Err("cannot latest: evil; look")),
    ] {
        let (remotes, directory) = ([remote(), remote()], tempfile::tempdir().unwrap());
        publish(&remotes, &directory, &Quorum::Complete).unwrap();
        for remote in &remotes {
            let held = &mut remote.borrow_mut().held;
            if let (Some(_), (step, change)) = (held.get(break_it.0), break_it) {
                held.remove(step);
                held.extend(change.map(|change| (step.to_owned(), change.to_owned())));
            }
        }
        let found = publish(&remotes, &directory, &Quorum::Complete);
        match expected {
            Ok(steps) => assert_eq!(found.unwrap().1, steps),
            Err(words) => {
                let error = format!("{:#}", found.unwrap_err());
                assert!(error.contains(words), "{error}");
            }
        }
    }
}

#[test]
fn a_lost_answer_is_looked_for_and_a_failure_continues() {
    for step in ["upload a", "draft", "index", "latest", "publish"] {
        for arrives in [true, false] {
            let (remotes, directory) = ([remote(), remote()], tempfile::tempdir().unwrap());
            for remote in &remotes {
                remote.borrow_mut().fails = Some((step.to_owned(), arrives));
            }
            let found = publish(&remotes, &directory, &Quorum::Complete);
            assert_eq!(found.is_ok(), arrives, "{step}: {found:?}");
            for remote in &remotes {
                remote.borrow_mut().fails = None;
            }
            publish(&remotes, &directory, &Quorum::Complete).unwrap();
            let held: Vec<usize> = remotes.iter().map(|remote| remote.borrow().held.len()).collect();
            assert_eq!(held, [2, 3], "{step}");
        }
    }
}

#[test]
fn a_target_out_of_reach_is_not_an_empty_one() {
    let (remotes, directory) = ([remote(), remote()], tempfile::tempdir().unwrap());
    remotes[1].borrow_mut().unreachable = true;
    let found = format!("{:#}", publish(&remotes, &directory, &Quorum::Complete).unwrap_err());
    assert!(found.contains("cannot ask the target forge: out of reach"), "{found}");
    assert!(remotes[0].borrow().held.is_empty(), "nothing was done anywhere");
}

#[test]
fn a_journal_that_was_cut_goes_on() {
    let (remotes, directory) = ([remote(), remote()], tempfile::tempdir().unwrap());
    publish(&remotes, &directory, &Quorum::Complete).unwrap();
    let path = directory.path().join("state/1.jsonl");
    let whole = std::fs::read(&path).unwrap();
    for length in (0..whole.len()).step_by(37) {
        std::fs::write(&path, &whole[..length]).unwrap();
        let (advanced, steps) = publish(&remotes, &directory, &Quorum::Complete).unwrap();
        assert_eq!((advanced, steps.len()), (Advanced::Published, 0), "cut at {length}");
    }
    let other = PublishedRelease {
        name: "p".into(),
        version: "1".into(),
        commit: "d".repeat(40),
        checksums: Checksum::new(b"other"),
    };
    let error = Journal::open(&path, other, || 0).unwrap_err();
    assert!(error.to_string().contains("is the journal of other bytes of p 1"), "{error:#}");
}
