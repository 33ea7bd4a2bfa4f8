//! `docker promote` against a real registry, git and gpg: the same digest in both repositories, or nothing at all.

mod records;
mod release_project;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use drydock_config::images::{Digest, Tag};
use drydock_oci::build_record;
use drydock_oci::layout::Layout;
use drydock_oci::promote::promotion_record::Promotion;
use drydock_oci::registry::{Reference, pull};

use super::other_registries::zuul;
use super::proxy::{Act, Proxy};
use super::registry_server::{Server, skopeo_digest};
use super::test_images::set;
use crate::support::{need_tool, need_tools, unproved, wait_for};
use release_project::{Built, ReleaseProject};

/// The tags of images in the release repository, with what they name; lists of referrers are left out.
fn released(setup: &ReleaseProject) -> Vec<(String, Digest)> {
    let tags = setup.registry.tags(&setup.release).unwrap();
    let of = |tag: &Tag| setup.registry.head(&setup.release, &tag.clone().into()).unwrap().unwrap().digest;
    let shown = tags.iter().filter(|tag| !tag.as_str().starts_with("sha256-"));
    shown.map(|tag| (tag.to_string(), of(tag))).collect()
}

fn is_whole(setup: &ReleaseProject, digest: Digest) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    pull(&setup.registry, &setup.release, &Reference::Digest(digest), None, &layout).is_ok()
}

/// The tools that these tests need, each with its Debian package.
const TOOLS: &[(&str, &str)] = &[("gpg", "gpg"), ("git", "git"), ("docker-registry", "docker-registry")];

#[test]
fn a_release_has_the_digest_that_was_built_and_a_signed_record() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(&server.host(), |_| Act::Pass);
    let setup = ReleaseProject::new(&proxy.host());
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let top = setup.push(&Built::new("v1.0", "1.0", &commit));

    let planned = setup.ok(&["1.0", "--dry-run"]);
    assert!(planned.stdout.contains("latest     moves here") && planned.stdout.contains(&top.digest.to_string()));
    let unproved = setup.call(&["1.0", "--key", &setup.captain, "--proved"]);
    let words = "the sources are proved";
    assert!(unproved.code() == 1 && unproved.stdout.contains(words), "{}", unproved.transcript());
    setup.prove();
    let ways = unproved::each_way(&setup.dist("1.0"), |name, words| {
        let refused = setup.call(&["1.0", "--key", &setup.captain, "--proved"]);
        let said = &refused.stdout;
        let what = format!("WRONG  {}", "the sources are proved");
        assert!(
            refused.code() == 1 && said.contains(&what) && said.contains(words),
            "{name}: {}",
            refused.transcript()
        );
    });
    assert!(ways >= 11 && released(&setup).is_empty(), "nothing is done without a proof, or with --dry-run");
    let proved = setup.ok(&["1.0", "--dry-run", "--proved"]);
    assert!(proved.stdout.contains("proof      proof.json"), "{}", proved.stdout);
    std::fs::remove_dir_all(setup.dist("1.0")).unwrap();

    setup.ok(&["1.0", "--key", &setup.captain]);
    assert_eq!(released(&setup), [("latest".to_owned(), top.digest), ("v1.0".to_owned(), top.digest)]);
    assert!(is_whole(&setup, top.digest));
    if need_tool("skopeo", "skopeo") {
        let nightly = format!("{}:sha-{}", setup.nightly, &commit[..12]);
        assert_eq!(skopeo_digest(&nightly).unwrap(), skopeo_digest(&format!("{}:v1.0", setup.release)).unwrap());
    }
    let of_type = |artifact_type: &str| setup.registry.artifacts(&setup.release, &top.digest, artifact_type).unwrap();
    assert_eq!(of_type(build_record::ARTIFACT_TYPE).len(), 1, "the build record came along");
    let records = of_type(drydock_oci::promote::promotion_record::ARTIFACT_TYPE);
    let [text, signature] = records[0].as_slice() else { panic!("{records:?}") };
    assert!(setup.verifies(text, signature, &setup.captain));
    let changed = String::from_utf8_lossy(text).replace("\"1.0\"", "\"1.1\"");
    assert!(!setup.verifies(changed.as_bytes(), signature, &setup.captain));
    let promotion = Promotion::parse(text).unwrap();
    assert_eq!((promotion.digest, promotion.commit.as_str()), (top.digest, commit.as_str()));
    assert!(promotion.tag.signed_by.contains(&setup.captain));
    assert_eq!(promotion.without_proof.as_deref(), Some("made by a test"));
    let printed = promotion.platforms["linux/amd64"].smoke_test.as_ref().map(|test| test.printed.as_str());
    assert_eq!(printed, Some("mine 1.0"));
    assert_eq!(std::fs::read(setup.dist("1.0").join("oci/mine.promotion.json")).unwrap(), *text);

    // All is there: it says so, and sends nothing.
    let writes = || ["PUT", "POST", "PATCH", "DELETE"].iter().map(|method| proxy.count(method, "")).sum::<usize>();
    let before = writes();
    let again = setup.ok(&["1.0", "--key", &setup.captain]);
    assert!(again.stdout.contains("nothing to do: already promoted"), "{}", again.stdout);
    assert_eq!(writes(), before);
    // Another machine, which has no record on its disk, says so too.
    std::fs::remove_dir_all(setup.dist("1.0")).unwrap();
    assert!(setup.ok(&["1.0"]).stdout.contains("nothing to do"));
    assert_eq!(writes(), before);
    // And so it is when the nightly repository has forgotten it.
    setup.registry.delete_manifest(&setup.nightly, &top.digest).unwrap();
    let forgotten = setup.ok(&["1.0"]);
    assert!(forgotten.stdout.contains("promoted before") && forgotten.stdout.contains("nothing to do"));
    assert!(is_whole(&setup, top.digest));
}

