//! Uploads of blobs in chunks. An interrupted upload continues: after a lost connection, after a restart of the registry,
//! and in another process.
//!
//! OCI distribution specification 1.1, "Pushing blobs". A session that the registry has forgotten starts again from
//! the beginning. docker-registry (2.8) forgets each session that was interrupted within a chunk. GitHub's registry accepts no
//! chunk above 4 MiB, Amazon's none below 5 MiB except the last.

mod ranges;
mod resume;

use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use super::challenge::Scope;
use super::{Registry, RegistryError};
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::paths;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Content, Method, Request, Response, Retry, Url, printable};
use ranges::{Ranges, offset_of};
use resume::ResumeFile;

/// The maximum of the minimum chunk size that a registry may ask for, in bytes.
const LARGEST_MIN_CHUNK: u64 = 1 << 30;
/// The chunk size for a registry that refuses larger chunks, in bytes.
const SMALL_CHUNK: u64 = 4 << 20;

/// The result of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadOutcome {
    /// Bytes that were sent; bytes that were sent twice count twice.
    pub bytes: u64,
    /// True if the upload continued that of another process.
    pub resumed: bool,
}

/// An upload session of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) url: Url,
    /// The number of bytes that the registry has.
    pub(super) offset: u64,
    /// The minimum chunk size of the registry.
    pub(super) least: u64,
}

/// The response of a registry to the start of an upload.
pub(super) enum UploadStart {
    /// The blob was mounted from the other repository.
    Mounted,
    /// The registry waits for the content.
    Session(Session),
}

enum Source<'a> {
    Bytes(&'a [u8]),
    File(File),
}

/// An upload under way.
struct Upload<'a> {
    repository: &'a Repository,
    blob: &'a Descriptor,
    source: Source<'a>,
    session: Session,
    ranges: Ranges,
    /// True if the next chunk waits for `100 Continue` (RFC 9110, 10.1.1): a refusal without reading the content would
    /// not be received while it is still being sent.
    asks: bool,
    /// True if the request that completes the upload was refused together with content.
    separate: bool,
    sent: UploadOutcome,
}

enum Step {
    Done,
    Further,
    Trouble { why: anyhow::Error, wait: Option<Duration>, anew: bool },
}

impl Registry {
    /// Mounts a blob from another repository of this registry; returns true if the registry did.
    ///
    /// # Errors
    /// The registry refuses a request or cannot be reached.
    pub fn mount(&self, repository: &Repository, digest: &Digest, from: &Repository) -> anyhow::Result<bool> {
        match self.begin(repository, digest, Some(from))? {
            UploadStart::Mounted => Ok(true),
            UploadStart::Session(session) => {
                self.abandon(repository, &session.url);
                Ok(false)
            }
        }
    }

    /// Starts an upload, which is complete at once if the blob can be mounted from another repository.
    pub(super) fn begin(
        &self,
        repository: &Repository,
        digest: &Digest,
        from: Option<&Repository>,
    ) -> anyhow::Result<UploadStart> {
        let mut scope = Scope::push(repository.path());
        let mut url = self.url(repository, "blobs/uploads/")?;
        if let Some(from) = from.filter(|from| from.host() == repository.host()) {
            url = url.with_query(&[("mount", &digest.to_string()), ("from", from.path())]);
            scope = scope.and(&Scope::pull(from.path()));
        }
        // A repeated request leaves a session behind, which the registry removes by itself.
        let call = Request::new(Method::POST, &url).content(Content::Bytes(b""));
        let answer = self.send(repository.path(), &scope, call.retry(Retry::Always))?;
        match answer.status {
            201 if from.is_some() => Ok(UploadStart::Mounted),
            202 => {
                let least = min_chunk(&answer);
                Ok(UploadStart::Session(Session { url: self.session(&answer)?, offset: 0, least }))
            }
            _ => Err(self.refused(answer, repository)),
        }
    }

    /// Returns the URL for the next request of an upload. It must be of the registry: no other host gets content or
    /// credentials.
    pub(super) fn session(&self, answer: &Response) -> anyhow::Result<Url> {
        let location = answer.header("location").unwrap_or_default();
        let url = answer.url().join(location).ok_or_else(|| {
            let shown = printable(location.split('?').next().unwrap_or_default());
            RegistryError::protocol(format!("{} returned an invalid upload location: {shown:?}", self.host()))
        })?;
        if !url.same_origin(&self.inner.base) {
            let why = "check that a proxy in front of it forwards the host and scheme of requests";
            let text = format!("{} continues an upload at {url}, which is another host; {why}", self.host());
            return Err(RegistryError::protocol(text));
        }
        Ok(url)
    }

    /// Cancels a session that is not needed. The registry would remove it only after a week.
    pub(super) fn abandon(&self, repository: &Repository, session: &Url) {
        let call = Request::new(Method::DELETE, session).retry(Retry::Never);
        drop(self.send(repository.path(), &Scope::push(repository.path()), call));
    }

