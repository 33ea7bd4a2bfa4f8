//! Registries that have too much to do, that are broken, and disks that are full.

use std::time::Duration;

use drydock_oci::layout::Layout;
use drydock_oci::registry::{Credentials, Reference, Registry, Settings, pull, push};
use tempfile::TempDir;

use super::proxy::{Act, Proxy};
use super::registry_server::{Options, Server, client, image_in, impatient, is_remote, recorded, repository};
use crate::support::disk::SmallDisk;

const TOO_MANY: &[u8] = br#"{"errors":[{"code":"TOOMANYREQUESTS","message":"rate limit exceeded","detail":null}]}"#;

fn too_many(wait: &str) -> Act {
    Act::Response(429, vec![("retry-after", wait.to_owned())], TOO_MANY.to_vec())
}

#[test]
fn a_registry_that_asks_for_time_gets_it() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 21, 3 << 20);
    // Each kind of request is refused once, with time wanted; then everything passes.
    let proxy = Proxy::start(&server.host(), |request| match request.before {
        0 => too_many("7"),
        _ => Act::Pass,
    });
    let (registry, clock) = recorded(&proxy.host());
    push(&registry, &repository(&proxy.host(), "a"), &layout, &top, &[]).unwrap();
    let slept = clock.slept();
    let kinds = ["HEAD", "POST", "PATCH", "PUT", "GET"];
    assert!(kinds.iter().all(|kind| proxy.count(kind, "/v2/a/") > 1), "{:?}", proxy.seen());
    assert_eq!(slept, [Duration::from_secs(7); 5]);

    // The registry asks for hours: one attempt, and no wait.
    let before = proxy.seen().len();
    proxy.script(|_| too_many("21600"));
    let error = registry.tags(&repository(&proxy.host(), "b")).unwrap_err();
    let text = format!("{error:#}");
    for words in ["429", "TOOMANYREQUESTS, rate limit exceeded", "asks to wait 21600 s", "try again later"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(is_remote(&error), "{error:?}");
    assert!(proxy.seen().len() == before + 1 && clock.slept().len() == 5);
    proxy.script(|request| if request.method == "PATCH" { too_many("21600") } else { Act::Pass });
    let before = proxy.count("PATCH", "");
    let text = format!("{:#}", push(&registry, &repository(&proxy.host(), "b"), &layout, &top, &[]).unwrap_err());
    assert!(text.contains("asks to wait 21600 s"), "{text}");
    assert!(proxy.count("PATCH", "") == before + 1 && clock.slept().len() == 5);
}

#[test]
fn a_registry_in_trouble_is_asked_again_and_not_for_ever() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 22, 3 << 20);
    let proxy = Proxy::start(&server.host(), |request| match request.before {
        0 => Act::Response(503, vec![], b"<html>down</html>".to_vec()),
        1 => Act::Response(500, vec![], b"{}".to_vec()),
        _ => Act::Pass,
    });
    let (registry, clock) = recorded(&proxy.host());
    push(&registry, &repository(&proxy.host(), "a"), &layout, &top, &[]).unwrap();
    assert!(clock.slept().iter().all(|wait| *wait >= Duration::from_millis(500)));

    let before = proxy.seen().len();
    proxy.script(|_| {
        Act::Response(500, vec![], br#"{"errors":[{"code":"UNKNOWN","message":"unknown error"}]}"#.to_vec())
    });
    let slept = clock.slept().len();
    let error = push(&registry, &repository(&proxy.host(), "b"), &layout, &top, &[]).unwrap_err();
    let text = format!("{error:#}");
    for words in [&proxy.host()[..], "HEAD", "/v2/b/", "500 Internal Server Error", "see the log of the registry"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(is_remote(&error), "{error:?}");
    let tried = proxy.seen().len() - before;
    assert!((6..=18).contains(&tried), "{tried} requests");
    let waits: Vec<Duration> = clock.slept().split_off(slept);
    assert!(waits.contains(&Duration::from_secs(8)) && !waits.contains(&Duration::from_secs(16)), "{waits:?}");
    assert!(server.client().tags(&server.repository("b")).unwrap().is_empty());
}

/// A response that refuses a piece in the middle is read although the registry then closes the connection.
#[test]
fn a_refusal_while_content_is_sent_is_heard() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 26, 24 << 20);
    for (status, words) in
        [(403, "have access to "), (413, "limit the size of requests"), (429, "asks to wait 21600 s")]
    {
        let proxy = Proxy::start(&server.host(), move |request| match request.method.as_str() {
            "PATCH" => Act::Refuse(status, vec![("retry-after", "21600".to_owned())], b"enough".to_vec()),
            _ => Act::Pass,
        });
        let settings = Settings { chunk_size: 16 << 20, ..impatient() };
        let registry = Registry::with(&proxy.host(), &Credentials::default(), settings).unwrap();
        let there = repository(&proxy.host(), &format!("a-{status}"));
        let error = push(&registry, &there, &layout, &top, &[]).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(&status.to_string()) && text.contains(": enough") && text.contains(words), "{text}");
        assert!(proxy.count("PATCH", "") <= 5, "{}", proxy.count("PATCH", ""));
    }
    // And when it hangs up once, for the piece that it then asks for.
    let proxy = Proxy::start(&server.host(), |request| match (request.method.as_str(), request.before) {
        ("PATCH", 0) => Act::Happen(Box::new(|| {})),
        _ => Act::Pass,
    });
    push(&client(&proxy.host(), &Credentials::default()), &repository(&proxy.host(), "b"), &layout, &top, &[]).unwrap();
    assert_eq!(proxy.seen().iter().filter(|request| request.header("expect").is_some()).count(), 1);
}

