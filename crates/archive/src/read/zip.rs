//! zip files, read from the central directory. Each entry must match its local header, and entries must not overlap.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::{Crc, bufread::DeflateDecoder};

use super::{Each, Limits, Member, MemberKind, ReadError, shown};

const END: usize = 22;
const CENTRAL: usize = 46;
const LOCAL: u64 = 30;
/// The largest central directory that is read, in bytes.
const LARGEST_DIRECTORY: u64 = 256 << 20;
/// The systems where archives were made that separate names by backslashes: FAT, NTFS and VFAT (APPNOTE 4.4.2).
const WINDOWS: [u16; 3] = [0, 10, 14];
/// The longest target of a symbolic link, in bytes.
const LONGEST_LINK: u64 = 4096;

pub(super) fn visit<R: Read + Seek>(
    mut file: R,
    limits: Limits,
    fields: bool,
    each: &mut Each<'_>,
) -> Result<(), ReadError> {
    let length = file.seek(SeekFrom::End(0))?;
    let (entries, directory_at) = directory(&mut file, length, limits)?;
    let mut in_file: Vec<&Central> = entries.iter().collect();
    in_file.sort_by_key(|entry| entry.offset);
    let mut free_from = 0;
    for entry in in_file {
        if entry.offset < free_from {
            return Err(ReadError::Damaged(format!("{} overlaps another entry", shown(&entry.path))));
        }
        free_from = entry
            .data_at(&mut file)?
            .checked_add(entry.packed)
            .filter(|end| *end <= directory_at)
            .ok_or_else(|| ReadError::Truncated(shown(&entry.path)))?;
    }
    let mut left = limits.bytes;
    for entry in &entries {
        left = left.checked_sub(entry.size).ok_or(ReadError::TooLarge(limits.bytes))?;
        let at = entry.data_at(&mut file)?;
        file.seek(SeekFrom::Start(at))?;
        let packed = io::BufReader::new((&mut file).take(entry.packed));
        let content: Box<dyn Read> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(DeflateDecoder::new(packed)),
            other => return Err(ReadError::Unsupported(format!("the compression method {other}"))),
        };
        let mut checked = Checked { inner: content, crc: Crc::new(), left: entry.size };
        let mut member = entry.member(fields)?;
        if let MemberKind::Link(target) = &mut member.kind {
            if entry.size > LONGEST_LINK {
                return Err(ReadError::Damaged(format!("{} is a symlink of {} bytes", shown(&entry.path), entry.size)));
            }
            let mut bytes = Vec::new();
            checked.read_to_end(&mut bytes).map_err(|error| entry.explain(error))?;
            *target = String::from_utf8_lossy(&bytes).into_owned();
            member.raw_link = std::str::from_utf8(&bytes).is_err().then_some(bytes);
            each(&member, &mut io::empty())?;
        } else {
            each(&member, &mut checked).map_err(|error| match error {
                ReadError::Io(error) => entry.explain(error),
                other => other,
            })?;
            io::copy(&mut checked, &mut io::sink()).map_err(|error| entry.explain(error))?;
        }
        checked.end(entry)?;
    }
    Ok(())
}

/// The entries of the central directory, and its position.
fn directory<R: Read + Seek>(file: &mut R, length: u64, limits: Limits) -> Result<(Vec<Central>, u64), ReadError> {
    let tail_length = length.min(END as u64 + u64::from(u16::MAX));
    file.seek(SeekFrom::Start(length - tail_length))?;
    let mut tail = Vec::new();
    file.take(tail_length).read_to_end(&mut tail)?;
    let is_end = |at: &usize| {
        let comment = tail.get(at + 20..at + 22).map(|bytes| usize::from(u16_at(bytes, 0)));
        tail[*at..].starts_with(b"PK\x05\x06") && comment == Some(tail.len() - at - END)
    };
    let at = (0..=tail.len().saturating_sub(END)).rev().find(|at| tail.len() >= END && is_end(at));
    // What an end would leave over, if it is one: only then nothing is cut off.
    let rest = |at: usize| {
        let comment = tail.get(at + 20..at + 22).map(|bytes| usize::from(u16_at(bytes, 0)))?;
        let rest = tail.len().checked_sub(at + END + comment)?;
        tail[at..].starts_with(b"PK\x05\x06").then_some(rest)
    };
    let at = at.ok_or_else(|| match (0..tail.len()).rev().find_map(rest) {
        Some(rest) => ReadError::Damaged(format!("{rest} bytes follow its end")),
        None => ReadError::Truncated("the central directory of the zip file".into()),
    })?;
    let end = &tail[at..at + END];
    let (mut count, mut size, mut offset) =
        (u64::from(u16_at(end, 10)), u64::from(u32_at(end, 12)), u64::from(u32_at(end, 16)));
    if u16_at(end, 4) != 0 {
        return Err(ReadError::Unsupported("several parts".into()));
    }
    let mut ends_at = length - tail_length + at as u64;
    if count == u64::from(u16::MAX) || [size, offset].contains(&u64::from(u32::MAX)) {
        (ends_at, [count, size, offset]) = zip64(file, ends_at)?;
    }
    if offset.checked_add(size) != Some(ends_at) || size > LARGEST_DIRECTORY {
        return Err(ReadError::Damaged("its central directory is at another position".into()));
    }
    if count > limits.entries as u64 {
        return Err(ReadError::TooMany(limits.entries));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(size).read_to_end(&mut bytes)?;
    let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        let (entry, after) = Central::parse(rest).ok_or_else(|| ReadError::Damaged("its central directory".into()))?;
        entries.push(entry);
        rest = after;
    }
    if entries.len() as u64 != count {
        return Err(ReadError::Damaged("the number of entries differs from the stated one".into()));
    }
    Ok((entries, offset))
}

