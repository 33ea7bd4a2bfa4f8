//! Requests over HTTP, with limits in time and size, retries where a repeat is safe, errors that say what was
//! asked of whom, and never a secret.
//!
//! RFC 9110 says what may be repeated (9.2.2) and how long to wait (10.2.3, Retry-After). No redirect is followed here:
//! whoever asks decides what may go to another host.

mod error_body;
mod network_env;
mod url;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ureq::{Agent, SendBody};

pub use error_body::printable;
pub use network_env::{NetworkEnv, Roots};
pub use ureq::http::{HeaderMap, Method};
pub use url::{Url, is_loopback};

use drydock_base::failure::Failure;

/// The largest answer that is read to the end for its words.
const LONGEST_REFUSAL: u64 = 64 << 10;
/// How long an answer of bounded size may take as a whole.
const LONGEST_READ: Duration = Duration::from_secs(300);

/// How long to wait, and how often to try.
#[derive(Clone)]
pub struct RetryPolicy {
    /// How often a request is sent at most.
    pub tries: u32,
    /// The wait before the second try; it doubles with each.
    pub first_wait: Duration,
    /// The longest wait. A server that asks for more gets no further try.
    pub longest_wait: Duration,
    /// For a connection to be made.
    pub connect: Duration,
    /// For the other side to say or take anything.
    pub silence: Duration,
    /// What time it is, and how it passes.
    pub clock: Arc<dyn Clock>,
}

impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy {
            tries: 6,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(120),
            clock: Arc::new(WallClock),
        }
    }
}

/// What time it is, and how it passes.
pub trait Clock: Send + Sync {
    /// The moment.
    fn now(&self) -> Timestamp;
    /// Lets time pass.
    fn sleep(&self, wait: Duration);
}

/// The true time.
#[derive(Debug, Clone, Copy)]
pub struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, wait: Duration) {
        std::thread::sleep(wait);
    }
}

impl RetryPolicy {
    /// How long to wait before another try, of which `tried` were made.
    pub fn wait(&self, tried: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(tried.saturating_sub(1));
        self.first_wait.saturating_mul(doubled).min(self.longest_wait)
    }

    /// How long to wait before another try, of which `tried` were made, when the server may have asked for some time.
    /// None when there is no further try.
    pub fn again(&self, tried: u32, asked: Option<Duration>) -> Option<Duration> {
        match asked {
            _ if tried >= self.tries => None,
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked.max(self.first_wait)),
            None => Some(self.wait(tried)),
        }
    }
}

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Whatever went wrong: doing it twice does no harm.
    Always,
    /// Only when the server says that it did nothing (429, 503).
    Refused,
    /// The caller sees to that.
    Never,
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// These bytes, perhaps none.
    Bytes(&'a [u8]),
    /// A part of a file.
    Part {
        /// The file; its position is neither used nor changed.
        file: &'a File,
        /// The first byte.
        from: u64,
        /// How many.
        length: u64,
    },
}

/// One request.
pub struct Request<'a> {
    /// GET, HEAD …
    pub method: Method,
    /// Of what.
    pub url: &'a Url,
    /// Names and values. A value that is no header is an error when it is sent.
    pub headers: Vec<(&'static str, String)>,
    /// With what.
    pub content: Content<'a>,
    /// How often.
    pub retry: Retry,
}

impl<'a> Request<'a> {
    /// A request without content. Those that RFC 9110 calls idempotent are repeated.
    pub fn new(method: Method, url: &'a Url) -> Request<'a> {
        let retry = if method.is_idempotent() { Retry::Always } else { Retry::Refused };
        Request { method, url, headers: Vec::new(), content: Content::None, retry }
    }

    /// With a header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// With content.
    #[must_use]
    pub fn content(mut self, content: Content<'a>) -> Request<'a> {
        self.content = content;
        self
    }

    /// Repeated otherwise.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Request<'a> {
        self.retry = retry;
        self
    }
}

/// One agent: its connections are kept and used again, by several threads at once.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    retry_policy: RetryPolicy,
}

impl Client {
    /// One for hosts that these certificates vouch for.
    pub fn new(retry_policy: RetryPolicy, roots: &Roots, proxy: Option<ureq::Proxy>) -> Client {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .user_agent(concat!("drydock/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .max_response_header_size(64 << 10)
            .max_idle_connections_per_host(8)
            .timeout_resolve(Some(retry_policy.connect))
            .timeout_connect(Some(retry_policy.connect))
            .timeout_per_read(Some(retry_policy.silence))
            .timeout_per_write(Some(retry_policy.silence))
            .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots.certificates()).build())
            .build()
            .new_agent();
        Client { agent, retry_policy }
    }

