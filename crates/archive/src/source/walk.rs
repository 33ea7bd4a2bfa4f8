//! Reads the tree objects of a commit and its submodules, applies attributes, and refuses hostile names.

use drydock_base::failure::Failure;
use drydock_base::git::{Objects, Oid, Repository};
use drydock_base::hint;

use super::listing::list;
use super::model::missing;
use super::names::{self, PathProblem};
use super::{ExcludedPath, NameRules, Origin, SourceEntry, SourceRepository, SourceTree, attributes, submodules};

pub(super) fn tree(
    repository: &Repository,
    commit: &Oid,
    with_submodules: bool,
    rules: NameRules,
) -> anyhow::Result<SourceTree> {
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
        names: rules,
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
        let listing = list(&mut objects, &source, root)?;
        let attributes = attributes::read(&mut objects, &source, &listing, &mut problems)?;
        for path in &attributes.export_ignored {
            let path = format!("{}{}", source.prefix, String::from_utf8_lossy(path));
            tree.excluded.push(ExcludedPath { path, reason: "export-ignore" });
        }
        for (path, kind, blob) in &listing.files {
            if !attributes.excludes(path.as_bytes()) {
                let origin = Origin::Git { repository: next, blob: blob.clone() };
                tree.entries.push(SourceEntry { path: format!("{}{path}", source.prefix), kind: kind.clone(), origin });
            }
        }
        let wanted = listing.links.iter().filter(|(path, _)| !attributes.excludes(path.as_bytes()));
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
    problems.extend(names::check_paths(tree.entries.iter().map(|entry| entry.path.as_str()), rules));
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
            "{} {} is not a valid commit; run `{}` to check for repository corruption",
            object.kind,
            source.commit,
            hint::git(&source.repository.directory, &["fsck"])
        ))),
    }
}
