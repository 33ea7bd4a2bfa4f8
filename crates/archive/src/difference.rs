//! The first difference between two archives, and its likely cause.

mod container;
pub mod content;

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::{self, Limits, Listed, Member, MemberKind, ReadError};
use drydock_config::release::Format;

/// The number of bytes of two differing files that are compared.
const COMPARED: u64 = 64 << 20;

/// The first difference between two archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Difference {
    /// The path of the entry; none if the entries are the same, and only the compressed forms differ.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<String>,
    /// The field of the entry's header, `content`, `order`, or a part of the compressed form.
    pub field: String,
    /// The expected value.
    pub expected: String,
    /// The value in the other archive.
    pub found: String,
    /// The first byte that differs: of the entry's content, of the tar stream, or of the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub byte: Option<u64>,
    /// The likely cause.
    pub cause: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entry = self.entry.as_ref().map_or_else(|| "the compressed form".to_owned(), |entry| read::shown(entry));
        write!(f, "{entry}: {} is {}, expected {}", self.field, self.found, self.expected)?;
        if let Some(byte) = self.byte {
            write!(f, " (first at byte {byte})")?;
        }
        write!(f, "; likely cause: {}", self.cause)
    }
}

/// Two archives of one format.
#[derive(Debug, Clone, Copy)]
pub struct Pair<'a> {
    /// The archive as it should be.
    pub expected: &'a Path,
    /// The archive to check.
    pub found: &'a Path,
    /// The format of both.
    pub format: Format,
    /// The limits for reading either.
    pub limits: Limits,
}

impl Pair<'_> {
    /// The first difference; none if the bytes are equal.
    ///
    /// # Errors
    /// One of the archives cannot be read.
    pub fn first_difference(&self) -> Result<Option<Difference>, ReadError> {
        let [expected, found] = [self.expected, self.found].map(drydock_base::paths::open_regular);
        let Some(byte) = differing_byte(expected?, found?)? else { return Ok(None) };
        let (ours, theirs) =
            (read::list(self.expected, self.format, self.limits)?, read::list(self.found, self.format, self.limits)?);
        // Marks of the program come last: every entry has them, and they say less than another difference.
        for marks in [false, true] {
            for (position, (one, other)) in ours.iter().zip(&theirs).enumerate() {
                if one.member.path != other.member.path {
                    return Ok(Some(order(&ours, &theirs, position)));
                }
                if let Some((field, expected, found)) = differing_field(&one.member, &other.member, marks) {
                    let cause = cause_of_field(field, &expected, &found);
                    let entry = Some(one.member.path.clone());
                    return Ok(Some(Difference { entry, field: field.to_owned(), expected, found, byte: None, cause }));
                }
                if one.sha256 != other.sha256 {
                    return self.content(position, one).map(Some);
                }
            }
            if ours.len() != theirs.len() {
                return Ok(Some(order(&ours, &theirs, ours.len().min(theirs.len()))));
            }
        }
        container::explain(self, byte).map(Some)
    }

    /// The difference between two contents of the entry at a position.
    fn content(&self, position: usize, listed: &Listed) -> Result<Difference, ReadError> {
        let read = |path| read::content(path, self.format, self.limits, position, COMPARED);
        let (ours, theirs) = (read(self.expected)?, read(self.found)?);
        let explained = content::explain(&ours, &theirs, &|_, _| None);
        let without_cr = |content: &[u8]| content.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<_>>();
        let text = String::from_utf8_lossy(&ours);
        let cause = if without_cr(&ours) == without_cr(&theirs) {
            "converted line endings (git's `core.autocrlf`, or `text`/`eol` attributes)".to_owned()
        } else if text.contains("$Id$") || text.contains("$Format:") {
            "keywords that git expanded (`ident`, `export-subst`)".to_owned()
        } else {
            explained.cause.unwrap_or_else(|| {
                "another version of the file: a modified work tree, or a generator with another result".to_owned()
            })
        };
        let shown = |text: &str| format!("{} `{}`", explained.place, read::shown(text));
        Ok(Difference {
            entry: Some(listed.member.path.clone()),
            field: "content".into(),
            expected: shown(&explained.first),
            found: shown(&explained.second),
            byte: Some(explained.byte),
            cause,
        })
    }
}

