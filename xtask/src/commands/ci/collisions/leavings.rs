//! What tests leave behind in the project and in directories for temporary files: it is deleted between two runs, so that each
//! begins as the first did.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// More files are not remembered; then nothing is deleted.
const MOST_FILES: usize = 2_000_000;

/// The files that were there before any test ran.
pub(super) struct Leavings {
    roots: Vec<PathBuf>,
    /// Where Drydock keeps its own files.
    without: PathBuf,
    before: HashSet<PathBuf>,
    is_complete: bool,
    made: BTreeSet<PathBuf>,
}

impl Leavings {
    /// Takes note of all files below the roots, except below `without`.
    pub(super) fn new(project: &Path, without: &Path) -> Leavings {
        let mut roots =
            vec![project.to_owned(), std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
        roots.extend(roots.clone().iter().filter_map(|root| root.canonicalize().ok()));
        roots.sort();
        roots.dedup();
        let mut leavings = Leavings {
            roots,
            without: without.to_owned(),
            before: HashSet::new(),
            is_complete: true,
            made: BTreeSet::new(),
        };
        let mut waiting = leavings.roots.clone();
        while let Some(directory) = waiting.pop() {
            // What cannot be listed cannot be deleted either.
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                let path = entry.path();
                if path == without || leavings.before.len() >= MOST_FILES {
                    leavings.is_complete &= leavings.before.len() < MOST_FILES;
                    continue;
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    waiting.push(path.clone());
                }
                leavings.before.insert(path);
            }
        }
        leavings
    }

    /// Takes note of a file that a test made.
    pub(super) fn note(&mut self, path: &Path) {
        let inside = self.roots.iter().any(|root| path != root && path.starts_with(root));
        if inside && !path.starts_with(&self.without) && !self.before.contains(path) {
            self.made.insert(path.to_owned());
        }
    }

    /// Deletes what the tests made and left.
    pub(super) fn delete(&self) {
        if !self.is_complete {
            return;
        }
        for path in &self.made {
            // Mostly it is gone: the test deleted it.
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path).ok(),
                Ok(_) => fs::remove_file(path).ok(),
                Err(_) => None,
            };
        }
    }
}
