//! Prism in front of the stand-in for GitHub: it refuses requests and responses that GitHub's own description does not allow. Prism
//! reads contents as text, so files go around it: it gets a number in their place.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use drydock_github::stand_in::{Fault, StandIn};

use super::{Release, TOKEN};
use crate::github::fake::Prism;

type Contents = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// The header of a request that is only checked.
const ONLY_CHECK: &str = "x-only-check: 1";

/// Forwards requests; `change` may replace their contents. Prism follows redirects, so requests for files are only checked by it,
/// and then sent to `around`.
fn forward(
    upstream: String,
    around: Option<String>,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8> + Send + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // It ends with the process of the test.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            one(stream, &upstream, around.as_deref(), &change).ok(); // the client went away
        }
    });
    address
}

fn one(
    stream: TcpStream,
    upstream: &str,
    around: Option<&str>,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        match lower.strip_prefix("content-length:") {
            Some(text) => length = text.trim().parse().unwrap(),
            None if lower.starts_with("connection:") => {}
            None => head.push_str(&line),
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = change(&head, body);
    let has_body = !body.is_empty() || head.starts_with("POST") || head.starts_with("PATCH");
    let length = if has_body { format!("content-length: {}\r\n", body.len()) } else { String::new() };
    let ask = |host: &str, more: &str| -> std::io::Result<Vec<u8>> {
        let mut there = TcpStream::connect(host)?;
        there.write_all(format!("{head}{length}{more}connection: close\r\n\r\n").as_bytes())?;
        there.write_all(&body)?;
        let mut answer = Vec::new();
        there.read_to_end(&mut answer)?;
        Ok(answer)
    };
    let checked = br#"{"message": "only checked"}"#;
    let answer = if head.to_ascii_lowercase().contains(ONLY_CHECK) {
        let kind = "content-type: application/json";
        let start = format!("HTTP/1.1 404 Not Found\r\n{kind}\r\ncontent-length: {}\r\n\r\n", checked.len());
        [start.as_bytes(), checked].concat()
    } else {
        let is_file = head.starts_with("GET ") && head.contains("/releases/assets/");
        match around.filter(|_| is_file) {
            None => ask(upstream, "")?,
            Some(around) => {
                let said = ask(upstream, &format!("{ONLY_CHECK}\r\n"))?;
                let is_right = String::from_utf8_lossy(&said).contains("only checked");
                if is_right { ask(around, "")? } else { said }
            }
        }
    };
    reader.into_inner().write_all(&answer)
}

#[test]
fn every_request_of_a_release_is_one_that_github_describes() {
    let Some(mut release) = Release::new(1, "- {github: {repository: o/r}}\n") else { return };
    let stand_in = StandIn::start("o/r", TOKEN).unwrap();
    let contents = Contents::default();
    let kept = Arc::clone(&contents);
    let host = stand_in.address.trim_start_matches("http://").to_owned();
    let back = forward(host.clone(), None, move |_, body| {
        let number = String::from_utf8_lossy(&body).into_owned();
        kept.lock().unwrap().get(&number).cloned().unwrap_or(body)
    });
    let Some(prism) = Prism::start(&format!("http://{back}")) else { return };
    let front = forward(prism.address.trim_start_matches("http://").to_owned(), Some(host), move |head, body| {
        if !head.to_ascii_lowercase().contains("content-type: application/octet-stream") {
            return body;
        }
        let mut contents = contents.lock().unwrap();
        let number = format!("content-{}", contents.len());
        contents.insert(number.clone(), body);
        number.into_bytes()
    });
    stand_in.state().public = format!("http://{front}");
    release.github = Some(format!("http://{front}"));
    stand_in.state().tags.insert("v1.1".into(), release.object("v1.1"));
    release.sign("alice");
    release.published(&[]);
    release.check_github(&stand_in.state(), false);
    // The text is that of the changelog, if there is one, and says how to verify the files.
    assert!(stand_in.state().releases[0].body.contains("SHA256SUMS"));
    let changes = stand_in.state().changes.clone();
    assert!(changes.iter().any(|change| change.starts_with("PATCH")) && changes.len() > 4, "{changes:?}");

    // A file that was cut is removed and sent again.
    stand_in.state().releases[0].draft = true;
    let names: Vec<String> = stand_in.state().releases[0].assets.keys().cloned().collect();
    stand_in.state().releases[0].assets.insert(names[0].clone(), (99, None));
    stand_in.state().latest.clear();
    std::fs::remove_dir_all(release.world.project.state().join("publish")).unwrap();
    release.published(&[]);
    release.check_github(&stand_in.state(), false);
    assert!(stand_in.state().changes.iter().any(|change| change.starts_with("DELETE")));

    // Prism refuses what is malformed, so it does look.
    let said = super::super::fixture::run(
        &release.world.at(""),
        "curl",
        &[
            "-s",
            "-X",
            "POST",
            "-H",
            "content-type: application/json",
            "-d",
            "{\"draft\": \"yes\"}",
            &format!("http://{front}/repos/o/r/releases"),
        ],
    );
    assert!(said.contains("tag_name") || said.contains("UNPROCESSABLE"), "{said}");
    // A slow answer is waited for.
    stand_in.state().fault = Some(("GET ".into(), Fault::Slow(300)));
    release.published(&[]);
}
