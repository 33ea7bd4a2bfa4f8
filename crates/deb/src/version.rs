//! Versions of Debian packages: their order is dpkg's, and candidates and nightlies sort below what they lead to.
//!
//! Debian Policy, section 5.6.12.

mod candidate;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use drydock_config::release::deb::{Deb, Series};
use drydock_config::release::{NightlyVersion, Place, Version};

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
/// `26.06rc1`, `26.06-rc1` and `26.06~rc1` become `26.06~rc1`, which sorts below `26.06`; `1.0.0-x.7` becomes `1.0.0~x.7`, as
/// Semantic Versioning has it, but `0.10.0-1` becomes `0.10.0.1`, as a single number is mostly a package's. A nightly of what will be
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
    let (core, build) = parts(version);
    let plain = |text: &str| text.replace(['_', '-'], ".");
    match candidate::split(core) {
        Some((before, suffix)) => format!("{}~{}{}", plain(before), plain(&suffix), plain(build)),
        None => plain(version.as_str()),
    }
}

/// What stands before the first `+`, and the rest.
fn parts(version: &Version) -> (&str, &str) {
    let text = version.as_str();
    text.split_at(text.find('+').unwrap_or(text.len()))
}

/// Whether a version only leads to another: `26.06rc1`, `1.0.0-rc.2`, `1.0-beta`.
pub fn is_candidate(version: &Version) -> bool {
    NightlyVersion::of(version).is_none() && leads_to(&plain_upstream(version)).is_some()
}

/// Whether a version may be anything but a release: all that is not numbers and dots, with what `+` adds to them. Whatever
/// asks this takes what nobody understands, such as `1.0x` or `0.10.0-1`, for a candidate.
pub fn may_be_candidate(version: &Version) -> bool {
    !candidate::is_plain(parts(version).0)
}

/// `26.06` for `26.06~rc1`.
fn leads_to(upstream: &str) -> Option<&str> {
    let (version, word) = upstream.split_once('~')?;
    word.starts_with(|first: char| first.is_ascii_alphanumeric()).then_some(version)
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
mod tests;
