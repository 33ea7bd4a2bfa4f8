//! The files, links and submodules of one repository at one commit, read from its tree objects.

use drydock_base::failure::Failure;
use drydock_base::git::{Mode, Objects, Oid, TreeEntry, tree_entries};
use drydock_base::hint;

use super::SourceRepository;
use super::model::missing;
use super::names;
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
    /// Paths that a release cannot contain, unless attributes exclude them: bytes within the repository, reason.
    pub(super) problems: Vec<(Vec<u8>, String)>,
}

/// Every file, link and submodule of a tree. The stack is explicit, so that a deep tree cannot overflow it.
pub(super) fn list(objects: &mut Objects, source: &SourceRepository, root: Oid) -> anyhow::Result<Listing> {
    let mut listing = Listing { root: root.clone(), files: Vec::new(), links: Vec::new(), problems: Vec::new() };
    let mut directories = vec![(Vec::new(), root, 0)];
    let mut seen = 0;
    while let Some((directory, oid, depth)) = directories.pop() {
        let what = format!("the directory {}{}", source.prefix, String::from_utf8_lossy(&directory));
        let object = objects.read(&oid)?.ok_or_else(|| missing(source, &what, &oid))?;
        let width = oid.as_str().len() / 2;
        for TreeEntry { mode, name, object: oid } in tree_entries(&object.content, width).ok_or_else(|| {
            let fsck = hint::git(&source.repository.directory, &["fsck"]);
            Failure::rejected(format!("{what} ({oid}) is damaged; run `{fsck}` to check for repository corruption"))
        })? {
            seen += 1;
            if seen > MOST_ENTRIES || depth > DEEPEST {
                let limit = format!("more than {MOST_ENTRIES} files, or directories more than {DEEPEST} deep");
                return Err(Failure::rejected(format!("the commit {} has {limit}", source.commit)));
            }
            let bytes = [directory.as_slice(), name].concat();
            let mode = Mode::canonical(mode);
            if mode == Some(Mode::Directory) {
                directories.push(([bytes.as_slice(), b"/"].concat(), oid, depth + 1));
                continue;
            }
            let mut problem = |why: String| listing.problems.push((bytes.clone(), why));
            let Ok(path) = String::from_utf8(bytes.clone()) else {
                problem("is not UTF-8, so unpackers create different names; rename it".into());
                continue;
            };
            match mode {
                Some(Mode::Directory) => {}
                Some(Mode::Submodule) => listing.links.push((path, oid)),
                Some(Mode::Link) => {
                    let shown = format!("{}{path}", source.prefix);
                    let object =
                        objects.read(&oid)?.ok_or_else(|| missing(source, &format!("the link {shown}"), &oid))?;
                    match String::from_utf8(object.content) {
                        Ok(target) => match names::wrong_target(&shown, &target) {
                            Some(why) => problem(why),
                            None => listing.files.push((path, EntryKind::Symlink { target }, oid)),
                        },
                        Err(_) => problem("is a symlink whose target is not UTF-8".into()),
                    }
                }
                Some(Mode::File { executable }) => listing.files.push((path, EntryKind::File { executable }, oid)),
                None => problem("has a mode that git does not know".into()),
            }
        }
    }
    let blobs: Vec<&Oid> = listing.files.iter().map(|(_, _, blob)| blob).collect();
    let sizes = objects.sizes(&blobs)?;
    for ((path, _, _), size) in listing.files.iter().zip(sizes) {
        if let Some(size) = size.filter(|size| *size > Objects::LARGEST) {
            let (size, limit) = (size >> 20, Objects::LARGEST >> 20);
            let why = format!(
                "has {size} MiB, more than the {limit} MiB that a file in a release can have; exclude it \
                               with the attribute export-ignore"
            );
            listing.problems.push((path.clone().into_bytes(), why));
        }
    }
    Ok(listing)
}