    /// Checks that the credentials may push to a repository: an upload is begun, and cancelled before anything is sent.
    ///
    /// # Errors
    /// The registry refuses it or cannot be reached.
    pub fn may_push(&self, repository: &Repository) -> anyhow::Result<()> {
        if let UploadStart::Session(session) = self.begin(repository, &Digest::for_bytes(b""), None)? {
            self.abandon(repository, &session.url);
        }
        Ok(())
    }

    /// Uploads a blob of a layout, even if it exists.
    ///
    /// # Errors
    /// The registry refuses a request or cannot be reached, and all retries failed. The same call continues the upload.
    pub fn upload(&self, repository: &Repository, blob: &Descriptor, layout: &Layout) -> anyhow::Result<UploadOutcome> {
        let memory = self.memory(repository, blob, layout);
        let remembered = memory.recall(&self.inner.base, self.retry_policy().clock.now());
        let known = match remembered {
            Some((url, least)) => self.standing(repository, &url, least)?,
            None => None,
        };
        if known.is_none() {
            memory.forget();
        }
        self.upload_from(repository, blob, layout, known)
    }

    /// Uploads a blob, in an open session if there is one.
    pub(super) fn upload_from(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        layout: &Layout,
        session: Option<Session>,
    ) -> anyhow::Result<UploadOutcome> {
        let path = layout.path(&blob.digest);
        let file = paths::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if !layout.has(blob) {
            // The error says what is wrong with the blob.
            layout.check(blob)?;
        }
        let memory = self.memory(repository, blob, layout);
        let sent = self.run(repository, blob, Source::File(file), &memory, session).map_err(|error| {
            match layout.check(blob) {
                Err(damaged) => damaged,
                Ok(()) => error,
            }
        })?;
        memory.forget();
        Ok(sent)
    }

    /// Uploads a few bytes.
    pub(super) fn upload_bytes(&self, repository: &Repository, blob: &Descriptor, bytes: &[u8]) -> anyhow::Result<()> {
        self.run(repository, blob, Source::Bytes(bytes), &ResumeFile::none(), None).map(drop)
    }

    fn memory(&self, repository: &Repository, blob: &Descriptor, layout: &Layout) -> ResumeFile {
        if blob.size > self.chunk(0) { ResumeFile::beside(layout, repository, blob) } else { ResumeFile::none() }
    }

    fn run(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        source: Source<'_>,
        memory: &ResumeFile,
        session: Option<Session>,
    ) -> anyhow::Result<UploadOutcome> {
        let resumed = session.as_ref().is_some_and(|session| session.offset > 0);
        let session = match session.filter(|session| session.offset <= blob.size) {
            Some(session) => session,
            None => self.fresh(repository, blob)?,
        };
        let (mut tried, mut furthest) = (0, session.offset);
        let sent = UploadOutcome { bytes: 0, resumed };
        let (ranges, separate) = (Ranges::Doubted, self.inner.separate_ends.load(Ordering::Relaxed));
        let mut upload = Upload { repository, blob, source, session, ranges, asks: false, separate, sent };
        loop {
            memory.keep(&upload.session.url, upload.session.least, self.retry_policy().clock.now());
            match self.step(&mut upload)? {
                Step::Done => return Ok(upload.sent),
                Step::Further => {}
                Step::Trouble { why, wait, anew } => {
                    tried += 1;
                    let there = upload.session.offset;
                    let progress = || format!("{repository} has {there} of {} bytes of {}", blob.size, blob.digest);
                    let url = &self.inner.base;
                    if !self.inner.client.wait(url, tried, wait, &drydock_http::short_reason(&why)) {
                        return Err(why.context(progress()));
                    }
                    if upload.ranges == Ranges::PassedOver {
                        upload.ranges = Ranges::Heeded;
                    }
                    let again = || -> anyhow::Result<Option<Session>> {
                        let known = if anew {
                            None
                        } else {
                            self.standing(repository, &upload.session.url, upload.session.least)?
                        };
                        match known.filter(|known| known.offset <= blob.size) {
                            Some(known) => Ok(Some(known)),
                            None if self.has_blob(repository, &blob.digest)? => Ok(None),
                            None => self.fresh(repository, blob).map(Some),
                        }
                    };
                    upload.session = match again() {
                        Ok(Some(session)) => session,
                        Ok(None) => return Ok(upload.sent),
                        // The first error says more than the later one.
                        Err(later) => return Err(later.context(format!("{why:#}")).context(progress())),
                    };
                }
            }
            if upload.session.offset > furthest {
                (tried, furthest) = (0, upload.session.offset);
            }
        }
    }

    fn fresh(&self, repository: &Repository, blob: &Descriptor) -> anyhow::Result<Session> {
        match self.begin(repository, &blob.digest, None)? {
            UploadStart::Session(session) => Ok(session),
            UploadStart::Mounted => {
                Err(RegistryError::protocol(format!("unexpected response to a blob mount from {repository}")))
            }
        }
    }

