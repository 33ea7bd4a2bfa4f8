//! Promotion records: SSH keys sign them too, and none is attached unless all are signed.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use drydock_oci::promote::promotion_record::ARTIFACT_TYPE;

use super::release_project::{Built, ReleaseProject};
use super::{TOOLS, released};
use crate::docker::registry_server::{Server, repository};
use crate::docker::test_images::set;
use crate::support::{Finished, need_tool, need_tools, text};

fn ssh_keygen(args: &[&str], stdin: Option<&Path>) -> Finished {
    let mut command = Command::new("ssh-keygen");
    command.args(args).stdin(stdin.map_or_else(Stdio::null, |path| fs::File::open(path).unwrap().into()));
    command.output().unwrap().into()
}

#[test]
fn an_ssh_key_signs_a_record_if_it_is_declared() {
    if !need_tools(TOOLS) || !need_tool("ssh-keygen", "openssh-client") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let setup = ReleaseProject::new(&server.host());
    let key = |name: &str| {
        let path = text(&setup.home.path().join(name));
        let made = ssh_keygen(&["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", &path], None);
        assert_eq!(made.code(), 0, "{}", made.transcript());
        path
    };
    let (declared, other) = (key("declared"), key("other"));
    fs::copy(format!("{declared}.pub"), setup.project.path().join("packaging/keys/declared.pub")).unwrap();
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let top = setup.push(&Built::new("v1.0", "1.0", &commit));
    let records = || setup.registry.artifacts(&setup.release, &top.digest, ARTIFACT_TYPE).unwrap();

    let refused = setup.call(&["1.0", "--key", &other]);
    let words = "sign with --key KEY, one of the declared keys";
    assert!(refused.code() == 7 && refused.stderr.contains(words), "{}", refused.transcript());
    assert!(records().is_empty() && released(&setup).is_empty());

    setup.ok(&["1.0", "--key", &declared]);
    assert_eq!(released(&setup).len(), 2);
    let records = records();
    let [record, signature] = records[0].as_slice() else { panic!("{records:?}") };
    let at = |name: &str, bytes: &[u8]| {
        fs::write(setup.home.path().join(name), bytes).unwrap();
        text(&setup.home.path().join(name))
    };
    let public = fs::read(format!("{declared}.pub")).unwrap();
    let allowed = at("allowed", &[b"declared ", &public[..]].concat());
    let (record, signature) = (at("record", record), at("signature", signature));
    let verify = ["-Y", "verify", "-f", &allowed, "-I", "declared", "-n", "file", "-s", &signature];
    let verified = ssh_keygen(&verify, Some(Path::new(&record)));
    assert_eq!(verified.code(), 0, "{}", verified.transcript());
    // Another machine, which has no record on its disk, believes that of the registry.
    fs::remove_dir_all(setup.dist("1.0")).unwrap();
    let again = setup.ok(&["1.0"]);
    assert!(again.stdout.contains("nothing to do: already promoted"), "{}", again.stdout);
    // It does not once the key is not declared any more.
    fs::remove_file(setup.project.path().join("packaging/keys/declared.pub")).unwrap();
    setup.commit("without the key");
    let doubted = setup.ok(&["1.0", "--dry-run"]);
    assert!(doubted.stdout.contains("record     will be signed"), "{}", doubted.stdout);
}

#[test]
fn no_record_is_attached_before_the_signatures_of_all_images_are_there() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let host = server.host();
    let setup = ReleaseProject::new(&host);
    let declaration = setup.project.path().join("docker/images.yaml");
    let declared = fs::read_to_string(&declaration).unwrap();
    let (nightly, release) = (repository(&host, "other/nightly"), repository(&host, "other/release"));
    let other = format!(
        "  other:\n    repositories: {{nightly: {nightly}, release: {release}}}\n    from: {{dockerfile: Dockerfile}}\n    \
         smoke-test: {{run: [mine, --version], expect: 'mine {{version}}'}}\n    platforms: [linux/amd64, linux/arm64]\n"
    );
    fs::write(&declaration, declared + &other).unwrap();
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let first = setup.push(&Built::new("v1.0", "1.0", &commit));
    let second = setup.push_to(&nightly, &Built { image: "other", seed: 30, ..Built::new("v1.0", "1.0", &commit) });
    set(&setup.registry, &nightly, &second, &[&format!("sha-{}", &commit[..12])]);
    let records = || {
        let of = |repository, digest| setup.registry.artifacts(repository, digest, ARTIFACT_TYPE).unwrap().len();
        [of(&setup.release, &first.digest), of(&release, &second.digest)]
    };

    // The passphrase is entered for the first record and not for the second one.
    let bin = setup.home.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let asked = text(&bin.join("asked"));
    let gpg = format!(
        "#!/bin/sh\ncase \" $* \" in *' --detach-sign '*)\n  if test -e '{asked}'; then\n    \
         echo 'gpg: signing failed: Operation cancelled' >&2; exit 2\n  fi\n  touch '{asked}';;\nesac\n\
         PATH=${{PATH#*:}}; exec gpg \"$@\"\n"
    );
    fs::write(bin.join("gpg"), gpg).unwrap();
    fs::set_permissions(bin.join("gpg"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = setup.command(&["1.0", "--key", &setup.captain]);
    command.env("PATH", format!("{}:{}", text(&bin), std::env::var("PATH").unwrap()));
    let refused: Finished = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap().into();
    assert!(refused.code() == 4 && refused.stderr.contains("Operation cancelled"), "{}", refused.transcript());
    assert!(Path::new(&asked).exists() && setup.dist("1.0").join("oci/mine.promotion.json").exists());
    assert_eq!(records(), [0, 0]);
    assert!(released(&setup).is_empty());

    setup.ok(&["1.0", "--key", &setup.captain]);
    assert_eq!(records(), [1, 1]);
}
