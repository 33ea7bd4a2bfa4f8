//! `cargo xtask deb`: source packages, their checks, proofs and uploads.

use super::Context;
use super::release_context::ReleaseContext;
use crate::cli::{self, DebCommand};
use crate::exit::Exit;
use drydock_deb::network::Network;
use source_packages::SourcePackages;

mod build;
mod builds;
pub(super) mod check;
pub(super) mod prove;
pub(super) mod source;
pub(super) mod source_packages;
mod status;
pub(super) mod upload;

impl cli::Deb {
    /// Runs a subcommand; without one, builds the source packages and checks them.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            None => source_and_check(self.source, &Context::find(place)?),
            Some(DebCommand::Source(source)) => source.run(&Context::find(place)?),
            // These two also work on files outside a project.
            Some(DebCommand::Check(check)) => check.run(place),
            Some(DebCommand::Prove(prove)) => prove.run(place),
            Some(DebCommand::Build(build)) => build.run(&Context::find(place)?),
            Some(DebCommand::Upload(upload)) => upload.run(&Context::find(place)?),
            Some(DebCommand::Status(status)) => status.run(&Context::find(place)?),
        }
    }
}

fn source_and_check(options: cli::DebSource, ctx: &Context) -> anyhow::Result<Exit> {
    let release = ReleaseContext::resolve(ctx, &options.packages.of.clone().into())?;
    let packages = SourcePackages::select(&release, &options.packages.series)?;
    let exit = options.build(&packages)?;
    if exit != Exit::Success || options.dry_run {
        return Ok(exit);
    }
    check::Check { allow_unsigned: !options.sign, api: None }.print(&packages, cli::Format::Text)
}

/// The network settings of this process.
fn network() -> Network {
    Network::new(&|name| std::env::var_os(name))
}