/// The end record of zip64: its position, which is the end of the central directory, and the count, the size and the offset
/// of the directory. `before` is the position of the ordinary end record.
fn zip64<R: Read + Seek>(file: &mut R, before: u64) -> Result<(u64, [u64; 3]), ReadError> {
    let damaged = || ReadError::Damaged("its zip64 records".into());
    let mut locator = [0; 20];
    file.seek(SeekFrom::Start(before.checked_sub(20).ok_or_else(damaged)?))?;
    file.read_exact(&mut locator)?;
    let at = u64_at(&locator, 8);
    if !locator.starts_with(b"PK\x06\x07") || at > before - 20 {
        return Err(damaged());
    }
    let mut end = [0; 56];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut end).map_err(|_| damaged())?;
    if !end.starts_with(b"PK\x06\x06") || u32_at(&end, 16) != 0 {
        return Err(damaged());
    }
    Ok((at, [32, 40, 48].map(|at| u64_at(&end, at))))
}

/// An entry of the central directory.
struct Central {
    path: String,
    name: Vec<u8>,
    made_by: u16,
    needed: u16,
    flags: u16,
    method: u16,
    time: u16,
    date: u16,
    crc: u32,
    packed: u64,
    size: u64,
    extra: usize,
    comment: usize,
    attributes: u32,
    offset: u64,
}

impl Central {
    fn parse(bytes: &[u8]) -> Option<(Central, &[u8])> {
        let (head, rest) = bytes.split_at_checked(CENTRAL)?;
        let lengths = [28, 30, 32].map(|at| usize::from(u16_at(head, at)));
        let (name, rest) = rest.split_at_checked(lengths[0])?;
        let (extra, rest) = rest.split_at_checked(lengths[1] + lengths[2])?;
        // The true numbers of zip64, in this order, for those that are at their limit.
        let mut wide = wide(&extra[..lengths[1]]);
        let mut number = |at: usize| match u32_at(head, at) {
            u32::MAX => {
                let (value, after) = wide.split_at_checked(8)?;
                wide = after;
                Some(u64_at(value, 0))
            }
            value => Some(value.into()),
        };
        let (size, packed, offset) = (number(24)?, number(20)?, number(42)?);
        if !head.starts_with(b"PK\x01\x02") || u16_at(head, 34) != 0 {
            return None;
        }
        let entry = Central {
            path: String::from_utf8_lossy(name).into_owned(),
            name: name.to_vec(),
            made_by: u16_at(head, 4),
            needed: u16_at(head, 6),
            flags: u16_at(head, 8),
            method: u16_at(head, 10),
            time: u16_at(head, 12),
            date: u16_at(head, 14),
            crc: u32_at(head, 16),
            packed,
            size,
            extra: lengths[1],
            comment: lengths[2],
            attributes: u32_at(head, 38),
            offset,
        };
        Some((entry, rest))
    }

    /// The position of the content, if the local header matches the central directory.
    fn data_at<R: Read + Seek>(&self, file: &mut R) -> Result<u64, ReadError> {
        let cut = || ReadError::Truncated(shown(&self.path));
        file.seek(SeekFrom::Start(self.offset))?;
        let mut head = Vec::new();
        file.take(LOCAL + self.name.len() as u64).read_to_end(&mut head)?;
        let (head, name) = head.split_at_checked(LOCAL as usize).ok_or_else(cut)?;
        if !head.starts_with(b"PK\x03\x04") || name != self.name || u16_at(head, 8) != self.method {
            let text = format!("the header of {} differs from the central directory", shown(&self.path));
            return Err(ReadError::Damaged(text));
        }
        Ok(self.offset + LOCAL + u64::from(u16_at(head, 26)) + u64::from(u16_at(head, 28)))
    }

