//! Nightlies that succeed: published, skipped, published again, and the build of a release.

use std::fs;
use std::process::Command;

use drydock_oci::build_record::BuildRecord;
use drydock_oci::model::ParsedManifest;
use drydock_oci::registry::Reference;

use super::project::{Nightly, step};
use crate::docker::other_registries::zuul;
use crate::release::fixture::run;
use crate::support::unproved;

#[test]
fn a_nightly_is_published_once_and_moves_with_the_next_commit() {
    let Some(mut nightly) = Nightly::new() else { return };
    let first_commit = nightly.git(&["rev-parse", "HEAD"]);
    let version = nightly.version();
    assert_eq!(version, format!("1.1-0.nightly20260601.2.g{}", &first_commit[..7]));

    // The first nightly has all tags, and its build record and sources.
    assert!(nightly.tags().is_empty());
    let first = nightly.publish(&[]);
    assert_eq!(first["result"], "published");
    let tags = nightly.tags();
    let names: Vec<&str> = tags.keys().map(String::as_str).collect();
    let sha = format!("sha-{}", &first_commit[..12]);
    assert_eq!(names, ["nightly", "nightly-20260601", &sha]);
    let digest = tags["nightly"];
    assert!(tags.values().all(|one| *one == digest), "{tags:?}");
    assert_eq!(first["images"]["p"]["digest"], digest.to_string());
    check_sources(&nightly, &version);

    // A second call does nothing, nor does one for a commit without changes, even on another machine.
    let again = nightly.call(&[]);
    assert!(again.code() == 0 && again.stdout.starts_with("skipped 1.1-0.nightly"), "{}", again.transcript());
    nightly.commit("nothing");
    nightly.program(None);
    fs::remove_dir_all(nightly.state()).unwrap();
    let empty = nightly.publish(&[]);
    assert_eq!((&empty["result"], nightly.tags() == tags), (&serde_json::json!("skipped"), true), "{empty}");
    assert!(!nightly.state().join("dist").exists(), "a skipped nightly builds nothing");

    // A new commit whose clock is wrong has the same date, and takes that date's tag.
    nightly.days(-3);
    nightly.change("three");
    let newer = nightly.version();
    assert!(newer.starts_with("1.1-0.nightly20260601.4.g"), "{newer}");
    assert_eq!(nightly.publish(&[])["result"], "published");
    let third = nightly.tags();
    assert_ne!(third["nightly"], digest);
    assert_eq!(third["nightly-20260601"], third["nightly"]);
    assert!(!third.contains_key(&sha), "only the newest of a day is kept: {third:?}");

    // A commit of another day: the last nightly keeps its other tags.
    nightly.days(4);
    nightly.change("four");
    assert_eq!(nightly.publish(&[])["result"], "published");
    let moved = nightly.tags();
    assert_ne!(moved["nightly"], third["nightly"]);
    assert_eq!((moved["nightly-20260602"], moved["nightly-20260601"]), (moved["nightly"], third["nightly"]));
    assert_eq!(moved.len(), 5, "{moved:?}");

    // An older commit is refused.
    let older = nightly.call(&["--commit", &first_commit]);
    assert!(older.code() == 8 && older.stderr.contains("which is above"), "{}", older.transcript());
    assert_eq!(nightly.tags(), moved);
    let older_commit = ["--commit", &first_commit, "--nightly", &version];
    let built = nightly.xtask(&[&["docker", "build"], &older_commit[..]].concat());
    assert_eq!(built.code(), 0, "{}", built.transcript());
    // Its archives are not there any more, and `docker build` proves nothing.
    let unproved = nightly.xtask(&[&["docker", "nightly"], &older_commit[..]].concat());
    let words = "not published: ";
    assert!(unproved.code() == 7 && unproved.stderr.contains(words), "{}", unproved.transcript());
    assert_eq!(nightly.tags(), moved);
    let reason = ["--without-proof", "an older commit"];
    let pushed = nightly.xtask(&[&["docker", "nightly"], &older_commit[..], &reason].concat());
    assert!(pushed.code() == 0 && pushed.stderr.contains("nightly stays at 1.1-0.nightly"), "{}", pushed.transcript());
    let mut with_it = moved.clone();
    with_it.insert(sha, digest);
    assert_eq!(nightly.tags(), with_it, "only the commit is tagged");
    let (registry, repository) = (nightly.server.client(), nightly.server.repository("p/nightly"));
    let records = registry.artifacts(&repository, &digest, "application/vnd.drydock.build.v1+json").unwrap();
    let reasons: Vec<Option<String>> = records
        .iter()
        .map(|files| BuildRecord::parse(std::str::from_utf8(&files[0]).unwrap()).unwrap().without_proof)
        .collect();
    assert!(reasons.contains(&Some("an older commit".to_owned())), "the reason is published: {reasons:?}");
}

