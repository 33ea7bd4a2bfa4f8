//! `cargo xtask release`: check, build, prove, verify.

use super::Context;
use crate::cli::{self, ReleaseCommand};
use crate::exit::Exit;

pub(super) mod build;
mod check;
pub(super) mod loaded;
pub(super) mod prove;
mod verify;

impl cli::Release {
    /// Bare: everything that stays on this machine.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            None => all(self.all, &Context::find(place)?),
            Some(ReleaseCommand::Check(check)) => check.run(&Context::find(place)?),
            Some(ReleaseCommand::Build(build)) => build.run(&Context::find(place)?),
            Some(ReleaseCommand::Prove(prove)) => prove.run(&Context::find(place)?),
            // Sums can be checked anywhere; the project is needed for signatures and for building again.
            Some(ReleaseCommand::Verify(verify)) => verify.run(place),
        }
    }
}

/// Check, then build and prove.
pub(super) fn all(options: cli::ReleaseProve, ctx: &Context) -> anyhow::Result<Exit> {
    if options.build.dry_run {
        return options.build.run(ctx);
    }
    let check =
        cli::ReleaseCheck { of: options.build.of.clone(), allow_dirty: options.allow_dirty, format: cli::Format::Text };
    let exit = check.quietly(ctx)?;
    if exit != Exit::Success {
        return Ok(exit);
    }
    options.run(ctx)
}
