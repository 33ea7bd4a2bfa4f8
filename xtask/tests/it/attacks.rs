//! Attacks on a downloaded release: each is refused with exit code 7 and the right words, and the honest release passes in every
//! form in which people publish one. The command that prints the table is in docs/trust.md.

use std::path::Path;

use crate::support::{Finished, git, text};
use world::{World, copy};

mod table;
pub(crate) mod world;

use table::{ATTACKS, FORMS, How};

/// Releases 1.0 and 1.1, signed by alice with OpenPGP and by carol with SSH; signatures of people whose keys expired or were
/// revoked later; an attacker's release 1.1; and another project's release that the same people signed.
fn world() -> Option<World> {
    let world = World::new(2)?;
    let sign = "gpgsign alice > SHA256SUMS.asc; sshsign carol > SHA256SUMS.carol.sig";
    world.commit("v1.0", "one\n");
    let old = world.build("1.0", "old");
    world.sh(&old, sign);
    world.commit("v1.1", "two\n");
    let honest = world.build("1.1", "honest");
    world.sh(&honest, sign);
    world.sh(
        &honest,
        "mkdir late
         gpgsign gina --faked-system-time 20200601T000000! > late/gina-early.asc
         gpgsign gina --faked-system-time 20220601T000000! > late/gina.asc
         gpgsign ivan --faked-system-time 20200601T000000! > late/ivan.asc
         gpgsign hugo > late/hugo.asc",
    );
    let project = text(world.project.path());
    let elsewhere = |name: &str, script: &str| {
        world.sh(&world.at("."), &format!("git clone -q '{project}' {name}-project"));
        let clone = world.at(&format!("{name}-project"));
        world.sh(
            &clone,
            &format!(
                "git config user.name x; git config user.email x; {script}; git commit -qam x; git tag -f -m x v1.1"
            ),
        );
        let built = world.run(&clone, &["--project", &text(&clone), "release", "build", "--tag", "v1.1"]);
        assert_eq!(built.code(), 0, "{}", built.transcript());
        copy(&clone.join("target/xtask/dist/1.1"), &world.at(name));
    };
    elsewhere("evil", "echo evil > a.txt; sed -i /signing/d packaging/release.yaml");
    elsewhere("other", "sed -i 's/name: p/name: q/' packaging/release.yaml");
    world.sh(&world.at("other"), sign);
    world.revoke();
    git(world.project.path(), &["commit", "-q", "-a", "-m", "revoke keys"]);
    Some(world)
}

fn verify(world: &World, how: How, directory: &Path) -> Finished {
    let (whole, archive) = (text(directory), text(&directory.join("p-1.1.tar.gz")));
    let (outside, keys) = (world.at("."), text(&world.keys()));
    match how {
        How::Directory => world.release(&["verify", &whole]),
        How::Archive => world.release(&["verify", &archive]),
        How::Version => world.release(&["verify", &archive, "--version", "1.1"]),
        How::Outside => world.run(&outside, &["release", "verify", &whole]),
        How::Keys => world.run(&outside, &["release", "verify", &archive, "--keys", &keys, "--quorum", "2"]),
        How::Inside => world.run(directory, &["release", "verify", "."]),
        How::OwnKeys => world.run(&outside, &["release", "verify", &whole, "--keys", &text(&directory.join("keys"))]),
    }
}

#[test]
fn every_attack_is_refused_and_every_honest_form_passes() {
    let Some(world) = world() else { return };
    let download = world.at("download");
    let mut failed = Vec::new();
    for attack in ATTACKS {
        copy(&world.at("honest"), &download);
        world.sh(&download, attack.script);
        let said = verify(&world, attack.how, &download);
        let all = format!("{}{}", said.stdout, said.stderr);
        let last = said.stdout.lines().last().unwrap_or_default();
        let is_refused = said.code() == 7 && last.starts_with("NOT AUTHENTICATED: ");
        println!("{:2}  {:<90} {last}", said.code(), attack.name);
        if !is_refused || !all.contains(attack.words) {
            failed.push(format!("{}: {:?} is not in {}", attack.name, attack.words, said.transcript()));
        }
    }
    for form in FORMS {
        copy(&world.at("honest"), &download);
        world.sh(&download, form.script);
        let said = verify(&world, form.how, &download);
        println!("{:2}  honest: {:<82} {}", said.code(), form.name, said.stdout.lines().last().unwrap_or_default());
        let last = said.stdout.lines().last().unwrap_or_default();
        if said.code() != 0 || !last.starts_with("AUTHENTICATED: ") || !said.stdout.contains(form.words) {
            failed.push(format!("{}: {:?} is not in {}", form.name, form.words, said.transcript()));
        }
    }
    let kinds = ["replaced", "removed", "added", "downgraded", "replayed", "renamed"];
    let counts = kinds.map(|kind| ATTACKS.iter().filter(|attack| attack.name.starts_with(kind)).count());
    println!("{} attacks: {kinds:?} {counts:?}; {} honest forms", ATTACKS.len(), FORMS.len());
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    assert!(ATTACKS.len() >= 25 && counts.iter().all(|count| *count > 0));
}

#[test]
fn checksums_alone_prove_no_author() {
    let Some(world) = world() else { return };
    let evil = text(&world.at("evil"));
    let said = world.run(&world.at("."), &["release", "verify", &evil, "--integrity-only"]);
    assert_eq!(said.code(), 0, "{}", said.transcript());
    let last = said.stdout.lines().last().unwrap();
    assert!(last.starts_with("INTEGRITY ONLY: 3 files as in SHA256SUMS"), "{last}");
    assert!(last.contains("Not proved: who made them"), "{last}");
    // The same in JSON, whose result and summary say it too.
    let said = world.release(&["verify", &evil, "--format", "json"]);
    assert_eq!(said.code(), 7, "{}", said.transcript());
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["result"], "not-authenticated");
    let said = world.release(&["verify", &text(&world.at("honest")), "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((said.code(), &report["result"]), (0, &"authenticated".into()), "{}", said.transcript());
    assert_eq!(report["lists"][0]["signed-by"], serde_json::json!(["alice", "carol"]));
}
