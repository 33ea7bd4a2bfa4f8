//! Integration tests of source releases, with real git, real unpackers and real generators.

mod derived;
pub(crate) mod fixture;
mod hostile;
mod lanternd;
mod refused;
mod unpackers;
mod verify;
