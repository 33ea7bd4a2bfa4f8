//! Files that contain the version: by a line, by a line for each of its numbers, by a key, or as all that they contain.

mod numbers;

pub use numbers::NumberLine;
pub(super) use numbers::problem;

use super::{Version, VersionText};
use drydock_base::text::quoted;
use std::fmt;
use std::ops::Range;

/// A file that contains the version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionFile {
    /// The file, relative to the project.
    pub path: String,
    /// The place in it.
    pub place: VersionPlace,
}

/// The place of the version in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionPlace {
    /// The file contains nothing else.
    Whole,
    /// A line of this form, which a comment may follow.
    Line(VersionText),
    /// Lines of these forms, each with one or more of the version's numbers.
    Numbers(Vec<NumberLine>),
    /// The value of this key, such as `package.version`, in TOML, JSON, or a file with sections.
    Key(String),
}

/// A version in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldVersion {
    /// The version.
    pub version: Version,
    /// The line, from 1; that of the first number, if each has one of its own.
    pub line: usize,
}

/// A version in a file, and the bytes of the text that have it.
struct Found {
    held: HeldVersion,
    bytes: Range<usize>,
}

impl Found {
    fn new(version: Version, line: usize, bytes: Range<usize>) -> Found {
        Found { held: HeldVersion { version, line }, bytes }
    }
}

/// What may follow the version on its line.
const COMMENTS: [&str; 9] = ["#", "//", "/*", "--", ";", "%", "<!--", "dnl ", "\\\""];

impl VersionFile {
    /// The versions that a text of this file holds, in the order of its lines. The first is the file's; others look like it.
    pub fn held(&self, text: &str) -> Vec<HeldVersion> {
        match &self.place {
            VersionPlace::Numbers(forms) => {
                let held = numbers::found(forms, text).and_then(|found| numbers::version(&found));
                held.map(|(version, line)| HeldVersion { version, line }).into_iter().collect()
            }
            VersionPlace::Whole | VersionPlace::Line(_) | VersionPlace::Key(_) => {
                self.found(text).map(|found| found.held).collect()
            }
        }
    }

    /// The text with another version; none if it has no version.
    pub fn with_version(&self, text: &str, version: &Version) -> Option<String> {
        let mut changed = text.to_owned();
        if let VersionPlace::Numbers(forms) = &self.place {
            // From the end, so that the other places stay where they are.
            for number in numbers::found(forms, text)?.iter().rev() {
                changed.replace_range(number.bytes.clone(), &number.part.of(version).to_string());
            }
            return Some(changed);
        }
        let written = match &self.place {
            VersionPlace::Line(line) => line.written(version),
            VersionPlace::Whole | VersionPlace::Numbers(_) | VersionPlace::Key(_) => version.to_string(),
        };
        changed.replace_range(self.found(text).next()?.bytes, &written);
        Some(changed)
    }

    /// True if a version that this file holds is this version. Lines of numbers have nothing else of it: those of 1.2.0 have
    /// 1.2.0rc1, too.
    pub fn agrees(&self, held: &Version, version: &Version) -> bool {
        match &self.place {
            VersionPlace::Numbers(forms) => {
                forms.iter().flat_map(NumberLine::parts).all(|part| part.of(held) == part.of(version))
            }
            VersionPlace::Whole | VersionPlace::Line(_) | VersionPlace::Key(_) => held == version,
        }
    }

    /// The versions of a place that has them as one text.
    fn found<'t>(&'t self, text: &'t str) -> Box<dyn Iterator<Item = Found> + 't> {
        match &self.place {
            VersionPlace::Whole => {
                let start = text.len() - text.trim_start().len();
                let line = text[..start].matches('\n').count() + 1;
                let version = text.trim().parse().ok();
                Box::new(version.map(|version| Found::new(version, line, start..text.trim_end().len())).into_iter())
            }
            VersionPlace::Line(form) => {
                Box::new(lines(text).filter_map(|(number, start, line)| in_line(form, number, start, line)))
            }
            VersionPlace::Key(key) => Box::new(by_key(text, key).into_iter()),
            VersionPlace::Numbers(_) => Box::new(std::iter::empty()),
        }
    }
}

