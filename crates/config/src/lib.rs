//! The declarations: typed YAML, read strictly, with every problem reported at its place.
//!
//! `yaml` parses text into a tree, `decode` reads declarations from the tree, and one module per file (such as `jobs`) validates them and
//! applies the defaults. `diagnostic` shows problems, `schema` describes valid files for editors.

pub mod debversion;
pub mod decode;
pub mod diagnostic;
mod discover;
pub mod globs;
pub mod images;
pub mod jobs;
pub mod paths;
pub mod properties;
pub mod quarantine;
pub mod release;
pub mod release_notes;
pub mod schema;
pub mod template;

pub mod yaml;

pub use discover::{Declarations, NotFound};
