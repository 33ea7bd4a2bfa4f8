//! Source trees: the files of a commit, read from git objects and never from the work tree, and files derived from them.

mod attributes;
pub mod derive;
mod listing;
mod model;
mod names;
mod submodules;
mod tree;
pub mod version;
mod walk;

pub use model::{ExcludedPath, Origin, SourceEntry, SourceRepository, SourceTree};
pub use names::{NameRules, PathProblem, check_paths, wrong_target};
pub use tree::Reader;
