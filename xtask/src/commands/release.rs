//! `cargo xtask release`: check, build, prove, verify, sign, publish, rehearse.

use super::Context;
use super::release_context::{DeclaredCommit, ReleaseContext, ReleaseSelector};
use crate::cli::{self, ReleaseCommand};
use crate::exit::Exit;
use bases::CachedBases;

mod acts;
mod bases;
pub(super) mod build;
mod bump;
mod check;
mod hotfix;
mod notes;
pub(super) mod policy;
pub(super) mod prove;
pub(crate) mod proved;
mod provenance;
mod publish;
mod rehearse;
pub(super) mod sign;
mod status;
mod verify;

impl cli::Release {
    /// Without a subcommand: everything that stays on this machine.
    pub(crate) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        match self.command {
            None => {
                let cli::ReleaseProve { build: options, allow_dirty } = self.all;
                if options.dry_run {
                    return options.run(&Context::find(place)?);
                }
                let all = All {
                    selector: options.of.into(),
                    threads: build::threads(options.threads),
                    allow_dirty,
                    sources_only: options.sources_only,
                    format: options.format,
                };
                all.run(&Context::find(place)?)
            }
            Some(ReleaseCommand::Check(check)) => check.run(&Context::find(place)?),
            Some(ReleaseCommand::Build(build)) => build.run(&Context::find(place)?),
            Some(ReleaseCommand::Prove(prove)) => prove.run(&Context::find(place)?),
            // A release can be verified without a project, with --keys.
            Some(ReleaseCommand::Verify(verify)) => verify.run(place),
            Some(ReleaseCommand::Sign(sign)) => sign.run(&Context::find(place)?),
            Some(ReleaseCommand::Publish(publish)) => publish.run(&Context::find(place)?),
            Some(ReleaseCommand::Rehearse(rehearse)) => rehearse.run(&Context::find(place)?),
            Some(ReleaseCommand::Status(status)) => status.run(&Context::find(place)?),
            Some(ReleaseCommand::Provenance(provenance)) => provenance.run(&Context::find(place)?),
            Some(ReleaseCommand::Bump(bump)) => bump.run(&Context::find(place)?),
            Some(ReleaseCommand::Notes(notes)) => notes.run(&Context::find(place)?),
            Some(ReleaseCommand::Hotfix(hotfix)) => hotfix.run(&Context::find(place)?),
            Some(ReleaseCommand::Guide(guide)) => guide.run(&Context::find(place)?),
        }
    }
}

/// Checks a release, builds it, and proves it.
pub(super) struct All {
    pub(super) selector: ReleaseSelector,
    pub(super) threads: u32,
    /// Whether uncommitted changes in the work tree are accepted.
    pub(super) allow_dirty: bool,
    /// Whether binary tarballs are left out.
    pub(super) sources_only: bool,
    pub(super) format: cli::Format,
}

impl All {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let commit = DeclaredCommit::resolve(ctx, &self.selector.revision)?;
        let checked = check::check(&commit, &self.selector.version, self.allow_dirty)?;
        check::print_failed(&checked.findings);
        match checked.version {
            Some((version, tag)) if check::exit(&checked.findings) == Exit::Success => {
                let release: ReleaseContext = commit.release_of(version, tag)?;
                let bases = CachedBases::of(&release).filter(|_| !self.sources_only);
                prove::build_and_prove(&release, self.threads, bases.as_ref(), self.format)
            }
            Some(_) | None => Ok(Exit::CheckFailed),
        }
    }
}
