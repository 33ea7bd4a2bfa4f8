//! The client: connections that are kept and used again, by several threads at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::Body;
use tokio::runtime::Runtime;

use crate::error::Error;
use crate::error_body;
use crate::failure::{Failure, SendError};
use crate::network_env::{Proxy, Roots};
use crate::request::{Content, Part, Request};
use crate::response::{LONGEST_REFUSAL, Response};
use crate::retry::{Retry, RetryPolicy};
use crate::url::Url;
use crate::waiting::{Hosts, Silence, Wait};

/// Connections to one host that are kept when nobody uses them.
const IDLE_CONNECTIONS: usize = 8;

/// A client for hosts that certain authorities vouch for, perhaps behind a proxy.
#[derive(Clone)]
pub struct Client {
    client: reqwest::Client,
    /// Its one thread drives the connections, also between two requests, so that one that was closed is noticed.
    runtime: Arc<Runtime>,
    policy: RetryPolicy,
    hosts: Arc<Hosts>,
    /// The proxy for some hosts.
    proxy: Option<Proxy>,
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
        Ok(Client { client, runtime: Arc::new(runtime), policy, hosts: Arc::default(), proxy: proxy.cloned() })
    }

    /// The limits of attempts and waits.
    pub fn retry_policy(&self) -> &RetryPolicy {
        &self.policy
    }

    /// Waits after `tried` attempts of what is more than one request, for as long as the server asks. A line on standard
    /// error gives the reason. Returns false without a wait if there is no further try.
    pub fn wait(&self, url: &Url, tried: u32, asked: Option<Duration>, reason: &str) -> bool {
        let Some(wait) = self.policy.again(tried, asked) else { return false };
        // Nothing is the matter where no time is asked for.
        if asked != Some(Duration::ZERO) {
            let announced = match asked {
                Some(_) => Wait::Requested(wait),
                None => Wait::Further(self.policy.tries - tried),
            };
            self.hosts.announce(url.authority(), reason, announced);
        }
        self.policy.clock.sleep(wait);
        true
    }

    /// Sends a request, and again where that is safe and may help. A response of any status is a success here.
    ///
    /// # Errors
    /// [`Error::NoResponse`], or [`Error::Setup`] for a header or content that cannot be sent.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let authority = request.url.authority();
        let mut tried = 0;
        loop {
            tried += 1;
            match self.once(request)? {
                Ok(response) if !request.retry.applies_to(response.status) => {
                    // For others, the caller may wait, as it did before: that line is not printed twice.
                    if response.status < 429 {
                        self.hosts.succeed(authority)
                    } else {
                        self.hosts.respond(authority)
                    }
                    return Ok(response);
                }
                Ok(mut response) => {
                    self.hosts.respond(authority);
                    let asked = response.retry_after(self.policy.clock.now());
                    if self.policy.again(tried, asked).is_none() {
                        return Ok(response);
                    }
                    // Read to its end, so that the connection can be used again; its content does not matter.
                    response.bytes(LONGEST_REFUSAL).ok();
                    self.wait(request.url, tried, asked, &error_body::status(response.status));
                }
                Err(error) => {
                    let proxy = self.proxy.as_ref().filter(|proxy| proxy.is_for(request.url));
                    let failure = Failure::new(&error, request, proxy);
                    let tries = self.hosts.tries(authority, &self.policy).min(self.policy.tries);
                    if tried >= tries || request.retry != Retry::Always || !failure.may_pass() {
                        return Err(failure.into_error(request, tried));
                    }
                    self.hosts.announce(authority, failure.reason(), Wait::Further(tries - tried));
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
        Ok(self.runtime.block_on(self.respond(built, request, &sent)).map(|response| {
            let runtime = Arc::clone(&self.runtime);
            Response::new(response, runtime, self.policy.silence, request.method.clone(), request.url.clone())
        }))
    }

    /// The head of the response. Nothing may stand still for longer than the policy says: neither what is sent nor, after
    /// that, the server.
    async fn respond(
        &self,
        request: reqwest::Request,
        asked: &Request<'_>,
        sent: &AtomicU64,
    ) -> Result<reqwest::Response, SendError> {
        let mut response = std::pin::pin!(self.client.execute(request));
        let RetryPolicy { notice, silence, .. } = self.policy;
        let all = asked.content.length();
        let mut before = 0;
        let mut limit = silence;
        loop {
            // Nothing has moved since `before`.
            if notice < silence {
                if let Ok(result) = tokio::time::timeout(notice, response.as_mut()).await {
                    return result.map_err(SendError::Failed);
                }
                let now = sent.load(Ordering::Relaxed);
                if now != before {
                    before = now;
                    continue;
                }
                let what = if 0 < now && now < all { Silence::Upload } else { Silence::Response };
                self.hosts.announce_silence(asked.url.authority(), what, notice, silence);
                limit = silence.saturating_sub(notice);
            }
            match tokio::time::timeout(limit, response.as_mut()).await {
                Ok(result) => return result.map_err(SendError::Failed),
                Err(_) if sent.load(Ordering::Relaxed) == before => return Err(SendError::Silence),
                Err(_) => before = sent.load(Ordering::Relaxed),
            }
        }
    }
}

#[cfg(test)]
mod tests;
