//! Versions of nightlies: one spelling for file names, tags, Cargo manifests and the output of programs.
//!
//! `0.4.0-0.nightly20260701.1234.g0123456` sorts below every candidate of 0.4.0 by the rules of Semantic Versioning 2.0.0,
//! where numeric identifiers sort below alphanumeric ones. It has no `~` or `+`, which are invalid in image tags.

use std::fmt;

use super::Version;

/// The parts of a nightly's version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NightlyVersion {
    /// The position among releases.
    pub place: Place,
    /// The UTC day of the newest commit in the history, such as `20260701`.
    pub day: String,
    /// The number of commits in the history, so that a later commit has a higher version, whatever its date.
    pub number: u64,
    /// The first digits of the commit.
    pub commit: String,
}

/// The position of a nightly among releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Below every candidate of this version: `0.4.0-0.nightly…`.
    Before(Version),
    /// Above this candidate and below the next: `0.4.0-rc.1.nightly…`.
    After(Version),
}

impl NightlyVersion {
    /// The number of hexadecimal digits of the commit in a version.
    pub const DIGITS: usize = 7;
    const WORD: &'static str = "nightly";

    /// The parts of a version; none if it is not that of a nightly.
    pub fn parse(version: &Version) -> Option<NightlyVersion> {
        let (head, commit) = version.as_str().rsplit_once(".g")?;
        let (head, number) = head.rsplit_once('.')?;
        let (place, day) = head.rsplit_once(Self::WORD)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let hex =
            commit.len() == Self::DIGITS && commit.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
        if !hex || !digits(day) || day.len() != 8 || !digits(number) || (number.len() > 1 && number.starts_with('0')) {
            return None;
        }
        let place = match place.strip_suffix("-0.") {
            Some(next) => Place::Before(next.parse().ok()?),
            None => Place::After(place.strip_suffix('.')?.parse().ok()?),
        };
        Some(NightlyVersion { place, day: day.to_owned(), number: number.parse().ok()?, commit: commit.to_owned() })
    }

    /// The suffix of the Debian version: `git20260701.1234.g0123456`.
    pub fn build(&self) -> String {
        format!("git{}.{}.g{}", self.day, self.number, self.commit)
    }
}

impl fmt::Display for NightlyVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Before(next) => write!(f, "{next}-0.")?,
            Place::After(candidate) => write!(f, "{candidate}.")?,
        }
        write!(f, "{}{}.{}.g{}", Self::WORD, self.day, self.number, self.commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_version_has_the_parts_of_a_nightly() {
        let before = NightlyVersion {
            place: Place::Before(version("26.09")),
            day: "20260701".into(),
            number: 1234,
            commit: "0123456".into(),
        };
        let after = NightlyVersion { place: Place::After(version("1.0.0-rc.1")), ..before.clone() };
        for (nightly, text) in
            [(before, "26.09-0.nightly20260701.1234.g0123456"), (after, "1.0.0-rc.1.nightly20260701.1234.g0123456")]
        {
            assert_eq!(nightly.to_string(), text);
            assert_eq!(NightlyVersion::parse(&version(text)), Some(nightly));
            assert!(text.parse::<crate::images::Tag>().is_ok());
        }
        for other in [
            "26.09",
            "26.09rc1",
            "0.3.0+git20260601.0123456789ab",
            "26.09-0.nightly2026070.1.g0123456",
            "26.09-0.nightly20260701.01.g0123456",
            "26.09-0.nightly20260701.1.g012345",
            "26.09-0.nightly20260701.1.gghijklm",
            "26.09-nightly20260701.1.g0123456",
        ] {
            assert_eq!(NightlyVersion::parse(&version(other)), None, "{other}");
        }
    }

    #[test]
    fn cargo_sorts_a_nightly_below_the_next_candidate() {
        let order = [
            "0.3.0",
            "0.4.0-0.nightly20260630.12.gfffffff",
            "0.4.0-0.nightly20260701.13.g0123456",
            "0.4.0-0.nightly20260701.14.g0000000",
            "0.4.0-alpha.1",
            "0.4.0-rc.1",
            "0.4.0-rc.1.nightly20260702.15.g0123456",
            "0.4.0-rc.2",
            "0.4.0",
        ];
        let parsed: Vec<semver::Version> = order.iter().map(|text| text.parse().unwrap()).collect();
        for pair in parsed.windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
        }
    }
}
