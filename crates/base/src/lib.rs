//! What every part of Drydock is built from: processes, paths, failures, units, digests, git plumbing.

pub mod checksum;
pub mod exec;
pub mod failure;
pub mod git;
pub mod held_dir;
pub mod hint;
pub mod interrupts;
pub mod lock;
pub mod mmdebstrap;
pub mod output;
pub mod paths;
pub mod portable;
pub mod scratch;
pub mod surroundings;
pub mod text;
pub mod units;
pub mod variations;
pub mod workflow_command;
