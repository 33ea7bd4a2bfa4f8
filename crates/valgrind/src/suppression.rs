//! Suppressions: valgrind's file format, read with lines and comments, written, and compared with errors as valgrind
//! itself compares (valgrind manual, chapter 2.5, "Suppressing errors").

use std::path::Path;
use std::{fmt, io};

use serde::{Deserialize, Serialize};

use drydock_base::paths;

mod matching;
mod read;

pub use matching::{Subject, glob_matches};
pub use read::{Syntax, parse};

/// Files beyond this size are refused.
pub const LARGEST: u64 = 4 << 20;
/// Valgrind reads so many locations of one suppression and refuses more.
pub const MOST_FRAMES: usize = 24;

/// One location line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// `fun:`, the name as the linker knows it; `*` and `?` are wildcards, here as in the next two.
    Function(String),
    /// `obj:`, the whole path.
    Object(String),
    /// `src:`, file and perhaps `:line`.
    Source(String),
    /// `...`: any number of frames.
    Any,
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Function(name) => write!(f, "fun:{name}"),
            Pattern::Object(path) => write!(f, "obj:{path}"),
            Pattern::Source(place) => write!(f, "src:{place}"),
            Pattern::Any => f.write_str("..."),
        }
    }
}

/// An expiry date that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a date such as 2030-01-31")]
pub struct InvalidDate {
    /// The text in its place.
    pub text: String,
}

/// One suppression.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suppression {
    /// The lines that start with `#` directly above it and inside of it, without the `#`.
    pub comments: Vec<String>,
    /// The name by which valgrind counts its use.
    pub name: String,
    /// `Memcheck`, `Helgrind`, `drd`; several may share one suppression.
    pub tools: Vec<String>,
    /// `Leak`, `Cond`, `Addr4`, `Race`…
    pub kind: String,
    /// The line after the kind that some kinds have.
    pub extra: Option<String>,
    /// Innermost first.
    pub frames: Vec<Pattern>,
    /// The line of its `{`, from 1; 0 when it was not read from a file.
    pub line: usize,
}

impl Suppression {
    /// The rest of the comment line that starts with this word and a colon.
    pub fn note(&self, word: &str) -> Option<&str> {
        let after = |line: &str| {
            let (key, value) = line.split_once(':')?;
            (key.trim().eq_ignore_ascii_case(word) && !value.trim().is_empty()).then_some(())
        };
        let line = self.comments.iter().find(|line| after(line).is_some())?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// The reason for it.
    pub fn reason(&self) -> Option<&str> {
        self.note("reason")
    }

    /// The person who answers for it.
    pub fn author(&self) -> Option<&str> {
        self.note("author")
    }

    /// The day after which it must be reviewed.
    ///
    /// # Errors
    /// The text is not a date.
    pub fn expires(&self) -> Result<Option<jiff::civil::Date>, InvalidDate> {
        self.note("expires").map(|text| text.parse().map_err(|_| InvalidDate { text: text.to_owned() })).transpose()
    }

    /// Whether it is for this tool, by its name in `ci/jobs.yaml`.
    pub fn is_for(&self, tool: &str) -> bool {
        self.tools.iter().any(|name| name.eq_ignore_ascii_case(tool))
    }
}

impl fmt::Display for Suppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for comment in &self.comments {
            writeln!(f, "# {comment}")?;
        }
        writeln!(f, "{{\n   {}\n   {}:{}", self.name, self.tools.join(","), self.kind)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "   {extra}")?;
        }
        for frame in &self.frames {
            writeln!(f, "   {frame}")?;
        }
        writeln!(f, "}}")
    }
}

/// Reads a file.
///
/// # Errors
/// It cannot be read, is larger than [`LARGEST`], or has a line that valgrind would refuse.
pub fn read(path: &Path) -> io::Result<Vec<Suppression>> {
    parse(&text(path)?).map_err(|error| io::Error::other(error.to_string()))
}

/// The text of a file; bytes that are not UTF-8 are replaced.
///
/// # Errors
/// When it cannot be read or is larger than [`LARGEST`].
pub fn text(path: &Path) -> io::Result<String> {
    // A declared file may be a link, but nothing that would block.
    let file = paths::open_regular(&path.canonicalize()?)?;
    if file.metadata()?.len() > LARGEST {
        return Err(io::Error::other("it is larger than any suppression file"));
    }
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, LARGEST), &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
