//! Rules about the fields and signatures of `.changes` and `.dsc`: names, versions, series, build dependencies.

use super::kind::{self, FileKind, FileName};
use super::{CheckContext, Signature, Upload};
use crate::relation::{RelationError, parse_source};
use crate::series::{self, SeriesInfo};
use drydock_config::debversion::DebVersion;
use drydock_config::release::deb::Distribution;

/// The fields that Launchpad requires, separated by spaces. `Binary` is none of them: dpkg leaves it out of source-only uploads
/// since 1.19.3, deb-changes(5).
const CHANGES_FIELDS: &str = "Source Architecture Version Distribution Maintainer Files Changes Date Changed-By";

const DSC_FIELDS: [&str; 6] = ["Source", "Version", "Binary", "Maintainer", "Architecture", "Files"];

pub(super) fn parses(upload: &Upload, _: &CheckContext) -> Vec<String> {
    upload.unparsable.iter().map(|(name, error)| format!("Unable to parse {name}: {error}")).collect()
}

pub(super) fn mandatory_fields(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let missing =
        CHANGES_FIELDS.split(' ').filter(|field| upload.changes.get(field).is_none_or(|text| text.trim().is_empty()));
    missing.map(|field| format!("Unable to find mandatory field '{field}' in the changes file.")).collect()
}

pub(super) fn changes_format(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let format = upload.changes.line("Format").unwrap_or_else(|| "1.5".into());
    // Launchpad parses it as a float.
    match format.parse::<f64>() {
        Ok(number) if (1.5..=2.0).contains(&number) => Vec::new(),
        Ok(_) | Err(_) => {
            let range = "Range 1.5 - 2.0";
            vec![format!("Format out of acceptable range for changes file. {range}, format {format}")]
        }
    }
}

pub(super) fn changes_name(upload: &Upload, _: &CheckContext) -> Vec<String> {
    // A .changes that was derived from a .dsc has no name.
    let is_well_formed = || {
        let (package, rest) = upload.changes_name.strip_suffix(".changes")?.split_once('_')?;
        let (version, architecture) = rest.rsplit_once('_')?;
        let plain = !version.contains('_') && !architecture.contains('.');
        (plain && [package, version, architecture].iter().all(|part| !part.is_empty())).then_some(())
    };
    if upload.changes_name.is_empty() || is_well_formed().is_some() {
        return Vec::new();
    }
    let shape = "should follow \"<pkg>_<version>_<arch>.changes\" format";
    vec![format!("{} -> inappropriate changesfile name, {shape}", upload.changes_name)]
}

pub(super) fn dsc_fields(upload: &Upload, _: &CheckContext) -> Vec<String> {
    if upload.dsc.names().next().is_none() {
        return Vec::new();
    }
    let missing = DSC_FIELDS.iter().filter(|field| upload.dsc.get(field).is_none_or(|text| text.trim().is_empty()));
    missing.map(|field| format!("Unable to find mandatory field {field} in {}", upload.dsc_name)).collect()
}

