//! Images and registries, against a real docker-registry.

mod base_pulls;
mod build;
mod build_errors;
mod corpus;
mod credentials;
mod engines;
mod hostile_registry;
mod image_inputs;
pub(crate) mod other_registries;
mod promote;
mod prune;
mod registry_faults;
mod resume;
mod tagging;
pub(crate) mod test_images;
mod transfer;

pub(crate) mod build_project;
pub(crate) mod proxy;
pub(crate) mod registry_server;
