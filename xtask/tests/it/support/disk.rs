//! A small disk, to be full.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::text;

/// A tmpfs of so many MiB, unmounted when dropped.
pub(crate) struct SmallDisk {
    directory: PathBuf,
    _parent: TempDir,
}

impl SmallDisk {
    /// None where this user may not mount.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("disk");
        fs::create_dir(&directory).unwrap();
        let mut mount = Command::new("mount");
        let mounted =
            mount.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"]).arg(&directory).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self { directory, _parent: parent })
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
        Command::new("umount").arg("-l").arg(&self.directory).status().ok();
    }
}
