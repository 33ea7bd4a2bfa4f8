//! Rules about what a source package unpacks to.

use super::{Facts, UnpackFailure, Upload};

/// How large a document may be that Launchpad keeps.
const LARGEST: u64 = 10_485_760;

pub(super) fn unpacks(upload: &Upload, _: &Facts) -> Vec<String> {
    let sources = &upload.sources;
    if let Some(failure) = &sources.failure {
        let UnpackFailure { code, output } = failure;
        return vec![format!(
            "dpkg-source failed for {} [return: {code}]\n[dpkg-source output: {output}]",
            upload.dsc_name
        )];
    }
    if sources.directories.len() > 1 {
        let list: Vec<String> = sources.directories.iter().map(|directory| format!("'{directory}'")).collect();
        return vec![format!("Unpacked source contains more than one directory: [{}]", list.join(", "))];
    }
    Vec::new()
}

pub(super) fn documents(upload: &Upload, _: &Facts) -> Vec<String> {
    let sources = &upload.sources;
    if sources.failure.is_some() || sources.directories.is_empty() {
        return Vec::new();
    }
    let mut texts = Vec::new();
    for (name, document) in &sources.documents {
        if document.is_link {
            texts.push(format!("Symbolic link for {name} not allowed"));
        } else if document.size > LARGEST {
            texts.push(format!("{name} file too large, 10MiB max"));
        }
    }
    if !sources.documents.contains_key("debian/changelog") {
        texts.push("No changelog file found.".to_owned());
    }
    texts
}
