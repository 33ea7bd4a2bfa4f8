//! The table of archive formats, and that of the compressions of tar streams. Names, media types, magic bytes and
//! decoders are columns here; encoders are in `encode`, and signs of foreign encoders in `difference`.

use std::io::{self, BufRead as _, BufReader, Read};

use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use xz2::bufread::XzDecoder;

use crate::members::{Member, Members, Peeked};
use crate::read_error::ReadError;
use crate::zstd;
use drydock_config::release::Format;

/// The memory limit of the xz decoder in bytes; the dictionaries of all presets fit.
const XZ_MEMORY: u64 = 128 << 20;

/// The properties of an archive format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatInfo {
    /// The format, which knows its file name extension.
    pub format: Format,
    /// The media type to publish files under.
    pub media_type: &'static str,
    /// The compression of the tar stream; none for zip, which compresses file by file.
    pub compression: Option<Compression>,
}

/// Every archive format.
const FORMATS: [FormatInfo; 4] = [
    FormatInfo { format: Format::TarGz, media_type: "application/gzip", compression: Some(Compression::Gzip) },
    FormatInfo { format: Format::TarXz, media_type: "application/x-xz", compression: Some(Compression::Xz) },
    FormatInfo { format: Format::TarBz2, media_type: "application/x-bzip2", compression: Some(Compression::Bzip2) },
    FormatInfo { format: Format::Zip, media_type: "application/zip", compression: None },
];

/// The properties of a format.
pub fn info(format: Format) -> FormatInfo {
    // A test finds every format in the table.
    FORMATS.into_iter().find(|info| info.format == format).unwrap_or(FORMATS[0])
}

/// The compression of a tar stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// No compression.
    Plain,
    /// gzip.
    Gzip,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// Zstandard; read only.
    Zstd,
    /// The format of LZMA before xz, `.lzma`; read only.
    Lzma,
}

/// A decoder of a buffered stream.
type Decoder = for<'a> fn(BufReader<Box<dyn Read + 'a>>) -> io::Result<Box<dyn Read + 'a>>;

/// The properties of a compression.
struct CompressionInfo {
    compression: Compression,
    /// The name in messages.
    name: &'static str,
    /// The last suffix of the name of a compressed file.
    suffix: &'static str,
    /// The first bytes of every stream.
    magic: &'static [u8],
    decoder: Decoder,
}

/// Every compression. Decoders read all members of a stream, and refuse anything else after them.
const COMPRESSIONS: [CompressionInfo; 6] = [
    CompressionInfo {
        compression: Compression::Plain,
        name: "tar",
        suffix: "",
        magic: b"",
        decoder: |stream| Ok(Box::new(stream)),
    },
    CompressionInfo {
        compression: Compression::Gzip,
        name: "gzip",
        suffix: ".gz",
        magic: GZIP,
        decoder: |stream| Ok(Box::new(Members::<_, GzDecoder<_>>::new(stream))),
    },
    CompressionInfo {
        compression: Compression::Xz,
        name: "xz",
        suffix: ".xz",
        magic: XZ,
        decoder: |stream| Ok(Box::new(Members::<_, XzDecoder<_>>::new(stream))),
    },
    CompressionInfo {
        compression: Compression::Bzip2,
        name: "bzip2",
        suffix: ".bz2",
        magic: BZIP2,
        decoder: |stream| Ok(Box::new(Members::<_, BzDecoder<_>>::new(stream))),
    },
    CompressionInfo {
        compression: Compression::Zstd,
        name: "zstd",
        suffix: ".zst",
        magic: zstd::MAGIC,
        decoder: |stream| Ok(Box::new(Members::<_, zstd::Frame<_>>::new(stream))),
    },
    CompressionInfo {
        compression: Compression::Lzma,
        name: "lzma",
        suffix: ".lzma",
        // The format has no magic bytes: this is the byte of the properties that every encoder has by default.
        magic: b"\x5d",
        decoder: |stream| {
            let decoder = xz2::stream::Stream::new_lzma_decoder(XZ_MEMORY).map_err(io::Error::other)?;
            Ok(Box::new(Single(XzDecoder::new_stream(stream, decoder))))
        },
    },
];

