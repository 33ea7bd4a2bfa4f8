//! Tests that disturb each other: which ones, found by running them together and apart, and what they share, from what the
//! kernel was asked for.

mod chance;
pub mod report;
pub mod search;
pub mod shared;
pub mod trace;
