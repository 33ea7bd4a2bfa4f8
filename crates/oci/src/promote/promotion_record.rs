//! The promotion record: the image that became a release, the evidence for it, and the keys that signed it.
//!
//! It holds nothing that differs between calls, so that an interrupted promotion continues with the record that was signed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::build_record::{RecordError, SmokeTestResult};
use drydock_base::checksum::Checksum;
use drydock_config::images::Digest;

/// The type of the artifact in a registry.
pub const ARTIFACT_TYPE: &str = "application/vnd.drydock.promotion.v1+json";
/// The media type of its signature, detached and in ASCII (RFC 9580, section 6).
pub const SIGNATURE_TYPE: &str = "application/pgp-signature";
/// The version of the record's format.
pub const FORMAT: u32 = 1;

/// The record of a promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Promotion {
    /// The version of this format.
    pub format: u32,
    /// The declared name of the image.
    pub image: String,
    /// The version.
    pub version: String,
    /// The signed tag.
    pub tag: SignedTag,
    /// The commit.
    pub commit: String,
    /// The repository that the image was copied from.
    pub from: String,
    /// The repository that the image was copied to.
    pub to: String,
    /// The digest of the image, the same in both repositories.
    pub digest: Digest,
    /// The image of each platform.
    pub platforms: BTreeMap<String, PromotedPlatform>,
    /// The checksums of `release.json` and `proof.json`, if the release was made on the machine that promoted it.
    pub proofs: BTreeMap<String, Checksum>,
    /// The reason for publishing the image without a proof of its sources; none if they were proved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub without_proof: Option<String>,
}

/// A signed tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignedTag {
    /// The name of the tag, without `refs/tags/`.
    pub name: String,
    /// The tag object.
    pub object: String,
    /// The fingerprints of the declared keys that signed it.
    pub signed_by: BTreeSet<String>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PromotedPlatform {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The smoke test; none for a platform that could not run on the machine that built it.
    pub smoke_test: Option<SmokeTestResult>,
}

impl Promotion {
    /// Formats the text that is signed.
    ///
    /// # Errors
    /// None in practice.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// Parses a record.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(text: &[u8]) -> Result<Promotion, RecordError> {
        let record: Promotion = serde_json::from_slice(text)?;
        match record.format {
            FORMAT => Ok(record),
            found => Err(RecordError::Format { found, expected: FORMAT }),
        }
    }

    /// Returns true for records of the same promotion. Those of two machines may differ in proofs, signers and tests.
    pub fn is_same(&self, other: &Promotion) -> bool {
        let without = |one: &Promotion| {
            let mut one = one.clone();
            one.proofs.clear();
            one.without_proof = None;
            one.tag.signed_by.clear();
            one.platforms.values_mut().for_each(|platform| platform.smoke_test = None);
            one
        };
        without(self) == without(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_parsed_strictly() {
        let test = SmokeTestResult { run: vec!["x".into()], printed: "1.0".into() };
        let platform = PromotedPlatform { digest: Digest::for_bytes(b"p"), smoke_test: Some(test) };
        let tag = SignedTag { name: "v1.0".into(), object: "1".into(), signed_by: BTreeSet::from(["K".into()]) };
        let record = Promotion {
            format: FORMAT,
            image: "x".into(),
            version: "1.0".into(),
            tag,
            commit: "2".into(),
            from: "r.example/n".into(),
            to: "r.example/r".into(),
            digest: Digest::for_bytes(b"x"),
            platforms: BTreeMap::from([("linux/amd64".into(), platform)]),
            proofs: BTreeMap::new(),
            without_proof: None,
        };
        let text = record.text().unwrap();
        assert_eq!(Promotion::parse(text.as_bytes()).unwrap(), record);
        assert!(Promotion::parse(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).is_err());
        assert!(Promotion::parse(text.replace("\"from\"", "\"whence\"").as_bytes()).is_err());
        let mut elsewhere = record.clone();
        elsewhere.proofs.insert("release.json".into(), Checksum::new(b""));
        assert!(elsewhere.is_same(&record));
        elsewhere.digest = Digest::for_bytes(b"y");
        assert!(!elsewhere.is_same(&record));
    }
}
