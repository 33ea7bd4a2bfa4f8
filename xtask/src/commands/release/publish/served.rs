//! Files that a web server offers are read back by HTTP as well: what the server's directory has is not always what users get.

use anyhow::Context as _;

use super::web::{self, Wanted};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_http::Url;
use drydock_release::publish::files::FilesTarget;
use drydock_release::publish::{ExpectedFile, Held, ObservedStep, Stage, Target};
use drydock_release::sign::Incoming;

/// A directory of files that a web server offers.
pub(super) struct ServedFiles {
    pub(super) files: FilesTarget,
    /// The URL of the directory of the release.
    pub(super) url: String,
    pub(super) expected: Vec<ExpectedFile>,
}

impl ServedFiles {
    /// Reads every file from the web server, and compares it.
    fn check(&self) -> anyhow::Result<()> {
        for file in &self.expected {
            let url = format!("{}/{}", self.url.trim_end_matches('/'), file.name);
            let mut content = fetch(&url)?;
            let mut hashed = drydock_base::checksum::HashingStream::new(std::io::sink());
            std::io::copy(&mut content.stream(), &mut hashed)
                .map_err(|error| Failure::remote(format!("{url}: the response was cut: {error}")))?;
            let (found, size): (Checksum, u64) = hashed.finish();
            if (found, size) != (file.sha256, file.size) {
                let text = format!("{url} has the SHA-256 {found} ({size} bytes), expected {}", file.sha256);
                let remedy = "is `url` that of the directory, and is a cache in front of it stale?";
                return Err(Failure::not_reproducible(format!("{text}; {remedy}")));
            }
        }
        Ok(())
    }
}

impl Target for ServedFiles {
    fn name(&self) -> &str {
        self.files.name()
    }

    fn missing(&self) -> Vec<String> {
        self.files.missing()
    }

    fn rights(&mut self) -> anyhow::Result<Option<String>> {
        self.files.rights()
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        let steps = self.files.observe(stage)?;
        let is_whole = steps.iter().all(|step| matches!(step.held, Held::Same(_)));
        if stage == Stage::Files && is_whole {
            self.check()?;
        }
        Ok(steps)
    }

    fn act(&mut self, step: &str) -> anyhow::Result<String> {
        self.files.act(step)
    }

    fn signatures(&self) -> Vec<Incoming> {
        self.files.signatures()
    }
}

/// Gets an address, following redirects.
fn fetch(address: &str) -> anyhow::Result<drydock_http::Response> {
    let url = Url::parse(address).with_context(|| Failure::Usage(format!("{address} is not a valid URL")))?;
    let response = web::get(&url, &Wanted { accept: "*/*", may_leave_origin: true, ..Wanted::default() })?;
    if response.is_success() {
        return Ok(response);
    }
    Err(response.refusal("is `url` that of the directory that the web server offers?").into())
}
