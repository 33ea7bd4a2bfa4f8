//! Images and registries, against a real docker-registry.

mod build;
mod credentials;
mod engines;
mod exchange;
mod faults;
mod hostile;
mod refused;
mod resume;
mod tagging;

pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod stage;
