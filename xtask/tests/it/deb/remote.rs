//! Launchpad's interface, by a stand-in on this machine: what the archive has decides, and nothing else is asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::shelf::{Deb, VERSION, lanternd, tools_are_there};
use crate::support::need_tool;

/// Answers by path and query; everything else is 404. Says what it was asked.
struct StandIn {
    address: String,
    answers: Arc<Mutex<BTreeMap<String, String>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    fn start() -> StandIn {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/devel", listener.local_addr().unwrap());
        let (answers, asked) = (Arc::new(Mutex::new(BTreeMap::new())), Arc::new(Mutex::new(Vec::new())));
        let (answers_there, asked_there) = (Arc::clone(&answers), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap().trim_start_matches("/devel").to_owned();
                asked_there.lock().unwrap().push(path.clone());
                let answer: Option<String> = answers_there.lock().unwrap().get(&path).cloned();
                let (status, body) = answer.map_or(("404 Not Found", String::new()), |body| ("200 OK", body));
                let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
            }
        });
        StandIn { address, answers, asked }
    }

    fn answer(&self, path: &str, body: &serde_json::Value) {
        self.answers.lock().unwrap().insert(path.to_owned(), body.to_string());
    }
}

#[test]
fn the_archive_is_asked_before_an_upload() {
    if !tools_are_there(&[("curl", "curl")]) || !need_tool("dh_clean", "debhelper") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let deb = Deb::new(lanternd(), &directory.path().join("state"));
    deb.ok(&["source", "--series", "noble"]);
    let launchpad = StandIn::start();
    let check = || deb.call(&["check", "--series", "noble", "--unsigned", "--remote", "--api", &launchpad.address]);
    let archive = "/~example/+archive/ubuntu/lantern";
    let published = format!("{archive}?ws.op=getPublishedSources&exact_match=true&source_name=lanternd");
    let entry = |version: &str, series: &str, status: &str| {
        serde_json::json!({
            "self_link": format!("{}{archive}/+sourcepub/1", launchpad.address),
            "source_package_version": version,
            "distro_series_link": format!("{}/ubuntu/{series}", launchpad.address),
            "status": status,
        })
    };
    let page = |entries: &[serde_json::Value]| serde_json::json!({"entries": entries, "total_size": entries.len()});
    let files = |sum: &str| {
        let url = format!("{}/files/lanternd_0.3.0.orig.tar.xz", launchpad.address);
        serde_json::json!([{"url": url, "sha256": sum, "size": 1}])
    };
    let files_of = format!("{archive}/+sourcepub/1?ws.op=sourceFileUrls&include_meta=true");

    // What would go where is told without going there.
    let plan = deb.ok(&["upload", "--dry-run", "--series", "noble"]);
    let expected =
        format!("to ppa:example/lantern\n  noble      {VERSION}~ubuntu24.04.1: sign, check, deliver, wait\n");
    assert_eq!(plan.stdout, expected);
    let debian = deb.call(&["upload", "--dry-run", "--series", "trixie"]);
    assert!(
        debian.code() == 2 && debian.stderr.contains("none of the series is one of ppa"),
        "{}",
        debian.transcript()
    );

    // Nobody answers: that is no permission.
    let none = check();
    assert_eq!(none.code(), 8, "{}", none.transcript());

    launchpad.answer(archive, &serde_json::json!({"authorized_size": 8192}));
    launchpad.answer("/ubuntu/noble", &serde_json::json!({"name": "noble", "status": "Supported"}));
    launchpad.answer(&published, &page(&[]));
    let empty = check();
    assert_eq!(empty.code(), 0, "{}", empty.transcript());
    assert!(empty.stdout.contains("the archive was asked"), "{}", empty.stdout);

    // An older version in this series, a deleted one with another orig: the name is not free.
    launchpad.answer(&published, &page(&[entry("0.2.0-0ubuntu1", "noble", "Deleted")]));
    launchpad.answer(&files_of, &files(&"0".repeat(64)));
    let taken = check();
    let text =
        "File lanternd_0.3.0.orig.tar.xz already exists in the archive, but uploaded version has different contents.";
    assert!(taken.code() == 1 && taken.stdout.contains(text), "{}", taken.transcript());

    let own = drydock_base::sums::Sha256Sum::of_file(&deb.directory().join("lanternd_0.3.0.orig.tar.xz")).unwrap().0;
    launchpad.answer(&files_of, &files(&own.to_string()));
    launchpad.answer(&published, &page(&[entry("0.3.0-0ubuntu1", "noble", "Published")]));
    let older = check();
    let text = format!("Version older than that in the archive. {VERSION}~ubuntu24.04.1 <= 0.3.0-0ubuntu1");
    assert!(older.code() == 1 && older.stdout.contains(&text), "{}", older.transcript());
    assert!(!older.stdout.contains("already exists"), "the same bytes are no mistake: {}", older.stdout);

    launchpad.answer(&published, &page(&[entry("0.2.0-0ubuntu1", "noble", "Published")]));
    launchpad.answer("/ubuntu/noble", &serde_json::json!({"name": "noble", "status": "Obsolete"}));
    let obsolete = check();
    assert!(obsolete.code() == 1 && obsolete.stdout.contains("in the 'OBSOLETE' state"), "{}", obsolete.transcript());

    // An answer that leads elsewhere is not followed.
    let mut evil = page(&[]);
    evil["next_collection_link"] = "http://127.0.0.2:1/elsewhere".into();
    launchpad.answer(&published, &evil);
    let elsewhere = check();
    assert!(elsewhere.code() == 8 && elsewhere.stderr.contains("of another host"), "{}", elsewhere.transcript());
    launchpad.answer(&published, &serde_json::json!("no page"));
    assert_eq!(check().code(), 8);

    // What became of an upload is asked as well.
    launchpad.answer(&published, &page(&[entry(&format!("{VERSION}~ubuntu24.04.1"), "noble", "Pending")]));
    let builds = format!("{archive}/+sourcepub/1?ws.op=getBuilds");
    launchpad.answer(&builds, &page(&[serde_json::json!({"arch_tag": "amd64", "buildstate": "Currently building"})]));
    let status = deb.ok(&["status", "--series", "noble", "--remote", "--api", &launchpad.address]);
    assert!(status.stdout.contains("amd64: Currently building"), "{}", status.stdout);
    let asked = launchpad.asked.lock().unwrap();
    assert!(asked.iter().all(|path| path.starts_with("/~example/") || path.starts_with("/ubuntu/")), "{asked:?}");
}
