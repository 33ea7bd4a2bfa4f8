//! A fake of Launchpad's API on this machine.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// The answers to one path with its query; the last one stays.
type Answers = Vec<(u16, String)>;

/// A server with answers for some paths with their queries, and 404 for all others.
pub(super) struct FakeLaunchpad {
    pub(super) address: String,
    answers: Arc<Mutex<BTreeMap<String, Answers>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl FakeLaunchpad {
    pub(super) fn start() -> FakeLaunchpad {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/devel", listener.local_addr().unwrap());
        let launchpad = FakeLaunchpad { address, answers: Arc::default(), requests: Arc::default() };
        let (answers, requests) = (Arc::clone(&launchpad.answers), Arc::clone(&launchpad.requests));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
                let path = first.split(' ').nth(1).unwrap().trim_start_matches("/devel").to_owned();
                let (status, body) = match answers.lock().unwrap().get_mut(&path) {
                    None => (404, String::new()),
                    Some(answers) if answers.len() > 1 => answers.remove(0),
                    Some(answers) => answers[0].clone(),
                };
                requests.lock().unwrap().push(path);
                let later = if status == 429 { "Retry-After: 1\r\n" } else { "" };
                let length = body.len();
                let head =
                    format!("HTTP/1.1 {status} X\r\n{later}Content-Length: {length}\r\nConnection: close\r\n\r\n");
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok();
            }
        });
        launchpad
    }

    pub(super) fn respond(&self, path: &str, body: &Value) {
        self.respond_in_turn(path, &[(200, body.clone())]);
    }

    /// Answers with one after the other.
    pub(super) fn respond_in_turn(&self, path: &str, answers: &[(u16, Value)]) {
        let answers = answers.iter().map(|(status, body)| (*status, body.to_string())).collect();
        self.answers.lock().unwrap().insert(path.to_owned(), answers);
    }

    /// The paths with their queries that were asked for, in order.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}
