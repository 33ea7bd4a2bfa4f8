//! Archives: every format written from one pass over the entries, byte for byte the same on every machine, and readers
//! for archives from anywhere.
//!
//! No program is called: tar, gzip, xz and zip take options from the environment, the umask, the time zone and whatever
//! version is installed. `tar::Builder` is not used either: `HeaderMode::Deterministic` sets a modification time of its
//! own, and its pax headers hold more than the path that did not fit.

pub mod bundle;
mod chunks;
pub mod difference;
mod encode;
pub mod format;
pub mod layer;
mod members;
#[doc(hidden)]
pub mod mutation;
pub mod read;
mod read_error;
pub mod source;
mod tar;
pub mod tree;
mod write;
mod zip;
mod zstd;

use std::sync::Arc;

pub use encode::{BZIP2_LEVEL, DEFLATE_LEVEL, LAYER_LEVEL, XZ_BLOCK, XZ_PRESET, libraries};
pub use write::{ArchiveFile, Archives, Written, WrittenArchive, WrittenEntry, write};
pub use zip::zip_date;

/// The type of an entry in a source tree and in the archives made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory, mode 755.
    Directory,
    /// A regular file.
    File {
        /// Mode 755 if true, else 644.
        executable: bool,
    },
    /// A symbolic link, mode 777.
    Symlink {
        /// The path that the link points to.
        target: String,
    },
}

impl EntryKind {
    /// The permission bits.
    pub fn mode(&self) -> u32 {
        match self {
            EntryKind::Directory | EntryKind::File { executable: true } => 0o755,
            EntryKind::File { executable: false } => 0o644,
            EntryKind::Symlink { .. } => 0o777,
        }
    }

    /// The file type bits of `st_mode`, as in inode(7).
    pub(crate) fn type_bits(&self) -> u32 {
        match self {
            EntryKind::Directory => 0o040_000,
            EntryKind::File { .. } => 0o100_000,
            EntryKind::Symlink { .. } => 0o120_000,
        }
    }
}

/// Formats seconds since 1970 in UTC, as image configurations, bills of materials and people read them (RFC 3339).
///
/// # Errors
/// The time is after the year 9999.
pub fn rfc3339(epoch: u64) -> anyhow::Result<String> {
    Ok(jiff::Timestamp::from_second(i64::try_from(epoch)?)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// An entry to write into archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveEntry {
    /// The path below the top directory of the archive, without `/` at its ends.
    pub path: String,
    /// The type.
    pub kind: EntryKind,
    /// The content of a file, or the target of a symbolic link; empty for a directory.
    pub content: Arc<[u8]>,
}
