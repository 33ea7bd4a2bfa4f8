//! What every part of Drydock is built from: processes, paths, failures, units, digests, git plumbing.

pub mod exec;
pub mod failure;
pub mod git;
pub mod output;
pub mod paths;
pub mod sums;
pub mod text;
pub mod twin;
pub mod units;
