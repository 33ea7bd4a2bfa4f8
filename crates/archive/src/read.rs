//! Reading archives from anywhere: bounded, without panics, and nothing is written outside of one directory.

mod ahead;
mod tar;
mod unpack;
mod zip;

pub use unpack::unpack;

use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use bzip2::read::BzDecoder;
use flate2::bufread::{GzDecoder, MultiGzDecoder};
use xz2::bufread::XzDecoder;

use drydock_base::sums::{Sha256Sum, Summing};
use drydock_config::release::Format;

/// How much memory the xz decoder may use: any preset's dictionary fits.
const XZ_MEMORY: u64 = 128 << 20;

/// What is read at most, so that a bomb ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of unpacked content, or of the tar stream.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: usize,
}

impl Limits {
    /// For archives of which nothing is known.
    pub const UNKNOWN: Limits = Limits { bytes: 4 << 30, entries: 1_000_000 };
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It ends too early.
    #[error("it is cut off: {0} is not whole")]
    Truncated(String),
    /// It is no such archive, or a damaged one.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than it may.
    #[error("it unpacks to more than the {0} bytes that are expected; is it a bomb?")]
    TooLarge(u64),
    /// It has more entries than it may.
    #[error("it has more than the {0} entries that are expected")]
    TooMany(usize),
    /// It uses what no release needs.
    #[error("it has {0}, which no release of Drydock has")]
    Unsupported(String),
    /// It would write where it may not.
    #[error("it cannot be unpacked safely: {0}")]
    Unsafe(String),
    /// The file system refused.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link and its target.
    Link(String),
    /// Another name of a file in the same archive.
    HardLink(String),
    /// Anything else, such as a device.
    Other(String),
}

/// One entry as its header describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path, as far as it is UTF-8.
    pub path: String,
    /// What it is.
    pub kind: MemberKind,
    /// Its permissions.
    pub mode: u32,
    /// User and group; 0 in a zip file.
    pub owner: (u64, u64),
    /// Seconds since 1970; 0 in a zip file.
    pub time: u64,
    /// Extended attributes.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Its size in bytes.
    pub size: u64,
    /// Where its header starts: in the tar stream, or in the zip file.
    pub offset: u64,
    /// Every field of its header by name, as text, in the order of the header.
    pub fields: Vec<(&'static str, String)>,
}

/// An entry with the sum of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The entry.
    pub member: Member,
    /// The sum of its content.
    pub sha256: Sha256Sum,
}

/// Called for each entry with a reader of its content.
pub type Each<'a> = dyn FnMut(&Member, &mut dyn Read) -> Result<(), ReadError> + 'a;

/// Reads all entries of an archive, in the order in which it has them.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit(file: &Path, format: Format, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    visit_in(drydock_base::paths::open_regular(file)?, format, limits, each)
}

fn visit_in<R: Read + Seek>(source: R, format: Format, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    match format {
        Format::Zip => zip::visit(source, limits, each),
        Format::TarGz | Format::TarXz | Format::TarBz2 => {
            tar::visit(&mut Bounded::new(decompressed(source, format)?, limits.bytes), limits, each)
        }
    }
}

/// Every entry of an archive in memory with its sum; of a plain tar stream without a format.
///
/// # Errors
/// As [`visit`].
pub fn list_bytes(bytes: &[u8], format: Option<Format>, limits: Limits) -> Result<Vec<Listed>, ReadError> {
    let mut all = Vec::new();
    let mut each = listing(&mut all);
    match format {
        Some(format) => visit_in(io::Cursor::new(bytes), format, limits, &mut each)?,
        None => tar::visit(&mut Bounded::new(bytes, limits.bytes), limits, &mut each)?,
    }
    drop(each);
    Ok(all)
}

/// Adds each entry with the sum of its content to a list.
fn listing(all: &mut Vec<Listed>) -> impl FnMut(&Member, &mut dyn Read) -> Result<(), ReadError> + '_ {
    |member, content| {
        let mut sum = Summing::new(io::sink());
        io::copy(content, &mut sum)?;
        all.push(Listed { member: member.clone(), sha256: sum.finish().0 });
        Ok(())
    }
}

/// Every entry with its sum.
///
/// # Errors
/// As [`visit`].
pub fn list(file: &Path, format: Format, limits: Limits) -> Result<Vec<Listed>, ReadError> {
    let mut all = Vec::new();
    let mut each = listing(&mut all);
    visit(file, format, limits, &mut each)?;
    drop(each);
    Ok(all)
}

/// The content of the entry at one position, at most `most` bytes of it.
///
/// # Errors
/// As [`visit`].
pub fn content(file: &Path, format: Format, limits: Limits, position: usize, most: u64) -> Result<Vec<u8>, ReadError> {
    let (mut bytes, mut at) = (Vec::new(), 0);
    visit(file, format, limits, &mut |_, content| {
        if at == position {
            content.take(most).read_to_end(&mut bytes)?;
        }
        at += 1;
        Ok(())
    })?;
    Ok(bytes)
}

