//! The listing of a directory: by git where it is a work tree, otherwise by a walk that follows no link.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use drydock_base::exec;
use drydock_base::text::plural;
use drydock_base::units::ByteSize;
use rustix::fs::{Mode, OFlags};

use super::{Kind, MOST_BYTES, Tree};

/// More paths than this are not listed.
const MOST_PATHS: usize = 200_000;
/// Directories are not entered at a greater depth.
const DEEPEST: usize = 64;
/// Directories that a walk without git does not enter: results of builds, and data of version control.
const NOT_ENTERED: [&str; 8] = [".git", ".hg", ".svn", ".bzr", ".pc", "target", "__pycache__", ".tox"];

/// Why a project cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {}: {}", path.display(), exec::plain(error))]
pub struct ReadError {
    /// The directory.
    pub path: PathBuf,
    /// The system's reason.
    #[source]
    pub error: std::io::Error,
}

impl Tree {
    /// Lists the files of a directory: those that git tracks, or would track, where it is in a git work tree.
    ///
    /// # Errors
    /// The directory itself cannot be listed.
    pub fn read(root: &Path) -> Result<Tree, ReadError> {
        let cannot = |error| ReadError { path: root.to_owned(), error };
        let mut tree = Tree { root: Some(fs::canonicalize(root).map_err(cannot)?), ..Tree::default() };
        let mut counts = Counts::default();
        match by_git(root) {
            Some(paths) if !paths.is_empty() => {
                for path in paths {
                    tree.add(root, &path, &mut counts);
                }
            }
            Some(_) | None => walk(&mut tree, root, &mut counts).map_err(cannot)?,
        }
        let left_out = [
            (counts.names, "has a name that is not UTF-8 or not printable"),
            (counts.special, "is a pipe, a socket or a device"),
            (counts.unreadable, "cannot be read"),
            (counts.more, "is beyond the number of files that are looked at"),
        ];
        let left_out = left_out.into_iter().filter(|(count, _)| *count > 0);
        tree.left_out =
            left_out.map(|(count, why)| format!("{} left out: each {why}", plural(count, "path"))).collect();
        Ok(tree)
    }

    /// Adds a path below `root` if it is there and can be named.
    fn add(&mut self, root: &Path, path: &[u8], counts: &mut Counts) {
        let Some(name) = std::str::from_utf8(path).ok().filter(|name| !name.chars().any(char::is_control)) else {
            counts.names += 1;
            return;
        };
        if self.entries.len() >= MOST_PATHS {
            counts.more += 1;
            return;
        }
        let Ok(metadata) = fs::symlink_metadata(root.join(name)) else { return };
        let kind = metadata.file_type();
        let kind = if kind.is_file() {
            Kind::File { executable: metadata.permissions().mode() & 0o100 != 0 }
        } else if kind.is_symlink() {
            Kind::Link
        } else if kind.is_dir() {
            Kind::Submodule
        } else {
            counts.special += 1;
            return;
        };
        self.entries.insert(name.trim_end_matches('/').to_owned(), kind);
    }
}

/// Paths that are left out, by reason.
#[derive(Debug, Default)]
struct Counts {
    names: usize,
    special: usize,
    unreadable: usize,
    more: usize,
}

/// The paths that git tracks or would track; none where git has no answer.
fn by_git(root: &Path) -> Option<Vec<Vec<u8>>> {
    // No monitor and no hook of the clone is asked.
    let ask = |words: &[&str]| {
        let fixed = ["git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"];
        let argv: Vec<String> = fixed.iter().chain(words).map(|word| (*word).to_owned()).collect();
        exec::bytes(&argv, root, exec::environment(&[], &BTreeMap::new())).ok()
    };
    let split = |bytes: Vec<u8>| -> Vec<Vec<u8>> {
        bytes.split(|byte| *byte == 0).filter(|path| !path.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let mut paths =
        split(ask(&["ls-files", "-z", "--cached", "--recurse-submodules"]).or_else(|| ask(&["ls-files", "-z"]))?);
    paths.extend(split(ask(&["ls-files", "-z", "--others", "--exclude-standard"]).unwrap_or_default()));
    Some(paths)
}

/// Adds all files below the root, without following links.
fn walk(tree: &mut Tree, root: &Path, counts: &mut Counts) -> std::io::Result<()> {
    let mut directories = vec![(Vec::new(), 0)];
    let mut first = true;
    while let Some((directory, depth)) = directories.pop() {
        use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
        let entries = match fs::read_dir(root.join(std::ffi::OsStr::from_bytes(&directory))) {
            Ok(entries) => entries,
            Err(error) if first => return Err(error),
            Err(_) => {
                counts.unreadable += 1;
                continue;
            }
        };
        first = false;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let mut path = directory.clone();
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend(name.clone().into_vec());
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if !is_directory {
                tree.add(root, &path, counts);
            } else if depth < DEEPEST && !NOT_ENTERED.iter().any(|skipped| name == *skipped) {
                directories.push((path, depth + 1));
            }
        }
    }
    Ok(())
}

/// The text of a regular file that no link leads to.
///
/// # Errors
/// It cannot be read, or has more than [`MOST_BYTES`].
pub(super) fn text(root: &Path, path: &str) -> io::Result<String> {
    let (directories, name) = path.rsplit_once('/').unwrap_or(("", path));
    let open = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let mut at = rustix::fs::open(root, open | OFlags::DIRECTORY, Mode::empty())?;
    for part in directories.split('/').filter(|part| !part.is_empty()) {
        at = rustix::fs::openat(&at, part, open | OFlags::DIRECTORY, Mode::empty())?;
    }
    let file = File::from(rustix::fs::openat(&at, name, open, Mode::empty())?);
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is a file no longer"));
    }
    if metadata.len() > MOST_BYTES {
        return Err(io::Error::other(format!("it is larger than {}", ByteSize::new(MOST_BYTES))));
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
