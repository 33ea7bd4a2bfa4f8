//! Rules about what an upload is as a whole: sources and nothing else, as its `Architecture` says.

use std::collections::BTreeSet;

use super::kind::{FileKind, kind};
use super::{CheckContext, ListedFile, Upload};

/// What an upload is, by its `Architecture` or by its files.
#[derive(Debug, Clone, Copy, Default)]
struct Parts {
    sources: bool,
    binaries: bool,
    independent: bool,
    dependent: bool,
}

fn declared(upload: &Upload) -> Option<Parts> {
    let line = upload.changes.line("Architecture")?;
    let words: BTreeSet<&str> = line.split(' ').collect();
    let other = words.iter().filter(|word| **word != "source");
    Some(Parts {
        sources: words.contains("source"),
        binaries: other.clone().next().is_some(),
        independent: words.contains("all"),
        dependent: other.clone().any(|word| *word != "all"),
    })
}

fn listed(upload: &Upload) -> Parts {
    let mut parts = Parts::default();
    for file in upload.listed() {
        if is_custom(&file) {
            parts.binaries = true;
            continue;
        }
        match kind(&file.name) {
            Some(FileKind::Binary { architecture }) => {
                parts.binaries = true;
                parts.independent |= architecture == "all";
                parts.dependent |= architecture != "all";
            }
            Some(FileKind::Buildinfo { architecture }) => {
                parts.sources |= architecture == "source";
                parts.binaries |= architecture != "source";
            }
            Some(kind) => parts.sources |= kind.is_source(),
            None => {}
        }
    }
    parts
}

/// Whether a file is something else than a part of a package.
pub(super) fn is_custom(file: &ListedFile) -> bool {
    file.section.split_once('/').map_or(file.section.as_str(), |(_, section)| section).starts_with("raw-")
}

/// A truth value as Python writes it.
fn python(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

pub(super) fn architecture(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let Some(declared) = declared(upload) else { return Vec::new() };
    let files = listed(upload);
    let mut texts = Vec::new();
    for (word, think, found) in
        [("sourcefulness", declared.sources, files.sources), ("binaryfulness", declared.binaries, files.binaries)]
    {
        if think != found {
            texts.push(format!("Mismatch in {word}. (arch) {} != (files) {}", python(think), python(found)));
        }
    }
    if files.independent && !declared.independent {
        let text = "One or more files uploaded with architecture 'all' but changes file does not list 'all'.";
        texts.push(text.to_owned());
    }
    if files.dependent && !declared.dependent {
        let text = "One or more files uploaded with specific architecture but changes file does not list it.";
        texts.push(text.to_owned());
    }
    texts
}

pub(super) fn source_only(upload: &Upload, _: &CheckContext) -> Vec<String> {
    match declared(upload) {
        Some(Parts { sources: true, binaries: true, .. }) => {
            vec!["Source/binary (i.e. mixed) uploads are not allowed.".to_owned()]
        }
        Some(Parts { sources: false, binaries: true, .. }) => vec![
            "Upload rejected because it contains binary packages. Ensure you are using `debuild -S`, or an equivalent \
             command, to generate only the source package before re-uploading. See \
             https://help.launchpad.net/Packaging/PPA for more information."
                .to_owned(),
        ],
        Some(_) | None => Vec::new(),
    }
}

pub(super) fn one_dsc(upload: &Upload, _: &CheckContext) -> Vec<String> {
    if declared(upload).is_some_and(|parts| !parts.sources) {
        return Vec::new();
    }
    match upload.listed().iter().filter(|file| kind(&file.name) == Some(FileKind::Dsc)).count() {
        0 => vec!["Sourceful upload without a .dsc".to_owned()],
        1 => Vec::new(),
        _ => vec!["Changes file lists more than one .dsc".to_owned()],
    }
}

pub(super) fn components(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let listed = upload.listed();
    let components: BTreeSet<&str> =
        listed.iter().map(|file| file.section.split_once('/').map_or("main", |(component, _)| component)).collect();
    if components.contains("partner") && components.len() > 1 {
        return vec!["Cannot mix partner files with non-partner.".to_owned()];
    }
    Vec::new()
}
