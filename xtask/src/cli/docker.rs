//! Command line types of `cargo xtask docker`.

mod remote;

pub(crate) use remote::{DockerPromote, DockerPrune};

use clap::{Args, Subcommand, ValueEnum};

use super::{Format, OfRelease};
use drydock_config::images::Platform;

/// `cargo xtask docker`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Docker {
    /// The command to run; by default `build`.
    #[command(subcommand)]
    pub command: Option<DockerCommand>,
    /// Options of `build`.
    #[command(flatten)]
    pub build: DockerBuild,
}

/// The commands about images.
#[derive(Debug, Subcommand)]
pub(crate) enum DockerCommand {
    /// Build images and run their smoke tests (the default)
    Build(DockerBuild),
    /// Push built images to the nightly repositories by digest, then move the tags
    Nightly(DockerNightly),
    /// Promote the image that was built at a release's signed tag: copy it by digest, without rebuilding it
    Promote(DockerPromote),
    /// Remove old images from the nightly repositories; without --apply, only list them
    Prune(DockerPrune),
}

/// The options that select images.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfImages {
    /// Names of declared images [default: all]
    #[arg(value_name = "IMAGE")]
    pub images: Vec<String>,
    /// The release.
    #[command(flatten)]
    pub of: OfRelease,
}

/// `cargo xtask docker build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerBuild {
    /// The images.
    #[command(flatten)]
    pub of: OfImages,
    /// Only this declared platform, such as linux/amd64; may be repeated
    #[arg(long = "platform", value_name = "PLATFORM")]
    pub platforms: Vec<Platform>,
    /// Engine that builds from Dockerfiles; other images need none
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Print what would be built, without building it
    #[arg(long)]
    pub dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask docker nightly`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DockerNightly {
    /// The images.
    #[command(flatten)]
    pub of: OfImages,
    /// Publish without a proof of the sources; the reason is published too
    #[arg(long, value_name = "REASON", value_parser = crate::commands::release::proved::reason)]
    pub without_proof: Option<String>,
    /// Print what would be pushed, without pushing it
    #[arg(long)]
    pub dry_run: bool,
}

/// Engines that build from Dockerfiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Engine {
    /// The first of the others that works on this machine
    #[default]
    Auto,
    /// docker, with buildx if it is installed; needs the docker daemon
    Docker,
    /// buildah, without a daemon
    Buildah,
    /// podman, without a daemon
    Podman,
}
