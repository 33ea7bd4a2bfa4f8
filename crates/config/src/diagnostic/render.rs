//! The layout of diagnostics: the place, the offending line with a marker, the advice, and a closing count.

use super::{Diagnostic, Diagnostics};
use drydock_base::text::printable_char;
use std::fmt;

/// The part of a source line that is shown, with the marked characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snippet {
    /// The text, on one line, without control characters, at most about 110 characters.
    pub text: String,
    /// The number of characters before the marked ones.
    pub indent: usize,
    /// The number of marked characters, at least one.
    pub width: usize,
}

impl Snippet {
    /// The numbers of characters shown before and after the column in a long line.
    const BEFORE: usize = 50;
    const AFTER: usize = 60;

    /// Shows a line around a column, counted in characters from 1.
    pub(super) fn new(line: &str, column: u64) -> Self {
        let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = column.saturating_sub(Self::BEFORE);
        // A replacement has the width of the character, so that the marker stands below the right one.
        let printable = |letter| if letter == '\t' { ' ' } else { printable_char(letter) };
        let mut shown: Vec<char> =
            line.chars().skip(start).take(Self::BEFORE + Self::AFTER + 1).map(printable).collect();
        let mut indent = (column - start).min(shown.len());
        let width = token_width(&shown[indent..]);
        if shown.len() > Self::BEFORE + Self::AFTER {
            shown.truncate(Self::BEFORE + Self::AFTER);
            shown.push('…');
        }
        if start > 0 {
            shown.insert(0, '…');
            indent += 1;
        }
        let width = width.min(shown.len().saturating_sub(indent)).max(1);
        Self { text: shown.iter().collect::<String>().trim_end().to_owned(), indent, width }
    }
}

/// The number of characters of the word, quoted text or bracket at the start of `rest`.
fn token_width(rest: &[char]) -> usize {
    match rest.first() {
        Some(&quote @ ('"' | '\'')) => match rest[1..].iter().position(|c| *c == quote) {
            Some(end) => end + 2,
            None => 1,
        },
        Some('[' | ']' | '{' | '}' | ',') | None => 1,
        Some(_) => rest.iter().position(|c| matches!(c, ' ' | ',' | ']' | '}')).map_or(rest.len(), |end| {
            // A key is marked without its colon.
            if end > 1 && rest[end - 1] == ':' { end - 1 } else { end }
        }),
    }
}

/// The lines of a text as YAML counts them: ended by LF, CR LF or CR.
pub(super) fn lines(text: &str) -> Vec<&str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r')).collect()
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.problem)?;
        let number = self.line.to_string();
        let margin = number.len();
        if !self.snippet.text.is_empty() {
            let Snippet { text, indent, width } = &self.snippet;
            writeln!(f, " {number} | {text}")?;
            writeln!(f, " {:margin$} | {:indent$}{:^<width$}", "", "", "")?;
        }
        for (label, advice) in [("expected", &self.expected), ("help", &self.help)] {
            if let Some(advice) = advice {
                writeln!(f, " {:margin$} = {label}: {advice}", "")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} is not valid", self.file.display())?;
        for diagnostic in self.list.iter().take(Self::SHOWN) {
            writeln!(f, "{diagnostic}")?;
        }
        let count = self.count();
        if count > Self::SHOWN {
            writeln!(f, "… and {} more", count - Self::SHOWN)?;
        }
        let noun = if count == 1 { "problem" } else { "problems" };
        write!(f, "{count} {noun} in {}", self.file.display())
    }
}

impl std::error::Error for Diagnostics {}
