//! The `.gitattributes` of the commit, as far as they concern releases.
//!
//! `export-ignore` excludes files. `export-subst` is refused, as the expansion depends on git's configuration and on the
//! history in the clone. `text`, `eol`, `ident`, `working-tree-encoding` and `filter` are ignored, as they change files on
//! the way to a work tree, and a release contains what is committed.

use std::collections::BTreeSet;

use super::SourceRepository;
use super::listing::Listing;
use super::names::{self, PathProblem};
use crate::EntryKind;
use drydock_base::git::{Objects, PathAttribute};

/// The first bytes of a Git LFS pointer, which is committed in place of a file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The largest Git LFS pointer in bytes.
const LARGEST_POINTER: u64 = 1024;

/// The attributes of one repository.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Paths with `export-ignore`; directories end with `/`.
    pub(super) export_ignored: BTreeSet<Vec<u8>>,
}

impl Attributes {
    /// Whether `export-ignore` excludes a path or a directory above it.
    pub(super) fn excludes(&self, path: &[u8]) -> bool {
        let is_above = |at: usize| path[at] == b'/' && self.export_ignored.contains(&path[..=at]);
        self.export_ignored.contains(path)
            || (0..path.len()).any(is_above)
            || self.export_ignored.contains(&[path, b"/"].concat())
    }
}

/// Reads the attributes of all paths of a listing. Adds the paths that a release cannot contain, and that are not excluded,
/// to `problems`.
pub(super) fn read(
    objects: &mut Objects,
    source: &SourceRepository,
    listing: &Listing,
    problems: &mut Vec<PathProblem>,
) -> anyhow::Result<Attributes> {
    let mut found = Attributes::default();
    let mut wrong = listing.problems.clone();
    let is_attributes = |path: &str| path == ".gitattributes" || path.ends_with("/.gitattributes");
    if listing.files.iter().any(|(path, _, _)| is_attributes(path)) {
        for attribute in
            objects.attributes(&listing.root, &["export-ignore", "export-subst", "filter"], &paths(listing))?
        {
            let PathAttribute { path, name, value } = attribute;
            match name.as_str() {
                "export-ignore" => drop(found.export_ignored.insert(path)),
                "export-subst" if !path.ends_with(b"/") => {
                    let why = "has the attribute export-subst, whose expansion depends on the clone; remove the attribute, \
                               and generate the file under `source.derived`";
                    wrong.push((path, why.into()));
                }
                "filter" if value == "lfs" && is_pointer(objects, listing, &path)? => {
                    let why = "is a Git LFS pointer instead of the file; commit the file itself, or exclude it with \
                               export-ignore";
                    wrong.push((path, why.into()));
                }
                _ => {}
            }
        }
    }
    // Excluded files cannot be a problem.
    for (path, why) in wrong.into_iter().filter(|(path, _)| !found.excludes(path)) {
        let path = format!("{}{}", source.prefix, String::from_utf8_lossy(&path));
        problems.push(PathProblem { path: names::shown(&path), why });
    }
    Ok(found)
}

/// All paths and the directories above them, which end with `/`.
fn paths(listing: &Listing) -> Vec<Vec<u8>> {
    let files = listing.files.iter().map(|(path, _, _)| path.as_bytes());
    let links = listing.links.iter().map(|(path, _)| path.as_bytes());
    let wrong = listing.problems.iter().map(|(path, _)| path.as_slice());
    let mut all = BTreeSet::new();
    for path in files.chain(links).chain(wrong) {
        all.extend((0..path.len()).filter(|at| path[*at] == b'/').map(|at| path[..=at].to_vec()));
        all.insert(path.to_vec());
    }
    all.into_iter().collect()
}

/// Whether the content of a file is a Git LFS pointer.
fn is_pointer(objects: &mut Objects, listing: &Listing, path: &[u8]) -> anyhow::Result<bool> {
    let file =
        listing.files.iter().find(|(file, kind, _)| file.as_bytes() == path && matches!(kind, EntryKind::File { .. }));
    let Some((_, _, blob)) = file else { return Ok(false) };
    if objects.sizes(&[blob])?.first() > Some(&Some(LARGEST_POINTER)) {
        return Ok(false);
    }
    Ok(objects.read(blob)?.is_some_and(|object| object.content.starts_with(LFS_POINTER)))
}
