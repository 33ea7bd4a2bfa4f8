//! Vendored crates: which lock files pin them, where their files go, and which of the files are left out.

use super::words::{Text, globs, inside};
use crate::decode::{Spanned, declaration};
use crate::diagnostic::{Problem, Problems};
use crate::globs::FileGlob;
use drydock_base::text::quoted;

declaration! {
    /// Crates whose files are shipped, so that a build needs no network.
    pub(in crate) struct VendorDeclaration {
        /// Cargo manifests with a lock file in the same directory, relative to the project.
        cargo: Spanned<Vec<Text>>,
        /// The directory that gets a directory for each crate, relative to the project.
        directory: Text = Spanned::unwritten("vendor".to_owned()),
        /// Patterns of files, relative to that directory, that are removed, with their lines in cargo's lists of
        /// checksums. Files that Debian's tools would remove and files that no build uses are always removed.
        prune: Vec<Text> = Vec::new(),
        /// Patterns of files that are kept although they would be removed, or look like programs.
        keep: Vec<Text> = Vec::new(),
    }
}

/// Crates to vendor.
#[derive(Debug, Clone)]
pub struct Vendor {
    /// Cargo manifests, at least one, relative to the project.
    pub manifests: Vec<String>,
    /// The directory of the crates, relative to the project, without a `/` at the end.
    pub directory: String,
    /// Patterns of files that are removed.
    pub prune: Vec<FileGlob>,
    /// Patterns of files that are kept although they would be removed, or look like programs.
    pub keep: Vec<FileGlob>,
}

impl Vendor {
    /// The lock files, relative to the project.
    pub fn locks(&self) -> impl Iterator<Item = String> {
        self.manifests.iter().map(|manifest| format!("{}Cargo.lock", manifest.strip_suffix("Cargo.toml").unwrap_or("")))
    }
}

/// Resolves the section; problems are added to `problems`.
pub(super) fn resolve(declared: VendorDeclaration, problems: &mut Problems) -> Option<Vendor> {
    let VendorDeclaration { cargo, directory, prune, keep } = declared;
    let list = cargo.value?;
    if list.is_empty() {
        problems.push(Problem::new(cargo.place, "`cargo` is empty").expected("a list such as `[Cargo.toml]`"));
    }
    let mut manifests = Vec::new();
    for text in &list {
        let Some(manifest) = inside(text, problems) else { continue };
        if manifest != "Cargo.toml" && !manifest.ends_with("/Cargo.toml") {
            let problem = Problem::new(text.place, format!("{} is not a Cargo manifest", quoted(&manifest)));
            problems.push(problem.expected("the path of a `Cargo.toml`"));
        }
        manifests.push(manifest);
    }
    let directory = inside(&directory, problems)?.trim_end_matches('/').to_owned();
    Some(Vendor { manifests, directory, prune: globs(&prune, problems), keep: globs(&keep, problems) })
}