const GZIP: &[u8] = b"\x1f\x8b";
const XZ: &[u8] = b"\xfd7zXZ\0";
const BZIP2: &[u8] = b"BZh";

impl<R: io::BufRead> Member<R> for GzDecoder<Peeked<R>> {
    const NAME: &'static str = "gzip";
    const MAGIC: &'static [u8] = GZIP;

    fn open(stream: Peeked<R>) -> io::Result<Self> {
        Ok(GzDecoder::new(stream))
    }

    fn close(self) -> Peeked<R> {
        self.into_inner()
    }
}

impl<R: io::BufRead> Member<R> for XzDecoder<Peeked<R>> {
    const NAME: &'static str = "xz";
    const MAGIC: &'static [u8] = XZ;

    fn open(stream: Peeked<R>) -> io::Result<Self> {
        let decoder = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::other)?;
        Ok(XzDecoder::new_stream(stream, decoder))
    }

    fn close(self) -> Peeked<R> {
        self.into_inner()
    }

    /// Zeros may follow a stream, in multiples of four bytes.
    fn skip(stream: &mut Peeked<R>) -> io::Result<bool> {
        let padding = stream.peek(4)?;
        if padding.is_empty() || padding.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        stream.read_exact(&mut [0; 4])?;
        Ok(true)
    }
}

impl<R: io::BufRead> Member<R> for BzDecoder<Peeked<R>> {
    const NAME: &'static str = "bzip2";
    const MAGIC: &'static [u8] = BZIP2;

    fn open(stream: Peeked<R>) -> io::Result<Self> {
        Ok(BzDecoder::new(stream))
    }

    fn close(self) -> Peeked<R> {
        self.into_inner()
    }
}

/// A reader of one stream of LZMA, which has to be the whole file.
struct Single<R: io::BufRead>(XzDecoder<R>);

impl<R: io::BufRead> Read for Single<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        if read == 0 && !buffer.is_empty() && !self.0.get_mut().fill_buf()?.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it has trailing data"));
        }
        Ok(read)
    }
}

