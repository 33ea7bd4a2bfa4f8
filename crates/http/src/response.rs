//! Responses, read with limits.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use jiff::Timestamp;
use reqwest::Method;
use reqwest::header::HeaderMap;
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::error_body;
use crate::url::Url;

/// The largest refusal that is read for what it says, in bytes.
pub(crate) const LONGEST_REFUSAL: u64 = 64 << 10;
/// The time that the content of a response of bounded size may take as a whole.
const LONGEST_READ: Duration = Duration::from_secs(300);

/// The response of a server: its head, and its content as it comes.
pub struct Response {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    content: Content,
    method: Method,
    url: Url,
}

impl Response {
    pub(crate) fn new(
        mut response: reqwest::Response,
        runtime: Arc<Runtime>,
        silence: Duration,
        method: Method,
        url: Url,
    ) -> Response {
        let headers = std::mem::take(response.headers_mut());
        let status = response.status().as_u16();
        Response { status, headers, content: Content { response, runtime, silence, rest: Bytes::new() }, method, url }
    }

    /// The value of a header, the first of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// All values of a header, of which a response may have several.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok())
    }

    /// Whether the status is one of 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The address that was asked.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The content, of at most `most` bytes.
    ///
    /// # Errors
    /// [`Error::BadContent`]: it is cut, longer, or takes more than five minutes.
    pub fn bytes(&mut self, most: u64) -> Result<Vec<u8>, Error> {
        let started = std::time::Instant::now();
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 << 10];
        let reason = loop {
            match self.content.read(&mut buffer) {
                Ok(0) => return Ok(bytes),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error) => break format!("was cut: {}", crate::printable(&error.to_string())),
            }
            if bytes.len() as u64 > most {
                break format!("is longer than {most} bytes");
            }
            if started.elapsed() > LONGEST_READ {
                break "does not end".to_owned();
            }
        };
        Err(Error::BadContent { method: self.method.clone(), url: Box::new(self.url.clone()), reason: reason.into() })
    }

    /// The content as it comes, of any length; a pause longer than [`crate::RetryPolicy::silence`] is an error.
    pub fn stream(&mut self) -> impl Read + '_ {
        &mut self.content
    }

    /// The wait that the server asks for (`Retry-After`): seconds, or a date.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        error_body::retry_after(self.header("retry-after")?, now)
    }

    /// The error that this response is: the request, the status, what the server says, and `remedy`.
    pub fn refusal(mut self, remedy: &str) -> Error {
        let retry_after = self.retry_after(Timestamp::now()).filter(|_| self.status == 429 || self.status == 503);
        let message = self.bytes(LONGEST_REFUSAL).ok().and_then(|bytes| error_body::words(&bytes));
        let (method, url, status) = (self.method, Box::new(self.url), self.status);
        Error::Refused { method, url, status, message: message.map(Into::into), retry_after, remedy: remedy.into() }
    }
}

/// The content of a response as it comes.
struct Content {
    response: reqwest::Response,
    runtime: Arc<Runtime>,
    silence: Duration,
    /// Bytes that arrived and were not read yet.
    rest: Bytes,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() && !buffer.is_empty() {
            let next = async { tokio::time::timeout(self.silence, self.response.chunk()).await };
            match self.runtime.block_on(next) {
                Ok(Ok(Some(bytes))) => self.rest = bytes,
                Ok(Ok(None)) => return Ok(0),
                Ok(Err(error)) => return Err(io::Error::other(error)),
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
        let length = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}
