//! Archives that hold the same in different bytes: what their compressed form tells about the compressor.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::{Difference, differing_byte};
use crate::encode::{BZIP2_LEVEL, DEFLATE_LEVEL, XZ_BLOCK, XZ_PRESET};
use crate::read::{self, Limits, ReadError};
use drydock_config::release::Format;

pub(super) fn explain(
    expected: &Path,
    found: &Path,
    format: Format,
    limits: Limits,
    byte: u64,
) -> Result<Difference, ReadError> {
    let (ours, theirs) = (head(expected)?, head(found)?);
    let difference = |field: &str, expected: String, found: String, cause: &str| Difference {
        entry: None,
        field: field.to_owned(),
        expected,
        found,
        byte: Some(byte),
        cause: cause.to_owned(),
    };
    if let Some(compression) = crate::format::info(format).compression {
        let one = read::tar_stream(expected, compression, limits)?;
        let other = read::tar_stream(found, compression, limits)?;
        if let Some(byte) = differing_byte(one, other)? {
            let cause = "another tar program: blocks at the end, or unused fields of headers";
            return Ok(Difference {
                byte: Some(byte),
                ..difference("the tar stream", "as it is".into(), "different".into(), cause)
            });
        }
    }
    let deflate = format!("another deflate library or level than zlib-rs level {DEFLATE_LEVEL}, such as gzip's own");
    Ok(match format {
        Format::TarGz => {
            let fields = |head: &[u8; 64]| {
                let mtime = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
                [
                    ("the flags of gzip", u32::from(head[3])),
                    ("the mtime of gzip", mtime),
                    ("the level of gzip", u32::from(head[8])),
                    ("the system of gzip", u32::from(head[9])),
                ]
            };
            let pairs = fields(&ours).into_iter().zip(fields(&theirs));
            match pairs.into_iter().find(|(one, other)| one.1 != other.1) {
                Some(((name, one), (_, other))) => {
                    let cause = match name {
                        "the mtime of gzip" => "`gzip` without -n, which stores the time",
                        "the flags of gzip" => "`gzip` without -n, which stores the file's name",
                        "the level of gzip" => "another level of deflate",
                        _ => "another program than Drydock",
                    };
                    difference(name, one.to_string(), other.to_string(), cause)
                }
                None => difference("the compressed bytes", "those of Drydock".into(), "others".into(), &deflate),
            }
        }
        Format::TarBz2 => {
            let level = |head: &[u8; 64]| char::from(head[3]).to_string();
            if level(&ours) == level(&theirs) {
                let cause = "another bzip2 library, or a parallel one (pbzip2, lbzip2) with several streams";
                difference("the compressed bytes", "those of Drydock".into(), "others".into(), cause)
            } else {
                let cause = format!(
                    "another level than {BZIP2_LEVEL} (`bzip2 -{}`, or BZIP2 in the environment)",
                    level(&theirs)
                );
                difference("the level of bzip2", level(&ours), level(&theirs), &cause)
            }
        }
        Format::TarXz => {
            let (one, other) = (xz(expected, &ours)?, xz(found, &theirs)?);
            let mode = |sizes: bool| if sizes { "multi-threaded" } else { "single-threaded" }.to_owned();
            if one.sizes != other.sizes {
                let cause = "the single-threaded encoder: `xz -T1`, or `xz` that fell back to it under a memory limit (XZ_DEFAULTS)";
                difference("the mode of xz", mode(one.sizes), mode(other.sizes), cause)
            } else if one.blocks != other.blocks {
                let cause = format!("another block size than {} MiB (`xz --block-size`)", XZ_BLOCK >> 20);
                difference(
                    "the blocks of xz",
                    format!("{:?} bytes", one.blocks),
                    format!("{:?} bytes", other.blocks),
                    &cause,
                )
            } else if one.head != other.head {
                let cause = format!("another preset than {XZ_PRESET} or another check (XZ_OPT, XZ_DEFAULTS)");
                difference("the header of xz", hex(&one.head), hex(&other.head), &cause)
            } else {
                let cause =
                    format!("another version of liblzma, or another preset than {XZ_PRESET} with the same dictionary");
                difference("the compressed bytes", "those of Drydock".into(), "others".into(), &cause)
            }
        }
        Format::Zip => difference("the compressed bytes", "those of Drydock".into(), "others".into(), &deflate),
    })
}

fn head(path: &Path) -> Result<[u8; 64], ReadError> {
    let mut head = [0; 64];
    let mut bytes = Vec::new();
    File::open(path)?.take(64).read_to_end(&mut bytes)?;
    head[..bytes.len()].copy_from_slice(&bytes);
    Ok(head)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What an xz file tells about its encoder.
struct Xz {
    /// Whether the first block's header has sizes, which only the multi-threaded encoder can know.
    sizes: bool,
    /// The uncompressed sizes of the blocks, at most 64 of them.
    blocks: Vec<u64>,
    /// The flags of the stream (the check), and the filters of the first block.
    head: Vec<u8>,
}

/// Reads headers and index; the file was unpacked before, so it is a whole one (the `.xz` file format 1.2, sections 2 to 4).
fn xz(path: &Path, head: &[u8; 64]) -> Result<Xz, ReadError> {
    let damaged = || ReadError::Damaged("the index of xz".into());
    let (stream_flags, block) = (&head[6..8], &head[12..]);
    let flags = block[1];
    let sizes = flags & 0xc0 == 0xc0;
    let mut rest = &block[2..];
    for present in [0x40, 0x80] {
        if flags & present != 0 {
            varint(&mut rest).ok_or_else(damaged)?;
        }
    }
    // The filter's name, the size of its properties, and LZMA2's dictionary.
    let head = [stream_flags, &rest[..3.min(rest.len())]].concat();

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
    Ok(Xz { sizes, blocks, head })
}

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
