//! The places of headings in a changelog, for what writes another one, and how the file writes them.

use super::heading::{bare, is_date, words};
use super::{Document, HeadingDate, normalised, plain};

/// The lines of a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadingPlace {
    /// The first line, from 1: that of the text, or of a row of punctuation above it.
    pub first: usize,
    /// The line of the text.
    pub line: usize,
    /// The last line: that of the text, or of a row of punctuation below it.
    pub last: usize,
    /// Its level, from 1 for the highest.
    pub level: usize,
    /// What it is of.
    pub kind: HeadingKind,
}

/// What a heading is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadingKind {
    /// A release of this version, and whether a date is in the heading.
    Release(String, bool),
    /// Changes that are in no release yet.
    Unreleased,
    /// Something else.
    Other,
}

impl HeadingPlace {
    /// All headings of a changelog.
    pub fn all(changelog: &str) -> Vec<HeadingPlace> {
        let text = normalised(changelog);
        let translated = plain::translated(&text, &[]);
        let lines: Vec<&str> = text.lines().collect();
        let is_line = |number: usize| number > 0 && lines.get(number - 1).is_some_and(|line| plain::is_line(line));
        let document = translated.as_deref().map_or_else(|| Document::parse(&text), plain::document);
        let place = |heading: &super::Heading| {
            let kind = match heading.release() {
                Some(version) => HeadingKind::Release(version.to_owned(), HeadingDate::find(&heading.text).is_a_date()),
                None if heading.is_unreleased() => HeadingKind::Unreleased,
                None => HeadingKind::Other,
            };
            let is_marked = lines.get(heading.line - 1).is_some_and(|line| line.starts_with(['#', '=', '*']));
            let under = !is_marked && is_line(heading.line + 1);
            let over = under && is_line(heading.line - 1);
            HeadingPlace {
                first: heading.line - usize::from(over),
                line: heading.line,
                last: heading.line + usize::from(under),
                level: heading.level as usize,
                kind,
            }
        };
        document.headings.iter().map(place).collect()
    }
}

impl Document<'_> {
    /// How the heading of the newest release is written, with another version and `DATE`; none if it is not Markdown's, or if there is none.
    pub(super) fn form(&self, text: &str, version: &str) -> Option<String> {
        let heading = self.headings.iter().find(|heading| heading.is_of_a_release())?;
        let line = text.lines().nth(heading.line - 1)?.trim();
        if line.starts_with('#') {
            return None;
        }
        let form = line.replacen(heading.release()?, version, 1);
        let date = words(line).find(|word| is_date(bare(word))).map(bare);
        Some(date.map_or_else(|| form.clone(), |date| form.replacen(date, "DATE", 1)))
    }
}