/// Checks that the sources of a nightly are found through its image, and are complete.
#[track_caller]
fn check_sources(nightly: &Nightly, version: &str) {
    let (registry, repository) = (nightly.server.client(), nightly.server.repository("p/nightly"));
    let digest = nightly.tags()["nightly"];
    let referrers = registry.referrers(&repository, &digest).unwrap();
    let of_type = |wanted: &str| referrers.iter().find(|one| one.artifact_type.as_deref() == Some(wanted));
    assert!(of_type("application/vnd.drydock.build.v1+json").is_some(), "{referrers:?}");
    let sources = of_type("application/vnd.drydock.sources.v1").expect("the image has no sources");
    let fetched = registry.manifest(&repository, &Reference::Digest(sources.digest)).unwrap().unwrap();
    let ParsedManifest::Manifest(manifest) = fetched.parse().unwrap() else { panic!("not an artifact") };
    let directory = tempfile::tempdir().unwrap();
    let layout = drydock_oci::layout::Layout::create(&directory.path().join("oci")).unwrap();
    let release = directory.path().join("release");
    fs::create_dir(&release).unwrap();
    for layer in &manifest.layers {
        registry.download(&repository, layer, &layout).unwrap();
        fs::copy(layout.path(&layer.digest), release.join(&layer.annotations["org.opencontainers.image.title"]))
            .unwrap();
    }
    assert!(release.join("proof.json").is_file() && release.join(format!("p-{version}.tar.xz")).is_file());
    // They are verified, and rebuilt from the commit that they name.
    let verified = nightly.xtask(&["release", "verify", "--rebuild", "--integrity-only", release.to_str().unwrap()]);
    assert_eq!(verified.code(), 0, "{}", verified.transcript());
    let content = Command::new("tar")
        .args(["-xOf", &format!("p-{version}.tar.xz"), &format!("p-{version}/VERSION")])
        .current_dir(&release)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&content.stdout), format!("{version}\n"));
}

