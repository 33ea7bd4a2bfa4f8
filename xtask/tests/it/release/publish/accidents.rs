//! Accidents of real releases: files replaced after signing, lists that lack a file, versions with other bytes, pointers moved by
//! candidates; and a web server that answers something else than what was uploaded.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::Release;
use crate::support::git;

/// A web server for a directory.
pub(super) struct Web {
    pub(super) port: u16,
    /// What it does wrong; nothing if empty.
    fault: Arc<Mutex<String>>,
}

impl Web {
    pub(super) fn start(root: PathBuf) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let fault = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&fault);
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                reader.read_line(&mut line).unwrap_or_default();
                let path = line.split(' ').nth(1).unwrap_or("/").trim_start_matches('/').to_owned();
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {
                    header.clear();
                }
                let fault = shared.lock().unwrap().clone();
                let content = fs::read(root.join(&path)).unwrap_or_default();
                let mut stream = reader.into_inner();
                let length = content.len();
                let answer = match fault.as_str() {
                    "" => ("200 OK", content),
                    "stale" => ("200 OK", b"an older file".to_vec()),
                    "truncated" => ("200 OK", content[..length / 2].to_vec()),
                    "html" => ("200 OK", b"<html>please log in</html>".to_vec()),
                    status => (status, b"{\"message\": \"no\"}".to_vec()),
                };
                let said = if fault == "truncated" { length } else { answer.1.len() };
                let head = format!("HTTP/1.1 {}\r\nContent-Length: {said}\r\nConnection: close\r\n\r\n", answer.0);
                // The client may have gone.
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&answer.1)).ok();
            }
        });
        Web { port, fault }
    }

    /// Whatever the server says, nothing but the right bytes is a success.
    pub(super) fn check(&self, release: &Release) {
        for (fault, code, words) in [
            ("stale", 7, "expected "),
            ("html", 7, "is a cache in front of it stale?"),
            ("truncated", 8, "was cut"),
            ("401 Unauthorized", 8, "401"),
            ("403 Forbidden", 8, "403"),
            ("404 Not Found", 8, "is `url` that of the directory"),
            ("409 Conflict", 8, "409"),
            ("422 Unprocessable Content", 8, "422"),
            ("429 Too Many Requests\r\nRetry-After: 100000", 8, "429"),
            ("500 Internal Server Error", 8, "500"),
        ] {
            *self.fault.lock().unwrap() = fault.to_owned();
            release.refused(code, &["directory ", words]);
        }
        self.fault.lock().unwrap().clear();
        release.published(&[]);
    }
}

