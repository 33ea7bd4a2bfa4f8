//! The client of Launchpad's API.
//!
//! <https://api.launchpad.net/devel.html>: `getPublishedSources`, `sourceFileUrls`, and the `status` of a series.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ArchiveState, Build, Publication};
use crate::network::Network;
use drydock_base::failure::Failure;
use drydock_http::{Client, Method, Request, RetryPolicy, Url};

/// The most bytes of a response.
const MAX_RESPONSE: u64 = 16 << 20;
/// The most pages of a collection that are read.
const MAX_PAGES: usize = 20;
/// The longest wait for data.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A personal package archive (PPA) on Launchpad.
#[derive(Clone)]
pub struct Api {
    base: String,
    archive: String,
    client: Client,
}

#[derive(Debug, Deserialize)]
struct Page<T> {
    #[serde(default = "Vec::new")]
    entries: Vec<T>,
    next_collection_link: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Published {
    self_link: String,
    source_package_version: String,
    distro_series_link: String,
    #[serde(default)]
    status: String,
}

#[derive(Debug, Deserialize)]
struct SourceFile {
    url: String,
    #[serde(default)]
    sha256: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Archive {
    /// The limit in MiB.
    authorized_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Series {
    status: String,
}

impl Api {
    /// An archive of `owner`; `base` is the URL of the API with its version.
    ///
    /// # Errors
    /// The URL is invalid, or neither `https` nor on this machine.
    pub fn new(base: &str, owner: &str, archive: &str, network: &Network) -> anyhow::Result<Api> {
        let base = base.trim_end_matches('/').to_owned();
        let url = Url::parse(&base).ok_or_else(|| Failure::usage(format!("{base} is not a valid URL")))?;
        if !url.is_secure() && !url.is_loopback() {
            return Err(Failure::usage(format!("{base}: only https URLs are supported")));
        }
        let client = network.client(&url, RetryPolicy { tries: 3, silence: TIMEOUT, ..RetryPolicy::default() })?;
        Ok(Api { archive: format!("{base}/~{owner}/+archive/ubuntu/{archive}"), base, client })
    }

    /// The archive's state as far as it concerns a package, and the status of these series.
    ///
    /// # Errors
    /// Launchpad cannot be reached, has no such archive, or sends an unexpected response.
    pub fn state(&self, package: &str, series: &[String]) -> anyhow::Result<ArchiveState> {
        let archive: Archive = self.get(&self.url(&self.archive)?)?.ok_or_else(|| {
            let text = format!("{} does not exist; check `owner` and `archive` of the upload target", self.archive);
            Failure::remote(text)
        })?;
        let mut state = ArchiveState {
            // Launchpad does not publish how full an archive is, but a single package may exceed the limit, too.
            size: archive.authorized_size.map(|mib| (0, mib << 20)),
            ..ArchiveState::default()
        };
        for published in self.published(package)? {
            let series = published.distro_series_link.rsplit('/').next().unwrap_or_default().to_owned();
            state.taken.push((published.source_package_version.clone(), series.clone()));
            if ["Published", "Pending"].contains(&published.status.as_str()) {
                state.versions.push((published.source_package_version.clone(), series));
            }
            let files = [("ws.op", "sourceFileUrls"), ("include_meta", "true")];
            let files: Vec<SourceFile> = self.require(&self.url(&published.self_link)?.with_query(&files))?;
            for file in files {
                let name = file.url.rsplit('/').next().unwrap_or_default().replace("%7E", "~").replace("%2B", "+");
                state.files.insert(name, file.sha256.unwrap_or_default());
            }
        }
        for name in series {
            if let Some(Series { status }) = self.get(&self.url(&format!("{}/ubuntu/{name}", self.base))?)? {
                state.series.insert(name.clone(), status);
            }
        }
        Ok(state)
    }

    /// All publications of a package, including deleted and superseded ones, whose file names stay taken.
    fn published(&self, package: &str) -> anyhow::Result<Vec<Published>> {
        let query = [("ws.op", "getPublishedSources"), ("exact_match", "true"), ("source_name", package)];
        self.collection(self.url(&self.archive)?.with_query(&query))
    }

    /// All entries of a collection.
    fn collection<T: DeserializeOwned>(&self, first: Url) -> anyhow::Result<Vec<T>> {
        let mut next = Some(first);
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next else { break };
            let page: Page<T> = self.require(&url)?;
            all.extend(page.entries);
            next = page.next_collection_link.map(|link| self.url(&link)).transpose()?;
        }
        Ok(all)
    }

    /// A version in a series; `None` if the archive has not accepted it (yet).
    ///
    /// # Errors
    /// As [`Api::state`].
    pub fn publication(&self, package: &str, version: &str, series: &str) -> anyhow::Result<Option<Publication>> {
        let suffix = format!("/{series}");
        let is_it =
            |one: &&Published| one.source_package_version == version && one.distro_series_link.ends_with(&suffix);
        let published = self.published(package)?;
        let Some(one) = published.iter().find(is_it) else { return Ok(None) };
        let link = self.url(&one.self_link)?;
        let files: Vec<SourceFile> =
            self.require(&link.with_query(&[("ws.op", "sourceFileUrls"), ("include_meta", "true")]))?;
        let dsc = files.into_iter().find(|file| file.url.ends_with(".dsc")).and_then(|file| file.sha256);
        let builds: Vec<Build> = self.collection(link.with_query(&[("ws.op", "getBuilds")]))?;
        Ok(Some(Publication { dsc, status: one.status.clone(), builds }))
    }

    /// Parses a link of a response. Links that lead outside the API are not followed.
    fn url(&self, link: &str) -> anyhow::Result<Url> {
        let url = link.strip_prefix(&self.base).filter(|rest| rest.starts_with('/')).and_then(|_| Url::parse(link));
        url.ok_or_else(|| {
            let link = drydock_http::printable(&format!("{link:?}"));
            Failure::remote(format!("{} sent a link to another host: {link}", self.base))
        })
    }

    /// Fetches an object that must exist.
    fn require<T: DeserializeOwned>(&self, url: &Url) -> anyhow::Result<T> {
        self.get(url)?.ok_or_else(|| Failure::remote(format!("{url} does not exist")))
    }

    /// Fetches an object; `None` if it does not exist.
    fn get<T: DeserializeOwned>(&self, url: &Url) -> anyhow::Result<Option<T>> {
        let mut response = self.client.send(&Request::new(Method::GET, url).header("accept", "application/json"))?;
        match response.status {
            200 => {
                let body = response.bytes(MAX_RESPONSE)?;
                let wrong = |error| Failure::remote(format!("cannot parse the response of {url}: {error}"));
                serde_json::from_slice(&body).map(Some).map_err(wrong)
            }
            404 => Ok(None),
            _ => Err(response.refusal("").into()),
        }
    }
}
