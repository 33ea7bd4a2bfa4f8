//! GitHub on this machine: a server whose responses are made of those in GitHub's own description, and Prism in front of it,
//! which refuses what the description does not allow, in requests and in responses.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;

use crate::support::{need_tool, wait_for};

/// A token that must not be seen anywhere.
pub(crate) const SECRET: &str = "ghp_s3cretTokenThatNobodySees";

/// A part of GitHub's description of its API: `@octokit/openapi` 23.0.2, the operations that Drydock uses.
fn description() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/github/api.json")
}

/// An example of the description, to be changed where a test needs it.
pub(crate) fn example(name: &str) -> Value {
    let text = std::fs::read(description()).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let found = &all["components"]["examples"][name]["value"];
    assert!(found.is_object() || found.is_array(), "there is no example {name}");
    found.clone()
}

/// A request: `GET /path`, and whether it has the token.
#[derive(Debug, Clone)]
pub(crate) struct Got {
    pub(crate) line: String,
    pub(crate) has_token: bool,
}

/// A response: status, headers and content.
pub(crate) struct Said(pub(crate) u16, pub(crate) Vec<(&'static str, String)>, pub(crate) Vec<u8>);

impl Said {
    pub(crate) fn json(status: u16, value: &Value) -> Said {
        Said(
            status,
            vec![("content-type", "application/json; charset=utf-8".into())],
            serde_json::to_vec(value).unwrap(),
        )
    }
}

/// A server; its thread ends with the process.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) got: Arc<Mutex<Vec<Got>>>,
}

impl Server {
    pub(crate) fn new(mut script: impl FnMut(&str) -> Said + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&got);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let Some(line) = lines.next().and_then(|first| Some(first.strip_suffix(" HTTP/1.1")?.to_owned()))
                else {
                    continue;
                };
                let headers: Vec<String> = lines.take_while(|header| !header.is_empty()).collect();
                let has_token = headers.iter().any(|header| header.contains(SECRET));
                notes.lock().unwrap().push(Got { line: line.clone(), has_token });
                let Said(status, headers, content) = script(&line);
                let mut head =
                    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", content.len());
                headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
                stream.write_all(format!("{head}\r\n").as_bytes()).and_then(|()| stream.write_all(&content)).ok();
            }
        });
        Server { address, got }
    }

    /// The requests, as `GET /path`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.got.lock().unwrap().iter().map(|got| got.line.clone()).collect()
    }
}

/// Prism in front of a server; killed when dropped.
pub(crate) struct Prism {
    child: Child,
    pub(crate) address: String,
}

impl Prism {
    /// `None` if Prism is missing.
    pub(crate) fn start(upstream: &str) -> Option<Prism> {
        if !need_tool("prism", "npm, and what `cargo xtask doctor check` says of prism") {
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("prism");
        command.args(["proxy", "--errors", "--port", &port.to_string()]).arg(description()).arg(upstream);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let prism = Prism { child: quiet.spawn().unwrap(), address: format!("http://127.0.0.1:{port}") };
        let up = wait_for(Duration::from_secs(30), || TcpStream::connect(("127.0.0.1", port)).ok());
        assert!(up.is_some(), "prism does not start");
        Some(prism)
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