#[test]
fn a_proved_build_is_published_later_without_rebuilding() {
    let Some(nightly) = Nightly::new() else { return };
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("summary.md");
    let nightly = nightly.env("GITHUB_STEP_SUMMARY", page.to_str().unwrap());
    let built = nightly.publish(&["--no-publish"]);
    assert_eq!((&built["result"], step(&built, "images"), step(&built, "push")), (&"built".into(), "done", ""));
    assert!(nightly.tags().is_empty());
    let plan = nightly.call(&["--dry-run"]);
    assert!(plan.stdout.contains("(done: 2 archives") && plan.stdout.contains("nightly-20260601"), "{}", plan.stdout);
    let push = ["docker", "nightly", "--nightly", &nightly.version()];
    let dist = nightly.state().join("dist").join(nightly.version());
    let ways = unproved::each_way(&dist, |name, words| {
        let refused = nightly.xtask(&push);
        let said = refused.transcript();
        assert!(refused.code() == 7 && said.contains("not published: ") && said.contains(words), "{name}: {said}");
        // The nightly itself proves again what has no proof of exactly its files.
        let plan = nightly.call(&["--dry-run"]).stdout;
        let step = plan.lines().find(|line| line.contains("sources-proof"));
        assert!(step.is_some_and(|step| !step.contains("(done")), "{name}: {plan}");
    });
    assert!(ways >= 16 && nightly.tags().is_empty());
    let published = nightly.publish(&[]);
    let did = |word| step(&published, word);
    assert_eq!(
        [did("sources"), did("sources-proof"), did("images"), did("push"), did("tags")],
        ["reused", "reused", "reused", "done", "done"]
    );
    assert_eq!(nightly.tags().len(), 3);
    let page = fs::read_to_string(page).unwrap();
    assert!(page.starts_with("## Nightly 1.1-0.nightly") && page.matches("## Nightly").count() == 2, "{page}");
    // `docker nightly` changes nothing afterwards.
    let version = nightly.version();
    let tags = nightly.tags();
    let alone = nightly.xtask(&["docker", "nightly", "--nightly", &version]);
    assert!(alone.code() == 0 && nightly.tags() == tags, "{}", alone.transcript());

    // An image of another declaration, which may be outside the commit, is not reused.
    let config = tempfile::tempdir().unwrap();
    for file in ["packaging/release.yaml", "docker/images.yaml"] {
        let to = config.path().join(file);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(nightly.path().join(file), to).unwrap();
    }
    let with = ["--config", config.path().to_str().unwrap(), "nightly", "--no-publish", "--force", "--format", "json"];
    let images = |expected: &str| {
        let finished = nightly.xtask(&with);
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        assert_eq!(step(&serde_json::from_str(&finished.stdout).unwrap(), "images"), expected);
    };
    images("reused");
    let file = config.path().join("docker/images.yaml");
    let declared = fs::read_to_string(&file).unwrap();
    fs::write(&file, declared.replace("entrypoint: [/bin/p]", "entrypoint: [/bin/sh]")).unwrap();
    images("done");
    images("reused");
    fs::write(&file, declared).unwrap();
    let alone = nightly.xtask(&["docker", "nightly", "--nightly", &version]);
    assert!(alone.code() == 1 && alone.stderr.contains("from another docker/images.yaml"), "{}", alone.transcript());

    // A changed archive is rebuilt.
    let archive = nightly.state().join(format!("dist/{version}/p-{version}.tar.gz"));
    fs::write(&archive, "other").unwrap();
    let forced = nightly.publish(&["--force"]);
    assert_eq!((step(&forced, "sources"), step(&forced, "images")), ("done", "done"));
    assert_eq!(nightly.tags(), tags, "the same commit gives the same image");
}

#[test]
fn packages_are_rebuilt_when_the_debian_directory_changes() {
    if !crate::deb::fixture::has_tools(&[("dh_clean", "debhelper")]) {
        return;
    }
    let Some(mut nightly) = Nightly::new() else { return };
    nightly.packages("{target: queue, method: local, incoming: /nowhere}");
    nightly.change("three");
    let config = tempfile::tempdir().unwrap();
    for directory in ["packaging", "docker"] {
        let (from, to) = (nightly.path().join(directory), config.path().join(directory));
        run(config.path(), "cp", &["-r", from.to_str().unwrap(), to.to_str().unwrap()]);
    }
    let steps = || {
        let with = ["--config", config.path().to_str().unwrap(), "nightly", "--no-publish", "--format", "json"];
        let finished = nightly.xtask(&with);
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        let record: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        ["sources", "packages", "packages-check", "images"].map(|name| step(&record, name).to_owned())
    };
    assert_eq!(steps(), ["done", "done", "done", "done"]);
    // The check always runs, but does not cause a rebuild of the images.
    assert_eq!(steps(), ["reused", "reused", "done", "reused"]);
    let rules = config.path().join("packaging/debian/rules");
    fs::write(rules, "#!/usr/bin/make -f\n# A change.\n%:\n\tdh $@\n").unwrap();
    assert_eq!(steps(), ["reused", "done", "done", "done"]);
    assert_eq!(steps(), ["reused", "reused", "done", "reused"]);
}