/// The first line of a text that contains a version as a word, with its number; it may be the one that a declaration means.
pub fn line_with<'t>(text: &'t str, version: &Version) -> Option<(usize, &'t str)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "._".contains(letter);
    let is_word = |line: &str| {
        line.match_indices(version.as_str()).any(|(at, found)| {
            !line[..at].ends_with(is_part) && !line[at + found.len()..].starts_with(|c: char| c.is_ascii_alphanumeric())
        })
    };
    lines(text).find(|(_, _, line)| is_word(line)).map(|(number, _, line)| (number, line.trim()))
}

impl fmt::Display for VersionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VersionPlace::Whole => f.write_str("nothing but a version"),
            VersionPlace::Line(line) => write!(f, "a line like {}", quoted(&line.to_string())),
            VersionPlace::Numbers(forms) => {
                let forms: Vec<String> = forms.iter().map(|form| quoted(&form.to_string())).collect();
                let what = if forms.len() == 1 { "a line" } else { "lines" };
                write!(f, "{what} like {}", forms.join(", "))
            }
            VersionPlace::Key(key) => write!(f, "a version with the key {}", quoted(key)),
        }
    }
}

/// Each line with its number, from 1, and the position of its first byte.
fn lines(text: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').enumerate().map(move |(number, line)| {
        let at = start;
        start += line.len();
        (number + 1, at, line.trim_end_matches(['\n', '\r']))
    })
}

/// The version in a line of this form, whatever blanks are around it and whatever comment follows.
fn in_line(form: &VersionText, number: usize, start: usize, line: &str) -> Option<Found> {
    let (before, after) = form.around();
    let (before, after) = (before.trim_start(), after.trim_end());
    let indent = line.len() - line.trim_start().len();
    let rest = line[indent..].strip_prefix(before)?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ".+~_-".contains(letter);
    let longest = rest.find(|letter| !fits(letter)).unwrap_or(rest.len());
    // What follows may begin with a letter of a version: `{version}-dev`.
    let end = (1..=longest).rev().find(|end| rest[*end..].strip_prefix(after).is_some_and(is_comment))?;
    let first = start + indent + before.len();
    Some(Found::new(form.read(&rest[..end])?, number, first..first + end))
}

/// True for nothing, and for a comment that ends a line.
fn is_comment(rest: &str) -> bool {
    let bare = rest.trim_start();
    bare.is_empty()
        || COMMENTS.iter().any(|start| bare.starts_with(start))
            && (rest.len() > bare.len() || bare.starts_with("/*") || bare.starts_with("//"))
}

/// The value of a key: `[a.b]` and then `c = "1.0"`, `b.c = "1.0"`, `c: 1.0`, or `"c": "1.0"` in braces of `"a"` and `"b"`.
fn by_key(text: &str, key: &str) -> Option<Found> {
    if text.trim_start().starts_with('{') {
        return in_json(text, key);
    }
    let mut section = String::new();
    for (number, start, line) in lines(text) {
        let bare = line.trim();
        if let Some(header) = bare.strip_prefix('[') {
            let header = header.split(']').next().unwrap_or_default();
            section = parts(header).collect::<Vec<_>>().join(".");
            continue;
        }
        let Some(equals) = line.find(['=', ':']) else { continue };
        let own = parts(&line[..equals]).collect::<Vec<_>>().join(".");
        let full = if section.is_empty() { own } else { format!("{section}.{own}") };
        if full != key {
            continue;
        }
        let value = &line[equals + 1..];
        let at = equals + 1 + (value.len() - value.trim_start().len());
        let value = value.trim_start();
        let (open, end) = match value.strip_prefix(['"', '\'']) {
            Some(quoted) => (1, quoted.find(['"', '\''])?),
            None => (0, value.find(|letter: char| letter.is_whitespace() || letter == '#').unwrap_or(value.len())),
        };
        let version = value[open..open + end].parse().ok()?;
        let first = start + at + open;
        return Some(Found::new(version, number, first..first + end));
    }
    None
}

/// The parts of a key with dots, without blanks and quotes.
fn parts(key: &str) -> impl Iterator<Item = &str> {
    key.split('.').map(|part| part.trim().trim_matches(['"', '\'']))
}

