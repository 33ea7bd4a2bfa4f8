//! A very small HTTP server: one thread, one request a connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::status::{self, Status};

const MAX_HEAD: usize = 8192;
const MAX_HEADERS: usize = 64;

/// A client that is slower than this is dropped: others are waiting.
const PATIENCE: Duration = Duration::from_secs(5);

pub struct Server {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1.
    pub fn start(status: Arc<Mutex<Status>>) -> io::Result<Server> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stop_seen = Arc::clone(&stop);
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || {
            for stream in listener.incoming() {
                if stop_seen.load(Ordering::SeqCst) {
                    break;
                }
                // A client's trouble is the client's.
                let _ = stream.and_then(|stream| answer(stream, &status));
            }
        })?;
        Ok(Server { address, stop, thread })
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        // The thread waits for a connection: give it one.
        if TcpStream::connect(self.address).is_ok() {
            let _ = self.thread.join();
        }
    }
}

enum Head {
    Get(String),
    OtherMethod,
    Malformed,
}

fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let mut head = Vec::new();
    let mut block = [0; 1024];
    loop {
        let n = stream.read(&mut block)?;
        head.extend_from_slice(&block[..n]);
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&head) {
            Ok(httparse::Status::Complete(_)) => {
                return Ok(match (request.method, request.path) {
                    (Some("GET"), Some(path)) => Head::Get(path.to_owned()),
                    _ => Head::OtherMethod,
                })
            }
            Ok(httparse::Status::Partial) if n > 0 && head.len() <= MAX_HEAD => {}
            Ok(httparse::Status::Partial) | Err(_) => return Ok(Head::Malformed),
        }
    }
}

fn answer(mut stream: TcpStream, status: &Mutex<Status>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let (code, content_type, body) = match read_head(&mut stream)? {
        Head::Get(path) if path == "/status" => {
            let mut status = status::lock(status);
            status.requests += 1;
            ("200 OK", "application/json", status.to_json())
        }
        Head::Get(_) => ("404 Not Found", "text/plain", "try /status\n".to_owned()),
        Head::OtherMethod => ("405 Method Not Allowed", "text/plain", "only GET\n".to_owned()),
        Head::Malformed => ("400 Bad Request", "text/plain", "not HTTP\n".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
        code,
        content_type,
        body.len(),
        body
    )?;
    stream.shutdown(Shutdown::Write)
}
