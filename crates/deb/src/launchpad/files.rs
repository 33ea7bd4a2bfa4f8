//! Rules about the files of an upload: their names, kinds, sections and checksums, and what they unpack to.

use std::collections::BTreeMap;

use super::content::is_custom;
use super::kind::{FileKind, kind};
use super::lists::listed_checksums;
use super::{CheckContext, ListedFile, Upload};
use crate::checksums::FileChecksums;
use crate::control::Paragraph;
use crate::unpacked_source::UnpackFailure;

/// The sections of Debian and Ubuntu, separated by spaces. A component may precede each.
const SECTIONS: &str = "admin cli-mono comm database debian-installer debug devel doc editors education electronics embedded fonts \
    games gnome gnu-r gnustep golang graphics hamradio haskell httpd interpreters introspection java javascript \
    kde kernel libdevel libs lisp localization mail math metapackages misc net news ocaml oldlibs otherosfs perl \
    php python ruby rust science shells sound tasks tex text translations utils vcs video virtual web x11 xfce \
    zope";
/// The sections of files that are no parts of packages, separated by spaces.
const CUSTOM_SECTIONS: &str = "raw-installer raw-translations raw-dist-upgrader raw-ddtp-tarball raw-translations-static \
    raw-meta-data raw-uefi raw-signing";
const COMPONENTS: [&str; 8] =
    ["main", "restricted", "universe", "multiverse", "partner", "contrib", "non-free", "non-free-firmware"];

pub(super) fn file_kinds(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let unknown = |file: &ListedFile| kind(&file.name).is_none() && !is_custom(file);
    let listed = upload.listed().into_iter().filter(unknown);
    listed.map(|file| format!("Unable to identify file {} ({}) in changes.", file.name, file.section)).collect()
}

pub(super) fn file_names(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-+~/._".contains(c);
    let names = upload.listed().into_iter().map(|file| file.name).filter(|name| !name.chars().all(fits));
    names.map(|name| format!("Invalid character(s) in filename: '{name}'.")).collect()
}

pub(super) fn sections(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let mut texts = Vec::new();
    for ListedFile { name, section, .. } in upload.listed() {
        let (component, section) = section.split_once('/').unwrap_or(("main", &section));
        let is_known = |known: &str| known.split(' ').any(|known| known == section);
        if section.starts_with("raw-") && !is_known(CUSTOM_SECTIONS) {
            texts.push(format!("Unsupported custom section name '{section}'"));
        } else if !section.starts_with("raw-") && !is_known(SECTIONS) {
            texts.push(format!("{name}: Unknown section '{section}'"));
        }
        if !COMPONENTS.contains(&component) {
            texts.push(format!("{name}: Unknown component '{component}'"));
        }
    }
    texts
}

pub(super) fn checksums(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let mut texts = Vec::new();
    for file in upload.listed() {
        match upload.files.get(&file.name) {
            Some(found) => texts.extend(differs(&upload.changes, found, &file.md5, &file.size)),
            None => texts.push(format!("File {} mentioned in the changes file was not found.", file.name)),
        }
    }
    texts
}

/// The ways in which a file differs from what lists say about it. Launchpad says "the changes" of a `.dsc`, too.
fn differs(lists: &Paragraph, found: &FileChecksums, md5: &str, size: &str) -> Vec<String> {
    let start = format!("File {} mentioned in the changes", found.name);
    let mut texts = Vec::new();
    for (algorithm, checksum) in listed_checksums(lists, &found.name, md5) {
        let own = match algorithm {
            "MD5" => &found.md5,
            "SHA1" => &found.sha1,
            _ => &found.sha256,
        };
        if *own != checksum {
            texts.push(format!("{start} has a {algorithm} mismatch. {own} != {checksum}"));
        }
    }
    if size.parse() != Ok(found.size) {
        texts.push(format!("{start} has a size mismatch. {} != {size}", found.size));
    }
    texts
}

pub(super) fn dsc_format(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let Some(format) = upload.dsc.line("Format") else { return Vec::new() };
    match format.as_str() {
        "1.0" | "3.0 (quilt)" | "3.0 (native)" => Vec::new(),
        _ => vec![format!("Unsupported source format: {format}")],
    }
}

