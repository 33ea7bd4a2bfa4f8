//! The names of the tags in a nightly repository.

use jiff::civil::{Date, date};

use crate::nightly::NIGHTLY_TAG;
use drydock_config::images::{Digest, Tag};

/// The kind of a tag, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagName {
    /// `nightly`
    Nightly,
    /// `nightly-20261125`
    Day(Date),
    /// `sha-0123456789ab`
    Commit,
    /// `sha256-…`, where registries without an API for it list referrers, and `sha256-….sig` of cosign.
    About(Digest),
    /// Anything else.
    Foreign,
}

impl TagName {
    /// Parses a tag.
    pub fn parse(tag: &Tag) -> TagName {
        let text = tag.as_str();
        if text == NIGHTLY_TAG {
            return TagName::Nightly;
        }
        if let Some(day) = text.strip_prefix("nightly-") {
            let digits = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
            let day = digits.then(|| Date::strptime("%Y%m%d", day).ok()).flatten().filter(|day| is_plausible(*day));
            return day.map_or(TagName::Foreign, TagName::Day);
        }
        let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        if text.strip_prefix("sha-").is_some_and(|commit| commit.len() == 12 && is_hex(commit)) {
            return TagName::Commit;
        }
        let hex = text.strip_prefix("sha256-").map(|rest| rest.split('.').next().unwrap_or_default());
        hex.and_then(|hex| format!("sha256:{hex}").parse().ok()).map_or(TagName::Foreign, TagName::About)
    }
}

/// Returns false for earlier dates, which are those of builds without a date.
pub(super) fn is_plausible(day: Date) -> bool {
    day >= date(2000, 1, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(tag: &str, expected: TagName) {
        assert_eq!(TagName::parse(&tag.parse().unwrap()), expected, "{tag}");
    }

    #[test]
    fn tags_are_classified() {
        let digest = Digest::for_bytes(b"x");
        check("nightly", TagName::Nightly);
        check("nightly-20261125", TagName::Day(date(2026, 11, 25)));
        check("sha-0123456789ab", TagName::Commit);
        check(&format!("sha256-{}", digest.hex()), TagName::About(digest));
        check(&format!("sha256-{}.sig", digest.hex()), TagName::About(digest));
        for foreign in [
            "latest",
            "Nightly",
            "nightly-",
            "nightly-20261301",
            "nightly-19700101",
            "nightly-2026112",
            "nightly-20261125x",
            "sha-0123456789a",
            "sha-0123456789abc",
            "sha-0123456789aB",
            "sha256-0123",
        ] {
            check(foreign, TagName::Foreign);
        }
    }
}
