//! Sources: the files of one commit, read from git objects and never from the work tree, and files derived from them.

mod attributes;
pub mod derive;
mod names;
mod submodules;
mod tree;
pub mod version;
mod walk;

pub use names::{PathProblem, check_paths, wrong_target};
pub use tree::{LeftOut, Origin, Reader, SourceEntry, SourceRepository, SourceTree};
