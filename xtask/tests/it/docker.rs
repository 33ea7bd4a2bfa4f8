//! Images and registries, against a real docker-registry.

mod credentials;
mod exchange;
mod faults;
mod hostile;
pub(crate) mod proxy;
pub(crate) mod registry;
mod resume;
mod tagging;
