//! Versions of Debian packages: their order is dpkg's, and candidates and nightlies sort below what they lead to.
//!
//! Debian Policy, section 5.6.12.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::config::release::deb::{Deb, Series};
use crate::config::release::{NightlyVersion, Place, Version};

/// A version: `[EPOCH:]UPSTREAM[-REVISION]`.
///
/// Two versions are equal when dpkg takes them for equal, as `1.0` and `1.00`.
#[derive(Debug, Clone)]
pub struct DebVersion {
    text: String,
    epoch: u32,
    upstream: String,
    revision: String,
}

impl DebVersion {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without the epoch, as file names have it.
    pub fn without_epoch(&self) -> &str {
        self.text.split_once(':').map_or(&self.text, |(_, rest)| rest)
    }

    /// The upstream part.
    pub fn upstream(&self) -> &str {
        &self.upstream
    }

    /// The revision; empty for a native package.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}

impl fmt::Display for DebVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl FromStr for DebVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is no Debian version: {why}"));
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => match epoch.parse::<u32>() {
                Ok(epoch) if epoch <= i32::MAX.unsigned_abs() && epoch_digits(text) => (epoch, rest),
                Ok(_) | Err(_) => return wrong("what stands before `:` is no number"),
            },
            None => (0, text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        if rest.ends_with('-') {
            return wrong("the revision after `-` is empty");
        }
        if !upstream.starts_with(|first: char| first.is_ascii_digit()) {
            return wrong("the upstream part does not start with a digit");
        }
        if !upstream.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~-:".contains(&byte)) {
            return wrong("the upstream part may hold letters, digits and `. + ~ - :` only");
        }
        if !revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte)) {
            return wrong("the revision may hold letters, digits and `. + ~` only");
        }
        Ok(Self { text: text.to_owned(), epoch, upstream: upstream.to_owned(), revision: revision.to_owned() })
    }
}

fn epoch_digits(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
}

impl Ord for DebVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let upstream = || compare(self.upstream.as_bytes(), other.upstream.as_bytes());
        let revision = || compare(self.revision.as_bytes(), other.revision.as_bytes());
        self.epoch.cmp(&other.epoch).then_with(upstream).then_with(revision)
    }
}

