//! Drydock's own package: built twice offline in trixie with Debian's compiler and all crates vendored.

use std::path::Path;

use super::fixture::{Deb, has_tools, kept_directory};
use crate::support::skip;

/// Runs only with `DRYDOCK_TEST_DEB_SELF=1`, because it compiles hundreds of crates twice.
#[test]
fn drydock_itself_builds_offline_in_trixie() {
    if std::env::var_os("DRYDOCK_TEST_DEB_SELF").is_none() {
        skip("it compiles hundreds of crates twice; set DRYDOCK_TEST_DEB_SELF=1 to run it");
        return;
    }
    if !has_tools(&[("sbuild", "sbuild"), ("mmdebstrap", "mmdebstrap")]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let deb = Deb::new(project, &directory.path().join("state"));
    deb.ok(&["source", "--untagged"]);
    let check = deb.ok(&["check", "--untagged", "--unsigned"]);
    assert!(check.stdout.contains("files of crates match their checksums"), "{}", check.stdout);
    let chroots = kept_directory("deb-chroots");
    let proved = deb.ok(&["prove", "--untagged", "--format", "json", "--chroots", chroots.to_str().unwrap()]);
    let proofs: Vec<serde_json::Value> = serde_json::from_str(&proved.stdout).unwrap();
    assert_eq!(proofs[0]["proved-on"], "trixie");
    assert_eq!(proofs[0]["differences"].as_array().unwrap().len(), 0, "{}", proved.stdout);
    assert!(proofs[0]["tests"][0].as_str().unwrap().ends_with(" PASS"), "{}", proved.stdout);
}
