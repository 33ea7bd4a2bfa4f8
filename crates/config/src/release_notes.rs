//! The entry of one version in the project's changelog, read as CommonMark with tables and task lists. If no heading of CommonMark has a
//! version, headings of other notations and of plain text are read.
//!
//! Keep a Changelog writes an entry as `## [1.2.0] - 2026-06-01` with lists below. Other projects have other levels, words before the
//! version, underlined headings, or prose, so an entry is found by the version in its heading, and everything below it is kept.

mod date;
mod heading;
mod items;
mod place;
mod plain;
#[cfg(test)]
mod tests;

use std::fmt;

use drydock_base::text::quoted;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

pub use date::HeadingDate;
use heading::{Heading, Match};
pub use place::{HeadingKind, HeadingPlace};

/// The entry of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseNotes {
    /// The line of the entry's heading, from 1.
    pub line: usize,
    /// The text of the entry's heading.
    pub heading: String,
    /// The date in that heading.
    pub date: HeadingDate,
    /// Whether the heading of another release has a date.
    pub others_are_dated: bool,
    /// The changes, at least one, in the order of the file.
    pub items: Vec<NoteItem>,
}

/// One change: an item of a list, a paragraph outside of lists, or a row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteItem {
    /// The headings above the item within the entry, joined by `: `, such as `Added`; empty without any.
    pub section: String,
    /// The number of lists around the item's own; 0 for items of the outermost lists and for paragraphs.
    pub depth: usize,
    /// Whether this goes on with an earlier item of the same depth, after a list in that item.
    pub continued: bool,
    /// The parts of the item, at least one.
    pub blocks: Vec<NoteBlock>,
}

impl NoteItem {
    /// A paragraph without a section.
    pub fn paragraph(text: String) -> NoteItem {
        NoteItem { section: String::new(), depth: 0, continued: false, blocks: vec![NoteBlock::Prose(text)] }
    }
}

/// A part of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteBlock {
    /// A paragraph: one line without markup, words separated by single spaces.
    Prose(String),
    /// The lines of a block of code, as they are.
    Code(Vec<String>),
}

/// An entry that cannot be used: `FILE:LINE: PROBLEM; REMEDY`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}; {}", self.remedy())]
pub struct NotesError {
    /// The changelog, relative to the project.
    pub file: String,
    /// The line to change, from 1.
    pub line: usize,
    /// The version that was looked for.
    pub version: String,
    /// A heading as the file would have it.
    pub form: String,
    /// What is wrong.
    pub problem: NotesProblem,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotesProblem {
    /// The file is not text in UTF-8.
    NotUtf8,
    /// No heading has a version.
    NoHeadings,
    /// There are entries, but none for the version; with the text of the topmost heading that has a version.
    NoEntry(String),
    /// The version is only in a line that is not a heading.
    NotAHeading(String),
    /// The version has no entry, but there are unreleased changes; with the text of their heading.
    Unreleased(String),
    /// Nothing is between the heading and the next one, whose text this is, or the end of the file.
    Empty(Option<String>),
    /// The version has two entries; with the line of the second.
    Twice(usize),
}

impl fmt::Display for NotesProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotesProblem::NotUtf8 => f.write_str("the changelog is not UTF-8"),
            NotesProblem::NoHeadings => {
                f.write_str("no entry for the version: the changelog has no headings with versions")
            }
            NotesProblem::NoEntry(top) => write!(f, "no entry for the version: the topmost heading is {}", quoted(top)),
            NotesProblem::NotAHeading(line) => {
                write!(f, "no entry for the version: {} is not a heading", quoted(line))
            }
            NotesProblem::Unreleased(heading) => {
                write!(f, "no entry for the version: the changes are still under {}", quoted(heading))
            }
            NotesProblem::Empty(None) => f.write_str("the entry is empty: nothing follows its heading"),
            NotesProblem::Empty(Some(next)) => {
                write!(f, "the entry is empty: the heading {} follows, which is not below this one", quoted(next))
            }
            NotesProblem::Twice(line) => write!(f, "the version has another entry at line {line}"),
        }
    }
}

