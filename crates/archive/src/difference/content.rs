//! Where two contents of a file differ, and the likely cause.
//!
//! Compressed files, static libraries and programs are looked into: a byte of a compressed stream says nothing, the section of a
//! program and the text in it say much.

mod ar;
mod cause;

use object::{Object as _, ObjectSection as _};
use std::io::Read as _;

use drydock_base::text::printable;

use crate::format::Compression;

pub use cause::Holds;

/// Compressed files in compressed files are opened up to this depth.
const DEEPEST: usize = 4;
/// The most bytes of a decompressed file that are compared.
const MOST: u64 = 64 << 20;
/// The number of characters of a quoted line.
const QUOTED: usize = 80;
/// The number of bytes around a difference in which text is looked for.
const AROUND: usize = 200;

/// The first difference between two contents of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDifference {
    /// The place, such as `line 3`, `section .rodata` or `member main.o: section .comment`.
    pub place: String,
    /// What the first content has there; empty if it says nothing.
    pub first: String,
    /// What the second content has there.
    pub second: String,
    /// The first byte that differs, of the file itself.
    pub byte: u64,
    /// The likely cause, with its remedy if there is a usual one.
    pub cause: Option<String>,
}

impl std::fmt::Display for ContentDifference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first.is_empty() && self.second.is_empty() {
            write!(f, "{} differs", self.place)?;
        } else {
            write!(f, "{} is `{}`, then `{}`", self.place, self.first, self.second)?;
        }
        self.cause.iter().try_for_each(|cause| write!(f, " ({cause})"))
    }
}

/// Two texts at a place where contents differ.
struct Place {
    name: String,
    first: String,
    second: String,
    cause: Option<String>,
}

/// Explains the first difference between two contents, which differ. `holds` may know which property of the surroundings two
/// texts hold.
pub fn explain(first: &[u8], second: &[u8], holds: &Holds<'_>) -> ContentDifference {
    let place = place(first, second, 0);
    let (one, other) = quoted(&place.first, &place.second);
    let cause = place.cause.or_else(|| cause::of_texts(&place.first, &place.second, holds));
    let byte = same(first, second) as u64;
    ContentDifference { place: place.name, first: one, second: other, byte, cause }
}

/// Two texts as a message quotes them, from a little before their first difference on.
fn quoted(first: &str, second: &str) -> (String, String) {
    let same = first.chars().zip(second.chars()).take_while(|(a, b)| a == b).count();
    let skipped = if same > QUOTED / 2 { same - QUOTED / 4 } else { 0 };
    let quote = |text: &str| {
        let rest: String = text.chars().skip(skipped).collect();
        format!("{}{}", if skipped > 0 { "…" } else { "" }, printable(&rest, QUOTED))
    };
    (quote(first), quote(second))
}

/// The number of bytes that are the same at the beginning.
fn same(first: &[u8], second: &[u8]) -> usize {
    first.iter().zip(second).take_while(|(a, b)| a == b).count()
}

fn place(first: &[u8], second: &[u8], depth: usize) -> Place {
    let known = compressed(first, second, depth)
        .or_else(|| ar::differing(first, second, depth))
        .or_else(|| sections(first, second))
        .or_else(|| python(first, second));
    known.or_else(|| text(first, second)).unwrap_or_else(|| bytes("byte", first, second))
}

/// What is inside of two compressed files.
fn compressed(first: &[u8], second: &[u8], depth: usize) -> Option<Place> {
    let compression = [Compression::Gzip, Compression::Xz, Compression::Bzip2, Compression::Zstd]
        .into_iter()
        .find(|one| [first, second].iter().all(|content| content.starts_with(one.magic())))?;
    let name = compression.name();
    let alone = |name: String, cause: &str| Place {
        name,
        first: String::new(),
        second: String::new(),
        cause: Some(cause.to_owned()),
    };
    if depth >= DEEPEST {
        return None;
    }
    let plain = |content: &[u8]| {
        let mut plain = Vec::new();
        compression.decoder(content).ok()?.take(MOST).read_to_end(&mut plain).ok()?;
        Some(plain)
    };
    let (one, other) = (plain(first)?, plain(second)?);
    if one != other {
        let inner = place(&one, &other, depth + 1);
        return Some(Place { name: format!("within {name}, {}", inner.name), ..inner });
    }
    // The time is in bytes 4 to 7 (RFC 1952).
    let time = |content: &[u8]| content.get(4..8).map(<[u8]>::to_vec);
    if compression == Compression::Gzip && time(first) != time(second) {
        return Some(alone("the time in the header of gzip".into(), "the clock; compress with `gzip -n`"));
    }
    let cause = "the content is the same; another version, level or number of threads of the compressor";
    Some(alone(format!("the compressed form ({name})"), cause))
}

