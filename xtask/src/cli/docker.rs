//! Command line types of `cargo xtask docker`.

mod away;

pub(crate) use away::{DockerPromote, DockerPrune};

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, OfRelease};
use drydock_config::images::Platform;

/// `cargo xtask docker`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Docker {
    /// What to do; without one, build.
    #[command(subcommand)]
    pub command: Option<DockerCommand>,
    /// Options of building.
    #[command(flatten)]
    pub build: DockerBuild,
}

/// The commands about images.
#[derive(Debug, Subcommand)]
pub(crate) enum DockerCommand {
    /// Build images and try them, on this machine (the default)
    Build(DockerBuild),
    /// Push what was built to the nightly repositories, by digest, then move their tags
    Nightly(DockerNightly),
    /// Make the image of a release of the one that was built at its signed tag: copied by digest, never rebuilt
    Promote(DockerPromote),
    /// Remove old images from the nightly repository; without --apply, only tell which
    Prune(DockerPrune),
}

/// Which images of which commit.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfImages {
    /// Names of declared images [default: all]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// Which release.
    #[command(flatten)]
    pub of: OfRelease,
}

/// `cargo xtask docker build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerBuild {
    /// Which images.
    #[command(flatten)]
    pub of: OfImages,
    /// Only these of the declared platforms, such as linux/amd64
    #[arg(long = "platform", value_name = "PLATFORM")]
    pub platforms: Vec<Platform>,
    /// What builds from Dockerfiles; everything else is built in process
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Print what would be built, and build nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask docker nightly`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerNightly {
    /// Which images.
    #[command(flatten)]
    pub of: OfImages,
    /// Print what would be pushed where, and push nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What builds from Dockerfiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Engine {
    /// The first of these that works here
    #[default]
    Auto,
    /// docker, with buildx where it is installed; needs its daemon
    Docker,
    /// buildah, without a daemon
    Buildah,
    /// podman, without a daemon
    Podman,
}
