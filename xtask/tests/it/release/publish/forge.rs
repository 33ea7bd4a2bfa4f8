//! GitHub's releases on this machine: a server that behaves as GitHub does for drafts, files and immutable releases, and that fails
//! as a test asks it to.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

/// The token that the server wants, and that no other host may see.
pub(super) const TOKEN: &str = "ghp_s3cretTokenThatNobodySees";

/// A release.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StoredRelease {
    id: u64,
    pub(super) tag: String,
    pub(super) draft: bool,
    pub(super) prerelease: bool,
    /// The names and contents; a file whose upload was cut has none.
    pub(super) assets: BTreeMap<String, (u64, Option<Vec<u8>>)>,
}

/// A failure, for requests whose method and path begin with a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// This status and `Retry-After`, without doing anything.
    Status(u16, Option<u32>),
    /// The request is served, and the connection is closed before the response.
    Lost,
    /// The request is served, and half of the response is sent.
    Truncated,
    /// Half of what is uploaded is kept, as a file that is not whole.
    Cut,
}

/// What the server has.
#[derive(Default)]
pub(super) struct State {
    pub(super) tags: BTreeMap<String, String>,
    pub(super) releases: Vec<StoredRelease>,
    pub(super) latest: String,
    pub(super) fault: Option<(&'static str, Fault)>,
    next: u64,
    /// Requests that change something, as `POST /path`.
    pub(super) changes: Vec<String>,
}

/// The server; its thread ends with the process.
pub(super) struct Forge {
    pub(super) address: String,
    state: Arc<Mutex<State>>,
}

impl Forge {
    pub(super) fn start() -> Forge {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let forge = Forge { address: address.clone(), state: Arc::default() };
        let state = Arc::clone(&forge.state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away is no concern of the server.
                serve(stream, &address, &mut state.lock().unwrap()).ok();
            }
        });
        forge
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

fn serve(stream: TcpStream, address: &str, state: &mut State) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (mut length, mut has_token) = (0, false);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header)? <= 2 {
            break;
        }
        has_token |= header.contains(TOKEN);
        let lower = header.to_ascii_lowercase();
        length = lower.strip_prefix("content-length:").map_or(length, |text| text.trim().parse().unwrap());
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = line.rsplit_once(' ').map_or("", |(request, _)| request);
    if !request.starts_with("GET") {
        state.changes.push(request.split('?').next().unwrap().to_owned());
    }
    let fault = state.fault.clone().filter(|(start, _)| request.starts_with(start)).map(|(_, fault)| fault);
    let mut stream = reader.into_inner();
    let (status, more, content) = match &fault {
        Some(Fault::Status(status, wait)) => {
            let more = wait.map_or_else(String::new, |wait| format!("retry-after: {wait}\r\n"));
            (*status, more, br#"{"message": "no"}"#.to_vec())
        }
        _ => {
            let half = body.len() / 2;
            let kept = if fault == Some(Fault::Cut) { &body[..half] } else { &body };
            answer(request, kept, fault == Some(Fault::Cut), has_token, address, state)
        }
    };
    let sent = match fault {
        Some(Fault::Lost | Fault::Cut) => return Ok(()),
        Some(Fault::Truncated) => &content[..content.len() / 2],
        Some(Fault::Status(..)) | None => &content,
    };
    let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n", content.len());
    stream.write_all(head.as_bytes())?;
    stream.write_all(sent)
}

