//! The files of a release that every target must have: those of `release.json`, the checksums, and their signatures.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::manifest::{self, CHECKSUMS, Manifest};
use drydock_base::checksum::Checksum;

/// A file that a target must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedFile {
    /// The name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The checksum.
    pub sha256: Checksum,
}

impl ExpectedFile {
    /// Whether it is a signature of the checksums, of which there may be more later.
    pub fn is_signature(&self) -> bool {
        is_signature(&self.name)
    }
}

/// Whether a file has signatures of `SHA256SUMS`.
pub fn is_signature(name: &str) -> bool {
    let rest = name.strip_prefix(CHECKSUMS).and_then(|rest| rest.strip_prefix('.'));
    rest.is_some_and(|rest| matches!(rest.rsplit('.').next(), Some("asc" | "sig")))
}

/// The files to publish of a release in a directory: artifacts first, then `release.json`, the checksums, and at the end the
/// signatures, so that nobody finds a signed list before its files.
///
/// # Errors
/// The directory cannot be read.
pub fn expected_files(manifest: &Manifest, directory: &Path) -> anyhow::Result<Vec<ExpectedFile>> {
    let mut files: Vec<ExpectedFile> = manifest
        .artifacts
        .iter()
        .map(|one| ExpectedFile { name: one.name.clone(), size: one.size, sha256: one.sha256 })
        .collect();
    let mut signatures = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if is_signature(&name) {
            signatures.push(name);
        }
    }
    signatures.sort();
    for name in [manifest::NAME.to_owned(), CHECKSUMS.to_owned()].into_iter().chain(signatures) {
        let path = directory.join(&name);
        let (sha256, size) = Checksum::from_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        files.push(ExpectedFile { name, size, sha256 });
    }
    Ok(files)
}
