//! Source trees as values.

use std::sync::Arc;

use super::NameRules;
use crate::EntryKind;
use drydock_base::failure::Failure;
use drydock_base::git::{Oid, Repository};
use drydock_base::hint;

/// The files of a commit and of its submodules, and the files derived from them.
#[derive(Debug, Clone)]
pub struct SourceTree {
    /// The commit.
    pub commit: Oid,
    /// The commit date in seconds since 1970, which is the date of everything in the release.
    pub epoch: u64,
    /// All files and links, sorted by the bytes of the path, without duplicates.
    pub entries: Vec<SourceEntry>,
    /// The tracked paths that the release excludes.
    pub excluded: Vec<ExcludedPath>,
    /// The rules that names follow.
    pub names: NameRules,
    /// The project's repository, then those of submodules.
    pub repositories: Vec<SourceRepository>,
}

/// A repository with source files.
#[derive(Debug, Clone)]
pub struct SourceRepository {
    /// The directory of its files, relative to the project, with a `/` at the end; empty for the project itself.
    pub prefix: String,
    /// The commit.
    pub commit: Oid,
    /// The repository with its objects.
    pub repository: Repository,
    /// The name of the submodule in `.gitmodules`; empty for the project itself.
    pub name: String,
}

/// A file or symbolic link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEntry {
    /// The path, relative to the project.
    pub path: String,
    /// The type; never a directory.
    pub kind: EntryKind,
    /// The source of the content.
    pub origin: Origin,
}

/// The source of an entry's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A blob in git.
    Git {
        /// The index in [`SourceTree::repositories`].
        repository: usize,
        /// The object name.
        blob: Oid,
    },
    /// A file that a generator wrote.
    Derived {
        /// The name of the generator.
        generator: String,
        /// The content.
        content: Arc<[u8]>,
    },
}

/// A tracked path that the release does not contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExcludedPath {
    /// The path; with a `/` at the end for a directory.
    pub path: String,
    /// The reason: `export-ignore` or `submodule`.
    pub reason: &'static str,
}

/// The error for a missing object, with the command that fetches it.
pub(super) fn missing(source: &SourceRepository, what: &str, oid: &Oid) -> anyhow::Error {
    let at = source.repository.directory.clone();
    let remedy = if source.repository.is_partial() {
        format!("the clone is partial; run `{}`", hint::git(&at, &["fetch", "--refetch", "--no-filter", "origin"]))
    } else if source.repository.is_shallow {
        format!("the clone is shallow; run `{}`", hint::git(&at, &["fetch", "--unshallow", "--tags"]))
    } else {
        format!("run `{}` to check for repository corruption", hint::git(&at, &["fsck"]))
    };
    Failure::missing(format!("{what} ({oid}) is not in the repository {}; {remedy}", at.display()))
}
