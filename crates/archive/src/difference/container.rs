//! Archives with the same content in different bytes: the signs of foreign compressors in the compressed form.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Difference, Pair, differing_byte};
use crate::encode::{BZIP2_LEVEL, DEFLATE_LEVEL, XZ_BLOCK, XZ_PRESET};
use crate::format;
use crate::read::{self, ReadError};
use drydock_base::checksum::hex;
use drydock_config::release::Format;

/// The number of bytes at the start of a file that are compared.
const HEADER: usize = 64;

/// A part of the compressed form with a value in each archive, and the likely cause of the difference.
struct Sign {
    part: &'static str,
    expected: String,
    found: String,
    cause: String,
}

/// Explains a difference that no entry shows; `byte` is the first byte of the files that differs.
pub(super) fn explain(pair: &Pair<'_>, byte: u64) -> Result<Difference, ReadError> {
    let (sign, byte) = match in_tar_stream(pair)? {
        Some((sign, byte)) => (sign, byte),
        None => {
            let (ours, theirs) = (header(pair.expected)?, header(pair.found)?);
            let sign = match pair.format {
                Format::TarGz => gzip(&ours, &theirs),
                Format::TarBz2 => bzip2(&ours, &theirs),
                Format::TarXz => xz(&Xz::read(pair.expected, &ours)?, &Xz::read(pair.found, &theirs)?),
                Format::Zip => other_bytes(other_deflate()),
            };
            (sign, byte)
        }
    };
    let Sign { part, expected, found, cause } = sign;
    Ok(Difference { entry: None, field: part.to_owned(), expected, found, byte: Some(byte), cause })
}

/// A difference of the tar streams, and the first byte of it.
fn in_tar_stream(pair: &Pair<'_>) -> Result<Option<(Sign, u64)>, ReadError> {
    let Some(compression) = format::info(pair.format).compression else { return Ok(None) };
    let stream = |path| read::tar_stream(path, compression, pair.limits);
    let byte = differing_byte(stream(pair.expected)?, stream(pair.found)?)?;
    let sign = |cause: &str| sign("the tar stream", "that of Drydock", "different", cause);
    Ok(byte.map(|byte| (sign("another tar program: blocks at the end, or unused fields of headers"), byte)))
}

fn sign(part: &'static str, expected: impl ToString, found: impl ToString, cause: impl Into<String>) -> Sign {
    Sign { part, expected: expected.to_string(), found: found.to_string(), cause: cause.into() }
}

/// Compressed bytes that differ although all settings are the same.
fn other_bytes(cause: impl Into<String>) -> Sign {
    sign("the compressed bytes", "those of Drydock", "different", cause)
}

fn other_deflate() -> String {
    format!("another deflate library or level than zlib-rs level {DEFLATE_LEVEL}, such as that of gzip")
}

/// RFC 1952, section 2.3.
fn gzip(ours: &[u8; HEADER], theirs: &[u8; HEADER]) -> Sign {
    let mtime = |header: &[u8; HEADER]| u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
    let byte = |at: usize| (u32::from(ours[at]), u32::from(theirs[at]));
    let fields = [
        ("the flags of gzip", byte(3), "`gzip` without -n, which stores the name of the file"),
        ("the mtime of gzip", (mtime(ours), mtime(theirs)), "`gzip` without -n, which stores the time"),
        ("the level of gzip", byte(8), "another level of deflate"),
        ("the system of gzip", byte(9), "a program other than Drydock"),
    ];
    let different = fields.into_iter().find(|(_, (one, other), _)| one != other);
    different.map_or_else(|| other_bytes(other_deflate()), |(name, (one, other), cause)| sign(name, one, other, cause))
}

fn bzip2(ours: &[u8; HEADER], theirs: &[u8; HEADER]) -> Sign {
    let (one, other) = (char::from(ours[3]), char::from(theirs[3]));
    if one == other {
        return other_bytes("another bzip2 library, or a parallel one with several streams (pbzip2, lbzip2)");
    }
    let cause = format!("another level than {BZIP2_LEVEL} (`bzip2 -{other}`, or BZIP2 in the environment)");
    sign("the level of bzip2", one, other, cause)
}

