//! Tags move last, one after the other, and only if they still have the expected target.

use std::sync::atomic::{AtomicBool, Ordering};

use drydock_config::images::Tag;
use drydock_oci::registry::{Credentials, Precondition, Reference, push, tag};
use tempfile::TempDir;

use super::proxy::{Act, Proxy};
use super::registry_server::{Server, client, image_in, is_wrong_content, recorded, repository};

fn name(text: &str) -> Tag {
    text.parse().unwrap()
}

#[test]
fn a_manifest_that_is_gone_or_changed_between_push_and_tag_is_not_tagged() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 31, 1000);
    let (registry, release) = (server.client(), server.repository("a"));
    push(&registry, &release, &layout, &top, &[]).unwrap();
    registry.delete_manifest(&release, &top.digest).unwrap();
    let wanted = [(name("v1"), Precondition::Absent), (name("latest"), Precondition::None)];
    let error = tag(&registry, &release, &top, &wanted).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("no tag is set, v1, latest is not set") && text.contains("does not exist"), "{text}");
    assert!(registry.tags(&release).unwrap().is_empty());

    // The registry gives other bytes under the digest.
    push(&registry, &release, &layout, &top, &[]).unwrap();
    let proxy = Proxy::start(&server.host(), |request| match request.target.contains("/manifests/sha256:") {
        true if request.method == "GET" => Act::Change(|content| [&content[..], b" "].concat()),
        _ => Act::Pass,
    });
    let lying = client(&proxy.host(), &Credentials::default());
    let error = tag(&lying, &repository(&proxy.host(), "a"), &top, &wanted).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("returned other content") && text.contains("no tag is set"), "{text}");
    assert!(is_wrong_content(&error));
    assert_eq!(proxy.count("PUT", ""), 0);
    assert!(registry.tags(&release).unwrap().is_empty());
    let error = push(&lying, &repository(&proxy.host(), "a"), &layout, &top, &[]).unwrap_err();
    assert!(is_wrong_content(&error), "{error:#}");
}

#[test]
fn tags_keep_to_what_is_expected_of_them() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (first_layout, first) = image_in(&directory, 32, 1000);
    let (second_layout, second) = image_in(&directory, 33, 1000);
    let (registry, release) = (server.client(), server.repository("a"));
    push(&registry, &release, &first_layout, &first, &[]).unwrap();
    push(&registry, &release, &second_layout, &second, &[]).unwrap();
    let at = |text: &str| registry.head(&release, &Reference::Tag(name(text))).unwrap().map(|found| found.digest);
    tag(&registry, &release, &first, &[(name("v1"), Precondition::Absent), (name("latest"), Precondition::Absent)])
        .unwrap();
    // Repeated, which changes nothing, whatever target was expected.
    tag(
        &registry,
        &release,
        &first,
        &[(name("v1"), Precondition::Absent), (name("latest"), Precondition::Matches(second.digest))],
    )
    .unwrap();

    // A release is never moved, and `latest` stays where it is with it.
    let error =
        tag(&registry, &release, &second, &[(name("latest"), Precondition::None), (name("v1"), Precondition::Absent)]);
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("no tag is set, latest, v1 is not set") && text.contains("is never moved"), "{text}");
    assert_eq!((at("v1"), at("latest")), (Some(first.digest), Some(first.digest)));

    let wrong = tag(&registry, &release, &second, &[(name("latest"), Precondition::Matches(second.digest))]);
    assert!(format!("{:#}", wrong.unwrap_err()).contains("who else moves it?"));
    tag(&registry, &release, &second, &[(name("latest"), Precondition::Matches(first.digest))]).unwrap();
    assert_eq!(at("latest"), Some(second.digest));
}

