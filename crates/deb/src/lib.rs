//! Debian source packages: made in process from a source tree, checked against the rules of the archives that take them,
//! proved in clean chroots, uploaded.

pub mod binary;
pub mod changelog;
pub mod control;
pub mod copyright;
pub mod directory;
pub mod installed;
pub mod launchpad;
pub mod package;
pub mod prove;
pub mod series;
pub mod sign;
pub mod sums;
pub mod unpacked;
pub mod upload;
pub mod vendor;
pub mod version;

#[cfg(test)]
mod hostile;
