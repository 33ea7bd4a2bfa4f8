//! The declarations: typed YAML, read strictly, with every problem reported at its place.
//!
//! `yaml` makes a tree of text, `decode` makes declarations of the tree, and one module a file (`jobs`) checks them and
//! applies the defaults. `diagnostic` shows what is wrong, `schema` tells editors what is right.

pub mod debversion;
pub mod decode;
pub mod diagnostic;
mod discover;
pub mod globs;
pub mod images;
pub mod jobs;
pub mod paths;
pub mod quarantine;
pub mod release;
pub mod schema;
pub mod template;

pub mod yaml;

pub use discover::{Declarations, NotFound};
