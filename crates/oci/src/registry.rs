//! One registry: its manifests, blobs, tags and referrers, by the OCI distribution specification 1.1.
//!
//! Everything that a registry answers is taken as hostile: sizes and pages are bounded, digests are computed and never
//! believed, and what belongs to one host goes to no other. Written on ureq: the client crate that exists has no uploads
//! that can be resumed, no deletion and no repeats.

mod artifacts;
mod auth;
mod challenge;
mod credentials;
mod download;
mod graph;
mod listing;
pub(crate) mod pool;
mod referrers;
mod tagging;
mod transfer;
mod upload;

pub use artifacts::{Attachment, attach};
pub use credentials::{Credentials, Login};
pub use referrers::fallback_tag;
pub use tagging::{Precondition, tag};
pub use transfer::{CopyOutcome, PushOutcome, copy, pull, push};
pub use upload::UploadOutcome;

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use challenge::Scope;

use super::layout::LARGEST_MANIFEST;
use super::model::{Descriptor, ParsedManifest, media};
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Repository, Tag};
use drydock_http::{Client, Content, Method, Request, Response, Retry, RetryPolicy, Url, is_loopback, printable};

/// How a registry is worked with.
#[derive(Clone)]
pub struct Settings {
    /// Waits and repeats.
    pub retry_policy: RetryPolicy,
    /// The size of the pieces in which a blob is uploaded; one that is not larger goes in one request.
    pub piece: u64,
    /// How many blobs are on their way at once.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { retry_policy: RetryPolicy::default(), piece: 16 << 20, parallel: 3 }
    }
}

/// A registry. Clones are the same one, with its connections and tokens; threads may share it.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

struct Inner {
    /// As images name it: what logins are kept for.
    host: String,
    base: Url,
    client: Client,
    /// Of other origins that it sends us to: token services and stores of blobs.
    others: Mutex<HashMap<String, Client>>,
    credentials: Credentials,
    settings: Settings,
    known: auth::Known,
    /// Whether it answered that it has no list of referrers.
    no_referrers: AtomicBool,
    /// Whether it refused a piece of an upload for its size.
    small_pieces: AtomicBool,
}

/// What a manifest is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// A tag, which may move.
    Tag(Tag),
    /// A digest, which cannot.
    Digest(Digest),
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
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

/// A manifest: the bytes as they came, with the digest and size that they have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedManifest {
    /// What points at it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl FetchedManifest {
    /// What the bytes say.
    ///
    /// # Errors
    /// They are no manifest.
    pub fn parse(&self) -> anyhow::Result<ParsedManifest> {
        ParsedManifest::read(&self.descriptor.media_type, &self.bytes)
            .map_err(|why| Failure::not_reproducible(format!("cannot use {}: {why}", self.descriptor.digest)))
    }
}

impl Registry {
    /// The registry of a host, as repositories name it. Nothing is asked yet. This machine's own speak plain HTTP, unless
    /// a certificate for them is in `certs.d`; all others HTTPS.
    ///
    /// # Errors
    /// A certificate or the address of a proxy cannot be used.
    pub fn open(host: &str, credentials: &Credentials) -> anyhow::Result<Registry> {
        Registry::with(host, credentials, Settings::default())
    }

