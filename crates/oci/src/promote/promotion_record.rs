//! The record of a promotion: which image became a release, why it was fit to, and who says so.
//!
//! It holds nothing that differs from one call to the next, so that an interrupted promotion goes on with the record that
//! was signed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::build_record::SmokeTestResult;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::Digest;

/// The type of the artifact in a registry.
pub const ARTIFACT_TYPE: &str = "application/vnd.drydock.promotion.v1+json";
/// The type of its signature, detached and in ASCII (RFC 9580, section 6).
pub const SIGNATURE_TYPE: &str = "application/pgp-signature";
/// The version of the format.
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
    /// The repository that it was copied from.
    pub from: String,
    /// The repository that it was copied to.
    pub to: String,
    /// The image, the same in both.
    pub digest: Digest,
    /// Its platforms.
    pub platforms: BTreeMap<String, Platform>,
    /// The sums of `release.json` and `proof.json`, if the release was made on the machine that promoted it.
    pub proofs: BTreeMap<String, Sha256Sum>,
}

/// A signed tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SignedTag {
    /// Its name.
    pub name: String,
    /// The tag object.
    pub object: String,
    /// The fingerprints of the declared keys that signed it.
    pub signed_by: BTreeSet<String>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Platform {
    /// Its manifest.
    pub digest: Digest,
    /// What was run in it; none for a platform that could not run where it was built.
    pub smoke_test: Option<SmokeTestResult>,
}

impl Promotion {
    /// The text that is signed.
    ///
    /// # Errors
    /// None in practice.
    pub fn text(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// Reads a text.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Promotion, String> {
        let record: Promotion =
            serde_json::from_slice(text).map_err(|error| format!("it is no record of a promotion: {error}"))?;
        match record.format {
            FORMAT => Ok(record),
            other => Err(format!("it has the format {other}, this Drydock reads {FORMAT}")),
        }
    }

    /// Whether it is about the same promotion: everything that must not differ between two machines that do it.
    pub fn is_same(&self, other: &Promotion) -> bool {
        let without = |one: &Promotion| {
            let mut one = one.clone();
            one.proofs.clear();
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
    fn a_record_is_read_as_it_was_written_and_nothing_else_is() {
        let test = SmokeTestResult { run: vec!["x".into()], printed: "1.0".into() };
        let platform = Platform { digest: Digest::of(b"p"), smoke_test: Some(test) };
        let tag = SignedTag { name: "v1.0".into(), object: "1".into(), signed_by: BTreeSet::from(["K".into()]) };
        let record = Promotion {
            format: FORMAT,
            image: "x".into(),
            version: "1.0".into(),
            tag,
            commit: "2".into(),
            from: "r.example/n".into(),
            to: "r.example/r".into(),
            digest: Digest::of(b"x"),
            platforms: BTreeMap::from([("linux/amd64".into(), platform)]),
            proofs: BTreeMap::new(),
        };
        let text = record.text().unwrap();
        assert_eq!(Promotion::parse(text.as_bytes()).as_ref(), Ok(&record));
        assert!(Promotion::parse(text.replace("\"format\": 1", "\"format\": 2").as_bytes()).is_err());
        assert!(Promotion::parse(text.replace("\"from\"", "\"whence\"").as_bytes()).is_err());
        let mut elsewhere = record.clone();
        elsewhere.proofs.insert("release.json".into(), Sha256Sum::of(b""));
        assert!(elsewhere.is_same(&record));
        elsewhere.digest = Digest::of(b"y");
        assert!(!elsewhere.is_same(&record));
    }
}
