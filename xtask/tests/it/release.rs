//! Integration tests of source releases, with real git, real unpackers and real generators.

mod binaries;
mod bump;
mod check;
mod commit_alone;
mod derived;
pub(crate) mod fixture;
mod foreign_tars;
mod hostile;
mod lanternd;
mod left_behind;
mod mutated;
mod offline;
pub(crate) mod publish;
mod pulls;
mod refused;
mod rehearsal;
mod sbom;
mod scratch;
mod signing;
mod status;
mod trials;
mod unpackers;
mod vendored;
mod verify;
mod writer;