/// The value of a key in a JSON object.
fn in_json(text: &str, key: &str) -> Option<Found> {
    let document: serde_json::Value = serde_json::from_str(text).ok()?;
    let value = key.split('.').try_fold(&document, |value, part| value.get(part))?.as_str()?;
    let last = format!("\"{}\"", key.rsplit('.').next().unwrap_or(key));
    let wanted = format!("\"{value}\"");
    for (at, _) in text.match_indices(&last) {
        let after = &text[at + last.len()..];
        let rest = after.trim_start().strip_prefix(':').map(str::trim_start);
        if let Some(rest) = rest.filter(|rest| rest.starts_with(&wanted)) {
            let first = text.len() - rest.len() + 1;
            let line = text[..first].matches('\n').count() + 1;
            return Some(Found::new(value.parse().ok()?, line, first..first + value.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(place: VersionPlace, text: &str, expected: &[(usize, &str)]) {
        let file = VersionFile { path: "f".to_owned(), place };
        let held = file.held(text);
        let found: Vec<(usize, &str)> = held.iter().map(|held| (held.line, held.version.as_str())).collect();
        assert_eq!(found, expected, "{text}");
        file.found(text).for_each(|found| assert_eq!(&text[found.bytes], found.held.version.as_str()));
    }

    #[test]
    fn lines_are_found_with_blanks_and_comments_around_them() {
        let line = |before: &str, after: &str| VersionPlace::Line(VersionText::new(before, after));
        let cargo = || line("version = \"", "\"");
        check(cargo(), "[package]\nversion = \"15.1.0\"  #:version\n", &[(2, "15.1.0")]);
        check(cargo(), "  version = \"1.0\"\r\n[dependencies.x]\nversion = \"0.6.0\"\n", &[(1, "1.0"), (3, "0.6.0")]);
        check(cargo(), "version = \"1.0\", features = []\nversion = \"1.0\"x\nrust-version = \"1.85\"\n", &[]);
        check(line("#define V \"", "\" /* v */"), "#define V \"0.3\" /* v */ // x\n", &[(1, "0.3")]);
        check(
            line("VERSION=", ""),
            "VERSION=1.11.2\nVERSION=$(X)\nVERSION=2.0 # now\nVERSION=3.0#no\n",
            &[(1, "1.11.2"), (3, "2.0")],
        );
        check(line("v = ", "-dev"), "v = 1.0-dev\n", &[(1, "1.0")]);
        check(
            line("AC_INIT([a], [", "], [m])"),
            "AC_INIT([a], [1.2], [m])dnl x\nAC_INIT([a], [1.3], [m]) dnl x\n",
            &[(2, "1.3")],
        );
    }

    #[test]
    fn keys_are_found_in_their_table_only() {
        let key = |key: &str| VersionPlace::Key(key.to_owned());
        let cargo = "[dependencies.x]\nversion = \"0.6.0\"\n[package]\nname = \"a\"\nversion = '15.1.0'  #:version\n";
        check(key("package.version"), cargo, &[(5, "15.1.0")]);
        check(key("workspace.package.version"), "[ workspace . package ]\n version=\"1.0\"", &[(2, "1.0")]);
        check(key("workspace.package.version"), "[workspace]\npackage.version = \"1.0\"\n", &[(2, "1.0")]);
        check(key("package.version"), "[package]\nversion.workspace = true\n", &[]);
        check(key("metadata.version"), "[metadata]\nversion: 1.0\n", &[(2, "1.0")]);
        check(key("version"), "{\n \"x\": {\"version\": \"9\"},\n \"version\" : \"1.0\"\n}", &[(3, "1.0")]);
        check(key("version"), "{broken", &[]);
        check(VersionPlace::Whole, "\n1.0\n", &[(2, "1.0")]);
        check(VersionPlace::Whole, "version 1.0\n", &[]);
        assert_eq!(line_with("v1.0.1\nx\n  V = 1.0;\n", &"1.0".parse().unwrap()), Some((3, "V = 1.0;")));
        assert_eq!(line_with("11.0 1.0rc1", &"1.0".parse().unwrap()), None);
    }
}
