//! What a release is made of and where it comes from: components as CycloneDX and SPDX, and a provenance as in-toto has it.
//!
//! The documents are functions of the commit and the archives: they have no clock, no machine and no random number, so that
//! everybody who builds a release signs the same bytes. What depends on the machine is in `build-info.json`.

mod component;
mod cyclonedx;
mod libraries;
pub mod provenance;
mod spdx;

use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use drydock_archive::source::SourceTree;
use drydock_base::checksum::Checksum;
use drydock_base::text::quoted;

pub use component::{Component, ComponentKind, components};

use super::binaries::BinaryRecord;
use super::manifest::{Artifact, ArtifactKind, Identity};

/// The endings of the names of documents.
pub const ENDINGS: [&str; 3] = [".cdx.json", ".spdx.json", ".intoto.json"];

/// Whether a file of a release is one of these documents.
pub fn is_document(name: &str) -> bool {
    ENDINGS.iter().any(|ending| name.len() > ending.len() && name.ends_with(ending))
}

/// A document of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The name of the file.
    pub name: String,
    /// The content.
    pub content: Vec<u8>,
}

impl Document {
    fn new(identity: &Identity<'_>, ending: &str, value: &Value) -> anyhow::Result<Document> {
        let text = serde_json::to_string_pretty(value).context("cannot write a document")?;
        Ok(Document { name: format!("{}{ending}", identity.directory()), content: format!("{text}\n").into_bytes() })
    }

    /// The entry of `release.json`.
    pub fn artifact(&self) -> Artifact {
        Artifact {
            name: self.name.clone(),
            size: self.content.len() as u64,
            sha256: Checksum::new(&self.content),
            kind: Some(ArtifactKind::Document),
        }
    }
}

/// The product that a document is about.
pub(crate) struct Product<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// The time of the commit, as `2026-06-01T12:00:00Z`.
    pub(crate) time: String,
    /// A UUID that is made of the contents.
    pub(crate) uuid: String,
}

/// The first line in which a document differs from what was expected; none if they are the same. A file that cannot be read is
/// different from every other.
pub fn first_difference(expected: &Path, found: &Path) -> Option<String> {
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let (expected, found) = match (read(expected), read(found)) {
        (Ok(expected), Ok(found)) => (expected, found),
        (Err(error), _) | (_, Err(error)) => return Some(error),
    };
    if expected == found {
        return None;
    }
    let mut ends = found.lines().map(Some).chain(std::iter::repeat(None));
    let differs = expected.lines().enumerate().find_map(|(at, line)| {
        let other = ends.next().flatten();
        (other != Some(line)).then(|| (at + 1, line, other.unwrap_or("the end of the file")))
    });
    Some(match differs {
        Some((line, expected, found)) => {
            format!("line {line} is {}, expected {}", quoted(found.trim()), quoted(expected.trim()))
        }
        None => "it has more lines than expected".to_owned(),
    })
}

/// The documents of a release whose archives were written. The last is the provenance, which is about all others.
///
/// # Errors
/// A lock file or another file that names components cannot be read.
pub fn documents(
    identity: &Identity<'_>,
    tree: &SourceTree,
    artifacts: &[Artifact],
    binaries: &[BinaryRecord],
) -> anyhow::Result<Vec<Document>> {
    let components = components(identity.release, tree)?;
    let (name, version) = (identity.release.name.as_str(), identity.version.as_str());
    let time = drydock_archive::rfc3339(tree.epoch)?;
    let seed = format!("{name} {version} {} {components:?}", tree.commit);
    let product = Product { name, version, time, uuid: uuid(&Checksum::new(seed.as_bytes()).to_string()) };
    let mut documents = vec![
        Document::new(identity, ENDINGS[0], &cyclonedx::document(&product, &components))?,
        Document::new(identity, ENDINGS[1], &spdx::document(&product, &components))?,
    ];
    let mut subjects = artifacts.to_vec();
    subjects.extend(documents.iter().map(Document::artifact));
    subjects.sort_by(|a, b| a.name.cmp(&b.name));
    let statement = provenance::statement(identity, tree, &subjects, binaries);
    documents.push(Document::new(identity, ENDINGS[2], &statement)?);
    Ok(documents)
}

/// A UUID of version 8 (RFC 9562, section 5.8), made of the digits of a checksum.
fn uuid(digits: &str) -> String {
    format!("{}-{}-8{}-8{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..32])
}
