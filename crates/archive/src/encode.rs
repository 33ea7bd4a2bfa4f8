//! The compressors, with the settings that decide their bytes.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use flate2::{Compression, GzBuilder, write::GzEncoder};
use xz2::stream::{Check, MtStreamBuilder};
use xz2::write::XzEncoder;

use drydock_config::release::Format;

/// The level of deflate in `.tar.gz` and `.zip`.
pub const DEFLATE_LEVEL: u32 = 9;
/// The level of deflate in layers of images: a third of the time of the highest, and a few percent larger.
pub const LAYER_LEVEL: u32 = 6;
/// The level of bzip2: blocks of 900 kB.
pub const BZIP2_LEVEL: u32 = 9;
/// The preset of xz.
pub const XZ_PRESET: u32 = 6;
/// How much goes into one block of xz: enough for its dictionary, and little enough that a release has several.
pub const XZ_BLOCK: u64 = 16 << 20;
/// The operating system in a gzip header: unknown (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

/// The libraries and settings that decide the bytes of archives, for `release.json`: exact versions, from the lock file.
pub fn libraries() -> Vec<(&'static str, String)> {
    let lock = include_str!("../../../Cargo.lock");
    let version = |name: &str| {
        let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("\nname = \"{name}\"\n")));
        let version = entry.and_then(|entry| entry.split("version = \"").nth(1)?.split('"').next());
        version.unwrap_or("unknown").to_owned()
    };
    vec![
        ("deflate", format!("zlib-rs {} by flate2 {}, level {DEFLATE_LEVEL}", version("zlib-rs"), version("flate2"))),
        (
            "bzip2",
            format!("libbz2-rs-sys {} by bzip2 {}, level {BZIP2_LEVEL}", version("libbz2-rs-sys"), version("bzip2")),
        ),
        (
            "xz",
            format!(
                "liblzma-sys {}, preset {XZ_PRESET}, multi-threaded encoder, blocks of {} MiB, CRC64",
                version("liblzma-sys"),
                XZ_BLOCK >> 20
            ),
        ),
        ("sha256", format!("sha2 {}", version("sha2"))),
    ]
}

/// One compressor of a tar stream.
pub(crate) enum Encoder<W: Write> {
    Gz(GzEncoder<W>),
    Xz(XzEncoder<W>),
    Bz2(BzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    /// The compressor of a tar format; none for zip, which compresses file by file.
    pub(crate) fn new(format: Format, threads: u32, out: W) -> io::Result<Option<Encoder<W>>> {
        Ok(Some(match format {
            Format::TarGz => Encoder::gzip(DEFLATE_LEVEL, out),
            Format::TarXz => {
                // Always the multi-threaded encoder, as one thread of it writes other bytes than the other encoder.
                // It has no memory limit here, under which it would change its mode: it does what it was told or fails.
                let mut stream = MtStreamBuilder::new();
                stream.threads(threads).block_size(XZ_BLOCK).preset(XZ_PRESET).check(Check::Crc64);
                Encoder::Xz(XzEncoder::new_stream(out, stream.encoder().map_err(io::Error::other)?))
            }
            Format::TarBz2 => Encoder::Bz2(BzEncoder::new(out, bzip2::Compression::new(BZIP2_LEVEL))),
            Format::Zip => return Ok(None),
        }))
    }

    /// gzip of a level, with a header that says nothing.
    pub(crate) fn gzip(level: u32, out: W) -> Encoder<W> {
        let header = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM);
        Encoder::Gz(header.write(out, Compression::new(level)))
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gz(encoder) => encoder.write_all(bytes),
            Encoder::Xz(encoder) => encoder.write_all(bytes),
            Encoder::Bz2(encoder) => encoder.write_all(bytes),
        }
    }

    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Gz(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
            Encoder::Bz2(encoder) => encoder.finish(),
        }
    }
}
