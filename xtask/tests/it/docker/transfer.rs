//! Push, pull, copy, attach and delete against a real registry; skopeo is the second opinion.

use std::slice;

use drydock_config::images::{Platform, Repository, Tag};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ParsedManifest};
use drydock_oci::registry::{
    Attachment, Credentials, Precondition, Reference, Registry, attach, copy, fallback_tag, pull, push, tag,
};
use tempfile::TempDir;

use super::proxy::{Act, Proxy};
use super::registry_server::{Server, client, image, image_in, repository, skopeo_digest, skopeo_pull};
use super::test_images::ImageFactory;
use crate::support::need_tool;

const TWO: [Platform; 2] = [Platform::Amd64, Platform::Arm64];

fn tags(names: &[&str]) -> Vec<(Tag, Precondition)> {
    names.iter().map(|name| (name.parse().unwrap(), Precondition::None)).collect()
}

#[test]
fn what_is_pushed_is_read_by_skopeo_and_pulled_again() {
    let Some(server) = Server::start() else { return };
    if !need_tool("skopeo", "skopeo") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let layout = Layout::create(&directory.path().join("oci")).unwrap();
    let top = image(&layout, 1, 3 << 20, &TWO);
    let (registry, repository) = (server.client(), server.repository("lantern/nightly"));
    assert_eq!(registry.manifest(&repository, &Reference::Digest(top.digest)).unwrap(), None);
    assert_eq!(registry.head(&repository, &Reference::Digest(top.digest)).unwrap(), None);
    assert_eq!(registry.tags(&repository).unwrap(), []);

    let pushed = push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert_eq!((pushed.manifests, pushed.uploaded, pushed.present, pushed.mounted), (3, 5, 0, 0));
    assert!(pushed.bytes > 3 << 20 && pushed.bytes < (3 << 20) + 20_000, "{pushed:?}");
    assert_eq!(registry.tags(&repository).unwrap(), [], "a push tags nothing");
    let again = push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert_eq!((again.uploaded, again.present, again.bytes), (0, 5, 0));
    let elsewhere = server.repository("lantern/mounted");
    let mounted = push(&registry, &elsewhere, &layout, &top, slice::from_ref(&repository)).unwrap();
    assert_eq!((mounted.mounted, mounted.uploaded, mounted.bytes), (5, 0, 0));

    tag(&registry, &repository, &top, &tags(&["nightly", "sha-123"])).unwrap();
    let names: Vec<String> = registry.tags(&repository).unwrap().iter().map(Tag::to_string).collect();
    assert_eq!(names, ["nightly", "sha-123"]);
    assert_eq!(skopeo_digest(&format!("{repository}:nightly")).unwrap(), top.digest);
    skopeo_pull(&format!("{repository}:sha-123"), &directory.path().join("pulled")).unwrap();

    let whole = Layout::create(&directory.path().join("whole")).unwrap();
    let reference = Reference::Tag("nightly".parse().unwrap());
    let got = pull(&registry, &repository, &reference, None, &whole).unwrap();
    assert_eq!((got.digest, got.size), (top.digest, top.size));
    let blobs = |layout: &Layout| std::fs::read_dir(layout.directory().join("blobs/sha256")).unwrap().count();
    assert_eq!(blobs(&whole), blobs(&layout));
    let one = Layout::create(&directory.path().join("one")).unwrap();
    let got = pull(&registry, &repository, &Reference::Digest(top.digest), Some(Platform::Arm64), &one).unwrap();
    let ParsedManifest::Index(index) = ParsedManifest::read(&top.media_type, &layout.read(&top).unwrap()).unwrap()
    else {
        panic!()
    };
    assert_eq!(got.digest, index.manifests[1].digest);
    assert_eq!(blobs(&one), 4, "a manifest, a configuration and two layers");
    let none = pull(&registry, &repository, &Reference::Digest(top.digest), Some(Platform::Riscv64), &one);
    let text = none.unwrap_err().to_string();
    assert!(text.contains("is not available for linux/riscv64; its platforms are linux/amd64, linux/arm64"), "{text}");
}

