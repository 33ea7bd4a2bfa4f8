//! The one integration binary: each module runs the real `xtask` on real tools.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::allow_attributes, missing_docs)]

mod declarations;
