//! Uploads of blobs, in pieces, that go on where they were cut: after a lost connection, after a restart of the registry,
//! and in another process.
//!
//! OCI distribution specification 1.1, "Pushing blobs". What a registry does not know any more is begun anew. Of
//! docker-registry (2.8) that is each upload that was cut inside of a piece: it gives up a session whose file is longer
//! than it remembers. GitHub's registry takes no piece above 4 MiB, Amazon's none below 5 MiB but the last.

mod resume;

use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use super::Registry;
use super::challenge::Scope;
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Content, Method, Request, Response, Retry, Url, printable};
use resume::ResumeFile;

/// No registry asks for larger pieces.
const LARGEST_PIECE: u64 = 1 << 30;
/// Pieces for a registry that refuses larger ones.
const SMALL_PIECE: u64 = 4 << 20;

/// What an upload took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UploadOutcome {
    /// Bytes that were handed to the network, twice what was sent twice.
    pub bytes: u64,
    /// Whether it went on from where another process was cut.
    pub resumed: bool,
}

/// Where an upload stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) url: Url,
    /// How many bytes are there.
    pub(super) offset: u64,
    /// The smallest piece that the registry takes.
    pub(super) least: u64,
}

/// What a registry did when it was told of a blob.
pub(super) enum UploadStart {
    /// It has it, from the other repository.
    Mounted,
    /// It waits for it.
    Session(Session),
}

enum Source<'a> {
    Bytes(&'a [u8]),
    File(File),
}

/// What is made of a `Range` that says that a piece which was taken is not there. Amazon's registry answers that of the
/// first piece to every other one; the sum at the end tells who is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ranges {
    /// Nothing.
    Doubted,
    /// Nothing was made of one.
    PassedOver,
    /// It is true: without that, the upload failed.
    Heeded,
}

/// An upload under way.
struct Upload<'a> {
    repository: &'a Repository,
    blob: &'a Descriptor,
    source: Source<'a>,
    session: Session,
    ranges: Ranges,
    /// Whether the next piece is sent only when the registry says that it wants it (RFC 9110, 10.1.1): one that refuses
    /// and reads no further is heard by nobody who is still sending.
    asks: bool,
    sent: UploadOutcome,
}

enum Step {
    Done,
    Further,
    Trouble { why: anyhow::Error, wait: Option<Duration>, anew: bool },
}

