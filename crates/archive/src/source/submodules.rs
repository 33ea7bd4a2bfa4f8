//! The repositories of submodules, and the command that fetches a missing one.

use std::path::PathBuf;

use super::SourceRepository;
use super::listing::Listing;
use super::model::missing;
use drydock_base::failure::Failure;
use drydock_base::git::{Objects, Oid, Repository};
use drydock_base::hint;

/// The repository of the submodule at `path` that has the pinned commit.
///
/// # Errors
/// The submodule is not in `.gitmodules`, or its repository or commit is missing.
pub(super) fn find(
    objects: &mut Objects,
    parent: &SourceRepository,
    listing: &Listing,
    path: &str,
    pinned: &Oid,
) -> anyhow::Result<SourceRepository> {
    let shown = format!("{}{path}", parent.prefix);
    let refused = |why: &str| Failure::rejected(format!("the submodule {shown} {why}"));
    let modules = listing.files.iter().find(|(file, _, _)| file == ".gitmodules");
    let (_, _, blob) = modules.ok_or_else(|| refused("is not in .gitmodules; declare it there"))?;
    if objects.read(blob)?.is_none() {
        return Err(missing(parent, "the content of .gitmodules", blob));
    }
    let settings = objects
        .configuration(blob)
        .map_err(|error| refused(&format!("cannot be found: cannot parse .gitmodules: {error}")))?;
    let name = settings.iter().find_map(|(key, value)| {
        let name = key.strip_prefix("submodule.")?.strip_suffix(".path")?;
        (value == path).then(|| name.to_owned())
    });
    let name = name.ok_or_else(|| refused("is not in .gitmodules; declare it there"))?;
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(refused("has an invalid name in .gitmodules: it contains an empty, `.` or `..` component"));
    }
    let mut without_commit = None;
    for candidate in candidates(&parent.repository, &name, path) {
        let Ok(repository) = Repository::find(&candidate) else { continue };
        let whole =
            SourceRepository { prefix: format!("{shown}/"), commit: pinned.clone(), repository, name: name.clone() };
        if whole.repository.ask(&["cat-file", "-e", pinned.as_str()]).is_ok() {
            return Ok(whole);
        }
        without_commit = Some(candidate);
    }
    let recursive = (!parent.prefix.is_empty()).then_some("--recursive");
    let top = if parent.prefix.is_empty() { path.to_owned() } else { ".".to_owned() };
    Err(Failure::missing(match without_commit {
        Some(directory) => format!(
            "the submodule {shown} is pinned at {pinned}, which {} does not have; run `{}`",
            directory.display(),
            hint::git(&directory, &["fetch", "origin", pinned.as_str()])
        ),
        None => {
            // In the directory of the repository of a submodule, git has no work tree.
            let directory = &parent.repository.directory;
            let checked_out = parent.repository.setting("core.worktree").map(|path| directory.join(path));
            let place = checked_out.and_then(|path| path.canonicalize().ok()).unwrap_or_else(|| directory.clone());
            let init = hint::git(&place, &["submodule", "update", "--init"]);
            let init = init.args(recursive).arg("--").arg(top);
            format!("the submodule {shown} (pinned at {pinned}) is not initialised; run `{init}`")
        }
    }))
}

/// Directories that may be the repository: in that of the parent, as in a bare clone, and then in the work tree.
fn candidates(parent: &Repository, name: &str, path: &str) -> Vec<PathBuf> {
    let mut directories = parent.submodule_directories(name).to_vec();
    // A directory in the parent's work tree without a `.git` belongs to the parent.
    let checked_out = parent.work_tree().map(|work_tree| work_tree.join(path));
    directories.extend(checked_out.filter(|directory| directory.join(".git").exists()));
    directories.retain(|directory| directory.is_dir());
    directories.dedup();
    directories
}
