//! Registries: manifests, blobs, tags and referrers, by the OCI distribution specification 1.1.
//!
//! All responses are untrusted: sizes and numbers of pages are bounded, digests are always computed, and credentials of one
//! host are never sent to another. The client crate that exists has no uploads that can be resumed, no deletion and no repeats.

mod artifacts;
mod auth;
mod challenge;
mod credentials;
mod deletion;
mod download;
mod graph;
mod listing;
mod manifests;
pub mod pool;
mod referrers;
mod tagging;
mod transfer;
mod upload;

pub use artifacts::{Artifact, Attachment, attach};
pub use credentials::{Credentials, Login};
pub use referrers::fallback_tag;
pub use tagging::{Precondition, tag};
pub use transfer::{Copied, CopyOutcome, PushOutcome, copy, copy_content, pull, push};
pub use upload::UploadOutcome;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use challenge::Scope;

use super::layout::LARGEST_MANIFEST;
use super::model::{Descriptor, ParsedManifest};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository, Tag};
use drydock_http::{Client, Content, Method, Request, Response, Retry, RetryPolicy, Url, is_loopback, printable};

/// The settings of a registry client.
#[derive(Clone)]
pub struct Settings {
    /// Waits and repeats.
    pub retry_policy: RetryPolicy,
    /// The chunk size of uploads, in bytes; smaller blobs are uploaded in one request.
    pub chunk_size: u64,
    /// The number of parallel transfers.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { retry_policy: RetryPolicy::default(), chunk_size: 16 << 20, parallel: 3 }
    }
}

/// A registry. Clones share connections and tokens.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    /// The host in the names of images.
    host: String,
    base: Url,
    client: Client,
    /// Clients for other origins: token services and blob stores.
    others: Mutex<HashMap<String, Client>>,
    credentials: Credentials,
    settings: Settings,
    known: auth::Known,
    /// Manifests that were read, by repository and digest: [`Registry::manifest_once`].
    manifests: Mutex<HashMap<(String, Digest), FetchedManifest>>,
    /// True if the registry has no referrers API.
    no_referrers: AtomicBool,
    /// True if the registry refused a chunk for its size.
    small_chunks: AtomicBool,
    /// True if the request that completes an upload must have no content.
    separate_ends: AtomicBool,
}

/// The reasons why an operation on a registry failed, other than a refusal or a lost connection, which are a
/// [`drydock_http::Error`].
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A manifest or blob does not exist.
    #[error("{0} does not exist")]
    NotFound(String),
    /// A tag does not fulfil its precondition, or was moved by somebody else.
    #[error("{reference} {found}")]
    Changed {
        /// The tag with its repository.
        reference: String,
        /// The manifests that it should name and that it names.
        found: String,
    },
    /// Content does not match its digest or descriptor.
    #[error("{0}")]
    WrongContent(String),
    /// A response does not follow the protocol.
    #[error("{0}")]
    Protocol(String),
}

impl RegistryError {
    fn protocol(message: impl fmt::Display) -> anyhow::Error {
        RegistryError::Protocol(message.to_string()).into()
    }

    fn wrong_content(message: impl fmt::Display) -> anyhow::Error {
        RegistryError::WrongContent(message.to_string()).into()
    }

    fn changed(repository: &Repository, tag: &Tag, found: impl fmt::Display) -> RegistryError {
        RegistryError::Changed { reference: format!("{repository}:{tag}"), found: found.to_string() }
    }

    /// Finds the registry error among an error and its causes.
    pub fn find(error: &anyhow::Error) -> Option<&RegistryError> {
        error.downcast_ref().or_else(|| error.chain().find_map(|cause| cause.downcast_ref()))
    }
}

/// A reference to a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag, which may move.
    Tag(Tag),
    /// A digest, which cannot.
    Digest(Digest),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Tag(tag) => tag.fmt(f),
            Reference::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Reference {
        Reference::Digest(digest)
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Reference {
        Reference::Tag(tag)
    }
}

/// A manifest as received, with its actual digest and size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// The descriptor of the bytes.
    pub descriptor: Descriptor,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl FetchedManifest {
    /// Parses the manifest.
    ///
    /// # Errors
    /// The bytes are not a valid manifest.
    pub fn parse(&self) -> anyhow::Result<ParsedManifest> {
        ParsedManifest::read(&self.descriptor.media_type, &self.bytes)
            .map_err(|why| RegistryError::wrong_content(format!("cannot use {}: {why}", self.descriptor.digest)))
    }
}

impl Registry {
    /// Opens the registry of a host, without a request. Registries on this machine use HTTP, unless `certs.d` has a
    /// certificate for them; all others use HTTPS.
    ///
    /// # Errors
    /// A certificate or the URL of a proxy is invalid.
    pub fn open(host: &str, credentials: &Credentials) -> anyhow::Result<Registry> {
        Registry::with(host, credentials, Settings::default())
    }

    /// Opens a registry with other settings.
    ///
    /// # Errors
    /// See [`Registry::open`].
    pub fn with(host: &str, credentials: &Credentials, settings: Settings) -> anyhow::Result<Registry> {
        let authority = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let secure = !is_loopback(authority) || !credentials.authorities(authority).is_empty();
        let base = address(secure, authority, "/v2/")?;
        let client = client(credentials, &settings, &base)?;
        Ok(Registry {
            inner: Arc::new(Inner {
                host: host.to_owned(),
                base,
                client,
                others: Mutex::default(),
                credentials: credentials.clone(),
                settings,
                known: auth::Known::default(),
                manifests: Mutex::default(),
                no_referrers: AtomicBool::new(false),
                small_chunks: AtomicBool::new(false),
                separate_ends: AtomicBool::new(false),
            }),
        })
    }

