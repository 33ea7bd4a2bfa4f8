//! A proxy in front of a registry that makes things go wrong: it cuts connections, answers in the registry's place and
//! changes content, as its script says. It counts requests and forwards all others.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request, as the client sent it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) length: usize,
    /// The number of earlier requests of this method.
    pub(crate) before: usize,
    /// The content of a POST, which is read before anything is decided.
    pub(crate) form: String,
}

impl Request {
    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The handling of a request.
pub(crate) enum Act {
    /// The request and the response are forwarded.
    Pass,
    /// The client gets this status, headers and content; the registry never gets the request.
    Response(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The client gets this response before any of its content is read; then the connection ends.
    Refuse(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// The registry gets so much of the content, something happens, then both connections end.
    CutContent(usize, Box<dyn FnOnce() + Send>),
    /// The registry gets so much of the content as if that were all of it; then the client's connection ends, and later
    /// requests for that upload are about what the registry has by then.
    KeepContent(usize),
    /// The client gets so much of the response's content, then its connection ends.
    CutAnswer(usize),
    /// The registry serves the request, and the client's connection ends without a response.
    LoseAnswer,
    /// The client gets the changed content of the response, under the same headers.
    Change(fn(Vec<u8>) -> Vec<u8>),
    /// The client gets the response with this header in place of the registry's.
    Header(&'static str, String),
    /// Something happens, and the client's connection ends.
    Happen(Box<dyn FnOnce() + Send>),
}

type Script = dyn Fn(&Request) -> Act + Send + Sync;

/// The proxy. It ends when dropped.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    script: Mutex<Arc<Script>>,
    seen: Mutex<Vec<Request>>,
    content: Mutex<usize>,
    /// The path at which an upload continues, by the path that the client knows.
    moved: Mutex<HashMap<String, String>>,
    stop: AtomicBool,
}

impl Proxy {
    /// A proxy in front of the registry at `upstream`, `HOST:PORT`.
    pub(crate) fn start(upstream: &str, script: impl Fn(&Request) -> Act + Send + Sync + 'static) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            script: Mutex::new(Arc::new(script)),
            seen: Mutex::default(),
            content: Mutex::default(),
            moved: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let server = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if server.stop.load(Ordering::SeqCst) {
                    break;
                }
                let server = server.clone();
                thread::spawn(move || server.serve(&stream).map_err(|_| stream.shutdown(Shutdown::Both)));
            }
        });
        Proxy { port, shared }
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Replaces the script for later requests.
    pub(crate) fn script(&self, script: impl Fn(&Request) -> Act + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(script);
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The number of requests with a method and a target that contains `part`.
    pub(crate) fn count(&self, method: &str, part: &str) -> usize {
        self.seen().iter().filter(|request| request.method == method && request.target.contains(part)).count()
    }

    /// The number of bytes of content that came from the client.
    pub(crate) fn content(&self) -> usize {
        *self.shared.content.lock().unwrap()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        TcpStream::connect(("127.0.0.1", self.port)).ok();
    }
}

impl Shared {
    fn serve(&self, client: &TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut input = BufReader::new(client);
        while let Some(mut request) = read_request(&mut input)? {
            let mut form = vec![0; if request.method == "POST" { request.length } else { 0 }];
            input.read_exact(&mut form)?;
            request.form = String::from_utf8_lossy(&form).into_owned();
            let act = {
                let mut seen = self.seen.lock().unwrap();
                request.before = seen.iter().filter(|known| known.method == request.method).count();
                seen.push(request.clone());
                drop(seen);
                let script = self.script.lock().unwrap().clone();
                script(&request)
            };
            let asks = request.header("expect").is_some();
            if let Act::Refuse(status, headers, content) = act {
                let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                send(client, &request, &Response { status, headers, content }, None)?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if asks {
                (&mut &*client).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
            }
            let path = request.target.split('?').next().unwrap().to_owned();
            if let Some(target) = self.moved.lock().unwrap().get(&path) {
                let digest = request.target.split(['?', '&']).find(|part| part.starts_with("digest="));
                request.target = digest.map_or_else(|| target.clone(), |digest| format!("{target}&{digest}"));
            }
            let most = match act {
                Act::CutContent(most, _) | Act::KeepContent(most) => most.min(request.length),
                _ => request.length,
            };
            let mut content = if form.is_empty() { vec![0; most] } else { form.clone() };
            let unread = if form.is_empty() { most } else { 0 };
            for part in content[..unread].chunks_mut(64 << 10) {
                input.read_exact(part)?;
                *self.content.lock().unwrap() += part.len();
            }
            let cut = if let Act::CutAnswer(most) = act { Some(most) } else { None };
            let change = if let Act::Change(change) = act { Some(change) } else { None };
            let mut answer = match act {
                Act::Happen(what) => {
                    what();
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Act::Response(status, headers, content) | Act::Refuse(status, headers, content) => {
                    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
                    Response { status, headers, content }
                }
                Act::CutContent(_, what) => {
                    self.ask(&request, request.length, &content, true)?;
                    what();
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Act::KeepContent(_) => {
                    let answer = self.ask(&request, content.len(), &content, false)?;
                    let location = answer.header("location").unwrap();
                    let target = location.splitn(4, '/').nth(3).map(|rest| format!("/{rest}")).unwrap();
                    self.moved.lock().unwrap().insert(path, target);
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Act::LoseAnswer => {
                    self.ask(&request, content.len(), &content, false)?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                Act::Header(name, value) => {
                    let mut answer = self.ask(&request, content.len(), &content, false)?;
                    answer.headers.retain(|(known, _)| known != name);
                    answer.headers.push((name.to_owned(), value));
                    answer
                }
                Act::Pass | Act::CutAnswer(_) | Act::Change(_) => self.ask(&request, content.len(), &content, false)?,
            };
            if answer.status < 300 && request.method != "GET" {
                self.moved.lock().unwrap().remove(&path);
            }
            if let Some(change) = change {
                answer.content = change(answer.content);
            }
            send(client, &request, &answer, cut)?;
        }
        Ok(())
    }

    /// Asks the registry, over a connection of its own.
    fn ask(&self, request: &Request, length: usize, content: &[u8], cut: bool) -> io::Result<Response> {
        let mut stream = TcpStream::connect(&self.upstream)?;
        stream.set_nodelay(true)?;
        let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
        for (name, value) in &request.headers {
            if !matches!(name.as_str(), "connection" | "content-length" | "expect") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if length > 0 || request.header("content-length").is_some() {
            head.push_str(&format!("content-length: {length}\r\n"));
        }
        head.push_str("connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        stream.write_all(content)?;
        if cut {
            // So that the registry has read it before it sees the end.
            thread::sleep(std::time::Duration::from_millis(100));
            return Ok(Response { status: 0, headers: Vec::new(), content: Vec::new() });
        }
        let mut input = BufReader::new(stream);
        let (first, headers) = read_head(&mut input)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
        let mut answer = Response { status, headers, content: Vec::new() };
        if request.method != "HEAD" {
            match answer.header("content-length").and_then(|text| text.parse::<u64>().ok()) {
                Some(length) => drop(input.take(length).read_to_end(&mut answer.content)?),
                None if answer.header("transfer-encoding").is_some() => answer.content = read_chunks(&mut input)?,
                None => drop(input.read_to_end(&mut answer.content)?),
            }
        }
        Ok(answer)
    }
}

struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    content: Vec<u8>,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn send(mut client: &TcpStream, request: &Request, answer: &Response, cut: Option<usize>) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
    let is_head = request.method == "HEAD";
    for (name, value) in &answer.headers {
        let hop = matches!(name.as_str(), "connection" | "transfer-encoding" | "keep-alive");
        if !(hop || name == "content-length" && !is_head) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !is_head && answer.status != 204 {
        head.push_str(&format!("content-length: {}\r\n", answer.content.len()));
    }
    head.push_str("\r\n");
    client.write_all(head.as_bytes())?;
    if !is_head {
        let most = cut.unwrap_or(usize::MAX).min(answer.content.len());
        client.write_all(&answer.content[..most])?;
        if cut.is_some() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}

fn read_request(input: &mut impl BufRead) -> io::Result<Option<Request>> {
    let Some((first, headers)) = read_head(input)? else { return Ok(None) };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { method, target, headers, length: 0, before: 0, form: String::new() };
    request.length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    Ok(Some(request))
}

type Head = (String, Vec<(String, String)>);

fn read_head(input: &mut impl BufRead) -> io::Result<Option<Head>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
    Ok(lines.first().cloned().map(|first| (first, headers)))
}

fn read_chunks(input: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        let mut chunk = vec![0; length + 2];
        input.read_exact(&mut chunk)?;
        if length == 0 {
            return Ok(content);
        }
        content.extend_from_slice(&chunk[..length]);
    }
}
