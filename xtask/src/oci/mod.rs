//! Container images: `model` (what images are made of), `layout` (images on disk), `registry` (images elsewhere), and what
//! is done with them.

pub mod layout;
pub mod model;
pub mod registry;