#[test]
fn latest_does_not_move_for_a_candidate_and_never_backwards() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let setup = ReleaseProject::new(&server.host());
    let mut expected = Vec::new();
    let steps = [
        ("25.12rc1", "stays: 25.12rc1 may be a release candidate", None),
        ("25.12", "moves here", Some("25.12")),
        ("26.06rc1", "stays: 26.06rc1 may be a release candidate", Some("25.12")),
        ("26.06", "moves here from 25.12", Some("26.06")),
        ("25.12.1", "stays: 26.06 is newer", Some("26.06")),
        ("26.06.1", "moves here from 26.06", Some("26.06.1")),
    ];
    for (version, words, latest) in steps {
        let commit = setup.commit(version);
        let tag = format!("v{version}");
        setup.sign_tag(&tag, &setup.captain);
        let top = setup.push(&Built::new(&tag, version, &commit));
        // Without a version, that of HEAD.
        let done = setup.ok(&["--key", &setup.captain]);
        assert!(done.stdout.contains(&format!("latest     {words}")), "{version}: {}", done.stdout);
        expected.push((tag, top.digest));
        let now = released(&setup);
        let of = |tag: &str| now.iter().find(|(name, _)| name == tag).map(|(_, digest)| *digest);
        for (tag, digest) in &expected {
            assert_eq!(of(tag), Some(*digest), "{tag} after {version}");
        }
        assert_eq!(of("latest"), latest.and_then(|version| of(&format!("v{version}"))), "after {version}");
    }
}

