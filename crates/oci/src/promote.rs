//! Which tags a release's image gets: decisions over what the release repository holds.

pub mod candidate;
pub mod evidence;
pub mod promotion_record;

use drydock_config::debversion::{is_above, may_be_candidate};
use drydock_config::images::{Digest, Tag};
use drydock_config::release::{Version, VersionText};

/// The tag that moves to the newest release.
pub const LATEST: &str = "latest";

/// What `latest` is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// The image.
    pub digest: Digest,
    /// Its version, as far as it says one.
    pub version: Option<Version>,
}

/// What becomes of `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Latest {
    /// It moves to the image.
    Moves,
    /// It is there already.
    IsThere,
    /// It stays where it is, or is not made, for this reason.
    Stays(String),
}

/// Decides about `latest`: it never moves to a candidate, and never to an older version.
///
/// `released` are the versions of the other tags in the repository. They are ordered as packages are, so that all parts of a
/// release agree.
pub fn latest((version, digest): (&Version, Digest), released: &[Version], current: Option<&Current>) -> Latest {
    if may_be_candidate(version) {
        return Latest::Stays(format!("{version} is a candidate, or not known to be none"));
    }
    if current.is_some_and(|current| current.digest == digest) {
        return Latest::IsThere;
    }
    let now = match current.map(|current| (current.digest, &current.version)) {
        Some((digest, None)) => {
            return Latest::Stays(format!("nothing says which version it is now ({})", digest.short()));
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

/// The tag of a version's image: that of git, with `-` for what tags of images may not hold.
///
/// # Errors
/// In words, why the name of the tag cannot be one.
pub fn tag(pattern: &VersionText, version: &Version) -> Result<Tag, String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let text: String = pattern.render(version).chars().map(|letter| if fits(letter) { letter } else { '-' }).collect();
    match text.parse::<Tag>() {
        Ok(tag) if tag.as_str() == LATEST => Err(format!("the tag of a release cannot be `{LATEST}`")),
        Ok(tag) => Ok(tag),
        Err(bad) => Err(bad.to_string()),
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
        let current = current.map(|text| Current { digest: Digest::of(b"now"), version: text.map(version) });
        let found = match latest((&version(promoted), Digest::of(b"new")), &released, current.as_ref()) {
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
        check("26.06rc1", &[], None, "26.06rc1 is a candidate");
        check("26.06rc1", &["25.12"], Some(Some("25.12")), "is a candidate");
        check("25.12.1", &["25.12", "26.06"], Some(Some("26.06")), "26.06 is newer");
        check("25.12.1", &["26.06"], None, "26.06 is newer");
        check("25.12.1", &["25.12", "26.06rc1"], Some(Some("25.12")), "moves");
        // Someone moved it to a candidate.
        check("26.06", &["26.06rc2"], Some(Some("26.06rc2")), "moves");
        check("25.12.1", &["26.06rc2"], Some(Some("26.06rc2")), "26.06rc2 is newer");
        check("26.06", &[], Some(None), "nothing says which version");
        let there = Current { digest: Digest::of(b"new"), version: None };
        let found = latest((&version("26.06"), Digest::of(b"new")), &[], Some(&there));
        assert_eq!(found, Latest::IsThere);
    }

    #[test]
    fn tags_of_git_become_tags_of_images() {
        for (pattern, of, expected) in [
            ("v{version}", "26.06rc1", Ok("v26.06rc1")),
            ("v{version}", "1.0+b1", Ok("v1.0-b1")),
            ("release/{version}", "1.0", Ok("release-1.0")),
            ("+{version}", "1.0", Err("is no tag")),
        ] {
            let found = tag(&VersionText::from_text(pattern).unwrap(), &version(of));
            match expected {
                Ok(text) => assert_eq!(found.unwrap().as_str(), text),
                Err(words) => assert!(found.unwrap_err().contains(words)),
            }
        }
    }
}