#[test]
fn a_copy_has_all_children_and_referrers_and_the_same_digest() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let top = image(&layout, 2, 100_000, &TWO);
    let (registry, nightly) = (server.client(), server.repository("lantern/nightly"));
    push(&registry, &nightly, &layout, &top, &[]).unwrap();
    let record = |subject: &Descriptor, text: &str| {
        let file = Attachment {
            media_type: "application/json",
            bytes: text.as_bytes(),
            annotations: &[("org.opencontainers.image.title", "record.json")],
        };
        attach(&registry, &nightly, subject, "application/vnd.drydock.test.v1+json", &[file]).unwrap()
    };
    let first = record(&top, "{\"one\":1}");
    assert_eq!(record(&top, "{\"one\":1}"), first, "the same record is the same artifact");
    let second = record(&top, "{\"two\":2}");
    let about_first = record(&first, "{\"signed\":true}");
    let listed = registry.referrers(&nightly, &top.digest).unwrap();
    assert_eq!(listed, [first.clone(), second.clone()]);
    assert_eq!(listed[0].artifact_type.as_deref(), Some("application/vnd.drydock.test.v1+json"));

    // To the same registry, and to another one.
    let other = Server::start().unwrap();
    for (target, release) in
        [(server.client(), server.repository("lantern/lanternd")), (other.client(), other.repository("x/y"))]
    {
        let copied = copy((&registry, &nightly), (&target, &release), &top.digest).unwrap();
        assert_eq!(copied.descriptor.digest, top.digest);
        assert_eq!((copied.manifests, copied.referrers), (6, 3));
        let same = target.host() == registry.host();
        assert_eq!(copied.mounted > 0 && copied.carried == 0, same, "{copied:?}");
        let list = target.referrers(&release, &top.digest).unwrap();
        assert_eq!(list, [first.clone(), second.clone()]);
        assert_eq!(target.referrers(&release, &first.digest).unwrap(), slice::from_ref(&about_first));
        let pulled = Layout::create(&directory.path().join(target.host())).unwrap();
        pull(&target, &release, &Reference::Digest(top.digest), None, &pulled).unwrap();
        let tags: Vec<Tag> = target.tags(&release).unwrap();
        let lists = [fallback_tag(&top.digest).unwrap(), fallback_tag(&first.digest).unwrap()];
        assert!(tags.iter().all(|tag| lists.contains(tag)), "a copy tags no image: {tags:?}");
        // Again, which changes nothing.
        assert_eq!(copy((&registry, &nightly), (&target, &release), &top.digest).unwrap().manifests, 6);
        assert_eq!(target.referrers(&release, &top.digest).unwrap(), list);
    }

    // A list of referrers that names one which is gone.
    assert!(registry.delete_manifest(&nightly, &second.digest).unwrap());
    assert!(!registry.delete_manifest(&nightly, &second.digest).unwrap());
    let release = server.repository("lantern/later");
    let copied = copy((&registry, &nightly), (&registry, &release), &top.digest).unwrap();
    assert_eq!(copied.referrers, 2);
    assert_eq!(registry.referrers(&release, &top.digest).unwrap(), slice::from_ref(&first));
    registry.unlist(&nightly, &top.digest, &[second.digest]).unwrap();
    assert_eq!(registry.referrers(&nightly, &top.digest).unwrap(), [first]);
    let gone = copy((&registry, &nightly), (&registry, &release), &second.digest).unwrap_err().to_string();
    assert!(gone.contains("does not exist"), "{gone}");
}

#[test]
fn a_registry_that_deletes_nothing_is_recognised() {
    let Some(server) = Server::with(super::registry_server::Options { keeps_all: true, ..Default::default() }) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let top = image(&layout, 3, 1000, &TWO[..1]);
    let (registry, repository) = (server.client(), server.repository("a"));
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    let text = registry.delete_manifest(&repository, &top.digest).unwrap_err().to_string();
    assert!(text.contains("405") && text.contains("storage.delete.enabled"), "{text}");
}

/// Registries that answer what they do not know in ways of their own.
#[test]
fn referrers_are_found_whatever_a_registry_makes_of_the_question() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 4, 1000);
    let direct = server.client();
    push(&direct, &server.repository("a"), &layout, &top, &[]).unwrap();
    let file = Attachment { media_type: "text/plain", bytes: b"x", annotations: &[] };
    let put = |registry: &Registry, repository: &Repository| {
        attach(registry, repository, &top, "application/vnd.drydock.test.v1+json", &[file])
    };
    let referrer = put(&direct, &server.repository("a")).unwrap();
    let empty = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
    for (status, content) in [(302, ""), (301, "x"), (200, "<html>log in</html>"), (200, empty)] {
        let proxy = Proxy::start(&server.host(), move |request| {
            if request.target.contains("/referrers/") {
                Act::Response(status, vec![("location", "/users/sign_in".to_owned())], content.into())
            } else {
                Act::Pass
            }
        });
        let registry = client(&proxy.host(), &Credentials::default());
        let listed = registry.referrers(&repository(&proxy.host(), "a"), &top.digest).unwrap();
        assert_eq!(listed, slice::from_ref(&referrer), "{status} {content}");
    }

    // The tag is taken for the digest that it names, as by GitLab's registry; or is not taken.
    let fallback = fallback_tag(&top.digest).unwrap().to_string();
    let bytes = layout.read(&top).unwrap();
    for (taken, name) in [(201, "b"), (400, "c")] {
        push(&direct, &server.repository(name), &layout, &top, &[]).unwrap();
        let (fallback, media_type, bytes) = (fallback.clone(), top.media_type.clone(), bytes.clone());
        let proxy = Proxy::start(&server.host(), move |request| {
            match (request.target.ends_with(&fallback), request.method.as_str()) {
                (true, "PUT") => Act::Response(taken, vec![], Vec::new()),
                (true, _) => Act::Response(200, vec![("content-type", media_type.clone())], bytes.clone()),
                (false, _) => Act::Pass,
            }
        });
        let (registry, there) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), name));
        assert_eq!(registry.referrers(&there, &top.digest).unwrap(), []);
        let text = format!("{:#}", put(&registry, &there).unwrap_err());
        assert!(text.contains("nothing can be attached there"), "{text}");
    }
}

#[test]
fn an_index_without_platforms_is_pulled_by_the_configurations() {
    let Some(server) = Server::start() else { return };
    let images = ImageFactory::new();
    let mut children: Vec<_> =
        [Platform::Arm64, Platform::Amd64].map(|platform| images.child(platform, 7, &[("a", "b")])).into();
    children.iter_mut().for_each(|child| child.platform = None);
    let index = images.index(children.clone());
    let repository = server.repository("bare");
    images.push(&server.client(), &repository, &index, &["x"]);
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::create(directory.path()).unwrap();
    let reference = Reference::Digest(index.digest);
    let pull = |platform| pull(&server.client(), &repository, &reference, Some(platform), &layout);
    assert_eq!(pull(Platform::Amd64).unwrap().digest, children[1].digest);
    assert_eq!(pull(Platform::Arm64).unwrap().digest, children[0].digest);
    let error = pull(Platform::Riscv64).unwrap_err();
    assert!(error.to_string().contains("is not available for linux/riscv64"), "{error:#}");
}
