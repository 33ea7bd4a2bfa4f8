//! Interrupted uploads and downloads continue where they were interrupted, whichever side was killed.

use std::sync::{Arc, Mutex};

use drydock_oci::layout::Layout;
use drydock_oci::registry::{Credentials, Reference, Registry, Settings, pull, push};
use tempfile::TempDir;

use super::proxy::{Act, Proxy};
use super::registry_server::{Server, client, image_in, impatient, is_remote, repository};

const SIZE: usize = 8 << 20;
const PIECE: usize = 1 << 20;

#[test]
fn a_registry_killed_between_two_pieces_goes_on_after_its_restart() {
    let Some(server) = Server::start() else { return };
    let (directory, upstream) = (TempDir::new().unwrap(), server.host());
    let (layout, top) = image_in(&directory, 11, SIZE);
    let server = Arc::new(Mutex::new(server));
    let killed = server.clone();
    // The registry is killed at the sixth piece, and starts again a moment later.
    let proxy = Proxy::start(&upstream, move |request| {
        let server = killed.clone();
        match (request.method.as_str(), request.before) {
            ("PATCH", 5) => Act::Happen(Box::new(move || {
                let mut server = server.lock().unwrap();
                server.kill();
                server.restart();
            })),
            _ => Act::Pass,
        }
    });
    let (registry, repository) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    let pushed = push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert_eq!(pushed.uploaded, 3);
    assert_eq!(proxy.count("PATCH", "/a/"), SIZE / PIECE + 1, "one piece is sent twice, no other");
    assert!(proxy.content() < SIZE + 2 * PIECE, "{} bytes were sent", proxy.content());
    assert!(registry.tags(&repository).unwrap().is_empty());
    assert!(!layout.directory().join(".uploads").exists());
    let direct = server.lock().unwrap().client();
    let pulled = Layout::create(&directory.path().join("pulled")).unwrap();
    let reference = Reference::Digest(top.digest);
    pull(&direct, &server.lock().unwrap().repository("a"), &reference, None, &pulled).unwrap();
}

#[test]
fn another_process_goes_on_with_an_upload() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 12, SIZE);
    let proxy = Proxy::start(&server.host(), |request| match (request.method.as_str(), request.before) {
        ("PATCH", before) if before < 5 => Act::Pass,
        ("POST" | "HEAD", _) => Act::Pass,
        ("PUT", _) if request.target.contains("digest=") && request.length > 0 => Act::Pass,
        _ => Act::Happen(Box::new(|| {})),
    });
    let repository = repository(&proxy.host(), "a");
    let first = push(&client(&proxy.host(), &Credentials::default()), &repository, &layout, &top, &[]);
    let text = format!("{:#}", first.unwrap_err());
    assert!(text.contains(&format!("has {} of {SIZE} bytes of sha256:", 5 * PIECE)), "{text}");
    assert!(text.contains("no response"), "{text}");
    let before = proxy.content();
    proxy.script(|_| Act::Pass);
    let pushed = push(&client(&proxy.host(), &Credentials::default()), &repository, &layout, &top, &[]).unwrap();
    assert_eq!((pushed.resumed, pushed.uploaded, pushed.present), (1, 1, 2));
    assert_eq!(pushed.bytes as usize, SIZE - 5 * PIECE);
    assert!(proxy.content() - before < SIZE - 5 * PIECE + 10_000, "{} bytes were sent", proxy.content() - before);
    assert!(!layout.directory().join(".uploads").exists());
}

/// A session in which every request is refused does not block the next push.
#[test]
fn an_upload_that_cannot_go_on_begins_anew() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    for (seed, status) in (181..).zip([204, 401, 403, 409, 500]) {
        let (layout, top) = image_in(&directory, seed, 3 * PIECE);
        let proxy = Proxy::start(&server.host(), |request| match (request.method.as_str(), request.before) {
            ("PATCH", before) if before > 0 => Act::Happen(Box::new(|| {})),
            ("GET", _) => Act::Happen(Box::new(|| {})),
            _ => Act::Pass,
        });
        let repository = repository(&proxy.host(), &format!("a-{status}"));
        push(&client(&proxy.host(), &Credentials::default()), &repository, &layout, &top, &[]).unwrap_err();
        assert!(layout.directory().join(".uploads").exists());
        proxy.script(move |request| {
            if request.method == "GET" && request.target.contains("/uploads/") {
                let elsewhere = ("location", "http://127.0.0.1:2/v2/x".to_owned());
                Act::Response(status, vec![elsewhere, ("range", "0-1048575".to_owned())], Vec::new())
            } else {
                Act::Pass
            }
        });
        let pushed = push(&client(&proxy.host(), &Credentials::default()), &repository, &layout, &top, &[]).unwrap();
        assert_eq!((pushed.resumed, pushed.uploaded), (0, 1), "{status}");
        assert!(!layout.directory().join(".uploads").exists());
    }
}

