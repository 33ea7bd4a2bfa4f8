//! Files that a web server offers are read back by HTTP as well: what the server's directory has is not always what users get.

use anyhow::Context as _;

use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_http::{Client, Method, NetworkEnv, Request, RetryPolicy, Url};
use drydock_release::publish::files::FilesTarget;
use drydock_release::publish::{ExpectedFile, Held, ObservedStep, Stage, Target};
use drydock_release::sign::Incoming;

/// The most redirects that are followed.
const MOST_REDIRECTS: usize = 5;

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
    let mut url = Url::parse(address).with_context(|| Failure::Usage(format!("{address} is not a valid URL")))?;
    let environment = NetworkEnv::new(&|name| std::env::var_os(name));
    for _ in 0..=MOST_REDIRECTS {
        let proxy = if url.is_loopback() { None } else { environment.proxy_for(url.authority())? };
        let roots = if url.is_secure() { environment.roots()? } else { Default::default() };
        let client = Client::new(RetryPolicy { tries: 3, ..RetryPolicy::default() }, &roots, proxy.as_ref())?;
        // Caches on the way are asked to look at the origin.
        let request = Request::new(Method::GET, &url).header("cache-control", "no-cache");
        let response = client.send(&request)?;
        if response.is_success() {
            return Ok(response);
        }
        match response.header("location").and_then(|location| url.join(location)) {
            Some(next) if (300..400).contains(&response.status) => url = next,
            Some(_) | None => {
                return Err(response.refusal("is `url` that of the directory that the web server offers?").into());
            }
        }
    }
    Err(Failure::remote(format!("{address} redirects more than {MOST_REDIRECTS} times")))
}
