//! Files with detached signatures, taken apart: armoured OpenPGP and SSH signatures in any number and order, or binary
//! OpenPGP packets. Each signature is judged by itself, so that nobody can spoil those of others by adding one.
//!
//! Formats: RFC 9580, sections 4.2 (packet headers) and 6.2 (armour); OpenSSH's PROTOCOL.sshsig.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// More signatures than this in one file are not read.
pub const MOST_BLOCKS: usize = 100;
/// The tag of a signature packet.
const SIGNATURE: u8 = 2;
const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// A detached signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignatureBlock {
    /// Exactly one OpenPGP signature packet, with its header.
    OpenPgp(Vec<u8>),
    /// The content of an SSH signature, without armour.
    Ssh(Vec<u8>),
}

/// A part of a file that is not a detached signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// The file has no signature at all.
    #[error("it has no signature")]
    Empty,
    /// Another kind of armour, such as `PGP MESSAGE`.
    #[error("`{0}` is not a detached signature")]
    OtherArmour(String),
    /// The armour has no end, or its content is not base64.
    #[error("the armour of a signature is damaged")]
    Armour,
    /// A packet that is not a signature, by its tag.
    #[error("it has an OpenPGP packet of type {0}, which is not a detached signature")]
    OtherPacket(u8),
    /// The header of a packet has no valid length.
    #[error("an OpenPGP packet is damaged")]
    Packet,
    /// There are more than [`MOST_BLOCKS`].
    #[error("it has more than {MOST_BLOCKS} signatures; the rest is not read")]
    TooMany,
}

/// The signatures of a file, and what is wrong with its other parts.
pub fn split(bytes: &[u8]) -> Vec<Result<SignatureBlock, BlockError>> {
    let mut blocks = if bytes.first().is_some_and(|first| first & 0x80 != 0 && !bytes.starts_with(b"\xef\xbb\xbf")) {
        packets(bytes)
    } else {
        armoured(&String::from_utf8_lossy(bytes))
    };
    if blocks.is_empty() {
        blocks.push(Err(BlockError::Empty));
    }
    if blocks.len() > MOST_BLOCKS {
        blocks.truncate(MOST_BLOCKS);
        blocks.push(Err(BlockError::TooMany));
    }
    blocks
}

fn armoured(text: &str) -> Vec<Result<SignatureBlock, BlockError>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_end);
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else { continue };
        if blocks.len() > MOST_BLOCKS {
            break;
        }
        if kind != "PGP SIGNATURE" && kind != "SSH SIGNATURE" {
            blocks.push(Err(BlockError::OtherArmour(drydock_base::text::one_line(kind, 60))));
            continue;
        }
        let end = format!("-----END {kind}-----");
        let mut content: Vec<&str> = Vec::new();
        let is_ended = lines.by_ref().any(|line| {
            let is_end = line == end;
            if !is_end {
                content.push(line);
            }
            is_end
        });
        let decoded = is_ended.then(|| decode(&content)).flatten();
        match decoded {
            None => blocks.push(Err(BlockError::Armour)),
            Some(bytes) if kind == "SSH SIGNATURE" => blocks.push(Ok(SignatureBlock::Ssh(bytes))),
            Some(bytes) => blocks.extend(packets(&bytes)),
        }
    }
    blocks
}

/// The bytes of armour: headers up to an empty line, base64, and a checksum that gpg has to check.
pub(crate) fn decode(lines: &[&str]) -> Option<Vec<u8>> {
    let has_headers = lines.first().is_some_and(|line| line.is_empty() || line.contains(": "));
    let from = if has_headers { lines.iter().position(|line| line.is_empty())? + 1 } else { 0 };
    let content = lines[from..].iter().take_while(|line| !line.starts_with('='));
    STANDARD.decode(content.copied().collect::<String>()).ok()
}