fn answer(
    request: &str,
    body: &[u8],
    is_cut: bool,
    has_token: bool,
    address: &str,
    state: &mut State,
) -> (u16, String, Vec<u8>) {
    let said = |status: u16, value: Value| (status, String::new(), value.to_string().into_bytes());
    let refused = |status: u16, text: &str| said(status, json!({"message": text}));
    let (method, path) = request.split_once(' ').unwrap();
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let assets = |state: &State, id: u64| {
        state
            .releases
            .iter()
            .flat_map(|one| &one.assets)
            .find(|(_, one)| one.0 == id)
            .and_then(|(_, one)| one.1.clone())
    };
    if let Some(id) = path.strip_prefix("/blob/") {
        // The link is the permission: a token here would be one that leaked.
        let content = assets(state, id.parse().unwrap()).unwrap_or_default();
        return if has_token { refused(400, "a token leaked") } else { (200, String::new(), content) };
    }
    if !has_token {
        return refused(401, "Bad credentials");
    }
    let path = path.strip_prefix("/uploads").unwrap_or(path).strip_prefix("/repos/o/r").unwrap_or("/nowhere");
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let number = |text: &str| text.parse::<u64>().unwrap_or(0);
    match (method, parts.as_slice()) {
        ("GET", []) => said(200, json!({})),
        ("GET", ["git", "ref", "tags", tag]) => match state.tags.get(*tag) {
            Some(object) => said(200, json!({"ref": tag, "object": {"type": "tag", "sha": object}})),
            None => refused(404, "Not Found"),
        },
        ("GET", ["releases"]) => {
            // One release a page.
            let page: usize = query.rsplit_once("page=").and_then(|(_, page)| page.parse().ok()).unwrap_or(1);
            let page = if query.contains("&page=") { page } else { 1 };
            let list: Vec<Value> =
                state.releases.iter().skip(page - 1).take(1).map(|one| shown(one, address)).collect();
            let (status, _, content) = said(200, Value::Array(list));
            let next = format!("link: <{address}/repos/o/r/releases?per_page=100&page={}>; rel=\"next\"\r\n", page + 1);
            (status, if page < state.releases.len() { next } else { String::new() }, content)
        }
        ("POST", ["releases"]) => {
            let new: Value = serde_json::from_slice(body).unwrap();
            state.next += 1;
            let release = StoredRelease {
                id: state.next,
                tag: new["tag_name"].as_str().unwrap().to_owned(),
                draft: new["draft"].as_bool().unwrap(),
                prerelease: new["prerelease"].as_bool().unwrap(),
                assets: BTreeMap::new(),
            };
            let value = shown(&release, address);
            state.releases.push(release);
            said(201, value)
        }
        ("PATCH", ["releases", id]) => {
            let change: Value = serde_json::from_slice(body).unwrap();
            let release = state.releases.iter_mut().find(|one| one.id == number(id)).unwrap();
            release.draft = change["draft"].as_bool().unwrap();
            if change["make_latest"] == "true" {
                state.latest.clone_from(&release.tag);
            }
            said(200, shown(release, address))
        }
        ("GET", ["releases", id, "assets"]) => {
            let release = state.releases.iter().find(|one| one.id == number(id)).unwrap();
            let one = |(name, (id, content)): (&String, &(u64, Option<Vec<u8>>))| {
                let status = if content.is_some() { "uploaded" } else { "starter" };
                json!({"id": id, "name": name, "state": status, "size": content.as_ref().map_or(0, Vec::len)})
            };
            said(200, release.assets.iter().map(one).collect())
        }
        ("POST", ["releases", id, "assets"]) => {
            state.next += 1;
            let next = state.next;
            let release = state.releases.iter_mut().find(|one| one.id == number(id)).unwrap();
            let name = query.strip_prefix("name=").unwrap().to_owned();
            if !release.draft {
                return refused(422, "Cannot upload assets to an immutable release.");
            }
            if release.assets.contains_key(&name) {
                return said(422, json!({"message": "Validation Failed", "errors": [{"code": "already_exists"}]}));
            }
            release.assets.insert(name, (next, (!is_cut).then(|| body.to_vec())));
            said(201, json!({"id": next}))
        }
        ("GET", ["releases", "assets", id]) => match assets(state, number(id)) {
            Some(_) => (302, format!("location: {address}/blob/{id}\r\n"), Vec::new()),
            None => refused(404, "Not Found"),
        },
        ("DELETE", ["releases", "assets", id]) => {
            let release = state.releases.iter_mut().find(|one| one.assets.values().any(|one| one.0 == number(id)));
            let release = release.unwrap();
            if !release.draft {
                return refused(422, "Cannot delete asset from an immutable release");
            }
            release.assets.retain(|_, one| one.0 != number(id));
            (204, String::new(), Vec::new())
        }
        _ => refused(404, "Not Found"),
    }
}

fn shown(release: &StoredRelease, address: &str) -> Value {
    let StoredRelease { id, tag, draft, prerelease, .. } = release;
    json!({
        "id": id, "tag_name": tag, "draft": draft, "prerelease": prerelease, "immutable": !draft,
        "upload_url": format!("{address}/uploads/repos/o/r/releases/{id}/assets{{?name,label}}"),
        "html_url": format!("https://github.com/o/r/releases/{id}"),
    })
}
