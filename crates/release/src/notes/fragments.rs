//! Notes from fragments: one file a change, `NUMBER.KIND.md`, `NUMBER.KIND.2.md`, or `+any-name.KIND.md` without a number.

use std::collections::BTreeSet;

use super::{ChangeKind, Note};

/// A file in the directory of fragments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The name of the file in its directory.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// A file that cannot be used. It is never left out silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FragmentError {
    /// The name has no kind.
    #[error("{0}: the name has no kind; call it NUMBER.KIND.md or +NAME.KIND.md, with one of {KINDS}")]
    NoKind(String),
    /// What stands before the kind is neither a number nor a name that begins with `+`.
    #[error(
        "{0}: {1:?} is not a number, and would become a link that leads nowhere; call it NUMBER.KIND.md, or +{1}.KIND.md without a link"
    )]
    NoNumber(String, String),
    /// There is no text.
    #[error("{0}: the file is empty; write what users read about the change")]
    Empty(String),
}

/// The kinds in messages.
const KINDS: &str = "breaking, added, changed, deprecated, removed, fixed, security";

/// The notes of fragments, in the order of their names, and all files that cannot be used.
pub fn from_fragments(files: &[Fragment]) -> (Vec<Note>, Vec<FragmentError>) {
    let (mut notes, mut errors) = (Vec::new(), Vec::new());
    let mut files: Vec<&Fragment> = files.iter().filter(|file| !is_other(&file.name)).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    for Fragment { name, content } in files {
        match note(name, content) {
            Ok(note) => notes.push(note),
            Err(error) => errors.push(error),
        }
    }
    (notes, errors)
}

/// Whether a file of the directory is meant for something else: hidden, a backup, a template or a README.
fn is_other(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.starts_with("README") || name.starts_with('_')
}

fn note(name: &str, content: &str) -> Result<Note, FragmentError> {
    let parts: Vec<&str> = name.split('.').collect();
    // The last word that is a kind counts: `12.fix.feature.md` is a feature about "12.fix".
    let found =
        parts.iter().enumerate().skip(1).filter_map(|(at, part)| Some((at, ChangeKind::from_word(part)?))).next_back();
    let (at, kind) = found.ok_or_else(|| FragmentError::NoKind(name.to_owned()))?;
    let stem = parts[..at].join(".");
    let numbers = match stem.strip_prefix('+') {
        Some(_) => BTreeSet::new(),
        None => {
            let number = stem.trim_start_matches('#').parse().ok();
            BTreeSet::from([number.ok_or_else(|| FragmentError::NoNumber(name.to_owned(), stem.clone()))?])
        }
    };
    let text = content.trim().strip_prefix("- ").unwrap_or(content.trim());
    if text.is_empty() {
        return Err(FragmentError::Empty(name.to_owned()));
    }
    Ok(Note { kind, text: text.to_owned(), numbers, authors: BTreeSet::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_fragments_are_numbers_and_kinds_or_are_refused() {
        let check = |name: &str, expected: &str| {
            let (notes, errors) = from_fragments(&[Fragment { name: name.into(), content: "Text\n".into() }]);
            let shown = notes.iter().map(|one| format!("{} {:?}", one.kind.heading(), one.numbers));
            let found: Vec<String> = shown.chain(errors.iter().map(ToString::to_string)).collect();
            let found = found.join("; ");
            assert!(if expected.is_empty() { found.is_empty() } else { found.contains(expected) }, "{name}: {found}");
        };
        check("12.fix.md", "Fixed {12}");
        check("12.fix.2.md", "Fixed {12}");
        check("12.removal", "Removed {12}");
        check("+oops.feature.md", "Added {}");
        // Only digits after the plus are no number either.
        check("+12345.feature.md", "Added {}");
        check("759-token-shape.bugfix.md", "\"759-token-shape\" is not a number, and would become a link");
        check("12.md", "the name has no kind");
        check("12.fixx.md", "the name has no kind");
        check("12.fix.md~", "");
        check(".gitkeep", "");
        check("README.md", "");
        let (_, errors) = from_fragments(&[Fragment { name: "1.fix.md".into(), content: " \n".into() }]);
        assert_eq!(errors, [FragmentError::Empty("1.fix.md".into())]);
    }
}
