//! Source trees: the files of a commit, read from git objects and never from the work tree, and files derived from them.

mod attributes;
pub mod derive;
mod listing;
mod model;
mod names;
mod submodules;
mod tree;
pub mod vendor;
pub mod version;
mod walk;

pub use model::{ExcludedPath, Origin, SourceEntry, SourceRepository, SourceTree};
pub use names::{NameRules, PathProblem, check_paths, wrong_target};
pub use tree::Reader;

use drydock_config::release::{Release, Version};

/// Adds all files that are not in git: the vendored crates, then those that the generators write for this version. `watch` is
/// called with each step before it starts.
///
/// # Errors
/// A crate or a tool is missing, or files are refused.
pub fn complete(
    tree: &mut SourceTree,
    release: &Release,
    version: &Version,
    watch: &mut dyn FnMut(&str),
) -> anyhow::Result<derive::Derived> {
    let vendored = release.vendor.as_ref().map(|vendor| vendor::add(tree, vendor, watch)).transpose()?;
    let mut derived = derive::run(tree, derive::Project { name: &release.name, version }, &release.generators, watch)?;
    derived.generators.splice(0..0, version::record(tree).into_iter().chain(vendored));
    tree.add(std::mem::take(&mut derived.entries))?;
    Ok(derived)
}
