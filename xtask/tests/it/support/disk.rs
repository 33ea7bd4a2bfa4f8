//! A small disk, to be full.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::privilege::succeeds_as_root;
use super::{need, text};

/// A tmpfs of so many MiB, unmounted when dropped.
pub(crate) struct SmallDisk {
    directory: PathBuf,
    _parent: TempDir,
}

impl SmallDisk {
    /// None, with a note, where this user may not mount and sudo asks for a password; in CI the test fails there.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("disk");
        fs::create_dir(&directory).unwrap();
        let options = format!("mode=1777,size={mebibytes}m");
        let mounted = succeeds_as_root(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs", &text(&directory)]);
        need(mounted, "a small disk cannot be mounted: that takes root, or sudo without a password")
            .then_some(Self { directory, _parent: parent })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.directory
    }

    /// Every file on it, with its size.
    pub(crate) fn files(&self) -> Vec<(String, u64)> {
        let mut files = Vec::new();
        let mut directories = vec![self.directory.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                let metadata = entry.metadata().unwrap();
                if metadata.is_dir() {
                    directories.push(entry.path());
                } else {
                    files.push((text(entry.path().strip_prefix(&self.directory).unwrap()), metadata.len()));
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        succeeds_as_root(&["umount", "-l", &text(&self.directory)]);
    }
}
