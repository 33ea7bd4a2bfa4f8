//! Debian packages, with the real dpkg, sbuild, OpenSSH, curl, reprepro, apt and gpg.

mod debian_packages;
mod disproved;
pub(crate) mod end_to_end;
pub(crate) mod fixture;
mod launchpad;
mod self_build;
mod source;
mod uploads;
