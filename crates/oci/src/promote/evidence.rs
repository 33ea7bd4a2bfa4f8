//! Whether an image is fit to be a release: a decision over its build record and its labels.

use std::collections::{BTreeMap, BTreeSet};

use super::candidate::{Candidate, PlatformImage};
use crate::build_record::{BuildRecord, PlatformRecord, RecordTag};
use crate::image::{REVISION, VERSION};
use drydock_config::images::{Image, Platform};
use drydock_config::release::{NightlyVersion, Version};
use drydock_http::printable;

/// What the image has to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What is declared.
    pub image: &'a Image,
    /// The version.
    pub version: &'a Version,
    /// The commit, all digits.
    pub commit: &'a str,
    /// The signed tag.
    pub tag: &'a RecordTag,
}

/// Why an image is not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason {
    /// What should hold.
    pub what: String,
    /// What was found.
    pub found: String,
}

/// What is known of an image that is fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fit {
    /// Its platforms.
    pub platforms: BTreeMap<String, PlatformRecord>,
    /// Those that nobody could try.
    pub untried: Vec<String>,
}

/// Decides. `here` is the platform of this machine, on which everything that it can run must have been tried.
///
/// # Errors
/// Every reason why it is not fit.
pub fn judge(wanted: Wanted<'_>, candidate: &Candidate, here: Option<Platform>) -> Result<Fit, Vec<Reason>> {
    let mut reasons = BTreeSet::new();
    let mut fit = Fit::default();
    let mut accepted = false;
    let mut doubts = BTreeSet::new();
    // Each machine that built the same image may have attached what it tried.
    for record in &candidate.records {
        let found = match record {
            Ok(record) => about_build(wanted, candidate, record),
            Err(why) => vec![reason("the build record can be read", why)],
        };
        match (found.is_empty(), record) {
            (true, Ok(record)) => {
                accepted = true;
                add(&mut fit, record);
            }
            (_, _) => doubts.extend(found),
        }
    }
    match (candidate.records.is_empty(), accepted) {
        (true, _) => drop(reasons.insert(reason("a build record is attached", "there is none"))),
        (false, false) => reasons.extend(doubts),
        (false, true) => reasons.extend(about_tests(wanted, &mut fit, here)),
    }
    reasons.extend(about_labels(wanted, candidate));
    match reasons.is_empty() {
        true => Ok(fit),
        false => Err(reasons.into_iter().collect()),
    }
}

fn reason(what: impl Into<String>, found: impl Into<String>) -> Reason {
    // Both may come from a registry, and are shown on a terminal.
    Reason { what: printable(&what.into()), found: printable(&found.into()) }
}

fn about_build(wanted: Wanted<'_>, candidate: &Candidate, record: &BuildRecord) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let mut same = |what: &str, found: &str, expected: &str| {
        if found != expected {
            reasons.push(reason(what, format!("{found}, expected {expected}")));
        }
    };
    let nightly = record.version.parse().ok().and_then(|version| NightlyVersion::of(&version));
    let version = match nightly {
        Some(_) => format!("{} is a nightly's version, and its programs say so", record.version),
        None => record.version.clone(),
    };
    same("it was built as this version", &version, wanted.version.as_str());
    same("it was built as this image", &record.image, wanted.image.name.as_str());
    same("it was built at the commit of the signed tag", &record.commit, wanted.commit);
    let shown = |tag: &RecordTag| format!("{} ({})", tag.name, tag.object);
    let tag = record.tag.as_ref().map_or_else(|| "at no tag".to_owned(), shown);
    same("it was built at the signed tag", &tag, &shown(wanted.tag));
    same("the record is about this image", &record.digest.to_string(), &candidate.descriptor.digest.to_string());
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    let listed = candidate.platforms.iter().map(name);
    let listed = list(listed.collect());
    same("it was built for the declared platforms", &listed, &list(declared(wanted).collect()));
    same("the record is about these platforms", &list(record.platforms.keys().cloned().collect()), &listed);
    for image in &candidate.platforms {
        if let Some(known) = record.platforms.get(&name(image)) {
            let what = format!("the record is about this image for {}", name(image));
            same(&what, &known.digest.to_string(), &image.digest.to_string());
        }
    }
    reasons
}

fn declared(wanted: Wanted<'_>) -> impl Iterator<Item = String> {
    wanted.image.platforms.iter().map(Platform::to_string)
}

/// In the words of declarations where it is one of those platforms.
fn name(image: &PlatformImage) -> String {
    let Some(object) = &image.platform else { return "no platform".to_owned() };
    let known = Platform::ALL.into_iter().find(|platform| object.is(*platform));
    let variant = object.variant.as_ref().map(|variant| format!("/{variant}")).unwrap_or_default();
    known.map_or_else(|| format!("{}/{}{variant}", object.os, object.architecture), |platform| platform.to_string())
}

/// Adds what a record says was tried.
fn add(fit: &mut Fit, record: &BuildRecord) {
    for (name, platform) in &record.platforms {
        let known = fit.platforms.entry(name.clone()).or_insert_with(|| platform.clone());
        if known.smoke_test.is_none() {
            known.smoke_test.clone_from(&platform.smoke_test);
        }
    }
}

fn about_tests(wanted: Wanted<'_>, fit: &mut Fit, here: Option<Platform>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let expected = wanted.image.smoke_test.expect.render(wanted.version);
    for (name, platform) in &fit.platforms {
        let what = format!("the smoke test passed for {name}");
        match &platform.smoke_test {
            None if here.is_some_and(|here| here.to_string() == *name) => {
                reasons.push(reason(what, "it was not run, and this machine could"));
            }
            None => fit.untried.push(name.clone()),
            Some(test) if test.run != wanted.image.smoke_test.run => {
                reasons.push(reason(
                    what,
                    format!("{:?} was run, {:?} is declared", test.run, wanted.image.smoke_test.run),
                ));
            }
            Some(test) if test.printed.trim() != expected.trim() => {
                reasons.push(reason(what, format!("it printed {:?}, expected {expected:?}", test.printed)));
            }
            Some(_) => {}
        }
    }
    if reasons.is_empty() && fit.untried.len() == fit.platforms.len() {
        reasons.push(reason("the smoke test passed", "it was not run for any platform"));
    }
    reasons
}

fn about_labels(wanted: Wanted<'_>, candidate: &Candidate) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for image in &candidate.platforms {
        for (label, expected) in [(REVISION, wanted.commit), (VERSION, wanted.version.as_str())] {
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
