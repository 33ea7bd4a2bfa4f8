//! The state of an archive on Launchpad, and the rules that depend on it.

use std::collections::BTreeMap;

use super::{CheckContext, Upload};
use drydock_config::debversion::DebVersion;

/// The state of an archive, as far as it concerns one source package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveState {
    /// Files of the package that the archive has or ever had: SHA-256 checksums by name. A checksum is empty where
    /// Launchpad does not give it.
    pub files: BTreeMap<String, String>,
    /// The published versions of the package, each with its series.
    pub versions: Vec<(String, String)>,
    /// The versions that the archive ever had, each with its series; they cannot be used again.
    pub taken: Vec<(String, String)>,
    /// The status of each series, such as `Supported`.
    pub series: BTreeMap<String, String>,
    /// The archive's used size and its limit, in bytes.
    pub size: Option<(u64, u64)>,
}

pub(super) fn same_bytes(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some(archive) = &context.archive else { return Vec::new() };
    let names = upload.dsc_listed().map(|(_, _, name)| name).chain([upload.dsc_name.clone()]);
    let mut texts = Vec::new();
    for name in names {
        let (Some(theirs), Some(ours)) = (archive.files.get(&name), upload.files.get(&name)) else { continue };
        if !theirs.is_empty() && *theirs != ours.sha256 {
            texts.push(format!(
                "File {name} already exists in the archive, but uploaded version has different contents. See more \
                 information about this error in https://help.launchpad.net/Packaging/UploadErrors."
            ));
        }
    }
    texts
}

pub(super) fn higher_version(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some(archive) = &context.archive else { return Vec::new() };
    let (Some(ours), Some(series)) = (upload.dsc.line("Version"), upload.changes.line("Distribution")) else {
        return Vec::new();
    };
    let Ok(version) = ours.parse::<DebVersion>() else { return Vec::new() };
    let published = archive.versions.iter().filter_map(|(text, of)| Some((text, of, text.parse::<DebVersion>().ok()?)));
    let mut texts: Vec<String> = published
        .filter(|(_, of, theirs)| **of == series && *theirs > version)
        .map(|(text, ..)| format!("{}: Version older than that in the archive. {ours} <= {text}", upload.dsc_name))
        .collect();
    texts.sort();
    texts.dedup();
    texts
}

pub(super) fn new_version(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some(archive) = &context.archive else { return Vec::new() };
    let Some(ours) = upload.dsc.line("Version") else { return Vec::new() };
    let Ok(version) = ours.parse::<DebVersion>() else { return Vec::new() };
    // A version must be new in all series of the archive, also where it was deleted since.
    let is_same = |(theirs, _): &&(String, String)| theirs.parse::<DebVersion>().is_ok_and(|theirs| theirs == version);
    let Some((_, series)) = archive.taken.iter().chain(&archive.versions).find(is_same) else { return Vec::new() };
    let title = format!("{} - {ours}", upload.dsc.line("Source").unwrap_or_default());
    vec![format!(
        "The source {title} is already accepted in ubuntu/{series} and you cannot upload the same version within the same \
         distribution. You have to modify the source version and re-upload."
    )]
}

pub(super) fn quota(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some((used, limit)) = context.archive.as_ref().and_then(|archive| archive.size) else { return Vec::new() };
    let added: u64 = upload.listed().iter().filter_map(|file| upload.files.get(&file.name)).map(|file| file.size).sum();
    let total = used + added;
    if total <= limit {
        return Vec::new();
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    vec![format!(
        "PPA exceeded its size limit ({:.2} of {:.2} MiB). Ask a question in https://answers.launchpad.net/soyuz/ if you \
         need more space.",
        mib(total),
        mib(limit)
    )]
}