#[test]
fn a_tag_that_others_move_is_noticed_and_said() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (first_layout, first) = image_in(&directory, 34, 1000);
    let (second_layout, second) = image_in(&directory, 35, 1000);
    let (direct, release) = (server.client(), server.repository("a"));
    push(&direct, &release, &first_layout, &first, &[]).unwrap();
    push(&direct, &release, &second_layout, &second, &[]).unwrap();

    // As soon as `nightly` is set, another one sets it to the second image.
    let (moved, other, there, reference) =
        (AtomicBool::new(false), direct.clone(), release.clone(), Reference::Tag(name("nightly")));
    let bytes = second_layout.read(&second).unwrap();
    let media_type = second.media_type.clone();
    let proxy = Proxy::start(&server.host(), move |request| {
        let read = request.method == "GET" && request.target.ends_with("/manifests/nightly");
        if read && !moved.swap(true, Ordering::SeqCst) {
            other.put_manifest(&there, &reference, &media_type, &bytes).unwrap();
        }
        Act::Pass
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let wanted = [
        (name("nightly-20261125"), Precondition::None),
        (name("nightly"), Precondition::None),
        (name("sha-1"), Precondition::None),
    ];
    let error = tag(&registry, &repository(&proxy.host(), "a"), &first, &wanted).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("nightly-20261125 is set, nightly, sha-1 is not set"), "{text}");
    assert!(text.contains("who else moves it?") && text.contains(&second.digest.to_string()), "{text}");
    let names: Vec<String> = direct.tags(&release).unwrap().iter().map(Tag::to_string).collect();
    assert_eq!(names, ["nightly", "nightly-20261125"]);

    // Expected where it was, it is left alone.
    let expected = [(name("nightly"), Precondition::Matches(first.digest))];
    let (third_layout, third) = image_in(&directory, 36, 1000);
    push(&direct, &release, &third_layout, &third, &[]).unwrap();
    let text = format!("{:#}", tag(&direct, &release, &third, &expected).unwrap_err());
    assert!(text.contains("is now") && text.contains("no tag is set"), "{text}");

    // The registry breaks in between: what is set is said, and doing it again sets the rest.
    let proxy = Proxy::start(&server.host(), |request| {
        let third = request.method == "PUT" && request.target.ends_with("/manifests/three");
        if third { Act::Response(502, vec![], Vec::new()) } else { Act::Pass }
    });
    let wanted = ["one", "two", "three"].map(|text| (name(text), Precondition::Absent));
    let (registry, _clock) = recorded(&proxy.host());
    let text = format!("{:#}", tag(&registry, &repository(&proxy.host(), "a"), &first, &wanted).unwrap_err());
    assert!(text.contains("one, two is set, three is not set") && text.contains("502 Bad Gateway"), "{text}");
    tag(&direct, &release, &first, &wanted).unwrap();
    assert_eq!(direct.head(&release, &Reference::Tag(name("three"))).unwrap().unwrap().digest, first.digest);
}

/// The answer to a tag that is set may be lost; it is read before it is set again.
#[test]
fn a_tag_is_not_set_again_over_what_somebody_else_set() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (first_layout, first) = image_in(&directory, 37, 1000);
    let (second_layout, second) = image_in(&directory, 38, 1000);
    let (direct, release) = (server.client(), server.repository("a"));
    push(&direct, &release, &first_layout, &first, &[]).unwrap();
    push(&direct, &release, &second_layout, &second, &[]).unwrap();
    let at = |text: &str| direct.head(&release, &Reference::Tag(name(text))).unwrap().map(|found| found.digest);
    let bytes = second_layout.read(&second).unwrap();
    let (other, there, media_type) = (direct.clone(), release.clone(), second.media_type.clone());
    let proxy = Proxy::start(&server.host(), move |request| {
        let (other, there, media_type) = (other.clone(), there.clone(), media_type.clone());
        let (set, bytes) = (request.method == "PUT", bytes.clone());
        match request.target.rsplit('/').next() {
            // Somebody else is faster, and ours is never heard.
            Some("theirs") if set => Act::Happen(Box::new(move || {
                let reference = Reference::Tag(name("theirs"));
                other.put_manifest(&there, &reference, &media_type, &bytes).unwrap();
            })),
            // Ours is heard, its answer is lost.
            Some("ours") if set => Act::CutAnswer(0),
            _ => Act::Pass,
        }
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let repository = repository(&proxy.host(), "a");
    let wanted = [(name("ours"), Precondition::None), (name("theirs"), Precondition::None)];
    let text = format!("{:#}", tag(&registry, &repository, &first, &wanted).unwrap_err());
    assert!(text.contains("ours is set, theirs is not set") && text.contains("who else moves it?"), "{text}");
    assert!(text.contains("no response") && text.contains(&second.digest.to_string()), "{text}");
    assert_eq!((at("ours"), at("theirs")), (Some(first.digest), Some(second.digest)));
    let (ours, theirs) = (proxy.count("PUT", "/ours"), proxy.count("PUT", "/theirs"));
    assert_eq!((ours, theirs), (1, 1), "what is set, by whom ever, is not set again");

    // Its reading fails, but it is set: so it is said.
    let proxy = Proxy::start(&server.host(), |request| match request.method.as_str() {
        "GET" if request.target.ends_with("/manifests/read") => Act::Response(403, vec![], Vec::new()),
        _ => Act::Pass,
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let repository = super::registry_server::repository(&proxy.host(), "a");
    let wanted = [(name("read"), Precondition::None), (name("later"), Precondition::None)];
    let text = format!("{:#}", tag(&registry, &repository, &first, &wanted).unwrap_err());
    assert!(text.contains("read is set, later is not set") && text.contains("403"), "{text}");
    assert_eq!((at("read"), at("later")), (Some(first.digest), None));
    proxy.script(|request| match (request.method.as_str(), request.target.ends_with("/manifests/dark")) {
        ("PUT", true) => Act::Response(403, vec![], Vec::new()),
        // But for the one before all.
        ("HEAD", true) if request.before > 3 => Act::Response(403, vec![], Vec::new()),
        _ => Act::Pass,
    });
    let heads = proxy.count("HEAD", "");
    assert_eq!(heads, 3, "each tag before all, the first not again before it is set, but after its failure");
    let text = format!("{:#}", tag(&registry, &repository, &first, &[(name("dark"), Precondition::None)]).unwrap_err());
    assert!(text.contains("it is unknown whether dark is set"), "{text}");
}
