//! Valgrind: how it is called, and what its files say.

pub mod command;
pub mod findings;
pub mod massif;
pub mod xml;
