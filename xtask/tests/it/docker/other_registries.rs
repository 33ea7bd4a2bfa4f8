//! Registries that are not docker's, and have other habits. Real ones are installed on request; what they taught is tested
//! with docker-registry behind a proxy that behaves like them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::slice;

use drydock_config::images::{Platform, Tag};
use drydock_oci::layout::Layout;
use drydock_oci::registry::{Attachment, Credentials, Reference, attach, copy, pull, push};
use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use super::proxy::{Act, Proxy, Request};
use super::registry_server::{
    Options, PASSWORD, Program, Server, USER, client, image, image_in, is_remote, repository, skopeo_digest,
    skopeo_pull,
};
use super::test_images::set;
use crate::deb::fixture::{kept_directory, run};
use crate::support::{need_tool, need_tools, skip, text};

/// Installs a program below a directory that is kept, unless it is there. `None` without `DRYDOCK_TEST_REGISTRIES=1`, since it
/// downloads and compiles.
fn installed(name: &str, program: &str, install: impl FnOnce(&Path)) -> Option<PathBuf> {
    if std::env::var_os("DRYDOCK_TEST_REGISTRIES").is_none() {
        skip("it installs another registry from PyPI or crates.io; set DRYDOCK_TEST_REGISTRIES=1 to run it");
        return None;
    }
    let directory = kept_directory("registries").join(name);
    fs::create_dir_all(&directory).unwrap();
    let lock = File::create(directory.join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let program = directory.join(program);
    if !program.exists() {
        install(&directory);
    }
    Some(program)
}

/// The registry of Zuul, a CI system: in Python, with token logins, and nothing of the specification that docker does not use.
pub(crate) fn zuul() -> Option<Server> {
    if !need_tools(&[("python3", "python3-venv"), ("skopeo", "skopeo")]) {
        return None;
    }
    let program = installed("zuul", "bin/zuul-registry", |directory| {
        run(directory, &["python3", "-m", "venv", "."], &[]);
        run(directory, &["bin/pip", "install", "--quiet", "zuul-registry==1.3.0"], &[]);
    })?;
    Server::with(Options { program: Program::Zuul(program), ..Options::default() })
}

/// The registry of the crate `container-registry`: single images under tags, and no indexes.
fn container_registry() -> Option<Server> {
    if !need_tool("skopeo", "skopeo") {
        return None;
    }
    let program = installed("container-registry", "bin/container-registry", |directory| {
        let source = ["cargo", "install", "--quiet", "--locked", "--version", "0.3.1", "--features", "bin"];
        run(directory, &[&source[..], &["--root", ".", "container-registry"]].concat(), &[]);
    })?;
    Server::with(Options { program: Program::ContainerRegistry(program), ..Options::default() })
}

#[test]
fn another_registry_takes_and_gives_images_and_what_is_attached_to_them() {
    let Some(server) = zuul() else { return };
    let directory = TempDir::new().unwrap();
    let layout = Layout::create(&directory.path().join("oci")).unwrap();
    // The shared layer is sent in four chunks.
    let top = image(&layout, 1, (3 << 20) + 1, &[Platform::Amd64, Platform::Arm64]);
    let (registry, nightly) = (server.client(), server.repository("lantern/nightly"));
    assert_eq!(registry.head(&nightly, &Reference::Digest(top.digest)).unwrap(), None);
    assert_eq!(registry.tags(&nightly).unwrap(), []);
    let pushed = push(&registry, &nightly, &layout, &top, &[]).unwrap();
    assert_eq!((pushed.manifests, pushed.uploaded), (3, 5), "{pushed:?}");
    assert!(pushed.bytes > 3 << 20 && pushed.bytes < (3 << 20) + 20_000, "nothing is sent twice: {pushed:?}");
    let again = push(&registry, &nightly, &layout, &top, &[]).unwrap();
    assert_eq!((again.uploaded, again.present), (0, 5));
    set(&registry, &nightly, &top, &["nightly", "sha-123"]);
    let names: Vec<String> = registry.tags(&nightly).unwrap().iter().map(Tag::to_string).collect();
    let named = |name: &str| names.iter().any(|known| known == name);
    assert!(named("nightly") && named("sha-123"), "{names:?}");
    assert_eq!(skopeo_digest(&format!("{nightly}:nightly")).unwrap(), top.digest);
    skopeo_pull(&format!("{nightly}:sha-123"), &directory.path().join("by-skopeo")).unwrap();

    let file = Attachment { media_type: "application/json", bytes: b"{}", annotations: &[] };
    let kind = "application/vnd.drydock.test.v1+json";
    let record = attach(&registry, &nightly, &top, kind, &[file]).unwrap();
    let release = server.repository("lantern/lanternd");
    let copied = copy((&registry, &nightly), (&registry, &release), &top.digest).unwrap();
    assert_eq!((copied.descriptor.digest, copied.manifests, copied.referrers), (top.digest, 4, 1));
    assert_eq!(registry.referrers(&release, &top.digest).unwrap(), slice::from_ref(&record));
    assert_eq!(registry.artifacts(&release, &top.digest, kind).unwrap(), [vec![b"{}".to_vec()]]);
    // Everybody may read.
    let pulled = Layout::create(&directory.path().join("pulled")).unwrap();
    let anonymous = client(&server.host(), &Credentials::default());
    pull(&anonymous, &release, &Reference::Digest(top.digest), None, &pulled).unwrap();

    let error = registry.delete_manifest(&nightly, &top.digest).unwrap_err();
    assert!(error.to_string().contains("this registry has no deletion") && is_remote(&error), "{error:#}");
    let none = push(&anonymous, &server.repository("b"), &layout, &top, &[]).unwrap_err();
    let words = format!("no credentials for {}", server.host());
    assert!(format!("{none:#}").contains(&words) && is_remote(&none), "{none:#}");
    let wrong = BTreeMap::from_iter(server.login()).into_iter().map(|(name, value)| {
        let value = if value == USER || value == server.host() { value } else { "wrong-horse".to_owned() };
        (name.into(), value.into())
    });
    let wrong = client(&server.host(), &Credentials::new(wrong.collect()));
    let error = push(&wrong, &server.repository("b"), &layout, &top, &[]).unwrap_err();
    assert!(format!("{error:#}").contains("were rejected; renew them with `docker login "), "{error:#}");
}

#[test]
fn another_registry_without_indexes_gives_bases_and_says_what_it_does_not_take() {
    let Some(server) = container_registry() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 2, (3 << 20) + 1);
    // A single image, as others push it.
    let single = repository(&server.host(), "base/single");
    let (from, to) = (format!("oci:{}", text(layout.directory())), format!("docker://{single}:1"));
    let login = server.login().into_iter().map(|(_, value)| value).collect::<Vec<_>>();
    let login = format!("{}:{}", login[1], login[2]);
    let format = ["--format", "oci", "--dest-tls-verify=false", "--dest-creds", &login];
    run(directory.path(), &[&["skopeo", "copy", "--quiet"][..], &format, &[&from, &to]].concat(), &[]);
    let registry = server.client();
    let found = registry.manifest(&single, &Reference::Tag("1".parse().unwrap())).unwrap().unwrap();
    let reference = Reference::Digest(found.descriptor.digest);
    assert_eq!(registry.head(&single, &reference).unwrap().unwrap().digest, found.descriptor.digest);
    let pulled = Layout::create(&directory.path().join("pulled")).unwrap();
    pull(&registry, &single, &reference, Some(Platform::Amd64), &pulled).unwrap();

    // Blobs are taken in the way of docker, and are there when the manifest is refused.
    let target = server.repository("mine/nightly");
    let error = push(&registry, &target, &layout, &top, &[]).unwrap_err();
    println!("{error:#}");
    assert!(format!("{error:#}").contains("/v2/mine/nightly/manifests/") && is_remote(&error), "{error:#}");
    let error = push(&client(&server.host(), &Credentials::default()), &target, &layout, &top, &[]).unwrap_err();
    assert!(format!("{error:#}").contains("401 Unauthorized"), "{error:#}");
}

