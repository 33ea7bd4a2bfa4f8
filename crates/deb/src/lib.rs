//! Debian packages: source packages are built in process from a source tree, checked against the rules of Launchpad, proved
//! in clean chroots, and uploaded; binary packages are read.

pub mod binary;
pub mod changelog;
pub mod checksums;
pub mod control;
pub mod copyright;
pub mod debian_directory;
pub mod delivery;
pub mod installed;
pub mod launchpad;
pub mod network;
pub mod package;
pub mod prove;
pub mod relation;
pub mod series;
pub mod sign;
pub mod unpacked_source;

#[cfg(test)]
mod hostile;
