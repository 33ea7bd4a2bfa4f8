//! A nightly resolves its commit once: everything is of that commit although `HEAD` moves meanwhile.

use std::fs;

use drydock_oci::build_record::BuildRecord;
use drydock_release::manifest::Manifest;

use super::project::{Nightly, step};
use crate::support::MovingHead;

/// Runs a nightly while `HEAD` moves, and returns its summary.
#[track_caller]
fn check(nightly: Nightly, args: &[&str]) -> serde_json::Value {
    let commit = nightly.git(&["rev-parse", "HEAD"]);
    let version = nightly.version();
    let head = MovingHead::new(nightly.path());
    let nightly = nightly.env("PATH", &head.path());
    let summary = nightly.publish(args);
    assert_eq!(head.resolved(), 1, "{summary:#}");
    assert_ne!(nightly.git(&["rev-parse", "HEAD"]), commit);

    assert_eq!((&summary["commit"], &summary["version"]), (&commit.as_str().into(), &version.as_str().into()));
    let dist = nightly.state().join("dist");
    let built: Vec<_> = fs::read_dir(&dist).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(built, [version.as_str()]);
    let dist = dist.join(version);
    assert_eq!(Manifest::load(&dist.join("release.json")).unwrap().commit, commit);
    assert_eq!(BuildRecord::load(&dist.join("oci"), "p").unwrap().record.commit, commit);
    if nightly.server.client().tags(&nightly.server.repository("p/nightly")).is_ok_and(|tags| !tags.is_empty()) {
        assert!(nightly.tags().contains_key(&format!("sha-{}", &commit[..12])));
    }
    summary
}

#[test]
fn a_nightly_is_published_of_one_commit() {
    let Some(nightly) = Nightly::new() else { return };
    let summary = check(nightly, &[]);
    assert_eq!((&summary["result"], step(&summary, "tags")), (&"published".into(), "done"));
}

#[test]
fn packages_of_a_nightly_are_of_its_commit() {
    if !crate::deb::fixture::has_tools(&[("dh_clean", "debhelper")]) {
        return;
    }
    let Some(mut nightly) = Nightly::new() else { return };
    nightly.packages("{target: queue, method: local, incoming: /nowhere}");
    nightly.change("three");
    let summary = check(nightly, &["--no-publish"]);
    assert_eq!((step(&summary, "packages"), step(&summary, "packages-check")), ("done", "done"));
}
