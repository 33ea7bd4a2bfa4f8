//! The pointer to the latest release beside the directories of all releases: `latest.json`, and a link `latest`.

use serde::{Deserialize, Serialize};

use super::expected::ExpectedFile;
use super::{Conflict, Held};
use drydock_base::checksum::Checksum;
use drydock_config::debversion::{is_above, may_be_candidate};
use drydock_config::release::Version;

/// The name of the file.
pub const NAME: &str = "latest.json";
/// The name of the link.
pub const LINK: &str = "latest";

/// The content of `latest.json`. It is not signed: it leads to files that are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LatestPointer {
    /// The version of this file format.
    pub format: u32,
    /// The name of the project.
    pub name: String,
    /// The version.
    pub version: String,
    /// The tag.
    pub tag: Option<String>,
    /// The commit.
    pub commit: String,
    /// The directory of the release, beside this file.
    pub directory: String,
    /// The checksum of `SHA256SUMS`.
    pub checksums: Checksum,
    /// The files.
    pub files: Vec<LatestFile>,
}

/// A file of the latest release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatestFile {
    /// The name.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The checksum.
    pub sha256: Checksum,
}

impl LatestFile {
    /// A file that is published, unless there may be others of it later.
    pub fn new(file: &ExpectedFile) -> Option<LatestFile> {
        (!file.is_signature()).then(|| LatestFile { name: file.name.clone(), size: file.size, sha256: file.sha256 })
    }
}

/// What the pointer at a target holds: `current` is `latest.json` there, and `leads` says whether the link leads to this release.
pub fn held(ours: &LatestPointer, current: Option<&[u8]>, leads: bool) -> Held {
    let Ok(version) = ours.version.parse::<Version>() else { return Held::Same("it has no version".into()) };
    if may_be_candidate(&version) {
        return Held::Same(format!("{version} may be a candidate, so the pointer stays"));
    }
    let Some(current) = current else { return Held::Absent };
    let parsed = serde_json::from_slice::<LatestPointer>(current).ok();
    let Some((there, other)) = parsed.and_then(|there| Some((there.version.parse::<Version>().ok()?, there))) else {
        return Held::Other(Conflict {
            found: format!("{NAME} is there, and is not a pointer of Drydock"),
            remedy: "move it away, or declare `latest: false`".into(),
        });
    };
    if other.name != ours.name {
        return Held::Other(Conflict {
            found: format!("{NAME} is that of the project {}", other.name),
            remedy: "declare a directory of its own for each project".into(),
        });
    }
    if is_above(&there, &version) {
        return Held::Same(format!("the pointer stays at {there}, which is newer"));
    }
    if there == version && other.checksums != ours.checksums {
        return Held::Other(Conflict {
            found: format!("{NAME} names other files of {version}"),
            remedy: "find out who published them; release a new version".into(),
        });
    }
    if there == version && leads {
        return Held::Same(format!("points to {version}"));
    }
    Held::Outdated(format!("it points to {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(name: &str, version: &str, bytes: &str) -> LatestPointer {
        LatestPointer {
            format: 1,
            name: name.into(),
            version: version.into(),
            tag: None,
            commit: String::new(),
            directory: version.into(),
            checksums: Checksum::new(bytes.as_bytes()),
            files: Vec::new(),
        }
    }

    #[test]
    fn the_pointer_never_goes_back_nor_to_a_candidate() {
        let ours = pointer("p", "1.10", "a");
        let json = |pointer: &LatestPointer| serde_json::to_vec(pointer).unwrap();
        let at = |current: &LatestPointer, leads: bool| held(&ours, Some(&json(current)), leads);
        assert_eq!(held(&ours, None, false), Held::Absent);
        assert!(matches!(at(&pointer("p", "1.9", "b"), false), Held::Outdated(_)));
        assert!(matches!(at(&ours, true), Held::Same(_)));
        assert!(matches!(at(&ours, false), Held::Outdated(_)), "the link was not moved yet");
        assert!(matches!(at(&pointer("p", "1.11", "c"), true), Held::Same(_)), "newer");
        assert!(matches!(at(&pointer("p", "1.10", "c"), true), Held::Other(_)), "other bytes");
        assert!(matches!(at(&pointer("q", "1.0", "c"), true), Held::Other(_)), "another project");
        assert!(matches!(held(&ours, Some(b"<html>"), false), Held::Other(_)));
        for candidate in ["1.11rc1", "1.11-beta", "2.0a1", "1.11-0.nightly20260701.1.g0123456"] {
            assert!(matches!(held(&pointer("p", candidate, "x"), None, false), Held::Same(_)), "{candidate}");
        }
    }
}