pub(super) fn dsc_source(upload: &Upload, _: &CheckContext) -> Vec<String> {
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

pub(super) fn versions_agree(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let (Some(ours), Some(theirs)) = (upload.dsc.line("Version"), upload.changes.line("Version")) else {
        return Vec::new();
    };
    if ours != theirs {
        let text = format!("{}: version ('{ours}') in .dsc does not match version", upload.dsc_name);
        return vec![format!("{text} ('{theirs}') in .changes.")];
    }
    // The names of files contain the version, too, without its epoch; those of orig tarballs without the revision.
    let whole = theirs.split_once(':').map_or(theirs.as_str(), |(_, rest)| rest);
    let upstream = whole.rsplit_once('-').map_or(whole, |(upstream, _)| upstream);
    let mut texts = Vec::new();
    for file in upload.listed() {
        let Some(FileName { version: written, kind }) = kind::parse(&file.name) else { continue };
        let should = match kind {
            FileKind::Orig { .. } => upstream,
            FileKind::Binary { .. } => continue,
            _ => whole,
        };
        if written != should {
            texts.push(format!("{written}: should be {should} according to changes file."));
        }
    }
    texts
}

/// The note about a key that Launchpad does not know.
const NO_MAIL: &str = " (Launchpad sends no mail about a key that it does not know)";

const POCKETS: [&str; 4] = ["updates", "security", "proposed", "backports"];

/// The series and the pocket that `Distribution` names.
fn target(upload: &Upload) -> Option<(String, Option<String>)> {
    let whole = upload.changes.line("Distribution")?;
    Some(match whole.rsplit_once('-') {
        Some((series, pocket)) if POCKETS.contains(&pocket) => (series.to_owned(), Some(pocket.to_owned())),
        Some(_) | None => (whole, None),
    })
}

/// The series that `Distribution` means: by its name, its number, or Ubuntu's alias of the newest series.
fn known_series(name: &str, context: &CheckContext) -> Option<SeriesInfo> {
    let mut own = series::all().into_iter().filter(|one| one.distribution == context.distribution);
    if name == "devel" && context.distribution == Distribution::Ubuntu {
        return own.max_by(|one, other| one.released.cmp(&other.released));
    }
    own.find(|one| one.name == name || one.number == name)
}

pub(super) fn series_exists(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some((name, pocket)) = target(upload) else { return Vec::new() };
    let in_archive = context.archive.as_ref().and_then(|archive| archive.series.get(&name)).is_some();
    if in_archive || known_series(&name, context).is_some() {
        return Vec::new();
    }
    let suite = pocket.map_or_else(|| name.clone(), |pocket| format!("{name}-{pocket}"));
    vec![format!("Unable to find distroseries: {suite}")]
}

pub(super) fn pocket(upload: &Upload, _: &CheckContext) -> Vec<String> {
    match target(upload) {
        Some((_, Some(_))) => vec!["PPA uploads must be for the RELEASE pocket.".to_owned()],
        Some((_, None)) | None => Vec::new(),
    }
}

pub(super) fn series_is_obsolete(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let Some((name, _)) = target(upload) else { return Vec::new() };
    // Launchpad's answer is newer than the built-in table.
    let ended = match context.archive.as_ref().and_then(|archive| archive.series.get(&name)) {
        Some(status) => status.eq_ignore_ascii_case("obsolete"),
        None => known_series(&name, context).is_some_and(|one| one.ends < context.today),
    };
    if !ended {
        return Vec::new();
    }
    vec![format!("{name} is obsolete and will not accept new uploads.")]
}

pub(super) fn changes_signature(upload: &Upload, context: &CheckContext) -> Vec<String> {
    if upload.changes_name.is_empty() {
        return Vec::new();
    }
    check_signature(&upload.changes_name, &upload.changes_signature, context)
}

pub(super) fn dsc_signature(upload: &Upload, context: &CheckContext) -> Vec<String> {
    if upload.dsc_name.is_empty() {
        return Vec::new();
    }
    check_signature(&upload.dsc_name, &upload.dsc_signature, context)
}

fn check_signature(name: &str, signature: &Signature, context: &CheckContext) -> Vec<String> {
    match signature {
        Signature::Good(_) => Vec::new(),
        Signature::None if context.allow_unsigned => Vec::new(),
        Signature::None => {
            vec![format!(
                "GPG verification of {name} failed: Verification failed 3 times: ['No data', 'No data', 'No data']"
            )]
        }
        Signature::ExpiredKey(key) => vec![format!("File {name} is signed with an expired key {key}")],
        // Packages of others are checked without the keys of those who signed them.
        Signature::UnknownKey if context.allow_unsigned => Vec::new(),
        Signature::UnknownKey => vec![format!("GPG verification of {name} failed: No public key{NO_MAIL}")],
        Signature::Bad(why) => vec![format!("GPG verification of {name} failed: {why}{NO_MAIL}")],
    }
}

const RELATION_FIELDS: &str = "Build-Depends Build-Depends-Indep Build-Depends-Arch Build-Conflicts Build-Conflicts-Indep \
    Build-Conflicts-Arch";

pub(super) fn build_depends(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let wrong = |field| {
        let RelationError { group, problem } = upload.dsc.line(field).and_then(|text| parse_source(&text).err())?;
        let dsc = &upload.dsc_name;
        let text =
            format!("{dsc}: invalid {field} field; cannot be parsed by deb822: cannot parse package relationship");
        Some(format!("{text} \"{group}\", returning it raw ({problem})"))
    };
    RELATION_FIELDS.split(' ').filter_map(wrong).collect()
}
