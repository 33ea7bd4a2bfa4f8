//! Releases of sources: what is expected of them, how they are made, and what proves them.

pub mod build;
pub mod manifest;
pub mod preflight;
pub mod proof;
pub mod signatures;
pub mod tag;
pub mod verify;
