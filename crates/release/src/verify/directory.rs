//! The files of a downloaded release: which are lists of checksums, which are signatures of them, and the rest.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::checksum_list::{Algorithm, Clearsigned};
use drydock_base::checksum::hex;
use drydock_base::paths::open_regular;
use drydock_config::release::Format;

/// The largest list or signature that is read, in bytes.
const LARGEST: u64 = 16 << 20;
/// The extensions of files with signatures.
const SIGNATURES: [&str; 5] = ["asc", "sig", "gpg", "sign", "pgp"];
/// The beginnings and ends of the names of lists, in lower case.
const LIST_STARTS: [&str; 9] =
    ["sha256sum", "sha384sum", "sha512sum", "sha1sum", "md5sum", "b2sum", "shasum", "checksum", "sha3-"];
const LIST_NAMES: [&str; 5] = ["sha256", "sha512", "hashes", "digests", "sums"];
const LIST_ENDS: [&str; 12] = [
    ".sha256",
    ".sha384",
    ".sha512",
    ".sha256sum",
    ".sha512sum",
    ".sha256sums",
    ".sha512sums",
    ".b2sum",
    ".md5",
    "checksum",
    "checksums",
    ".sha1",
];

/// The names in a directory.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Files that are lists of checksums, some with an inline signature.
    pub(super) lists: BTreeSet<String>,
    /// Files with signatures of lists, each with its list.
    pub(super) signatures: Vec<(String, String)>,
    /// Everything else that is not a directory.
    pub(super) others: BTreeSet<String>,
    /// Directories.
    pub(super) directories: BTreeSet<String>,
}

impl Names {
    /// Reads a directory. Files called `more` are lists too, whatever their names look like.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub(super) fn read(directory: &Path, more: &[String]) -> anyhow::Result<Names> {
        let cannot = || format!("cannot read {}", directory.display());
        let mut names = Names::default();
        for entry in fs::read_dir(directory).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            // What is not UTF-8 can be in no list, so its name need not be exact.
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().with_context(cannot)?.is_dir() {
                names.directories.insert(name);
            } else if is_list_name(&name) || more.contains(&name) || is_clearsigned(directory, &name) {
                names.lists.insert(name);
            } else {
                names.others.insert(name);
            }
        }
        let of_list = |name: &String| Some((name.clone(), list_of(name, &names.lists)?));
        names.signatures = names.others.iter().filter_map(of_list).collect();
        names.others.retain(|name| !names.signatures.iter().any(|(signature, _)| signature == name));
        Ok(names)
    }
}

/// Whether a name is that of a list of checksums, without an extension of a signature.
pub(super) fn is_list_name(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.strip_suffix(".txt").unwrap_or(&lower);
    if signature_stem(name).is_some() || Format::of_name(name).is_some() {
        return false;
    }
    LIST_STARTS.iter().any(|start| stem.starts_with(start))
        || LIST_NAMES.contains(&stem)
        || LIST_ENDS.iter().any(|end| stem.ends_with(end))
}

/// The name without the extension of a signature.
fn signature_stem(name: &str) -> Option<&str> {
    let (stem, extension) = name.rsplit_once('.')?;
    SIGNATURES.iter().any(|one| extension.eq_ignore_ascii_case(one)).then_some(stem)
}

/// Whether a file with the name of a signature is a list with an inline signature.
fn is_clearsigned(directory: &Path, name: &str) -> bool {
    let is_name = signature_stem(name).is_some_and(is_list_name);
    is_name && read(&directory.join(name)).is_ok_and(|bytes| Clearsigned::is_one(&bytes))
}

/// The list that a file has signatures of: `LIST.asc`, or `LIST.PERSON.asc`.
fn list_of(name: &str, lists: &BTreeSet<String>) -> Option<String> {
    let stem = signature_stem(name)?;
    let is_of =
        |list: &&String| stem.strip_prefix(list.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    lists.iter().filter(is_of).max_by_key(|list| list.len()).cloned()
}

/// A list or a signature, which is small.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, LARGEST)
}

/// A file of at most this many bytes.
pub(super) fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_regular(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", most >> 20)));
    }
    Ok(bytes)
}

/// The path of a listed file. No directory on the way may be a link.
pub(super) fn inside(directory: &Path, name: &str) -> io::Result<PathBuf> {
    let mut path = directory.to_owned();
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        path.push(part);
        if parts.peek().is_some() && !fs::symlink_metadata(&path)?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "a part of its path is not a directory"));
        }
    }
    Ok(path)
}

/// The checksums of a file in hexadecimal digits, in the order of `algorithms`.
pub(super) fn digests(content: &mut dyn io::Read, algorithms: &[Algorithm]) -> io::Result<Vec<String>> {
    let mut hashes: Vec<Hash> = algorithms.iter().filter_map(|algorithm| Hash::new(*algorithm)).collect();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hashes.iter_mut().for_each(|hash| hash.update(&buffer[..read])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(hashes.into_iter().map(Hash::finish).collect())
}

enum Hash {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hash {
    fn new(algorithm: Algorithm) -> Option<Hash> {
        match algorithm {
            Algorithm::Sha256 => Some(Hash::Sha256(Sha256::new())),
            Algorithm::Sha384 => Some(Hash::Sha384(Sha384::new())),
            Algorithm::Sha512 => Some(Hash::Sha512(Sha512::new())),
            Algorithm::NotComputed | Algorithm::Weak => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hash::Sha256(hash) => hash.update(bytes),
            Hash::Sha384(hash) => hash.update(bytes),
            Hash::Sha512(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Hash::Sha256(hash) => hex(&hash.finalize()),
            Hash::Sha384(hash) => hex(&hash.finalize()),
            Hash::Sha512(hash) => hex(&hash.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_known_by_their_names() {
        for name in [
            "SHA256SUMS",
            "SHA256SUMS-v25.12.1",
            "SHA256SUMS.txt",
            "sha256sum.txt",
            "SHASUMS256.txt",
            "SHA512SUMS",
            "B2SUMS",
            "p-1.0.tar.gz.sha256",
            "Fedora-40-x86_64-CHECKSUM",
            "p_1.0_checksums.txt",
            "SHA256",
            "hashes.txt",
            "all.SHA256SUMS",
        ] {
            assert!(is_list_name(name), "{name}");
        }
        for name in
            ["SHA256SUMS.asc", "p-1.0.tar.gz", "sha256sum-1.0.tar.gz", "release.json", "SHA256SUMS.tar.xz", "README"]
        {
            assert!(!is_list_name(name), "{name}");
        }
    }

    #[test]
    fn signatures_belong_to_the_longest_name() {
        let lists = BTreeSet::from(["SHA256SUMS", "SHA256SUMS.txt", "SHA256SUMS-v1"].map(str::to_owned));
        let of = |name: &str| list_of(name, &lists).unwrap_or_default();
        assert_eq!(of("SHA256SUMS.asc"), "SHA256SUMS");
        assert_eq!(of("SHA256SUMS.alice.sig"), "SHA256SUMS");
        assert_eq!(of("SHA256SUMS.txt.gpg"), "SHA256SUMS.txt");
        assert_eq!(of("SHA256SUMS-v1.asc"), "SHA256SUMS-v1");
        assert_eq!(of("SHA256SUMS-v2.asc"), "");
        assert_eq!(of("SHA256SUMS.alice"), "");
    }
}
