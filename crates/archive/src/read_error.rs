//! The ways in which an archive cannot be read.

use std::io;

/// An archive that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The named part of the archive is cut off.
    #[error("it is cut off: {0} is incomplete")]
    Truncated(String),
    /// The file is not such an archive, or is damaged.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// The archive unpacks to more bytes than the limit.
    #[error("it unpacks to more than the {0} bytes that are expected, as a decompression bomb would")]
    TooLarge(u64),
    /// The archive has more entries than the limit.
    #[error("it has more than the {0} entries that are expected")]
    TooMany(usize),
    /// The archive has the named feature, which is not supported.
    #[error("it has {0}, which is not supported")]
    Unsupported(String),
    /// A file has a property that cannot be kept, and without which it would be another one.
    #[error("{path} has {what}; {remedy}")]
    NotKept {
        /// The path of the file.
        path: String,
        /// The property.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The archive would be unpacked to a path outside of the target, or to something other than files and links.
    #[error("it cannot be unpacked safely: {0}")]
    Unsafe(String),
    /// The file system failed.
    #[error("cannot read or write: {0}")]
    Io(#[from] io::Error),
}