#[test]
fn nobody_there_is_said_so() {
    let Some(mut server) = Server::start() else { return };
    let (known, unknown) = (recorded(&server.host()), recorded(&server.host()));
    known.0.tags(&server.repository("a")).unwrap_or_default();
    server.kill();
    // A host that never responded may not exist: it is tried less often than one that did.
    for ((registry, clock), attempts, waits) in [(&known, "6 attempts", 5), (&unknown, "3 attempts", 2)] {
        let error = registry.tags(&server.repository("a")).unwrap_err();
        let text = format!("{error:#}");
        for words in ["GET", &server.host(), "/v2/a/tags/list", attempts, "refused", "is the server running?"] {
            assert!(text.contains(words), "{text}");
        }
        assert!(is_remote(&error), "{error:?}");
        assert_eq!(clock.slept().len(), waits);
    }
}

#[test]
fn a_full_disk_of_the_registry_tags_nothing_and_the_push_goes_on_when_there_is_space() {
    let Some(disk) = SmallDisk::mount(6) else { return };
    let Some(server) = Server::with(Options { storage: Some(disk.path().to_owned()), ..Options::default() }) else {
        return;
    };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 23, 4 << 20);
    let filler = disk.path().join("filler");
    std::fs::write(&filler, vec![0; 4 << 20]).unwrap();
    let (registry, repository) = (server.client(), server.repository("a"));
    let error = push(&registry, &repository, &layout, &top, &[]).unwrap_err();
    let text = format!("{error:#}");
    for words in ["500 Internal Server Error", "no space left on device", "is its disk full?", &repository.to_string()]
    {
        assert!(text.contains(words), "{text}");
    }
    assert!(is_remote(&error), "{error:?}");
    assert!(registry.manifest(&repository, &Reference::Digest(top.digest)).unwrap().is_none());
    assert!(registry.tags(&repository).unwrap().is_empty());
    std::fs::remove_file(&filler).unwrap();
    // The registry keeps an incomplete piece for a week, and accepts no request for it.
    std::fs::remove_dir_all(disk.path().join("docker/registry/v2/repositories/a/_uploads")).unwrap();
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert!(registry.head(&repository, &Reference::Digest(top.digest)).unwrap().is_some());
}

#[test]
fn a_full_disk_here_leaves_nothing_half_written() {
    let Some(disk) = SmallDisk::mount(2) else { return };
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 24, 4 << 20);
    let (registry, repository) = (server.client(), server.repository("a"));
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    let small = Layout::create(&disk.path().join("oci")).unwrap();
    let error = pull(&registry, &repository, &Reference::Digest(top.digest), None, &small).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("cannot write sha256:") && text.to_lowercase().contains("no space left"), "{text}");
    let is_full = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::StorageFull)
    };
    assert!(error.chain().any(is_full), "{error:?}");
    let files = disk.files();
    assert!(files.iter().all(|(name, size)| !name.contains(".part-") && *size < 10_000), "{files:?}");
    // The progress of an upload is recorded if possible; without the record, the upload works as well.
    let (full, top) = image_in(&directory, 25, 2 << 20);
    std::fs::write(full.directory().join(".uploads"), "in the way of the directory").unwrap();
    push(&client(&server.host(), &Default::default()), &repository, &full, &top, &[]).unwrap();
}
