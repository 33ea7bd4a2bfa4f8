//! Lists of real tools.