impl NotesError {
    /// The change that fixes the file.
    pub fn remedy(&self) -> String {
        let (version, form) = (&self.version, quoted(&self.form));
        let remedy = match &self.problem {
            NotesProblem::NotUtf8 => {
                return "convert it, for example with `iconv -f ISO-8859-1 -t UTF-8`, and commit it".into();
            }
            NotesProblem::NoHeadings | NotesProblem::NoEntry(_) => {
                format!("add a heading such as {form} with the changes below it")
            }
            NotesProblem::NotAHeading(_) => format!("write it as a heading, such as {form}"),
            NotesProblem::Unreleased(_) => format!("rename that heading, for example to {form}"),
            NotesProblem::Empty(_) => format!("list the changes of {version} there"),
            NotesProblem::Twice(_) => "join the two".into(),
        };
        format!("{remedy}, and commit it")
    }
}

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub struct NotesQuery<'a> {
    /// The changelog, for messages.
    pub file: &'a str,
    /// The version. A heading must have exactly this one, with or without a `v` before it.
    pub version: &'a str,
    /// The name of the version's tag, which a heading may have instead.
    pub tag: &'a str,
}

impl ReleaseNotes {
    /// Finds and reads an entry.
    ///
    /// # Errors
    /// The version has no entry, an empty one, or several.
    pub fn find(changelog: &[u8], query: NotesQuery<'_>) -> Result<ReleaseNotes, NotesError> {
        ReleaseNotes::locate(changelog, query).map(|(notes, _)| notes)
    }

    /// The text of an entry as it is written, without its heading and empty lines around it.
    ///
    /// # Errors
    /// As [`ReleaseNotes::find`].
    pub fn text(changelog: &[u8], query: NotesQuery<'_>) -> Result<String, NotesError> {
        let (notes, end) = ReleaseNotes::locate(changelog, query)?;
        let text = normalised(&String::from_utf8_lossy(changelog));
        let lines: Vec<&str> = text.lines().take(end - 1).skip(notes.line).collect();
        // A heading may be underlined, below a second line of it, and the next one may have a line above it.
        let skipped = match &lines[..] {
            [line, ..] if plain::is_line(line) => 1,
            [more, line, ..] if plain::is_line(line) && notes.heading.ends_with(more.trim()) => 2,
            _ => 0,
        };
        let mut lines = &lines[skipped..];
        if let [rest @ .., last] = lines {
            let next = text.lines().nth(end).is_some_and(|under| under.trim_end() == last.trim_end());
            lines = if next && plain::is_line(last) { rest } else { lines };
        }
        Ok(lines.join("\n").trim_matches('\n').trim_end().to_owned())
    }

    /// An entry, and the line of the heading that ends it, or the one after the last line.
    fn locate(changelog: &[u8], query: NotesQuery<'_>) -> Result<(ReleaseNotes, usize), NotesError> {
        let markdown = || format!("## [{}] - DATE", query.version);
        let error = |line: usize, problem: NotesProblem| NotesError {
            file: query.file.to_owned(),
            line,
            version: query.version.to_owned(),
            form: markdown(),
            problem,
        };
        let text = match std::str::from_utf8(changelog) {
            Ok(text) => normalised(text),
            Err(bad) => {
                let before = changelog.get(..bad.valid_up_to()).unwrap_or_default();
                let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
                return Err(error(line, NotesProblem::NotUtf8));
            }
        };
        let names: Vec<&str> = [query.version, query.tag].into_iter().filter(|name| !name.is_empty()).collect();
        let translated = plain::translated(&text, &names);
        let document = translated.as_deref().map_or_else(|| Document::parse(&text), plain::document);
        let form = document.form(&text, query.version);
        let error = |line, problem| NotesError { form: form.clone().unwrap_or_else(markdown), ..error(line, problem) };
        let mut entries: Vec<(Match, usize)> = Vec::new();
        for (index, heading) in document.headings.iter().enumerate() {
            if let Some(found) = heading.match_version(&names) {
                entries.push((found, index));
            }
        }
        // The best kind of match counts, and of these the headings of the highest level.
        let kind = |&(found, index): &(Match, usize)| (found, document.headings[index].level);
        let Some(best) = entries.iter().map(kind).min() else {
            return Err(document.without_entry(&text, query, error));
        };
        entries.retain(|entry| kind(entry) == best);
        let first = &document.headings[entries[0].1];
        let read = |&(_, index): &(Match, usize)| {
            let heading = &document.headings[index];
            let items = items::read(&document.events[document.entry(index, query.version)]);
            let end = document.next(index, query.version).map_or(text.lines().count() + 1, |next| next.line);
            let others = document.headings.iter().filter(|other| other.is_of_another_release(query.version));
            let notes = ReleaseNotes {
                line: heading.line,
                heading: heading.text.clone(),
                date: HeadingDate::find(&heading.text),
                others_are_dated: others.map(|other| HeadingDate::find(&other.text)).any(|date| date.is_a_date()),
                items,
            };
            (notes, end)
        };
        // The same heading twice in a row is a known accident of tools that write changelogs: one of the entries is empty.
        let mut full = entries.iter().map(read).filter(|(entry, _)| !entry.items.is_empty());
        let Some(notes) = full.next() else {
            let next = document.headings.get(entries[0].1 + 1).map(|next| next.text.clone());
            return Err(error(first.line, NotesProblem::Empty(next)));
        };
        match full.next() {
            Some((other, _)) => Err(error(notes.0.line, NotesProblem::Twice(other.line))),
            None => Ok(notes),
        }
    }
}

