//! lanternd from a signed tag to its users: the nightly build of the tag, the promotion of its image, and the signed release, with real
//! signatures and only records that the commands themselves wrote.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::lanternd::copy_config;
use crate::deb::end_to_end::Archive;
use crate::deb::fixture::{Proofs, has_tools, kept_directory, key, lanternd, run};
use crate::docker::build_project::debian_in;
use crate::docker::registry_server::{Server, skopeo_digest};
use crate::support::{Finished, text, xtask_binary};

#[test]
fn a_signed_tag_becomes_a_nightly_a_promoted_image_and_a_release() {
    let tools = [("reprepro", "reprepro"), ("skopeo", "skopeo"), ("buildah", "buildah")];
    if !has_tools(&tools) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let Some(base) = debian_in(&server) else { return };
    // The package of the tag was built twice, compared, installed and tested once for all tests.
    let Some(proof) = Proofs::lanternd() else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let (home, fingerprint) = key(directory.path());
    let home = text(&home);
    let mut archive = Archive::new(&at("archive"), Path::new(&home), &fingerprint);
    archive.open();
    fs::create_dir(at("config")).unwrap();
    copy_config(&at("config"), &server, &base, &at("archive"));
    let declaration = at("config/packaging/release.yaml");
    let yaml = fs::read_to_string(&declaration).unwrap();
    let signed = yaml.replace("archives:\n", "signing: {keys: packaging/keys, quorum: 1}\narchives:\n");
    fs::write(&declaration, signed).unwrap();
    let keys = at("config/packaging/keys");
    fs::create_dir(&keys).unwrap();
    let variables = [("GNUPGHOME", home.as_str())];
    run(
        directory.path(),
        &["gpg", "--batch", "--armor", "--export", "-o", &text(&keys.join("tester.asc"))],
        &variables,
    );
    let project = at("project");
    run(directory.path(), &["cp", "-a", &text(lanternd()), &text(&project)], &[]);
    let git = ["git", "-c", "user.name=n", "-c", "user.email=m"];
    let tag = ["tag", "--force", "--sign", "--local-user", &fingerprint, "--message", "0.3.0", "v0.3.0", "v0.3.0^{}"];
    run(&project, &[&git[..], &["checkout", "-q", "v0.3.0^{}"]].concat(), &[]);
    run(&project, &[&git[..], &tag].concat(), &variables);

    let call = |words: &[&str]| -> Finished {
        Command::new(xtask_binary())
            .args(["--project", &text(&project), "--config", &text(&at("config")), "--state", &text(&at("state"))])
            .args(words)
            .env("GNUPGHOME", &home)
            .env_remove("CI")
            .env_remove("GITHUB_STEP_SUMMARY")
            .output()
            .unwrap()
            .into()
    };
    let ok = |words: &[&str]| {
        let finished = call(words);
        assert_eq!(finished.code(), 0, "{words:?}: {}", finished.transcript());
        finished
    };
    ok(&["deb", "source", "--series", "bookworm"]);
    let dist = at("state/dist/0.3.0");
    fs::create_dir_all(dist.join("deb/proof")).unwrap();
    run(directory.path(), &["cp", "-r", &text(&proof), &text(&dist.join("deb/proof/bookworm"))], &[]);

    let digest =
        |name: &str, tag: &str| skopeo_digest(&format!("{}:{tag}", server.repository(&format!("lantern/{name}"))));
    // Nothing can be promoted before there is a nightly build of the tag.
    let promote = ["docker", "promote", "0.3.0", "--key", &fingerprint];
    let early = call(&promote);
    assert!(early.code() != 0 && digest("lanternd", "latest").is_err());
    let chroots = text(&kept_directory("deb-chroots"));
    let nightly = ok(&["nightly", "--key", &fingerprint, "--wait", "2", "--chroots", &chroots, "--format", "json"]);
    let record: serde_json::Value = serde_json::from_str(&nightly.stdout).unwrap();
    assert_eq!((&record["result"], &record["version"]), (&"published".into(), &"0.3.0".into()), "{record:#}");

    // The promoted image is the very one of the nightly build.
    ok(&promote);
    let commit = run(&project, &["git", "rev-parse", "v0.3.0^{}"], &[]);
    let tested = digest("nightly", &format!("sha-{}", &commit[..12])).unwrap();
    for tag in ["v0.3.0", "latest"] {
        assert_eq!(digest("lanternd", tag).unwrap(), tested, "{tag}");
    }
    let again = ok(&promote);
    assert!(again.transcript().contains("already"), "{}", again.transcript());

    // The sources of that nightly build are signed, and a user verifies them with the signer's key.
    ok(&["release", "sign", "--key", &fingerprint]);
    let (keys, dist) = (text(&keys), text(&dist));
    let verify = ["release", "verify", &dist, "--keys", &keys, "--quorum", "1"];
    ok(&verify);
    let sums = fs::read_to_string(at("state/dist/0.3.0/SHA256SUMS")).unwrap();
    fs::write(at("state/dist/0.3.0/SHA256SUMS"), sums.replacen(|letter: char| letter.is_ascii_digit(), "x", 1))
        .unwrap();
    assert_eq!(call(&verify).code(), 7, "a changed list must not verify");
    archive.close();
}
