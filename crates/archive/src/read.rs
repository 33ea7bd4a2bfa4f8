//! Readers of archives from anywhere. They are bounded, do not panic, and write nothing outside of one directory.

mod ahead;
mod tar;
mod unpack;
mod zip;

pub use crate::read_error::ReadError;
use tar::Rules;
pub use unpack::unpack;

use std::io::{self, Read, Seek};
use std::path::Path;

use crate::format::{self, Compression};
use drydock_base::checksum::{Checksum, HashingStream};
use drydock_base::text::one_line;
use drydock_config::release::Format;

/// The limits of a reader, at which a decompression bomb ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The size of the tar stream with the holes of sparse files, or of all contents of a zip file, in bytes.
    pub bytes: u64,
    /// The number of files, directories and links.
    pub entries: usize,
}

impl Limits {
    /// Limits for an archive whose expected size is not known: 4 GiB and a million entries.
    pub const UNKNOWN: Limits = Limits { bytes: 4 << 30, entries: 1_000_000 };
}

/// The type of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link to a target.
    Link(String),
    /// Another name of the file at a path in the same archive.
    HardLink(String),
    /// Anything else, such as a device, in words.
    Other(String),
}

/// An entry, as its headers describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The path, in which U+FFFD replaces what is not UTF-8.
    pub path: String,
    /// The path, if it is not UTF-8.
    pub raw_path: Option<Vec<u8>>,
    /// The type.
    pub kind: MemberKind,
    /// The permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// The numeric user and group; 0 in a zip file.
    pub owner: (u64, u64),
    /// Seconds since 1970; the times of a zip file are taken for UTC.
    pub time: u64,
    /// The target of a symbolic or hard link, if it is not UTF-8: the kind has U+FFFD in place of what is not.
    pub raw_link: Option<Vec<u8>>,
    /// Extended attributes by name, in whichever records of pax they are.
    pub attributes: Vec<(String, Vec<u8>)>,
    /// Records of pax about other properties, by key: access control lists (`SCHILY.acl.access`) and flags of files
    /// (`SCHILY.fflags`).
    pub properties: Vec<(String, Vec<u8>)>,
    /// What the entry has beyond ustar and GNU's long names, in words: a pax header, or a sparse file.
    pub extension: Option<&'static str>,
    /// The size of the content in bytes.
    pub size: u64,
    /// The position of the first header in the tar stream or the zip file, in bytes.
    pub offset: u64,
    /// The fields of the header by name, as text for differences, in the order of the header; only from [`list`].
    pub fields: Vec<(&'static str, String)>,
}

/// An entry with the checksum of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The entry.
    pub member: Member,
    /// The checksum of the content.
    pub sha256: Checksum,
}

/// A callback that gets each entry with a reader of its content.
pub type Each<'a> = dyn FnMut(&Member, &mut dyn Read) -> Result<(), ReadError> + 'a;

/// Reads all entries of an archive in their order.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit(file: &Path, format: Format, limits: Limits, each: &mut Each<'_>) -> Result<(), ReadError> {
    visit_in(drydock_base::paths::open_regular(file)?, format, limits, false, each)
}

fn visit_in<R: Read + Seek>(
    source: R,
    format: Format,
    limits: Limits,
    fields: bool,
    each: &mut Each<'_>,
) -> Result<(), ReadError> {
    match format::info(format).compression {
        None => zip::visit(source, limits, fields, each),
        Some(compression) => {
            let mut stream = Bounded::new(compression.decoder(source)?, limits.bytes);
            tar::visit(&mut stream, Rules { limits, fields, trailer: false }, each)
        }
    }
}

/// Every entry of an archive in memory with its checksum. Without a format, the archive is an uncompressed tar stream.
///
/// # Errors
/// As [`visit`].
pub fn list_bytes(bytes: &[u8], format: Option<Format>, limits: Limits) -> Result<Vec<Listed>, ReadError> {
    let mut all = Vec::new();
    let mut each = listing(&mut all);
    match format {
        Some(format) => visit_in(io::Cursor::new(bytes), format, limits, true, &mut each)?,
        None => visit_stream(bytes, Compression::Plain, limits, &mut each)?,
    }
    drop(each);
    Ok(all)
}