/// A changelog, parsed.
struct Document<'a> {
    events: Vec<Event<'a>>,
    /// The headings outside of lists and quotations, in the order of the file.
    headings: Vec<Heading>,
}

impl<'a> Document<'a> {
    fn parse(text: &'a str) -> Document<'a> {
        let options = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS;
        let (mut events, mut headings) = (Vec::new(), Vec::new());
        let (mut depth, mut open) = (0_usize, None);
        let (mut line, mut counted) = (1, 0);
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match &event {
                Event::Start(Tag::Heading { level, .. }) if depth == 0 => {
                    line += text.get(counted..range.start).unwrap_or_default().matches('\n').count();
                    counted = range.start;
                    open = Some(Heading {
                        level: *level,
                        line,
                        text: String::new(),
                        title: None,
                        events: events.len()..0,
                    });
                }
                Event::End(TagEnd::Heading(_)) if depth == 1 => {
                    if let Some(mut heading) = open.take() {
                        heading.text = heading::words(&heading.text).collect::<Vec<_>>().join(" ");
                        heading.events.end = events.len() + 1;
                        headings.push(heading);
                    }
                }
                other => {
                    if let Some(heading) = &mut open {
                        items::push_inline(&mut heading.text, other);
                    }
                }
            }
            match &event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            events.push(event);
        }
        Document { events, headings }
    }

    /// The events below a heading, up to the one that ends its entry.
    fn entry(&self, index: usize, version: &str) -> std::ops::Range<usize> {
        let end = self.next(index, version).map(|other| other.events.start);
        self.headings[index].events.end..end.unwrap_or(self.events.len())
    }

    /// The heading that ends the entry below a heading.
    fn next(&self, index: usize, version: &str) -> Option<&Heading> {
        let level = self.headings[index].level;
        let mut later = self.headings.iter().skip(index + 1);
        later.find(|other| other.level <= level || other.is_of_another_release(version))
    }

    /// Says as exactly as possible why there is no entry.
    fn without_entry(
        &self,
        text: &str,
        query: NotesQuery<'_>,
        error: impl Fn(usize, NotesProblem) -> NotesError,
    ) -> NotesError {
        let names = |line: &&str| {
            heading::words(line)
                .map(heading::bare)
                .any(|word| !word.is_empty() && [query.version, query.tag].contains(&word))
        };
        let top = self.headings.iter().find(|heading| heading.is_of_a_release());
        // A line far below is about another release.
        let named = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let mut named = named.take_while(|(number, _)| top.is_none_or(|top| *number < top.line));
        if let Some((line, text)) = named.find(|(_, line)| names(line)) {
            return error(line, NotesProblem::NotAHeading(text.trim().to_owned()));
        }
        let unreleased = self.headings.iter().enumerate().find(|(_, heading)| heading.is_unreleased());
        if let Some((index, heading)) = unreleased {
            if !items::read(&self.events[self.entry(index, query.version)]).is_empty() {
                return error(heading.line, NotesProblem::Unreleased(heading.text.clone()));
            }
        }
        match top {
            Some(top) => error(top.line, NotesProblem::NoEntry(top.text.clone())),
            None => error(1, NotesProblem::NoHeadings),
        }
    }
}

/// The text with line feeds at line ends, without a byte order mark and without the metadata that site generators want at the
/// beginning, which CommonMark would take for an underlined heading. Lines keep their numbers.
fn normalised(text: &str) -> String {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = text.split('\n').skip(1);
    let is_key = |line: &str| line.split_once(':').is_some_and(|(key, _)| !key.is_empty() && !key.contains([' ', '#']));
    if !text.starts_with("---\n") || !lines.next().is_some_and(is_key) {
        return text;
    }
    match lines.position(|line| matches!(line.trim_end(), "---" | "...")) {
        // The line with the first key and the line that begins the metadata come before.
        Some(index) => {
            let rest = text.split('\n').skip(index + 3).collect::<Vec<_>>().join("\n");
            "\n".repeat(index + 3) + &rest
        }
        None => text,
    }
}
