//! Rules about fields, names and versions of `.changes` and `.dsc`.

use super::{Facts, Upload};
use crate::version::DebVersion;

/// Fields without which Launchpad does not go on.
const CHANGES_FIELDS: [&str; 10] = [
    "Source",
    "Binary",
    "Architecture",
    "Version",
    "Distribution",
    "Maintainer",
    "Files",
    "Changes",
    "Date",
    "Changed-By",
];

const DSC_FIELDS: [&str; 6] = ["Source", "Version", "Binary", "Maintainer", "Architecture", "Files"];

pub(super) fn mandatory_fields(upload: &Upload, _: &Facts) -> Vec<String> {
    let missing =
        CHANGES_FIELDS.iter().filter(|field| upload.changes.get(field).is_none_or(|text| text.trim().is_empty()));
    missing.map(|field| format!("Unable to find mandatory field '{field}' in the changes file.")).collect()
}

pub(super) fn changes_format(upload: &Upload, _: &Facts) -> Vec<String> {
    let format = upload.changes.line("Format").unwrap_or_else(|| "1.5".into());
    // Parts of a float as Launchpad reads it: 1.8 lies between 1.5 and 2.0.
    match format.parse::<f64>() {
        Ok(number) if (1.5..=2.0).contains(&number) => Vec::new(),
        Ok(_) | Err(_) => {
            let range = "Range 1.5 - 2.0";
            vec![format!("Format out of acceptable range for changes file. {range}, format {format}")]
        }
    }
}

pub(super) fn changes_name(upload: &Upload, _: &Facts) -> Vec<String> {
    // One that was made up has no name.
    if upload.changes_name.is_empty() {
        return Vec::new();
    }
    let version = upload.changes.line("Version").unwrap_or_default();
    let version = version.split_once(':').map_or(version.as_str(), |(_, rest)| rest);
    let stem = upload.changes_name.strip_suffix("_source.changes");
    let expected = format!("{}_{version}", upload.changes.line("Source").unwrap_or_default());
    if stem == Some(expected.as_str()) {
        return Vec::new();
    }
    let shape = "should follow \"<pkg>_<version>_<arch>.changes\" format";
    vec![format!("{} -> inappropriate changesfile name, {shape}", upload.changes_name)]
}

pub(super) fn dsc_fields(upload: &Upload, _: &Facts) -> Vec<String> {
    if upload.dsc.names().next().is_none() {
        return Vec::new();
    }
    let missing = DSC_FIELDS.iter().filter(|field| upload.dsc.get(field).is_none_or(|text| text.trim().is_empty()));
    missing.map(|field| format!("Unable to find mandatory field {field} in {}", upload.dsc_name)).collect()
}

pub(super) fn dsc_source(upload: &Upload, _: &Facts) -> Vec<String> {
    let mut texts = Vec::new();
    if let Some(source) = upload.dsc.line("Source") {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+.-".contains(&byte);
        let starts = source.starts_with(|first: char| first.is_ascii_alphanumeric());
        if source.len() < 2 || !starts || !source.bytes().all(fits) {
            texts.push(format!("{}: invalid source name {source}", upload.dsc_name));
        }
    }
    if let Some(version) = upload.dsc.line("Version") {
        if version.parse::<DebVersion>().is_err() {
            texts.push(format!("{}: invalid version {version}", upload.dsc_name));
        }
    }
    texts
}

pub(super) fn versions_agree(upload: &Upload, _: &Facts) -> Vec<String> {
    let (Some(ours), Some(theirs)) = (upload.dsc.line("Version"), upload.changes.line("Version")) else {
        return Vec::new();
    };
    if ours != theirs {
        let text = format!("{}: version ('{ours}') in .dsc does not match version", upload.dsc_name);
        return vec![format!("{text} ('{theirs}') in .changes.")];
    }
    // The names of files say the version, too, without an epoch; those of orig tarballs without a revision.
    let whole = theirs.split_once(':').map_or(theirs.as_str(), |(_, rest)| rest);
    let upstream = whole.rsplit_once('-').map_or(whole, |(upstream, _)| upstream);
    let mut texts = Vec::new();
    for file in upload.listed() {
        let Some((_, rest)) = file.name.split_once('_') else { continue };
        let ending = [".orig", ".debian.tar.", ".diff.gz", ".dsc", "_source.buildinfo", ".tar."]
            .iter()
            .find_map(|ending| rest.find(ending).map(|at| (&rest[..at], *ending)));
        let Some((said, ending)) = ending else { continue };
        let should = if ending == ".orig" { upstream } else { whole };
        if said != should {
            texts.push(format!("{said}: should be {should} according to changes file."));
        }
    }
    texts
}
