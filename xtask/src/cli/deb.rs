//! Command line types of `cargo xtask deb`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, OfRelease};

/// `cargo xtask deb`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Deb {
    /// What to do; without one, make the source packages and check them.
    #[command(subcommand)]
    pub command: Option<DebCommand>,
    /// Options of making them.
    #[command(flatten)]
    pub source: DebSource,
}

/// The commands about Debian packages.
#[derive(Debug, Subcommand)]
pub(crate) enum DebCommand {
    /// Make a source package for each series
    Source(DebSource),
    /// Check source packages against the rules of Launchpad, each with the words of its rejection mail
    Check(DebCheck),
    /// Build in clean chroots without a network, twice; compare the packages, install and try them
    Prove(DebProve),
    /// Build the binary packages on this machine
    Build(DebBuild),
    /// Sign and upload the source packages, and wait for the archive's answer
    Upload(DebUpload),
    /// Tell what was made, proved, uploaded and accepted
    Status(DebStatus),
}

/// Which packages.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfPackages {
    /// Which release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Only these of the declared series
    #[arg(long = "series", value_name = "NAME")]
    pub series: Vec<String>,
}

/// `cargo xtask deb source`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebSource {
    /// Which packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Sign with gpg, with `--key` or the declared key
    #[arg(long)]
    pub sign: bool,
    /// Sign with the key of this fingerprint or address
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Leave the orig tarballs out of .changes: the archive has them from another series
    #[arg(long)]
    pub without_orig: bool,
    /// Threads that xz may use; they never change the bytes [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Print what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask deb check`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebCheck {
    /// Which packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// These .changes or .dsc files instead of the project's packages
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Ask the archive that they would be uploaded to, as well
    #[arg(long)]
    pub remote: bool,
    /// Launchpad's interface
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// They will be signed later: a missing signature is no mistake
    #[arg(long)]
    pub unsigned: bool,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Where packages are proved, and by whom.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProofPlaces {
    /// Where packages of Debian come from
    #[arg(long, value_name = "URL", default_value = "http://deb.debian.org/debian")]
    pub mirror: String,
    /// Where packages of Ubuntu come from
    #[arg(long, value_name = "URL", default_value = "http://archive.ubuntu.com/ubuntu")]
    pub ubuntu_mirror: String,
    /// Keep clean chroots in this directory [default: the state directory's chroots]
    #[arg(long, value_name = "DIR")]
    pub chroots: Option<PathBuf>,
    /// The unprivileged user who builds, when this is called by root
    #[arg(long, value_name = "NAME", default_value = "drydock-build")]
    pub user: String,
}

/// `cargo xtask deb prove`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebProve {
    /// Which packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// These .dsc files instead of the project's packages, each with its series as in SERIES=FILE
    #[arg(value_name = "SERIES=FILE")]
    pub files: Vec<String>,
    /// Where it is proved.
    #[command(flatten)]
    pub places: ProofPlaces,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask deb build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebBuild {
    /// Which packages; of several series, the one that fits this machine is taken.
    #[command(flatten)]
    pub packages: OfPackages,
}

/// `cargo xtask deb upload`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebUpload {
    /// Which packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Sign with the key of this fingerprint or address [default: the declared key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Print what would be uploaded where, and upload nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How many minutes to wait for the archive's answer
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub wait: u32,
    /// Launchpad's interface
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
}

/// `cargo xtask deb status`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebStatus {
    /// Which packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Ask the archive, as well
    #[arg(long)]
    pub remote: bool,
    /// Launchpad's interface
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