#[test]
fn a_tagged_commit_is_built_as_a_release() {
    let Some(nightly) = Nightly::new() else { return };
    nightly.publish(&[]);
    let before = nightly.tags()["nightly"];
    nightly.write("VERSION", "1.1\n");
    nightly.commit("Release 1.1");
    nightly.git(&["tag", "-a", "-m", "1.1", "v1.1"]);
    nightly.program(None);
    assert_eq!(nightly.version(), "1.1");
    let record = nightly.publish(&[]);
    assert_eq!((&record["result"], &record["tag"]), (&"published".into(), &"v1.1".into()));
    assert_ne!(nightly.tags()["nightly"], before);
    // The next commit needs another next version.
    nightly.commit("after");
    let stale = nightly.call(&[]);
    assert!(
        stale.code() == 3 && stale.stderr.contains("1.1 is not above 1.1, which is released"),
        "{}",
        stale.transcript()
    );
    assert!(nightly.call(&["--dry-run", "--next", "1.2"]).stdout.contains("nightly 1.2-0.nightly20260601.4.g"));
    // Where nothing declares it, it is the one after the last release, as the check of that release says.
    let release = fs::read_to_string(nightly.path().join("packaging/release.yaml")).unwrap();
    let undeclared: Vec<&str> =
        release.lines().filter(|line| !line.starts_with("nightly:") && !line.starts_with("version:")).collect();
    nightly.write("packaging/release.yaml", &format!("{}\nversion: {{}}\n", undeclared.join("\n")));
    nightly.commit("Declare no version");
    let planned = nightly.call(&["--dry-run"]);
    assert!(planned.stdout.contains("nightly 1.2-0.nightly20260601.5.g"), "{}", planned.transcript());
}

/// Whoever declares no place to publish is not told that something was published.
#[test]
fn without_a_place_it_is_built_and_proved_and_nothing_is_published() {
    let Some(nightly) = Nightly::new() else { return };
    fs::remove_dir_all(nightly.path().join("docker")).unwrap();
    nightly.commit("no images");
    let first = nightly.publish(&[]);
    assert_eq!((&first["result"], step(&first, "sources-proof")), (&"proved".into(), "done"));
    assert!(first["steps"].as_array().unwrap().iter().all(|step| step["step"] != "push" && step["step"] != "upload"));
    // Every later call says it again.
    for _ in 0..2 {
        let next = nightly.publish(&[]);
        assert_eq!((&next["result"], &next["unpublished"]), (&"skipped".into(), &true.into()));
        assert!(next["reason"].as_str().unwrap().ends_with(" was built and proved before"), "{next}");
    }
    let forced = nightly.call(&["--force"]);
    let text = forced.transcript();
    assert!(forced.code() == 0 && text.contains("\nbuilt and proved 1.1-0.nightly"), "{text}");
    assert!(
        text.contains("nothing was published, because no place is declared") && !text.contains("\npublished"),
        "{text}"
    );
}

#[test]
fn another_registry_gets_a_nightly_of_a_base_that_is_there() {
    let Some(nightly) = zuul().and_then(Nightly::at) else { return };
    let version = nightly.version();
    assert_eq!(nightly.publish(&[])["result"], "published");
    let tags = nightly.tags();
    assert!(tags.contains_key("nightly") && tags.len() == 3, "{tags:?}");
    check_sources(&nightly, &version);
    let again = nightly.call(&[]);
    assert!(again.code() == 0 && again.stdout.starts_with("skipped"), "{}", again.transcript());
    let pruned = nightly.xtask(&["docker", "prune", "--apply"]);
    assert!(pruned.code() == 0 && pruned.stdout.contains(", 0 removed"), "{}", pruned.transcript());
}
