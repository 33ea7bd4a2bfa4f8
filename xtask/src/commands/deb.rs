//! `cargo xtask deb`: source packages, their checks and proofs, and where they go.

use super::Context;
use super::release_context::ReleaseContext;
use crate::cli::{self, DebCommand};
use crate::exit::Exit;
use packages::Packages;

mod build;
pub(super) mod check;
pub(super) mod packages;
pub(super) mod prove;
pub(super) mod source;
mod status;
pub(super) mod upload;

impl cli::Deb {
    /// Bare: make the source packages and check them.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            None => all(self.source, &Context::find(place)?),
            Some(DebCommand::Source(source)) => source.run(&Context::find(place)?),
            // Files can be checked and proved anywhere.
            Some(DebCommand::Check(check)) => check.run(place),
            Some(DebCommand::Prove(prove)) => prove.run(place),
            Some(DebCommand::Build(build)) => build.run(&Context::find(place)?),
            Some(DebCommand::Upload(upload)) => upload.run(&Context::find(place)?),
            Some(DebCommand::Status(status)) => status.run(&Context::find(place)?),
        }
    }
}

/// Makes the source packages, and checks them.
fn all(options: cli::DebSource, ctx: &Context) -> anyhow::Result<Exit> {
    let (dry_run, unsigned) = (options.dry_run, !options.sign);
    let release = ReleaseContext::resolve(ctx, &options.packages.of.clone().into())?;
    let packages = Packages::select(&release, &options.packages.series)?;
    let exit = options.make(&packages)?;
    if exit != Exit::Success || dry_run {
        return Ok(exit);
    }
    check::Check { unsigned, api: None }.print(&packages, cli::Format::Text)
}