/// A registry that keeps the part of a piece that came tells it, and gets the rest.
#[test]
fn an_upload_goes_on_inside_of_a_piece_where_the_registry_kept_its_part() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 13, SIZE);
    let proxy = Proxy::start(&server.host(), |request| match (request.method.as_str(), request.before) {
        ("PATCH", 2 | 5) => Act::KeepContent(300_000),
        _ => Act::Pass,
    });
    let (registry, repository) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert!(proxy.content() < SIZE + 20_000, "{} bytes were sent", proxy.content());
    assert_eq!(server.client().head(&server.repository("a"), &Reference::Digest(top.digest)).unwrap().unwrap(), {
        drydock_oci::model::Descriptor::new(&top.media_type, top.digest, top.size)
    });
}

/// docker-registry gives up an upload of which it has a part of a chunk_size: that blob is begun anew, and no other.
#[test]
fn a_registry_killed_inside_of_a_piece_gets_that_blob_anew() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 14, SIZE);
    let upstream = server.host();
    let server = Arc::new(Mutex::new(server));
    let killed = server.clone();
    let proxy = Proxy::start(&upstream, move |request| match (request.method.as_str(), request.before) {
        ("PATCH", 3) => {
            let server = killed.clone();
            let kill = move || {
                let mut server = server.lock().unwrap();
                server.kill();
                server.restart();
            };
            Act::CutContent(300_000, Box::new(kill))
        }
        _ => Act::Pass,
    });
    let (registry, repository) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    let pushed = push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert_eq!(pushed.uploaded, 3);
    let most = SIZE + 3 * PIECE + 400_000;
    assert!(proxy.content() < most, "{} bytes were sent", proxy.content());
    assert_eq!(proxy.count("POST", "/a/"), 4, "one session more than blobs");
    let server = server.lock().unwrap();
    let (direct, there) = (server.client(), server.repository("a"));
    assert!(direct.tags(&there).unwrap().is_empty());
    let pulled = Layout::create(&directory.path().join("pulled")).unwrap();
    pull(&direct, &there, &Reference::Digest(top.digest), None, &pulled).unwrap();
}

#[test]
fn an_end_that_was_not_heard_of_is_asked_for() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 15, 2 * PIECE);
    // Every answer to the end of an upload is lost, and every answer to a manifest that is put.
    let proxy = Proxy::start(&server.host(), |request| match request.method.as_str() {
        "PUT" if request.before < 8 => Act::CutAnswer(0),
        _ => Act::Pass,
    });
    let (registry, repository) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    push(&registry, &repository, &layout, &top, &[]).unwrap();
    assert!(proxy.content() < 2 * PIECE + 20_000, "{} bytes were sent", proxy.content());
}

#[test]
fn downloads_go_on_where_they_were_cut() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 16, SIZE);
    push(&server.client(), &server.repository("a"), &layout, &top, &[]).unwrap();
    let came = Arc::new(Mutex::new(Vec::new()));
    let ranges = came.clone();
    let proxy = Proxy::start(&server.host(), move |request| {
        let of_layer = request.method == "GET" && request.target.contains("/blobs/");
        match request.header("range") {
            Some(range) => ranges.lock().unwrap().push(range.to_owned()),
            None if of_layer => return Act::CutAnswer(3_000_000),
            None => return Act::Pass,
        }
        if ranges.lock().unwrap().len() < 2 { Act::CutAnswer(2_000_000) } else { Act::Pass }
    });
    let (registry, repository) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    let pulled = Layout::create(&directory.path().join("pulled")).unwrap();
    pull(&registry, &repository, &Reference::Digest(top.digest), None, &pulled).unwrap();
    // What arrived of a cut answer is up to the network, but some of it did.
    let ranges = came.lock().unwrap().clone();
    assert!(ranges.len() >= 2 && ranges.iter().all(|range| range != "bytes=0-"), "{ranges:?}");
    assert!(
        std::fs::read_dir(pulled.directory().join("blobs/sha256"))
            .unwrap()
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with(".part-") })
    );
    // Cut each time at once: it ends, and nothing is kept.
    proxy.script(|request| if request.target.contains("/blobs/") { Act::CutAnswer(0) } else { Act::Pass });
    let never = Layout::create(&directory.path().join("never")).unwrap();
    let text = pull(&registry, &repository, &Reference::Digest(top.digest), None, &never).unwrap_err().to_string();
    assert!(text.contains(&format!("returned 0 of {SIZE} bytes")), "{text}");
    assert_eq!(std::fs::read_dir(never.directory().join("blobs/sha256")).unwrap().count(), 0);
}