/// A script for the methods and addresses that another registry does not know: a page of a web server, without an error code.
fn unknown_to(request: &Request) -> bool {
    request.method == "DELETE" || request.target.contains("tags/list?") || request.target.contains("?mount=")
}

#[test]
fn a_registry_without_pages_mounts_and_deletion_is_understood() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 3, 10_000);
    let proxy = Proxy::start(&server.host(), |request| {
        let page = || Act::Response(404, vec![("content-type", "text/html".into())], b"<h1>Not Found</h1>".to_vec());
        if unknown_to(request) { page() } else { Act::Pass }
    });
    let (registry, there) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    assert_eq!(registry.tags(&there).unwrap(), []);
    push(&registry, &there, &layout, &top, &[]).unwrap();
    set(&registry, &there, &top, &["x", "y"]);
    let names: Vec<String> = registry.tags(&there).unwrap().iter().map(Tag::to_string).collect();
    assert_eq!(names, ["x", "y"], "the whole list is asked for without pages");
    let other = repository(&proxy.host(), "b");
    let pushed = push(&registry, &other, &layout, &top, slice::from_ref(&there)).unwrap();
    assert_eq!((pushed.mounted, pushed.uploaded), (0, 3));
    let error = registry.delete_manifest(&there, &top.digest).unwrap_err();
    assert!(error.to_string().contains("the manifest still exists: this registry has no deletion"), "{error:#}");
    let gone = drydock_config::images::Digest::for_bytes(b"gone");
    assert!(!registry.delete_manifest(&there, &gone).unwrap(), "what does not exist need not be deleted");
    let list = format!("{{\"tags\":[\"{gone}\",\"x\"]}}").into_bytes();
    proxy.script(move |_| Act::Response(200, vec![], list.clone()));
    assert_eq!(registry.tags(&there).unwrap(), ["x".parse().unwrap()], "a digest in the list is no tag");
}

