//! What an archive of Launchpad has, as its interface tells, and the rules that need to know it.
//!
//! <https://api.launchpad.net/devel.html>: `getPublishedSources`, `sourceFileUrls`, and a series' `status`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Facts, Upload};
use crate::version::DebVersion;
use drydock_base::exec;
use drydock_base::failure::Failure;

/// How much of an answer is read.
const LARGEST: &str = "16777216";
/// How many pages of a collection are read.
const PAGES: usize = 20;

/// What an archive has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remote {
    /// The files that it has or ever had of the package: by name, their SHA-256 sums; empty where it does not tell them.
    pub files: BTreeMap<String, String>,
    /// The versions that are published, with their series.
    pub versions: Vec<(String, String)>,
    /// The states of series.
    pub series: BTreeMap<String, String>,
    /// How much it holds, and how much it may, in bytes.
    pub size: Option<(u64, u64)>,
}

pub(super) fn same_bytes(upload: &Upload, facts: &Facts) -> Vec<String> {
    let Some(remote) = &facts.remote else { return Vec::new() };
    let names = upload.dsc_listed().map(|(_, _, name)| name).chain([upload.dsc_name.clone()]);
    let mut texts = Vec::new();
    for name in names {
        let (Some(theirs), Some(ours)) = (remote.files.get(&name), upload.files.get(&name)) else { continue };
        if !theirs.is_empty() && *theirs != ours.sha256 {
            texts.push(format!(
                "File {name} already exists in the archive, but uploaded version has different contents. See more \
                 information about this error in https://help.launchpad.net/Packaging/UploadErrors."
            ));
        }
    }
    texts
}

