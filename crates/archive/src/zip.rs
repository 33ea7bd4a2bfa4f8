//! Writes zip files with UTC times, Unix modes and UTF-8 names, and without extra fields.
//!
//! PKWARE's APPNOTE.TXT 6.3.3, sections 4.3 to 4.5.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::EntryKind;
use super::encode::DEFLATE_LEVEL;
use drydock_base::checksum::HashingStream;

/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 11;
/// Unix, version 2.0.
const MADE_BY: u16 = (3 << 8) | 20;
/// A zip file that grows entry by entry.
pub(crate) struct Writer<W> {
    out: HashingStream<W>,
    directory: Vec<u8>,
    entries: u32,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Writer<W> {
        Writer { out: HashingStream::new(out), directory: Vec::new(), entries: 0 }
    }

    /// Adds an entry. `path` is the full path, with a `/` at the end of a directory; `content` is the target of a link.
    pub(crate) fn add(&mut self, path: &str, kind: &EntryKind, time: u64, content: &[u8]) -> io::Result<()> {
        let is_directory = *kind == EntryKind::Directory;
        let stored_only = content.is_empty() || !matches!(kind, EntryKind::File { .. });
        let mut crc = Crc::new();
        crc.update(content);
        let deflated =
            if stored_only { None } else { Some(deflate(content)?).filter(|small| small.len() < content.len()) };
        let (method, version, body) = match &deflated {
            Some(small) => (8, 20, small.as_slice()),
            None => (0, if is_directory { 20 } else { 10 }, content),
        };
        let (time, date) = dos_time(time)?;
        let offset = narrow(self.out.bytes(), "offset")?;
        let name = u16::try_from(path.len()).map_err(|_| io::Error::other("a path is too long for zip"))?;
        let mut common = Vec::with_capacity(30);
        for value in [version, FLAGS, method, time, date] {
            common.extend(value.to_le_bytes());
        }
        for value in [crc.sum(), narrow(body.len() as u64, "size")?, narrow(content.len() as u64, "size")?] {
            common.extend(value.to_le_bytes());
        }
        common.extend(name.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&common)?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(body)?;

        let attributes: u32 = ((kind.type_bits() | kind.mode()) << 16) | if is_directory { 0x10 } else { 0 };
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(common);
        // No comment, first disk, no internal attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(path.as_bytes());
        self.entries += 1;
        Ok(())
    }

    /// Writes the central directory; the underlying writer, with the checksum and the size of the file.
    pub(crate) fn finish(mut self) -> io::Result<HashingStream<W>> {
        let entries = u16::try_from(self.entries)
            .ok()
            .filter(|entries| *entries != u16::MAX)
            .ok_or_else(|| io::Error::other("more than 65534 files do not fit into a zip file; use a tar format"))?;
        let (offset, size) = (narrow(self.out.bytes(), "offset")?, narrow(self.directory.len() as u64, "size")?);
        self.out.write_all(&self.directory)?;
        self.out.write_all(b"PK\x05\x06\0\0\0\0")?;
        self.out.write_all(&[entries.to_le_bytes(), entries.to_le_bytes()].concat())?;
        self.out.write_all(&[size.to_le_bytes(), offset.to_le_bytes()].concat())?;
        self.out.write_all(&[0; 2])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn deflate(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(content.len() / 3), Compression::new(DEFLATE_LEVEL));
    encoder.write_all(content)?;
    encoder.finish()
}

fn narrow(value: u64, what: &str) -> io::Result<u32> {
    u32::try_from(value)
        .ok()
        .filter(|value| *value != u32::MAX)
        .ok_or_else(|| io::Error::other(format!("a zip file cannot hold the {what} {value}; use a tar format")))
}

/// The time and the date as MS-DOS stores them: UTC here, in steps of two seconds.
fn dos_time(seconds: u64) -> io::Result<(u16, u16)> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time =
        time.map(|time| jiff::tz::TimeZone::UTC.to_datetime(time)).filter(|time| (1980..=2107).contains(&time.year()));
    let time = time.ok_or_else(|| {
        io::Error::other(format!("a zip file cannot hold the time {seconds}: its dates go from 1980 to 2107"))
    })?;
    let part = |value: i8| u16::from(value.unsigned_abs());
    let year = time.year().unsigned_abs() - 1980;
    Ok((
        (part(time.hour()) << 11) | (part(time.minute()) << 5) | (part(time.second()) / 2),
        (year << 9) | (part(time.month()) << 5) | part(time.day()),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_stored_as_utc_in_steps_of_two_seconds() {
        for (seconds, (hour, minute, second), (year, month, day)) in [
            (315_532_800, (0, 0, 0), (1980, 1, 1)),
            (951_782_400, (0, 0, 0), (2000, 2, 29)),
            (1_780_315_203, (12, 0, 2), (2026, 6, 1)),
            (4_107_542_400, (0, 0, 0), (2100, 3, 1)),
            (4_354_819_199, (23, 59, 58), (2107, 12, 31)),
        ] {
            let time = (hour << 11) | (minute << 5) | (second / 2);
            let date = ((year - 1980) << 9) | (month << 5) | day;
            assert_eq!(dos_time(seconds).unwrap(), (time, date), "{seconds}");
        }
        for seconds in [0, 315_532_799, 4_354_819_200, u64::MAX] {
            assert!(dos_time(seconds).is_err(), "{seconds}");
        }
    }
}
