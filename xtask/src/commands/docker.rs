//! `cargo xtask docker`: images, built and tried here, and where they go.

use super::Context;
use crate::cli::{self, DockerCommand};
use crate::exit::Exit;

mod base;
pub(super) mod build;
mod debs;
mod engine;
mod files;
mod make;
pub(super) mod nightly;
mod promote;
pub(super) mod prune;
pub(super) mod registries;
pub(super) mod selection;

impl cli::Docker {
    /// Bare: build.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            None => self.build.run(&Context::find(place)?),
            Some(DockerCommand::Build(build)) => build.run(&Context::find(place)?),
            Some(DockerCommand::Nightly(nightly)) => nightly.run(&Context::find(place)?),
            Some(DockerCommand::Promote(promote)) => promote.run(&Context::find(place)?),
            Some(DockerCommand::Prune(prune)) => prune.run(&Context::find(place)?),
        }
    }
}