    /// Asks for the state of a session; none if the registry does not know it or refuses.
    fn standing(&self, repository: &Repository, url: &Url, least: u64) -> anyhow::Result<Option<Session>> {
        let ask = || -> anyhow::Result<Option<Session>> {
            let call = Request::new(Method::GET, url);
            let answer = self.send(repository.path(), &Scope::push(repository.path()), call)?;
            if !matches!(answer.status, 200 | 202 | 204) {
                return Ok(None);
            }
            let Some(offset) = answer.header("range").and_then(offset_of) else { return Ok(None) };
            let url = match answer.header("location") {
                Some(_) => self.session(&answer)?,
                None => url.clone(),
            };
            Ok(Some(Session { url, offset, least: least.max(min_chunk(&answer)) }))
        };
        match ask() {
            Err(why) if is_final(&why) => Ok(None),
            other => other,
        }
    }

    /// Returns the chunk size for a registry with the minimum `least`.
    fn chunk(&self, least: u64) -> u64 {
        let most = if self.inner.small_chunks.load(Ordering::Relaxed) { SMALL_CHUNK } else { u64::MAX };
        self.settings().chunk_size.min(most).max(least.min(LARGEST_MIN_CHUNK))
    }

    /// The next request of an upload.
    fn step(&self, upload: &mut Upload<'_>) -> anyhow::Result<Step> {
        let Upload { repository, blob, source, session, ranges, asks, separate, sent } = upload;
        let chunk = self.chunk(session.least);
        let left = blob.size - session.offset;
        // A blob of one chunk is sent with the request that completes the upload. Some registries take no content there, since
        // docker never sends any.
        let ends = left == 0 || (session.offset == 0 && blob.size <= chunk && !*separate);
        let length = left.min(chunk);
        let content = source.part(session.offset, length);
        let ending = session.url.with_query(&[("digest", &blob.digest.to_string())]);
        let call = if ends {
            Request::new(Method::PUT, &ending)
        } else {
            let last = session.offset + length - 1;
            Request::new(Method::PATCH, &session.url).header("content-range", format!("{}-{last}", session.offset))
        };
        let call = call.header("content-type", "application/octet-stream").content(content).retry(Retry::Never);
        let call = if *asks && length > 0 { call.header("expect", "100-continue") } else { call };
        let answer = self.send(repository.path(), &Scope::push(repository.path()), call);
        *asks = answer.is_err();
        let answer = match answer {
            Ok(answer) => answer,
            Err(why) if is_final(&why) => return Err(why),
            Err(why) => return Ok(Step::Trouble { why, wait: None, anew: false }),
        };
        sent.bytes += length;
        match answer.status {
            200 | 201 | 204 if ends => {
                // What was refused with its content was taken in two requests.
                if *separate {
                    self.inner.separate_ends.store(true, Ordering::Relaxed);
                }
                self.ended(repository, blob, &answer).map(|()| Step::Done)
            }
            200 | 201 | 202 | 204 if !ends => self.further(&answer, session, ranges, length),
            413 | 416 if session.offset == 0 && length > SMALL_CHUNK.max(session.least) => {
                self.inner.small_chunks.store(true, Ordering::Relaxed);
                Ok(Step::Trouble { why: self.refused(answer, repository), wait: Some(Duration::ZERO), anew: true })
            }
            status @ (400 | 404 | 408 | 410 | 416 | 429 | 500..=599) => {
                let wait = answer.retry_after(self.retry_policy().clock.now());
                let why = self.refused(answer, repository);
                *separate |= ends && length > 0 && matches!(status, 400 | 404 | 416 | 500 | 501);
                // After a wrong digest, the session holds other bytes and cannot continue.
                Ok(Step::Trouble { why, wait, anew: ends && status == 400 })
            }
            _ => Err(self.refused(answer, repository)),
        }
    }

    fn ended(&self, repository: &Repository, blob: &Descriptor, answer: &Response) -> anyhow::Result<()> {
        match super::digest_header(answer) {
            Some(says) if says != blob.digest => {
                let text = format!("{repository} stored other bytes than were sent for {}", blob.digest);
                Err(RegistryError::wrong_content(text))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn further(
        &self,
        answer: &Response,
        session: &mut Session,
        ranges: &mut Ranges,
        length: u64,
    ) -> anyhow::Result<Step> {
        let expected = session.offset + length;
        let before = session.offset;
        let there = ranges.offset(answer.header("range"), before, expected);
        session.url = self.session(answer)?;
        session.offset = there;
        if there > expected || there <= before {
            let text = format!("{} has {there} bytes of a blob after {expected} were sent", self.host());
            let why = RegistryError::protocol(text);
            return Ok(Step::Trouble { why, wait: None, anew: there > expected });
        }
        Ok(Step::Further)
    }
}

impl Source<'_> {
    fn part(&self, from: u64, length: u64) -> Content<'_> {
        match self {
            Source::File(file) => Content::Part { file, from, length },
            Source::Bytes(bytes) => {
                let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Content::Bytes(&bytes[at(from)..at(from + length)])
            }
        }
    }
}

/// Returns true for a refusal, as opposed to a lost response.
fn is_final(error: &anyhow::Error) -> bool {
    !drydock_http::is_unanswered(error)
}

/// Returns the minimum chunk size of a registry.
pub(super) fn min_chunk(answer: &Response) -> u64 {
    answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0)
}
