//! Verification of release files from anywhere, with the differences from what they should be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;

use super::manifest::{CHECKSUMS, EntryRecord, Manifest, NAME};
use drydock_archive::difference::{Difference, Pair};
use drydock_archive::read::{self, Limits, MemberKind, ReadError};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::release::Format;

/// The largest `SHA256SUMS` that is read, in bytes.
const LARGEST_LIST: u64 = 1 << 20;

/// The result of checking one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    /// The file name.
    pub name: String,
    /// The problem; none if the file is as it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The first difference from what the file should contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
}

/// Checks a directory, or some of its files, against `release.json`, or without one against `SHA256SUMS`.
///
/// # Errors
/// The directory has neither list, or the list is damaged.
pub fn directory(directory: &Path, only: &[String]) -> anyhow::Result<(Option<Manifest>, Vec<CheckedFile>)> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|one| one == name);
    let mut checked = Vec::new();
    let sums = read_checksums(&directory.join(CHECKSUMS))?;
    let list = directory.join(NAME);
    let manifest = if list.exists() { Some(Manifest::load(&list)?) } else { None };
    match (&manifest, &sums) {
        (None, None) => {
            let text = format!("{} has neither {NAME} nor {CHECKSUMS} to check files against", directory.display());
            return Err(Failure::usage(text));
        }
        (None, Some(sums)) => {
            for (name, sum) in sums.iter().filter(|(name, _)| wanted(name)) {
                checked.push(CheckedFile {
                    problem: wrong_checksum(&directory.join(name), *sum),
                    name: name.clone(),
                    difference: None,
                });
            }
        }
        (Some(manifest), sums) => {
            for (artifact, format, path) in manifest.files(directory).filter(|(artifact, _, _)| wanted(&artifact.name))
            {
                let mut one = CheckedFile { name: artifact.name.clone(), problem: None, difference: None };
                one.problem = wrong_checksum(&path, artifact.sha256);
                if path.is_file() {
                    match against_manifest(&path, format, manifest) {
                        Ok(None) if one.problem.is_some() => {
                            let same = "its content is as release.json lists it, and only the compressed form differs";
                            one.problem = one.problem.map(|problem| format!("{problem}; {same}"));
                        }
                        Ok(None) => {}
                        Ok(found) => {
                            one.problem.get_or_insert("its content is not as release.json lists it".into());
                            one.difference = found;
                        }
                        Err(error) => one.problem = Some(error.to_string()),
                    }
                }
                checked.push(one);
            }
            let stated: BTreeMap<&str, Checksum> =
                manifest.artifacts.iter().map(|artifact| (artifact.name.as_str(), artifact.sha256)).collect();
            let written = sums.as_ref().map(|sums| sums.iter().map(|(name, sum)| (name.as_str(), *sum)).collect());
            if only.is_empty() && written.is_some_and(|written: BTreeMap<&str, Checksum>| written != stated) {
                let problem = Some(format!("it does not match {NAME}"));
                checked.push(CheckedFile { name: CHECKSUMS.into(), problem, difference: None });
            }
        }
    }
    let unknown = only.iter().filter(|name| !checked.iter().any(|one| one.name == **name)).cloned().collect::<Vec<_>>();
    checked.extend(unknown.into_iter().map(|name| CheckedFile {
        name,
        problem: Some("it is not a file of the release".into()),
        difference: None,
    }));
    Ok((manifest, checked))
}

/// Compares files with those of a rebuilt release, and adds the first difference to each result.
///
/// # Errors
/// A rebuilt file cannot be read.
pub fn against_rebuilt(
    found: &Path,
    rebuilt: &Path,
    manifest: &Manifest,
    checked: &mut [CheckedFile],
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
                one.problem = Some("it is what the commit builds, but not what release.json lists".into());
                one.difference = None;
            }
            Ok(None) => {}
            Ok(found) => {
                one.problem.get_or_insert("it is not what the commit builds".into());
                one.difference = found;
            }
            Err(error) => one.problem = Some(error.to_string()),
        }
    }
    Ok(())
}