    /// Returns the host in the names of images.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    fn retry_policy(&self) -> &RetryPolicy {
        self.inner.client.retry_policy()
    }

    /// Returns the client for an origin.
    fn client_for(&self, url: &Url) -> anyhow::Result<Client> {
        if url.same_origin(&self.inner.base) {
            return Ok(self.inner.client.clone());
        }
        let mut others = self.inner.others.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = others.get(url.authority()) {
            return Ok(client.clone());
        }
        let client = client(&self.inner.credentials, &self.inner.settings, url)?;
        others.insert(url.authority().to_owned(), client.clone());
        Ok(client)
    }

    /// Returns a URL below a repository of this registry.
    fn url(&self, repository: &Repository, rest: &str) -> anyhow::Result<Url> {
        if repository.host() != self.inner.host {
            let why = format!("{repository} is not a repository of {}", self.inner.host);
            return Err(Failure::usage(why));
        }
        let path = format!("/v2/{}/{rest}", repository.path());
        address(self.inner.base.is_secure(), self.inner.base.authority(), &path)
    }

    /// Uploads a manifest under a digest or a tag. Its blobs and children must exist.
    ///
    /// # Errors
    /// The registry refuses the request, cannot be reached, or stored other bytes.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.put(repository, reference, media_type, bytes).map(drop)
    }

    /// Uploads a manifest; returns true if the registry lists it as a referrer (`OCI-Subject`).
    fn put(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> anyhow::Result<bool> {
        let answer = self.send_manifest(repository, reference, media_type, bytes, Retry::Always)?;
        self.taken(answer, repository, bytes)
    }

    fn send_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
        retry: Retry,
    ) -> anyhow::Result<Response> {
        let url = self.url(repository, &format!("manifests/{reference}"))?;
        let call = Request::new(Method::PUT, &url).header("content-type", media_type).content(Content::Bytes(bytes));
        self.send(repository.path(), &Scope::push(repository.path()), call.retry(retry))
    }

    /// Checks the response to an upload; returns true if the registry lists the manifest as a referrer.
    fn taken(&self, mut answer: Response, repository: &Repository, bytes: &[u8]) -> anyhow::Result<bool> {
        if !matches!(answer.status, 200..=202) {
            return Err(self.refused(answer, repository));
        }
        let digest = Digest::for_bytes(bytes);
        let lists = answer.header("oci-subject").is_some();
        if digest_header(&answer).is_some_and(|says| says != digest) {
            let why = format!("{repository} stored other bytes than were sent for {digest}");
            return Err(RegistryError::wrong_content(why));
        }
        drop(answer.bytes(LARGEST_MANIFEST));
        Ok(lists)
    }

    /// Returns the error for a response, with a remedy.
    fn refused(&self, answer: Response, repository: &Repository) -> anyhow::Error {
        let remedy = match answer.status {
            401 => match self.remedy_for_401(repository.path()) {
                Ok(remedy) => remedy,
                Err(error) => return error,
            },
            403 => format!("does {} have access to {repository}?", self.account(repository.path())),
            404 => format!("does {repository} exist, and does {} have access to it?", self.account(repository.path())),
            413 => "does a proxy in front of the registry limit the size of requests?".to_owned(),
            429 => "too many requests; try again later".to_owned(),
            500..=599 => "see the log of the registry; is its disk full?".to_owned(),
            _ => String::new(),
        };
        answer.refusal(&remedy).into()
    }
}

/// The registries that a command works with, each opened once.
pub struct Registries {
    credentials: Credentials,
    open: HashMap<String, Registry>,
}

impl Registries {
    /// Uses the credentials of this process.
    pub fn from_process() -> Registries {
        Registries { credentials: Credentials::from_process(), open: HashMap::new() }
    }

    /// Returns the registry of a repository.
    ///
    /// # Errors
    /// See [`Registry::open`].
    pub fn open(&mut self, repository: &Repository) -> anyhow::Result<Registry> {
        if let Some(registry) = self.open.get(repository.host()) {
            return Ok(registry.clone());
        }
        let registry = Registry::open(repository.host(), &self.credentials)?;
        self.open.insert(repository.host().to_owned(), registry.clone());
        Ok(registry)
    }
}

fn address(secure: bool, authority: &str, path: &str) -> anyhow::Result<Url> {
    Url::new(secure, authority, path).ok_or_else(|| Failure::usage(format!("invalid registry host {authority}")))
}

fn client(credentials: &Credentials, settings: &Settings, url: &Url) -> anyhow::Result<Client> {
    let machine = credentials.machine();
    let roots = if url.is_secure() {
        let own = credentials.authorities(url.authority());
        machine.roots().and_then(|roots| roots.with(&own))?
    } else {
        Default::default()
    };
    let proxy = machine.proxy_for(url.authority())?;
    Ok(Client::new(settings.retry_policy.clone(), &roots, proxy.as_ref())?)
}

/// Returns the media type of a response, without parameters.
fn media_type(answer: &Response) -> String {
    let text = answer.header("content-type").unwrap_or_default();
    printable(text.split(';').next().unwrap_or_default()).to_ascii_lowercase()
}

/// Returns true if a registry that knows the address of a request says that what it names is unknown, as opposed to a server that
/// does not know the address. Reads the content.
fn says_unknown(answer: &mut Response) -> anyhow::Result<bool> {
    Ok(String::from_utf8_lossy(&answer.bytes(LARGEST_MANIFEST)?).contains("_UNKNOWN"))
}

fn digest_header(answer: &Response) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}
