//! Parses YAML text into a tree in which every value has its place; hostile text is refused quickly and without recursion.
//!
//! The tree is built from the events of `granit-parser`, the parser inside of the maintained successor of `serde_yaml`.
//! Going through serde instead would lose three things: the source text of scalars (`0x10`, `1.10`), whether they were
//! quoted, and every problem after the first. Anchors, aliases, merge keys and tags are refused rather than budgeted: a
//! declaration has no use for them, and without them a text cannot grow while it is read.

mod build;
mod scalar;

pub use scalar::{Kind, Scalar};

use super::diagnostic::{Place, Problem, Problems};
use std::io::Read;
use std::path::Path;

/// The largest declaration, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// The deepest nesting of lists and mappings.
pub const MAX_DEPTH: usize = 16;
/// The largest number of values and keys.
pub const MAX_VALUES: usize = 50_000;

/// A value of a declaration and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The place where the value starts.
    pub place: Place,
    /// The place of the key of this value; for elements of lists, that of the value itself.
    pub owner: Place,
    /// The value.
    pub value: Value,
}

/// The value of a [`Node`].
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A text, number, boolean or nothing.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// A mapping, in file order; each key occurs once.
    Mapping(Vec<Entry>),
    /// Something that was refused while reading; the problem is reported already.
    Refused,
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key, as text.
    pub key: Key,
    /// The value.
    pub value: Node,
}

/// A key of a mapping.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The text as it was written, without quotes.
    pub text: String,
    /// The place where it starts.
    pub place: Place,
}

/// Parses one YAML document; problems are added to `problems`, and the result is `None` if no tree could be built.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    if text.len() as u64 > MAX_BYTES {
        problems.push(too_large());
        return None;
    }
    if let Some(problem) = control_character(text) {
        problems.push(problem);
        return None;
    }
    build::tree(text, problems)
}

/// Reads a declaration without ever reading more than [`MAX_BYTES`]: the text, or the problem of the file.
///
/// # Errors
/// The outer error: the file is missing, not a regular file, or unreadable. The inner one: a problem of its content,
/// with the text as far as it is text.
pub fn read(file: &Path) -> std::io::Result<Result<String, (Problem, String)>> {
    // Opening a named pipe would wait for its writer, so the kind of file is looked at first.
    if !std::fs::metadata(file)?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Ok(Err((too_large(), String::new())));
    }
    Ok(String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(good).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        let problem = Problem::new(end_of(&text), format!("byte 0x{byte:02x} is not UTF-8 text"));
        (problem.help("save the file as UTF-8"), text)
    }))
}

fn too_large() -> Problem {
    Problem::new(Place::START, "the file is too large for a declaration").expected("at most 1 MiB")
}

/// The first character that YAML does not allow, not even in a comment.
fn control_character(text: &str) -> Option<Problem> {
    let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (at, c) = text.char_indices().find(|(_, c)| bad(*c))?;
    let problem = Problem::new(end_of(&text[..at]), format!("control character `{}`", c.escape_unicode()));
    Some(problem.help("remove it; in a text between double quotes, write it as an escape such as `\\x1b`"))
}

/// The place that follows a text.
fn end_of(text: &str) -> Place {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.bytes().filter(|b| *b == b'\n').count();
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count();
    Place { line: line as u64 + 1, column: column as u64 + 1 }
}

#[cfg(test)]
mod tests;
