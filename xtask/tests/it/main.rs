//! The one integration binary: each module runs the real `xtask` on real tools.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they skip and what they measured")]

mod attacks;
mod browser;
mod dangers;
mod deaths;
mod deb;
mod declarations;
mod docker;
mod doctor;
mod documents;
mod exit_codes;
mod first_hour;
mod flaky;
mod fooled;
mod foreign;
mod github;
mod hints;
mod html;
mod init;
mod install_ways;
mod installed;
mod lanternd;
mod massif;
mod memory;
mod nightly;
mod own_release;
mod release;
mod runs;
mod shards;
mod suites;
mod support;
mod surroundings;
mod valgrind;
mod vm;
