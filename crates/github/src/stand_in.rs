//! GitHub's releases on this machine, for rehearsals and tests: a server that behaves as GitHub does for tags, drafts, files and
//! immutable releases, and that fails as a test asks it to. It never leaves the machine.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

mod answers;

/// The longest request that is read, in bytes.
const LONGEST: usize = 1 << 30;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRelease {
    /// Its number.
    pub id: u64,
    /// The name of its tag.
    pub tag: String,
    /// The text.
    pub body: String,
    /// Whether only maintainers see it.
    pub draft: bool,
    /// Whether it is not a full release.
    pub prerelease: bool,
    /// The numbers and contents of its files by their names; a file whose upload was cut has no content.
    pub assets: BTreeMap<String, (u64, Option<Vec<u8>>)>,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This status and `Retry-After`, without doing anything.
    Status(u16, Option<u32>),
    /// The request is served, and the connection is closed before the response.
    Lost,
    /// The request is served, and half of the response is sent.
    Truncated,
    /// Half of what is uploaded is kept, as a file that is not whole.
    Cut,
    /// The request is served after this many milliseconds.
    Slow(u64),
}

/// What the server has.
#[derive(Debug, Default)]
pub struct State {
    /// The objects of tags by their names.
    pub tags: BTreeMap<String, String>,
    /// The releases, the oldest first.
    pub releases: Vec<StoredRelease>,
    /// The tag of the latest release; empty without one.
    pub latest: String,
    /// What fails: requests whose method and path begin with this text.
    pub fault: Option<(String, Fault)>,
    /// The last number that was given.
    next: u64,
    /// Requests that change something, as `POST /path`.
    pub changes: Vec<String>,
    /// The address that clients use; the server's own if empty.
    pub public: String,
}

/// The server; its thread ends with the process.
#[derive(Debug)]
pub struct StandIn {
    /// Its address, such as `http://127.0.0.1:1234`.
    pub address: String,
    state: Arc<Mutex<State>>,
}

/// A request.
struct Request {
    /// The method, the path and the query, as `GET /path?a=b`.
    line: String,
    body: Vec<u8>,
    has_token: bool,
}

/// A response.
struct Answer {
    status: u16,
    /// Headers, each with its line end.
    more: String,
    content: Vec<u8>,
}

impl StandIn {
    /// Starts a server on a free port. It serves the repository `repository`, as `OWNER/NAME`, to those who have the token.
    ///
    /// # Errors
    /// No port can be opened.
    pub fn start(repository: &str, token: &str) -> io::Result<StandIn> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = format!("http://{}", listener.local_addr()?);
        let state: Arc<Mutex<State>> = Arc::default();
        let stand_in = StandIn { address: address.clone(), state: Arc::clone(&state) };
        let prefix = format!("/repos/{repository}");
        let token = token.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                // A client that went away is no concern of the server.
                serve(stream, &address, &prefix, &token, &mut state).ok();
            }
        });
        Ok(stand_in)
    }

    /// What it has, which can be changed.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn serve(stream: TcpStream, address: &str, prefix: &str, token: &str, state: &mut State) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let request = read(&mut reader, token)?;
    let mut stream = reader.into_inner();
    if !request.line.starts_with("GET") && !request.line.ends_with("/generate-notes") {
        state.changes.push(request.line.split('?').next().unwrap_or_default().to_owned());
    }
    let fault =
        state.fault.clone().filter(|(start, _)| request.line.starts_with(start.as_str())).map(|(_, fault)| fault);
    if let Some(Fault::Slow(time)) = fault {
        std::thread::sleep(std::time::Duration::from_millis(time));
    }
    let answer = if let Some(Fault::Status(status, wait)) = fault {
        let more = wait.map_or_else(String::new, |wait| format!("retry-after: {wait}\r\n"));
        Answer { status, more, content: br#"{"message": "no"}"#.to_vec() }
    } else {
        let public = if state.public.is_empty() { address.to_owned() } else { state.public.clone() };
        let is_cut = fault == Some(Fault::Cut);
        answers::Server { address, public: &public, prefix, state }.answer(&request, is_cut)
    };
    let sent = match fault {
        Some(Fault::Lost | Fault::Cut) => return Ok(()),
        Some(Fault::Truncated) => &answer.content[..answer.content.len() / 2],
        Some(Fault::Status(..) | Fault::Slow(_)) | None => &answer.content,
    };
    let Answer { status, more, content } = &answer;
    let kind = if more.contains("content-type") { "" } else { "content-type: application/json; charset=utf-8\r\n" };
    let length = content.len();
    stream.write_all(
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{kind}{more}\r\n").as_bytes(),
    )?;
    stream.write_all(sent)
}

fn read(reader: &mut BufReader<TcpStream>, token: &str) -> io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut length, mut has_token) = (0, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        has_token |= header.contains(token);
        let lower = header.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().ok().filter(|length| *length <= LONGEST).ok_or(io::ErrorKind::InvalidData)?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let line = line.rsplit_once(' ').map_or_else(String::new, |(request, _)| request.to_owned());
    Ok(Request { line, body, has_token })
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn release(&mut self, id: u64) -> Option<&mut StoredRelease> {
        self.releases.iter_mut().find(|release| release.id == id)
    }

    fn asset(&self, id: u64) -> Option<&[u8]> {
        let assets = self.releases.iter().flat_map(|release| release.assets.values());
        assets.filter(|(found, _)| *found == id).find_map(|(_, content)| content.as_deref())
    }
}

impl Answer {
    fn json(status: u16, value: &Value) -> Answer {
        Answer { status, more: String::new(), content: value.to_string().into_bytes() }
    }

    fn refused(status: u16, text: &str) -> Answer {
        Answer::json(status, &serde_json::json!({"message": text}))
    }
}