/// The position of the first byte in which two streams differ, or the length of the shorter one; none if they are equal.
fn differing_byte(one: impl Read, other: impl Read) -> Result<Option<u64>, ReadError> {
    let (mut one, mut other) = (std::io::BufReader::new(one), std::io::BufReader::new(other));
    let (mut at, mut ours, mut theirs) = (0, Vec::new(), Vec::new());
    loop {
        ours.clear();
        theirs.clear();
        (&mut one).take(1 << 16).read_to_end(&mut ours)?;
        (&mut other).take(1 << 16).read_to_end(&mut theirs)?;
        if ours != theirs {
            let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
            return Ok(Some(at + same as u64));
        }
        if ours.is_empty() {
            return Ok(None);
        }
        at += ours.len() as u64;
    }
}

/// The difference that two paths at one position are: an entry is missing, was added, or is elsewhere.
fn order(ours: &[Listed], theirs: &[Listed], position: usize) -> Difference {
    let path =
        |list: &[Listed]| list.get(position).map_or_else(|| "the end".to_owned(), |listed| listed.member.path.clone());
    let has = |list: &[Listed], path: &str| list.iter().any(|listed| listed.member.path == path);
    let (expected, found) = (path(ours), path(theirs));
    let cause = match (has(theirs, &expected), has(ours, &found)) {
        (true, true) => "entries sorted by another locale or not at all (`tar` without --sort=name)",
        (false, true) => {
            "a missing file: a derived file that was not generated, a submodule that was not fetched, or export-ignore"
        }
        (true, false) => "an added file: an untracked or generated file from a work tree",
        (false, false) => "another top directory, or a renamed file",
    };
    let (expected, found) = (read::shown(&expected), read::shown(&found));
    let entry = Some(if expected == "the end" { found.clone() } else { expected.clone() });
    Difference { entry, field: "order".into(), expected, found, byte: None, cause: cause.into() }
}

/// The first field of two headers that differs, with both values. `marks` includes those that depend on the program alone.
fn differing_field(one: &Member, other: &Member, marks: bool) -> Option<(&'static str, String, String)> {
    let kind_text = |kind: &MemberKind| match kind {
        MemberKind::Directory => "a directory".to_owned(),
        MemberKind::File => "a file".to_owned(),
        MemberKind::Link(target) => format!("a link to {}", read::shown(target)),
        MemberKind::HardLink(target) => format!("a hard link to {}", read::shown(target)),
        MemberKind::Other(what) => what.clone(),
    };
    if one.kind != other.kind {
        return Some(("type", kind_text(&one.kind), kind_text(&other.kind)));
    }
    // The content shows more of a difference than its size.
    let counts = |name: &str| match name {
        "size" | "method" => false,
        "flags" | "versions" => marks,
        _ => true,
    };
    let mut pairs = one.fields.iter().zip(&other.fields).filter(|((name, _), _)| counts(name));
    pairs.find(|(a, b)| a != b).map(|((name, ours), (_, theirs))| (*name, ours.clone(), theirs.clone()))
}

/// The likely cause of a difference in a field.
fn cause_of_field(field: &str, expected: &str, found: &str) -> String {
    let bits = |text: &str| u32::from_str_radix(text, 8).unwrap_or_default() & 0o777;
    let both = bits(expected) ^ bits(found);
    match field {
        "mode" if both & 0o700 == 0 => "the umask of the builder, or git's `tar.umask`".into(),
        "mode" => "a file that is executable in only one of them".into(),
        "uid" | "gid" | "owner" => {
            "the owner of the files on disk (`tar` without --owner=0 --group=0 --numeric-owner)".into()
        }
        "mtime" | "time" => cause_of_time(field, expected, found),
        "magic" | "pax" | "versions" | "flags" | "system" | "extra fields" | "comment" => {
            "a program other than Drydock: another tar dialect, or zip with extra fields".into()
        }
        "type" | "link" => "a program that follows links (`zip` without -y), or writes hard links".into(),
        _ => "a program other than Drydock".into(),
    }
}

fn cause_of_time(field: &str, expected: &str, found: &str) -> String {
    let seconds = |text: &str| -> Option<i64> {
        if field == "mtime" {
            return text.parse().ok();
        }
        let time: jiff::civil::DateTime = text.replace(' ', "T").parse().ok()?;
        Some(jiff::tz::TimeZone::UTC.to_timestamp(time).ok()?.as_second())
    };
    let apart = seconds(expected).zip(seconds(found)).map(|(expected, found)| (expected - found).abs());
    match apart {
        // Time zones differ by a multiple of 15 minutes, and by at most 26 hours.
        Some(apart) if apart > 0 && apart % 900 <= 1 && apart <= 26 * 3600 => {
            "the time zone of the builder (TZ)".into()
        }
        Some(1) => "an odd second, as zip counts in steps of two".into(),
        _ => "the times of the files on disk, or the clock, instead of SOURCE_DATE_EPOCH".into(),
    }
}
