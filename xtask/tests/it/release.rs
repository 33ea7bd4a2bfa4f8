//! Releases of sources, with the real git, the real unpackers and the real generators.

mod derived;
mod hostile;
mod lanternd;
mod refused;
pub(crate) mod shelf;
mod unpackers;
mod verify;
