//! The checks that an image must pass to be promoted, over its build records and its labels.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, PlatformImage};
use crate::build_record::{BuildRecord, PlatformRecord, RecordTag};
use crate::image::{REVISION, VERSION};
use drydock_config::images::{Image, Platform};
use drydock_config::release::{NightlyVersion, Version};
use drydock_http::printable;

/// The image that is expected.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedImage<'a> {
    /// The declaration.
    pub image: &'a Image,
    /// The version.
    pub version: &'a Version,
    /// The commit, all digits.
    pub commit: &'a str,
    /// The signed tag.
    pub tag: &'a RecordTag,
}

/// A check that failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailedCheck {
    /// The condition.
    pub what: String,
    /// The finding that contradicts it.
    pub found: String,
}

/// The evidence about an image that passed all checks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The build and test of each platform.
    pub platforms: BTreeMap<String, PlatformRecord>,
    /// The platforms that were not tested on any machine.
    pub untested: Vec<String>,
}

/// Checks an image. `here` is the platform of this machine; an image for it must have been tested.
///
/// # Errors
/// Every check that failed.
pub fn check(
    expected_image: ExpectedImage<'_>,
    candidate: &Candidate,
    here: Option<Platform>,
) -> Result<Evidence, Vec<FailedCheck>> {
    let mut reasons = BTreeSet::new();
    let mut fit = Evidence::default();
    let mut accepted = false;
    let mut doubts = BTreeSet::new();
    // Each machine that built the same image may have attached a record of its tests.
    for record in &candidate.records {
        let found = match record {
            Ok(record) => about_build(expected_image, candidate, record),
            Err(why) => vec![reason("the build record can be read", why.to_string())],
        };
        match record {
            Ok(record) if found.is_empty() => {
                accepted = true;
                add(&mut fit, record);
            }
            Ok(_) | Err(_) => doubts.extend(found),
        }
    }
    if candidate.records.is_empty() {
        reasons.insert(reason("a build record is attached", "none is"));
    } else if accepted {
        reasons.extend(about_tests(expected_image, &mut fit, here));
    } else {
        reasons.extend(doubts);
    }
    reasons.extend(about_labels(expected_image, candidate));
    if reasons.is_empty() { Ok(fit) } else { Err(reasons.into_iter().collect()) }
}

fn reason(what: impl Into<String>, found: impl Into<String>) -> FailedCheck {
    // Both texts may come from a registry, and are printed on a terminal.
    FailedCheck { what: printable(&what.into()), found: printable(&found.into()) }
}

fn about_build(expected_image: ExpectedImage<'_>, candidate: &Candidate, record: &BuildRecord) -> Vec<FailedCheck> {
    let mut reasons = Vec::new();
    let mut same = |what: &str, found: &str, expected: &str| {
        if found != expected {
            reasons.push(reason(what, format!("{found}, expected {expected}")));
        }
    };
    let nightly = record.version.parse().ok().and_then(|version| NightlyVersion::parse(&version));
    let version = match nightly {
        Some(_) => format!("{} (a nightly version, which its programs print)", record.version),
        None => record.version.clone(),
    };
    same("it was built as this version", &version, expected_image.version.as_str());
    same("it was built as this image", &record.image, expected_image.image.name.as_str());
    same("it was built at the commit of the signed tag", &record.commit, expected_image.commit);
    let shown = |tag: &RecordTag| format!("{} ({})", tag.name, tag.object);
    let tag = record.tag.as_ref().map_or_else(|| "at no tag".to_owned(), shown);
    same("it was built at the signed tag", &tag, &shown(expected_image.tag));
    same("the record is about this image", &record.digest.to_string(), &candidate.descriptor.digest.to_string());
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let listed = candidate.platforms.iter().map(name);
    let listed = list(listed.collect());
    same("it was built for the declared platforms", &listed, &list(declared(expected_image).collect()));
    same("the record is about these platforms", &list(record.platforms.keys().cloned().collect()), &listed);
    for image in &candidate.platforms {
        if let Some(known) = record.platforms.get(&name(image)) {
            let what = format!("the record is about this image for {}", name(image));
            same(&what, &known.digest.to_string(), &image.digest.to_string());
        }
    }
    reasons
}

fn declared(expected_image: ExpectedImage<'_>) -> impl Iterator<Item = String> {
    expected_image.image.platforms.iter().map(Platform::to_string)
}

/// In the words of declarations where it is one of those platforms.
fn name(image: &PlatformImage) -> String {
    let Some(object) = &image.platform else { return "no platform".to_owned() };
    let known = Platform::ALL.into_iter().find(|platform| object.is(*platform));
    let variant = object.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    known.map_or_else(|| format!("{}/{}{variant}", object.os, object.architecture), |platform| platform.to_string())
}

/// Adds what a record says was tried.
fn add(fit: &mut Evidence, record: &BuildRecord) {
    for (name, platform) in &record.platforms {
        let known = fit.platforms.entry(name.clone()).or_insert_with(|| platform.clone());
        if known.smoke_test.is_none() {
            known.smoke_test.clone_from(&platform.smoke_test);
        }
    }
}

fn about_tests(expected_image: ExpectedImage<'_>, fit: &mut Evidence, here: Option<Platform>) -> Vec<FailedCheck> {
    let mut reasons = Vec::new();
    let expected = expected_image.image.smoke_test.expect.render(expected_image.version);
    for (name, platform) in &fit.platforms {
        let what = format!("the smoke test passed for {name}");
        match &platform.smoke_test {
            None if here.is_some_and(|here| here.to_string() == *name) => {
                reasons.push(reason(what, "it was not run, and this machine could"));
            }
            None => fit.untested.push(name.clone()),
            Some(test) if test.run != expected_image.image.smoke_test.run => {
                reasons.push(reason(
                    what,
                    format!("{:?} was run, {:?} is declared", test.run, expected_image.image.smoke_test.run),
                ));
            }
            Some(test) if test.printed.trim() != expected.trim() => {
                reasons.push(reason(what, format!("it printed {:?}, expected {expected:?}", test.printed)));
            }
            Some(_) => {}
        }
    }
    if reasons.is_empty() && fit.untested.len() == fit.platforms.len() {
        reasons.push(reason("the smoke test passed", "it was not run for any platform"));
    }
    reasons
}

fn about_labels(expected_image: ExpectedImage<'_>, candidate: &Candidate) -> Vec<FailedCheck> {
    let mut reasons = Vec::new();
    for image in &candidate.platforms {
        for (label, expected) in [(REVISION, expected_image.commit), (VERSION, expected_image.version.as_str())] {
            let what = format!("the label {label} of {}", name(image));
            let found = match &image.labels {
                None => "its configuration cannot be read".to_owned(),
                Some(labels) => labels.get(label).cloned().unwrap_or_else(|| "none".to_owned()),
            };
            if found != expected {
                reasons.push(reason(what, format!("{found}, expected {expected}")));
            }
        }
    }
    reasons
}

#[cfg(test)]
mod tests;