pub(super) fn dsc_files(upload: &Upload, _: &CheckContext) -> Vec<String> {
    if upload.dsc.get("Files").is_none() {
        return Vec::new();
    }
    let dsc = &upload.dsc_name;
    let mut texts = Vec::new();
    let (mut origs, mut debians, mut diffs, mut natives) = (0, 0, 0, 0);
    let (mut signatures, mut components) = (0, BTreeMap::<String, u32>::new());
    let mut component_signatures: BTreeMap<String, u32> = BTreeMap::new();
    let mut other_than_gzip = None;
    for (_, _, name) in upload.dsc_listed() {
        match kind(&name) {
            Some(FileKind::Orig { component: None, signature: true }) => signatures += 1,
            Some(FileKind::Orig { component: Some(component), signature: true }) => {
                *component_signatures.entry(component).or_default() += 1;
                continue;
            }
            Some(FileKind::Orig { component: Some(component), .. }) => *components.entry(component).or_default() += 1,
            Some(FileKind::Orig { component: None, .. }) => origs += 1,
            Some(FileKind::Debian) => debians += 1,
            Some(FileKind::Diff) => diffs += 1,
            Some(FileKind::Native) => natives += 1,
            Some(FileKind::Dsc | FileKind::Buildinfo { .. } | FileKind::Binary { .. }) | None => {
                texts.push(format!("{dsc}: File {name} does not look sourceful."));
                continue;
            }
        }
        for (ending, word) in [(".bz2", "bzip2"), (".xz", "xz")] {
            if name.ends_with(ending) {
                other_than_gzip = Some(word);
            }
        }
    }
    let shape = (origs, debians, diffs, natives);
    // An orig tarball may have one signature, which is no part of the shape.
    let is_signed_well = signatures <= origs && signatures <= 1;
    let has_components = !components.is_empty() || !component_signatures.is_empty();
    match upload.dsc.line("Format").unwrap_or_else(|| "1.0".into()).as_str() {
        "1.0" => {
            if let Some(word) = other_than_gzip {
                texts.push(format!("{dsc}: is format 1.0 but uses {word} compression."));
            }
            if ![(0, 0, 0, 1), (1, 0, 1, 0)].contains(&shape) || has_components || !is_signed_well {
                texts.push(format!("{dsc}: must have exactly one tar.gz, or an orig.tar.gz and diff.gz"));
            }
        }
        "3.0 (native)" if shape != (0, 0, 0, 1) || has_components || !is_signed_well => {
            texts.push(format!("{dsc}: must have only a tar.*."));
        }
        "3.0 (quilt)" => {
            if shape != (1, 1, 0, 0) || !is_signed_well {
                texts.push(format!("{dsc}: must have only an orig.tar.*, a debian.tar.*, and optionally orig-*.tar.*"));
            }
            for (counts, ending) in [(components, ""), (component_signatures, ".asc")] {
                for (component, _) in counts.into_iter().filter(|(_, count)| *count > 1) {
                    texts.push(format!("{dsc}: has more than one orig-{component}.tar.*{ending}."));
                }
            }
        }
        _ => {}
    }
    texts
}

pub(super) fn dsc_checksums(upload: &Upload, context: &CheckContext) -> Vec<String> {
    let listed = upload.listed();
    let mut texts = Vec::new();
    for (md5, size, name) in upload.dsc_listed() {
        let in_upload = upload.changes_name.is_empty() || listed.iter().any(|file| file.name == name);
        let in_archive = context.archive.as_ref().is_some_and(|archive| archive.files.contains_key(&name));
        match upload.files.get(&name) {
            None if !in_archive => texts.push(format!("Unable to find {name} in upload or distribution.")),
            // The file is not uploaded, so the archive must have it; only Launchpad knows that.
            Some(_) if !in_upload && context.archive.is_some() && !in_archive => {
                texts.push(format!("Unable to find {name} in upload or distribution."));
            }
            Some(found) => texts.extend(differs(&upload.dsc, found, &md5, &size)),
            None => {}
        }
    }
    texts
}

/// The most bytes of a document that Launchpad keeps.
const MAX_DOCUMENT: u64 = 10_485_760;

pub(super) fn unpacks(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let sources = &upload.contents;
    if let Some(UnpackFailure { code, output }) = &sources.failure {
        let dsc = &upload.dsc_name;
        return vec![format!("dpkg-source failed for {dsc} [return: {code}]\n[dpkg-source output: {output}]")];
    }
    if sources.directories.len() > 1 {
        let list: Vec<String> = sources.directories.iter().map(|directory| format!("'{directory}'")).collect();
        return vec![format!("Unpacked source contains more than one directory: [{}]", list.join(", "))];
    }
    Vec::new()
}

pub(super) fn documents(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let sources = &upload.contents;
    if sources.failure.is_some() || sources.directories.is_empty() {
        return Vec::new();
    }
    let mut texts = Vec::new();
    for (name, document) in &sources.documents {
        if document.is_link {
            texts.push(format!("Symbolic link for {name} not allowed"));
        } else if document.size > MAX_DOCUMENT {
            texts.push(format!("{name} file too large, 10MiB max"));
        }
    }
    if !sources.documents.contains_key("debian/changelog") {
        texts.push("No changelog file found.".to_owned());
    }
    texts
}
