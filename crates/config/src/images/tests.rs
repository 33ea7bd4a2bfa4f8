//! What `docker/images.yaml` accepts, and what it says of what it does not.

use std::path::Path;

use super::*;

const GOOD: &str = "\
repositories: {nightly: registry.example/lantern/nightly, release: registry.example/lantern/lanternd}
images:
  lanternd:
    base: {image: 'debian:bookworm-slim', digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}
    from: {debs: [lanternd]}
    platforms: [linux/amd64, linux/arm64]
    entrypoint: [lanternd]
    labels: {org.opencontainers.image.vendor: The authors}
    smoke-test: {run: [lanternd, --version], expect: 'lanternd {version}'}
    retention: {daily: 14, weekly: 8, keep: ['keep-*']}
";

fn parse(text: &str) -> Result<Images, Diagnostics> {
    Images::parse(text, Path::new("docker/images.yaml"))
}

#[test]
fn the_example_is_read_with_its_defaults() {
    let images = parse(GOOD).unwrap();
    let image = &images.images[0];
    let Some(Base::Image { repository, tag, .. }) = &image.base else { panic!("{image:?}") };
    assert_eq!(repository.to_string(), "docker.io/library/debian");
    assert_eq!(tag.as_ref().map(Tag::as_str), Some("bookworm-slim"));
    assert_eq!(image.platforms, [Platform::Amd64, Platform::Arm64]);
    assert_eq!(image.smoke_test.expect.render(&"1.0".parse().unwrap()), "lanternd 1.0");
    assert_eq!((image.retention.daily, image.retention.weekly), (14, 8));
    assert_eq!((image.smoke_test.timeout, image.smoke_test.processes), (Duration::from_secs(60), 1024));
}

/// Replaces a part of the good file, and looks for words in the one problem that it makes.
#[track_caller]
fn refused(part: &str, with: &str, place: &str, words: &str) {
    assert!(GOOD.contains(part), "{part}");
    let found = parse(&GOOD.replace(part, with)).unwrap_err().to_string();
    assert!(found.contains(&format!("docker/images.yaml:{place}:")) && found.contains(words), "{found}");
    assert_eq!(found.matches("docker/images.yaml:").count(), 1, "{found}");
}

#[test]
fn nightlies_cannot_be_declared_into_a_release_repository() {
    refused(
        "lantern/nightly",
        "lantern/lanternd",
        "1:69",
        "is used for the nightly images of lanternd and for the release",
    );
    let twice = GOOD.replace(
        "images:\n",
        "images:\n  other:\n    from: {dockerfile: docker/Dockerfile}\n    smoke-test: {run: [x]}\n",
    );
    let found = parse(&twice).unwrap_err().to_string();
    assert!(found.contains("give each its own repository"), "{found}");
    // Written differently, the same repository.
    let hub = GOOD
        .replace("registry.example/lantern/nightly", "lantern/x")
        .replace("registry.example/lantern/lanternd", "docker.io/lantern/x");
    assert!(parse(&hub).unwrap_err().to_string().contains("docker.io/lantern/x is used for"));
}

#[test]
fn problems_are_reported_at_their_place() {
    refused("{debs: [lanternd]}", "{debs: []}", "5:11", "`debs` is empty");
    refused("{debs: [lanternd]}", "{debs: [lanternd], archive: a.tar}", "5:11", "needs exactly one source");
    refused("{debs: [lanternd]}", "{archive: ../a.tar}", "5:21", "");
    refused("{debs: [lanternd]}", "{dockerfile: docker/Dockerfile, skip-scripts: true}", "5:11", "skip-scripts");
    refused("{debs: [lanternd]}", "{debs: [Lanternd]}", "5:19", "the name of a Debian package");
    refused("[linux/amd64, linux/arm64]", "[linux/amd64, linux/amd64]", "6:30", "listed twice");
    refused("[linux/amd64, linux/arm64]", "[windows/amd64]", "6:17", "is not a platform");
    refused("'lanternd {version}'", "'lanternd'", "9:54", "does not contain `{version}`");
    refused("[lanternd, --version]", "[]", "9:23", "no program");
    for number in ["15", "65537", "-1"] {
        let words = format!("{number}` is out of range");
        refused("[lanternd, --version]", &format!("[lanternd], processes: {number}"), "9:46", &words);
    }
    refused("org.opencontainers.image.vendor", "org.opencontainers.image.revision", "8:14", "is set by Drydock");
    refused("'keep-*'", "'keep-['", "10:46", "the pattern is not valid");
    refused("'debian:bookworm-slim'", "'Debian:bookworm-slim'", "4:19", "is not a repository");
    refused(
        ", digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
        "",
        "4:19",
        "no `digest`",
    );
    let suite = "suite: bookworm, snapshot: 20261101T000000Z";
    refused("image: 'debian:bookworm-slim'", suite, "4:65", "applies only to an `image`");
}

#[test]
fn a_suite_needs_a_snapshot() {
    let base = "{image: 'debian:bookworm-slim', digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}";
    let images = parse(
        &GOOD.replace(base, "{suite: bookworm, snapshot: 20261101T000000Z, packages: [zlib1g, ca-certificates]}"),
    );
    let Some(Base::Suite { mirror, packages, .. }) = images.unwrap().images[0].base.clone() else { panic!() };
    assert_eq!(mirror, "https://snapshot.debian.org/archive/debian/20261101T000000Z");
    assert_eq!(packages, ["ca-certificates", "zlib1g"]);
    refused(base, "{suite: bookworm}", "4:19", "no `snapshot`");
    refused(base, "{suite: bookworm, snapshot: 20261301T000000Z}", "4:39", "a timestamp such as");
    refused(base, "{suite: bookworm, snapshot: 20261101T000000Z, mirror: 'ftp://x'}", "4:65", "the URL of an archive");
    let suite = "suite: bookworm, snapshot: 20261101T000000Z";
    refused(base, &format!("{{{suite}, mirror: 'http://deb.debian.org/debian'}}"), "4:65", "with `{snapshot}` in it");
    for mirror in ["https://mirror.example/{snapshot}", "file:///srv/debian"] {
        parse(&GOOD.replace(base, &format!("{{{suite}, mirror: '{mirror}'}}"))).unwrap();
    }
}
