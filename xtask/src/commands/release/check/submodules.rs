//! The findings about submodules: what they are pinned at must be where others can get it.

use drydock_archive::source::SourceTree;
use drydock_base::hint;
use drydock_release::preflight::Finding;

/// Checks that the commits of all submodules were published by their own repositories; no finding without submodules.
pub(super) fn check(tree: &SourceTree) -> Option<Finding> {
    let what = "the submodules are at published commits";
    let (mut good, mut found, mut remedies) = (Vec::new(), Vec::new(), Vec::new());
    for module in tree.repositories.iter().skip(1) {
        let (path, id) = (module.prefix.trim_end_matches('/'), module.commit.short());
        let directory = &module.repository.directory;
        // A commit that git cannot find below a reference is on none.
        let places = module.repository.published_in(&module.commit).unwrap_or_default();
        if let Some(place) = places.first() {
            good.push(format!("{path} at {id}, in {place}"));
            continue;
        }
        found.push(format!("{path} is at {id}, which no branch of its remotes and no tag contains"));
        let fetch = if module.repository.is_shallow {
            hint::git(directory, &["fetch", "--unshallow", "--tags"])
        } else {
            hint::git(directory, &["fetch", "--all", "--tags"])
        };
        remedies.push(format!("push it from {}, or run `{fetch}` if it was pushed", directory.display()));
    }
    if tree.repositories.len() < 2 {
        return None;
    }
    Some(if found.is_empty() {
        Finding::good(what, good.join("; "))
    } else {
        Finding::bad(what, found.join("; "), remedies.join("; "))
    })
}
