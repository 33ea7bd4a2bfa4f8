//! The proofs of a release, and `proof.json`, without which images and packages are published only with a reason.

mod isolation;
pub mod offline;
mod poison;
pub mod rebuild;

use std::path::Path;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::paths;
use drydock_base::variations::Variation;
use drydock_config::release;

/// The name of the file.
pub const NAME: &str = "proof.json";
/// The version of the file format.
const FORMAT: u32 = 1;

/// The proofs of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "proof.json")]
pub struct Proof {
    /// The version of this file format.
    pub format: u32,
    /// The checksum of `SHA256SUMS`, which identifies the release.
    pub checksums: Checksum,
    /// The varied rebuild.
    pub rebuild: RebuildProof,
    /// The build without a network; none if the project does not declare one.
    pub offline: Option<OfflineProof>,
}

/// A second build in a varied environment that produced the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RebuildProof {
    /// The names of the artifacts that are identical.
    pub identical: Vec<String>,
    /// The variations, and those that this machine does not support.
    pub variations: Vec<Variation>,
}

/// A build and test of an archive without a network and without the tools that a builder should not need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OfflineProof {
    /// The name of the archive.
    pub archive: String,
    /// The command that built it.
    pub build: Vec<String>,
    /// The command that tested it; none if none is declared.
    pub test: Option<Vec<String>>,
    /// The programs that were replaced by failing ones.
    pub poisoned: Vec<String>,
    /// The paths at which they were seen to fail, before the build.
    pub replaced: Vec<String>,
    /// The network interfaces that were seen, before the build.
    pub interfaces: Vec<String>,
    /// The number of sockets of other processes that were hidden from the build.
    pub hidden_sockets: usize,
    /// The replaced programs that were called, without making the build fail.
    pub called: Vec<String>,
    /// The parts of the isolation that this machine did not allow, with what follows from it.
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Proof {
    /// The proofs of this release.
    ///
    /// # Errors
    /// Serialisation of the manifest fails, which is a bug.
    pub fn new(manifest: &Manifest, rebuild: RebuildProof, offline: Option<OfflineProof>) -> anyhow::Result<Proof> {
        let checksums = Checksum::new(manifest.checksums()?.as_bytes());
        Ok(Proof { format: FORMAT, checksums, rebuild, offline })
    }

    /// Writes `proof.json` to a directory.
    ///
    /// # Errors
    /// The directory is not writable.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        paths::write_atomically(&directory.join(NAME), format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes())
    }

    /// Reads `proof.json` of a release in a directory. `declared` is the offline proof that the declaration of the released
    /// commit requires.
    ///
    /// # Errors
    /// The file is missing, is of another release, or lacks a proof that the declaration requires.
    pub fn load(
        manifest: &Manifest,
        directory: &Path,
        declared: Option<&release::OfflineProof>,
    ) -> anyhow::Result<Proof> {
        let refused = |why: &str| {
            let prove = hint::drydock(&["release", "prove"]);
            Failure::not_reproducible(format!("{}: {why}; run `{prove}`", directory.display()))
        };
        let text = std::fs::read_to_string(directory.join(NAME)).map_err(|_| refused("the release has no proof"))?;
        let proof: Proof = serde_json::from_str(&text).with_context(|| format!("{NAME} in {}", directory.display()))?;
        if proof.format != FORMAT || proof.checksums != Checksum::new(manifest.checksums()?.as_bytes()) {
            return Err(refused("the proof is for other files"));
        }
        if manifest.artifacts.iter().any(|artifact| !proof.rebuild.identical.contains(&artifact.name)) {
            return Err(refused("the proof does not include all artifacts"));
        }
        if proof.rebuild.variations.iter().all(|variation| variation.value.is_none()) {
            return Err(refused("the second build of the proof varied nothing"));
        }
        match (declared, &proof.offline) {
            (Some(_), None) => Err(refused("the proof of the build without a network is missing")),
            (Some(declared), Some(offline)) if !offline.is_of(declared, manifest) => Err(refused(
                "the proof of the build without a network is for another archive, or with other commands than declared",
            )),
            (Some(_), Some(_)) | (None, _) => Ok(proof),
        }
    }
}

impl OfflineProof {
    /// Whether it proves what is declared, with an archive of the release.
    fn is_of(&self, declared: &release::OfflineProof, manifest: &Manifest) -> bool {
        manifest.artifacts.iter().any(|artifact| artifact.name == self.archive)
            && (&self.build, &self.test, &self.poisoned) == (&declared.build, &declared.test, &declared.poisoned)
    }
}
