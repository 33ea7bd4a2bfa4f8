//! tar headers, by hand: ustar where it fits, else a pax record for the path or the link alone.
//!
//! POSIX.1-2017, `pax`, "ustar Interchange Format" and "pax Extended Header".

use super::{Named, What};

/// The unit of a tar file.
pub(crate) const BLOCK: usize = 512;
/// What the end is filled up to, as tar has done since there were tapes.
const RECORD: u64 = 20 * BLOCK as u64;
/// The name of every pax header: nothing of the path, so that it fits.
const PAX_NAME: &[u8] = b"pax-header";

/// The header of one entry, with the pax header that it may need before it.
pub(crate) fn header(entry: &Named<'_>, size: u64) -> Vec<u8> {
    let path = entry.path.as_bytes();
    let link = match entry.what {
        What::Link { target } => target.as_bytes(),
        What::Folder | What::File { .. } => b"",
    };
    let split = split(path);
    let mut records = Vec::new();
    if split.is_none() {
        records.extend(record("path", path));
    }
    if link.len() > 100 {
        records.extend(record("linkpath", link));
    }
    let mut bytes = Vec::new();
    if !records.is_empty() {
        bytes.extend(block(b"", PAX_NAME, 0o644, records.len() as u64, entry.time, b'x', b""));
        bytes.extend(&records);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    }
    let (prefix, name) = split.unwrap_or((b"", &path[..path.len().min(100)]));
    let kind = match entry.what {
        What::Folder => b'5',
        What::File { .. } => b'0',
        What::Link { .. } => b'2',
    };
    bytes.extend(block(prefix, name, entry.what.mode(), size, entry.time, kind, &link[..link.len().min(100)]));
    bytes
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
    // The `/` between them is not stored; that at the end of a folder is.
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

fn block(prefix: &[u8], name: &[u8], mode: u32, size: u64, time: u64, kind: u8, link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{time:011o}\0").as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link);
    put(257, b"ustar\x0000");
    put(265, b"root");
    put(297, b"root");
    put(329, b"0000000\0");
    put(337, b"0000000\0");
    put(345, prefix);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
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
