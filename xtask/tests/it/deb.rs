//! Debian packages, with the real dpkg, sbuild, dput, reprepro, apt and gpg.

mod foreign;
mod own;
mod remote;
pub(crate) mod shelf;
mod source;
pub(crate) mod way;
