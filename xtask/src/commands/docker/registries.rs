//! The registries that a command works with, each opened once.

use std::collections::BTreeMap;

use drydock_config::images::Repository;
use drydock_oci::registry::{Credentials, Registry};

/// Registries by host, with the logins of this process.
pub(in crate::commands) struct Registries {
    credentials: Credentials,
    open: BTreeMap<String, Registry>,
}

impl Registries {
    pub(in crate::commands) fn new() -> Registries {
        Registries { credentials: Credentials::from_process(), open: BTreeMap::new() }
    }

    /// That of a repository.
    pub(in crate::commands) fn of(&mut self, repository: &Repository) -> anyhow::Result<Registry> {
        if let Some(registry) = self.open.get(repository.host()) {
            return Ok(registry.clone());
        }
        let registry = Registry::open(repository.host(), &self.credentials)?;
        self.open.insert(repository.host().to_owned(), registry.clone());
        Ok(registry)
    }
}