/// A defect of a release, and the words of its message.
type Wrong = (&'static str, fn(&ReleaseProject, &str), &'static [&'static str]);

#[test]
fn every_doubt_is_reported_with_its_remedy_and_nothing_is_changed() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let setup = ReleaseProject::new(&server.host());
    let table: [Wrong; 11] = [
        (
            "1.0",
            |setup, _| setup.git(&["tag", "-a", "-m", "x", "v1.0"]),
            &["the tag v1.0 is signed", "it is not signed", "git tag -f -s v1.0"],
        ),
        ("1.1", |setup, _| setup.git(&["tag", "v1.1"]), &["it is a lightweight tag"]),
        ("1.2", |setup, _| setup.sign_tag("v1.2", &setup.mallory), &["is not among the declared ones", "investigate"]),
        (
            "1.3",
            |setup, _| {
                // The signed tag of another version, under this name.
                setup.sign_tag("v0.9", &setup.captain);
                setup.git(&["update-ref", "refs/tags/v1.3", "refs/tags/v0.9"]);
                setup.git(&["tag", "-d", "v0.9"]);
            },
            &["its tag is v0.9, expected v1.3"],
        ),
        (
            "1.4",
            |setup, commit| {
                setup.sign_tag("v1.4", &setup.captain);
                let nightly = "1.4-0.nightly20260701.12.g0123456";
                setup.push(&Built { version: nightly, ..Built::new("v1.4", "1.4", commit) });
            },
            &["built as this version", "a nightly version, which its programs print", "docker build mine --tag v1.4"],
        ),
        (
            "1.5",
            |setup, commit| {
                setup.sign_tag("v1.5", &setup.captain);
                setup.push(&Built { revision: "ffff", ..Built::new("v1.5", "1.5", commit) });
            },
            &["image.revision of linux/arm64", "ffff, expected"],
        ),
        (
            "1.6",
            |setup, commit| {
                setup.sign_tag("v1.6", &setup.captain);
                setup.push(&Built { has_record: false, ..Built::new("v1.6", "1.6", commit) });
            },
            &["a build record is attached", "none is"],
        ),
        (
            "1.7",
            |setup, _| setup.sign_tag("v1.7", &setup.captain),
            &["has no tag sha-", "docker nightly mine --tag v1.7"],
        ),
        (
            "1.8",
            |setup, commit| {
                setup.sign_tag("v1.8", &setup.captain);
                setup.push(&Built::new("v1.8", "1.8", commit));
                let other = Built { seed: 77, ..Built::new("v1.8", "1.8", commit) };
                let other = setup.push_to(&setup.release, &other);
                set(&setup.registry, &setup.release, &other, &["v1.8"]);
            },
            &["v1.8 does not exist or is this image", "cannot be replaced"],
        ),
        (
            "1.9",
            |setup, commit| {
                setup.sign_tag("v1.9", &setup.captain);
                setup.push(&Built { printed: "mine 1.8", ..Built::new("v1.9", "1.9", commit) });
            },
            &["the smoke test passed for linux/", "it printed \"mine 1.8\""],
        ),
        (
            "2.0",
            |setup, commit| {
                setup.sign_tag("v2.0", &setup.mallory);
                setup.push(&Built { revision: "ffff", printed: "x", ..Built::new("v2.0", "2.0", commit) });
            },
            // All at once.
            &["is not among the declared ones", "ffff, expected", "it printed \"x\""],
        ),
    ];
    for (version, make, words) in table {
        let commit = setup.commit(version);
        make(&setup, &commit);
        let before = released(&setup);
        let said = setup.call(&[version, "--key", &setup.captain]);
        assert_eq!(said.code(), 1, "{version}: {}", said.transcript());
        for word in words {
            assert!(said.stdout.contains(word), "{version}: {word:?} is not in {}", said.transcript());
        }
        assert!(said.stdout.contains("to do: ") && said.stderr.contains("was not promoted"), "{}", said.transcript());
        assert_eq!(released(&setup), before, "{version}");
    }
    let unknown = setup.call(&["7.7"]);
    assert!(unknown.code() == 2 && unknown.stderr.contains("has no tag v7.7"), "{}", unknown.transcript());

    // A record that nobody would believe is not attached: the signer is not declared, or gpg has no such key.
    let commit = setup.commit("3.0");
    setup.sign_tag("v3.0", &setup.captain);
    setup.push(&Built::new("v3.0", "3.0", &commit));
    let before = released(&setup);
    for (key, code, words) in [(setup.mallory.as_str(), 7, "one of the declared keys"), ("nobody", 4, "cannot sign")] {
        let said = setup.call(&["3.0", "--key", key]);
        assert!(said.code() == code && said.stderr.contains(words), "{}", said.transcript());
        assert_eq!(released(&setup), before);
    }
}

#[test]
fn a_quorum_is_of_those_who_signed_the_tag_or_the_sums() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let setup = ReleaseProject::with(&server.host(), 2, true);
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    setup.push(&Built::new("v1.0", "1.0", &commit));
    let said = setup.call(&["1.0"]);
    assert!(
        said.code() == 1 && said.stdout.contains("by 1 of the declared people, expected 2"),
        "{}",
        said.transcript()
    );
    let built = setup.project.xtask(&["release", "build"]).run();
    assert_eq!(built.code(), 0, "{}", built.transcript());
    setup.sign_sums("1.0", &setup.captain);
    assert_eq!(setup.call(&["1.0"]).code(), 1, "the same key twice is one key");
    setup.sign_sums("1.0", &setup.mallory);
    let done = setup.ok(&["1.0", "--key", &setup.captain]);
    assert!(done.stdout.contains("proof      release.json "), "{}", done.stdout);
    assert_eq!(released(&setup).len(), 2);

    // What a tag itself declares makes nothing easier.
    let declaration = setup.project.path().join("packaging/release.yaml");
    let declared = std::fs::read_to_string(&declaration).unwrap();
    std::fs::write(&declaration, declared.replace("quorum: 2", "quorum: 1")).unwrap();
    let commit = setup.commit("2.0");
    setup.sign_tag("v2.0", &setup.captain);
    setup.push(&Built::new("v2.0", "2.0", &commit));
    std::fs::write(&declaration, declared).unwrap();
    setup.commit("after");
    let said = setup.call(&["2.0", "--key", &setup.captain]);
    assert!(
        said.code() == 1 && said.stdout.contains("by 1 of the declared people, expected 2"),
        "{}",
        said.transcript()
    );
    assert_eq!(released(&setup).len(), 2);
}

