//! `cargo xtask docker`: builds, tests, pushes, promotes and prunes container images.

use super::Context;
use crate::cli::{self, DockerCommand};
use crate::exit::Exit;

pub(super) mod build;
mod image_build;
pub(super) mod nightly;
pub(super) mod promote;
pub(super) mod prune;
pub(super) mod selection;

pub(super) use image_build::base_in;

impl cli::Docker {
    /// Without a subcommand, this is `docker build`.
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
