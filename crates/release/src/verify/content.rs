//! Archives compared with the entries of `release.json`, and with those of a rebuilt release, with the first difference.

use std::path::Path;

use super::report::CheckedFile;
use crate::manifest::{Artifact, ArtifactKind, EntryRecord, Manifest};
use crate::sbom;
use drydock_archive::difference::{Difference, Pair};
use drydock_archive::read::{self, Limits, MemberKind, ReadError};
use drydock_base::checksum::Checksum;
use drydock_config::release::Format;

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
        let (theirs, ours) = (found.join(&one.name), rebuilt.join(&one.name));
        if sbom::is_document(&one.name) {
            if let Some(difference) = sbom::first_difference(&ours, &theirs) {
                one.problem.get_or_insert(format!("it is not what the commit builds: {difference}"));
            }
            continue;
        }
        let listed = manifest.artifacts.iter().find(|artifact| artifact.name == one.name);
        let format = listed.map_or_else(|| Format::of_name(&one.name), Artifact::format);
        let is_rpm = listed.is_some_and(|artifact| artifact.kind == Some(ArtifactKind::SourceRpm));
        if is_rpm && ours.is_file() && theirs.is_file() {
            if Checksum::from_file(&ours)? != Checksum::from_file(&theirs)? {
                one.problem.get_or_insert("it is not what the commit builds".into());
            }
            continue;
        }
        let Some(format) = format.or(is_rpm.then_some(Format::TarGz)) else { continue };
        if !ours.is_file() {
            one.problem.get_or_insert("the rebuilt release has no such file".into());
            continue;
        }
        if !theirs.is_file() {
            continue;
        }
        let pair = Pair { expected: &ours, found: &theirs, format, limits: limits(manifest, listed) };
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
fn limits(manifest: &Manifest, artifact: Option<&Artifact>) -> Limits {
    // What a build installs may be much larger than its sources.
    let is_binary = artifact.is_some_and(|artifact| artifact.kind == Some(ArtifactKind::Binary));
    let more = if is_binary { 8 << 30 } else { 64 << 20 };
    Limits { bytes: manifest.tar.size + more, entries: manifest.entries.len() * 2 + 10_000 }
}

/// The first difference between an archive and the entries of the manifest.
pub(super) fn against_manifest(
    path: &Path,
    format: Format,
    manifest: &Manifest,
) -> Result<Option<Difference>, ReadError> {
    let listed = read::list(path, format, limits(manifest, None))?;
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
