//! Release notes: entries from commits, pull requests or fragments, ordered by kind, each once, with links and credits.

mod commits;
mod fragments;

use std::collections::BTreeSet;

pub use commits::{CommitMessage, from_commits};
pub use fragments::{Fragment, FragmentError, from_fragments};

/// The kinds of changes, in the order of Keep a Changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// Something that users have to act on.
    Breaking,
    /// A new feature.
    Added,
    /// Another behaviour.
    Changed,
    /// Something that will go.
    Deprecated,
    /// Something that went.
    Removed,
    /// A repaired defect.
    Fixed,
    /// A repaired vulnerability.
    Security,
}

impl ChangeKind {
    /// All kinds, in order.
    pub const ALL: [ChangeKind; 7] = [
        ChangeKind::Breaking,
        ChangeKind::Added,
        ChangeKind::Changed,
        ChangeKind::Deprecated,
        ChangeKind::Removed,
        ChangeKind::Fixed,
        ChangeKind::Security,
    ];

    /// The heading.
    pub fn heading(self) -> &'static str {
        match self {
            ChangeKind::Breaking => "Breaking changes",
            ChangeKind::Added => "Added",
            ChangeKind::Changed => "Changed",
            ChangeKind::Deprecated => "Deprecated",
            ChangeKind::Removed => "Removed",
            ChangeKind::Fixed => "Fixed",
            ChangeKind::Security => "Security",
        }
    }

    /// The kind of a word, as in names of fragments, conventional commits and labels of pull requests.
    pub fn from_word(word: &str) -> Option<ChangeKind> {
        Some(match word.to_lowercase().as_str() {
            "breaking" | "breaking-change" | "incompatible" => ChangeKind::Breaking,
            "added" | "add" | "feature" | "feat" | "enhancement" => ChangeKind::Added,
            "changed" | "change" | "perf" | "improvement" | "misc" => ChangeKind::Changed,
            "deprecated" | "deprecation" => ChangeKind::Deprecated,
            "removed" | "removal" | "remove" => ChangeKind::Removed,
            "fixed" | "fix" | "bugfix" | "bug" => ChangeKind::Fixed,
            "security" => ChangeKind::Security,
            _ => return None,
        })
    }
}

/// One change, as users read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The kind.
    pub kind: ChangeKind,
    /// The text, of one or more lines of Markdown.
    pub text: String,
    /// The numbers of its issues or pull requests.
    pub numbers: BTreeSet<u64>,
    /// The people who made it.
    pub authors: BTreeSet<String>,
}

/// The notes of a release as Markdown, below a heading of level 2: each text once, with all numbers and people. `repository` is the address
/// that links lead to, such as `https://github.com/o/r`.
pub fn rendered(notes: &[Note], repository: Option<&str>) -> String {
    let mut merged: Vec<Note> = Vec::new();
    for note in notes {
        // Two fragments, or a cherry-pick and its original, say the same.
        match merged.iter_mut().find(|one| normalised(&one.text) == normalised(&note.text) && one.kind == note.kind) {
            Some(same) => {
                same.numbers.extend(&note.numbers);
                same.authors.extend(note.authors.iter().cloned());
            }
            None => merged.push(note.clone()),
        }
    }
    let mut text = String::new();
    for kind in ChangeKind::ALL {
        let mut of_kind: Vec<&Note> = merged.iter().filter(|note| note.kind == kind).collect();
        // Those with a number come first, in its order; others stay as they were found.
        of_kind.sort_by_key(|note| note.numbers.first().copied().unwrap_or(u64::MAX));
        if of_kind.is_empty() {
            continue;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&format!("### {}\n\n", kind.heading()));
        of_kind.into_iter().for_each(|note| text.push_str(&item(note, repository)));
    }
    let people: BTreeSet<&str> = merged.iter().flat_map(|note| &note.authors).map(String::as_str).collect();
    if !people.is_empty() {
        text.push_str(&format!("\nThanks to {}.\n", people.into_iter().collect::<Vec<_>>().join(", ")));
    }
    text
}

fn item(note: &Note, repository: Option<&str>) -> String {
    let link = |number: &u64| match repository {
        Some(address) => format!("[#{number}]({}/issues/{number})", address.trim_end_matches('/')),
        None => format!("#{number}"),
    };
    // A number that the text names already is not repeated.
    let missing = note.numbers.iter().filter(|number| !names(&note.text, **number));
    let links: Vec<String> = missing.map(link).collect();
    let links = if links.is_empty() { String::new() } else { format!(" ({})", links.join(", ")) };
    let mut lines = note.text.trim().lines();
    let mut text = format!("- {}", lines.next().unwrap_or_default().trim_end());
    for line in lines {
        text.push_str(&format!("\n  {}", line.trim_end()).trim_end_matches(' ').replace("\n\n", "\n"));
    }
    format!("{text}{links}\n")
}

fn names(text: &str, number: u64) -> bool {
    let wanted = format!("#{number}");
    text.match_indices(&wanted).any(|(at, _)| !text[at + wanted.len()..].starts_with(|c: char| c.is_ascii_digit()))
}

/// The words of a text, by which two notes are the same.
fn normalised(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(kind: ChangeKind, text: &str, numbers: &[u64], authors: &[&str]) -> Note {
        Note {
            kind,
            text: text.to_owned(),
            numbers: numbers.iter().copied().collect(),
            authors: authors.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn notes_are_ordered_and_each_is_there_once() {
        let notes = [
            note(ChangeKind::Fixed, "Do not crash.", &[12], &["Bob"]),
            note(ChangeKind::Added, "A button.\nIt is red.", &[7], &["Alice"]),
            note(ChangeKind::Fixed, "do not  crash", &[9], &["Bob"]),
            note(ChangeKind::Fixed, "Read #3 again", &[3], &[]),
            note(ChangeKind::Fixed, "Something", &[], &[]),
        ];
        assert_eq!(
            rendered(&notes, Some("https://h/o/r")),
            "### Added\n\n- A button.\n  It is red. ([#7](https://h/o/r/issues/7))\n\n\
             ### Fixed\n\n- Read #3 again\n- Do not crash. ([#9](https://h/o/r/issues/9), [#12](https://h/o/r/issues/12))\n\
             - Something\n\nThanks to Alice, Bob.\n"
        );
        assert_eq!(rendered(&[], None), "");
    }
}
