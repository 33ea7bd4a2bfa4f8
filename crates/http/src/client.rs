//! The client: connections that are kept and used again, by several threads at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Body;
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::network_env::{Proxy, Roots};
use crate::request::{Content, Part, Request};
use crate::response::{LONGEST_REFUSAL, Response};
use crate::retry::{Retry, RetryPolicy};

/// Connections to one host that are kept when nobody uses them.
const IDLE_CONNECTIONS: usize = 8;

/// A client for hosts that certain authorities vouch for, perhaps behind a proxy.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    /// Its one thread drives the connections, also between two requests, so that one that was closed is noticed.
    runtime: Arc<Runtime>,
    policy: RetryPolicy,
}

impl Client {
    /// Makes a client. No connection is opened yet.
    ///
    /// # Errors
    /// [`Error::Setup`]: the certificates or the proxy cannot be used.
    pub fn new(policy: RetryPolicy, roots: &Roots, proxy: Option<&Proxy>) -> Result<Client, Error> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(concat!("drydock/", env!("CARGO_PKG_VERSION")))
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .connect_timeout(policy.connect)
            .tls_backend_preconfigured(roots.tls()?);
        if let Some(proxy) = proxy {
            builder = builder.proxy(proxy.proxy()?);
        }
        let client = builder.build().map_err(|error| Error::Setup(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http")
            .enable_all()
            .build()
            .map_err(|error| Error::Setup(format!("cannot start a thread: {error}")))?;
        Ok(Client { client, runtime: Arc::new(runtime), policy })
    }

    /// The limits of attempts and waits.
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Sends a request, and again where that is safe and may help. A response of any status is a success here.
    ///
    /// # Errors
    /// [`Error::NoResponse`], or [`Error::Setup`] for a header or content that cannot be sent.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            match self.once(request)? {
                Ok(response) if !request.retry.applies_to(response.status) => return Ok(response),
                Ok(mut response) => {
                    let asked = response.retry_after(self.policy.clock.now());
                    let Some(wait) = self.policy.again(tried, asked) else { return Ok(response) };
                    // Read to its end, so that the connection can be used again; its content does not matter.
                    response.bytes(LONGEST_REFUSAL).ok();
                    self.policy.clock.sleep(wait);
                }
                Err(error) => {
                    let failure = Failure::new(&error, request);
                    if tried >= self.policy.tries || request.retry != Retry::Always || !failure.may_pass() {
                        return Err(failure.into_error(request, tried));
                    }
                    self.policy.clock.sleep(self.policy.wait(tried));
                }
            }
        }
    }

    fn once(&self, request: &Request<'_>) -> Result<Result<Response, SendError>, Error> {
        let setup = |error: &dyn std::fmt::Display| Error::Setup(format!("{}: {error}", request.url));
        let mut builder = self.client.request(request.method.clone(), request.url.inner().clone());
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let sent = Arc::new(AtomicU64::new(0));
        // RFC 9110, 8.6: where content is expected, its absence is said. Some servers ask for that (411).
        if request.content.is_empty()
            && matches!(request.method, reqwest::Method::POST | reqwest::Method::PUT | reqwest::Method::PATCH)
        {
            builder = builder.header("content-length", "0");
        }
        match request.content {
            Content::None => {}
            Content::Bytes(bytes) => builder = builder.body(bytes.to_vec()),
            Content::Part { file, from, length } => {
                let waits = request.headers.iter().any(|(name, _)| *name == "expect");
                let part = Part::new(file, from, length, Arc::clone(&sent), waits).map_err(|error| setup(&error))?;
                builder = builder.body(Body::wrap(part));
            }
        }
        let built = builder.build().map_err(|error| setup(&error))?;
        Ok(self.runtime.block_on(self.respond(built, &sent)).map(|response| {
            let runtime = Arc::clone(&self.runtime);
            Response::new(response, runtime, self.policy.silence, request.method.clone(), request.url.clone())
        }))
    }

    /// The head of the response. Nothing may stand still for longer than the policy says: neither what is sent nor, after
    /// that, the server.
    async fn respond(&self, request: reqwest::Request, sent: &AtomicU64) -> Result<reqwest::Response, SendError> {
        let mut response = std::pin::pin!(self.client.execute(request));
        let mut before = 0;
        loop {
            match tokio::time::timeout(self.policy.silence, response.as_mut()).await {
                Ok(result) => return result.map_err(SendError::Failed),
                Err(_) if sent.load(Ordering::Relaxed) == before => return Err(SendError::Silence),
                Err(_) => before = sent.load(Ordering::Relaxed),
            }
        }
    }
}

/// The reason for which no response came.
enum SendError {
    /// The client says so.
    Failed(reqwest::Error),
    /// Nothing moved for too long.
    Silence,
}

/// The kind of failure, which decides whether there is another try and which remedy is named.
#[derive(Debug)]
enum Failure {
    /// The certificate of the host cannot be verified.
    Certificate(String),
    /// Nothing listens there.
    ConnectionRefused(String),
    /// The host has no address.
    HostNotFound(String),
    /// The content could not be read to its end.
    Content(String),
    /// A timeout, a connection that broke, a response that is not HTTP.
    Other(String),
}

impl Failure {
    fn new(error: &SendError, request: &Request<'_>) -> Failure {
        let SendError::Failed(error) = error else { return Failure::Other("timeout".to_owned()) };
        let mut reason = error.to_string();
        let mut kind = None;
        let mut is_certificate = false;
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            reason = cause.to_string();
            is_certificate |= cause.is::<rustls::Error>();
            let mut io = cause.downcast_ref::<std::io::Error>();
            while let Some(error) = io {
                kind = Some(error.kind());
                // `source` skips the error that an io::Error wraps.
                let wrapped = error.get_ref();
                is_certificate |= wrapped.is_some_and(|wrapped| wrapped.is::<rustls::Error>());
                io = wrapped.and_then(|wrapped| wrapped.downcast_ref());
            }
            source = cause.source();
        }
        if error.is_timeout() {
            reason = "timeout".to_owned();
        }
        match kind {
            _ if is_certificate => Failure::Certificate(reason),
            Some(std::io::ErrorKind::ConnectionRefused) => Failure::ConnectionRefused(reason),
            Some(std::io::ErrorKind::UnexpectedEof) if error.is_body() => Failure::Content(reason),
            _ if error.is_connect() && !error.is_timeout() && !request.url.resolves() => Failure::HostNotFound(reason),
            _ => Failure::Other(reason),
        }
    }

    /// Whether another try may succeed.
    fn may_pass(&self) -> bool {
        match self {
            Failure::Certificate(_) | Failure::Content(_) => false,
            Failure::ConnectionRefused(_) | Failure::HostNotFound(_) | Failure::Other(_) => true,
        }
    }

    fn into_error(self, request: &Request<'_>, tried: u32) -> Error {
        let (reason, remedy) = match self {
            Failure::Certificate(reason) => {
                (reason, "; is its certificate that of the host, from an authority that this machine trusts?")
            }
            Failure::ConnectionRefused(reason) => (reason, "; is the server running?"),
            Failure::HostNotFound(reason) => (reason, "; is the host's name right?"),
            Failure::Content(reason) | Failure::Other(reason) => (reason, ""),
        };
        let reason = format!("{}{remedy}", crate::printable(&reason));
        Error::NoResponse {
            method: request.method.clone(),
            url: Box::new(request.url.clone()),
            tried,
            reason: reason.into(),
        }
    }
}
