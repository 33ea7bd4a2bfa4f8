//! Registries that lie: about digests, sizes, places and the ends of lists.

use drydock_oci::layout::Layout;
use drydock_oci::registry::{Credentials, Precondition, Reference, copy, pull, push, tag};
use tempfile::TempDir;

use super::proxy::{Act, Proxy, Request};
use super::registry_server::{
    Options, PASSWORD, Server, USER, client, image_in, is_remote, is_wrong_content, repository,
};

type Change = fn(Vec<u8>) -> Vec<u8>;

fn spoilt(content: Vec<u8>) -> Vec<u8> {
    let mut content = content;
    if let Some(byte) = content.last_mut() {
        *byte ^= 1;
    }
    content
}

fn longer(content: Vec<u8>) -> Vec<u8> {
    [content, vec![0; 1000]].concat()
}

#[test]
fn what_has_another_digest_is_not_kept() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 41, 10_000);
    push(&server.client(), &server.repository("a"), &layout, &top, &[]).unwrap();
    let proxy = Proxy::start(&server.host(), |_| Act::Pass);
    let cases: [(&str, &str, Change, &str); 4] = [
        ("/manifests/", "GET", spoilt, "returned other content"),
        ("/blobs/", "GET", spoilt, "returned other content"),
        ("/blobs/", "GET", longer, "returned more than"),
        ("/manifests/", "GET", |_| vec![b' '; 5 << 20], "is longer than 4194304 bytes"),
    ];
    for (number, (part, method, change, words)) in cases.into_iter().enumerate() {
        proxy.script(move |request: &Request| {
            if request.method == method && request.target.contains(part) { Act::Change(change) } else { Act::Pass }
        });
        let registry = client(&proxy.host(), &Credentials::default());
        let into = Layout::create(&directory.path().join(format!("into-{number}"))).unwrap();
        let reference = Reference::Digest(top.digest);
        let error = pull(&registry, &repository(&proxy.host(), "a"), &reference, None, &into).unwrap_err();
        assert!(format!("{error:#}").contains(words), "{words}: {error:#}");
        assert!(is_remote(&error) || is_wrong_content(&error), "{error:#}");
        let kept = std::fs::read_dir(into.directory().join("blobs/sha256")).unwrap().flatten();
        for blob in kept {
            let bytes = std::fs::read(blob.path()).unwrap();
            let digest = drydock_config::images::Digest::for_bytes(&bytes);
            assert_eq!(blob.file_name().to_string_lossy(), digest.hex(), "{words}");
        }
    }

    proxy.script(|_| {
        let html = ("content-type", "text/html; charset=utf-8".to_owned());
        Act::Response(200, vec![html], b"<html>Please log in</html>".to_vec())
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let error = registry.manifest(&repository(&proxy.host(), "a"), &Reference::Digest(top.digest)).unwrap_err();
    assert!(format!("{error:#}").contains("a web page, perhaps of a proxy or a login"), "{error:#}");
}

#[test]
fn lists_that_do_not_end_and_tags_that_are_none_are_refused() {
    let page = |tags: String, link: &str| {
        let headers = if link.is_empty() { vec![] } else { vec![("link", format!("<{link}>; rel=\"next\""))] };
        Act::Response(200, headers, format!("{{\"name\":\"a\",\"tags\":{tags}}}").into_bytes())
    };
    let proxy = Proxy::start("127.0.0.1:1", move |request| match request.target.as_str() {
        target if target.starts_with("/v2/pages/") => match request.before {
            0 => page("[\"a\",\"b\"]".into(), "/v2/pages/tags/list?n=2&last=b"),
            1 => page("[\"c\"]".into(), "?last=c"),
            _ => page("null".into(), ""),
        },
        target if target.starts_with("/v2/around/") => {
            page("[\"x\"]".into(), &format!("/v2/around/tags/list?last={}", request.before))
        }
        target if target.starts_with("/v2/elsewhere/") => page("[\"x\"]".into(), "http://127.0.0.1:2/v2/x"),
        target if target.starts_with("/v2/names/") => page("[\"../../x\"]".into(), ""),
        target if target.starts_with("/v2/huge/") => page(format!("[\"{}\"]", "x".repeat(17 << 20)), ""),
        target if target.starts_with("/v2/listed/referrers/") => {
            let digest = drydock_config::images::Digest::for_bytes(target.as_bytes());
            let next = (!target.ends_with('2')).then(|| ("link", format!("<{target}?p=2>; rel=\"next\"")));
            let one = format!("{{\"mediaType\":\"x/y\",\"digest\":\"{digest}\",\"size\":1,\"artifactType\":\"a/b\"}}");
            let list = format!("{{\"schemaVersion\":2,\"manifests\":[{one}]}}");
            Act::Response(200, next.into_iter().collect(), list.into_bytes())
        }
        target if target.contains("/referrers/") => Act::Response(
            200,
            vec![("link", format!("<{}x>; rel=\"next\"", request.target))],
            br#"{"schemaVersion":2,"manifests":[]}"#.to_vec(),
        ),
        _ => Act::Response(200, vec![], b"[".to_vec()),
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let tags = registry.tags(&repository(&proxy.host(), "pages")).unwrap();
    assert_eq!(tags.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    for (name, words) in [
        ("around", "does not end"),
        ("elsewhere", "names an invalid next page"),
        ("names", "lists the invalid tag"),
        ("huge", "is longer than"),
        ("other", "as a list of tags"),
    ] {
        let error = registry.tags(&repository(&proxy.host(), name)).unwrap_err();
        assert!(format!("{error:#}").contains(words), "{error:#}");
        assert!(is_remote(&error), "{error:?}");
    }
    let digest = drydock_config::images::Digest::for_bytes(b"x");
    let listed = registry.referrers(&repository(&proxy.host(), "listed"), &digest).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[1].artifact_type.as_deref(), Some("a/b"));
    let error = registry.referrers(&repository(&proxy.host(), "a"), &digest).unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error:#}");
}

#[test]
fn lists_go_on_at_the_known_address_only() {
    let elsewhere = Proxy::start("127.0.0.1:1", |_| Act::Response(200, vec![], b"{\"tags\":[\"stolen\"]}".to_vec()));
    let other = elsewhere.host();
    // What registries say that do not know the address of the proxy in front of them, or have another path behind it.
    let links = move |here: &str, name: &str| match name {
        "scheme" => vec![format!("<https://{here}/v2/mine/scheme/tags/list?last=a&n=1>; rel=\"next\"")],
        "host" => vec![format!("<http://{other}/v2/mine/host/tags/list?last=a>; rel=next")],
        "prefix" => {
            vec![format!("<http://registry:5000/repository/docker/v2/mine/prefix/tags/list?last=a>;rel=\"next\"")]
        }
        "shorter" => vec![format!("<http://{other}/v2/mine/shorter/tags/list?last=a>; rel=\"prev next\"")],
        "several" => {
            vec!["<?first=1>; rel=\"first\"".into(), "<?last=a>; title=\"<x>; rel=last\"; rel=\"next\"".into()]
        }
        "foreign" => vec![format!("<http://{other}/v2/mine/scheme/tags/list?last=a>; rel=\"next\"")],
        _ => vec![format!("<http://{other}/v2/mine/same/tags/list>; rel=\"next\"")],
    };
    let proxy = Proxy::start("127.0.0.1:1", move |request| {
        let here = request.header("host").unwrap_or_default();
        let name = request.target.split('/').nth(3).unwrap_or_default();
        if request.target.contains("last=a") {
            return Act::Response(200, vec![], b"{\"tags\":[\"b\"]}".to_vec());
        }
        let links = links(here, name).into_iter().map(|link| ("link", link)).collect();
        Act::Response(200, links, b"{\"tags\":[\"a\"]}".to_vec())
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let tags = |name: &str| registry.tags(&repository(&proxy.host(), &format!("mine/{name}")));
    for name in ["scheme", "host", "prefix", "shorter", "several"] {
        let found = tags(name).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        assert_eq!(found.iter().map(|tag| tag.as_str()).collect::<Vec<_>>(), ["a", "b"], "{name}");
    }
    // The list of another repository, and the page that was just read.
    for name in ["foreign", "same"] {
        let error = tags(name).unwrap_err();
        assert!(format!("{error:#}").contains("names an invalid next page"), "{error:#}");
    }
    assert!(elsewhere.seen().is_empty());
}

#[test]
fn content_goes_nowhere_else() {
    let Some(server) = Server::with(Options { password: true, ..Options::default() }) else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 42, 10_000);
    let login = |host: &str| {
        let variables =
            [("DRYDOCK_REGISTRY_HOST", host), ("DRYDOCK_REGISTRY_USER", USER), ("DRYDOCK_REGISTRY_PASSWORD", PASSWORD)];
        let credentials = Credentials::new(variables.map(|(name, value)| (name.into(), value.into())).into());
        client(host, &credentials)
    };
    let direct = login(&server.host());
    push(&direct, &server.repository("a"), &layout, &top, &[]).unwrap();
    // This registry requires no password.
    let store = Server::start().unwrap();
    push(&store.client(), &store.repository("a"), &layout, &top, &[]).unwrap();
    let elsewhere = Proxy::start(&store.host(), |_| Act::Pass);
    let target = elsewhere.host();
    let proxy = Proxy::start(&server.host(), move |request| {
        let to = |status, location: String| Act::Response(status, vec![("location", location)], Vec::new());
        match (request.method.as_str(), &request.target) {
            ("POST", _) if request.target.contains("/away/") => to(202, format!("http://{target}/v2/a/upload")),
            ("POST", _) if request.target.contains("/nowhere/") => to(202, "file:///etc/passwd".into()),
            ("GET", _) if request.target.contains("/blobs/") && request.target.contains("/a/") => {
                to(307, format!("http://{target}{}", request.target))
            }
            ("GET", _) if request.target.contains("/blobs/") => to(307, request.target.clone()),
            _ => Act::Pass,
        }
    });
    let registry = login(&proxy.host());
    for (name, words) in [("away", "continues an upload at"), ("nowhere", "returned an invalid upload location")] {
        let error = push(&registry, &repository(&proxy.host(), name), &layout, &top, &[]).unwrap_err();
        assert!(format!("{error:#}").contains(words), "{error:#}");
    }
    assert!(elsewhere.seen().is_empty());
    // A blob may be kept on another host, which does not get the credentials.
    let into = Layout::create(&directory.path().join("into")).unwrap();
    let reference = Reference::Digest(top.digest);
    pull(&registry, &repository(&proxy.host(), "a"), &reference, None, &into).unwrap();
    assert_eq!(elsewhere.count("GET", "/blobs/"), 3);
    let has_credentials = |request: &Request| request.header("authorization").is_some();
    let blobs =
        proxy.seen().into_iter().filter(|request| request.method == "GET" && request.target.contains("/blobs/"));
    assert!(blobs.clone().count() == 3 && blobs.into_iter().all(|request| has_credentials(&request)));
    assert!(!elsewhere.seen().iter().any(has_credentials));
    // But not around and around.
    push(&direct, &server.repository("b"), &layout, &top, &[]).unwrap();
    let into = Layout::create(&directory.path().join("around")).unwrap();
    let error = pull(&registry, &repository(&proxy.host(), "b"), &reference, None, &into).unwrap_err();
    assert!(error.to_string().contains("too many redirects"), "{error:#}");
}

#[test]
fn a_registry_that_names_another_digest_for_what_it_stored_is_not_believed() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 61, 1000);
    let proxy = Proxy::start(&server.host(), |request| match request.method.as_str() {
        "PUT" if request.target.contains("/manifests/") => {
            Act::Header("docker-content-digest", format!("sha256:{}", "0".repeat(64)))
        }
        _ => Act::Pass,
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let (nightly, release) = (repository(&proxy.host(), "nightly"), repository(&proxy.host(), "release"));
    push(&server.client(), &server.repository("nightly"), &layout, &top, &[]).unwrap();
    let error = copy((&registry, &nightly), (&registry, &release), &top.digest).unwrap_err();
    assert!(format!("{error:#}").contains("stored other bytes than were sent for sha256:"), "{error:#}");
    assert!(is_wrong_content(&error), "{error:?}");
    let set = tag(&registry, &nightly, &top, &[("v1".parse().unwrap(), Precondition::Absent)]).unwrap_err();
    assert!(format!("{set:#}").contains("stored other bytes"), "{set:#}");
}
