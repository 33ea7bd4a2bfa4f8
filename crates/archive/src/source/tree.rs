//! The files of a release as a value, and a reader of their contents.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;

use super::model::{SourceEntry, SourceTree, missing};
use super::{NameRules, Origin, walk};
use crate::{ArchiveEntry, EntryKind};
use drydock_base::failure::Failure;
use drydock_base::git::{Objects, Oid, Repository};

impl SourceTree {
    /// Reads the files of a commit, and those of its submodules if `submodules` is true.
    ///
    /// # Errors
    /// An object is missing; or there are paths, links and attributes that a release cannot contain, all in one error.
    pub fn read(
        repository: &Repository,
        commit: &Oid,
        submodules: bool,
        names: NameRules,
    ) -> anyhow::Result<SourceTree> {
        walk::tree(repository, commit, submodules, names)
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&SourceEntry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_bytes().cmp(path.as_bytes())).ok()?;
        self.entries.get(at)
    }

    /// Adds derived files.
    ///
    /// # Errors
    /// [`super::check_paths`] finds problems, such as paths that collide.
    pub fn add(&mut self, derived: Vec<SourceEntry>) -> anyhow::Result<()> {
        self.entries.extend(derived);
        self.entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        let problems = super::check_paths(self.entries.iter().map(|entry| entry.path.as_str()), self.names);
        if problems.is_empty() {
            return Ok(());
        }
        let list: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Err(Failure::rejected(format!("a release cannot contain these derived files:\n  {}", list.join("\n  "))))
    }

    /// A reader of contents, with one process for each repository.
    pub fn reader(&self) -> Reader<'_> {
        Reader { tree: self, open: BTreeMap::new() }
    }

    /// The content of the file at a path; none if there is no such file.
    ///
    /// # Errors
    /// The object is missing or damaged.
    pub fn content(&self, path: &str) -> anyhow::Result<Option<Arc<[u8]>>> {
        self.get(path).map(|entry| self.reader().content(entry)).transpose()
    }

    /// The text of the file at a path, in which U+FFFD replaces what is not UTF-8; none if there is no such file.
    ///
    /// # Errors
    /// The object is missing or damaged.
    pub fn text(&self, path: &str) -> anyhow::Result<Option<String>> {
        Ok(self.content(path)?.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// The entries with their contents, read as they are needed.
    pub fn archive_entries(&self) -> impl Iterator<Item = anyhow::Result<ArchiveEntry>> + '_ {
        let mut reader = self.reader();
        self.entries.iter().map(move |entry| {
            let content = reader.content(entry)?;
            Ok(ArchiveEntry { path: entry.path.clone(), kind: entry.kind.clone(), content })
        })
    }

    /// Writes all files to an empty directory, with the modes of archives and the date of the commit.
    ///
    /// # Errors
    /// The directory is not writable, or an object cannot be read.
    pub fn export(&self, directory: &Path) -> anyhow::Result<()> {
        let mut reader = self.reader();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(self.epoch);
        for entry in &self.entries {
            let path = directory.join(&entry.path);
            let cannot = || format!("cannot write {}", path.display());
            fs::create_dir_all(path.parent().unwrap_or(directory)).with_context(cannot)?;
            match &entry.kind {
                EntryKind::Directory => fs::create_dir_all(&path).with_context(cannot)?,
                EntryKind::Symlink { target } => std::os::unix::fs::symlink(target, &path).with_context(cannot)?,
                EntryKind::File { .. } => {
                    let mode = entry.kind.mode();
                    let mut file = fs::OpenOptions::new()
                        .write(true)
                        .create_new(true)
                        .mode(mode)
                        .open(&path)
                        .with_context(cannot)?;
                    file.write_all(&reader.content(entry)?).with_context(cannot)?;
                    file.set_permissions(fs::Permissions::from_mode(mode)).with_context(cannot)?;
                    file.set_modified(time).with_context(cannot)?;
                }
            }
        }
        Ok(())
    }
}

/// A reader of the contents of a tree's entries.
#[derive(Debug)]
pub struct Reader<'a> {
    tree: &'a SourceTree,
    open: BTreeMap<usize, Objects>,
}

impl Reader<'_> {
    /// The content of a file; the target of a link.
    ///
    /// # Errors
    /// The object is missing or damaged.
    pub fn content(&mut self, entry: &SourceEntry) -> anyhow::Result<Arc<[u8]>> {
        if let EntryKind::Symlink { target } = &entry.kind {
            return Ok(target.as_bytes().into());
        }
        match &entry.origin {
            Origin::Derived { content, .. } => Ok(Arc::clone(content)),
            Origin::Git { repository: index, blob } => {
                let source = self.tree.repositories.get(*index).context("the tree has no such repository")?;
                let objects = match self.open.entry(*index) {
                    std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
                    std::collections::btree_map::Entry::Vacant(place) => {
                        place.insert(Objects::open(&source.repository)?)
                    }
                };
                let object = objects.read(blob)?;
                let object = object.ok_or_else(|| missing(source, &format!("the content of {}", entry.path), blob))?;
                Ok(object.content.into())
            }
        }
    }
}
