//! tar headers: ustar where the fields suffice, and a pax record for each field that does not fit.
//!
//! POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header".

use ::tar::EntryType;

use super::{EntryKind, mutation};

/// The size in bytes of a header, and the unit that contents are padded to.
pub(crate) const BLOCK: usize = 512;
/// GNU tar pads a whole archive to a multiple of this many bytes.
const RECORD: u64 = 20 * BLOCK as u64;
/// The name of every pax header. It takes nothing from the path, so it always fits.
const PAX_NAME: &str = "pax-header";
/// The largest number in an octal field of seven digits (owners).
const LARGEST_ID: u64 = 0o7_777_777;
/// The largest number in an octal field of eleven digits (sizes, and times until the year 2242).
const LARGEST_SIZE: u64 = 0o77_777_777_777;

/// The fields of one header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// The full path; a directory ends with `/`.
    pub(crate) path: &'a str,
    /// The type flag.
    pub(crate) entry_type: EntryType,
    /// The permission bits, with setuid, setgid and sticky.
    pub(crate) mode: u32,
    /// The numeric user and group.
    pub(crate) owner: (u64, u64),
    /// The size of the content in bytes.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// The target of a symbolic or hard link; else empty.
    pub(crate) link: &'a str,
    /// Extended attributes by name.
    pub(crate) attributes: &'a [(String, Vec<u8>)],
}

impl<'a> Header<'a> {
    /// The header of a release's entry, owned by root.
    pub(crate) fn new(path: &'a str, kind: &'a EntryKind, size: u64, time: u64) -> Header<'a> {
        let (entry_type, link) = match kind {
            EntryKind::Directory => (EntryType::Directory, ""),
            EntryKind::File { .. } => (EntryType::Regular, ""),
            EntryKind::Symlink { target } => (EntryType::Symlink, target.as_str()),
        };
        let (mode, owner) = (mutation::mode(kind.mode()), mutation::owner());
        Header { path, entry_type, mode, owner, size, time, link, attributes: &[] }
    }

    /// The bytes of the header, after those of the pax header if one is needed.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (path, link) = (self.path.as_bytes(), self.link.as_bytes());
        let split = split(path);
        let mut records = Vec::new();
        if split.is_none() {
            records.extend(record("path", path));
        }
        if link.len() > 100 {
            records.extend(record("linkpath", link));
        }
        let numbers = [
            ("size", self.size, LARGEST_SIZE),
            ("mtime", self.time, LARGEST_SIZE),
            ("uid", self.owner.0, LARGEST_ID),
            ("gid", self.owner.1, LARGEST_ID),
        ];
        for (key, value, _) in numbers.into_iter().filter(|(_, value, largest)| value > largest) {
            records.extend(record(key, value.to_string().as_bytes()));
        }
        for (name, value) in self.attributes {
            records.extend(record(&format!("SCHILY.xattr.{name}"), value));
        }
        let mut bytes = Vec::new();
        if !records.is_empty() {
            let (entry_type, size) = (EntryType::XHeader, records.len() as u64);
            let pax = Header { path: PAX_NAME, entry_type, mode: 0o644, owner: (0, 0), size, link: "", ..*self };
            bytes.extend(pax.block(b"", PAX_NAME.as_bytes()).as_bytes());
            bytes.extend(&records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        let (prefix, name) = split.unwrap_or((b"", &path[..path.len().min(100)]));
        bytes.extend(self.block(prefix, name).as_bytes());
        bytes
    }

    fn block(&self, prefix: &[u8], name: &[u8]) -> ::tar::Header {
        // A number that does not fit is in the pax header, and 0 here.
        let fitting = |value: u64, largest: u64| if value > largest { 0 } else { value };
        let mut header = ::tar::Header::new_ustar();
        header.set_entry_type(self.entry_type);
        header.set_mode(self.mode);
        header.set_uid(fitting(self.owner.0, LARGEST_ID));
        header.set_gid(fitting(self.owner.1, LARGEST_ID));
        header.set_size(fitting(self.size, LARGEST_SIZE));
        header.set_mtime(fitting(self.time, LARGEST_SIZE));
        let link = self.link.as_bytes();
        let link = &link[..link.len().min(100)];
        if let Some(ustar) = header.as_ustar_mut() {
            ustar.name[..name.len()].copy_from_slice(name);
            ustar.prefix[..prefix.len()].copy_from_slice(prefix);
            ustar.linkname[..link.len()].copy_from_slice(link);
            // Only root has the same name on every machine.
            let root = |id: u64, field: &mut [u8; 32]| {
                if id == 0 {
                    field[..4].copy_from_slice(b"root");
                }
            };
            root(self.owner.0, &mut ustar.uname);
            root(self.owner.1, &mut ustar.gname);
            ustar.set_device_major(0);
            ustar.set_device_minor(0);
        }
        header.set_cksum();
        // POSIX and GNU tar write six digits, a NUL and a space; `set_cksum` writes seven digits, the first always 0.
        let checksum = &mut header.as_old_mut().cksum;
        checksum.copy_within(1..7, 0);
        checksum[6..].copy_from_slice(b"\0 ");
        header
    }
}

