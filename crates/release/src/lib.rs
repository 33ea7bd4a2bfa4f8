//! Source releases: requirements, building, proofs, signatures and verification.

pub mod build;
pub mod manifest;
pub mod preflight;
pub mod proof;
pub mod signatures;
pub mod tag;
pub mod verify;
