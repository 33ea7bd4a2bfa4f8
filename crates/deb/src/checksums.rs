//! The checksums and sizes in Debian's lists of files: MD5, SHA-1 and SHA-256.

use std::io::{self, Read};
use std::path::Path;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::control::Paragraph;

/// A file's checksums, in lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChecksums {
    /// The file's name, without a directory.
    pub name: String,
    /// The size in bytes.
    pub size: u64,
    /// The MD5 checksum.
    pub md5: String,
    /// The SHA-1 checksum.
    pub sha1: String,
    /// The SHA-256 checksum.
    pub sha256: String,
}

impl FileChecksums {
    /// Reads a file once and computes its checksums.
    ///
    /// # Errors
    /// The file cannot be read, or is not a regular file.
    pub fn read(path: &Path) -> io::Result<FileChecksums> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut file = drydock_base::paths::open_regular(path)?;
        let (mut md5, mut sha1, mut sha256, mut size) = (Md5::new(), Sha1::new(), Sha256::new(), 0);
        let mut buffer = vec![0; 1 << 17];
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            md5.update(&buffer[..read]);
            sha1.update(&buffer[..read]);
            sha256.update(&buffer[..read]);
            size += read as u64;
        }
        let [md5, sha1, sha256] =
            [format!("{:x}", md5.finalize()), format!("{:x}", sha1.finalize()), format!("{:x}", sha256.finalize())];
        Ok(FileChecksums { name, size, md5, sha1, sha256 })
    }

    /// The checksums of content under a name.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> FileChecksums {
        FileChecksums {
            name: name.to_owned(),
            size: bytes.len() as u64,
            md5: format!("{:x}", Md5::digest(bytes)),
            sha1: format!("{:x}", Sha1::digest(bytes)),
            sha256: format!("{:x}", Sha256::digest(bytes)),
        }
    }
}

/// Adds the lists of files to a paragraph: `Checksums-Sha1`, `Checksums-Sha256`, and either `Files`, with `files_middle`
/// between size and name, or `Checksums-Md5`.
pub fn list(paragraph: &mut Paragraph, files: &[FileChecksums], files_middle: Option<&str>) {
    let lines = |line: &dyn Fn(&FileChecksums) -> String| {
        files.iter().map(|file| format!("\n{}", line(file))).collect::<String>()
    };
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
    fn files_and_bytes_have_the_known_checksums() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let sums = FileChecksums::read(&path).unwrap();
        assert_eq!(sums, FileChecksums::from_bytes("abc", b"abc"));
        assert_eq!(sums.md5, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(sums.sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(sums.size, 3);
    }
}
