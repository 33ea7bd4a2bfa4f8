//! Reads the tree objects of a commit and its submodules, applies attributes, and refuses hostile names.

use drydock_base::failure::Failure;
use drydock_base::git::{Objects, Oid, Repository};

use super::names::{self, PathProblem};
use super::tree::missing;
use super::{ExcludedPath, Origin, SourceEntry, SourceRepository, SourceTree, attributes, submodules};
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

pub(super) fn tree(repository: &Repository, commit: &Oid, with_submodules: bool) -> anyhow::Result<SourceTree> {
    let own = SourceRepository {
        prefix: String::new(),
        commit: commit.clone(),
        repository: repository.clone(),
        name: String::new(),
    };
    let mut tree = SourceTree {
        commit: commit.clone(),
        epoch: 0,
        entries: Vec::new(),
        excluded: Vec::new(),
        repositories: vec![own],
    };
    let mut problems = Vec::new();
    let mut next = 0;
    while let Some(source) = tree.repositories.get(next).cloned() {
        let mut objects = Objects::open(&source.repository)?;
        let (root, epoch) = commit_of(&mut objects, &source)?;
        if next == 0 {
            tree.epoch = epoch;
        }
        let listing = list(&mut objects, &source, root, &mut problems)?;
        let attributes = attributes::read(&mut objects, &source, &listing, &mut problems)?;
        for path in &attributes.export_ignored {
            tree.excluded.push(ExcludedPath { path: format!("{}{path}", source.prefix), reason: "export-ignore" });
        }
        for (path, kind, blob) in &listing.files {
            if !attributes.excludes(path) {
                let origin = Origin::Git { repository: next, blob: blob.clone() };
                tree.entries.push(SourceEntry { path: format!("{}{path}", source.prefix), kind: kind.clone(), origin });
            }
        }
        let wanted = listing.links.iter().filter(|(path, _)| !attributes.excludes(path));
        for (path, pinned) in wanted {
            if with_submodules {
                tree.repositories.push(submodules::find(&mut objects, &source, &listing, path, pinned)?);
            } else {
                let path = format!("{}{path}/", source.prefix);
                tree.excluded.push(ExcludedPath { path, reason: "submodule" });
            }
        }
        next += 1;
    }
    tree.entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    problems.extend(names::check_paths(tree.entries.iter().map(|entry| entry.path.as_str())));
    refuse(&mut problems)?;
    Ok(tree)
}

/// Fails if there are problems, with all of them.
fn refuse(problems: &mut Vec<PathProblem>) -> anyhow::Result<()> {
    const SHOWN: usize = 50;
    if problems.is_empty() {
        return Ok(());
    }
    problems.sort();
    problems.dedup();
    let mut text =
        format!("a release cannot contain {}:", if problems.len() == 1 { "this path" } else { "these paths" });
    problems.iter().take(SHOWN).for_each(|problem| text.push_str(&format!("\n  {problem}")));
    if problems.len() > SHOWN {
        text.push_str(&format!("\n  … and {} more", problems.len() - SHOWN));
    }
    Err(Failure::rejected(text))
}

/// The tree of a commit, and the commit date in seconds since 1970.
fn commit_of(objects: &mut Objects, source: &SourceRepository) -> anyhow::Result<(Oid, u64)> {
    let what =
        if source.prefix.is_empty() { "the commit".to_owned() } else { format!("the commit of {}", source.prefix) };
    let object = objects.read(&source.commit)?.ok_or_else(|| missing(source, &what, &source.commit))?;
    let text = String::from_utf8_lossy(&object.content);
    let header = |key: &str| text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(key));
    let tree = header("tree ").and_then(Oid::parse);
    // `committer NAME <MAIL> SECONDS ZONE`
    let seconds = header("committer ").and_then(|line| line.rsplit(' ').nth(1)?.parse().ok());
    match (object.kind.as_str(), tree, seconds) {
        ("commit", Some(tree), Some(seconds)) => Ok((tree, seconds)),
        _ => Err(Failure::rejected(format!(
            "{} {} is not a valid commit; run `git fsck` to check for repository corruption",
            object.kind, source.commit
        ))),
    }
}

/// Every file, link and submodule of a tree. The stack is explicit, so that a deep tree cannot overflow it.
fn list(
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
            Failure::rejected(format!("{what} ({oid}) is damaged; run `git fsck` to check for repository corruption"))
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
