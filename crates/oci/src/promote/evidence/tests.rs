//! Tests of every check of an image, with its message.

use std::path::Path;

use super::*;
use crate::build_record::{FORMAT, RecordError, SmokeTestResult};
use crate::model::{Descriptor, media};
use drydock_config::images::{Digest, Images};

const COMMIT: &str = "0123456789012345678901234567890123456789";
const DECLARED: &str = "\
repositories: {nightly: registry.example/n, release: registry.example/r}
images:
  mine:
    from: {dockerfile: Dockerfile}
    platforms: [linux/amd64, linux/arm64]
    smoke-test: {run: [mine, --version], expect: 'mine {version}'}
";

fn image() -> Image {
    Images::parse(DECLARED, Path::new("images.yaml")).unwrap().images.remove(0)
}

fn passed() -> Option<SmokeTestResult> {
    Some(SmokeTestResult { run: vec!["mine".into(), "--version".into()], printed: "mine 1.0".into() })
}

fn good() -> Candidate {
    let child = |platform: Platform| PlatformImage {
        platform: Some(platform.into()),
        digest: Digest::for_bytes(platform.to_string().as_bytes()),
        labels: Some(BTreeMap::from([(REVISION.into(), COMMIT.into()), (VERSION.into(), "1.0".into())])),
    };
    let platforms = vec![child(Platform::Amd64), child(Platform::Arm64)];
    let of = |image: &PlatformImage, smoke_test| PlatformRecord { digest: image.digest, base: None, smoke_test };
    let record = BuildRecord {
        format: FORMAT,
        image: "mine".into(),
        version: "1.0".into(),
        commit: COMMIT.into(),
        tag: Some(tag()),
        epoch: 1,
        digest: Digest::for_bytes(b"index"),
        platforms: BTreeMap::from([
            ("linux/amd64".into(), of(&platforms[0], passed())),
            ("linux/arm64".into(), of(&platforms[1], None)),
        ]),
        inputs: Vec::new(),
        without_proof: None,
        made_by: None,
    };
    Candidate { descriptor: Descriptor::for_bytes(media::INDEX, b"index"), platforms, records: vec![Ok(record)] }
}

fn tag() -> RecordTag {
    RecordTag { name: "v1.0".into(), object: "aa".into() }
}

fn checked(candidate: &Candidate, here: Platform) -> Result<Evidence, Vec<FailedCheck>> {
    let (image, version, tag) = (image(), "1.0".parse().unwrap(), tag());
    let wanted = ExpectedImage { image: &image, version: &version, commit: COMMIT, tag: &tag };
    check(wanted, candidate, Some(here))
}

#[test]
fn a_tested_build_of_the_tag_passes() {
    assert_eq!(checked(&good(), Platform::Amd64).unwrap().untested, ["linux/arm64"]);
    // Another machine built the same, and tried the rest.
    let mut twice = good();
    let mut other = twice.records[0].as_ref().unwrap().clone();
    other.platforms.get_mut("linux/amd64").unwrap().smoke_test = None;
    other.platforms.get_mut("linux/arm64").unwrap().smoke_test = passed();
    twice.records.push(Ok(other));
    assert!(checked(&twice, Platform::Arm64).unwrap().untested.is_empty());
    // What anyone else says about it changes nothing.
    twice.records.push(Err(RecordError::Empty));
    assert!(checked(&twice, Platform::Amd64).is_ok());
}

/// Changes one thing of what is fit, and looks for the only reason.
#[track_caller]
fn refused(change: impl Fn(&mut Candidate), here: Platform, words: &str) {
    let mut candidate = good();
    change(&mut candidate);
    let reasons = checked(&candidate, here).unwrap_err();
    let told: Vec<String> = reasons.iter().map(|reason| format!("{}: {}", reason.what, reason.found)).collect();
    assert!(told.len() == 1 && told[0].contains(words), "{told:?}");
}

/// The same of its record.
#[track_caller]
fn refused_record(change: impl Fn(&mut BuildRecord), words: &str) {
    refused(|candidate| candidate.records.iter_mut().flatten().for_each(&change), Platform::Amd64, words);
}

#[test]
fn each_check_fails_on_its_own() {
    refused(|one| one.records.clear(), Platform::Amd64, "a build record is attached: none is");
    refused(|one| one.records = vec![Err(RecordError::Empty)], Platform::Amd64, "can be read: the record is empty");
    refused_record(
        |record| record.version = "1.0-0.nightly20260701.1234.g0123456".into(),
        "built as this version: 1.0-0.nightly20260701.1234.g0123456 (a nightly version",
    );
    refused_record(|record| record.version = "0.9".into(), "built as this version: 0.9, expected 1.0");
    refused_record(|record| record.image = "other".into(), "built as this image: other, expected mine");
    refused_record(|record| record.commit = "0123".into(), "at the commit of the signed tag: 0123, expected 0123456");
    refused_record(|record| record.tag = None, "built at the signed tag: at no tag, expected v1.0 (aa)");
    refused_record(|record| record.tag = Some(RecordTag { object: "bb".into(), ..tag() }), "v1.0 (bb), expected");
    refused_record(|record| record.digest = Digest::for_bytes(b"other"), "the record is about this image: sha256:");
    refused_record(|record| drop(record.platforms.remove("linux/arm64")), "these platforms: linux/amd64, expected");
    refused_record(
        |record| record.platforms.get_mut("linux/arm64").unwrap().digest = Digest::for_bytes(b"x"),
        "about this image for linux/arm64: sha256:",
    );
    let test = |record: &mut BuildRecord, test| record.platforms.get_mut("linux/amd64").unwrap().smoke_test = test;
    refused_record(|record| test(record, None), "passed for linux/amd64: it was not run, and this machine could");
    let printed = SmokeTestResult { printed: "mine 0.9".into(), ..passed().unwrap() };
    refused_record(|record| test(record, Some(printed.clone())), "printed \"mine 0.9\", expected \"mine 1.0\"");
    let run = SmokeTestResult { run: vec!["true".into()], ..passed().unwrap() };
    refused_record(|record| test(record, Some(run.clone())), "[\"true\"] was run");
    let nothing = |one: &mut Candidate| one.records.iter_mut().flatten().for_each(|record| test(record, None));
    refused(nothing, Platform::Riscv64, "not run for any platform");
    let label = |key: &'static str, value: &'static str| {
        move |one: &mut Candidate| drop(one.platforms[1].labels.as_mut().unwrap().insert(key.into(), value.into()))
    };
    refused(label(REVISION, "ffff"), Platform::Amd64, "image.revision of linux/arm64: ffff, expected 0123456");
    refused(label(VERSION, "1.0-nightly"), Platform::Amd64, "image.version of linux/arm64: 1.0-nightly, expected 1.0");
    let none = |one: &mut Candidate| drop(one.platforms[0].labels.as_mut().unwrap().remove(REVISION));
    refused(none, Platform::Amd64, "image.revision of linux/amd64: none, expected");
    let mut fewer = good();
    fewer.platforms.pop();
    let reasons = checked(&fewer, Platform::Amd64).unwrap_err();
    assert!(reasons.iter().any(|one| one.what.contains("declared platforms") && one.found.starts_with("linux/amd64,")));
}
