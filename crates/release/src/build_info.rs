//! `build-info.json`: what depends on the machine that built a release. It is in no list and nobody signs it, so that everybody who
//! builds the release signs the same bytes.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use drydock_archive as archive;
use drydock_base::exec;
use drydock_base::variations::Variation;
use drydock_config::release::Release;

/// The name of the file.
pub const NAME: &str = "build-info.json";
/// The version of the file format.
const FORMAT: u32 = 1;

/// The programs and libraries that built a release on one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "build-info.json")]
pub struct BuildInfo {
    /// The version of this file format.
    pub format: u32,
    /// The version of Drydock.
    pub drydock: String,
    /// The versions of the libraries that decide the bytes of archives.
    pub libraries: BTreeMap<String, String>,
    /// The versions of the programs that were called.
    pub tools: BTreeMap<String, String>,
    /// The versions of the Debian packages that generators need.
    pub packages: BTreeMap<String, String>,
    /// What binary tarballs were built on, by the names of distributions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub binaries: BTreeMap<String, BinaryInfo>,
}

/// What a binary tarball was built on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BinaryInfo {
    /// The name of the base.
    pub base: String,
    /// The versions of the packages that the base has.
    pub packages: BTreeMap<String, String>,
    /// What differed between the two builds, and what was the same.
    pub variations: Vec<Variation>,
}

impl BuildInfo {
    /// The programs and libraries on this machine.
    pub fn gather(release: &Release) -> BuildInfo {
        let ask = |argv: &[&str]| {
            let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
            exec::read(&argv, Path::new("/")).ok().filter(|answer| !answer.is_empty())
        };
        let needs = release.generators.iter().flat_map(|generator| &generator.needs);
        let version = |package: &String| {
            let version = ask(&["dpkg-query", "--show", "--showformat=${Version}", package]);
            version.unwrap_or_else(|| "not installed as a Debian package".into())
        };
        BuildInfo {
            format: FORMAT,
            drydock: env!("CARGO_PKG_VERSION").to_owned(),
            libraries: archive::libraries().into_iter().map(|(name, version)| (name.to_string(), version)).collect(),
            tools: ask(&["git", "--version"]).map(|version| ("git".to_owned(), version)).into_iter().collect(),
            packages: needs.map(|package| (package.clone(), version(package))).collect(),
            binaries: BTreeMap::new(),
        }
    }
}
