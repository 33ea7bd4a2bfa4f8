//! Checking files of a release that come from anywhere, and telling what is different about them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::manifest::{EntryRecord, Manifest, NAME, SUMS};
use drydock_archive::difference::{Difference, Pair};
use drydock_archive::read::{self, Limits, MemberKind, ReadError};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;
use drydock_config::release::Format;

/// The largest `SHA256SUMS`.
const LARGEST_SUMS: u64 = 1 << 20;

/// What was found about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Where it differs first from what it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Checks a directory, or some of its files, against `release.json`, or without one against `SHA256SUMS`.
///
/// # Errors
/// There is no list to check against, or it is damaged.
pub fn directory(directory: &Path, only: &[String]) -> anyhow::Result<(Option<Manifest>, Vec<Checked>)> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut checked = Vec::new();
    let sums = sums(&directory.join(SUMS))?;
    let manifest = match directory.join(NAME).exists() {
        true => Some(Manifest::load(&directory.join(NAME))?),
        false => None,
    };
    match (&manifest, &sums) {
        (None, None) => {
            anyhow::bail!("{} has neither {NAME} nor {SUMS}; what is it to be checked against?", directory.display())
        }
        (None, Some(sums)) => {
            for (name, sum) in sums.iter().filter(|(name, _)| wanted(name)) {
                checked.push(Checked {
                    problem: wrong_sum(&directory.join(name), *sum),
                    name: name.clone(),
                    difference: None,
                });
            }
        }
        (Some(manifest), sums) => {
            for (artifact, format, path) in manifest.files(directory).filter(|(artifact, _, _)| wanted(&artifact.name))
            {
                let mut one = Checked { name: artifact.name.clone(), problem: None, difference: None };
                one.problem = wrong_sum(&path, artifact.sha256);
                if path.is_file() {
                    match against_manifest(&path, format, manifest) {
                        Ok(None) if one.problem.is_some() => {
                            let same = "what it holds is what release.json lists: only its compressed form differs";
                            one.problem = one.problem.map(|problem| format!("{problem}; {same}"));
                        }
                        Ok(None) => {}
                        Ok(found) => {
                            one.problem.get_or_insert("it holds something else than release.json lists".into());
                            one.difference = found;
                        }
                        Err(error) => one.problem = Some(error.to_string()),
                    }
                }
                checked.push(one);
            }
            let stated: BTreeMap<&str, Sha256Sum> =
                manifest.artifacts.iter().map(|artifact| (artifact.name.as_str(), artifact.sha256)).collect();
            let written = sums.as_ref().map(|sums| sums.iter().map(|(name, sum)| (name.as_str(), *sum)).collect());
            if only.is_empty() && written.is_some_and(|written: BTreeMap<&str, Sha256Sum>| written != stated) {
                let problem = Some(format!("it does not list what {NAME} lists"));
                checked.push(Checked { name: SUMS.into(), problem, difference: None });
            }
        }
    }
    let unknown = only.iter().filter(|name| !checked.iter().any(|one| one.name == **name)).cloned().collect::<Vec<_>>();
    checked.extend(unknown.into_iter().map(|name| Checked {
        name,
        problem: Some("the release has no such file".into()),
        difference: None,
    }));
    Ok((manifest, checked))
}

/// Compares files with those of a rebuilt release. What is already known to be wrong gets its explanation.
///
/// # Errors
/// A rebuilt file cannot be read.
pub fn against_rebuilt(
    found: &Path,
    rebuilt: &Path,
    manifest: &Manifest,
    checked: &mut [Checked],
) -> anyhow::Result<()> {
    for one in checked.iter_mut() {
        let Some(format) = Format::of_name(&one.name) else { continue };
        let (theirs, ours) = (found.join(&one.name), rebuilt.join(&one.name));
        if !ours.is_file() {
            one.problem.get_or_insert("the rebuilt release has no such file".into());
            continue;
        }
        if !theirs.is_file() {
            continue;
        }
        let pair = Pair { expected: &ours, found: &theirs, format, limits: limits(manifest) };
        match pair.first_difference() {
            Ok(None) if one.problem.is_some() => {
                one.problem = Some("it is what the commit makes, but not what release.json says".into());
                one.difference = None;
            }
            Ok(None) => {}
            Ok(found) => {
                one.problem.get_or_insert("it is not what the commit makes".into());
                one.difference = found;
            }
            Err(error) => one.problem = Some(error.to_string()),
        }
    }
    Ok(())
}

/// A difference with what made the entry.
pub fn with_origin(difference: &Difference, manifest: &Manifest) -> String {
    let origin = difference.entry.as_ref().and_then(|entry| manifest.origin_of(entry));
    origin.map_or_else(|| difference.to_string(), |origin| format!("{difference} [{origin}]"))
}