#[test]
fn a_download_that_begins_anew_each_time_ends() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 17, PIECE);
    push(&server.client(), &server.repository("a"), &layout, &top, &[]).unwrap();
    // The registry ignores ranges, and each response is cut.
    let proxy = Proxy::start(&server.host(), |request| {
        let of_blob = request.method == "GET" && request.target.contains("/blobs/");
        match request.header("range") {
            Some(_) => Act::Response(200, vec![], Vec::new()),
            // A limit, so that an endless loop fails the test instead of hanging it.
            None if of_blob && request.before < 300 => Act::CutAnswer(PIECE / 2),
            None => Act::Pass,
        }
    });
    let registry = client(&proxy.host(), &Credentials::default());
    let into = Layout::create(&directory.path().join("into")).unwrap();
    let reference = Reference::Digest(top.digest);
    let error = pull(&registry, &repository(&proxy.host(), "a"), &reference, None, &into).unwrap_err();
    assert!(error.to_string().contains(&format!("of {PIECE} bytes")), "{error:#}");
    assert!(is_remote(&error), "{error:?}");

    // A redirect without a location.
    proxy.script(
        |request| {
            if request.target.contains("/blobs/") { Act::Response(307, vec![], Vec::new()) } else { Act::Pass }
        },
    );
    let error = pull(&registry, &repository(&proxy.host(), "a"), &reference, None, &into).unwrap_err();
    assert!(error.to_string().contains("returned an invalid redirect"), "{error:#}");
    assert!(is_remote(&error), "{error:?}");
}

/// GitHub's registry refuses large pieces, with either status.
#[test]
fn a_registry_that_takes_no_large_pieces_gets_small_ones() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    for (seed, status) in [(191, 413), (192, 416)] {
        let (layout, top) = image_in(&directory, seed, 9 << 20);
        let proxy = Proxy::start(&server.host(), move |request| {
            if request.length > 4 << 20 { Act::Response(status, vec![], Vec::new()) } else { Act::Pass }
        });
        let settings = Settings { chunk_size: 8 << 20, ..impatient() };
        let registry = Registry::with(&proxy.host(), &Credentials::default(), settings).unwrap();
        let repository = repository(&proxy.host(), &format!("a-{status}"));
        assert_eq!(push(&registry, &repository, &layout, &top, &[]).unwrap().uploaded, 3);
        let large = || proxy.seen().iter().filter(|request| request.length > 4 << 20).count();
        assert_eq!((proxy.count("PATCH", ""), large()), (4, 1), "three pieces after one that was refused");
        // The limit is known now, also for blobs that would have fitted into one request.
        let (layout, top) = image_in(&directory, seed + 10, 5 << 20);
        push(&registry, &repository, &layout, &top, &[]).unwrap();
        assert_eq!(large(), 1);
    }
}

/// Amazon's registry returns such ranges, and does not support requests for the state of an upload.
#[test]
fn a_range_that_stays_is_passed_over() {
    let Some(server) = Server::start() else { return };
    let directory = TempDir::new().unwrap();
    let (layout, top) = image_in(&directory, 195, SIZE);
    let proxy = Proxy::start(&server.host(), |request| match request.method.as_str() {
        "PATCH" => Act::Header("range", format!("0-{}", PIECE - 1)),
        "GET" if request.target.contains("/uploads/") => Act::Response(405, vec![], Vec::new()),
        _ => Act::Pass,
    });
    let (registry, there) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "a"));
    push(&registry, &there, &layout, &top, &[]).unwrap();
    assert_eq!((proxy.count("PATCH", ""), proxy.count("POST", "")), (SIZE / PIECE, 3));

    // But where pieces are lost indeed, the sum at the end is wrong, and then it is believed.
    let (layout, top) = image_in(&directory, 196, SIZE);
    let proxy = Proxy::start(&server.host(), |request| match (request.method.as_str(), request.before) {
        ("PATCH", 2 | 10) => {
            let headers = vec![("location", request.target.clone()), ("range", format!("0-{}", 2 * PIECE - 1))];
            Act::Response(202, headers, Vec::new())
        }
        _ => Act::Pass,
    });
    let (registry, there) = (client(&proxy.host(), &Credentials::default()), repository(&proxy.host(), "b"));
    push(&registry, &there, &layout, &top, &[]).unwrap();
    assert_eq!((proxy.count("PATCH", ""), proxy.count("POST", "")), (2 * SIZE / PIECE + 1, 4));
}