#[test]
fn accidents_of_other_releases_are_refused() {
    let Some(release) = Release::new(1, "- {directory: {path: \"{at}www/{version}\", latest: true}}\n") else { return };
    release.refused(4, &["www is not a directory; create it"]);
    fs::create_dir(release.world.at("www")).unwrap();
    release.sign("alice");
    let (www, dist) = (release.world.at("www"), release.dist.clone());
    let original = |name: &str| fs::read(release.world.at("honest").join(name)).unwrap();
    // Released without checksums, with a wrong hash, with a file that was replaced after signing, with one that nobody listed.
    for (break_it, words) in [
        ("rm SHA256SUMS", "SHA256SUMS"),
        ("sed -i 's/^......../00000000/' SHA256SUMS", "SHA256SUMS"),
        ("echo evil >> p-1.1.zip", "has no intact files"),
        ("rm p-1.1.tar.gz", "has no intact files"),
        ("echo more > p-1.1-Fedora.tar.gz", "p-1.1-Fedora.tar.gz"),
        ("sed -i 's/\"size\": 4/\"size\": 5/' release.json", "has no intact files"),
    ] {
        release.world.sh(&dist, break_it);
        release.refused_with_any(words);
        for name in ["SHA256SUMS", "p-1.1.zip", "p-1.1.tar.gz", "release.json"] {
            fs::write(dist.join(name), original(name)).unwrap();
        }
        fs::remove_file(dist.join("p-1.1-Fedora.tar.gz")).ok(); // only one row makes it
    }
    assert_eq!(fs::read_dir(&www).unwrap().count(), 0, "nothing was published");

    // Other bytes under the same name, and a file that release.json does not list.
    fs::create_dir(www.join("1.1")).unwrap();
    fs::write(www.join("1.1/p-1.1.zip"), "another").unwrap();
    release.refused(7, &["REFUSED", "p-1.1.zip there has the SHA-256", "what was published is never replaced"]);
    fs::remove_file(www.join("1.1/p-1.1.zip")).unwrap();
    fs::write(www.join("1.1/p-1.1-Ubuntu.tar.xz"), "another").unwrap();
    release.refused(7, &["p-1.1-Ubuntu.tar.xz is there, which no release.json lists"]);
    fs::remove_file(www.join("1.1/p-1.1-Ubuntu.tar.xz")).unwrap();
    fs::write(www.join("latest.json"), "{}").unwrap();
    release.refused(7, &["latest.json is there, and is not a pointer of Drydock"]);
    fs::remove_file(www.join("latest.json")).unwrap();
    // What the web server offers is not what its directory has.
    let web = Web::start(www.clone());
    release.declare(&format!(
        "- {{directory: {{path: \"{{at}}www/{{version}}\", latest: true, url: \"http://127.0.0.1:{}/{{version}}/\"}}}}\n",
        web.port
    ));
    git(release.world.project.path(), &["tag", "-d", "v1.1"]);
    release.world.commit("v1.1", "two\n");
    release.world.build("1.1", "honest");
    release.sign("alice");
    web.check(&release);
    let journal = fs::read_to_string(release.world.project.state().join("publish/1.1.jsonl")).unwrap();
    assert!(journal.contains("\"step\":\"upload p-1.1.zip\",\"event\":\"done\""), "{journal}");

    // A candidate and an older version do not move `latest`; a newer one does.
    let publish = |version: &str, expected: &str| {
        release.world.commit(&format!("v{version}"), &format!("{version}\n"));
        release.world.build(version, "other");
        let signed = release.world.release(&["sign", "--key", "alice@example.org"]);
        assert_eq!(signed.code(), 0, "{}", signed.transcript());
        release.published(&[]);
        assert!(www.join(version).join("SHA256SUMS.asc").exists());
        assert_eq!(fs::read_link(www.join("latest")).unwrap().to_str().unwrap(), expected, "{version}");
    };
    publish("1.2rc1", "1.1");
    publish("1.0.9", "1.1");
    publish("1.10", "1.10");

    // The version again with other sources, as with a tag that was moved: neither the journal nor the target accepts it.
    let project = release.world.project.path();
    git(project, &["tag", "-d", "v1.10"]);
    release.world.commit("v1.10", "other sources\n");
    release.world.build("1.10", "other");
    assert_eq!(release.world.release(&["sign", "--key", "alice@example.org"]).code(), 0);
    release.refused(7, &["is the journal of other bytes of p 1.10", "release a new version"]);
    fs::remove_dir_all(release.world.project.state().join("publish")).unwrap();
    release.refused(7, &["there has the SHA-256"]);
    // An unsigned tag, and no tag.
    git(project, &["tag", "-f", "-a", "-m", "x", "v1.10"]);
    release.refused(1, &["it is not signed"]);
    git(project, &["tag", "-d", "v1.10"]);
    release.refused(1, &["nothing was published"]);
}

impl Release {
    /// Refused as something that is wrong or missing, with these words.
    #[track_caller]
    fn refused_with_any(&self, words: &str) {
        let said = self.publish(&[]);
        let all = format!("{}{}", said.stdout, said.stderr);
        assert!(matches!(said.code(), 4 | 7) && all.contains(words), "{words}: {}", said.transcript());
    }
}
