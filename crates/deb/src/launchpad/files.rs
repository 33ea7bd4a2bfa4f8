//! Rules about the files of an upload: their names, kinds, sections and checksums, and what they unpack to.

use std::collections::BTreeMap;

use super::{CheckContext, ListedFile, Upload};
use crate::unpacked_source::UnpackFailure;

/// The sections of Debian and Ubuntu, separated by spaces. A component may precede each.
const SECTIONS: &str = "admin cli-mono comm database debian-installer debug devel doc editors education electronics embedded fonts \
    games gnome gnu-r gnustep golang graphics hamradio haskell httpd interpreters introspection java javascript \
    kde kernel libdevel libs lisp localization mail math metapackages misc net news ocaml oldlibs otherosfs perl \
    php python ruby rust science shells sound tasks tex text translations utils vcs video virtual web x11 xfce \
    zope";
const COMPONENTS: [&str; 8] =
    ["main", "restricted", "universe", "multiverse", "partner", "contrib", "non-free", "non-free-firmware"];

/// The kind of a file, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum FileKind {
    Dsc,
    Orig { component: Option<String>, signature: bool },
    Debian,
    Diff,
    Native,
    Buildinfo,
    Binary,
}

const COMPRESSED: [&str; 3] = ["gz", "bz2", "xz"];

fn kind(name: &str) -> Option<FileKind> {
    let (_, rest) = name.split_once('_')?;
    let (plain, signature) = rest.strip_suffix(".asc").map_or((rest, false), |plain| (plain, true));
    if let Some(stem) = COMPRESSED.iter().find_map(|ending| plain.strip_suffix(&format!(".tar.{ending}"))) {
        if let Some(at) = stem.rfind(".orig-") {
            let component = stem[at + ".orig-".len()..].to_owned();
            let fits = component.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            return (fits && !component.is_empty()).then_some(FileKind::Orig { component: Some(component), signature });
        }
        return match stem {
            _ if stem.ends_with(".orig") => Some(FileKind::Orig { component: None, signature }),
            _ if signature => None,
            _ if stem.ends_with(".debian") => Some(FileKind::Debian),
            _ => Some(FileKind::Native),
        };
    }
    let ends = |ending: &str| rest.ends_with(ending);
    match rest {
        _ if ends(".dsc") => Some(FileKind::Dsc),
        _ if ends(".diff.gz") => Some(FileKind::Diff),
        _ if ends(".buildinfo") => Some(FileKind::Buildinfo),
        _ if ends(".deb") || ends(".udeb") || ends(".ddeb") => Some(FileKind::Binary),
        _ => None,
    }
}

pub(super) fn file_lines(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let lines = upload.changes.lines("Files").collect::<Vec<_>>();
    let wrong = lines.iter().any(|line| line.split_whitespace().count() != 5);
    let mut texts = Vec::new();
    if wrong {
        texts.push("Wrong number of fields in Files line in .changes.".to_owned());
    }
    for field in ["Checksums-Sha1", "Checksums-Sha256"] {
        if upload.changes.lines(field).any(|line| line.split_whitespace().count() != 3) {
            texts.push(format!("Wrong number of fields in {field} line in .changes."));
        }
    }
    if lines.is_empty() && upload.changes.get("Files").is_some() {
        texts.push("No files found in the changes".to_owned());
    }
    texts
}

pub(super) fn file_kinds(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let unknown = |file: &ListedFile| kind(&file.name).is_none() && !file.section.starts_with("raw-");
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
        if !SECTIONS.split(' ').any(|known| known == section) && !section.starts_with("raw-") {
            texts.push(format!("{name}: Unknown section '{section}'"));
        }
        if !COMPONENTS.contains(&component) {
            texts.push(format!("{name}: Unknown component '{component}'"));
        }
    }
    texts
}

/// The checksums in a file's lines, by algorithm.
fn listed_checksums(upload: &Upload, name: &str) -> BTreeMap<&'static str, String> {
    let mut checksums = BTreeMap::new();
    for (field, algorithm) in [("Checksums-Sha1", "SHA1"), ("Checksums-Sha256", "SHA256")] {
        for line in upload.changes.lines(field) {
            if let [checksum, _, of] = line.split_whitespace().collect::<Vec<_>>()[..] {
                if of == name {
                    checksums.insert(algorithm, checksum.to_owned());
                }
            }
        }
    }
    checksums
}

