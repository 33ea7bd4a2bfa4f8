//! Nightlies that fail: the last nightly stays published, and the next call continues.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;

use drydock_oci::layout::Layout;
use drydock_oci::registry;

use super::project::{Nightly, step};
use crate::deb::fixture::{has_tools, key};
use crate::docker::registry_server::image;
use crate::support::{text, unproved};

/// A test script that waits while a file exists.
const WAITING_TEST: &str = "while [ -e PATH/build/wait ]; do sleep 0.1; done\ntest -s VERSION\n";

/// A project with a nightly, and a running nightly of a newer commit, which waits in its offline test.
fn waiting_in_test() -> Option<(Nightly, std::process::Child)> {
    let nightly = Nightly::new()?;
    nightly.publish(&[]);
    Some(wait_in_test(nightly))
}

/// Starts a nightly of a newer commit, and waits until it runs its offline test.
fn wait_in_test(mut nightly: Nightly) -> (Nightly, std::process::Child) {
    nightly.write("test.sh", &WAITING_TEST.replace("PATH", nightly.path().to_str().unwrap()));
    nightly.change("three");
    nightly.write("build/wait", "");
    let child = nightly.start();
    assert!(nightly.wait_for("without a network: sh test.sh"), "the nightly did not start its test");
    (nightly, child)
}

#[test]
fn a_failed_step_leaves_the_last_nightly_unchanged() {
    let Some(mut nightly) = Nightly::new() else { return };
    nightly.publish(&[]);
    let tags = nightly.tags();

    nightly.write("test.sh", "echo it is broken; exit 1\n");
    nightly.change("three");
    let broken = nightly.call(&[]);
    assert!(broken.code() == 7 && broken.stdout.contains("it is broken"), "{}", broken.transcript());
    assert!(broken.stdout.contains("the last nightly is unchanged"), "{}", broken.stdout);
    assert_eq!(nightly.tags(), tags);

    nightly.write("test.sh", "test -s VERSION\n");
    nightly.change("four");
    nightly.program(Some("1.0"));
    let other = nightly.call(&[]);
    assert!(other.code() != 0 && other.stdout.contains("p 1.0"), "{}", other.transcript());
    assert_eq!(nightly.tags(), tags);
    nightly.program(None);

    // An unreachable registry is reported before anything is built.
    nightly.server.kill();
    let state = fs::read_dir(nightly.state().join("dist")).unwrap().count();
    let unreachable = nightly.call(&[]);
    assert_eq!(unreachable.code(), 8, "{}", unreachable.transcript());
    assert!(unreachable.stderr.contains(&nightly.server.host()), "{}", unreachable.stderr);
    assert_eq!(fs::read_dir(nightly.state().join("dist")).unwrap().count(), state);
    nightly.server.restart();
    assert_eq!(nightly.publish(&[])["result"], "published");
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_failed_push_is_repeated_without_building_again() {
    let Some((mut nightly, mut child)) = waiting_in_test() else { return };
    let tags = nightly.tags();
    nightly.server.kill();
    fs::remove_file(nightly.path().join("build/wait")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(8));
    let log = fs::read_to_string(nightly.path().join("build/log")).unwrap();
    assert!(log.contains("push failed") && log.contains("the last nightly is unchanged"), "{log}");

    nightly.server.restart();
    assert_eq!(nightly.tags(), tags);
    let record = nightly.publish(&[]);
    let did = |name| step(&record, name);
    assert_eq!([did("sources-proof"), did("images"), did("push"), did("tags")], ["reused", "reused", "done", "done"]);
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_killed_nightly_is_continued_and_a_second_one_is_refused() {
    let Some((nightly, mut child)) = waiting_in_test() else { return };
    let tags = nightly.tags();
    let second = nightly.call(&[]);
    assert!(second.code() == 10 && second.stderr.contains("another nightly (process "), "{}", second.transcript());

    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(9));
    assert_eq!(nightly.tags(), tags);
    let record = fs::read_to_string(nightly.state().join("nightly.json")).unwrap();
    assert!(record.contains("\"result\": \"running\""), "{record}");

    fs::remove_file(nightly.path().join("build/wait")).unwrap();
    let record = nightly.publish(&[]);
    assert_eq!(record["result"], "published");
    assert_eq!((step(&record, "sources"), step(&record, "sources-proof")), ("reused", "done"));
    assert_ne!(nightly.tags()["nightly"], tags["nightly"]);
}

#[test]
fn a_nightly_of_another_machine_is_not_overwritten() {
    if !has_tools(&[("dh_clean", "debhelper")]) {
        return;
    }
    let Some(nightly) = Nightly::new() else { return };
    nightly.publish(&[]);
    let directory = tempfile::tempdir().unwrap();
    let (home, fingerprint) = key(directory.path());
    let incoming = directory.path().join("incoming");
    fs::create_dir(&incoming).unwrap();
    nightly
        .packages(&format!("{{target: queue, method: local, incoming: \"{}\", key: {fingerprint}}}", text(&incoming)));
    let (nightly, mut child) = wait_in_test(nightly.env("GNUPGHOME", &text(&home)));
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
    assert!(log.contains("upload failed") && log.contains("is another nightly running elsewhere?"), "{log}");
    assert_eq!(nightly.tags(), tags, "nothing is tagged");
    let arrived = || fs::read_dir(&incoming).unwrap().count();
    assert_eq!(arrived(), 0, "nothing is uploaded");

    // Nor does `deb upload` send what has no proof of exactly its files.
    let version = nightly.version();
    let upload = ["deb", "upload", "--nightly", &version, "--key", &fingerprint, "--wait", "0"];
    let ways = unproved::each_way(&nightly.state().join("dist").join(&version), |name, words| {
        let refused = nightly.xtask(&upload);
        let said = refused.transcript();
        assert!(refused.code() == 7 && said.contains("not published: ") && said.contains(words), "{name}: {said}");
    });
    assert!(ways >= 16 && arrived() == 0);

    // Without interference, the next call continues.
    let continued = nightly.call(&["--wait", "0"]);
    assert!(continued.code() == 0 && arrived() > 0, "{}", continued.transcript());
    assert_ne!(nightly.tags()["nightly"], theirs.digest);
}