/// A difference in words, with the origin of the entry.
pub fn with_origin(difference: &Difference, manifest: &Manifest) -> String {
    let origin = difference.entry.as_ref().and_then(|entry| manifest.origin_of(entry));
    origin.map_or_else(|| difference.to_string(), |origin| format!("{difference} [{origin}]"))
}

/// The limits for an archive of this release, a little above the expected size.
fn limits(manifest: &Manifest) -> Limits {
    Limits { bytes: manifest.tar.size + (64 << 20), entries: manifest.entries.len() * 2 + 10_000 }
}

/// The problem with the checksum of a file.
fn wrong_checksum(path: &Path, expected: Checksum) -> Option<String> {
    match Checksum::from_file(path) {
        Ok((sum, _)) if sum == expected => None,
        Ok((sum, _)) => Some(format!("its SHA-256 is {sum}, expected {expected}")),
        Err(error) => Some(format!("cannot read it: {}", exec::plain(&error))),
    }
}

/// Reads `SHA256SUMS`; none if it does not exist.
fn read_checksums(path: &Path) -> anyhow::Result<Option<Vec<(String, Checksum)>>> {
    if !path.exists() {
        return Ok(None);
    }
    let cannot = || format!("cannot read {}", path.display());
    let mut text = String::new();
    let file = drydock_base::paths::open_regular(path).with_context(cannot)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(file, LARGEST_LIST), &mut text).with_context(cannot)?;
    let wrong = || Failure::not_reproducible(format!("cannot parse {} as a list of SHA-256 checksums", path.display()));
    parse_checksums(&text).map(Some).ok_or_else(wrong)
}

/// The file names and checksums of `CHECKSUM  NAME` lines, as sha256sum writes them; none if a line is invalid or names a
/// file in another directory.
pub fn parse_checksums(text: &str) -> Option<Vec<(String, Checksum)>> {
    let line = |line: &str| {
        let (sum, name) = line.split_once("  ").or_else(|| line.split_once(" *"))?;
        let plain = !name.is_empty() && !name.contains(['/', '\\', '\0']) && name != "..";
        plain.then_some(())?;
        Some((name.to_owned(), Checksum::parse(sum)?))
    };
    text.lines().map(line).collect()
}

/// The first difference between an archive and the entries of the manifest.
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
            return difference(&member.path, "order", "the end".into(), "one more entry".into(), "an added file");
        };
        let wanted = format!("{top}{}", record.path);
        if member.path != wanted {
            let cause = "a missing or added file, or another order";
            return difference(&wanted, "order", wanted.clone(), member.path.clone(), cause);
        }
        let (size, link) = match &member.kind {
            MemberKind::Link(target) => (target.len() as u64, Some(target.clone())),
            MemberKind::File | MemberKind::Directory | MemberKind::HardLink(_) | MemberKind::Other(_) => {
                (member.size, None)
            }
        };
        if link != record.link || matches!(member.kind, MemberKind::HardLink(_) | MemberKind::Other(_)) {
            let show = |link: &Option<String>| link.clone().unwrap_or_else(|| "not a link".into());
            return difference(&wanted, "link", show(&record.link), show(&link), "a program that follows links");
        }
        let mode = format!("{:o}", member.mode);
        if mode != record.mode {
            return difference(&wanted, "mode", record.mode.clone(), mode, "the umask of the builder");
        }
        if link.is_none() && (size, one.sha256) != (record.size, record.sha256) {
            let (expected, found) = (shown(record), format!("{size} bytes, SHA-256 {}", one.sha256));
            return difference(
                &wanted,
                "content",
                expected,
                found,
                "another version of the file; `--rebuild` shows the line",
            );
        }
    }
    match expected.next() {
        Some(missing) => {
            let entry = format!("{top}{}", missing.path);
            difference(&entry, "order", missing.path.clone(), "the end".into(), "a missing file")
        }
        None => Ok(None),
    }
}

fn shown(record: &EntryRecord) -> String {
    format!("{} bytes, SHA-256 {}", record.size, record.sha256)
}

/// The files of a directory that look like archives and are not in the manifest, sorted.
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
