//! What proves a release, and `proof.json`, without which it is not published.

pub mod offline;
pub mod twin;

use std::path::Path;

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_base::sums::Sha256Sum;
use drydock_base::twin::Variation;

/// The file's name.
pub const NAME: &str = "proof.json";
/// The version of the format.
const FORMAT: u32 = 1;

/// What was proved about a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "proof.json")]
pub struct Proof {
    /// The version of this format.
    pub format: u32,
    /// The sum of `SHA256SUMS`: what it is a proof of.
    pub sums: Sha256Sum,
    /// The second build.
    pub twin: TwinProof,
    /// The build without a network; none when the project declares none.
    pub offline: Option<OfflineProof>,
}

/// A second build in other surroundings made the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TwinProof {
    /// The artifacts that are the same, byte for byte.
    pub identical: Vec<String>,
    /// What was varied, and what could not be.
    pub variations: Vec<Variation>,
}

/// An archive was built and tested without a network and without the tools that nobody should need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OfflineProof {
    /// The archive.
    pub archive: String,
    /// The command that built it.
    pub build: Vec<String>,
    /// The command that tested it.
    pub test: Option<Vec<String>>,
    /// The programs that were replaced by ones that fail.
    pub poisoned: Vec<String>,
    /// How: by bind mounts over their files too, or only first in `PATH`.
    pub poisoned_by: String,
    /// Those of them that were called, which the build took well.
    pub called: Vec<String>,
}

impl Proof {
    /// A proof of this release.
    pub fn new(manifest: &Manifest, twin: TwinProof, offline: Option<OfflineProof>) -> Proof {
        Proof { format: FORMAT, sums: Sha256Sum::of(manifest.sums().as_bytes()), twin, offline }
    }

    /// Writes it beside the release.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        paths::write_atomically(&directory.join(NAME), format!("{}\n", serde_json::to_string_pretty(self)?).as_bytes())
    }

    /// The proof of a release that is in a directory.
    ///
    /// # Errors
    /// There is none, or it proves something else, or less than the declaration wants.
    pub fn of(manifest: &Manifest, directory: &Path, wants_offline: bool) -> anyhow::Result<Proof> {
        let refused = |why: &str| {
            Failure::not_reproducible(format!("{}: {why}; run `cargo xtask release prove`", directory.display()))
        };
        let text = std::fs::read_to_string(directory.join(NAME)).map_err(|_| refused("the release is not proved"))?;
        let proof: Proof = serde_json::from_str(&text).with_context(|| format!("{NAME} in {}", directory.display()))?;
        if proof.format != FORMAT || proof.sums != Sha256Sum::of(manifest.sums().as_bytes()) {
            return Err(refused("the proof is of other files"));
        }
        if manifest.artifacts.iter().any(|artifact| !proof.twin.identical.contains(&artifact.name)) {
            return Err(refused("the proof leaves artifacts out"));
        }
        if wants_offline && proof.offline.is_none() {
            return Err(refused("the build without a network is not proved"));
        }
        Ok(proof)
    }
}
