//! Command line types of `cargo xtask nightly`.

use std::path::PathBuf;

use clap::Args;

use super::{Engine, Format, ProofPlaces};
use drydock_config::release::Version;

/// `cargo xtask nightly`
#[derive(Debug, Clone, Args)]
pub(crate) struct Nightly {
    /// Commit to build; one with a release tag is built as that release, which can be promoted later
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// Version that will be released next [default: `nightly.next`, else the version in the version files]
    #[arg(long, value_name = "VERSION")]
    pub next: Option<Version>,
    /// Build even if nothing changed since the last nightly, or if that one has a higher version
    #[arg(long)]
    pub force: bool,
    /// Build and prove without publishing; a later call without this option publishes the same files
    #[arg(long)]
    pub no_publish: bool,
    /// File to write everything that was built to, for a publication on another machine (tar.gz)
    #[arg(long, value_name = "FILE", requires = "no_publish")]
    pub pack: Option<PathBuf>,
    /// File that --pack wrote; what is in it is not built again if its checksums are right
    #[arg(long, value_name = "FILE", conflicts_with = "pack")]
    pub unpack: Option<PathBuf>,
    /// Print what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Threads for xz; the number does not change the output [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Engine that builds from Dockerfiles; other images need none
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// The environment of the proof.
    #[command(flatten)]
    pub proof: ProofPlaces,
    /// Fingerprint or address of the key that signs source packages [default: the declared key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Minutes to wait for the answer of the archive that packages are uploaded to
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub wait: u32,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
