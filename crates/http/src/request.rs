//! Requests as values.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::Method;
use tokio::time::Sleep;

use crate::retry::Retry;
use crate::url::Url;

/// The wait for a refusal before the content of a request that expects `100 Continue`. The client below does not show the
/// interim response, so the content follows after this time, as curl sends it when no response comes (RFC 9110, 10.1.1).
const CONTINUE: Duration = Duration::from_secs(1);
/// A file is read in pieces of this many bytes.
const PIECE: usize = 64 << 10;

/// The content of a request.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// None.
    None,
    /// These bytes, perhaps none.
    Bytes(&'a [u8]),
    /// A part of a file.
    Part {
        /// The file; its position is neither used nor changed.
        file: &'a File,
        /// The offset of the first byte.
        from: u64,
        /// The number of bytes.
        length: u64,
    },
}

/// One request.
pub struct Request<'a> {
    /// The method: GET, HEAD …
    pub method: Method,
    /// The address.
    pub url: &'a Url,
    /// Names and values. A value that cannot be a header is an error when the request is sent.
    pub headers: Vec<(&'static str, String)>,
    /// The content.
    pub content: Content<'a>,
    /// When it may be sent again.
    pub retry: Retry,
}

impl Content<'_> {
    /// Whether nothing is sent.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Content::None => true,
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Part { length, .. } => *length == 0,
        }
    }

    /// The number of bytes that are counted while they are sent.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Content::None | Content::Bytes(_) => 0,
            Content::Part { length, .. } => *length,
        }
    }
}

impl<'a> Request<'a> {
    /// A request without content. Those that RFC 9110 calls idempotent are retried.
    pub fn new(method: Method, url: &'a Url) -> Request<'a> {
        let retry = if method.is_idempotent() { Retry::Always } else { Retry::Refused };
        Request { method, url, headers: Vec::new(), content: Content::None, retry }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request<'a> {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the content.
    #[must_use]
    pub fn content(mut self, content: Content<'a>) -> Request<'a> {
        self.content = content;
        self
    }

    /// Sets when it may be sent again.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Request<'a> {
        self.retry = retry;
        self
    }
}

/// A part of a file as the content of a request, read as it is sent, without moving the file's position.
pub(crate) struct Part {
    file: File,
    at: u64,
    left: u64,
    sent: Arc<AtomicU64>,
    pause: Pause,
}

/// The wait before the first byte of a content.
enum Pause {
    Due,
    Running(Pin<Box<Sleep>>),
    Over,
}

impl Part {
    /// `length` bytes from the offset `from`. `sent` counts those that were handed to the connection. With `waits`, they
    /// are sent only after a second without a response.
    pub(crate) fn new(file: &File, from: u64, length: u64, sent: Arc<AtomicU64>, waits: bool) -> io::Result<Part> {
        let pause = if waits { Pause::Due } else { Pause::Over };
        Ok(Part { file: file.try_clone()?, at: from, left: length, sent, pause })
    }

    fn next(&mut self) -> io::Result<Bytes> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(PIECE);
        let mut piece = vec![0; length];
        self.file.read_exact_at(&mut piece, self.at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "the file became shorter while it was sent"),
            _ => error,
        })?;
        self.at += length as u64;
        self.left -= length as u64;
        self.sent.fetch_add(length as u64, Ordering::Relaxed);
        Ok(piece.into())
    }
}

impl http_body::Body for Part {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if matches!(self.pause, Pause::Due) {
            self.pause = Pause::Running(Box::pin(tokio::time::sleep(CONTINUE)));
        }
        if let Pause::Running(sleep) = &mut self.pause {
            ready!(sleep.as_mut().poll(context));
            self.pause = Pause::Over;
        }
        if self.left == 0 { Poll::Ready(None) } else { Poll::Ready(Some(self.next().map(Frame::data))) }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