    fn member(&self, fields: bool) -> Result<Member, ReadError> {
        if self.flags & 1 != 0 {
            return Err(ReadError::Unsupported("an encrypted entry".into()));
        }
        // APPNOTE 4.4.17: names have slashes. Some programs for Windows write none.
        if self.name.contains(&b'\\') && WINDOWS.contains(&(self.made_by >> 8)) {
            let remedy = "pack it with a program that writes `/`";
            let what = "backslashes in its name, as separators on Windows".to_owned();
            return Err(ReadError::NotKept { path: shown(&self.path), what, remedy });
        }
        let mode = self.attributes >> 16;
        let kind = match mode & 0o170_000 {
            _ if self.path.ends_with('/') => MemberKind::Directory,
            0o120_000 => MemberKind::Link(String::new()),
            0o100_000 | 0 => MemberKind::File,
            other => MemberKind::Other(format!("an entry of type {other:o}")),
        };
        let (year, month, day) = ((self.date >> 9) + 1980, (self.date >> 5) & 15, self.date & 31);
        let (hour, minute, second) = (self.time >> 11, (self.time >> 5) & 63, (self.time & 31) * 2);
        let [month8, day8, hour8, minute8, second8] =
            [month, day, hour, minute, second].map(|value| i8::try_from(value).unwrap_or_default());
        let year16 = i16::try_from(year).unwrap_or_default();
        let time = jiff::civil::DateTime::new(year16, month8, day8, hour8, minute8, second8, 0);
        let time = time.and_then(|time| jiff::tz::TimeZone::UTC.to_timestamp(time));
        let fields = if fields {
            vec![
                ("system", format!("{}", self.made_by >> 8)),
                ("mode", format!("{mode:o}")),
                ("time", format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")),
                ("method", self.method.to_string()),
                ("extra fields", format!("{} bytes", self.extra)),
                ("comment", format!("{} bytes", self.comment)),
                ("flags", format!("{:#06x}", self.flags)),
                ("versions", format!("{}, {}", self.made_by & 255, self.needed)),
                ("size", self.size.to_string()),
            ]
        } else {
            Vec::new()
        };
        Ok(Member {
            path: self.path.clone(),
            // Refused by its U+FFFD: zip has several encodings of names.
            raw_path: None,
            kind,
            mode: mode & 0o7777,
            owner: (0, 0),
            time: time.map_or(0, |time| time.as_second().unsigned_abs()),
            raw_link: None,
            attributes: Vec::new(),
            properties: Vec::new(),
            extension: None,
            size: self.size,
            offset: self.offset,
            fields,
        })
    }

    fn explain(&self, error: io::Error) -> ReadError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Truncated(shown(&self.path)),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::FileTooLarge => {
                ReadError::Damaged(format!("the content of {}", shown(&self.path)))
            }
            _ => ReadError::Io(error),
        }
    }
}

/// A reader of a content, which is limited to the stated size and computes the CRC.
struct Checked<'a> {
    inner: Box<dyn Read + 'a>,
    crc: Crc,
    left: u64,
}

impl Checked<'_> {
    /// Checks that the content ends at the stated size, and has the stated CRC.
    fn end(mut self, entry: &Central) -> Result<(), ReadError> {
        let more = self.inner.read(&mut [0]).map_err(|error| entry.explain(error))?;
        match (self.left, more) {
            (0, 0) if self.crc.sum() == entry.crc => Ok(()),
            (0, 0) => Err(ReadError::Damaged(format!("the checksum of {} is wrong", shown(&entry.path)))),
            (0, _) => Err(ReadError::Damaged(format!("{} unpacks to more than its stated size", shown(&entry.path)))),
            _ => Err(ReadError::Truncated(shown(&entry.path))),
        }
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.inner.read(&mut buffer[..most])?;
        self.crc.update(&buffer[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

/// The content of the extra field of zip64 (0x0001); empty without one.
fn wide(mut extra: &[u8]) -> &[u8] {
    while let Some((head, rest)) = extra.split_at_checked(4) {
        let (content, after) = rest.split_at(rest.len().min(u16_at(head, 2).into()));
        if u16_at(head, 0) == 1 {
            return content;
        }
        extra = after;
    }
    &[]
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).map_or(0, |four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}
