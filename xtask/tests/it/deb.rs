//! Debian packages, with the real dpkg, sbuild, OpenSSH, curl, reprepro, apt and gpg.

mod builds;
mod debian_packages;
mod disproved;
pub(crate) mod end_to_end;
mod fake_launchpad;
pub(crate) mod fixture;
mod launchpad;
mod removed;
mod rules;
mod self_build;
mod source;
pub(crate) mod uploads;
mod writers;
