//! Downloads of blobs into a layout. A download that was interrupted continues where it stopped.

use std::io::{self, Read as _, Write as _};

use anyhow::Context as _;

use super::Registry;
use super::challenge::Scope;
use crate::layout::Layout;
use crate::model::Descriptor;
use drydock_base::failure::Failure;
use drydock_base::sums::Summing;
use drydock_config::images::{Digest, Repository};
use drydock_http::{Method, Request, Response, printable};

/// How often a registry may send us elsewhere for one blob.
const MOST_REDIRECTS: u32 = 5;

impl Registry {
    /// Whether a blob is there.
    ///
    /// # Errors
    /// The registry cannot be reached or refuses.
    pub fn has_blob(&self, repository: &Repository, digest: &Digest) -> anyhow::Result<bool> {
        let url = self.url(repository, &format!("blobs/{digest}"))?;
        let path = repository.path();
        let answer = self.send(path, &Scope::pull(path), Request::new(Method::HEAD, &url))?;
        match answer.status {
            // One that keeps its blobs elsewhere says where.
            200 | 301 | 302 | 307 | 308 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(answer, repository)),
        }
    }

    /// Brings a blob into a layout. A cut connection is made again, and goes on where it was cut.
    ///
    /// # Errors
    /// The blob is not there or not what its digest says, the registry cannot be reached, or the layout cannot be written.
    pub fn download(&self, repository: &Repository, blob: &Descriptor, layout: &Layout) -> anyhow::Result<()> {
        if layout.has(blob) {
            return Ok(());
        }
        let part = layout.part()?;
        let mut sum = Summing::new(part);
        let (mut tried, mut furthest) = (0, 0);
        loop {
            let cut = match self.receive(repository, blob, &mut sum)? {
                Received::Whole => break,
                Received::Again => {
                    sum = Summing::new(layout.part()?);
                    "it began anew".to_owned()
                }
                Received::Cut(why) => why,
            };
            tried += 1;
            // What came before, and comes again from the first byte, is no progress.
            if Summing::bytes(&sum) > furthest {
                (tried, furthest) = (1, Summing::bytes(&sum));
            }
            if tried >= self.retry_policy().tries {
                let got = Summing::bytes(&sum);
                let text = format!("{repository} gave {got} of {} bytes of {}: {cut}", blob.size, blob.digest);
                return Err(Failure::remote(text));
            }
            self.retry_policy().clock.sleep(self.retry_policy().wait(tried));
        }
        let (part, (found, size)) = sum.into_parts();
        if Digest(found) != blob.digest || size != blob.size {
            let text = format!("{repository} gave other bytes for {}: their digest is {}", blob.digest, Digest(found));
            return Err(Failure::not_reproducible(text));
        }
        layout.keep(part, &blob.digest)
    }

    /// One request for what is missing.
    fn receive(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        sum: &mut Summing<tempfile::NamedTempFile>,
    ) -> anyhow::Result<Received> {
        let from = Summing::bytes(sum);
        if from == blob.size && from > 0 {
            return Ok(Received::Whole);
        }
        let mut answer = self.open_blob(repository, blob, from)?;
        match (answer.status, from) {
            (200, 0) => {}
            // It knows no ranges.
            (200, _) => return Ok(Received::Again),
            (206, _) if starts_at(answer.header("content-range"), from) => {}
            (206 | 416, _) => return Ok(Received::Again),
            (404, _) => {
                return Err(Failure::remote(format!("{repository} has no blob {}", blob.digest)));
            }
            _ => return Err(self.refused(answer, repository)),
        }
        let mut stream = answer.stream();
        let mut buffer = vec![0; 256 << 10];
        loop {
            let read = match stream.read(&mut buffer) {
                Ok(0) if Summing::bytes(sum) < blob.size => {
                    return Ok(Received::Cut("the connection ended".to_owned()));
                }
                Ok(0) => return Ok(Received::Whole),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Received::Cut(printable(&error.to_string()))),
            };
            if Summing::bytes(sum) + read as u64 > blob.size {
                let text = format!("{repository} gives more than the {} bytes of {}", blob.size, blob.digest);
                return Err(Failure::not_reproducible(text));
            }
            sum.write_all(&buffer[..read])
                .with_context(|| format!("cannot write {} to this disk; is there space?", blob.digest))?;
        }
    }

    /// Asks for a blob, wherever the registry keeps it. Only the registry itself is told who asks.
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
            let next = next.ok_or_else(|| Failure::remote(format!("{url} sends to no address")))?;
            let here = next.is_loopback() && self.inner.base.is_loopback();
            if !next.is_secure() && !here {
                let text = format!("{} wants a blob to be read in the clear from {next}", self.host());
                return Err(Failure::remote(text));
            }
            url = next;
        }
        Err(Failure::remote(format!("{} sends us around for {}", self.host(), blob.digest)))
    }
}

enum Received {
    /// All of it.
    Whole,
    /// It has to start from the first byte.
    Again,
    /// A part, and why no more.
    Cut(String),
}

/// Whether a `Content-Range` starts there (RFC 9110, 14.4).
fn starts_at(header: Option<&str>, from: u64) -> bool {
    let range = header.and_then(|text| text.trim().strip_prefix("bytes ")).and_then(|range| range.split_once('-'));
    range.is_some_and(|(first, _)| first.trim().parse() == Ok(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_to_be_the_one_that_is_missing() {
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
