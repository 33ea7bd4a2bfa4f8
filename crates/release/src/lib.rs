//! Source releases: requirements, building, proofs, signatures, verification and publishing.

pub mod binaries;
pub mod build;
pub mod build_info;
pub mod bump;
pub mod checksum_list;
pub mod gpg;
pub mod keyring;
pub mod manifest;
pub mod notes;
pub mod preflight;
pub mod proof;
pub mod publish;
pub mod python;
pub mod sbom;
pub mod sign;
pub mod signature_block;
pub mod ssh;
pub mod tag;
pub mod verify;
