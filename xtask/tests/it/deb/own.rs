//! Drydock's own package: all its crates vendored, built offline in trixie with Debian's compiler, twice.

use std::path::Path;

use super::shelf::{Deb, kept, tools_are_there};

/// It compiles some hundred crates twice, so it runs when it is asked to: `DRYDOCK_TEST_DEB_SELF=1`.
#[test]
fn drydock_itself_builds_offline_in_trixie() {
    if std::env::var_os("DRYDOCK_TEST_DEB_SELF").is_none() {
        println!("skipped: it takes some minutes; DRYDOCK_TEST_DEB_SELF=1 runs it");
        return;
    }
    if !tools_are_there(&[("sbuild", "sbuild"), ("mmdebstrap", "mmdebstrap")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let deb = Deb::new(project, &directory.path().join("state"));
    deb.ok(&["source", "--untagged"]);
    let check = deb.ok(&["check", "--untagged", "--unsigned"]);
    assert!(check.stdout.contains("files of crates have their sums"), "{}", check.stdout);
    let chroots = kept("deb-chroots");
    let proved = deb.ok(&["prove", "--untagged", "--format", "json", "--chroots", chroots.to_str().unwrap()]);
    let proofs: Vec<serde_json::Value> = serde_json::from_str(&proved.stdout).unwrap();
    assert_eq!(proofs[0]["proved-on"], "trixie");
    assert_eq!(proofs[0]["differing"].as_array().unwrap().len(), 0, "{}", proved.stdout);
    assert!(proofs[0]["tried"][0].as_str().unwrap().ends_with(" PASS"), "{}", proved.stdout);
}
