//! A look at a project that nobody has declared yet, and declarations made from what it has.
//!
//! [`tree`] lists the files, [`facts`] finds what they tell, and [`jobs`] and [`release`] make declarations of it, with the
//! evidence of each guess as a comment. All of it except for reading the listing is pure: the same files give the same text.

pub mod draft;
pub mod facts;
pub mod images;
pub mod jobs;
pub mod learned;
pub mod member;
pub mod package;
pub mod release;
pub mod tree;
