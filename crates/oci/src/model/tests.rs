//! Manifests, platforms and types of layers.

use super::*;

#[track_caller]
fn refused(media_type: &str, text: &str, words: &str) {
    let found = ParsedManifest::read(media_type, text.as_bytes()).unwrap_err().to_string();
    assert!(found.contains(words), "{found}");
}

#[test]
fn manifests_are_read_strictly() {
    let digest = Digest::for_bytes(b"{}");
    let config = format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2}}"#, media::EMPTY);
    let good = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"novelty":1}}"#);
    assert!(matches!(ParsedManifest::read(media::MANIFEST, good.as_bytes()), Ok(ParsedManifest::Manifest(_))));
    refused(media::MANIFEST, "{", "cannot parse");
    refused(media::MANIFEST, r#"{"schemaVersion":2}"#, "missing field `config`");
    refused(media::MANIFEST, &good.replace("\"layers\"", "\"manifests\":[],\"layers\""), "of an image and of an index");
    refused(media::INDEX, &good, "of an image and of an index");
    refused(media::MANIFEST, &good.replace(":2,\"config\"", ":1,\"config\""), "schema version 1");
    refused(
        media::MANIFEST,
        &good.replace("\"config\"", "\"mediaType\":\"x/y\",\"config\""),
        "declares the media type x/y",
    );
    refused(media::MANIFEST, &good.replace("sha256:", "sha257:"), "is not a digest");
    refused("application/vnd.docker.distribution.manifest.v1+prettyjws", &good, "docker's schema 1");
    refused("application/json", &good, "unsupported media type");
}

#[test]
fn sixty_four_bit_arm_has_one_variant() {
    let one = |variant: Option<&str>| PlatformObject {
        architecture: "arm64".into(),
        os: "linux".into(),
        variant: variant.map(str::to_owned),
    };
    assert!(one(Some("v8")).is(Platform::Arm64) && one(None).is(Platform::Arm64));
    assert!(!one(Some("v9")).is(Platform::Arm64) && !one(None).is(Platform::Amd64));
}
