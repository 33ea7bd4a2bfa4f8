//! Promotion of an image to a release: decisions about its tags, the checks it must pass, and the promotion record.

pub mod candidate;
pub mod evidence;
pub mod promotion_record;

use drydock_config::debversion::{is_above, may_be_candidate};
use drydock_config::images::{Digest, Tag};
use drydock_config::release::{Version, VersionText};

/// The tag of the newest release.
pub const LATEST: &str = "latest";

/// The image that `latest` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentLatest {
    /// The digest of the image.
    pub digest: Digest,
    /// The version in its label, if it has one.
    pub version: Option<Version>,
}

/// The decision about the tag `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Latest {
    /// The tag moves to the image.
    Moves,
    /// The tag names the image already.
    IsThere,
    /// The tag stays as it is, or is not created, for this reason.
    Stays(String),
}

/// The image that is promoted.
#[derive(Debug, Clone, Copy)]
pub struct Promoted<'a> {
    /// The version.
    pub version: &'a Version,
    /// The digest of the image.
    pub digest: Digest,
}

/// Decides whether `latest` moves to a promoted image: never to a release candidate, and never to an older version.
///
/// `released` are the versions of the other tags in the repository. Versions are ordered as those of Debian packages.
pub fn latest(
    Promoted { version, digest }: Promoted<'_>,
    released: &[Version],
    current: Option<&CurrentLatest>,
) -> Latest {
    if may_be_candidate(version) {
        return Latest::Stays(format!("{version} may be a release candidate"));
    }
    if current.is_some_and(|current| current.digest == digest) {
        return Latest::IsThere;
    }
    let now = match current.map(|current| (current.digest, &current.version)) {
        Some((digest, None)) => {
            return Latest::Stays(format!("the version of its current image is unknown ({})", digest.short()));
        }
        Some((_, Some(now))) => Some(now),
        None => None,
    };
    let releases = released.iter().filter(|other| !may_be_candidate(other));
    match releases.chain(now).find(|other| is_above(other, version)) {
        Some(newer) => Latest::Stays(format!("{newer} is newer")),
        None => Latest::Moves,
    }
}

/// The reason why a git tag cannot be used for an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The tag would be `latest`.
    #[error("the tag of a release cannot be `{LATEST}`")]
    Latest,
    /// The tag is not valid for images.
    #[error("{0}")]
    Invalid(String),
}

/// Returns the tag of a version's image: the git tag, with `-` for characters that are not allowed in tags of images.
///
/// # Errors
/// See [`TagError`].
pub fn tag(pattern: &VersionText, version: &Version) -> Result<Tag, TagError> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let text: String = pattern.render(version).chars().map(|letter| if fits(letter) { letter } else { '-' }).collect();
    match text.parse::<Tag>() {
        Ok(tag) if tag.as_str() == LATEST => Err(TagError::Latest),
        Ok(tag) => Ok(tag),
        Err(bad) => Err(TagError::Invalid(bad.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::decode::FromText as _;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check(promoted: &str, released: &[&str], current: Option<Option<&str>>, expected: &str) {
        let released: Vec<Version> = released.iter().map(|text| version(text)).collect();
        let current =
            current.map(|text| CurrentLatest { digest: Digest::for_bytes(b"now"), version: text.map(version) });
        let found = match latest(
            Promoted { version: &version(promoted), digest: Digest::for_bytes(b"new") },
            &released,
            current.as_ref(),
        ) {
            Latest::Moves => "moves".to_owned(),
            Latest::IsThere => "is there".to_owned(),
            Latest::Stays(why) => why,
        };
        assert!(found.contains(expected), "{promoted} after {released:?}: {found}");
    }

    #[test]
    fn latest_moves_only_forward_and_never_to_a_candidate() {
        check("26.06", &[], None, "moves");
        check("26.06", &["25.12"], Some(Some("25.12")), "moves");
        check("26.06rc1", &[], None, "26.06rc1 may be a release candidate");
        check("26.06rc1", &["25.12"], Some(Some("25.12")), "may be a release candidate");
        check("25.12.1", &["25.12", "26.06"], Some(Some("26.06")), "26.06 is newer");
        check("25.12.1", &["26.06"], None, "26.06 is newer");
        check("25.12.1", &["25.12", "26.06rc1"], Some(Some("25.12")), "moves");
        // Someone moved it to a candidate.
        check("26.06", &["26.06rc2"], Some(Some("26.06rc2")), "moves");
        check("25.12.1", &["26.06rc2"], Some(Some("26.06rc2")), "26.06rc2 is newer");
        check("26.06", &[], Some(None), "version of its current image is unknown");
        let there = CurrentLatest { digest: Digest::for_bytes(b"new"), version: None };
        let found =
            latest(Promoted { version: &version("26.06"), digest: Digest::for_bytes(b"new") }, &[], Some(&there));
        assert_eq!(found, Latest::IsThere);
    }

    #[test]
    fn git_tags_become_image_tags() {
        for (pattern, of, expected) in [
            ("v{version}", "26.06rc1", Ok("v26.06rc1")),
            ("v{version}", "1.0+b1", Ok("v1.0-b1")),
            ("release/{version}", "1.0", Ok("release-1.0")),
            ("+{version}", "1.0", Err("is not a tag")),
        ] {
            let found = tag(&VersionText::from_text(pattern).unwrap(), &version(of));
            match expected {
                Ok(text) => assert_eq!(found.unwrap().as_str(), text),
                Err(words) => assert!(found.unwrap_err().to_string().contains(words)),
            }
        }
    }
}
