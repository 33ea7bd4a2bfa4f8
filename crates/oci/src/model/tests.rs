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
fn null_is_an_empty_list_as_go_writes_it() {
    let digest = Digest::for_bytes(b"{}");
    let config = format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2,"annotations":null}}"#, media::EMPTY);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":null,"annotations":null}}"#);
    let read = ParsedManifest::read(media::MANIFEST, manifest.as_bytes()).unwrap();
    assert_eq!(read.subject(), None);
    let index = r#"{"schemaVersion":2,"manifests":null,"annotations":null,"subject":null}"#;
    let ParsedManifest::Index(read) = ParsedManifest::read(media::INDEX, index.as_bytes()).unwrap() else { panic!() };
    assert!(read.manifests.is_empty());
    refused(media::INDEX, r#"{"schemaVersion":2}"#, "missing field `manifests`");
    let rootfs: RootFs = serde_json::from_str(r#"{"type":"layers","diff_ids":null}"#).unwrap();
    assert!(rootfs.diff_ids.is_empty());
}

fn platform(os: &str, architecture: &str, variant: &str) -> PlatformObject {
    let variant = Some(variant.to_owned()).filter(|variant| !variant.is_empty());
    PlatformObject { architecture: architecture.into(), os: os.into(), variant }
}

#[test]
fn platforms_have_several_spellings() {
    for (os, architecture, variant, expected) in [
        ("linux", "amd64", "", Some(Platform::Amd64)),
        ("linux", "amd64", "v1", Some(Platform::Amd64)),
        ("linux", "x86_64", "", Some(Platform::Amd64)),
        ("Linux", "x86-64", "V1", Some(Platform::Amd64)),
        // Programs of these do not run on every machine.
        ("linux", "amd64", "v3", None),
        ("linux", "arm64", "", Some(Platform::Arm64)),
        ("linux", "arm64", "v8", Some(Platform::Arm64)),
        ("linux", "aarch64", "8", Some(Platform::Arm64)),
        ("linux", "arm64", "v9", None),
        ("linux", "arm", "", Some(Platform::ArmV7)),
        ("linux", "arm", "7", Some(Platform::ArmV7)),
        ("linux", "arm", "v7", Some(Platform::ArmV7)),
        ("linux", "armhf", "", Some(Platform::ArmV7)),
        ("linux", "arm", "v6", None),
        ("linux", "arm", "v8", None),
        ("linux", "armel", "", None),
        ("linux", "riscv64", "", Some(Platform::Riscv64)),
        ("linux", "386", "", None),
        ("windows", "amd64", "", None),
        ("unknown", "unknown", "", None),
        ("", "amd64", "", None),
    ] {
        let object = platform(os, architecture, variant);
        let found: Vec<Platform> = Platform::ALL.into_iter().filter(|one| object.is(*one)).collect();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{object}");
    }
}

#[test]
fn an_index_lists_an_image_with_or_without_its_platform() {
    let mut number = 0;
    let mut child = |platform: Option<PlatformObject>| {
        number += 1;
        Descriptor { platform, ..Descriptor::for_bytes(media::MANIFEST, &[number]) }
    };
    let (bare, other) = (child(None), child(Some(platform("linux", "arm64", "v8"))));
    let mut attestation = child(None);
    attestation.annotations.insert("vnd.docker.reference.type".into(), "attestation-manifest".into());
    let artifact = Descriptor { artifact_type: Some("a/b".into()), ..child(None) };
    let index = Index::new(vec![attestation, artifact, bare.clone(), other.clone()]);
    assert_eq!(index.candidates(Platform::Arm64), [&other]);
    assert_eq!(index.candidates(Platform::Amd64), [&bare]);
    assert_eq!(index.platforms(), "linux/arm64/v8");
}