/// Splits OpenPGP packets; only signatures are accepted.
fn packets(bytes: &[u8]) -> Vec<Result<SignatureBlock, BlockError>> {
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() && blocks.len() <= MOST_BLOCKS {
        let Some((tag, length)) = packet(rest).filter(|(_, length)| *length <= rest.len()) else {
            blocks.push(Err(BlockError::Packet));
            break;
        };
        let (one, others) = rest.split_at(length);
        rest = others;
        blocks.push(if tag == SIGNATURE {
            Ok(SignatureBlock::OpenPgp(one.to_vec()))
        } else {
            Err(BlockError::OtherPacket(tag))
        });
    }
    blocks
}

/// The tag of the first packet, and its length with its header; none for lengths that are partial, indeterminate or cut.
pub(crate) fn packet(bytes: &[u8]) -> Option<(u8, usize)> {
    let at = |index: usize| bytes.get(index).map(|byte| usize::from(*byte));
    let first = at(0).filter(|first| first & 0x80 != 0)?;
    let big_endian = |from: usize, count: usize| {
        let bytes = bytes.get(from..from + count)?;
        Some(bytes.iter().fold(0, |value: usize, byte| value << 8 | usize::from(*byte)))
    };
    let (tag, header, length) = if first & 0x40 == 0 {
        let count = 1 << (first & 3);
        (first >> 2 & 0xf, 1 + count, if count == 8 { None } else { big_endian(1, count) }?)
    } else {
        let (header, length) = match at(1)? {
            short @ 0..=191 => (2, short),
            two @ 192..=223 => (3, ((two - 192) << 8) + at(2)? + 192),
            255 => (6, big_endian(2, 4)?),
            _ => return None,
        };
        (first & 0x3f, header, length)
    };
    Some((u8::try_from(tag).ok()?, header.checked_add(length)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armour(kind: &str, bytes: &[u8]) -> String {
        let headers = if kind.starts_with("PGP") { "Comment: x\r\n\r\n" } else { "" };
        format!("-----BEGIN {kind}-----\r\n{headers}{}\r\n-----END {kind}-----\r\n", STANDARD.encode(bytes))
    }

    #[test]
    fn every_signature_is_taken_by_itself() {
        let signature = [0xc2, 3, 4, 0, 1];
        let old = [0x88, 3, 4, 0, 2];
        let text = [
            "words\n".to_owned(),
            armour("PGP SIGNATURE", &[signature, old].concat()),
            armour("SSH SIGNATURE", b"SSHSIG"),
            armour("PGP MESSAGE", &[0xcb, 1, 0]),
            armour("PGP SIGNATURE", &[0xcb, 1, 0]),
            "-----BEGIN PGP SIGNATURE-----\n\nAAAA".to_owned(),
        ];
        let expected = vec![
            Ok(SignatureBlock::OpenPgp(signature.to_vec())),
            Ok(SignatureBlock::OpenPgp(old.to_vec())),
            Ok(SignatureBlock::Ssh(b"SSHSIG".to_vec())),
            Err(BlockError::OtherArmour("PGP MESSAGE".into())),
            Err(BlockError::OtherPacket(11)),
            Err(BlockError::Armour),
        ];
        assert_eq!(split(text.concat().as_bytes()), expected);
        assert_eq!(split(&[signature, old].concat()), expected[..2]);
        assert_eq!(split(b"no signature"), [Err(BlockError::Empty)]);
        assert_eq!(split(b""), [Err(BlockError::Empty)]);
    }

    #[test]
    fn a_length_that_leads_outside_is_refused() {
        for bytes in
            [&[0xc2][..], &[0xc2, 9, 1], &[0x8b, 1], &[0xc2, 255, 255, 255, 255, 255], &[0xc2, 224, 1], &[0x8a, 0]]
        {
            assert_eq!(split(bytes), [Err(BlockError::Packet)], "{bytes:x?}");
        }
    }

    #[test]
    fn at_most_so_many_are_read() {
        let many = split(&[0xc2, 1, 4].repeat(MOST_BLOCKS * 3));
        assert_eq!(many.len(), MOST_BLOCKS + 1);
        assert_eq!(many.last(), Some(&Err(BlockError::TooMany)));
    }
}
