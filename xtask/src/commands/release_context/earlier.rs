//! Earlier releases of the repository, by their tags, and what a commit lacks of them.

use super::DeclaredCommit;
use drydock_base::failure::Failure;
use drydock_base::git::{HistoryError, Oid};
use drydock_config::debversion::is_above;
use drydock_config::release::Version;

/// A release that a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands) struct EarlierRelease {
    pub(in crate::commands) version: Version,
    pub(in crate::commands) tag: String,
    pub(in crate::commands) commit: Oid,
}

/// Files that each release writes again: they are never carried over.
const LOCKS: [&str; 4] = ["Cargo.lock", "package-lock.json", "uv.lock", "poetry.lock"];

impl DeclaredCommit {
    /// The releases below a version, the highest first, candidates too; of the whole repository, not only of this branch.
    pub(in crate::commands) fn releases_before(&self, version: &Version) -> anyhow::Result<Vec<EarlierRelease>> {
        let mut earlier = self.releases()?;
        earlier.retain(|one| is_above(version, &one.version));
        earlier.sort_by(|a, b| {
            if is_above(&a.version, &b.version) { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater }
        });
        Ok(earlier)
    }

    /// All releases of the repository, in no order.
    pub(in crate::commands) fn releases(&self) -> anyhow::Result<Vec<EarlierRelease>> {
        let tags = self.repository.tagged_commits().map_err(Failure::missing)?;
        let release = |(tag, commit): (String, Oid)| {
            Some(EarlierRelease { version: self.declaration.tag.version_in(&tag)?, tag, commit })
        };
        Ok(tags.into_iter().filter_map(release).collect())
    }

    /// The commits of an earlier release that this commit lacks, also with another name; `None` if the release is in its
    /// history. Commits that only change versions, the changelog and lock files do not count.
    pub(in crate::commands) fn left_behind(&self, earlier: &Oid) -> Result<Option<Vec<Oid>>, HistoryError> {
        if self.repository.contains(&self.id, earlier)? {
            return Ok(None);
        }
        let mut left = Vec::new();
        for id in self.repository.not_carried_over(&self.id, earlier)? {
            let paths = self.repository.changed_paths(&id)?;
            if !paths.iter().all(|path| self.is_of_one_release(path)) {
                left.push(id);
            }
        }
        Ok(Some(left))
    }

    /// Whether a file belongs to one release only: it has the version, or its changes.
    pub(in crate::commands) fn is_of_one_release(&self, path: &str) -> bool {
        let declaration = &self.declaration;
        declaration.version_files.iter().any(|file| file.path == path)
            || declaration.changelog.as_deref() == Some(path)
            || LOCKS.contains(&path.rsplit('/').next().unwrap_or(path))
            || path == "packaging/release.yaml"
    }
}