    /// How often and how long it tries.
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.retry_policy
    }

    /// Sends a request, and again where that is safe and of use. Every status is an answer.
    ///
    /// # Errors
    /// There is no answer.
    pub fn send(&self, call: &Request<'_>) -> anyhow::Result<Response> {
        let mut tried = 0;
        loop {
            tried += 1;
            let last = tried >= self.retry_policy.tries;
            match self.once(call) {
                Ok(answer) if !worth_again(answer.status, call.retry) => return Ok(answer),
                Ok(mut answer) => {
                    let asked = answer.retry_after(self.retry_policy.clock.now());
                    let Some(wait) = self.retry_policy.again(tried, asked) else { return Ok(answer) };
                    // Read, so that the connection can be used again.
                    drop(answer.bytes(LONGEST_REFUSAL));
                    self.retry_policy.clock.sleep(wait);
                }
                Err(error) if last || call.retry != Retry::Always || !passes(&error) => {
                    return Err(unanswered(call, &error, tried));
                }
                Err(_) => self.retry_policy.clock.sleep(self.retry_policy.wait(tried)),
            }
        }
    }

    fn once(&self, call: &Request<'_>) -> Result<Response, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(call.method.clone()).uri(call.url.whole());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let response = match call.content {
            Content::None => self.agent.run(request.body(())?)?,
            Content::Bytes(bytes) => self.agent.run(request.body(bytes)?)?,
            Content::Part { file, from, length } => {
                let mut part = Part { file, at: from, left: length };
                let request = request.header("content-length", length);
                self.agent.run(request.body(SendBody::from_reader(&mut part))?)?
            }
        };
        let (parts, body) = response.into_parts();
        Ok(Response {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
            method: call.method.clone(),
            url: call.url.clone(),
        })
    }
}

fn worth_again(status: u16, retry: Retry) -> bool {
    match retry {
        Retry::Always => matches!(status, 429 | 500 | 502 | 503 | 504),
        Retry::Refused => matches!(status, 429 | 503),
        Retry::Never => false,
    }
}

/// Whether the trouble may be gone the next time.
fn passes(error: &ureq::Error) -> bool {
    match error {
        // rustls reports a certificate that nobody vouches for so.
        ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
        ureq::Error::Timeout(_) | ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => true,
        // An answer that was cut.
        ureq::Error::Protocol(_) => true,
        _ => false,
    }
}

fn unanswered(call: &Request<'_>, error: &ureq::Error, tried: u32) -> anyhow::Error {
    let remedy = match error {
        ureq::Error::HostNotFound => "; is the host's name right?",
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "; is its certificate that of the host, from an authority that this machine trusts?"
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => "; does it run?",
        _ => "",
    };
    let times = if tried > 1 { format!(" {tried} times") } else { String::new() };
    let why = printable(&error.to_string());
    let what = format!("{} {} got no answer{times}", call.method, call.url);
    Failure::remote(format!("{why}{remedy}")).context(Unanswered(what))
}

/// What was asked when nobody answered.
#[derive(Debug)]
struct Unanswered(String);

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether an error of [`Client::send`] is that nobody answered, and not what was said.
pub fn is_unanswered(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Unanswered>().is_some()
}

struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        if read == 0 && most > 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent"));
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// What a server answered.
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    body: ureq::Body,
    method: Method,
    url: Url,
}

impl Response {
    /// A header's value, the first of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What was asked for.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The content, when it has at most so many bytes.
    ///
    /// # Errors
    /// It is cut, or longer.
    pub fn bytes(&mut self, most: u64) -> anyhow::Result<Vec<u8>> {
        let cannot = |why: &str| Failure::remote(format!("the answer to {} {} {why}", self.method, self.url));
        let started = std::time::Instant::now();
        let mut bytes = Vec::new();
        let mut reader = self.body.with_config().limit(u64::MAX).reader();
        let mut buffer = [0; 16 << 10];
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(cannot(&format!("was cut: {}", printable(&error.to_string())))),
            }
            if bytes.len() as u64 > most {
                return Err(cannot(&format!("is longer than {most} bytes")));
            }
            if started.elapsed() > LONGEST_READ {
                return Err(cannot("does not end"));
            }
        }
    }

    /// The content as it comes, of any length; a pause longer than [`RetryPolicy::silence`] is an error.
    pub fn stream(&mut self) -> impl Read + '_ {
        self.body.with_config().limit(u64::MAX).reader()
    }

    /// How long the server asks to wait: seconds, or a date.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        error_body::retry_after(self.header("retry-after")?, now)
    }

    /// The error that this answer is: who was asked for what, and what was said.
    pub fn refusal(mut self, remedy: &str) -> anyhow::Error {
        let wait = self.retry_after(Timestamp::now()).filter(|_| self.status == 429 || self.status == 503);
        let said = self.bytes(LONGEST_REFUSAL).ok().and_then(|bytes| error_body::words(&bytes));
        let mut text = format!("{} {} was answered with {}", self.method, self.url, error_body::status(self.status));
        if let Some(said) = said {
            text.push_str(&format!(": {said}"));
        }
        if let Some(wait) = wait {
            text.push_str(&format!("; it asks to be left alone for {} s", wait.as_secs()));
        }
        if !remedy.is_empty() {
            text.push_str(&format!("; {remedy}"));
        }
        Failure::remote(text)
    }
}