#[test]
fn a_registry_that_takes_content_only_as_docker_sends_it_gets_it_so() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 4, (3 << 20) + 1);
    for status in [400, 500] {
        let proxy = Proxy::start(&server.host(), move |request| match request.method.as_str() {
            "PUT" if request.target.contains("digest=") && request.length > 0 => {
                Act::Response(status, vec![], b"feature not supported".to_vec())
            }
            // A number of bytes, and of the chunk alone.
            "PATCH" => Act::Header("range", format!("0-{}", request.length)),
            "GET" if request.target.contains("/uploads/") => Act::Response(405, vec![], Vec::new()),
            _ => Act::Pass,
        });
        let registry = client(&proxy.host(), &Credentials::default());
        let there = repository(&proxy.host(), &format!("a-{status}"));
        assert_eq!(push(&registry, &there, &layout, &top, &[]).unwrap().uploaded, 3);
        let with_content =
            || proxy.seen().iter().filter(|one| one.target.contains("digest=") && one.length > 0).count();
        // Two small blobs are sent at the same time at first.
        let refused = with_content();
        assert!((1..=2).contains(&refused), "{refused}");
        assert_eq!(proxy.count("PATCH", ""), 4 + 2, "no chunk is sent twice");
        let (layout, top) = image_in(&directory, 5, 1000);
        push(&registry, &there, &layout, &top, &[]).unwrap();
        assert_eq!(with_content(), refused, "the way is known now");
        // Servers that want a length answer 411 where there is none.
        let takes_content = |one: &&Request| matches!(one.method.as_str(), "POST" | "PUT" | "PATCH");
        let seen = proxy.seen();
        let without: Vec<&Request> =
            seen.iter().filter(takes_content).filter(|one| one.header("content-length").is_none()).collect();
        assert!(without.is_empty(), "{without:?}");
    }
}

#[test]
fn a_registry_that_asks_for_a_login_only_at_its_base_gets_it() {
    let Some(server) = Server::with(Options { password: true, ..Options::default() }) else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 6, 1000);
    let proxy = Proxy::start(&server.host(), |request| {
        if request.target == "/v2/" || request.header("authorization").is_some() {
            Act::Pass
        } else {
            Act::Response(401, vec![], Vec::new())
        }
    });
    let (host, there) = (proxy.host(), repository(&proxy.host(), "a"));
    let variables = [
        ("DRYDOCK_REGISTRY_HOST", host.as_str()),
        ("DRYDOCK_REGISTRY_USER", USER),
        ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD),
    ];
    let login = Credentials::new(variables.map(|(name, value)| (name.into(), value.into())).into());
    push(&client(&host, &login), &there, &layout, &top, &[]).unwrap();
    let asked = proxy.seen().iter().filter(|one| one.target == "/v2/").count();
    assert!((1..=3).contains(&asked), "once for each thread at most: {asked}");
    let error = push(&client(&host, &Credentials::default()), &there, &layout, &top, &[]).unwrap_err();
    assert!(format!("{error:#}").contains(&format!("no credentials for {host}")), "{error:#}");
}