/// The first section that differs of two programs, libraries or object files.
fn sections(first: &[u8], second: &[u8]) -> Option<Place> {
    let [one, other] = [first, second].map(|content| object::File::parse(content).ok());
    let (one, other) = (one?, other?);
    let named = |file: &object::File<'_>| -> Vec<(String, Vec<u8>)> {
        let sections = file
            .sections()
            .filter_map(|section| Some((section.name().ok()?.to_owned(), section.data().unwrap_or_default().to_vec())));
        sections.collect()
    };
    let (ours, theirs) = (named(&one), named(&other));
    let [our_names, their_names] =
        [&ours, &theirs].map(|list| list.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
    if our_names != their_names {
        let only = |list: &[&str], other: &[&str]| {
            list.iter().filter(|name| !other.contains(name)).copied().collect::<Vec<_>>().join(" ")
        };
        let (first, second) = (only(&our_names, &their_names), only(&their_names, &our_names));
        return Some(Place { name: "the list of sections".into(), first, second, cause: None });
    }
    let differing: Vec<_> = ours.iter().zip(&theirs).filter(|(one, other)| one.1 != other.1).collect();
    // The build ID is a checksum of the rest.
    let is_id = |name: &str| matches!(name, ".note.gnu.build-id" | ".gnu_debuglink");
    let telling = |name: &str| matches!(name, ".rodata" | ".comment" | ".data" | ".debug_str" | ".debug_line_str");
    let chosen = differing
        .iter()
        .find(|(one, _)| telling(&one.0))
        .or_else(|| differing.iter().find(|(one, _)| !is_id(&one.0)))
        .or_else(|| differing.first())?;
    let ((name, ours), (_, theirs)) = chosen;
    let place = bytes("", ours, theirs);
    let cause = is_id(name).then(|| {
        "a checksum of the rest, with debug information that is no longer there; usually the directory of the build \
         (`-ffile-prefix-map`)"
            .to_owned()
    });
    let (first, second) = if cause.is_some() { Default::default() } else { (place.first, place.second) };
    Some(Place { name: format!("section {name}"), first, second, cause })
}

/// The time of the source in two compiled files of Python (PEP 552): flags in bytes 4 to 7, the time in bytes 8 to 11.
fn python(first: &[u8], second: &[u8]) -> Option<Place> {
    let is_timed = |content: &[u8]| content.get(2..8) == Some(b"\r\n\0\0\0\0");
    (is_timed(first) && is_timed(second) && first.get(8..12) != second.get(8..12)).then(|| Place {
        name: "the time of the Python source".into(),
        first: String::new(),
        second: String::new(),
        cause: Some("the clock; compile with `--invalidation-mode unchecked-hash`, or set SOURCE_DATE_EPOCH".into()),
    })
}

/// The first line that differs of two texts.
fn text(first: &[u8], second: &[u8]) -> Option<Place> {
    let (one, other) = (std::str::from_utf8(first).ok()?, std::str::from_utf8(second).ok()?);
    if [one, other].iter().any(|text| text.contains('\0')) {
        return None;
    }
    let number = first[..same(first, second)].iter().filter(|byte| **byte == b'\n').count();
    let line = |text: &str| text.split('\n').nth(number).unwrap_or_default().to_owned();
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    let cause = if one.replace('\r', "") == other.replace('\r', "") {
        Some("line endings")
    } else {
        (sorted(one) == sorted(other))
            .then_some("the same lines in another order, as directories or hash tables give it; sort them")
    };
    let cause = cause.map(str::to_owned);
    Some(Place { name: format!("line {}", number + 1), first: line(one), second: line(other), cause })
}

/// The text around the first byte that differs.
fn bytes(what: &str, first: &[u8], second: &[u8]) -> Place {
    let at = same(first, second);
    let around = |content: &[u8]| {
        let is_text = |byte: &u8| (b' '..0x7f).contains(byte) || *byte == b'\t';
        let before =
            content[..at.min(content.len())].iter().rev().take(AROUND).take_while(|byte| is_text(byte)).count();
        let after = content[at.min(content.len())..].iter().take(AROUND).take_while(|byte| is_text(byte)).count();
        String::from_utf8_lossy(&content[at - before.min(at)..(at + after).min(content.len())]).into_owned()
    };
    let (one, other) = (around(first), around(second));
    let speaks = one.len().max(other.len()) >= 4;
    let (first, second) = if speaks { (one, other) } else { Default::default() };
    Place { name: format!("{what} {at}").trim().to_owned(), first, second, cause: None }
}

#[cfg(test)]
mod tests;
