//! Questions to Launchpad, answered by a fake of its API on this machine.

use super::fake_launchpad::FakeLaunchpad;
use super::fixture::{Deb, VERSION, has_tools, lanternd};
use crate::support::need_tool;

#[test]
fn the_state_of_the_archive_is_checked_before_an_upload() {
    if !has_tools(&[]) || !need_tool("dh_clean", "debhelper") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let deb = Deb::new(lanternd(), &directory.path().join("state"));
    deb.ok(&["source", "--series", "noble"]);
    let launchpad = FakeLaunchpad::start();
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

    // The plan does not ask Launchpad.
    let plan = deb.ok(&["upload", "--dry-run", "--series", "noble"]);
    let expected = format!("to ppa:example/lantern\n  noble      {VERSION}~ubuntu24.04.1: sign, check, upload, wait\n");
    assert_eq!(plan.stdout, expected);
    let debian = deb.call(&["upload", "--dry-run", "--series", "trixie"]);
    assert!(debian.code() == 2 && debian.stderr.contains("accepts none of the series"), "{}", debian.transcript());

    // An archive that Launchpad does not know is an error.
    let none = check();
    assert!(none.code() == 8 && none.stderr.contains("check `owner` and `archive`"), "{}", none.transcript());

    launchpad.respond(archive, &serde_json::json!({"authorized_size": 8192}));
    launchpad.respond("/ubuntu/noble", &serde_json::json!({"name": "noble", "status": "Supported"}));
    launchpad.respond(&published, &page(&[]));
    let empty = check();
    assert_eq!(empty.code(), 0, "{}", empty.transcript());
    assert!(empty.stdout.contains("and the state of the archive"), "{}", empty.stdout);

    // A deleted package had another orig tarball: its name stays taken.
    launchpad.respond(&published, &page(&[entry("0.2.0-0ubuntu1", "noble", "Deleted")]));
    launchpad.respond(&files_of, &files(&"0".repeat(64)));
    let taken = check();
    let text =
        "File lanternd_0.3.0.orig.tar.xz already exists in the archive, but uploaded version has different contents.";
    assert!(taken.code() == 1 && taken.stdout.contains(text), "{}", taken.transcript());

    let own =
        drydock_base::checksum::Checksum::from_file(&deb.directory().join("lanternd_0.3.0.orig.tar.xz")).unwrap().0;
    launchpad.respond(&files_of, &files(&own.to_string()));
    launchpad.respond(&published, &page(&[entry("0.3.0-0ubuntu1", "noble", "Published")]));
    let older = check();
    let text = format!("Version older than that in the archive. {VERSION}~ubuntu24.04.1 <= 0.3.0-0ubuntu1");
    assert!(older.code() == 1 && older.stdout.contains(&text), "{}", older.transcript());
    assert!(!older.stdout.contains("already exists"), "the same content is allowed: {}", older.stdout);

    launchpad.respond(&published, &page(&[entry("0.2.0-0ubuntu1", "noble", "Published")]));
    launchpad.respond("/ubuntu/noble", &serde_json::json!({"name": "noble", "status": "Obsolete"}));
    let obsolete = check();
    assert!(
        obsolete.code() == 1 && obsolete.stdout.contains("noble is obsolete and will not accept new uploads"),
        "{}",
        obsolete.transcript()
    );

    // A link to another host is not followed.
    let mut evil = page(&[]);
    evil["next_collection_link"] = "http://127.0.0.2:1/elsewhere".into();
    launchpad.respond(&published, &evil);
    let elsewhere = check();
    assert!(elsewhere.code() == 8 && elsewhere.stderr.contains("a link to another host"), "{}", elsewhere.transcript());
    launchpad.respond(&published, &serde_json::json!("not a page"));
    assert_eq!(check().code(), 8);

    // The builds of an upload are shown.
    launchpad.respond(&published, &page(&[entry(&format!("{VERSION}~ubuntu24.04.1"), "noble", "Pending")]));
    let builds = format!("{archive}/+sourcepub/1?ws.op=getBuilds");
    launchpad.respond(&builds, &page(&[serde_json::json!({"arch_tag": "amd64", "buildstate": "Currently building"})]));
    let status = deb.ok(&["status", "--series", "noble", "--remote", "--api", &launchpad.address]);
    assert!(status.stdout.contains("amd64: Currently building"), "{}", status.stdout);
    let requests = launchpad.requests();
    let known = |path: &String| path.starts_with("/~example/") || path.starts_with("/ubuntu/");
    assert!(requests.iter().all(known), "{requests:?}");

    let insecure =
        deb.call(&["check", "--series", "noble", "--unsigned", "--remote", "--api", "http://example.org/devel"]);
    let text = "http://example.org/devel: only https URLs are supported";
    assert!(insecure.code() == 2 && insecure.stderr.contains(text), "{}", insecure.transcript());
}
