//! Files and directories of a project, carried to another machine: with permissions, links, hard links and times to the
//! nanosecond, so that build tools there find everything as new or old as it was.
//!
//! The file is a tar archive with gzip. Its first member is an index with everything that is known of each entry; the
//! others are the contents, named by number, so that no name in the archive is ever used as a path.

use std::collections::HashMap;
use std::fs;
use std::io::{self, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use crate::read::{Limits, ReadError};

mod unpack;

use unpack::unpack;

/// The name of the first member.
const INDEX: &str = "index.json";
/// The version of its shape.
const FORMAT: u32 = 1;
/// The most bytes of the index.
const LONGEST_INDEX: u64 = 1 << 30;
/// The limits of a tree: build directories are large.
const LIMITS: Limits = Limits { bytes: 64 << 30, entries: 2_000_000 };
/// The deepest directory.
const DEEPEST: usize = 256;

/// The reason why a tree cannot be carried.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A path is not there.
    #[error("`{0}` does not exist")]
    Missing(String),
    /// An entry cannot be carried.
    #[error("`{path}` {problem}")]
    Entry {
        /// Relative to the project.
        path: String,
        /// The problem.
        problem: String,
    },
    /// The archive is not a tree, or is damaged.
    #[error("the archive {0}")]
    Archive(String),
    /// The archive cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The disk or the file system refused something.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// The cause.
        #[source]
        cause: io::Error,
    },
}

/// Everything but the contents.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Index {
    format: u32,
    /// The paths that were asked for; every entry is one of them or below.
    roots: Vec<String>,
    entries: Vec<Entry>,
    /// The times of files of the project that are not carried, so that they do not become newer than what was made of them:
    /// path, size, seconds and nanoseconds.
    sources: Vec<(String, u64, i64, u32)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Entry {
    path: String,
    kind: Kind,
    mode: u32,
    seconds: i64,
    nanoseconds: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Directory,
    /// The number of its member, and its size.
    File(usize, u64),
    /// Another name of the file with that path.
    Same(String),
    Link(String),
}

/// Writes the files and directories of a project to an archive. What is in `skip` is left out. The times of `sources`
/// are kept, too.
///
/// # Errors
/// A path is missing, leads out of the project, or is neither a file, a directory nor a link.
pub fn pack(
    project: &Path,
    roots: &[String],
    skip: &[PathBuf],
    sources: &[String],
    out: &Path,
) -> Result<(), TreeError> {
    let mut walk = Walk { project, skip, entries: Vec::new(), files: Vec::new(), names: HashMap::new() };
    for root in roots {
        check(root)?;
        no_links(project, Path::new(root))?;
        if fs::symlink_metadata(project.join(root)).is_err() {
            return Err(TreeError::Missing(root.clone()));
        }
        walk.add(root, 0)?;
    }
    let mut times = Vec::new();
    for source in sources.iter().filter(|source| check(source).is_ok()) {
        let Ok(metadata) = fs::symlink_metadata(project.join(source)) else { continue };
        if metadata.is_file() {
            times.push((source.clone(), metadata.len(), metadata.mtime(), nanoseconds(&metadata)));
        }
    }
    let Walk { entries, files, .. } = walk;
    let index = Index { format: FORMAT, roots: roots.to_vec(), entries, sources: times };
    write(project, &index, &files, out).map_err(|cause| failed(format!("cannot write {}", out.display()), cause))
}

fn failed(what: String, cause: io::Error) -> TreeError {
    TreeError::Io { what, cause }
}

fn write(project: &Path, index: &Index, files: &[(String, u64)], out: &Path) -> io::Result<()> {
    let directory = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".part-").tempfile_in(directory)?;
    // Machines of one run send it once to each other: quick beats small.
    let gzip = GzEncoder::new(BufWriter::new(file.as_file()), Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let text = serde_json::to_vec(index)?;
    append(&mut tar, INDEX, text.len() as u64, &mut text.as_slice())?;
    for (number, (path, size)) in files.iter().enumerate() {
        let mut content = drydock_base::paths::open_regular(&project.join(path))?;
        append(&mut tar, &number.to_string(), *size, &mut content)?;
    }
    tar.into_inner()?.finish()?.flush()?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(out)?;
    Ok(())
}

fn append<W: io::Write>(
    tar: &mut tar::Builder<W>,
    name: &str,
    size: u64,
    content: &mut dyn io::Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    let mut content = content.take(size);
    tar.append_data(&mut header, name, &mut content)?;
    // The padding and the next header would be taken for content.
    if content.limit() > 0 {
        Err(io::Error::other(format!("file {name} became shorter while it was read")))
    } else {
        Ok(())
    }
}

fn nanoseconds(metadata: &fs::Metadata) -> u32 {
    u32::try_from(metadata.mtime_nsec()).unwrap_or_default()
}

struct Walk<'a> {
    project: &'a Path,
    skip: &'a [PathBuf],
    entries: Vec<Entry>,
    files: Vec<(String, u64)>,
    /// Files with several names, by device and inode.
    names: HashMap<(u64, u64), String>,
}