impl Compression {
    fn info(self) -> &'static CompressionInfo {
        const TABLE: &[CompressionInfo] = &COMPRESSIONS;
        // A test finds every compression in the table.
        TABLE.iter().find(|info| info.compression == self).unwrap_or(&TABLE[0])
    }

    /// The name in messages.
    pub(crate) fn name(self) -> &'static str {
        self.info().name
    }

    /// The first bytes of every stream.
    pub(crate) fn magic(self) -> &'static [u8] {
        self.info().magic
    }

    /// The compression of a file whose name ends with this suffix, such as `.xz`; empty for an uncompressed file.
    pub fn from_suffix(suffix: &str) -> Option<Compression> {
        COMPRESSIONS.into_iter().find(|info| info.suffix == suffix).map(|info| info.compression)
    }

    /// Decompresses a stream.
    ///
    /// # Errors
    /// [`ReadError::Truncated`] and [`ReadError::Damaged`] for a stream that does not start with the magic bytes, and
    /// [`ReadError::Io`] if it cannot be read.
    pub(crate) fn decoder<'a>(self, stream: impl Read + 'a) -> Result<Box<dyn Read + 'a>, ReadError> {
        let info = self.info();
        let mut stream = BufReader::with_capacity(1 << 16, Box::new(stream) as Box<dyn Read + 'a>);
        let start = stream.fill_buf()?;
        let is_skippable = self == Compression::Zstd && zstd::is_skippable(start);
        if !start.starts_with(info.magic) && !is_skippable {
            return Err(if start.len() < info.magic.len() {
                ReadError::Truncated("the file".into())
            } else {
                ReadError::Damaged(format!("it does not start like a {} file", info.name))
            });
        }
        (info.decoder)(stream).map_err(|error| ReadError::Damaged(format!("the {} stream: {error}", info.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_complete() {
        for format in Format::ALL {
            let info = info(format);
            assert_eq!(info.format, format);
            let extension = info.compression.map_or("zip".to_owned(), |one| format!("tar{}", one.info().suffix));
            assert_eq!(format.extension(), extension);
        }
        use Compression::{Bzip2, Gzip, Lzma, Plain, Xz, Zstd};
        for compression in [Plain, Gzip, Xz, Bzip2, Zstd, Lzma] {
            assert_eq!(compression.info().compression, compression);
            assert_eq!(Compression::from_suffix(compression.info().suffix), Some(compression));
        }
        assert_eq!(Compression::from_suffix(".Z"), None);
    }

    #[test]
    fn what_follows_a_stream_is_another_one_or_is_named() {
        let (content, mut packed) = (b"content ".repeat(3000), Vec::new());
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &content).unwrap();
        xz2::read::XzEncoder::new(&content[..], 1).read_to_end(&mut packed).unwrap();
        let mut bzip2 = Vec::new();
        bzip2::read::BzEncoder::new(&content[..], bzip2::Compression::fast()).read_to_end(&mut bzip2).unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&content[..], ruzstd::encoding::CompressionLevel::Fastest);
        let all = [
            (Compression::Gzip, gzip.finish().unwrap()),
            (Compression::Xz, packed),
            (Compression::Bzip2, bzip2),
            (Compression::Zstd, zstd),
        ];
        for (compression, one) in all {
            let decoded = |parts: &[&[u8]]| {
                let (bytes, mut plain) = (parts.concat(), Vec::new());
                compression.decoder(&bytes[..]).map_err(io::Error::other)?.read_to_end(&mut plain)?;
                Ok::<_, io::Error>(plain)
            };
            assert_eq!(decoded(&[&one, &one, &one]).unwrap(), content.repeat(3), "{compression:?}");
            for rest in [&b"x"[..], b"\n", b"garbage that is longer than any magic number", b"\0"] {
                let error = decoded(&[&one, rest]).unwrap_err();
                let is_padding = compression == Compression::Xz && rest == b"\0";
                let expected = if is_padding { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
                assert_eq!(error.kind(), expected, "{compression:?} {rest:?} {error}");
                assert!(is_padding || error.to_string().contains("trailing data"), "{compression:?} {error}");
            }
            for cut in [1, 3, one.len() - 1] {
                let error = decoded(&[&one, &one[..cut]]).unwrap_err();
                assert!(!error.to_string().contains("trailing data"), "{compression:?} {cut} {error}");
            }
            let padded = decoded(&[&one, &[0; 8], &one, &[0; 4]]);
            assert_eq!(padded.is_ok(), compression == Compression::Xz, "{compression:?}");
        }
    }

    fn lzma(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        Compression::Lzma.decoder(bytes).map_err(io::Error::other)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn streams_of_lzma_are_read_to_their_end_and_no_further() {
        let options = xz2::stream::LzmaOptions::new_preset(6).unwrap();
        let stream = xz2::stream::Stream::new_lzma_encoder(&options).unwrap();
        let content = b"content ".repeat(20_000);
        let mut packed = Vec::new();
        xz2::read::XzEncoder::new_stream(&content[..], stream).read_to_end(&mut packed).unwrap();
        assert_eq!(lzma(&packed).unwrap(), content);
        for length in 0..packed.len() {
            assert!(lzma(&packed[..length]).is_err(), "{length} of {} bytes", packed.len());
        }
        assert!(lzma(&[&packed[..], b"x"].concat()).is_err() && lzma(&[&packed[..], &packed].concat()).is_err());
    }
}
