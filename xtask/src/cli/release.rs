//! Command line types of `cargo xtask release`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Format;
use drydock_config::release::Version;

/// `cargo xtask release`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Release {
    /// What to do; without one, everything that stays on this machine: check, build, prove.
    #[command(subcommand)]
    pub command: Option<ReleaseCommand>,
    /// Options of all three.
    #[command(flatten)]
    pub all: ReleaseProve,
}

/// The commands about releases.
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    /// Tell everything that keeps this commit from being released, each with its remedy
    Check(ReleaseCheck),
    /// Make the archives, release.json and SHA256SUMS
    Build(ReleaseBuild),
    /// Build again in other surroundings and compare; build and test the archive without a network
    Prove(ReleaseProve),
    /// Check files of a release, and explain what is different about them
    Verify(ReleaseVerify),
}

/// Which release.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfRelease {
    /// The commit
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// The tag, when the commit has several that name a version
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,
    /// The commit needs no tag: its version gets its date and its name, as in 1.2+git20260601.0123456789ab
    #[arg(long, conflicts_with = "tag")]
    pub untagged: bool,
    /// The commit is a nightly of what will be this version [default: the declared next one]; a nightly's own version says
    /// exactly which
    #[arg(long, value_name = "NEXT", num_args = 0..=1, conflicts_with_all = ["tag", "untagged"])]
    pub nightly: Option<Option<Version>>,
}

/// `cargo xtask release check`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseCheck {
    /// Which release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Changes in the work tree are none of its business: they are not released
    #[arg(long)]
    pub allow_dirty: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseBuild {
    /// Which release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Threads that xz may use, each with about 130 MiB; they never change the bytes [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Print what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask release prove`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseProve {
    /// How it is built.
    #[command(flatten)]
    pub build: ReleaseBuild,
    /// Changes in the work tree are none of its business: they are not released
    #[arg(long)]
    pub allow_dirty: bool,
}

/// `cargo xtask release verify`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReleaseVerify {
    /// The directory of a release, or some of its files [default: that of the commit's release]
    #[arg(value_name = "DIR|FILE")]
    pub files: Vec<PathBuf>,
    /// Make the release again from the commit that release.json names, and compare
    #[arg(long)]
    pub rebuild: bool,
    /// Threads that xz may use with --rebuild
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Pass without the signatures that packaging/release.yaml wants
    #[arg(long)]
    pub unsigned: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