/// What an archive of this release may hold: a little more than it should.
fn limits(manifest: &Manifest) -> Limits {
    Limits { bytes: manifest.tar.size + (64 << 20), entries: manifest.entries.len() * 2 + 10_000 }
}

fn wrong_sum(path: &Path, expected: Sha256Sum) -> Option<String> {
    match Sha256Sum::of_file(path) {
        Ok((sum, _)) if sum == expected => None,
        Ok((sum, _)) => Some(format!("its SHA-256 is {sum}, expected {expected}")),
        Err(error) => Some(format!("it cannot be read: {}", exec::plain(&error))),
    }
}

/// `SUM  NAME` lines, as sha256sum writes them.
fn sums(path: &Path) -> anyhow::Result<Option<Vec<(String, Sha256Sum)>>> {
    if !path.exists() {
        return Ok(None);
    }
    let cannot = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = drydock_base::paths::open_regular(path).with_context(cannot)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LARGEST_SUMS), &mut text).with_context(cannot)?;
    let wrong = || Failure::not_reproducible(format!("{} is no list of SHA-256 sums", path.display()));
    parse_sums(&text).map(Some).ok_or_else(wrong)
}

/// The names and sums of a list; no name leads to another directory.
pub fn parse_sums(text: &str) -> Option<Vec<(String, Sha256Sum)>> {
    let line = |line: &str| {
        let (sum, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
        let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "..";
        plain.then_some(())?;
        Some((name.to_owned(), Sha256Sum::parse(sum)?))
    };
    text.lines().map(line).collect()
}

/// The first way in which an archive does not hold what the manifest lists.
fn against_manifest(path: &Path, format: Format, manifest: &Manifest) -> Result<Option<Difference>, ReadError> {
    let listed = read::list(path, format, limits(manifest))?;
    let top = format!("{}/", manifest.directory);
    let mut expected = manifest.entries.iter();
    let difference = |entry: &str, field: &str, expected: String, found: String, cause: &str| {
        Ok(Some(Difference {
            entry: Some(entry.to_owned()),
            field: field.to_owned(),
            expected,
            found,
            byte: None,
            cause: cause.to_owned(),
        }))
    };
    for one in &listed {
        let member = &one.member;
        if member.kind == MemberKind::Directory {
            if !format!("{}/", member.path.trim_end_matches('/')).starts_with(&top) {
                return difference(&member.path, "path", top, member.path.clone(), "another top directory");
            }
            continue;
        }
        let Some(record) = expected.next() else {
            return difference(&member.path, "order", "the end".into(), "one more entry".into(), "a file was added");
        };
        let wanted = format!("{top}{}", record.path);
        if member.path != wanted {
            let cause = "a file that is missing or was added, or another order";
            return difference(&wanted, "order", wanted.clone(), member.path.clone(), cause);
        }
        let (size, link) = match &member.kind {
            MemberKind::Link(target) => (target.len() as u64, Some(target.clone())),
            MemberKind::File | MemberKind::Directory | MemberKind::HardLink(_) | MemberKind::Other(_) => {
                (member.size, None)
            }
        };
        if link != record.link || matches!(member.kind, MemberKind::HardLink(_) | MemberKind::Other(_)) {
            let show = |link: &Option<String>| link.clone().unwrap_or_else(|| "no link".into());
            return difference(&wanted, "link", show(&record.link), show(&link), "a program that follows links");
        }
        let mode = format!("{:o}", member.mode);
        if mode != record.mode {
            return difference(&wanted, "mode", record.mode.clone(), mode, "the umask of whoever made it");
        }
        if link.is_none() && (size, one.sha256) != (record.size, record.sha256) {
            let (expected, found) = (show(record), format!("{size} bytes, SHA-256 {}", one.sha256));
            return difference(
                &wanted,
                "content",
                expected,
                found,
                "another version of this file; `--rebuild` shows the line",
            );
        }
    }
    match expected.next() {
        Some(missing) => {
            let entry = format!("{top}{}", missing.path);
            difference(&entry, "order", missing.path.clone(), "the end".into(), "a file is missing")
        }
        None => Ok(None),
    }
}

fn show(record: &EntryRecord) -> String {
    format!("{} bytes, SHA-256 {}", record.size, record.sha256)
}

/// Files of a directory that look like artifacts and are in no list.
///
/// # Errors
/// The directory cannot be read.
pub fn unexpected(directory: &Path, manifest: &Manifest) -> anyhow::Result<Vec<String>> {
    let names = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let names = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let known = |name: &String| manifest.artifacts.iter().any(|artifact| artifact.name == *name);
    let mut unexpected: Vec<String> = names.filter(|name| Format::of_name(name).is_some() && !known(name)).collect();
    unexpected.sort();
    Ok(unexpected)
}
