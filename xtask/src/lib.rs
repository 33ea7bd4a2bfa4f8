//! Drydock: supervised CI under valgrind, reproducible releases. The library behind `cargo xtask`.

pub mod archive;
pub mod ci;
pub mod cli;
pub mod commands;
pub mod config;
pub mod deb;
pub mod exec;
pub mod exit;
pub mod git;
pub mod http;
pub mod oci;
pub mod output;
pub mod paths;
pub mod release;
pub mod source;
pub mod sums;
pub mod tools;
pub mod twin;
