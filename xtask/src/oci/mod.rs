//! Container images: `model` (what images are made of), `layout` (images on disk), and what is done with them.

pub mod layout;
pub mod model;