#[test]
fn what_this_machine_built_is_what_is_promoted_or_nothing_is() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let setup = ReleaseProject::new(&server.host());
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let built = Built::new("v1.0", "1.0", &commit);
    let top = setup.push(&built);
    let planned = setup.ok(&["1.0", "--dry-run"]);
    assert!(
        planned.stdout.contains("built      not on this machine; everyone with write access"),
        "{}",
        planned.stdout
    );
    // A build of another tag is not a build of this release.
    setup.git(&["tag", "v0.9"]);
    setup.build(&Built { tag: "v0.9", ..built }, &setup.push_to(&setup.nightly, &Built { seed: 70, ..built }));
    assert!(setup.ok(&["1.0", "--dry-run"]).stdout.contains("built      not on this machine"));
    setup.build(&built, &top);
    let planned = setup.ok(&["1.0", "--dry-run"]);
    assert!(planned.stdout.contains("built      also on this machine"), "{}", planned.stdout);

    // Somebody else's image has the tag now, with a record that says all that it should.
    let theirs = setup.push(&Built { seed: 77, ..built });
    let differs = || {
        let said = setup.call(&["1.0", "--key", &setup.captain]);
        assert_eq!(said.code(), 1, "{}", said.transcript());
        for words in
            ["two builds of mine at v1.0 are identical", &format!("built here {}", top.digest), "third machine"]
        {
            assert!(said.stdout.contains(words), "{words:?} is not in {}", said.transcript());
        }
    };
    differs();
    assert!(released(&setup).is_empty());
    // So it is where only the release repository has it.
    let in_release = setup.push_to(&setup.release, &Built { seed: 77, ..built });
    assert_eq!(in_release.digest, theirs.digest);
    set(&setup.registry, &setup.release, &theirs, &["v1.0"]);
    setup.registry.delete_manifest(&setup.nightly, &theirs.digest).unwrap();
    setup.registry.delete_manifest(&setup.nightly, &top.digest).unwrap();
    differs();
}

