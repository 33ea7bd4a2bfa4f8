//! Container images: `model` (what images are made of), `layout` (images on disk), `registry` (images elsewhere), and what
//! is done with them.

pub mod base;
pub mod bootstrap;
pub mod dockerfile;
pub mod engine;
pub mod ground;
pub mod image;
pub mod layout;
pub mod leftovers;
pub mod model;
pub mod normalise;
pub mod promote;
pub mod prune;
pub mod record;
pub mod registry;
pub mod small;
pub mod smoke;
pub mod stack;
pub mod unpack;
