//! Nights that go wrong: the last nightly stays as it was, and the next call goes on.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use drydock_oci::layout::Layout;
use drydock_oci::registry;

use super::project::{Nightly, step};
use crate::deb::fixture::{has_tools, key};
use crate::docker::registry_server::image;
use crate::support::text;

/// A test that waits as long as a file is there.
const WAITS: &str = "while [ -e PATH/build/wait ]; do sleep 0.1; done\ntest -s VERSION\n";

/// A project with a nightly, a newer commit whose offline test waits, and that night at its test.
fn waiting() -> Option<(Nightly, std::process::Child)> {
    let nightly = Nightly::new()?;
    nightly.night(&[]);
    Some(at_its_test(nightly))
}

/// A newer commit, and the night of it at its test.
fn at_its_test(mut nightly: Nightly) -> (Nightly, std::process::Child) {
    nightly.write("test.sh", &WAITS.replace("PATH", nightly.path().to_str().unwrap()));
    nightly.change("three");
    nightly.write("build/wait", "");
    let child = nightly.start();
    assert!(nightly.wait_for("without a network, test"), "the night never came to its test");
    (nightly, child)
}

#[test]
fn a_step_that_fails_leaves_the_last_nightly_untouched() {
    let Some(mut nightly) = Nightly::new() else { return };
    nightly.night(&[]);
    let tags = nightly.tags();

    nightly.write("test.sh", "echo it is broken; exit 1\n");
    nightly.change("three");
    let broken = nightly.call(&[]);
    assert!(broken.code() == 7 && broken.stdout.contains("it is broken"), "{}", broken.transcript());
    assert!(broken.stdout.contains("the last nightly stays as it was"), "{}", broken.stdout);
    assert_eq!(nightly.tags(), tags);

    nightly.write("test.sh", "test -s VERSION\n");
    nightly.change("four");
    nightly.program(Some("1.0"));
    let other = nightly.call(&[]);
    assert!(other.code() != 0 && other.stdout.contains("p 1.0"), "{}", other.transcript());
    assert_eq!(nightly.tags(), tags);
    nightly.program(None);

    // A registry that is away says so at once, and before anything is built.
    nightly.server.kill();
    let state = fs::read_dir(nightly.state().join("dist")).unwrap().count();
    let away = nightly.call(&[]);
    assert_eq!(away.code(), 8, "{}", away.transcript());
    assert!(away.stderr.contains(&nightly.server.host()), "{}", away.stderr);
    assert_eq!(fs::read_dir(nightly.state().join("dist")).unwrap().count(), state);
    nightly.server.restart();
    assert_eq!(nightly.night(&[])["result"], "published");
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_registry_that_goes_away_costs_the_push_and_nothing_else() {
    let Some((mut nightly, mut child)) = waiting() else { return };
    let tags = nightly.tags();
    nightly.server.kill();
    fs::remove_file(nightly.path().join("build/wait")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    let log = fs::read_to_string(nightly.path().join("build/log")).unwrap();
    assert!(log.contains("push failed") && log.contains("the last nightly stays as it was"), "{log}");

    nightly.server.restart();
    assert_eq!(nightly.tags(), tags);
    let night = nightly.night(&[]);
    let did = |word| step(&night, word);
    assert_eq!([did("sources-proof"), did("images"), did("push"), did("tags")], ["reused", "reused", "done", "done"]);
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_killed_night_goes_on_and_a_second_one_is_refused() {
    let Some((nightly, mut child)) = waiting() else { return };
    let tags = nightly.tags();
    let second = nightly.call(&[]);
    assert!(
        second.code() == 4 && second.stderr.contains("another nightly is going on here"),
        "{}",
        second.transcript()
    );

    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(nightly.tags(), tags);
    let record = fs::read_to_string(nightly.state().join("nightly.json")).unwrap();
    assert!(record.contains("\"result\": \"running\""), "{record}");

    fs::remove_file(nightly.path().join("build/wait")).unwrap();
    let night = nightly.night(&[]);
    assert_eq!(night["result"], "published");
    assert_eq!((step(&night, "sources"), step(&night, "sources-proof")), ("reused", "done"));
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_nightly_of_another_machine_is_not_overwritten() {
    if !has_tools(&[("dh_clean", "debhelper"), ("dput", "dput-ng")]) {
        return;
    }
    let Some(nightly) = Nightly::new() else { return };
    nightly.night(&[]);
    let directory = tempfile::tempdir().unwrap();
    let (home, fingerprint) = key(directory.path());
    let incoming = directory.path().join("incoming");
    fs::create_dir(&incoming).unwrap();
    nightly
        .packages(&format!("{{target: queue, method: local, incoming: \"{}\", key: {fingerprint}}}", text(&incoming)));
    let (nightly, mut child) = at_its_test(nightly.env("GNUPGHOME", &text(&home)));
    let layout = Layout::create(&directory.path().join("oci")).unwrap();
    let (client, repository) = (nightly.server.client(), nightly.server.repository("p/nightly"));
    let theirs = image(&layout, 7, 1000, &[drydock_config::images::Platform::Amd64]);
    registry::push(&client, &repository, &layout, &theirs, &[]).unwrap();
    registry::tag(&client, &repository, &theirs, &[("nightly".parse().unwrap(), registry::Precondition::None)])
        .unwrap();
    let tags = nightly.tags();
    assert_eq!(tags["nightly"], theirs.digest);

    fs::remove_file(nightly.path().join("build/wait")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    let log = fs::read_to_string(nightly.path().join("build/log")).unwrap();
    assert!(log.contains("upload failed") && log.contains("is another nightly going on elsewhere?"), "{log}");
    assert_eq!(nightly.tags(), tags, "nothing is tagged");
    let arrived = || fs::read_dir(&incoming).unwrap().count();
    assert_eq!(arrived(), 0, "a queue never gives a version back");

    // With nobody else around it goes on from there.
    let night = nightly.call(&["--wait", "0"]);
    assert!(night.code() == 0 && arrived() > 0, "{}", night.transcript());
    assert_ne!(nightly.tags()["nightly"], theirs.digest);
}
