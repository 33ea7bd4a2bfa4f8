//! Lists of checksums as people publish them: those of `sha256sum` and its siblings, of BSD's `sha256 -r` and `sha256`, with
//! text and binary marks, `./`, line ends of Windows, comments, and inline signatures.
//!
//! Formats: the manual of GNU coreutils ("cksum common options", "md5sum invocation") and md5(1) of the BSDs.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use drydock_base::checksum::hex;
use drydock_base::text::{one_line, quoted};

mod clearsigned;

pub use clearsigned::{BEGIN as CLEARSIGNED, Clearsigned};

/// A list has at most this many entries.
pub const MOST_ENTRIES: usize = 100_000;

/// The algorithm of a checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
    /// An algorithm that is not computed here, such as BLAKE2; its lines prove nothing.
    NotComputed,
    /// MD5 or SHA-1, whose collisions anybody can make; its lines prove nothing.
    Weak,
}

impl Algorithm {
    /// Whether checksums of it prove something here.
    pub fn counts(self) -> bool {
        matches!(self, Algorithm::Sha256 | Algorithm::Sha384 | Algorithm::Sha512)
    }

    /// The algorithm with this name, as in `SHA256 (FILE) = …`.
    fn named(name: &str) -> Option<Algorithm> {
        let name = name.to_ascii_uppercase();
        Some(match name.replace('-', "").as_str() {
            "SHA256" | "SHA2256" => Algorithm::Sha256,
            "SHA384" | "SHA2384" => Algorithm::Sha384,
            "SHA512" | "SHA2512" => Algorithm::Sha512,
            "MD4" | "MD5" | "SHA1" | "SHA" | "RMD160" | "RIPEMD160" => Algorithm::Weak,
            "SIZE" | "SHA224" | "SM3" | "SKEIN256" | "SKEIN512" | "WHIRLPOOL" => Algorithm::NotComputed,
            other if ["BLAKE", "SHA3", "SHA512/"].iter().any(|start| other.starts_with(start)) => {
                Algorithm::NotComputed
            }
            _ => return None,
        })
    }

    /// The algorithm of a checksum with this many hexadecimal digits in a list with this name.
    fn of_length(digits: usize, list: &str) -> Option<Algorithm> {
        let list = list.to_ascii_lowercase();
        let is_other = ["b2", "blake", "sha3", "b3"].iter().any(|word| list.starts_with(word));
        Some(match digits {
            32 | 40 => Algorithm::Weak,
            64 | 96 | 128 if is_other => Algorithm::NotComputed,
            64 => Algorithm::Sha256,
            96 => Algorithm::Sha384,
            128 => Algorithm::Sha512,
            56 => Algorithm::NotComputed,
            _ => return None,
        })
    }

    fn digits(self) -> Option<usize> {
        match self {
            Algorithm::Sha256 => Some(64),
            Algorithm::Sha384 => Some(96),
            Algorithm::Sha512 => Some(128),
            Algorithm::NotComputed | Algorithm::Weak => None,
        }
    }
}

impl std::fmt::Display for Algorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha384 => "SHA-384",
            Algorithm::Sha512 => "SHA-512",
            Algorithm::NotComputed => "checksum",
            Algorithm::Weak => "weak checksum",
        })
    }
}

/// A list that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ChecksumList {
    /// The checksums of each file: lower-case hexadecimal digits by algorithm. Paths are relative to the list, without `./`.
    pub files: BTreeMap<String, BTreeMap<Algorithm, String>>,
    /// The numbers of lines that are neither checksums nor comments, from 1.
    pub prose: Vec<usize>,
}

/// A list that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// The file is UTF-16, as PowerShell writes it.
    #[error("it is UTF-16; write it as UTF-8")]
    Utf16,
    /// A line is not UTF-8.
    #[error("line {0} is not UTF-8")]
    NotUtf8(usize),
    /// A line begins like a checksum and is none.
    #[error("cannot parse line {line} as a checksum: {text}")]
    Line {
        /// The number of the line, from 1.
        line: usize,
        /// The line, shortened.
        text: String,
    },
    /// A name leads out of the directory of the list.
    #[error("line {line}: {name} leads out of the directory")]
    Path {
        /// The number of the line.
        line: usize,
        /// The name, quoted.
        name: String,
    },
    /// Two lines give different checksums for one file.
    #[error("line {line}: {name} has another checksum in an earlier line")]
    Contradiction {
        /// The number of the line.
        line: usize,
        /// The name, quoted.
        name: String,
    },
    /// There are more than [`MOST_ENTRIES`].
    #[error("it has more than {MOST_ENTRIES} lines")]
    TooLong,
    /// No line is a checksum.
    #[error("it lists no file")]
    Empty,
}

