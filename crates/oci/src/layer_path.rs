//! Paths in layers as text. Names of base images that are not UTF-8 are kept: each byte that is not becomes a character of private
//! use, which leads back to it. Layers that are built here have no such names.

use drydock_archive::read::{Member, ReadError};

/// The character that stands for the byte 0.
const FIRST: u32 = 0x10_FE00;

/// The files that a whiteout removes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whiteout {
    /// A file or directory.
    One(String),
    /// All files in a directory.
    All(String),
}

/// Parses a path in a layer as a whiteout.
///
/// # Errors
/// The path has the name of a whiteout that has no meaning in an image.
pub fn whiteout(path: &str) -> Result<Option<Whiteout>, ReadError> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(removed) = name.strip_prefix(".wh.") else { return Ok(None) };
    match removed {
        ".wh..opq" => Ok(Some(Whiteout::All(directory.to_owned()))),
        "" => Err(ReadError::Unsafe(format!("the whiteout {path:?} has no name"))),
        // Hard links and orphans as AUFS keeps them.
        _ if removed.starts_with(".wh.") => {
            Err(ReadError::Unsupported(format!("{path:?}, a file of the AUFS file system")))
        }
        _ if directory.is_empty() => Ok(Some(Whiteout::One(removed.to_owned()))),
        _ => Ok(Some(Whiteout::One(format!("{directory}/{removed}")))),
    }
}

/// Normalises a path of an archive: without `.`, and without `/` at its ends.
///
/// # Errors
/// The path contains `..` or is not valid UTF-8.
pub fn clean_path(path: &str) -> Result<String, ReadError> {
    if path.contains(['\u{fffd}', '\0']) {
        return Err(ReadError::Unsafe(format!("the path {path:?} is not valid UTF-8")));
    }
    normalised(path)
}

fn normalised(path: &str) -> Result<String, ReadError> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(ReadError::Unsafe(format!("the path {path:?} contains a `..` component")));
    }
    Ok(parts.join("/"))
}

/// Returns the normalised path of an entry of a base layer.
///
/// # Errors
/// The path contains `..`, or no file can have it.
pub(super) fn layer_path(member: &Member) -> Result<String, ReadError> {
    normalised(&text_of(member.raw_path.as_deref().unwrap_or(member.path.as_bytes()))?)
}

/// Returns the normalised path that a hard link of a base layer names.
///
/// # Errors
/// See [`layer_path`].
pub(super) fn hard_link_target(member: &Member, target: &str) -> Result<String, ReadError> {
    normalised(&link_target(member, target)?)
}

/// Returns the target of a link of a base layer, as it is.
///
/// # Errors
/// No link can have it.
pub(super) fn link_target(member: &Member, target: &str) -> Result<String, ReadError> {
    text_of(member.raw_link.as_deref().unwrap_or(target.as_bytes()))
}

fn text_of(bytes: &[u8]) -> Result<String, ReadError> {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().contains(|letter| letter == '\0' || byte_of(letter).is_some()) {
            let shown = bytes.escape_ascii();
            return Err(ReadError::Unsupported(format!(
                "the name `{shown}`, whose characters have another meaning here"
            )));
        }
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(|byte| char::from_u32(FIRST + u32::from(*byte))));
    }
    Ok(text)
}

/// The byte that a character stands for.
fn byte_of(letter: char) -> Option<u8> {
    u32::from(letter).checked_sub(FIRST).and_then(|byte| u8::try_from(byte).ok())
}

/// Returns the bytes of a path or target in the file system.
pub(super) fn bytes_of(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for letter in text.chars() {
        match byte_of(letter) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

/// Returns true if a path is UTF-8 in the file system.
pub(super) fn is_utf8(path: &str) -> bool {
    path.chars().all(|letter| byte_of(letter).is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whiteouts_are_recognised() {
        let found = |path: &str| whiteout(path).map_err(|error| error.to_string());
        assert_eq!(found("a/.wh.b"), Ok(Some(Whiteout::One("a/b".into()))));
        assert_eq!(found(".wh.b"), Ok(Some(Whiteout::One("b".into()))));
        assert_eq!(found("a/.wh..wh..opq"), Ok(Some(Whiteout::All("a".into()))));
        assert_eq!(found("a/x.wh.b"), Ok(None));
        assert!(found("a/.wh.").unwrap_err().contains("has no name"));
        assert!(found(".wh..wh.plnk").unwrap_err().contains("a file of the AUFS file system"));
    }

    #[test]
    fn archive_paths_are_normalised() {
        assert_eq!(clean_path("./usr//bin/").unwrap(), "usr/bin");
        assert_eq!(clean_path("/").unwrap(), "");
        for bad in ["../x", "a/../../b", "a\u{fffd}", "a\0"] {
            assert!(clean_path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_name_of_bytes_leads_back_to_them() {
        let all: Vec<u8> = (1..=255).collect();
        for bytes in [&all[..], b"caf\xe9", b"\xc3\xa9", b"\xe2\x82/\xac", b"", "\u{fffd}\n".as_bytes()] {
            let text = text_of(bytes).unwrap();
            assert_eq!(bytes_of(&text), bytes);
            assert_eq!(is_utf8(&text), std::str::from_utf8(bytes).is_ok(), "{text:?}");
        }
        for bad in ["a\0b", "a\u{10fee4}"] {
            assert!(text_of(bad.as_bytes()).unwrap_err().to_string().contains("another meaning here"), "{bad:?}");
        }
    }
}
