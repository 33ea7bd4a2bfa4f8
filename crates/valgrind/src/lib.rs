//! Valgrind: how it is called, and what its files say.

pub mod cause;
pub mod dhat;
pub mod finding;
pub mod findings;
pub mod hide;
pub mod leak_kinds;
pub mod massif;
pub mod source;
pub mod suppression;
pub mod tool;
pub mod watch;
pub mod xml;
