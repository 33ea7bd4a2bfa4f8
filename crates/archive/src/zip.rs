//! Writes zip files with UTC times, Unix modes and UTF-8 names. There are no extra fields, except those of zip64 where a
//! number does not fit.
//!
//! PKWARE's APPNOTE.TXT 6.3.3, sections 4.3 to 4.5.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::EntryKind;
use super::encode::DEFLATE_LEVEL;
use super::mutation::{self, Mutation};
use drydock_base::checksum::HashingStream;

/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 11;
/// Unix, version 2.0.
const MADE_BY: u16 = (3 << 8) | 20;
/// The version that is needed to read zip64.
const ZIP64: u16 = 45;

/// A zip file that grows entry by entry.
pub(crate) struct Writer<W> {
    out: HashingStream<W>,
    directory: Vec<u8>,
    entries: u64,
    /// The bytes before the file that count for offsets.
    before: u64,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Writer<W> {
        Writer { out: HashingStream::new(out), directory: Vec::new(), entries: 0, before: 0 }
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
        let offset = self.before + self.out.bytes();
        let name = u16::try_from(path.len()).map_err(|_| io::Error::other("a path is too long for zip"))?;
        let mut common = Vec::with_capacity(30);
        for value in [version, FLAGS, method, time, date] {
            common.extend(value.to_le_bytes());
        }
        for value in [crc.sum(), size(body)?, size(content)?] {
            common.extend(value.to_le_bytes());
        }
        common.extend(name.to_le_bytes());
        common.extend(0_u16.to_le_bytes());
        self.out.write_all(b"PK\x03\x04")?;
        self.out.write_all(&common)?;
        self.out.write_all(path.as_bytes())?;
        self.out.write_all(body)?;

        let attributes: u32 =
            ((kind.type_bits() | mutation::mode(kind.mode())) << 16) | if is_directory { 0x10 } else { 0 };
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        // The offset does not fit: it is in the extra field of zip64 (0x0001), which has 8 bytes.
        let extra = [&1_u16.to_le_bytes()[..], &8_u16.to_le_bytes(), &offset.to_le_bytes()].concat();
        let extra = if narrow(offset) == u32::MAX { extra.as_slice() } else { &[] };
        let needed = if extra.is_empty() { version } else { ZIP64 };
        self.directory.extend(needed.to_le_bytes());
        self.directory.extend(&common[2..common.len() - 2]);
        self.directory.extend((extra.len() as u16).to_le_bytes());
        // No comment, first disk, no internal attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(narrow(offset).to_le_bytes());
        self.directory.extend(path.as_bytes());
        self.directory.extend(extra);
        self.entries += 1;
        Ok(())
    }

    /// Writes the central directory; the underlying writer, with the checksum and the size of the file.
    pub(crate) fn finish(mut self) -> io::Result<HashingStream<W>> {
        let (offset, size) = (self.before + self.out.bytes(), self.directory.len() as u64);
        self.out.write_all(&self.directory)?;
        let entries = u16::try_from(self.entries).unwrap_or(u16::MAX);
        if entries == u16::MAX || narrow(offset) == u32::MAX || narrow(size) == u32::MAX {
            let end = self.before + self.out.bytes();
            self.out.write_all(b"PK\x06\x06")?;
            // The size of the rest of this record, two versions, two numbers of disks, and the numbers that may not fit below.
            self.out.write_all(&44_u64.to_le_bytes())?;
            self.out.write_all(&[MADE_BY.to_le_bytes(), ZIP64.to_le_bytes()].concat())?;
            self.out.write_all(&[0; 8])?;
            self.out.write_all(&[self.entries, self.entries, size, offset].map(u64::to_le_bytes).concat())?;
            // Its position, on the first disk of one.
            self.out.write_all(b"PK\x06\x07\0\0\0\0")?;
            self.out.write_all(&end.to_le_bytes())?;
            self.out.write_all(&1_u32.to_le_bytes())?;
        }
        self.out.write_all(b"PK\x05\x06\0\0\0\0")?;
        self.out.write_all(&[entries, entries].map(u16::to_le_bytes).concat())?;
        self.out.write_all(&[narrow(size), narrow(offset)].map(u32::to_le_bytes).concat())?;
        self.out.write_all(&[0; 2])?;
        self.out.flush()?;
        Ok(self.out)
    }
}