pub(super) fn checksums(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let mut texts = Vec::new();
    for file in upload.listed() {
        let start = format!("File {} mentioned in the changes", file.name);
        let Some(found) = upload.files.get(&file.name) else {
            texts.push(format!("{start} file was not found."));
            continue;
        };
        let mut listed = listed_checksums(upload, &file.name);
        listed.insert("MD5", file.md5.clone());
        for (algorithm, checksum) in listed {
            let own = match algorithm {
                "MD5" => &found.md5,
                "SHA1" => &found.sha1,
                _ => &found.sha256,
            };
            if *own != checksum {
                texts.push(format!("{start} has a {algorithm} mismatch. {own} != {checksum}"));
            }
        }
        if file.size.parse() != Ok(found.size) {
            texts.push(format!("{start} has a size mismatch. {} != {}", found.size, file.size));
        }
    }
    texts
}

pub(super) fn source_only(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let Some(architecture) = upload.changes.line("Architecture") else { return Vec::new() };
    let words: Vec<&str> = architecture.split(' ').collect();
    let binary_files = upload.listed().iter().any(|file| kind(&file.name) == Some(FileKind::Binary));
    if binary_files || words.iter().any(|word| *word != "source") {
        return vec![
            "Upload rejected because it contains binary packages. Ensure you are using `debuild -S`, or an equivalent \
             command, to generate only the source package before re-uploading. See \
             https://help.launchpad.net/Packaging/PPA for more information."
                .to_owned(),
        ];
    }
    Vec::new()
}

pub(super) fn one_dsc(upload: &Upload, _: &CheckContext) -> Vec<String> {
    match upload.listed().iter().filter(|file| kind(&file.name) == Some(FileKind::Dsc)).count() {
        0 => vec!["Sourceful upload without a .dsc".to_owned()],
        1 => Vec::new(),
        _ => vec!["Changes file lists more than one .dsc".to_owned()],
    }
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
    let mut components: BTreeMap<String, u32> = BTreeMap::new();
    let mut other_than_gzip = None;
    for (_, _, name) in upload.dsc_listed() {
        match kind(&name) {
            Some(FileKind::Orig { signature: true, .. }) => continue,
            Some(FileKind::Orig { component: Some(component), .. }) => *components.entry(component).or_default() += 1,
            Some(FileKind::Orig { component: None, .. }) => origs += 1,
            Some(FileKind::Debian) => debians += 1,
            Some(FileKind::Diff) => diffs += 1,
            Some(FileKind::Native) => natives += 1,
            Some(FileKind::Dsc | FileKind::Buildinfo | FileKind::Binary) | None => {
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
    match upload.dsc.line("Format").unwrap_or_else(|| "1.0".into()).as_str() {
        "1.0" => {
            if let Some(word) = other_than_gzip {
                texts.push(format!("{dsc}: is format 1.0 but uses {word} compression."));
            }
            if ![(0, 0, 0, 1), (1, 0, 1, 0)].contains(&shape) || !components.is_empty() {
                texts.push(format!("{dsc}: must have exactly one tar.gz, or an orig.tar.gz and diff.gz"));
            }
        }
        "3.0 (native)" if shape != (0, 0, 0, 1) || !components.is_empty() => {
            texts.push(format!("{dsc}: must have only a tar.*."));
        }
        "3.0 (quilt)" => {
            if shape != (1, 1, 0, 0) {
                texts.push(format!("{dsc}: must have only an orig.tar.*, a debian.tar.*, and optionally orig-*.tar.*"));
            }
            for (component, count) in components {
                if count > 1 {
                    texts.push(format!("{dsc}: has more than one orig-{component}.tar.*."));
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
            Some(found) if found.md5 != md5 => {
                let text = format!("File {name} mentioned in the changes has a checksum mismatch.");
                texts.push(format!("{text} {} != {md5}", found.md5));
            }
            Some(found) if size.parse() != Ok(found.size) => {
                let text = format!("File {name} mentioned in the changes has a size mismatch.");
                texts.push(format!("{text} {} != {size}", found.size));
            }
            None | Some(_) => {}
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
