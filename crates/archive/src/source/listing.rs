//! The files, links and submodules of one repository at one commit, read from its tree objects.

use drydock_base::failure::Failure;
use drydock_base::git::{Objects, Oid};
use drydock_base::hint;

use super::SourceRepository;
use super::model::missing;
use super::names::{self, PathProblem};
use crate::EntryKind;

/// The largest number of files in a release. A tree that repeats itself has more.
const MOST_ENTRIES: usize = 1_000_000;
/// The largest depth of directories.
const DEEPEST: usize = 256;

/// The content of one repository at one commit, before attributes are applied.
pub(super) struct Listing {
    /// The tree object.
    pub(super) root: Oid,
    /// Files and links: path within the repository, kind, blob.
    pub(super) files: Vec<(String, EntryKind, Oid)>,
    /// Submodules: path within the repository, pinned commit.
    pub(super) links: Vec<(String, Oid)>,
}

/// Every file, link and submodule of a tree. The stack is explicit, so that a deep tree cannot overflow it.
pub(super) fn list(
    objects: &mut Objects,
    source: &SourceRepository,
    root: Oid,
    problems: &mut Vec<PathProblem>,
) -> anyhow::Result<Listing> {
    let mut listing = Listing { root: root.clone(), files: Vec::new(), links: Vec::new() };
    let mut directories = vec![(String::new(), root, 0)];
    let mut seen = 0;
    while let Some((directory, oid, depth)) = directories.pop() {
        let what = format!("the directory {}{directory}", source.prefix);
        let object = objects.read(&oid)?.ok_or_else(|| missing(source, &what, &oid))?;
        let width = oid.as_str().len() / 2;
        for (mode, name, oid) in entries(&object.content, width).ok_or_else(|| {
            let fsck = hint::git(&source.repository.directory, &["fsck"]);
            Failure::rejected(format!("{what} ({oid}) is damaged; run `{fsck}` to check for repository corruption"))
        })? {
            seen += 1;
            if seen > MOST_ENTRIES || depth > DEEPEST {
                let limit = format!("more than {MOST_ENTRIES} files, or directories more than {DEEPEST} deep");
                return Err(Failure::rejected(format!("the commit {} has {limit}", source.commit)));
            }
            let lossy = format!("{directory}{}", String::from_utf8_lossy(name));
            let path = format!("{}{lossy}", source.prefix);
            let mut problem = |why: String| problems.push(PathProblem { path: names::shown(&path), why });
            if std::str::from_utf8(name).is_err() {
                problem("is not UTF-8, so unpackers create different names; rename it".into());
                continue;
            }
            match mode {
                b"40000" => directories.push((format!("{lossy}/"), oid, depth + 1)),
                b"160000" => listing.links.push((lossy, oid)),
                b"120000" => {
                    let object =
                        objects.read(&oid)?.ok_or_else(|| missing(source, &format!("the link {path}"), &oid))?;
                    match String::from_utf8(object.content) {
                        Ok(target) => match names::wrong_target(&path, &target) {
                            Some(why) => problem(why),
                            None => listing.files.push((lossy, EntryKind::Symlink { target }, oid)),
                        },
                        Err(_) => problem("is a symlink whose target is not UTF-8".into()),
                    }
                }
                b"100755" => listing.files.push((lossy, EntryKind::File { executable: true }, oid)),
                b"100644" | b"100664" => listing.files.push((lossy, EntryKind::File { executable: false }, oid)),
                other => problem(format!("has the mode {}, which git does not know", String::from_utf8_lossy(other))),
            }
        }
    }
    Ok(listing)
}

/// An entry of a tree object: mode, name, object.
type TreeEntry<'a> = (&'a [u8], &'a [u8], Oid);

/// The entries of a tree object, each `MODE NAME NUL` and the raw object name; none if the object is damaged.
fn entries(mut content: &[u8], width: usize) -> Option<Vec<TreeEntry<'_>>> {
    let mut entries = Vec::new();
    while !content.is_empty() {
        let space = content.iter().position(|byte| *byte == b' ')?;
        let (mode, rest) = (&content[..space], &content[space + 1..]);
        let nul = rest.iter().position(|byte| *byte == 0)?;
        let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
        entries.push((mode, name, Oid::of_bytes(rest.get(..width)?)));
        content = &rest[width..];
    }
    Some(entries)
}
