//! Drydock: supervised CI under valgrind, reproducible releases. The library behind `cargo xtask`.

pub mod ci;
pub mod cli;
pub mod commands;
pub mod config;
pub mod exec;
pub mod exit;
pub mod output;
pub mod paths;
pub mod tools;
