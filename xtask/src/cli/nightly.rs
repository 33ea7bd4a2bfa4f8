//! Command line types of `cargo xtask nightly`.

use clap::Args;

use super::{Engine, Format, ProofPlaces};
use drydock_config::release::Version;

/// `cargo xtask nightly`
#[derive(Debug, Clone, Args)]
pub(crate) struct Nightly {
    /// The commit; with a release tag it is built as that release, and is what can be promoted
    #[arg(long, value_name = "REVISION", default_value = "HEAD")]
    pub commit: String,
    /// The version that will be released next [default: `nightly.next`, else what the version files hold]
    #[arg(long, value_name = "VERSION")]
    pub next: Option<Version>,
    /// Go on although nothing changed since the last nightly, or although that one has a higher version
    #[arg(long)]
    pub force: bool,
    /// Build and prove only: nothing leaves this machine, and a later call publishes what is there
    #[arg(long)]
    pub no_publish: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Threads that xz may use; they never change the bytes [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// What builds images from Dockerfiles; everything else is built in process
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Where packages are proved.
    #[command(flatten)]
    pub proof: ProofPlaces,
    /// Sign source packages with the key of this fingerprint or address [default: the declared key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// How many minutes to wait for the answer of the archive that packages are uploaded to
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub wait: u32,
    /// Launchpad's interface
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
