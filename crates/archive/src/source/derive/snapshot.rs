//! Snapshots of a directory: the type and checksum of every file, to find what a generator changed.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use drydock_base::failure::Failure;

/// The largest number of files in a directory after a generator ran.
const MOST_FILES: usize = 1_000_000;

/// The files of a directory, by their relative paths.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    files: BTreeMap<String, FileState>,
}

/// The state of a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileState {
    /// A file.
    File { executable: bool, sha256: [u8; 32] },
    /// A symbolic link.
    Link { target: String },
    /// A pipe, a socket or a device.
    Other,
}

impl Snapshot {
    pub(super) fn take(root: &Path) -> anyhow::Result<Snapshot> {
        let mut files = BTreeMap::new();
        let mut directories = vec![String::new()];
        while let Some(directory) = directories.pop() {
            let at = root.join(&directory);
            for entry in fs::read_dir(&at).with_context(|| format!("cannot read {}", at.display()))? {
                let entry = entry.with_context(|| format!("cannot read {}", at.display()))?;
                let name = entry.file_name().into_string().map_err(|name| {
                    let text = format!("a generator wrote {}/{}", directory, name.to_string_lossy());
                    Failure::rejected(format!("{text}, whose name is not UTF-8"))
                })?;
                let path = format!("{directory}{name}");
                let kind = entry.file_type().with_context(|| format!("cannot read {path}"))?;
                if kind.is_dir() {
                    directories.push(format!("{path}/"));
                    continue;
                }
                files.insert(path.clone(), state(&entry.path(), kind).with_context(|| format!("cannot read {path}"))?);
                if files.len() > MOST_FILES {
                    return Err(Failure::rejected(format!("a generator wrote more than {MOST_FILES} files")));
                }
            }
        }
        Ok(Snapshot { files })
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The paths that are new or have another state.
    pub(super) fn changed_since<'a>(&'a self, before: &'a Snapshot) -> impl Iterator<Item = (&'a str, &'a FileState)> {
        let changed = self.files.iter().filter(|(path, state)| before.files.get(*path) != Some(state));
        changed.map(|(path, state)| (path.as_str(), state))
    }

    /// The paths that are gone in `after`.
    pub(super) fn vanished<'a>(&'a self, after: &'a Snapshot) -> impl Iterator<Item = &'a str> {
        self.paths().filter(|path| !after.files.contains_key(*path))
    }
}

fn state(path: &Path, kind: fs::FileType) -> std::io::Result<FileState> {
    if kind.is_symlink() {
        return Ok(FileState::Link { target: fs::read_link(path)?.to_string_lossy().into_owned() });
    }
    if !kind.is_file() {
        return Ok(FileState::Other);
    }
    let executable = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
    Ok(FileState::File { executable, sha256: Sha256::digest(fs::read(path)?).into() })
}