impl PartialOrd for DebVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for DebVersion {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for DebVersion {}

/// Letters sort before everything else, and `~` before even the end.
fn rank(byte: Option<u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

/// Runs of other characters by their ranks, runs of digits as numbers, in turn.
fn compare(mut one: &[u8], mut other: &[u8]) -> Ordering {
    let digit = |text: &[u8]| text.first().is_some_and(u8::is_ascii_digit);
    while !one.is_empty() || !other.is_empty() {
        while (!one.is_empty() && !digit(one)) || (!other.is_empty() && !digit(other)) {
            match rank(one.first().copied()).cmp(&rank(other.first().copied())) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
            one = one.get(1..).unwrap_or_default();
            other = other.get(1..).unwrap_or_default();
        }
        let number = |text: &mut &[u8]| {
            let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (digits, rest) = text.split_at(length);
            *text = rest;
            let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
            digits.split_at(zeros).1.to_vec()
        };
        let (ours, theirs) = (number(&mut one), number(&mut other));
        match ours.len().cmp(&theirs.len()).then_with(|| ours.cmp(&theirs)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// The upstream part that a release's version becomes: what leads to a version gets a `~` before it, and what Debian
/// does not allow becomes a dot.
///
/// `26.06rc1`, `26.06-rc1` and `26.06~rc1` become `26.06~rc1`, which sorts below `26.06`. A nightly of what will be
/// `26.09` becomes `26.09~~git20260701.1234.g0123456`, below its first candidate; one after a candidate
/// `26.09~rc1+git20260701.1234.g0123456`, below the next.
pub fn upstream_of(version: &Version) -> String {
    match NightlyVersion::of(version) {
        None => plain_upstream(version),
        Some(nightly) => match &nightly.place {
            Place::Before(next) => format!("{}~~{}", plain_upstream(next), nightly.build()),
            Place::After(candidate) => format!("{}+{}", plain_upstream(candidate), nightly.build()),
        },
    }
}

fn plain_upstream(version: &Version) -> String {
    let text = version.as_str();
    let lower = text.to_ascii_lowercase();
    let plain = |text: &str| text.replace(['_', '-'], ".");
    for word in ["alpha", "beta", "pre", "rc"] {
        // The words stand after a digit or a sign, before a number or the end: `1.0rc1`, never in `1.0+march`.
        let Some((at, _)) = lower.match_indices(word).find(|(at, _)| {
            let before = text[..*at].trim_end_matches(['-', '.', '_', '~']);
            let after = text[at + word.len()..].trim_start_matches(['-', '.', '_']);
            let only_digits = after.split(['+', '~']).next().unwrap_or_default().bytes().all(|b| b.is_ascii_digit());
            before.ends_with(|c: char| c.is_ascii_digit()) && !before.contains('+') && only_digits
        }) else {
            continue;
        };
        let before = text[..at].trim_end_matches(['-', '.', '_', '~']);
        let after = text[at + word.len()..].trim_start_matches(['-', '.', '_']);
        return format!("{}~{word}{}", plain(before), plain(after));
    }
    plain(text)
}

/// Whether a version only leads to another: `26.06rc1`, `1.0.0-rc.2`, `1.0-beta`.
pub fn is_candidate(version: &Version) -> bool {
    NightlyVersion::of(version).is_none() && leads_to(&plain_upstream(version)).is_some()
}

/// `26.06` for `26.06~rc1`.
fn leads_to(upstream: &str) -> Option<&str> {
    let (version, word) = upstream.split_once('~')?;
    word.starts_with(|first: char| first.is_ascii_alphabetic()).then_some(version)
}

/// Whether `one` is above `other` in dpkg's order.
pub fn is_above(one: &Version, other: &Version) -> bool {
    compare(upstream_of(one).as_bytes(), upstream_of(other).as_bytes()) == Ordering::Greater
}

/// Where nightlies of what will be `next` stand, after `last`, the highest release in their history.
///
/// # Errors
/// In words, why there is no place between the two.
pub fn place(next: &Version, last: Option<&Version>) -> Result<Place, String> {
    if is_candidate(next) || NightlyVersion::of(next).is_some() {
        return Err(format!("{next} leads to another version; name that one"));
    }
    let Some(last) = last else { return Ok(Place::Before(next.clone())) };
    if !is_above(next, last) {
        return Err(format!("the next version {next} is not above {last}, which is released"));
    }
    let upstream = plain_upstream(last);
    match leads_to(&upstream) {
        Some(version) if compare(version.as_bytes(), plain_upstream(next).as_bytes()) == Ordering::Equal => {
            Ok(Place::After(last.clone()))
        }
        Some(_) | None => Ok(Place::Before(next.clone())),
    }
}

/// The version of a package for one series: `26.06.1-0ubuntu1~ppa1~ubuntu22.04.1`.
///
/// # Errors
/// The parts do not make a Debian version.
pub fn for_series(upstream: &str, deb: &Deb, series: &Series) -> Result<DebVersion, String> {
    let (distribution, number) = (series.distribution.word(), series.number.as_str());
    format!("{upstream}-{}~{distribution}{number}.{}", deb.revision.as_str(), deb.upload_number).parse()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(version: &str, expected: &str) {
        assert_eq!(upstream_of(&version.parse().unwrap()), expected);
    }

    #[test]
    fn candidates_sort_below_what_they_lead_to() {
        for written in ["26.06rc1", "26.06-rc1", "26.06~rc1", "26.06-RC.1", "26.06.rc1"] {
            check(written, "26.06~rc1");
        }
        check("26.06", "26.06");
        check("1.0-beta", "1.0~beta");
        check("1.0_2", "1.0.2");
        check("0.3.0+git20260601.0123456789ab", "0.3.0+git20260601.0123456789ab");
        check("1.0+march1", "1.0+march1");
        check("1.0rc1+git20260601.abc", "1.0~rc1+git20260601.abc");
    }

    /// The order of a release's life, each below the next.
    const LIFE: [&str; 17] = [
        "26.06.1-0ubuntu1~ppa1~debian12.1",
        "26.06.1-0ubuntu1~ppa1~debian13.1",
        "26.06.1-0ubuntu1~ppa1~ubuntu22.04.1",
        "26.06.1-0ubuntu1~ppa1~ubuntu22.04.2",
        "26.06.1-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.06.1-0ubuntu1",
        "26.06.1-1",
        "26.09~~git20260701.1.g0123456-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09~~git20260701.2.gabcdef0-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09~~git20260702.1.g0000000-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09~rc1-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09~rc1+git20260703.40.g0000000-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09~rc2-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09-0ubuntu1~ppa1~ubuntu24.04.1",
        "26.09rc1-0ubuntu1",
        "26.09.1-0ubuntu1~ppa1~ubuntu24.04.1",
        "1:0.1-1",
    ];

    #[test]
    fn the_order_is_that_of_dpkg() {
        let more =
            ["1.0", "1.00", "1.0-0", "1.0~", "1.0a", "1.0+", "1.0.", "1a", "1.2.3-4-5", "0:1.0", "01.0", "1.0-a~b"];
        let all: Vec<&str> = LIFE.into_iter().chain(more).collect();
        let versions: Vec<DebVersion> = all.iter().map(|text| text.parse().unwrap()).collect();
        for pair in versions[..LIFE.len()].windows(2) {
            assert!(pair[0] < pair[1], "{} < {}", pair[0], pair[1]);
        }
        if !crate::exec::is_installed("dpkg") {
            return;
        }
        // One shell for all pairs.
        let script = "for a; do for b; do if dpkg --compare-versions \"$a\" lt \"$b\"; then echo lt; \
                      elif dpkg --compare-versions \"$a\" eq \"$b\"; then echo eq; else echo gt; fi; done; done";
        let argv: Vec<String> =
            ["sh", "-c", script, "sh"].into_iter().chain(all.iter().copied()).map(str::to_owned).collect();
        let printed = crate::exec::read(&argv, std::path::Path::new("/")).unwrap();
        let expected: Vec<&str> = versions
            .iter()
            .flat_map(|one| {
                versions.iter().map(|other| match one.cmp(other) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                })
            })
            .collect();
        assert_eq!(printed.lines().count(), expected.len());
        let pairs = versions.iter().flat_map(|one| versions.iter().map(move |other| (one, other)));
        for ((one, other), (ours, theirs)) in pairs.zip(expected.into_iter().zip(printed.lines())) {
            assert_eq!(ours, theirs, "{one} against {other}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for bad in ["", "a1", "1.0-", "x:1", "-1:1", "1.0_1", "1/2", "1.0-1_2", ":1", "+1:1.0"] {
            assert!(bad.parse::<DebVersion>().is_err(), "{bad:?}");
        }
        let version: DebVersion = "2:1.0-rc-3".parse().unwrap();
        assert_eq!((version.upstream(), version.revision(), version.without_epoch()), ("1.0-rc", "3", "1.0-rc-3"));
    }

    #[track_caller]
    fn nightly(next: &str, last: Option<&str>, number: u64) -> Result<Version, String> {
        let last = last.map(|last| last.parse::<Version>().unwrap());
        let place = place(&next.parse().unwrap(), last.as_ref())?;
        let commit = "0123456".to_owned();
        Ok(NightlyVersion { place, day: "20260701".into(), number, commit }.to_string().parse().unwrap())
    }

    #[test]
    fn nightlies_have_a_place_in_the_order() {
        for (next, last, expected) in [
            ("26.09", None, "26.09~~git20260701.7.g0123456"),
            ("26.09", Some("26.06.1"), "26.09~~git20260701.7.g0123456"),
            ("26.09", Some("26.06rc3"), "26.09~~git20260701.7.g0123456"),
            ("26.09", Some("26.09rc1"), "26.09~rc1+git20260701.7.g0123456"),
            ("1.0.0", Some("1.0.0-beta.2"), "1.0.0~beta2+git20260701.7.g0123456"),
        ] {
            assert_eq!(upstream_of(&nightly(next, last, 7).unwrap()), expected);
        }
        for (next, last, why) in [
            ("26.09", Some("26.09"), "is not above 26.09"),
            ("26.06", Some("26.06.1"), "is not above 26.06.1"),
            ("26.9", Some("26.09"), "is not above"),
            ("26.09rc1", Some("26.06"), "leads to another version"),
            ("26.09-0.nightly20260701.7.g0123456", None, "leads to another version"),
        ] {
            let found = nightly(next, last, 7);
            assert!(found.as_ref().is_err_and(|text| text.contains(why)), "{next} {last:?}: {found:?}");
        }
        for (version, expected) in
            [("26.06", false), ("26.06rc1", true), ("1.0-beta", true), ("1.0~git1", true), ("1.0+march1", false)]
        {
            assert_eq!(is_candidate(&version.parse().unwrap()), expected, "{version}");
        }
    }

    proptest! {
        #[test]
        fn a_nightly_is_between_what_was_and_what_will_be(
            parts in proptest::collection::vec(0_u32..30, 1..4),
            raise in 0_usize..3,
            candidate in proptest::option::of((0_usize..5, 1_u32..12)),
            numbers in (1_u64..100_000, 1_u64..100_000),
        ) {
            let dots = |parts: &[u32]| parts.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
            let spell = |(spelling, number): (usize, u32)| ["rc", "-rc", "-rc.", "~rc", "-beta."][spelling].to_owned() + &number.to_string();
            let mut next = parts.clone();
            let at = raise.min(next.len() - 1);
            next[at] += 1;
            let next = dots(&next);
            let mut lasts = vec![dots(&parts)];
            lasts.extend(candidate.map(|candidate| format!("{next}{}", spell(candidate))));
            for last in lasts {
                let [one, other] = [numbers.0, numbers.1].map(|number| nightly(&next, Some(&last), number).unwrap());
                let next: Version = next.parse().unwrap();
                let above = |one: &Version, text: &str| is_above(one, &text.parse().unwrap());
                prop_assert!(above(&one, &last) && is_above(&next, &one), "{last} < {one} < {next}");
                prop_assert_eq!(is_above(&one, &other), numbers.0 > numbers.1);
                if let Some((spelling, number)) = candidate.filter(|_| is_candidate(&last.parse().unwrap())) {
                    let following: Version = format!("{next}{}", spell((spelling, number + 1))).parse().unwrap();
                    prop_assert!(is_above(&following, &one), "{one} < {following}");
                } else {
                    let first: Version = format!("{next}-alpha.0").parse().unwrap();
                    prop_assert!(is_above(&first, &one), "{one} < {first}");
                }
                let read = NightlyVersion::of(&one);
                prop_assert_eq!(read.map(|read| read.to_string()), Some(one.to_string()));
            }
        }
    }
}
