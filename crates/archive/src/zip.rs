//! zip files, by hand: UTC and even seconds, Unix modes, UTF-8 names, no extra fields.
//!
//! PKWARE's APPNOTE.TXT 6.3.3, sections 4.3 to 4.5.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

use super::encode::DEFLATE_LEVEL;
use super::{Named, What};
use drydock_base::sums::Summing;

/// Names are UTF-8 (bit 11).
const FLAGS: u16 = 1 << 11;
/// Unix, version 2.0.
const MADE_BY: u16 = (3 << 8) | 20;
/// The first and the last moment that its dates can say: 1980 to 2107.
const TIMES: std::ops::Range<u64> = 315_532_800..4_354_819_200;

/// A zip file that grows entry by entry.
pub(crate) struct Writer<W> {
    out: Summing<W>,
    directory: Vec<u8>,
    entries: u32,
}

impl<W: Write> Writer<W> {
    pub(crate) fn new(out: W) -> Writer<W> {
        Writer { out: Summing::new(out), directory: Vec::new(), entries: 0 }
    }

    /// Adds an entry with its whole content.
    pub(crate) fn add(&mut self, entry: &Named<'_>, content: &[u8]) -> io::Result<()> {
        let (kind, stored_only) = match entry.what {
            What::Directory => (0o040_000, true),
            What::File { .. } => (0o100_000, content.is_empty()),
            What::Link { .. } => (0o120_000, true),
        };
        let mut crc = Crc::new();
        crc.update(content);
        let deflated =
            if stored_only { None } else { Some(deflate(content)?).filter(|small| small.len() < content.len()) };
        let (method, version, body) = match &deflated {
            Some(small) => (8, 20, small.as_slice()),
            None => (0, if matches!(entry.what, What::Directory) { 20 } else { 10 }, content),
        };
        let (time, date) = dos_time(entry.time)?;
        let offset = narrow(self.out.bytes(), "offset")?;
        let name = u16::try_from(entry.path.len()).map_err(|_| io::Error::other("a path is too long for zip"))?;
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
        self.out.write_all(entry.path.as_bytes())?;
        self.out.write_all(body)?;

        let directory = if matches!(entry.what, What::Directory) { 0x10 } else { 0 };
        let attributes: u32 = ((kind | entry.what.mode()) << 16) | directory;
        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(MADE_BY.to_le_bytes());
        self.directory.extend(common);
        // No comment, first disk, no internal attributes.
        self.directory.extend([0; 6]);
        self.directory.extend(attributes.to_le_bytes());
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(entry.path.as_bytes());
        self.entries += 1;
        Ok(())
    }

    /// Writes the directory; the sum and the size of the file.
    pub(crate) fn finish(mut self) -> io::Result<Summing<W>> {
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

/// UTC as MS-DOS writes it, in steps of two seconds.
fn dos_time(seconds: u64) -> io::Result<(u16, u16)> {
    if !TIMES.contains(&seconds) {
        return Err(io::Error::other(format!(
            "a zip file cannot hold the time {seconds}: its dates go from 1980 to 2107"
        )));
    }
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day_of_month) = date(day);
    let time = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
    let date = ((year - 1980) << 9) | (month << 5) | day_of_month;
    Ok((u16::try_from(time).map_err(io::Error::other)?, u16::try_from(date).map_err(io::Error::other)?))
}

/// The Gregorian date of a day since 1970, after Howard Hinnant's `civil_from_days`.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (315_532_800, (1980, 1, 1)),
            (951_782_400, (2000, 2, 29)),
            (1_780_315_200, (2026, 6, 1)),
            (4_107_542_400, (2100, 3, 1)),
            (4_354_819_199, (2107, 12, 31)),
        ] {
            assert_eq!(date(seconds / 86_400), expected);
        }
        assert_eq!(dos_time(1_780_315_203).unwrap(), dos_time(1_780_315_202).unwrap());
        assert!(dos_time(0).is_err() && dos_time(4_354_819_200).is_err());
    }
}