/// A callback that adds each entry with its checksum to a list.
fn listing(all: &mut Vec<Listed>) -> impl FnMut(&Member, &mut dyn Read) -> Result<(), ReadError> + '_ {
    |member, content| {
        let mut sum = HashingStream::new(io::sink());
        io::copy(content, &mut sum)?;
        all.push(Listed { member: member.clone(), sha256: sum.finish().0 });
        Ok(())
    }
}

/// Every entry of an archive with its checksum.
///
/// # Errors
/// As [`visit`].
pub fn list(file: &Path, format: Format, limits: Limits) -> Result<Vec<Listed>, ReadError> {
    let mut all = Vec::new();
    let mut each = listing(&mut all);
    visit_in(drydock_base::paths::open_regular(file)?, format, limits, true, &mut each)?;
    drop(each);
    Ok(all)
}

/// The first `most` bytes of the content of the entry at a position, counted from 0.
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

/// The uncompressed tar stream of a file, to be compared with another one byte by byte.
///
/// # Errors
/// The file cannot be read, or does not start like a compressed file.
pub(crate) fn tar_stream(
    file: &Path,
    compression: Compression,
    limits: Limits,
) -> Result<impl Read + use<>, ReadError> {
    Ok(Bounded::new(compression.decoder(drydock_base::paths::open_regular(file)?)?, limits.bytes))
}

/// The checksum of the uncompressed tar stream of a file.
///
/// # Errors
/// The file cannot be read, is not compressed in that way, or is larger than the limit.
pub fn stream_checksum(file: &Path, compression: Compression, limits: Limits) -> Result<Checksum, ReadError> {
    let mut stream = Bounded::new(compression.decoder(drydock_base::paths::open_regular(file)?)?, limits.bytes);
    let mut sum = HashingStream::new(io::sink());
    io::copy(&mut stream, &mut sum).map_err(|error| stream.explain(error))?;
    Ok(sum.finish().0)
}

/// Reads all entries of a tar stream.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit_stream(
    stream: impl Read,
    compression: Compression,
    limits: Limits,
    each: &mut Each<'_>,
) -> Result<(), ReadError> {
    let trailer = compression == Compression::Plain;
    let mut stream = Bounded::new(compression.decoder(stream)?, limits.bytes);
    tar::visit(&mut stream, Rules { limits, fields: false, trailer }, each)
}

/// As [`visit_stream`] of a file, decompressed by another thread, for callers that take time for each entry. The file is one
/// whose checksum was compared, so the stream may end without the two blocks of zeros that end a tar archive.
///
/// # Errors
/// [`ReadError`], and those of `each`.
pub fn visit_ahead(
    file: &Path,
    compression: Compression,
    limits: Limits,
    each: &mut Each<'_>,
) -> Result<(), ReadError> {
    let file = drydock_base::paths::open_regular(file)?;
    let stream = ahead::start(move || compression.decoder(file).map_err(io::Error::other));
    tar::visit(&mut Bounded::new(stream, limits.bytes), Rules { limits, fields: false, trailer: false }, each)
}

/// A reader that fails at a limit.
struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    fn new(inner: R, limit: u64) -> Bounded<R> {
        Bounded { inner, left: limit, limit }
    }

    /// Counts `bytes` that a caller gets without their being in the stream.
    fn charge(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.left = self.left.checked_sub(bytes).ok_or(ReadError::TooLarge(self.limit))?;
        Ok(())
    }

    /// The meaning of an error of this reader.
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
            // The limit itself is allowed; another byte is not.
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

/// A text for a message: at most 120 characters, control characters replaced.
pub(super) fn shown(text: &str) -> String {
    one_line(text, 120)
}

#[cfg(test)]
mod tests;