/// The sum and the size of the tar stream in a file.
///
/// # Errors
/// As [`visit`].
pub fn tar_sum(file: &Path, format: Format, limits: Limits) -> Result<(Sha256Sum, u64), ReadError> {
    let mut stream = Bounded::new(decompressed(drydock_base::paths::open_regular(file)?, format)?, limits.bytes);
    let mut sum = Summing::new(io::sink());
    io::copy(&mut stream, &mut sum).map_err(|error| stream.explain(error))?;
    Ok(sum.finish())
}

/// The tar stream of a file, for comparing two of them byte by byte.
///
/// # Errors
/// The file cannot be read.
pub fn tar_stream(file: &Path, format: Format, limits: Limits) -> Result<impl Read + use<>, ReadError> {
    Ok(Bounded::new(decompressed(drydock_base::paths::open_regular(file)?, format)?, limits.bytes))
}

/// How a tar stream is packed in a Debian package or a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip, of any number of members.
    Gzip,
    /// xz.
    Xz,
    /// bzip2.
    Bzip2,
    /// Zstandard.
    Zstd,
}

/// Reads all entries of a packed tar stream.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit_packed(stream: impl Read, packing: Packing, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    tar::visit(&mut Bounded::new(unpacked(stream, packing)?, limits.bytes), limits, each)
}

/// The same of a file, decompressed by a thread of its own: for streams whose entries take time, too.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit_ahead(file: &Path, packing: Packing, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    let file = drydock_base::paths::open_regular(file)?;
    let stream = ahead::start(move || unpacked(file, packing).map_err(io::Error::other));
    tar::visit(&mut Bounded::new(stream, limits.bytes), limits, each)
}

fn unpacked<'a>(stream: impl Read + 'a, packing: Packing) -> Result<Box<dyn Read + 'a>, ReadError> {
    Ok(match packing {
        Packing::Plain => Box::new(stream),
        Packing::Gzip => {
            let mut stream = BufReader::with_capacity(1 << 16, stream);
            expect_magic(&mut stream, b"\x1f\x8b", "gzip")?;
            Box::new(MultiGzDecoder::new(stream))
        }
        Packing::Xz => decompressed(stream, Format::TarXz)?,
        Packing::Bzip2 => decompressed(stream, Format::TarBz2)?,
        Packing::Zstd => {
            let mut stream = BufReader::with_capacity(1 << 16, stream);
            expect_magic(&mut stream, b"\x28\xb5\x2f\xfd", "zstd")?;
            let decoder = ruzstd::decoding::StreamingDecoder::new(stream);
            Box::new(decoder.map_err(|error| ReadError::Damaged(format!("the zstd stream: {error}")))?)
        }
    })
}

fn decompressed<'a, R: Read + 'a>(file: R, format: Format) -> Result<Box<dyn Read + 'a>, ReadError> {
    let mut file = BufReader::with_capacity(1 << 16, file);
    Ok(match format {
        Format::TarGz => {
            expect_magic(&mut file, b"\x1f\x8b", "gzip")?;
            Box::new(GzDecoder::new(file))
        }
        Format::TarXz => {
            expect_magic(&mut file, b"\xfd7zXZ\0", "xz")?;
            let stream = xz2::stream::Stream::new_stream_decoder(XZ_MEMORY, 0).map_err(io::Error::other)?;
            Box::new(XzDecoder::new_stream(file, stream))
        }
        Format::TarBz2 => {
            expect_magic(&mut file, b"BZh", "bzip2")?;
            Box::new(BzDecoder::new(file))
        }
        Format::Zip => return Err(ReadError::Unsupported("a zip file where tar is expected".into())),
    })
}

fn expect_magic<R: Read>(file: &mut BufReader<R>, magic: &[u8], name: &str) -> Result<(), ReadError> {
    let start = io::BufRead::fill_buf(file)?;
    if start.starts_with(magic) {
        return Ok(());
    }
    Err(match start.len() < magic.len() {
        true => ReadError::Truncated("the file".into()),
        false => ReadError::Damaged(format!("it does not start like a {name} file")),
    })
}

/// A reader that ends with an error instead of going on for ever.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R, limit: u64) -> Bounded<R> {
        Bounded { inner, left: limit, limit }
    }

    /// What an error of this reader means.
    fn explain(&self, error: io::Error) -> ReadError {
        if self.left == 0 && error.kind() == io::ErrorKind::FileTooLarge {
            return ReadError::TooLarge(self.limit);
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Truncated("the compressed stream".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
                ReadError::Damaged(format!("the compressed stream: {}", drydock_base::exec::plain(&error)))
            }
            _ => ReadError::Io(error),
        }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            // One byte more than the limit is too much, the end is not.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::ErrorKind::FileTooLarge.into()),
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Text for a message: one line, no control characters, not long.
pub(super) fn shown(text: &str) -> String {
    let clean: String = text.chars().take(120).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().count() > 120 { format!("{clean}…") } else { clean }
}

#[cfg(test)]
mod tests;