fn xz(ours: &Xz, theirs: &Xz) -> Sign {
    if ours.sizes != theirs.sizes {
        let mode = |sizes: bool| if sizes { "multi-threaded" } else { "single-threaded" };
        let cause = "the single-threaded encoder: `xz -T1`, or a memory limit for `xz` (XZ_DEFAULTS)";
        sign("the mode of xz", mode(ours.sizes), mode(theirs.sizes), cause)
    } else if ours.blocks != theirs.blocks {
        let sizes = |blocks: &[u64]| format!("{blocks:?} bytes");
        let cause = format!("another block size than {} MiB (`xz --block-size`)", XZ_BLOCK >> 20);
        sign("the blocks of xz", sizes(&ours.blocks), sizes(&theirs.blocks), cause)
    } else if ours.settings != theirs.settings {
        let cause = format!("another preset than {XZ_PRESET} or another check (XZ_OPT, XZ_DEFAULTS)");
        sign("the header of xz", hex(&ours.settings), hex(&theirs.settings), cause)
    } else {
        let preset = format!("another preset than {XZ_PRESET} with the same dictionary");
        other_bytes(format!("another version of liblzma, or {preset}"))
    }
}

/// The start of a file, padded with zeros.
fn header(path: &Path) -> Result<[u8; HEADER], ReadError> {
    let mut header = [0; HEADER];
    let mut bytes = Vec::new();
    File::open(path)?.take(HEADER as u64).read_to_end(&mut bytes)?;
    header[..bytes.len()].copy_from_slice(&bytes);
    Ok(header)
}

/// The settings of the encoder of an xz file.
struct Xz {
    /// Whether the first block's header has sizes, which only the multi-threaded encoder writes.
    sizes: bool,
    /// The uncompressed sizes of at most 64 blocks, in bytes.
    blocks: Vec<u64>,
    /// The flags of the stream (the check), and the filters of the first block.
    settings: Vec<u8>,
}

impl Xz {
    /// Reads headers and index of a complete file (the `.xz` file format 1.2, sections 2 to 4).
    fn read(path: &Path, header: &[u8; HEADER]) -> Result<Xz, ReadError> {
        let damaged = || ReadError::Damaged("the index of xz".into());
        let (stream_flags, block) = (&header[6..8], &header[12..]);
        let flags = block[1];
        let sizes = flags & 0xc0 == 0xc0;
        let mut rest = &block[2..];
        for present in [0x40, 0x80] {
            if flags & present != 0 {
                varint(&mut rest).ok_or_else(damaged)?;
            }
        }
        // The filter's name, the size of its properties, and LZMA2's dictionary.
        let settings = [stream_flags, &rest[..3.min(rest.len())]].concat();

        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut footer = [0; 12];
        file.seek(SeekFrom::Start(length.checked_sub(12).ok_or_else(damaged)?))?;
        file.read_exact(&mut footer)?;
        let index = (u64::from(u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]])) + 1) * 4;
        if !footer.ends_with(b"YZ") || index > 1 << 24 {
            return Err(damaged());
        }
        file.seek(SeekFrom::Start(length.checked_sub(12 + index).ok_or_else(damaged)?))?;
        let mut bytes = Vec::new();
        file.take(index).read_to_end(&mut bytes)?;
        let mut rest = bytes.get(1..).ok_or_else(damaged)?;
        let count = varint(&mut rest).ok_or_else(damaged)?;
        let mut blocks = Vec::new();
        for _ in 0..count.min(64) {
            varint(&mut rest).ok_or_else(damaged)?;
            blocks.push(varint(&mut rest).ok_or_else(damaged)?);
        }
        Ok(Xz { sizes, blocks, settings })
    }
}

/// A variable-length integer, taken off the start of `bytes`.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..9 {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
