//! Where two archives differ first, and what that says about how the other one was made.

mod container;

use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::read::{self, Limits, Listed, Member, MemberKind, ReadError};
use drydock_config::release::Format;

/// How much of two differing files is compared.
const COMPARED: u64 = 64 << 20;

/// The first difference of two archives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// The entry's path; none when the containers differ and what they hold does not.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub entry: Option<String>,
    /// The field of its header, `content`, `order`, or a part of the container.
    pub field: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
    /// The first byte that differs: of the entry's content, of the tar stream, or of the file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub byte: Option<u64>,
    /// What makes such a difference.
    pub cause: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.entry.as_ref().map_or_else(|| "the container".to_owned(), |entry| read::shown(entry));
        write!(f, "{what}: {} is {}, expected {}", self.field, self.found, self.expected)?;
        if let Some(byte) = self.byte {
            write!(f, " (first at byte {byte})")?;
        }
        write!(f, "; likely {}", self.cause)
    }
}

/// The first difference between an archive and what it should be, both of the same format; none if the bytes are equal.
///
/// # Errors
/// One of them cannot be read.
pub fn first(expected: &Path, found: &Path, format: Format, limits: Limits) -> Result<Option<Difference>, ReadError> {
    let Some(at) =
        differing_byte(drydock_base::paths::open_regular(expected)?, drydock_base::paths::open_regular(found)?)?
    else {
        return Ok(None);
    };
    let (ours, theirs) = (read::list(expected, format, limits)?, read::list(found, format, limits)?);
    // What only tells the program comes last: it would hide what the program did.
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
                return content(expected, found, format, limits, (position, one)).map(Some);
            }
        }
        if ours.len() != theirs.len() {
            return Ok(Some(order(&ours, &theirs, ours.len().min(theirs.len()))));
        }
    }
    container::explain(expected, found, format, limits, at).map(Some)
}

/// The first byte in which two streams differ, or the length of the shorter one.
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

/// Two different paths at one position: something is missing, added, or in another order.
fn order(ours: &[Listed], theirs: &[Listed], position: usize) -> Difference {
    let path =
        |list: &[Listed]| list.get(position).map_or_else(|| "the end".to_owned(), |listed| listed.member.path.clone());
    let has = |list: &[Listed], path: &str| list.iter().any(|listed| listed.member.path == path);
    let (expected, found) = (path(ours), path(theirs));
    let cause = match (has(theirs, &expected), has(ours, &found)) {
        (true, true) => "entries sorted by another locale, or in the order of a directory (`tar` without --sort=name)",
        (false, true) => {
            "a file is missing: a derived file that was not made, a submodule that was not fetched, or export-ignore"
        }
        (true, false) => "a file was added: an untracked or generated file from a work tree",
        (false, false) => "another top directory, or a file that was renamed",
    };
    let (expected, found) = (read::shown(&expected), read::shown(&found));
    let entry = Some(if expected == "the end" { found.clone() } else { expected.clone() });
    Difference { entry, field: "order".into(), expected, found, byte: None, cause: cause.into() }
}

fn differing_field(one: &Member, other: &Member, marks: bool) -> Option<(&'static str, String, String)> {
    let of_kind = |kind: &MemberKind| match kind {
        MemberKind::Directory => "a directory".to_owned(),
        MemberKind::File => "a file".to_owned(),
        MemberKind::Link(target) => format!("a link to {}", read::shown(target)),
        MemberKind::HardLink(target) => format!("a hard link to {}", read::shown(target)),
        MemberKind::Other(what) => what.clone(),
    };
    if one.kind != other.kind {
        return Some(("type", of_kind(&one.kind), of_kind(&other.kind)));
    }
    // A size that differs is shown by the content, which says more.
    let counts = |name: &str| match name {
        "size" | "method" => false,
        "flags" | "versions" => marks,
        _ => true,
    };
    let mut pairs = one.fields.iter().zip(&other.fields).filter(|((name, _), _)| counts(name));
    pairs.find(|(a, b)| a != b).map(|((name, ours), (_, theirs))| (*name, ours.clone(), theirs.clone()))
}

/// What makes a field of a header differ.
fn cause_of_field(field: &str, expected: &str, found: &str) -> String {
    let bits = |text: &str| u32::from_str_radix(text, 8).unwrap_or_default() & 0o777;
    let both = bits(expected) ^ bits(found);
    match field {
        "mode" if both & 0o700 == 0 => "the umask of whoever made it, or git's `tar.umask`".into(),
        "mode" => "a file that is executable in one of them only".into(),
        "uid" | "gid" | "owner" => {
            "the owner of files on disk; `tar` without --owner=0 --group=0 --numeric-owner".into()
        }
        "mtime" | "time" => cause_of_time(field, expected, found),
        "magic" | "pax" | "versions" | "flags" | "system" | "extra fields" | "comment" => {
            "another program than Drydock: another tar dialect, or zip with extra fields".into()
        }
        "type" | "link" => "a program that follows links (`zip` without -y), or knows hard links".into(),
        _ => "another program than Drydock".into(),
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
        // Zones are apart by quarters of an hour, 26 hours at most.
        Some(apart) if apart > 0 && apart % 900 <= 1 && apart <= 26 * 3600 => {
            "the time zone of whoever made it (TZ)".into()
        }
        Some(1) => "a time that is not even, where zip counts in steps of two seconds".into(),
        _ => "the times of files on disk, or the clock, instead of SOURCE_DATE_EPOCH".into(),
    }
}

/// Two contents of one file.
fn content(
    expected: &Path,
    found: &Path,
    format: Format,
    limits: Limits,
    (position, listed): (usize, &Listed),
) -> Result<Difference, ReadError> {
    let ours = read::content(expected, format, limits, position, COMPARED)?;
    let theirs = read::content(found, format, limits, position, COMPARED)?;
    let same = ours.iter().zip(&theirs).take_while(|(a, b)| a == b).count();
    let number = ours[..same].iter().filter(|byte| **byte == b'\n').count() + 1;
    let line = |content: &[u8]| {
        let line = content.split(|byte| *byte == b'\n').nth(number - 1).unwrap_or_default();
        format!("line {number} `{}`", read::shown(&String::from_utf8_lossy(line)))
    };
    let without_cr = |content: &[u8]| content.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<_>>();
    let cause = if without_cr(&ours) == without_cr(&theirs) {
        "line endings that were converted (git's `core.autocrlf`, or `text`/`eol` attributes)"
    } else if String::from_utf8_lossy(&ours).contains("$Id$") || String::from_utf8_lossy(&ours).contains("$Format:") {
        "keywords that git replaced (`ident`, `export-subst`)"
    } else {
        "another version of this file: a work tree with changes, or a generator that made something else"
    };
    Ok(Difference {
        entry: Some(listed.member.path.clone()),
        field: "content".into(),
        expected: line(&ours),
        found: line(&theirs),
        byte: Some(same as u64),
        cause: cause.into(),
    })
}
