//! The entries of tree objects.

use super::Oid;

/// One entry of a tree object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry<'a> {
    /// The mode's octal digits.
    pub mode: &'a [u8],
    /// The name, without a directory.
    pub name: &'a [u8],
    /// The object that it names.
    pub object: Oid,
}

/// The kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Another tree.
    Directory,
    /// A regular file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
    },
    /// A symbolic link.
    Link,
    /// A commit of a submodule.
    Submodule,
}

impl Mode {
    /// The kind that git takes a mode for. Old versions of git and other programs wrote zeros before it, and other permissions.
    /// Source: `canon_mode` in git's object.h, which takes all other types for submodules; here they are none.
    pub fn canonical(mode: &[u8]) -> Option<Mode> {
        let mode = u32::from_str_radix(std::str::from_utf8(mode).ok()?, 8).ok()?;
        match mode & 0o170_000 {
            0o040_000 => Some(Mode::Directory),
            0o100_000 => Some(Mode::File { executable: mode & 0o100 != 0 }),
            0o120_000 => Some(Mode::Link),
            0o160_000 => Some(Mode::Submodule),
            _ => None,
        }
    }
}

/// The entries of a tree object, each `MODE NAME NUL` and the raw object name of `width` bytes; none if the object is
/// damaged.
pub fn tree_entries(mut content: &[u8], width: usize) -> Option<Vec<TreeEntry<'_>>> {
    let mut entries = Vec::new();
    while !content.is_empty() {
        let space = content.iter().position(|byte| *byte == b' ')?;
        let (mode, rest) = (&content[..space], &content[space + 1..]);
        let nul = rest.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
        entries.push(TreeEntry { mode, name, object: Oid::of_bytes(rest.get(..width)?) });
        content = &rest[width..];
    }
    Some(entries)
}