fn deflate(content: &[u8]) -> io::Result<Vec<u8>> {
    let level = mutation::level(Mutation::DeflateLevel, "GZIP", DEFLATE_LEVEL);
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(content.len() / 3), Compression::new(level));
    encoder.write_all(content)?;
    encoder.finish()
}

/// The number, or the largest one where zip64 has the true number.
fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// The size of a content, which is in memory and far below 4 GiB.
fn size(content: &[u8]) -> io::Result<u32> {
    let size = u32::try_from(content.len()).ok().filter(|size| *size != u32::MAX);
    size.ok_or_else(|| io::Error::other("a file of 4 GiB does not fit into a zip file; use a tar format"))
}

/// The years that dates in a zip file can have.
pub(crate) const YEARS: std::ops::RangeInclusive<i16> = 1980..=2107;

/// The day of a time in a zip file, in UTC.
///
/// # Errors
/// A zip file cannot hold the year.
pub fn zip_date(seconds: u64) -> io::Result<String> {
    let (_, date) = dos_time(seconds)?;
    Ok(format!("{:04}-{:02}-{:02}", (date >> 9) + 1980, (date >> 5) & 15, date & 31))
}

/// The time and the date as MS-DOS stores them: UTC here, in steps of two seconds.
fn dos_time(seconds: u64) -> io::Result<(u16, u16)> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    let time = time.map(|time| jiff::tz::TimeZone::UTC.to_datetime(time)).filter(|time| YEARS.contains(&time.year()));
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
    use std::fs::File;
    use std::io::{Seek as _, SeekFrom};
    use std::process::Command;

    use super::*;
    use crate::read::{Limits, visit};
    use drydock_config::release::Format;

    /// The names in the file as our reader and Python's see them.
    #[track_caller]
    fn check(path: &std::path::Path, expected: &[String]) {
        let mut ours = Vec::new();
        visit(path, Format::Zip, Limits::UNKNOWN, &mut |member, content| {
            let mut text = String::new();
            io::Read::read_to_string(content, &mut text)?;
            ours.push(format!("{}={text}", member.path));
            Ok(())
        })
        .unwrap();
        assert!(ours == expected, "{} entries", ours.len());
        let program = "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                       print('\\n'.join(n + '=' + z.read(n).decode() for n in z.namelist()))";
        let python = Command::new("python3").args(["-c", program]).arg(path).output().unwrap();
        assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
        assert!(String::from_utf8(python.stdout).unwrap().lines().eq(expected), "Python sees other entries");
    }

    #[test]
    fn more_entries_than_16_bits_count_are_read_everywhere() {
        for count in [65_534, 65_535, 65_537] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut writer = Writer::new(io::BufWriter::new(file.reopen().unwrap()));
            let expected: Vec<String> = (0..count).map(|n| format!("d/{n}=")).collect();
            for n in 0..count {
                writer.add(&format!("d/{n}"), &EntryKind::File { executable: false }, 1_700_000_000, b"").unwrap();
            }
            writer.finish().unwrap().inner().flush().unwrap();
            let zip64 = std::fs::read(file.path()).unwrap().windows(4).any(|four| four == b"PK\x06\x06");
            assert_eq!(zip64, count >= 65_535, "{count}");
            check(file.path(), &expected);
        }
    }

    #[test]
    fn offsets_beyond_4_gib_are_read_everywhere() {
        // A hole comes first, as a self-extracting file has a program there.
        for before in [u64::from(u32::MAX) - 40, 5 << 30] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let mut out: File = file.reopen().unwrap();
            out.seek(SeekFrom::Start(before)).unwrap();
            let mut writer = Writer { before, ..Writer::new(out) };
            let expected: Vec<String> = (0..3).map(|n| format!("d/{n}=content {n}")).collect();
            for n in 0..3 {
                let content = format!("content {n}");
                let kind = EntryKind::File { executable: n == 1 };
                writer.add(&format!("d/{n}"), &kind, 1_700_000_000, content.as_bytes()).unwrap();
            }
            writer.finish().unwrap();
            check(file.path(), &expected);
        }
    }

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
