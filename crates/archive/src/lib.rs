//! Archives: every format from one pass over a source tree, byte for byte the same on every machine, and their readers.
//!
//! No program is called: tar, gzip, xz and zip take their options from the environment, the umask, the time zone and
//! whatever version is installed. Nor is `tar::HeaderMode::Deterministic` used, which stamps a date of its own.

pub mod difference;
mod encode;
pub mod layer;
pub mod read;
pub mod source;
mod tar;
mod write;
mod zip;

pub use encode::{BZIP2_LEVEL, DEFLATE_LEVEL, LAYER_LEVEL, XZ_BLOCK, XZ_PRESET, libraries};
pub use write::{Written, WrittenArchive, WrittenEntry, write};

/// One name in an archive with what its header says; the order of entries is that of the bytes of `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// The full path in the archive; with a `/` at its end for a directory.
    pub(crate) path: String,
    /// What it is.
    pub(crate) what: What<'a>,
    /// Seconds since 1970.
    pub(crate) time: u64,
}

/// What an entry of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What<'a> {
    /// A directory, 755.
    Directory,
    /// A file, 755 or 644.
    File {
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link.
    Link {
        /// What it points at.
        target: &'a str,
    },
}

impl What<'_> {
    /// The permissions.
    pub(crate) fn mode(self) -> u32 {
        match self {
            What::Directory | What::File { executable: true } => 0o755,
            What::File { executable: false } => 0o644,
            What::Link { .. } => 0o777,
        }
    }
}
