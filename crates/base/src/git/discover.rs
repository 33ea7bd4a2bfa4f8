//! Finds the git directory that a directory belongs to, as git does, but without reading any configuration.
//!
//! Source: gitrepository-layout(5), and `setup_git_directory_gently` in git's setup.c.

use std::fs;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest `.git` file or `commondir` file that is read, in bytes; it holds one path.
const LARGEST_POINTER: u64 = 1 << 16;

/// The parts of a repository on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// The directory with `HEAD` and the index.
    pub(super) git_dir: PathBuf,
    /// The directory with objects and references: another one for a linked work tree (`git worktree add`).
    pub(super) common_dir: PathBuf,
    /// The top of the work tree; none in a bare repository.
    pub(super) work_tree: Option<PathBuf>,
}

/// The reasons why a directory has no repository.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The directory itself cannot be read.
    #[error("cannot read {path}: {why}", path = .path.display(), why = crate::exec::plain(.error))]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// The system's error.
        error: std::io::Error,
    },
    /// Neither the directory nor one above it has a `.git`.
    #[error("{} is in no git repository", .0.display())]
    Nowhere(PathBuf),
    /// A `.git` exists, and does not lead to a git directory.
    #[error("{} does not lead to a git repository", .0.display())]
    Broken(PathBuf),
}

/// The repository of a directory: its own, or the nearest one above it on the same file system.
///
/// # Errors
/// There is none, or its files are broken.
pub(super) fn discover(directory: &Path) -> Result<Location, NotFound> {
    let unreadable = |error| NotFound::Unreadable { path: directory.to_owned(), error };
    let start = directory.canonicalize().map_err(unreadable)?;
    let device = fs::metadata(&start).map_err(unreadable)?.dev();
    for here in start.ancestors() {
        if fs::metadata(here).map_or(true, |metadata| metadata.dev() != device) {
            break;
        }
        let dot_git = here.join(".git");
        if let Ok(metadata) = fs::metadata(&dot_git) {
            let git_dir = if metadata.is_file() { pointer(&dot_git, "gitdir: ") } else { Some(dot_git.clone()) };
            let found = git_dir.and_then(|git_dir| location(&git_dir, Some(here)));
            match found {
                Some(found) => return Ok(found),
                // git, too, passes over a directory `.git` that is none, and stops at such a file.
                None if metadata.is_dir() => {}
                None => return Err(NotFound::Broken(dot_git)),
            }
        }
        if let Some(found) = location(here, None) {
            return Ok(found);
        }
    }
    Err(NotFound::Nowhere(directory.to_owned()))
}

/// The parts of a git directory; none if it is not one.
fn location(git_dir: &Path, work_tree: Option<&Path>) -> Option<Location> {
    let is_regular = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    // An old style of `HEAD` is a link to a reference, which need not exist.
    if !is_regular(&git_dir.join("HEAD")) && fs::read_link(git_dir.join("HEAD")).is_err() {
        return None;
    }
    let commondir = git_dir.join("commondir");
    let common_dir = if is_regular(&commondir) { pointer(&commondir, "")? } else { git_dir.to_owned() };
    let is_whole = common_dir.join("objects").is_dir() && common_dir.join("refs").is_dir();
    is_whole.then(|| Location { git_dir: git_dir.to_owned(), common_dir, work_tree: work_tree.map(Path::to_owned) })
}

/// The path in a file after a prefix, relative to the file's directory.
fn pointer(file: &Path, prefix: &str) -> Option<PathBuf> {
    if fs::metadata(file).ok()?.len() > LARGEST_POINTER {
        return None;
    }
    let content = fs::read(file).ok()?;
    let mut path = content.strip_prefix(prefix.as_bytes())?.to_vec();
    while path.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        path.pop();
    }
    (!path.is_empty()).then(|| file.parent().unwrap_or(file).join(std::ffi::OsString::from_vec(path)))
}