impl ChecksumList {
    /// Reads a list. The name of its file tells algorithms of one length apart.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn parse(bytes: &[u8], name: &str) -> Result<ChecksumList, ListError> {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            return Err(ListError::Utf16);
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut list = ChecksumList::default();
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            let number = index + 1;
            if index > MOST_ENTRIES {
                return Err(ListError::TooLong);
            }
            let line = std::str::from_utf8(line).map_err(|_| ListError::NotUtf8(number))?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            let text = line.trim();
            if text.is_empty() || text.starts_with(['#', ';']) {
                continue;
            }
            match parse_line(line, name) {
                Line::Prose => list.prose.push(number),
                Line::Damaged => return Err(ListError::Line { line: number, text: quoted(&one_line(line, 200)) }),
                Line::Checksum { algorithm, digest, name } => list.add(number, algorithm, digest, &name)?,
            }
        }
        if list.files.is_empty() { Err(ListError::Empty) } else { Ok(list) }
    }

    fn add(&mut self, line: usize, algorithm: Algorithm, digest: String, name: &str) -> Result<(), ListError> {
        let shown = || quoted(name);
        let path = relative(name).ok_or_else(|| ListError::Path { line, name: shown() })?;
        let digests = self.files.entry(path).or_default();
        match digests.insert(algorithm, digest.clone()) {
            Some(other) if other != digest && algorithm.counts() => {
                Err(ListError::Contradiction { line, name: shown() })
            }
            _ => Ok(()),
        }
    }
}

/// A path without `./` and repeated slashes; none if it leads out of the directory, or a part of it is not a name.
fn relative(name: &str) -> Option<String> {
    if name.starts_with('/') || name.contains('\0') {
        return None;
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let is_inside = !parts.is_empty() && !parts.contains(&"..") && !name.ends_with('/');
    is_inside.then(|| parts.join("/"))
}

enum Line {
    Prose,
    /// It begins like a checksum.
    Damaged,
    Checksum {
        algorithm: Algorithm,
        digest: String,
        name: String,
    },
}

fn parse_line(line: &str, list: &str) -> Line {
    let (line, is_escaped) = match line.strip_prefix('\\') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    let unescaped = |name: &str| if is_escaped { unescape(name) } else { Some(name.to_owned()) };
    if let Some((algorithm, name, digest)) = bsd(line) {
        let (Some(digest), Some(name)) = (digest_of(digest, algorithm), unescaped(name)) else { return Line::Damaged };
        return Line::Checksum { algorithm, digest, name };
    }
    let end = line.find(|letter: char| !letter.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, rest) = line.split_at(end);
    // Shorter words in prose may consist of such letters.
    if digits.len() < 32 {
        return if is_escaped && digits.len() >= 8 { Line::Damaged } else { Line::Prose };
    }
    let name = rest.strip_prefix(' ').map(|rest| rest.strip_prefix([' ', '*']).unwrap_or(rest));
    let name = name.filter(|name| !name.is_empty()).and_then(unescaped);
    match (Algorithm::of_length(digits.len(), list), name) {
        (Some(algorithm), Some(name)) => Line::Checksum { algorithm, digest: digits.to_ascii_lowercase(), name },
        _ => Line::Damaged,
    }
}

/// The parts of `ALGORITHM (NAME) = DIGEST`. A name may contain `) = `, so the last one counts.
fn bsd(line: &str) -> Option<(Algorithm, &str, &str)> {
    let (algorithm, rest) = line.split_once(" (").or_else(|| line.split_once('('))?;
    let algorithm = Algorithm::named(algorithm)?;
    let (name, digest) = rest.rsplit_once(") = ").or_else(|| rest.rsplit_once(")= "))?;
    Some((algorithm, name, digest.trim()))
}

/// A digest in hexadecimal digits, or in base64 as OpenBSD writes it.
fn digest_of(text: &str, algorithm: Algorithm) -> Option<String> {
    let Some(digits) = algorithm.digits() else { return Some(text.to_owned()) };
    if text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(text.to_ascii_lowercase());
    }
    let bytes = STANDARD.decode(text).ok()?;
    (bytes.len() * 2 == digits).then(|| hex(&bytes))
}

/// A name as GNU coreutils escapes it: `\\`, `\n` and `\r`.
fn unescape(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut letters = name.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        plain.push(match letters.next()? {
            '\\' => '\\',
            'n' => '\n',
            'r' => '\r',
            _ => return None,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests;
