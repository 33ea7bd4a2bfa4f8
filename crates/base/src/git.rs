//! git without any influence of its configuration: questions to a repository, and objects read through one process.
//!
//! What decides is in commits, trees, tags and references. A clone also has a configuration, hooks, grafts, replaced
//! objects, attributes and filters of its own, which may change answers or run programs. git never sees them: it works in a
//! `view`, a git directory of ours that borrows the objects and references of the clone and nothing else.

mod batch;
mod changes;
mod discover;
mod objects;
mod repository;
#[cfg(test)]
mod tests;
mod tree_entries;
mod view;

use std::fmt;

pub use changes::{Change, Untracked};
pub use discover::NotFound;
pub use objects::{Object, Objects, PathAttribute};
pub use repository::{HistoryError, ListedEntry, LoggedCommit, Repository};
pub use tree_entries::{Mode, TreeEntry, tree_entries};

/// The name of an object: 40 or 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// The name in a text, if it is one.
    pub fn parse(text: &str) -> Option<Oid> {
        let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        (hex && matches!(text.len(), 40 | 64)).then(|| Oid(text.to_owned()))
    }

    /// The name of raw bytes, as tree objects hold them.
    pub fn of_bytes(bytes: &[u8]) -> Oid {
        Oid(crate::checksum::hex(bytes))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, whatever `core.abbrev` is.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
