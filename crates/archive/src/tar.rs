//! tar headers, by hand: ustar where it fits, else a pax record for the path or the link alone.
//!
//! POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header".

use super::{Named, What};

/// The unit of a tar file.
pub(crate) const BLOCK: usize = 512;
/// What the end is filled up to, as tar has done since there were tapes.
const RECORD: u64 = 20 * BLOCK as u64;
/// The name of every pax header: nothing of the path, so that it fits.
const PAX_NAME: &str = "pax-header";

/// What the header of one entry says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    /// The full path; with a `/` at its end for a directory.
    pub(crate) path: &'a str,
    /// The type flag: `0` a file, `1` a hard link, `2` a symbolic link, `5` a directory.
    pub(crate) kind: u8,
    /// The permissions, with the special bits.
    pub(crate) mode: u32,
    /// User and group.
    pub(crate) owner: (u64, u64),
    /// The size of the content in bytes.
    pub(crate) size: u64,
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// What a link points at.
    pub(crate) link: &'a str,
    /// Extended attributes.
    pub(crate) attributes: &'a [(String, Vec<u8>)],
}

/// The header of one entry of a release, with the pax header that it may need before it.
pub(crate) fn header(entry: &Named<'_>, size: u64) -> Vec<u8> {
    let (kind, link) = match entry.what {
        What::Directory => (b'5', ""),
        What::File { .. } => (b'0', ""),
        What::Link { target } => (b'2', target),
    };
    let mode = entry.what.mode();
    Head { path: &entry.path, kind, mode, owner: (0, 0), size, time: entry.time, link, attributes: &[] }.bytes()
}

/// The largest number in a field of seven octal digits, and in one of eleven.
const SEVEN: u64 = 0o7_777_777;
const ELEVEN: u64 = 0o77_777_777_777;

impl Head<'_> {
    /// The header, with the pax header that it may need before it.
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
        let large = |key: &str, value: u64, largest: u64| match value > largest {
            true => record(key, value.to_string().as_bytes()),
            false => Vec::new(),
        };
        records.extend(large("size", self.size, ELEVEN));
        records.extend(large("uid", self.owner.0, SEVEN));
        records.extend(large("gid", self.owner.1, SEVEN));
        for (name, value) in self.attributes {
            records.extend(record(&format!("SCHILY.xattr.{name}"), value));
        }
        let mut bytes = Vec::new();
        if !records.is_empty() {
            let size = records.len() as u64;
            let pax = Head { path: PAX_NAME, kind: b'x', mode: 0o644, owner: (0, 0), size, link: "", ..*self };
            bytes.extend(pax.block(b"", PAX_NAME.as_bytes()));
            bytes.extend(&records);
            bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        }
        let (prefix, name) = split.unwrap_or((b"", &path[..path.len().min(100)]));
        bytes.extend(self.block(prefix, name));
        bytes
    }

    fn block(&self, prefix: &[u8], name: &[u8]) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        let link = self.link.as_bytes();
        let fitting = |value: u64, largest: u64| if value > largest { 0 } else { value };
        put(0, name);
        put(100, format!("{:07o}\0", self.mode).as_bytes());
        put(108, format!("{:07o}\0", fitting(self.owner.0, SEVEN)).as_bytes());
        put(116, format!("{:07o}\0", fitting(self.owner.1, SEVEN)).as_bytes());
        put(124, format!("{:011o}\0", fitting(self.size, ELEVEN)).as_bytes());
        put(136, format!("{:011o}\0", self.time).as_bytes());
        put(148, b"        ");
        put(156, &[self.kind]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        // Names of others would be those of this machine.
        put(265, if self.owner.0 == 0 { b"root" } else { b"" });
        put(297, if self.owner.1 == 0 { b"root" } else { b"" });
        put(329, b"0000000\0");
        put(337, b"0000000\0");
        put(345, prefix);
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// How many zero bytes follow `size` bytes of content.
pub(crate) fn padding(size: u64) -> usize {
    let over = size % BLOCK as u64;
    if over == 0 { 0 } else { BLOCK - over as usize }
}

/// How many zero bytes end a file of `size` bytes: two blocks at least, then up to a whole record.
pub(crate) fn end(size: u64) -> usize {
    let least = size + 2 * BLOCK as u64;
    (least.next_multiple_of(RECORD) - size) as usize
}

/// A path as ustar's prefix (at most 155 bytes) and name (at most 100).
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // The `/` between them is not stored; that at the end of a directory is.
    let slashes = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at + 1 < path.len());
    slashes
        .map(|(at, _)| (&path[..at], &path[at + 1..]))
        .find(|(prefix, name)| prefix.len() <= 155 && name.len() <= 100)
}

/// `LENGTH KEY=VALUE` and a line end, where the length counts itself.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
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
        let what = target.map_or(What::File { executable: false }, |target| What::Link { target });
        let mut bytes = header(&Named { path: path.to_owned(), what, time: 1_700_000_000 }, 0);
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
    fn every_length_of_path_is_read_back_by_another_reader() {
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
    fn a_record_counts_its_own_length() {
        for length in [1, 80, 88, 89, 90, 91, 985, 986, 987, 988, 989] {
            let record = record("path", &vec![b'x'; length]);
            let text = String::from_utf8(record.clone()).unwrap();
            assert_eq!(text.split_once(' ').unwrap().0.parse::<usize>().unwrap(), record.len());
        }
    }

    #[test]
    fn a_file_ends_on_a_record() {
        for size in [0, 512, 9216, 9728, 10240] {
            let end = end(size);
            assert!(end >= 1024 && (size + end as u64) % RECORD == 0, "{size}");
        }
    }
}
