//! Unpacks a tree into a directory of its own, after every path of its index was checked.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use super::{Entry, FORMAT, INDEX, Index, Kind, LIMITS, LONGEST_INDEX, TreeError, check, failed, inside, moment};
use crate::read::{self, MemberKind, ReadError};
use drydock_config::release::Format;

/// Unpacks everything below the empty directory `staging`: files first and links last, so that nothing is written through
/// a link.
pub(super) fn unpack(file: &Path, project: &Path, staging: &Path) -> Result<Index, TreeError> {
    let mut index: Option<Index> = None;
    let mut problem: Option<TreeError> = None;
    let mut paths: HashMap<usize, usize> = HashMap::new();
    let done = read::visit(file, Format::TarGz, LIMITS, &mut |member, content| {
        let mut step = || -> Result<(), TreeError> {
            let damaged = |what: &str| TreeError::Archive(what.to_owned());
            if member.kind != MemberKind::File {
                return Err(damaged("has an entry that is not a file"));
            }
            let Some(known) = &index else {
                if member.path != INDEX || member.size > LONGEST_INDEX {
                    return Err(damaged("does not begin with an index"));
                }
                let mut text = Vec::new();
                content.read_to_end(&mut text).map_err(|cause| failed("cannot read the index".to_owned(), cause))?;
                let read: Index =
                    serde_json::from_slice(&text).map_err(|_| damaged("has an index that is not valid"))?;
                paths = directories(&read, project, staging)?;
                index = Some(read);
                return Ok(());
            };
            let number: usize = member.path.parse().map_err(|_| damaged("has an entry without a number"))?;
            let at = paths.remove(&number).ok_or_else(|| damaged("has an entry that its index lacks"))?;
            let entry = &known.entries[at];
            if !matches!(entry.kind, Kind::File(_, size) if size == member.size) {
                return Err(damaged("has an entry of another size than its index says"));
            }
            let path = staging.join(&entry.path);
            let mut write = || -> io::Result<()> {
                let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
                io::copy(content, &mut out)?;
                finish(&out, entry)
            };
            write().map_err(|cause| failed(format!("cannot write {}", entry.path), cause))
        };
        step().map_err(|error| {
            problem = Some(error);
            ReadError::Unsafe("the archive is not used".to_owned())
        })
    });
    if let Some(problem) = problem {
        return Err(problem);
    }
    done?;
    let index = index.ok_or_else(|| TreeError::Archive("is empty".to_owned()))?;
    if !paths.is_empty() {
        return Err(TreeError::Archive("was cut: contents are missing".to_owned()));
    }
    links(&index, staging).map_err(|cause| failed("cannot restore a link".to_owned(), cause))?;
    Ok(index)
}

fn finish(file: &File, entry: &Entry) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(entry.mode & 0o777))?;
    moment(entry.seconds, entry.nanoseconds).map_or(Ok(()), |time| file.set_modified(time))
}

/// Checks the index and creates its directories. Returns the positions of the files by the number of their content.
fn directories(index: &Index, project: &Path, staging: &Path) -> Result<HashMap<usize, usize>, TreeError> {
    if index.format != FORMAT || index.entries.len() > LIMITS.entries {
        return Err(TreeError::Archive("is of another version of Drydock, or too large".to_owned()));
    }
    index.roots.iter().try_for_each(|root| check(root))?;
    for root in &index.roots {
        let below = format!("{root}/");
        if index.roots.iter().filter(|other| *other == root || other.starts_with(&below)).count() > 1 {
            return Err(TreeError::Entry { path: root.clone(), problem: "overlaps with another path".to_owned() });
        }
    }
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut files = HashMap::new();
    let mut plain: BTreeSet<&str> = BTreeSet::new();
    let mut open: BTreeSet<&str> = BTreeSet::new();
    let wrong = |path: &str, problem: &str| TreeError::Entry { path: path.to_owned(), problem: problem.to_owned() };
    for (position, entry) in index.entries.iter().enumerate() {
        let path = entry.path.as_str();
        check(path)?;
        let is_root = index.roots.iter().any(|root| root == path);
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if !is_root && !open.contains(parent) {
            return Err(wrong(path, "is not in a directory of the archive"));
        }
        if !known.insert(path) {
            return Err(wrong(path, "is in the archive twice"));
        }
        match &entry.kind {
            Kind::Directory => {
                open.insert(path);
                let create = fs::DirBuilder::new().recursive(true).mode(0o700).create(staging.join(path));
                create.map_err(|cause| failed(format!("cannot create {path}"), cause))?;
            }
            Kind::File(number, _) => {
                if files.insert(*number, position).is_some() {
                    return Err(wrong(path, "has the content of another file"));
                }
                plain.insert(path);
                let parent = staging.join(path).parent().map_or_else(|| staging.to_owned(), Path::to_owned);
                fs::create_dir_all(parent).map_err(|cause| failed(format!("cannot create {path}"), cause))?;
            }
            Kind::Same(other) if plain.contains(other.as_str()) => {}
            Kind::Same(_) => return Err(wrong(path, "is another name of a file that is not in the archive")),
            Kind::Link(target) => drop(inside(project, path, target)?),
        }
    }
    index.sources.iter().try_for_each(|(path, ..)| check(path))?;
    Ok(files)
}

/// Hard links, symbolic links, and then permissions and times of directories, the deepest first.
fn links(index: &Index, staging: &Path) -> io::Result<()> {
    for entry in &index.entries {
        let path = staging.join(&entry.path);
        match &entry.kind {
            Kind::Same(other) => {
                fs::create_dir_all(path.parent().unwrap_or(staging))?;
                fs::hard_link(staging.join(other), path)?;
            }
            Kind::Link(_) | Kind::File(..) | Kind::Directory => {}
        }
    }
    for entry in &index.entries {
        if let Kind::Link(target) = &entry.kind {
            let path = staging.join(&entry.path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            std::os::unix::fs::symlink(target, path)?;
        }
    }
    for entry in index.entries.iter().rev().filter(|entry| matches!(entry.kind, Kind::Directory)) {
        finish(&File::open(staging.join(&entry.path))?, entry)?;
    }
    Ok(())
}
