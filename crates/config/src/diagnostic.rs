//! Problems in a declaration, each at its place, all shown at once.

mod render;

pub use render::Snippet;

use drydock_base::units::BadValue;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A place in a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Place {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// One problem in a declaration, before the name of the file is known.
///
/// All texts are lower case and without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The place of the cause.
    pub place: Place,
    /// The problem, naming the offending text.
    pub problem: String,
    /// A correct value or form.
    pub expected: Option<String>,
    /// The remedy, if it is more useful than a description of correct values.
    pub help: Option<String>,
}

impl Problem {
    /// A problem without advice.
    pub fn new(place: Place, problem: impl Into<String>) -> Self {
        Self { place, problem: problem.into(), expected: None, help: None }
    }

    /// A text that is not a valid value.
    pub fn bad_value(place: Place, bad: BadValue) -> Self {
        Self::new(place, bad.problem).expected(bad.expected)
    }

    /// Adds a description of correct values.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Adds a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds ``did you mean `…`?`` if a word was near enough, and what is expected otherwise.
    #[must_use]
    pub fn did_you_mean(self, nearest: Option<&str>, expected: impl FnOnce() -> String) -> Self {
        match nearest {
            Some(word) => self.help(format!("did you mean `{word}`?")),
            None => self.expected(expected()),
        }
    }
}

/// The problems found so far. Bounded, so that a hostile file cannot make the list of its faults larger than itself.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
    dropped: usize,
    suggestions: usize,
}

impl Problems {
    /// The maximum number of problems kept; later ones are only counted.
    const KEPT: usize = 1000;
    /// The maximum number of searches for a similar word: as many as problems can be printed.
    const SUGGESTIONS: usize = Diagnostics::SHOWN;

    /// Adds a problem.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < Self::KEPT { self.list.push(problem) } else { self.dropped += 1 }
    }

    /// True if no problem was found so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The known word that was probably meant, for the first problems only: the search costs time in proportion to
    /// both lists.
    pub fn nearest<'a>(&mut self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        const CANDIDATES: usize = 1000;
        self.suggestions += 1;
        let known = known.into_iter().take(CANDIDATES);
        if self.suggestions > Self::SUGGESTIONS { None } else { nearest(written, known) }
    }

    /// Puts the problems into a file, of which the text is shown.
    pub fn in_file(self, file: &Path, text: &str) -> Diagnostics {
        Diagnostics::new(self, file, text)
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl From<Vec<Problem>> for Problems {
    fn from(list: Vec<Problem>) -> Self {
        let mut problems = Self::default();
        list.into_iter().for_each(|problem| problems.push(problem));
        problems
    }
}

/// One problem in a file, with the offending line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file as it is shown, usually relative to the project.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// The problem.
    pub problem: String,
    /// A correct value or form.
    pub expected: Option<String>,
    /// The remedy.
    pub help: Option<String>,
    /// The offending part of the line; empty at the end of a file.
    pub snippet: Snippet,
}

/// All problems of one declaration, in file order. Displayed as an error of several lines: the file, each problem
/// with its source line, and their count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnostics {
    file: PathBuf,
    list: Vec<Diagnostic>,
    dropped: usize,
}

impl Diagnostics {
    /// The maximum number of problems printed; the rest is counted.
    pub const SHOWN: usize = 50;

    /// Sorts the problems by place, and keeps the line of each.
    pub fn new(problems: Problems, file: &Path, text: &str) -> Self {
        let Problems { mut list, dropped, suggestions: _ } = problems;
        list.sort_by_key(|problem| problem.place);
        let lines = render::lines(text);
        let list = list.into_iter().map(|problem| {
            let Problem { place: Place { line, column }, problem, expected, help } = problem;
            let index = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
            let snippet = Snippet::new(lines.get(index).copied().unwrap_or_default(), column);
            Diagnostic { file: file.to_owned(), line, column, problem, expected, help, snippet }
        });
        Self { file: file.to_owned(), list: list.collect(), dropped }
    }

    /// The problems, in file order.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// The number of problems, including those that were only counted.
    pub fn count(&self) -> usize {
        self.list.len() + self.dropped
    }

    /// True if the declaration is valid.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The known word that was probably meant, if one is near enough: a third of its letters may differ.
///
/// Longer words than anyone mistypes are not compared, since the comparison costs the product of both lengths.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 64;
    if written.is_empty() || written.len() > LONGEST {
        return None;
    }
    let written = written.to_ascii_lowercase().replace('_', "-");
    let allowed = |word: &str| (word.len().max(written.len()) / 3).max(1);
    let known =
        known.into_iter().filter(|word| word.len() <= LONGEST && word.len().abs_diff(written.len()) <= allowed(word));
    let scored = known.map(|word| (strsim::osa_distance(&written, &word.to_ascii_lowercase()), word));
    let near = scored.filter(|(distance, word)| *distance <= allowed(word) && *distance < word.len());
    near.min_by_key(|(distance, _)| *distance).map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
