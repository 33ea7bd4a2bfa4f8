//! Signing with a quorum: five people with keys of both kinds sign apart, their signatures are merged, and one key is revoked.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::attacks::world::{World, copy};
use crate::support::{git, need_tool, path_without, text};

/// The five people, each with the key that signs: an OpenPGP address, or the name of an SSH key.
const PEOPLE: [(&str, &str); 5] = [
    ("alice", "alice@example.org"),
    ("bob", "bob@example.org"),
    ("carol", "ssh"),
    ("dave", "ssh"),
    ("erin", "erin@example.org"),
];

/// A world with only these people, whose release 1.1 is built in `dist`.
fn world(quorum: u32) -> Option<(World, PathBuf)> {
    let world = World::new(quorum)?;
    for who in ["frank.asc", "gina.asc", "hugo.asc", "ivan.asc", "julia.pub"] {
        fs::remove_file(world.keys().join(who)).unwrap();
    }
    world.commit("v1.1", "two\n");
    world.build("1.1", "honest");
    let dist = world.project.state().join("dist/1.1");
    Some((world, dist))
}

fn key(world: &World, who: &str) -> String {
    let (_, key) = PEOPLE.iter().find(|(name, _)| *name == who).unwrap();
    if *key == "ssh" { text(&world.at("ssh").join(who)) } else { (*key).to_owned() }
}

/// The contents of all files that begin with `SHA256SUMS`.
fn signatures(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let names = names.filter(|name| name.starts_with("SHA256SUMS"));
    names.map(|name| (name.clone(), fs::read(directory.join(&name)).unwrap())).collect()
}

