//! Versions of Debian packages. They are ordered as dpkg orders them; candidates and nightlies sort below the release that
//! they lead to.
//!
//! Debian Policy, section 5.6.12.

mod candidate;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::release::deb::{Deb, Series};
use crate::release::{NightlyVersion, Place, Version};

/// A version of a Debian package: `[EPOCH:]UPSTREAM[-REVISION]`.
///
/// Two versions are equal when dpkg treats them as equal, such as `1.0` and `1.00`.
#[derive(Debug, Clone)]
pub struct DebVersion {
    text: String,
    epoch: u32,
    upstream: String,
    revision: String,
}

impl DebVersion {
    /// The version as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The version without its epoch, as in file names.
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

/// A text that is not a Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Debian version: {problem}")]
pub struct BadDebVersion {
    /// The text.
    pub text: String,
    /// The rule that it breaks.
    pub problem: &'static str,
}

impl FromStr for DebVersion {
    type Err = BadDebVersion;

    fn from_str(text: &str) -> Result<Self, BadDebVersion> {
        let wrong = |problem| Err(BadDebVersion { text: text.to_owned(), problem });
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => match epoch.parse::<u32>() {
                Ok(epoch) if epoch <= i32::MAX.unsigned_abs() && epoch_digits(text) => (epoch, rest),
                Ok(_) | Err(_) => return wrong("the epoch before `:` is not a number"),
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
            return wrong("the upstream part may contain only letters, digits and `. + ~ - :`");
        }
        if !revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(&byte)) {
            return wrong("the revision may contain only letters, digits and `. + ~`");
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

/// The rank of a character that is not a digit: letters sort before other characters, and `~` before the end of the text.
fn rank(byte: Option<u8>) -> i32 {
    match byte {
        None => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(byte),
        Some(byte) => i32::from(byte) + 256,
    }
}

/// Compares runs of non-digits by rank and runs of digits as numbers, alternately.
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

/// The upstream part of the package of a version: a candidate's suffix gets a `~` before it, and characters that Debian
/// does not allow become dots.
///
/// `26.06rc1`, `26.06-rc1` and `26.06~rc1` become `26.06~rc1`, which sorts below `26.06`; `1.0.0-x.7` becomes `1.0.0~x.7`, as
/// Semantic Versioning has it, but `0.10.0-1` becomes `0.10.0.1`, because a single number is usually the revision of a package. A nightly before
/// `26.09` becomes `26.09~~git20260701.1234.g0123456`, below its first candidate; one after a candidate
/// `26.09~rc1+git20260701.1234.g0123456`, below the next.
pub fn upstream_version(version: &Version) -> String {
    match NightlyVersion::parse(version) {
        None => plain_upstream(version),
        Some(nightly) => match &nightly.place {
            Place::Before(next) => format!("{}~~{}", plain_upstream(next), nightly.build()),
            Place::After(candidate) => format!("{}+{}", plain_upstream(candidate), nightly.build()),
        },
    }
}

fn plain_upstream(version: &Version) -> String {
    let (core, build) = parts(version);
    let plain = |text: &str| text.replace(['_', '-'], ".");
    match candidate::split(core) {
        Some((before, suffix)) => format!("{}~{}{}", plain(before), plain(&suffix), plain(build)),
        None => plain(version.as_str()),
    }
}

/// The text before the first `+`, and the rest.
fn parts(version: &Version) -> (&str, &str) {
    let text = version.as_str();
    text.split_at(text.find('+').unwrap_or(text.len()))
}

/// True for a release candidate, such as `26.06rc1`, `1.0.0-rc.2`, `1.0-beta`.
pub fn is_candidate(version: &Version) -> bool {
    NightlyVersion::parse(version).is_none() && leads_to(&plain_upstream(version)).is_some()
}

/// True if a version may be something other than a release: anything but numbers and dots, before a `+`. Ambiguous
/// versions, such as `1.0x` or `0.10.0-1`, count as candidates.
pub fn may_be_candidate(version: &Version) -> bool {
    !candidate::is_plain(parts(version).0)
}

/// `26.06` for `26.06~rc1`.
fn leads_to(upstream: &str) -> Option<&str> {
    let (version, word) = upstream.split_once('~')?;
    word.starts_with(|first: char| first.is_ascii_alphanumeric()).then_some(version)
}

/// True if `one` is newer than `other` in dpkg's order.
pub fn is_above(one: &Version, other: &Version) -> bool {
    compare(upstream_version(one).as_bytes(), upstream_version(other).as_bytes()) == Ordering::Greater
}

/// Why nightlies cannot be versioned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The next version is a candidate or a nightly itself.
    #[error("{0} leads to another version; name that one")]
    NotARelease(Version),
    /// The next version was released already, or is older than the last release.
    #[error("the next version {next} is not above {last}, which is released")]
    NotAbove {
        /// The declared next version.
        next: Version,
        /// The last release.
        last: Version,
    },
}

/// The place of nightlies of the version `next` after `last`, the highest release in their history.
///
/// # Errors
/// `next` is a candidate, a nightly, or not above `last`.
pub fn place(next: &Version, last: Option<&Version>) -> Result<Place, NoPlace> {
    if is_candidate(next) || NightlyVersion::parse(next).is_some() {
        return Err(NoPlace::NotARelease(next.clone()));
    }
    let Some(last) = last else { return Ok(Place::Before(next.clone())) };
    if !is_above(next, last) {
        return Err(NoPlace::NotAbove { next: next.clone(), last: last.clone() });
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
/// The upstream part is not that of a Debian version.
pub fn for_series(upstream: &str, deb: &Deb, series: &Series) -> Result<DebVersion, BadDebVersion> {
    let (distribution, number) = (series.distribution.word(), series.number.as_str());
    format!("{upstream}-{}~{distribution}{number}.{}", deb.revision.as_str(), deb.upload_number).parse()
}

#[cfg(test)]
mod tests;
