//! Rules about the lists of files in `.changes` and `.dsc`: their form, duplicates, and whether they agree with each other.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckContext, Upload};
use crate::control::Paragraph;

/// The lists of checksums beside `Files`.
pub(super) const CHECKSUMS: [(&str, &str); 2] = [("Checksums-Sha1", "SHA1"), ("Checksums-Sha256", "SHA256")];

/// A paragraph with lists, its name for texts, and the number of words in a line of `Files`.
fn both(upload: &Upload) -> [(&Paragraph, usize); 2] {
    [(&upload.changes, 5), (&upload.dsc, 3)]
}

pub(super) fn file_lines(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let mut texts = Vec::new();
    for (paragraph, words) in both(upload) {
        for (field, words) in [("Files", words)].into_iter().chain(CHECKSUMS.map(|(field, _)| (field, 3))) {
            let Some(value) = paragraph.get(field) else { continue };
            let is_wrong = |line: &str| line.split_whitespace().count() != words;
            if value.trim().is_empty() || value.trim().lines().any(is_wrong) {
                texts.push(format!("Wrong number of fields in {field} field line."));
            }
        }
    }
    texts.dedup();
    texts
}

/// The names of a list with how often each is there, and with which size.
fn entries(paragraph: &Paragraph, field: &str) -> BTreeMap<(String, String), usize> {
    let mut entries = BTreeMap::new();
    for line in paragraph.lines(field) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, size, .., name] = words[..] {
            *entries.entry((name.to_owned(), size.to_owned())).or_default() += 1;
        }
    }
    entries
}

pub(super) fn duplicates(upload: &Upload, _: &CheckContext) -> Vec<String> {
    let is_duplicate = |(paragraph, _): &(&Paragraph, usize)| {
        let mut names = BTreeSet::new();
        let mut all = paragraph.lines("Files").filter_map(|line| line.split_whitespace().last());
        !all.all(|name| names.insert(name))
    };
    let wrong = both(upload).iter().any(is_duplicate);
    if wrong { vec!["Duplicate filenames in Files field.".to_owned()] } else { Vec::new() }
}

pub(super) fn lists_agree(upload: &Upload, context: &CheckContext) -> Vec<String> {
    if !file_lines(upload, context).is_empty() {
        return Vec::new();
    }
    let mut texts = Vec::new();
    for (paragraph, _) in both(upload) {
        let files = entries(paragraph, "Files");
        for (field, _) in CHECKSUMS {
            if paragraph.get(field).is_some() && entries(paragraph, field) != files {
                texts.push(format!("Mismatch between {field} and Files fields."));
            }
        }
    }
    texts.dedup();
    texts
}

/// The checksums that lists have for a file, by algorithm.
pub(super) fn listed_checksums(paragraph: &Paragraph, name: &str, md5: &str) -> BTreeMap<&'static str, String> {
    let mut checksums = BTreeMap::from([("MD5", md5.to_owned())]);
    for (field, algorithm) in CHECKSUMS {
        for line in paragraph.lines(field) {
            if let [checksum, _, of] = line.split_whitespace().collect::<Vec<_>>()[..] {
                if of == name {
                    checksums.insert(algorithm, checksum.to_owned());
                }
            }
        }
    }
    checksums
}