#[test]
fn killed_at_any_moment_it_goes_on_and_nothing_is_half_tagged() {
    if !need_tools(TOOLS) {
        return;
    }
    let Some(server) = Server::start() else { return };
    let proxy = Proxy::start(&server.host(), |_| Act::Pass);
    let setup = ReleaseProject::new(&proxy.host());
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let top = setup.push(&Built::new("v1.0", "1.0", &commit));
    let mut kills = 0;
    let mut killed_before_tag = false;
    loop {
        let (held, killed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let writes = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let (hold, wait) = (held.clone(), killed.clone());
        // It is killed when it is about to send its first write, its second, and so on; the write never arrives.
        proxy.script(move |request| {
            let is_write = !matches!(request.method.as_str(), "GET" | "HEAD");
            if !is_write || writes.fetch_add(1, Ordering::SeqCst) < kills {
                return Act::Pass;
            }
            hold.store(true, Ordering::SeqCst);
            wait_for(Duration::from_secs(30), || wait.load(Ordering::SeqCst).then_some(()));
            Act::Happen(Box::new(|| {}))
        });
        let mut child = setup.command(&["1.0", "--key", &setup.captain]).spawn().unwrap();
        let ended = wait_for(Duration::from_secs(60), || match child.try_wait().unwrap() {
            Some(status) => Some(Some(status)),
            None => held.load(Ordering::SeqCst).then_some(None),
        });
        if let Some(Some(status)) = ended {
            assert!(status.success(), "after {kills} kills");
            break;
        }
        assert!(ended.is_some(), "it hangs after {kills} kills");
        child.kill().unwrap();
        child.wait().unwrap();
        killed.store(true, Ordering::SeqCst);
        proxy.script(|_| Act::Pass);
        let now = released(&setup);
        let complete = is_whole(&setup, top.digest);
        killed_before_tag |= now.is_empty() && complete;
        let allowed: [&[&str]; 2] = [&[], &["v1.0"]];
        let names: Vec<&str> = now.iter().map(|(tag, _)| tag.as_str()).collect();
        assert!(allowed.contains(&names.as_slice()), "{names:?} after {kills} kills");
        if !names.is_empty() {
            let record = drydock_oci::promote::promotion_record::ARTIFACT_TYPE;
            let records = setup.registry.artifacts(&setup.release, &top.digest, record).unwrap();
            assert!(complete && records.len() == 1, "a tag is set on what is whole and recorded");
        }
        kills += 1;
        assert!(kills < 60, "it never ends");
    }
    assert!(killed_before_tag && kills > 5, "{kills}");
    assert_eq!(released(&setup), [("latest".to_owned(), top.digest), ("v1.0".to_owned(), top.digest)]);
    let record = drydock_oci::promote::promotion_record::ARTIFACT_TYPE;
    assert_eq!(setup.registry.artifacts(&setup.release, &top.digest, record).unwrap().len(), 1);
    assert!(setup.ok(&["1.0"]).stdout.contains("nothing to do"));
    println!("killed {kills} times");
}

#[test]
fn another_registry_has_a_promoted_image_too() {
    let Some(server) = zuul().filter(|_| need_tools(&TOOLS[..2])) else { return };
    let setup = ReleaseProject::at(&server);
    let commit = setup.commit("1.0");
    setup.sign_tag("v1.0", &setup.captain);
    let top = setup.push(&Built::new("v1.0", "1.0", &commit));
    setup.ok(&["1.0", "--key", &setup.captain]);
    let mut now = released(&setup);
    now.sort();
    assert_eq!(now, [("latest".to_owned(), top.digest), ("v1.0".to_owned(), top.digest)]);
    assert!(is_whole(&setup, top.digest));
    assert!(setup.ok(&["1.0"]).stdout.contains("nothing to do: already promoted"));
}
