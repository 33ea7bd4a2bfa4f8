//! Entries of `debian/changelog`, generated from the entry of the release in the project's own changelog.
//!
//! deb-changelog(5).

use drydock_config::debversion::DebVersion;
use drydock_config::release_notes::{NoteBlock, NoteItem};

/// An entry of `debian/changelog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogEntry {
    /// The name of the source package.
    pub source: String,
    /// The version of the package.
    pub version: DebVersion,
    /// The series that the package is for.
    pub series: String,
    /// The changes.
    pub changes: Vec<NoteItem>,
    /// The maintainer, `NAME <ADDRESS>`.
    pub maintainer: String,
    /// The date, in seconds since 1970.
    pub epoch: u64,
}

/// The longest line, in columns.
const MAX_WIDTH: usize = 78;

impl ChangelogEntry {
    /// The text of the entry.
    pub fn text(&self) -> String {
        format!("{}\n\n -- {}  {}\n", self.body(), self.maintainer, date(self.epoch))
    }

    /// The first line and the changes, as in `Changes` of `.changes`.
    pub fn body(&self) -> String {
        let mut text = format!("{} ({}) {}; urgency=medium\n", self.source, self.version, self.series);
        let mut depth = 0;
        for change in &self.changes {
            // An item without a text of its own is not listed, so the first one below it moves up.
            depth = change.depth.min(depth + 1);
            change_lines(change, depth).iter().for_each(|line| text.push_str(&format!("\n{line}")));
        }
        text
    }
}

/// A date as in mail (RFC 5322): `Mon, 01 Jun 2026 12:00:00 +0000`.
pub fn date(epoch: u64) -> String {
    let seconds = i64::try_from(epoch).unwrap_or_default();
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// What begins an item, by the number of lists around its own.
const BULLETS: [char; 3] = ['*', '-', '+'];

/// The change with its parts below each other, as lines of at most [`MAX_WIDTH`] columns where words allow that. Code is not wrapped.
fn change_lines(change: &NoteItem, depth: usize) -> Vec<String> {
    let indentation = " ".repeat(2 + 2 * depth);
    let bullet = if change.continued { ' ' } else { BULLETS[depth.min(BULLETS.len() - 1)] };
    let (mut first, later) = (format!("{indentation}{bullet} "), format!("{indentation}  "));
    let mut section = if depth == 0 && !change.continued { change.section.clone() } else { String::new() };
    if !section.is_empty() {
        section.push_str(": ");
    }
    let mut lines = Vec::new();
    for block in &change.blocks {
        match block {
            NoteBlock::Prose(text) => {
                let text = format!("{section}{text}");
                lines.extend(wrapped(&text, &std::mem::replace(&mut first, later.clone()), &later));
            }
            NoteBlock::Code(code) => {
                if !section.is_empty() {
                    lines.push(format!("{}{}", std::mem::replace(&mut first, later.clone()), section.trim_end()));
                }
                for line in code {
                    lines.push(format!("{}{line}", std::mem::replace(&mut first, later.clone())).trim_end().to_owned());
                }
            }
        }
        section.clear();
    }
    lines
}

/// Text as lines, with other indentations for the first and the later ones.
fn wrapped(text: &str, first: &str, later: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        // Chinese and Japanese do not separate words, and may be wrapped between most letters.
        for (index, piece) in word.split_inclusive(is_wide).enumerate() {
            let space = usize::from(index == 0 && !is_empty);
            if !is_empty && columns(&line) + space + columns(piece) > MAX_WIDTH {
                lines.push(std::mem::replace(&mut line, later.to_owned()));
            } else if space == 1 {
                line.push(' ');
            }
            line.push_str(piece);
            is_empty = false;
        }
    }
    lines.push(line);
    lines
}

/// The columns that a text takes in a terminal.
fn columns(text: &str) -> usize {
    text.chars().map(|letter| if is_wide(letter) { 2 } else { 1 }).sum()
}

/// Whether a letter takes two columns: those of Chinese, Japanese and Korean.
fn is_wide(letter: char) -> bool {
    matches!(u32::from(letter), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f
        | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x20000..=0x3fffd)
}

#[cfg(test)]
mod tests;