pub(super) fn higher_version(upload: &Upload, facts: &Facts) -> Vec<String> {
    let Some(remote) = &facts.remote else { return Vec::new() };
    let (Some(ours), Some(series)) = (upload.dsc.line("Version"), upload.changes.line("Distribution")) else {
        return Vec::new();
    };
    let Ok(version) = ours.parse::<DebVersion>() else { return Vec::new() };
    let published = remote.versions.iter().filter_map(|(text, of)| Some((text, of, text.parse::<DebVersion>().ok()?)));
    let mut texts: Vec<String> = published
        // In its own series it must be higher; in the others it must not be there at all.
        .filter(|(_, of, theirs)| (**of == series && *theirs >= version) || (**of != series && *theirs == version))
        .map(|(text, ..)| format!("{}: Version older than that in the archive. {ours} <= {text}", upload.dsc_name))
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

pub(super) fn quota(upload: &Upload, facts: &Facts) -> Vec<String> {
    let Some((holds, may)) = facts.remote.as_ref().and_then(|remote| remote.size) else { return Vec::new() };
    let more: u64 = upload.listed().iter().filter_map(|file| upload.files.get(&file.name)).map(|file| file.size).sum();
    let whole = holds + more;
    if whole <= may {
        return Vec::new();
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    vec![format!(
        "PPA exceeded its size limit ({:.2} of {:.2} MiB). Ask a question in https://answers.launchpad.net/soyuz/ if you \
         need more space.",
        mib(whole),
        mib(may)
    )]
}

/// A personal package archive, asked through Launchpad's interface.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    owner: String,
    archive: String,
}

/// A build of a package in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct Build {
    /// Its architecture.
    #[serde(rename = "arch_tag", default)]
    pub architecture: String,
    /// `Successfully built`, `Failed to build`, `Needs building` …
    #[serde(rename = "buildstate", default)]
    pub state: String,
    /// Where its log is.
    #[serde(rename = "build_log_url", default)]
    pub log: Option<String>,
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
    /// In MiB.
    authorized_size: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Series {
    status: String,
}

impl Api {
    /// An archive; `base` is the interface's address with its version.
    ///
    /// # Errors
    /// The address is neither `https` nor one of this machine.
    pub fn new(base: &str, owner: &str, archive: &str) -> anyhow::Result<Api> {
        let local =
            ["http://127.0.0.1:", "http://[::1]:", "http://localhost:"].iter().any(|start| base.starts_with(start));
        if !base.starts_with("https://") && !local {
            return Err(Failure::usage(format!("{base} is no https address; nothing else is asked")));
        }
        Ok(Api { base: base.trim_end_matches('/').to_owned(), owner: owner.to_owned(), archive: archive.to_owned() })
    }

    fn archive(&self) -> String {
        format!("{}/~{}/+archive/ubuntu/{}", self.base, self.owner, self.archive)
    }

    /// What the archive has of a package, and whether it takes the series.
    ///
    /// # Errors
    /// It cannot be reached, or answers what cannot be read.
    pub fn state(&self, package: &str, series: &[String]) -> anyhow::Result<Remote> {
        let mut remote = Remote::default();
        let archive: Archive = get(&self.archive()).map_err(|error| match error.downcast::<NotThere>() {
            Ok(NotThere(address)) => {
                Failure::remote(format!("{address} is not there; are `owner` and `archive` what Launchpad calls them?"))
            }
            Err(error) => error,
        })?;
        // Launchpad says nothing of how full it is to strangers; a package alone may be too large.
        remote.size = archive.authorized_size.map(|mib| (0, mib << 20));
        for published in self.published(package)? {
            let of = published.distro_series_link.rsplit('/').next().unwrap_or_default().to_owned();
            if ["Published", "Pending"].contains(&published.status.as_str()) {
                remote.versions.push((published.source_package_version.clone(), of));
            }
            let files: Vec<SourceFile> =
                get(&format!("{}?ws.op=sourceFileUrls&include_meta=true", self.own(&published.self_link)?))?;
            for file in files {
                let name = file.url.rsplit('/').next().unwrap_or_default().replace("%7E", "~").replace("%2B", "+");
                remote.files.insert(name, file.sha256.unwrap_or_default());
            }
        }
        for name in series {
            match get::<Series>(&format!("{}/ubuntu/{name}", self.base)) {
                Ok(series) => drop(remote.series.insert(name.clone(), series.status)),
                Err(error) if error.is::<NotThere>() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(remote)
    }

    /// Every publication of a package, deleted and superseded ones as well: their names are not free.
    fn published(&self, package: &str) -> anyhow::Result<Vec<Published>> {
        let query = "ws.op=getPublishedSources&exact_match=true&source_name";
        let mut next = Some(format!("{}?{query}={}", self.archive(), package.replace('+', "%2B")));
        let mut all = Vec::new();
        for _ in 0..PAGES {
            let Some(address) = next else { break };
            let page: Page<Published> = get(&address)?;
            all.extend(page.entries);
            next = page.next_collection_link.map(|link| self.own(&link)).transpose()?;
        }
        Ok(all)
    }

    /// Whether a version was accepted for a series, and how its builds are.
    ///
    /// # Errors
    /// As [`Api::state`].
    pub fn builds(&self, package: &str, version: &str, series: &str) -> anyhow::Result<Option<Vec<Build>>> {
        let is_it = |one: &&Published| {
            one.source_package_version == version && one.distro_series_link.ends_with(&format!("/{series}"))
        };
        let published = self.published(package)?;
        let Some(one) = published.iter().find(is_it) else { return Ok(None) };
        let page: Page<Build> = get(&format!("{}?ws.op=getBuilds", self.own(&one.self_link)?))?;
        Ok(Some(page.entries))
    }

    /// A link of an answer, when it leads to the same interface.
    fn own(&self, link: &str) -> anyhow::Result<String> {
        if link.starts_with(&format!("{}/", self.base)) {
            return Ok(link.to_owned());
        }
        Err(Failure::remote(format!("{} answers with the address {link:?} of another host", self.base)))
    }
}

/// The interface has no such thing.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not there")]
struct NotThere(String);

/// Asks an address. curl is no secret's keeper here: everything asked is public.
fn get<T: DeserializeOwned>(address: &str) -> anyhow::Result<T> {
    let argv: Vec<String> = [
        "curl",
        "--silent",
        "--show-error",
        "--max-time",
        "60",
        "--retry",
        "2",
        "--proto",
        "=https,http",
        "--max-filesize",
        LARGEST,
        "--header",
        "Accept: application/json",
        "--write-out",
        "\n%{http_code}",
        "--",
        address,
    ]
    .map(str::to_owned)
    .to_vec();
    let environment =
        exec::environment(&["https_proxy", "HTTPS_PROXY", "no_proxy"].map(str::to_owned), &BTreeMap::new());
    let output = exec::bytes(&argv, std::path::Path::new("/"), environment).map_err(|why| {
        let why = why.shown_as(["curl"]);
        Failure::remote(format!("cannot ask {address}: {why}"))
    })?;
    let text = String::from_utf8_lossy(&output);
    let (body, code) = text.rsplit_once('\n').context("curl said nothing")?;
    match code {
        "200" => serde_json::from_str(body)
            .map_err(|error| Failure::remote(format!("{address} answers what cannot be read: {error}"))),
        "404" => Err(NotThere(address.to_owned()).into()),
        _ => Err(Failure::remote(format!("{address} answers with the status {code}"))),
    }
}