impl Walk<'_> {
    fn add(&mut self, path: &str, depth: usize) -> Result<(), TreeError> {
        let full = self.project.join(path);
        if self.skip.contains(&full) {
            return Ok(());
        }
        let read = |cause| failed(format!("cannot read {}", full.display()), cause);
        let metadata = fs::symlink_metadata(&full).map_err(read)?;
        let kind = metadata.file_type();
        let wrong = |problem: &str| TreeError::Entry { path: path.to_owned(), problem: problem.to_owned() };
        let kind = if kind.is_dir() {
            if depth > DEEPEST {
                return Err(wrong("is too deep"));
            }
            Kind::Directory
        } else if kind.is_file() {
            match self.names.get(&(metadata.dev(), metadata.ino())) {
                Some(other) => Kind::Same(other.clone()),
                None => {
                    if metadata.nlink() > 1 {
                        self.names.insert((metadata.dev(), metadata.ino()), path.to_owned());
                    }
                    self.files.push((path.to_owned(), metadata.len()));
                    Kind::File(self.files.len() - 1, metadata.len())
                }
            }
        } else if kind.is_symlink() {
            let target = fs::read_link(&full).map_err(read)?;
            let target = target.to_str().ok_or_else(|| wrong("links to a name that is not UTF-8"))?;
            Kind::Link(inside(self.project, path, target)?)
        } else {
            return Err(wrong("is neither a file, a directory nor a link; remove it, or share less"));
        };
        let is_directory = matches!(kind, Kind::Directory);
        let (mode, seconds) = (metadata.mode() & 0o777, metadata.mtime());
        self.entries.push(Entry { path: path.to_owned(), kind, mode, seconds, nanoseconds: nanoseconds(&metadata) });
        if is_directory {
            let mut names: Vec<_> = Vec::new();
            for entry in fs::read_dir(&full).map_err(read)? {
                names.push(entry.map_err(read)?.file_name());
            }
            names.sort();
            for name in names {
                let name = name.to_str().ok_or_else(|| wrong("has a name in it that is not UTF-8"))?;
                self.add(&format!("{path}/{name}"), depth + 1)?;
            }
        }
        if self.entries.len() > LIMITS.entries { Err(wrong("has too many files")) } else { Ok(()) }
    }
}

/// The target of a link, relative to it, if it leads to a place in the project.
fn inside(project: &Path, path: &str, target: &str) -> Result<String, TreeError> {
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    let depth = parent.split('/').filter(|part| !part.is_empty()).count();
    let relative = match Path::new(target).strip_prefix(project) {
        // The project may be elsewhere on the other machine.
        Ok(below) => format!("{}{}", "../".repeat(depth), below.display()),
        Err(_) => target.to_owned(),
    };
    let leaves = || TreeError::Entry {
        path: path.to_owned(),
        problem: format!("links to {target}, which is not in the project; other machines may not have it"),
    };
    let mut level = i64::try_from(depth).map_err(|_| leaves())?;
    for part in Path::new(&relative).components() {
        match part {
            Component::Normal(_) => level += 1,
            Component::ParentDir => level -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return Err(leaves()),
        }
        if level < 0 {
            return Err(leaves());
        }
    }
    if relative.is_empty() { Err(leaves()) } else { Ok(relative) }
}

/// A plain path in the project.
fn check(path: &str) -> Result<(), TreeError> {
    let plain = !path.is_empty()
        && path.len() < 4096
        && !path.contains('\0')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && path != ".git"
        && !path.starts_with(".git/");
    let problem = || TreeError::Entry { path: path.to_owned(), problem: "is not a path in the project".to_owned() };
    plain.then_some(()).ok_or_else(problem)
}

/// No directory on the way to the path is a link.
fn no_links(project: &Path, path: &Path) -> Result<(), TreeError> {
    let mut full = project.to_owned();
    for part in path.parent().into_iter().flat_map(Path::components) {
        full.push(part);
        if fs::symlink_metadata(&full).is_ok_and(|metadata| !metadata.is_dir()) {
            let shown = full.strip_prefix(project).unwrap_or(&full).display().to_string();
            return Err(TreeError::Entry { path: shown, problem: "is not a directory".to_owned() });
        }
    }
    Ok(())
}

/// Puts what [`pack`] wrote into a project, in the place of what is there. Sources that have the size that they had get
/// their times back.
///
/// # Errors
/// The archive is damaged, or has a path or a link that leads out of what was packed; the project is then unchanged.
pub fn restore(file: &Path, project: &Path) -> Result<(), TreeError> {
    let io = |what: &str| {
        let what = what.to_owned();
        move |cause| failed(what, cause)
    };
    // On the file system of the project, so that whole directories can be moved.
    let staging = tempfile::Builder::new().prefix(".drydock-restore-").tempdir_in(project);
    let staging = staging.map_err(io("cannot create a directory in the project"))?;
    let index = unpack(file, project, staging.path())?;
    for root in &index.roots {
        no_links(project, Path::new(root))?;
    }
    for root in &index.roots {
        let (from, to) = (staging.path().join(root), project.join(root));
        if fs::symlink_metadata(&from).is_err() {
            continue;
        }
        let place = || -> io::Result<()> {
            match fs::symlink_metadata(&to) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(&to)?,
                Ok(_) => fs::remove_file(&to)?,
                Err(_) => {}
            }
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(&from, &to)
        };
        place().map_err(io("cannot put a restored directory into the project"))?;
    }
    for (path, size, seconds, nanoseconds) in &index.sources {
        let full = project.join(path);
        let same = no_links(project, Path::new(path)).is_ok()
            && fs::symlink_metadata(&full).is_ok_and(|metadata| metadata.is_file() && metadata.len() == *size);
        if let Some(time) = moment(*seconds, *nanoseconds).filter(|_| same) {
            // A file that cannot be written stays as new as it is, and is built again.
            fs::OpenOptions::new().append(true).open(&full).and_then(|file| file.set_modified(time)).ok();
        }
    }
    Ok(())
}

fn moment(seconds: i64, nanoseconds: u32) -> Option<SystemTime> {
    let seconds = u64::try_from(seconds).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds.min(999_999_999)))
}

#[cfg(test)]
mod tests;
