//! Container images: the data model, images on disk, registries, and the operations on them.

pub mod base_image;
pub mod bootstrap;
pub mod build_record;
pub mod dockerfile;
pub mod engine;
pub mod image;
pub mod image_files;
pub mod layer_builder;
mod layer_change;
pub mod layer_path;
pub mod layout;
pub mod leftovers;
pub mod member_item;
pub mod model;
pub mod nightly;
pub mod normalise;
pub mod promote;
pub mod prune;
pub mod registry;
pub mod smoke;
#[cfg(test)]
mod test_member;
pub mod unpack;