/// The number of zero bytes after a content of `size` bytes.
pub(crate) fn padding(size: u64) -> usize {
    let over = size % BLOCK as u64;
    if over == 0 { 0 } else { BLOCK - over as usize }
}

/// The number of zero bytes at the end of a stream of `size` bytes: at least two blocks, then up to a whole record.
pub(crate) fn trailer(size: u64) -> usize {
    let least = size + 2 * BLOCK as u64;
    (least.next_multiple_of(RECORD) - size) as usize
}

/// Splits a path into ustar's prefix (at most 155 bytes) and name (at most 100); none if it does not fit.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The `/` between prefix and name is not stored; the one at the end of a directory is.
    let slashes = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at + 1 < path.len());
    slashes
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}

/// A pax record, `LENGTH KEY=VALUE` and a line end, where the length includes its own digits.
pub(crate) fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key.as_bytes(), b"=", value, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str, target: Option<&str>) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let file = EntryKind::File { executable: false };
        let kind = target.map_or(file, |target| EntryKind::Symlink { target: target.to_owned() });
        let mut bytes = Header::new(path, &kind, 0, 1_700_000_000).bytes();
        bytes.extend([0; 1024]);
        let mut archive = ::tar::Archive::new(&bytes[..]);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert!(
                header.as_ustar().is_some() && header.mtime().unwrap() == 1_700_000_000 && header.uid().unwrap() == 0
            );
            (entry.path_bytes().into_owned(), entry.link_name_bytes().map(|link| link.into_owned()))
        });
        entries.collect()
    }

    #[test]
    fn paths_of_every_length_survive_a_round_trip_through_the_tar_crate() {
        for length in (90..320).chain([2000]) {
            let flat = "n".repeat(length);
            let deep = format!("{}/{}", "p".repeat(length / 2), "n".repeat(length - length / 2 - 1));
            let many = "ab/".repeat(length / 3) + "c";
            for path in [flat, deep, many] {
                assert_eq!(parsed(&path, None), [(path.as_bytes().to_vec(), None)], "{path}");
                assert_eq!(parsed("l", Some(&path)), [(b"l".to_vec(), Some(path.into_bytes()))]);
            }
        }
    }

    #[test]
    fn a_pax_record_counts_its_own_length() {
        for length in [1, 80, 88, 89, 90, 91, 985, 986, 987, 988, 989] {
            let record = record("path", &vec![b'x'; length]);
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split_once(' ').unwrap().0.parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn an_archive_is_padded_to_whole_records() {
        for size in [0, 512, 9216, 9728, 10240] {
            let trailer = trailer(size);
            assert!(trailer >= 1024 && (size + trailer as u64) % RECORD == 0, "{size}");
        }
    }
}
