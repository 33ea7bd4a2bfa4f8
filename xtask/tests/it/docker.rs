//! Images and registries, against a real docker-registry.

mod build;
mod corpus;
mod credentials;
mod engines;
mod exchange;
mod faults;
mod hostile;
pub(crate) mod made;
mod promote;
mod prune;
mod refused;
mod resume;
mod tagging;

pub(crate) mod proxy;
pub(crate) mod registry;
pub(crate) mod stage;
