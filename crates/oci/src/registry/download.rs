//! Downloads of blobs into a layout. A download that was interrupted continues where it stopped.

use std::io::{self, Read as _, Write as _};

use anyhow::Context as _;

use super::challenge::Scope;
use super::{Registry, RegistryError};
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::checksum::HashingStream;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Method, Request, Response, printable};

/// The maximum number of redirects for one blob.
const MOST_REDIRECTS: u32 = 5;

impl Registry {
    /// Returns true if a blob exists.
    ///
    /// # Errors
    /// The registry refuses the request or cannot be reached.
    pub fn has_blob(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<bool> {
        let url = self.url(repository, &format!("blobs/{digest}"))?;
        let path = repository.path();
        let answer = self.send(path, &Scope::pull(path), Request::new(Method::HEAD, &url))?;
        match answer.status {
            // A redirect means that the blob is stored elsewhere.
            200 | 301 | 302 | 307 | 308 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(answer, repository)),
        }
    }

    /// Downloads a blob into a layout. After a lost connection, the download continues where it stopped.
    ///
    /// # Errors
    /// The blob does not exist or does not match its digest, the registry refuses a request or cannot be reached, or the
    /// layout cannot be written.
    pub fn download(&self, repository: &Repository, blob: &Descriptor, layout: &Layout) -> anyhow::Result<()> {
        if layout.has(blob) {
            return Ok(());
        }
        let part = self.content(repository, blob, || layout.part())?;
        layout.keep(part, &blob.digest)
    }

    /// Downloads a blob into what `create` returns, which is called again if the download starts again.
    pub(super) fn content<W: io::Write>(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        create: impl Fn() -> anyhow::Result<W>,
    ) -> anyhow::Result<W> {
        let mut sum = HashingStream::new(create()?);
        let (mut tried, mut furthest) = (0, 0);
        loop {
            let cut = match self.receive(repository, blob, &mut sum)? {
                Received::Whole => break,
                Received::Again => {
                    sum = HashingStream::new(create()?);
                    "the download started again".to_owned()
                }
                Received::Cut(why) => why,
            };
            tried += 1;
            // Bytes that are received again are not progress.
            if HashingStream::bytes(&sum) > furthest {
                (tried, furthest) = (1, HashingStream::bytes(&sum));
            }
            let url = &self.inner.base;
            if !self.inner.client.wait(url, tried, None, &cut) {
                let got = HashingStream::bytes(&sum);
                let text = format!("{repository} returned {got} of {} bytes of {}: {cut}", blob.size, blob.digest);
                return Err(RegistryError::protocol(text));
            }
        }
        let (part, (found, size)) = sum.into_parts();
        if Digest(found) != blob.digest || size != blob.size {
            let text =
                format!("{repository} returned other content for {}, with the digest {}", blob.digest, Digest(found));
            return Err(RegistryError::wrong_content(text));
        }
        Ok(part)
    }

    /// Requests the missing part of a blob.
    fn receive<W: io::Write>(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        sum: &mut HashingStream<W>,
    ) -> anyhow::Result<Received> {
        let from = HashingStream::bytes(sum);
        if from == blob.size && from > 0 {
            return Ok(Received::Whole);
        }
        let mut answer = self.open_blob(repository, blob, from)?;
        match (answer.status, from) {
            (200, 0) => {}
            // The registry does not support ranges.
            (200, _) => return Ok(Received::Again),
            (206, _) if starts_at(answer.header("content-range"), from) => {}
            (206 | 416, _) => return Ok(Received::Again),
            (404, _) => {
                return Err(RegistryError::NotFound(format!("blob {} of {repository}", blob.digest)).into());
            }
            _ => return Err(self.refused(answer, repository)),
        }
        let mut stream = answer.stream();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match stream.read(&mut buffer) {
                Ok(0) if HashingStream::bytes(sum) < blob.size => {
                    return Ok(Received::Cut("the connection ended".to_owned()));
                }
                Ok(0) => return Ok(Received::Whole),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Received::Cut(printable(&error.to_string()))),
            };
            if HashingStream::bytes(sum) + read as u64 > blob.size {
                let text = format!("{repository} returned more than the {} bytes of {}", blob.size, blob.digest);
                return Err(RegistryError::wrong_content(text));
            }
            sum.write_all(&buffer[..read])
                .with_context(|| format!("cannot write {}; is the disk full?", blob.digest))?;
        }
    }

    /// Requests a blob, and follows redirects. Only the registry itself gets credentials.
    fn open_blob(&self, repository: &Repository, blob: &Descriptor, from: u64) -> anyhow::Result<Response> {
        let mut url = self.url(repository, &format!("blobs/{}", blob.digest))?;
        for _ in 0..=MOST_REDIRECTS {
            let mut call = Request::new(Method::GET, &url);
            if from > 0 {
                call = call.header("range", format!("bytes={from}-"));
            }
            let answer = self.send(repository.path(), &Scope::pull(repository.path()), call)?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.header("location").and_then(|location| url.join(location));
            let next = next.ok_or_else(|| RegistryError::protocol(format!("{url} returned an invalid redirect")))?;
            let here = next.is_loopback() && self.inner.base.is_loopback();
            if !next.is_secure() && !here {
                let text = format!("{} redirects a blob to {next}, which is not encrypted", self.host());
                return Err(RegistryError::protocol(text));
            }
            url = next;
        }
        Err(RegistryError::protocol(format!("{} returned too many redirects for {}", self.host(), blob.digest)))
    }
}

enum Received {
    /// All of it.
    Whole,
    /// The download has to start from the first byte.
    Again,
    /// A part, and the reason why it is not more.
    Cut(String),
}

/// Returns true if a `Content-Range` starts at `from` (RFC 9110, 14.4).
fn starts_at(header: Option<&str>, from: u64) -> bool {
    let range = header.and_then(|text| text.trim().strip_prefix("bytes ")).and_then(|range| range.split_once('-'));
    range.is_some_and(|(first, _)| first.trim().parse() == Ok(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_checked() {
        for (header, fits) in [
            (Some("bytes 10-19/20"), true),
            (Some("bytes 10-19/*"), true),
            (Some("bytes 0-19/20"), false),
            (Some("bytes */20"), false),
            (Some("10-19/20"), false),
            (None, false),
        ] {
            assert_eq!(starts_at(header, 10), fits, "{header:?}");
        }
    }
}
