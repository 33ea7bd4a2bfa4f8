//! The `.gitattributes` of the commit, as far as they concern releases.
//!
//! `export-ignore` excludes files. `export-subst` is refused, as the expansion depends on git's configuration and on the
//! history in the clone. `text`, `eol`, `ident`, `working-tree-encoding` and `filter` are ignored, as they change files on
//! the way to a work tree, and a release contains what is committed.

use std::collections::{BTreeMap, BTreeSet};

use super::SourceRepository;
use super::listing::Listing;
use super::names::{self, PathProblem};
use crate::EntryKind;
use drydock_base::git::{Objects, Oid};

/// The first bytes of a Git LFS pointer, which is committed in place of a file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// The largest Git LFS pointer in bytes.
const LARGEST_POINTER: usize = 1024;

/// The attributes of one repository.
#[derive(Debug, Default)]
pub(super) struct Attributes {
    /// Paths with `export-ignore`; directories end with `/`.
    pub(super) export_ignored: BTreeSet<String>,
}

impl Attributes {
    /// Whether `export-ignore` excludes a path or a directory above it.
    pub(super) fn excludes(&self, path: &str) -> bool {
        self.export_ignored.contains(path)
            || path.match_indices('/').any(|(at, _)| self.export_ignored.contains(&path[..=at]))
            || self.export_ignored.contains(&format!("{path}/"))
    }
}

/// Reads the attributes of all paths of a listing. Adds paths that a release cannot contain to `problems`.
pub(super) fn read(
    objects: &mut Objects,
    source: &SourceRepository,
    listing: &Listing,
    problems: &mut Vec<PathProblem>,
) -> anyhow::Result<Attributes> {
    let mut found = Attributes::default();
    let is_attributes = |path: &str| path == ".gitattributes" || path.ends_with("/.gitattributes");
    if !listing.files.iter().any(|(path, _, _)| is_attributes(path)) {
        return Ok(found);
    }
    let mut ask: BTreeSet<String> = BTreeSet::new();
    for path in listing.files.iter().map(|(path, _, _)| path).chain(listing.links.iter().map(|(path, _)| path)) {
        ask.extend(path.match_indices('/').map(|(at, _)| path[..=at].to_owned()));
        ask.insert(path.clone());
    }
    let ask: Vec<String> = ask.into_iter().collect();
    let files: BTreeMap<&str, &(String, EntryKind, Oid)> =
        listing.files.iter().map(|file| (file.0.as_str(), file)).collect();
    let mut problem = |path: &str, why: String| {
        problems.push(PathProblem { path: names::shown(&format!("{}{path}", source.prefix)), why });
    };
    for [path, name, value] in objects.attributes(&listing.root, &["export-ignore", "export-subst", "filter"], &ask)? {
        match name.as_str() {
            "export-ignore" => drop(found.export_ignored.insert(path)),
            "export-subst" if !path.ends_with('/') => problem(
                &path,
                "has the attribute export-subst, whose expansion depends on the clone; remove the attribute, and \
                 generate the file under `source.derived`"
                    .into(),
            ),
            "filter" if value == "lfs" => {
                let Some((_, EntryKind::File { .. }, blob)) = files.get(path.as_str()) else { continue };
                let content = objects.read(blob)?.map(|object| object.content).unwrap_or_default();
                if content.len() <= LARGEST_POINTER && content.starts_with(LFS_POINTER) {
                    let why = "is a Git LFS pointer instead of the file; commit the file itself, or exclude it with \
                               export-ignore";
                    problem(&path, why.into());
                }
            }
            _ => {}
        }
    }
    // Excluded files cannot be a problem.
    let ignored: Vec<String> = found.export_ignored.iter().map(|path| format!("{}{path}", source.prefix)).collect();
    problems.retain(|problem| {
        !ignored.iter().any(|path| problem.path == *path || (path.ends_with('/') && problem.path.starts_with(path)))
    });
    Ok(found)
}