/// A co-signer's own clone and copy of the files; the signature that they send.
#[track_caller]
fn co_sign(world: &World, who: &str, dist: &Path) -> PathBuf {
    let own = world.at(&format!("of-{who}"));
    world.sh(&world.at("."), &format!("git clone -q '{}' of-{who}", text(world.project.path())));
    let download = world.at(&format!("download-of-{who}"));
    copy(dist, &download);
    let args = ["release", "verify", &text(&download), "--rebuild", "--sign", "--key", &key(world, who)];
    let said = world.run(&own, &args);
    assert_eq!(said.code(), 0, "{who}: {}", said.transcript());
    let last = said.stdout.lines().last().unwrap();
    assert!(last.starts_with("SIGNED: ") && last.contains("to the release captain"), "{last}");
    let mut new: Vec<PathBuf> = fs::read_dir(&download).unwrap().map(|entry| entry.unwrap().path()).collect();
    new.retain(|path| text(path).contains(&format!("SHA256SUMS.{who}.")));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

#[test]
fn five_people_sign_apart_and_one_is_revoked() {
    let Some((world, dist)) = world(3) else { return };
    let check = world.release(&["check"]);
    assert_eq!(check.code(), 0, "{}", check.transcript());
    for words in
        ["has a valid key", "alice, bob, carol, dave, erin", "3 people can sign", "tag v1.1 is signed", "by alice"]
    {
        assert!(check.stdout.contains(words), "{words:?} is not in {}", check.stdout);
    }

    let captain = world.release(&["sign", "--key", "alice@example.org"]);
    assert_eq!(captain.code(), 0, "{}", captain.transcript());
    assert!(
        captain.stdout.contains("signed by alice") && captain.stdout.contains("1 of 3 required"),
        "{}",
        captain.stdout
    );
    let verify = |code: i32, words: &str| {
        let said = world.release(&["verify", &text(&dist)]);
        assert!(said.code() == code && said.stdout.contains(words), "{words:?} is not in {}", said.transcript());
    };
    verify(7, "signed by alice of the declared people (1 of 3 required)");

    let sent: Vec<PathBuf> = ["bob", "carol", "dave", "erin"].map(|who| co_sign(&world, who, &dist)).into();
    let add = |order: &[usize], at_once: bool| {
        copy(&world.at("signed-by-captain"), &dist);
        let files: Vec<[String; 2]> = order.iter().map(|index| ["--add".to_owned(), text(&sent[*index])]).collect();
        let calls: Vec<Vec<String>> =
            if at_once { vec![files.concat()] } else { files.into_iter().map(Vec::from).collect() };
        let mut last = String::new();
        for call in calls {
            let at = text(&dist);
            let words: Vec<&str> = ["sign", &at].into_iter().chain(call.iter().map(String::as_str)).collect();
            let said = world.release(&words);
            assert_eq!(said.code(), 0, "{}", said.transcript());
            last = said.stdout;
        }
        let by_hand = format!("complete; no `publish` is declared, so publish the files in {} by hand\n", text(&dist));
        assert!(last.ends_with(&by_hand), "{last}");
        signatures(&dist)
    };
    copy(&dist, &world.at("signed-by-captain"));
    add(&[0, 1], true);
    copy(&dist, &world.at("signed-by-three"));
    let merged = add(&[0, 1, 2, 3], true);
    assert_eq!(
        merged.keys().collect::<Vec<_>>(),
        ["SHA256SUMS", "SHA256SUMS.asc", "SHA256SUMS.carol.sig", "SHA256SUMS.dave.sig"]
    );
    assert_eq!(add(&[3, 1, 0, 2], true), merged, "the order does not matter");
    assert_eq!(add(&[2, 0, 3, 1], false), merged, "nor does it matter whether they come one by one");
    assert_eq!(add(&[0, 1, 2, 3, 0, 1], false), merged, "nor whether one comes twice");
    verify(0, "3 files signed by alice, bob, carol, dave, erin (3 required)");

    // Bob's key is revoked: four signatures are enough, and with one less than the quorum they are not.
    world.sh(
        &world.at("."),
        "sed 's/^:---/---/' \"$KEYRING/openpgp-revocs.d/$(fingerprint bob).rev\" | G --import
         G --armor --export bob@example.org > \"$KEYS/bob.asc\"",
    );
    git(world.project.path(), &["commit", "-q", "-a", "-m", "revoke bob's key"]);
    verify(0, "3 files signed by alice, carol, dave, erin (3 required)");
    verify(0, "the OpenPGP signature by bob");
    copy(&world.at("signed-by-three"), &dist);
    verify(7, "signed by alice, carol of the declared people (2 of 3 required)");
    let said = world.release(&["sign", "--key", "bob@example.org", &text(&dist)]);
    assert_ne!(said.code(), 0, "{}", said.transcript());
}

#[test]
fn only_what_was_checked_is_signed() {
    let Some((world, dist)) = world(2) else { return };
    let refuse = |args: &[&str], code: i32, words: &str| {
        let before = signatures(&dist);
        let said = world.release(args);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(said.code() == code && all.contains(words), "{words:?} is not in {}", said.transcript());
        assert_eq!(signatures(&dist), before, "{args:?}: nothing may be written");
    };
    let at = text(&dist);
    let ssh = |who: &str| text(&world.at("ssh").join(who));
    refuse(&["sign", "--key", "mallory@example.org"], 7, "the key mallory@example.org cannot sign this release");
    refuse(&["sign", "--key", &ssh("julia")], 7, "the key is not among the declared ones");
    refuse(&["sign", "--key", "nobody@example.org"], 4, "nobody@example.org");
    refuse(&["sign", "--key", &ssh("nobody")], 4, "cannot sign with the SSH key");
    refuse(&["sign"], 2, "--key");
    // Signatures of strangers, of other files, and of another namespace are not added.
    for (name, script, words) in [
        ("stranger", "gpgsign mallory", "the key is not among the declared ones"),
        ("other", "FILE=release.json gpgsign bob", "it is for other content"),
        ("git", "sshsign carol git", "it is for the SSH namespace `git`"),
        ("empty", "true", "it has no signature"),
    ] {
        let file = world.at(name);
        world.sh(&dist, &format!("({script}) > '{}'", text(&file)));
        refuse(&["sign", "--add", &text(&file)], 7, words);
    }
    // A file that is not as the list says, and a release that is not what the commit builds.
    let good = fs::read(dist.join("p-1.1.zip")).unwrap();
    fs::write(dist.join("p-1.1.zip"), b"PK").unwrap();
    refuse(&["sign", "--key", "alice@example.org"], 7, "WRONG  p-1.1.zip: its SHA-256 is");
    let rebuild = ["verify", at.as_str(), "--rebuild", "--sign", "--key", "bob@example.org"];
    refuse(&rebuild, 7, "nothing was signed");
    world.sh(&dist, "cp SHA256SUMS ../good; sha256sum p-1.1.* release.json > SHA256SUMS");
    refuse(&rebuild, 7, "release.json and the signed list differ in p-1.1.zip");
    fs::write(dist.join("p-1.1.zip"), good).unwrap();
    world.sh(&dist, "mv ../good SHA256SUMS");
    // A whole release of another commit, which claims to be of this one.
    let other = world.at("other-project");
    world.sh(&world.at("."), &format!("git clone -q '{}' other-project", text(world.project.path())));
    world.sh(
        &other,
        "git config user.name x; git config user.email x; echo evil > a.txt; git commit -qam x; git tag -f -m x v1.1",
    );
    let built = world.run(&other, &["--project", &text(&other), "release", "build"]);
    assert_eq!(built.code(), 0, "{}", built.transcript());
    let honest = world.at("honest");
    copy(&other.join("target/xtask/dist/1.1"), &dist);
    world.sh(
        &dist,
        &format!(
            "for key in commit object epoch; do
                 good=$(grep \"\\\"$key\\\":\" '{0}/release.json'); sed -i \"s/.*\\\"$key\\\":.*/$good/\" release.json
             done
             sha256sum p-1.1.* release.json > SHA256SUMS",
            text(&honest)
        ),
    );
    refuse(&rebuild, 7, "it is not what the commit builds");
    copy(&honest, &dist);
    // Another tag object than that of the checkout.
    git(world.project.path(), &["tag", "-f", "-m", "moved", "v1.1"]);
    refuse(&rebuild, 7, "names another object than the tag v1.1 of this checkout");
    let check = world.release(&["check"]);
    assert!(check.code() == 1 && check.stdout.contains("it is not signed"), "{}", check.transcript());
    refuse(&["sign", "--key", "alice@example.org", "--add", "/nonexistent"], 4, "/nonexistent");
}

#[test]
fn a_release_that_nobody_could_verify_is_refused() {
    let Some(world) = World::new(6) else { return };
    for who in ["gina.asc", "hugo.asc", "ivan.asc", "julia.pub"] {
        fs::remove_file(world.keys().join(who)).unwrap();
    }
    world.commit("v1.1", "two\n");
    let check = |words: &[&str]| {
        let said = world.release(&["check"]);
        assert_eq!(said.code(), 1, "{}", said.transcript());
        for words in words {
            assert!(said.stdout.contains(words), "{words:?} is not in {}", said.stdout);
        }
    };
    check(&["only 5 can, so nobody could ever verify the release", "frank: ", "is too weak (RSA with 1024 bits)"]);
    let recommit = |words: &[&str]| {
        git(world.project.path(), &["add", "-A"]);
        git(world.project.path(), &["commit", "-q", "-m", "keys"]);
        git(world.project.path(), &["tag", "-f", "v1.1"]);
        check(words);
    };
    fs::copy(world.keys().join("alice.asc"), world.keys().join("alice2.asc")).unwrap();
    recommit(&["`alice` and `alice2` have the same key"]);
    fs::remove_file(world.keys().join("alice2.asc")).unwrap();
    world.sh(&world.at("."), "G --armor --export-secret-keys alice@example.org > \"$KEYS/alice.asc\"");
    recommit(&["alice.asc: it has a secret key; remove it from the repository"]);
    world.sh(&world.at("."), "G --armor --export alice@example.org > \"$KEYS/alice.asc\"");
    recommit(&["it is a lightweight tag, without a signature"]);
    // A tag that git signs with SSH.
    let ssh = text(&world.at("ssh").join("carol"));
    git(
        world.project.path(),
        &["-c", "gpg.format=ssh", "-c", &format!("user.signingKey={ssh}"), "tag", "-f", "-s", "-m", "x", "v1.1"],
    );
    check(&["by carol (SSH SHA256:"]);
    let ssh = text(&world.at("ssh").join("julia"));
    git(
        world.project.path(),
        &["-c", "gpg.format=ssh", "-c", &format!("user.signingKey={ssh}"), "tag", "-f", "-s", "-m", "x", "v1.1"],
    );
    check(&["the key is not among the declared ones (SSH"]);
}

/// Nobody has to install programs for keys of a kind that nobody has.
#[test]
fn only_programs_for_keys_that_somebody_has_are_asked_for() {
    let Some(world) = World::new(1) else { return };
    for entry in fs::read_dir(world.keys()).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "asc") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let project = world.project.path();
    let commit = |tag: &str| {
        git(project, &["add", "-A"]);
        git(project, &["commit", "-q", "--allow-empty", "-m", tag]);
        let key = format!("user.signingKey={}", text(&world.at("ssh/carol")));
        git(project, &["-c", "gpg.format=ssh", "-c", &key, "tag", "-s", "-m", tag, tag]);
    };
    let check = |without: &[&str], code: i32, words: &str| {
        let path = path_without(&world.at(&format!("without-{}", without.concat())), without);
        let said = world.project.xtask(&["release", "check"]).env("PATH", &path).run();
        assert!(said.code() == code && said.transcript().contains(words), "{words}: {}", said.transcript());
    };
    commit("v1.1");
    check(&["gpg", "gpg-agent"], 0, "ok       the tools are installed");
    check(&["ssh-keygen"], 4, "ssh-keygen is missing, which checks SSH signatures; run `");
    world.sh(&world.at("."), "G --armor --export alice@example.org > \"$KEYS/alice.asc\"");
    commit("v1.2");
    check(&["gpg-agent"], 1, "missing: gpg-agent (holds the key");
    check(&["gpg", "gpg-agent"], 1, "missing: gpg (checks signatures");
}

/// The commands in README.md for users without Drydock, in the directory of a download with the keys of alice and carol.
#[test]
fn the_commands_of_the_readme_verify_a_release() {
    let Some((world, dist)) = world(2) else { return };
    if !need_tool("sha256sum", "coreutils") {
        return;
    }
    world.sh(&dist, "gpgsign alice > SHA256SUMS.asc; sshsign carol > SHA256SUMS.carol.sig");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, after) = readme.split_once("Without Drydock").unwrap();
    let commands: Vec<&str> = after
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "))
        .collect();
    let commands = commands.join("\n").replace("mine-", "p-");
    for words in ["sha256sum --check", "gpg --verify", "ssh-keygen -Y verify"] {
        assert!(commands.contains(words), "{commands}");
    }
    let download = world.at("download");
    let run = |break_it: &str| {
        copy(&dist, &download);
        for key in ["alice.asc", "carol.pub"] {
            fs::copy(world.keys().join(key), download.join(key)).unwrap();
        }
        let script = format!(
            "{break_it}\nmkdir -m 700 home; export GNUPGHOME=$PWD/home\ncat > commands <<'END'\n{commands}\nEND\nif bash -e commands; then echo VERIFIED; fi"
        );
        let output = world.sh(&download, &script);
        world.sh(&download, "gpgconf --homedir home --kill all");
        output.contains("VERIFIED")
    };
    assert!(run("true"), "{commands}");
    for break_it in [
        "echo x >> p-1.1.tar.gz",
        "sed -i 's/\"1.1\"/\"1.2\"/' release.json",
        "echo >> SHA256SUMS",
        "sshsign dave > SHA256SUMS.carol.sig",
        "gpgsign mallory > SHA256SUMS.asc",
    ] {
        assert!(!run(break_it), "{break_it}");
    }
}
