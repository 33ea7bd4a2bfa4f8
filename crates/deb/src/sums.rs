//! The sums and sizes by which Debian's lists name files: MD5, SHA-1 and SHA-256.

use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::control::Paragraph;

/// The sums of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sums {
    /// Its name, without a directory.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// Lower-case hexadecimal digits.
    pub md5: String,
    /// Lower-case hexadecimal digits.
    pub sha1: String,
    /// Lower-case hexadecimal digits.
    pub sha256: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sums {
    /// Those of a file, read once.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: &Path) -> io::Result<Sums> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        Sums::read(name, drydock_base::paths::open_regular(path)?)
    }

    /// Those of bytes under a name.
    pub fn of(name: &str, bytes: &[u8]) -> Sums {
        let sum = |md5: Md5, sha1: Sha1, sha256: Sha256| Sums {
            name: name.to_owned(),
            size: bytes.len() as u64,
            md5: hex(&md5.finalize()),
            sha1: hex(&sha1.finalize()),
            sha256: hex(&sha256.finalize()),
        };
        sum(Md5::new_with_prefix(bytes), Sha1::new_with_prefix(bytes), Sha256::new_with_prefix(bytes))
    }

    fn read(name: String, mut from: impl Read) -> io::Result<Sums> {
        let (mut md5, mut sha1, mut sha256, mut size) = (Md5::new(), Sha1::new(), Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            md5.update(&buffer[..read]);
            sha1.update(&buffer[..read]);
            sha256.update(&buffer[..read]);
            size += read as u64;
        }
        let (md5, sha1, sha256) = (hex(&md5.finalize()), hex(&sha1.finalize()), hex(&sha256.finalize()));
        Ok(Sums { name, size, md5, sha1, sha256 })
    }
}

/// Adds `Checksums-Sha1`, `Checksums-Sha256` and, with the middle of its lines, `Files`.
pub fn list(paragraph: &mut Paragraph, files: &[Sums], files_middle: Option<&str>) {
    let lines =
        |line: &dyn Fn(&Sums) -> String| files.iter().map(|file| format!("\n{}", line(file))).collect::<String>();
    if files_middle.is_none() {
        paragraph.set("Checksums-Md5", lines(&|file| format!("{} {} {}", file.md5, file.size, file.name)));
    }
    paragraph.set("Checksums-Sha1", lines(&|file| format!("{} {} {}", file.sha1, file.size, file.name)));
    paragraph.set("Checksums-Sha256", lines(&|file| format!("{} {} {}", file.sha256, file.size, file.name)));
    if let Some(middle) = files_middle {
        paragraph.set("Files", lines(&|file| format!("{} {} {middle}{}", file.md5, file.size, file.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_with_known_sums() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sums = Sums::of_file(&path).unwrap();
        assert_eq!(sums, Sums::of("abc", b"abc"));
        assert_eq!(sums.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(sums.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sums.size, 3);
    }
}
