//! Massif's files: read strictly and line by line, shown, compared, and printed as ms_print does.
//!
//! `format` is the grammar, and `reader` hands what it reads to a visitor; `profile` keeps what most uses need, `ms_print`
//! prints while it reads. `merged` lays trees over each other for `sites` (who allocates), `diff` (what changed) and
//! `baseline` (the small file to check in).
//!
//! It is a crate of its own because its speed matters: it alone is optimised where the rest is built quickly.
#![warn(missing_docs)]

mod baseline;
mod chart;
mod diff;
mod format;
mod gather;
mod lines;
mod merged;
pub mod ms_print;
mod profile;
mod reader;
pub mod show;
mod sites;
mod summary;
#[cfg(test)]
mod tests;
mod tree;
mod wrappers;

pub use baseline::text as baseline;
pub use diff::{Change, Diff, Incomparable, Kind, diff};
pub use format::{Extent, Fault, Header, Snapshot, TimeUnit, TreeKind};
pub use gather::{Processes, processes};
pub use profile::Profile;
pub use sites::{Site, sites};
pub use summary::{HeapProfile, KEPT_POINTS, KEPT_SITES, Point, Shape, summary};
pub use tree::{Frame, NodeKind};
pub use wrappers::Wrappers;
