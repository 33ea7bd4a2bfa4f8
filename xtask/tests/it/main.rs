//! The one integration binary: each module runs the real `xtask` on real tools.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up fails")]

mod deaths;
mod declarations;
mod lanternd;
mod runs;
mod support;
mod vm;