    /// The same, with other settings.
    ///
    /// # Errors
    /// A certificate or the address of a proxy cannot be used.
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
                no_referrers: AtomicBool::new(false),
                small_pieces: AtomicBool::new(false),
            }),
        })
    }

    /// The host, as repositories name it.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    fn retry_policy(&self) -> &RetryPolicy {
        self.inner.client.retry_policy()
    }

    /// The client for an origin.
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

    /// An address below a repository of this registry.
    fn url(&self, repository: &Repository, rest: &str) -> anyhow::Result<Url> {
        if repository.host() != self.inner.host {
            let why = format!("{repository} is no repository of {}", self.inner.host);
            return Err(Failure::usage(why));
        }
        let path = format!("/v2/{}/{rest}", repository.path());
        address(self.inner.base.is_secure(), self.inner.base.authority(), &path)
    }

    /// A manifest, when it is there.
    ///
    /// # Errors
    /// The registry cannot be reached, refuses, or lies about a digest.
    pub fn manifest(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<Option<FetchedManifest>> {
        let url = self.url(repository, &format!("manifests/{reference}"))?;
        let call = Request::new(Method::GET, &url).header("accept", media::ANY_MANIFEST.join(", "));
        let mut answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(answer, repository)),
        }
        let media_type = media_type(&answer);
        let says = digest_header(&answer);
        let bytes = answer.bytes(LARGEST_MANIFEST)?;
        let descriptor = Descriptor::for_bytes(&media_type, &bytes);
        let expected = match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(_) => says,
        };
        if expected.is_some_and(|expected| expected != descriptor.digest) {
            let why = format!("{repository} gave other bytes for {reference}: their digest is {}", descriptor.digest);
            return Err(Failure::not_reproducible(why));
        }
        Ok(Some(FetchedManifest { descriptor, bytes }))
    }

    /// A manifest that has to be there.
    pub(crate) fn needed(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<FetchedManifest> {
        self.manifest(repository, reference)?.ok_or_else(|| {
            let at = match reference {
                Reference::Tag(tag) => format!("{repository}:{tag}"),
                Reference::Digest(digest) => format!("{repository}@{digest}"),
            };
            Failure::remote(format!("{at} is not there"))
        })
    }

    /// What a reference points at, when it is there.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub fn head(&self, repository: &Repository, reference: &Reference) -> anyhow::Result<Option<Descriptor>> {
        let url = self.url(repository, &format!("manifests/{reference}"))?;
        let call = Request::new(Method::HEAD, &url).header("accept", media::ANY_MANIFEST.join(", "));
        let answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(answer, repository)),
        }
        let size = answer.header("content-length").and_then(|text| text.parse().ok());
        match (digest_header(&answer), size) {
            (Some(digest), Some(size)) => Ok(Some(Descriptor::new(&media_type(&answer), digest, size))),
            // Both headers may be missing; the content says the same.
            (_, _) => Ok(self.manifest(repository, reference)?.map(|fetched| fetched.descriptor)),
        }
    }

    /// Puts a manifest under a digest or a tag. Everything that it points at has to be there.
    ///
    /// # Errors
    /// The registry cannot be reached, refuses, or took other bytes.
    pub fn put_manifest(
        &self,
        repository: &Repository,
        reference: &Reference,
        media_type: &str,
        bytes: &[u8],
    ) -> anyhow::Result<()> {
        self.put(repository, reference, media_type, bytes).map(drop)
    }

    /// The same; whether the registry says that it lists the manifest as a referrer (`OCI-Subject`).
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

    /// Whether the registry lists a manifest that it took as a referrer.
    fn taken(&self, mut answer: Response, repository: &Repository, bytes: &[u8]) -> anyhow::Result<bool> {
        if !matches!(answer.status, 200..=202) {
            return Err(self.refused(answer, repository));
        }
        let digest = Digest::of(bytes);
        let lists = answer.header("oci-subject").is_some();
        if digest_header(&answer).is_some_and(|says| says != digest) {
            let why = format!("{repository} took other bytes than were sent for {digest}");
            return Err(Failure::not_reproducible(why));
        }
        drop(answer.bytes(LARGEST_MANIFEST));
        Ok(lists)
    }

    /// Deletes a manifest, with every tag that points at it. Whether it was there.
    ///
    /// # Errors
    /// The registry cannot be reached, or refuses.
    pub fn delete_manifest(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<bool> {
        let url = self.url(repository, &format!("manifests/{digest}"))?;
        let call = Request::new(Method::DELETE, &url);
        let mut answer = self.send(repository.path(), &Scope::delete(repository.path()), call)?;
        match answer.status {
            200 | 202 | 204 => {
                drop(answer.bytes(LARGEST_MANIFEST));
                Ok(true)
            }
            404 => Ok(false),
            405 => Err(answer
                .refusal("it deletes nothing; a docker-registry does with `storage: delete: enabled: true`")
                .into()),
            _ => Err(self.refused(answer, repository)),
        }
    }

    /// The error of an answer, with what can be done about it.
    fn refused(&self, answer: Response, repository: &Repository) -> anyhow::Error {
        let remedy = match answer.status {
            401 => match self.remedy_for_401(repository.path()) {
                Ok(remedy) => remedy,
                Err(error) => return error,
            },
            403 => format!("may {} do this to {repository}?", self.account(repository.path())),
            404 => format!("is there a repository {repository}, and may {} see it?", self.account(repository.path())),
            413 => "it takes nothing of that size; does a proxy before it bound the size of requests?".to_owned(),
            429 => "it is asked too much; try again later".to_owned(),
            500..=599 => "it is in trouble, its own log says more; is its disk full?".to_owned(),
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
    Url::new(secure, authority, path)
        .ok_or_else(|| Failure::usage(format!("{authority} is not the name of a host, with a port or without")))
}

fn client(credentials: &Credentials, settings: &Settings, url: &Url) -> anyhow::Result<Client> {
    let machine = credentials.machine();
    let roots = match url.is_secure() {
        true => {
            let own = credentials.authorities(url.authority());
            machine.roots().and_then(|roots| roots.with(&own))?
        }
        false => Default::default(),
    };
    let proxy = machine.proxy_for(url.authority())?;
    Ok(Client::new(settings.retry_policy.clone(), &roots, proxy.as_ref())?)
}

/// Without parameters; what is none is shown in an error later.
fn media_type(answer: &Response) -> String {
    let text = answer.header("content-type").unwrap_or_default();
    printable(text.split(';').next().unwrap_or_default()).to_ascii_lowercase()
}

fn digest_header(answer: &Response) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}