impl Registry {
    /// Takes a blob over from another repository of this registry, without sending it. Whether the registry did.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub fn mount(&self, repository: &Repository, digest: &Digest, from: &Repository) -> anyhow::Result<bool> {
        match self.begin(repository, digest, Some(from))? {
            UploadStart::Mounted => Ok(true),
            UploadStart::Session(session) => {
                self.abandon(repository, &session.url);
                Ok(false)
            }
        }
    }

    /// Begins an upload, which ends at once where the blob can be taken over from another repository.
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
        // Done twice, it leaves a session behind that the registry forgets by itself.
        let call = Request::new(Method::POST, &url).content(Content::Bytes(b""));
        let answer = self.send(repository.path(), &scope, call.retry(Retry::Always))?;
        match answer.status {
            201 if from.is_some() => Ok(UploadStart::Mounted),
            202 => {
                let least = least_piece(&answer);
                Ok(UploadStart::Session(Session { url: self.session(&answer)?, offset: 0, least }))
            }
            _ => Err(self.refused(answer, repository)),
        }
    }

    /// Where an upload goes on. It stays with the registry: neither content nor proof is for another host.
    pub(super) fn session(&self, answer: &Response) -> anyhow::Result<Url> {
        let location = answer.header("location").unwrap_or_default();
        let url = answer.url().join(location).ok_or_else(|| {
            let shown = printable(location.split('?').next().unwrap_or_default());
            Failure::remote(format!("{} names no place for an upload: {shown:?}", self.host()))
        })?;
        if !url.same_origin(&self.inner.base) {
            let why = "is it behind a proxy that does not pass on the host and scheme of requests?";
            let text = format!("{} wants an upload to go on at {url}, which is another place; {why}", self.host());
            return Err(Failure::remote(text));
        }
        Ok(url)
    }

    /// Ends a session that is of no use any more. It would end by itself, but in a week.
    pub(super) fn abandon(&self, repository: &Repository, session: &Url) {
        let call = Request::new(Method::DELETE, session).retry(Retry::Never);
        drop(self.send(repository.path(), &Scope::push(repository.path()), call));
    }

    /// Uploads a blob of a layout, whether it is there or not.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses, for as long as it is retried. What is there stays there: the
    /// same call goes on from it.
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

    /// The same, with a session that is open already.
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
            // Says what is wrong with it.
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
        match blob.size > self.piece(0) {
            true => ResumeFile::beside(layout, repository, blob),
            false => ResumeFile::none(),
        }
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
        let mut upload = Upload { repository, blob, source, session, ranges: Ranges::Doubted, asks: false, sent };
        loop {
            memory.keep(&upload.session.url, upload.session.least, self.retry_policy().clock.now());
            match self.step(&mut upload)? {
                Step::Done => return Ok(upload.sent),
                Step::Further => {}
                Step::Trouble { why, wait, anew } => {
                    tried += 1;
                    let there = upload.session.offset;
                    let stands = || format!("{repository} has {there} of {} bytes of {}", blob.size, blob.digest);
                    let Some(wait) = self.retry_policy().again(tried, wait) else { return Err(why.context(stands())) };
                    self.retry_policy().clock.sleep(wait);
                    if upload.ranges == Ranges::PassedOver {
                        upload.ranges = Ranges::Heeded;
                    }
                    let again = || -> anyhow::Result<Option<Session>> {
                        let known = match anew {
                            true => None,
                            false => self.standing(repository, &upload.session.url, upload.session.least)?,
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
                        // What was wrong first says more than that it stayed wrong.
                        Err(later) => return Err(later.context(format!("{why:#}")).context(stands())),
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
            UploadStart::Mounted => Err(Failure::remote(format!("{repository} mounts what nobody asked it to"))),
        }
    }

    /// Where a session stands; none when the registry does not know it any more, or does not say: a session that is
    /// only good for refusals is left behind.
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
            Ok(Some(Session { url, offset, least: least.max(least_piece(&answer)) }))
        };
        match ask() {
            Err(why) if is_final(&why) => Ok(None),
            other => other,
        }
    }

    /// The size of a piece, where the registry takes none below `least`.
    fn piece(&self, least: u64) -> u64 {
        let most = if self.inner.small_pieces.load(Ordering::Relaxed) { SMALL_PIECE } else { u64::MAX };
        self.settings().piece.min(most).max(least.min(LARGEST_PIECE))
    }

    /// The next request of an upload.
    fn step(&self, upload: &mut Upload<'_>) -> anyhow::Result<Step> {
        let Upload { repository, blob, source, session, ranges, asks, sent } = upload;
        let piece = self.piece(session.least);
        let left = blob.size - session.offset;
        // A blob of one piece goes with the request that ends it.
        let ends = left == 0 || (session.offset == 0 && blob.size <= piece);
        let length = left.min(piece);
        let content = source.part(session.offset, length);
        let ending = session.url.with_query(&[("digest", &blob.digest.to_string())]);
        let call = match ends {
            true => Request::new(Method::PUT, &ending),
            false => {
                let last = session.offset + length - 1;
                Request::new(Method::PATCH, &session.url).header("content-range", format!("{}-{last}", session.offset))
            }
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
            200 | 201 | 204 if ends => self.ended(repository, blob, &answer).map(|()| Step::Done),
            200 | 201 | 202 | 204 if !ends => self.further(&answer, session, ranges, length),
            413 | 416 if session.offset == 0 && length > SMALL_PIECE.max(session.least) => {
                self.inner.small_pieces.store(true, Ordering::Relaxed);
                Ok(Step::Trouble { why: self.refused(answer, repository), wait: Some(Duration::ZERO), anew: true })
            }
            status @ (400 | 404 | 408 | 410 | 416 | 429 | 500..=599) => {
                let wait = answer.retry_after(self.retry_policy().clock.now());
                let why = self.refused(answer, repository);
                // A sum that is wrong stays wrong: that session holds other bytes.
                Ok(Step::Trouble { why, wait, anew: ends && status == 400 })
            }
            _ => Err(self.refused(answer, repository)),
        }
    }

    fn ended(&self, repository: &Repository, blob: &Descriptor, answer: &Response) -> anyhow::Result<()> {
        match super::digest_header(answer) {
            Some(says) if says != blob.digest => {
                let text = format!("{repository} took other bytes than were sent for {}", blob.digest);
                Err(Failure::not_reproducible(text))
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
        let there = match answer.header("range").and_then(offset_of) {
            Some(there) if there <= before && *ranges != Ranges::Heeded => {
                *ranges = Ranges::PassedOver;
                expected
            }
            there => there.unwrap_or(expected),
        };
        session.url = self.session(answer)?;
        session.offset = there;
        if there > expected || there <= before {
            let text = format!("{} has {there} bytes of a blob after {expected} were sent", self.host());
            let why = Failure::remote(text);
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

/// An answer that was understood, and is no.
fn is_final(error: &anyhow::Error) -> bool {
    !drydock_http::is_unanswered(error)
}

/// How many bytes a `Range` of an upload says are there: `0-N` is N + 1. `0-0` is none: that is how docker-registry says
/// it, and one byte is soon sent again.
fn offset_of(header: &str) -> Option<u64> {
    let range = header.trim().strip_prefix("bytes=").unwrap_or(header.trim());
    let (first, last) = range.split_once('-')?;
    match (first.parse().ok()?, last.parse().ok()?) {
        (0, 0) => Some(0),
        (0, last) => u64::checked_add(last, 1),
        (_, _) => None,
    }
}

/// The smallest piece that a registry takes.
pub(super) fn least_piece(answer: &Response) -> u64 {
    answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (header, offset) in [
            ("0-0", Some(0)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("1-99", None),
            ("0--1", None),
            ("0-18446744073709551615", None),
            ("99", None),
            ("", None),
        ] {
            assert_eq!(offset_of(header), offset, "{header}");
        }
    }
}
