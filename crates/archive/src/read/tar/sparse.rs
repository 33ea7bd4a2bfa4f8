//! Sparse files in GNU's four formats: the old one with entries of type `S`, and pax 0.0, 0.1 and 1.0.
//!
//! GNU tar's manual, "Storing Sparse Files" and "Basic Tar Format".

use std::io::{self, Read};

use ::tar::{EntryType, GnuExtSparseHeader, GnuSparseHeader, Header};

use super::extensions::Extensions;
use super::{BLOCK, ReadError, Stream, damaged};

/// The largest number of pieces of data in a sparse file.
const MOST_PIECES: usize = 1 << 16;

/// The pieces of data in a sparse file.
pub(super) struct Sparse {
    /// Offset in the file and length in bytes, in order.
    pieces: Vec<(u64, u64)>,
    /// The size of the file with its holes.
    size: u64,
    /// Whether the map was at the start of the stored content, and is a part of its size.
    pub(super) map_in_content: bool,
}

impl Sparse {
    /// The map of an entry's data, if it is sparse. Reads the map where it follows the header, and subtracts it from
    /// `stored` where it counts as content.
    pub(super) fn read<R: Read>(
        header: &Header,
        extensions: &Extensions,
        stream: &mut Stream<'_, R>,
        stored: &mut u64,
    ) -> Result<Option<Sparse>, ReadError> {
        let records = &extensions.sparse;
        let (numbers, size, map_in_content) = if header.entry_type() == EntryType::GNUSparse {
            let gnu = header.as_gnu().ok_or_else(|| wrong("its header"))?;
            let size = gnu.real_size().map_err(|_| wrong("its size"))?;
            (old_map(gnu.sparse.iter(), gnu.is_extended(), stream)?, Some(size), false)
        } else if records.major == Some(1) {
            let start = stream.offset;
            let numbers = map_in_content(stream, *stored)?;
            *stored = stored.checked_sub(stream.offset - start).ok_or_else(|| wrong("its map"))?;
            (numbers, records.size, true)
        } else if !records.map.is_empty() || records.size.is_some() {
            (records.map.clone(), records.size, false)
        } else {
            return Ok(None);
        };
        let sparse = Sparse {
            pieces: numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect(),
            size: size.ok_or_else(|| wrong("its size"))?,
            map_in_content,
        };
        let (mut end, mut data) = (0, 0_u64);
        for (offset, length) in &sparse.pieces {
            if *offset < end {
                return Err(wrong("the order of its map"));
            }
            end = offset.checked_add(*length).ok_or_else(|| wrong("its map"))?;
            data += length;
        }
        if numbers.len() % 2 == 1 || end > sparse.size || data != *stored {
            return Err(wrong("its map, which does not match its size"));
        }
        Ok(Some(sparse))
    }

    /// The number of bytes that are not stored.
    pub(super) fn holes(&self) -> u64 {
        self.size - self.pieces.iter().map(|(_, length)| length).sum::<u64>()
    }

    /// The content of the file, holes as zeros.
    pub(super) fn expand<'a, R: Read>(&'a self, data: R) -> impl Read + use<'a, R> {
        Expanded { pieces: &self.pieces, size: self.size, position: 0, data }
    }
}

fn wrong(what: &str) -> ReadError {
    damaged(&format!("a sparse file: {what}"))
}

/// The map in the header of an old sparse file, and in the blocks after it.
fn old_map<'a, R: Read>(
    first: impl Iterator<Item = &'a GnuSparseHeader>,
    mut extended: bool,
    stream: &mut Stream<'_, R>,
) -> Result<Vec<u64>, ReadError> {
    let mut numbers = Vec::new();
    let mut add = |piece: &GnuSparseHeader| {
        if !piece.is_empty() {
            let pair = [piece.offset(), piece.length()].map(|number| number.map_err(|_| wrong("its map")));
            let [offset, length] = pair;
            numbers.extend([offset?, length?]);
        }
        if numbers.len() > 2 * MOST_PIECES { Err(too_many()) } else { Ok(()) }
    };
    first.into_iter().try_for_each(&mut add)?;
    while extended {
        let mut block = GnuExtSparseHeader::new();
        stream.fill(block.as_mut_bytes())?;
        block.sparse().iter().try_for_each(&mut add)?;
        extended = block.is_extended();
    }
    Ok(numbers)
}

/// The map at the start of a content: decimal numbers, each on a line, the first of which counts the pieces.
fn map_in_content<R: Read>(stream: &mut Stream<'_, R>, stored: u64) -> Result<Vec<u64>, ReadError> {
    let (mut numbers, mut number, mut read) = (Vec::new(), None, 0);
    loop {
        let mut block = [0; BLOCK];
        read += BLOCK as u64;
        if read > stored {
            return Err(wrong("its map"));
        }
        stream.fill(&mut block)?;
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let digit = u64::from(byte - b'0');
                    let next = number.unwrap_or(0_u64).checked_mul(10).and_then(|number| number.checked_add(digit));
                    number = Some(next.ok_or_else(|| wrong("its map"))?);
                }
                b'\n' => numbers.push(number.take().ok_or_else(|| wrong("its map"))?),
                _ => return Err(wrong("its map")),
            }
            let Some(count) = numbers.first() else { continue };
            if *count > MOST_PIECES as u64 {
                return Err(too_many());
            }
            // The rest of this block is padding.
            if numbers.len() as u64 == 1 + 2 * count {
                return Ok(numbers.split_off(1));
            }
        }
    }
}

fn too_many() -> ReadError {
    ReadError::Unsupported(format!("a sparse file of more than {MOST_PIECES} pieces"))
}

/// A reader of a sparse file's content.
struct Expanded<'a, R> {
    /// The pieces that do not end before `position`.
    pieces: &'a [(u64, u64)],
    size: u64,
    position: u64,
    data: R,
}

impl<R: Read> Read for Expanded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(((offset, length), rest)) = self.pieces.split_first() {
            if self.position < offset + length {
                break;
            }
            self.pieces = rest;
        }
        let next = self
            .pieces
            .first()
            .map_or(self.size, |(offset, length)| if self.position < *offset { *offset } else { offset + length });
        let is_hole = self.pieces.first().is_none_or(|(offset, _)| self.position < *offset);
        let count = usize::try_from(next - self.position).unwrap_or(usize::MAX).min(buffer.len());
        let read = if is_hole {
            buffer[..count].fill(0);
            count
        } else {
            self.data.read(&mut buffer[..count])?
        };
        if read == 0 && count > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += read as u64;
        Ok(read)
    }
}
