//! Command line types of `cargo xtask deb`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Format, OfRelease};

/// `cargo xtask deb`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Deb {
    /// The command to run; by default the source packages are built and checked.
    #[command(subcommand)]
    pub command: Option<DebCommand>,
    /// Options of the default.
    #[command(flatten)]
    pub source: DebSource,
}

/// The commands about Debian packages.
#[derive(Debug, Subcommand)]
pub(crate) enum DebCommand {
    /// Build a source package for each series
    Source(DebSource),
    /// Check source packages against Launchpad's rules, and quote its rejections
    Check(DebCheck),
    /// Build twice in clean chroots without a network, compare the packages, install and test them
    Prove(DebProve),
    /// Build the binary packages with the tools of this machine
    Build(DebBuild),
    /// Sign and upload the source packages, and wait for the archive to accept them
    Upload(DebUpload),
    /// Show which packages were built, proved, uploaded and accepted
    Status(DebStatus),
}

/// The options that select packages.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OfPackages {
    /// The release.
    #[command(flatten)]
    pub of: OfRelease,
    /// Only this declared series; may be repeated
    #[arg(long = "series", value_name = "NAME")]
    pub series: Vec<String>,
}

/// `cargo xtask deb source`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebSource {
    /// The packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Sign with gpg, by --key or the declared key
    #[arg(long)]
    pub sign: bool,
    /// Fingerprint or address of the key to sign with
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Leave the orig tarballs out of .changes, because the archive already has them
    #[arg(long)]
    pub without_orig: bool,
    /// Threads for xz; the number does not change the output [default: the processors, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Print what would be built, without building it
    #[arg(long)]
    pub dry_run: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask deb check`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebCheck {
    /// The packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Files to check, .changes or .dsc [default: the project's packages]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Also check against the current state of the declared archive
    #[arg(long)]
    pub remote: bool,
    /// Personal package archive to check the FILEs against
    #[arg(long, value_name = "OWNER/NAME", value_parser = ppa, requires = "files")]
    pub ppa: Option<Ppa>,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Accept packages that are not signed yet
    #[arg(long)]
    pub unsigned: bool,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// A personal package archive on Launchpad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ppa {
    /// The Launchpad id of its owner.
    pub owner: String,
    /// The name of the archive, the part after `/`.
    pub archive: String,
}

/// Parses `OWNER/NAME`, as people write it: `ppa:` and `~` may precede it.
fn ppa(text: &str) -> anyhow::Result<Ppa> {
    let plain = text.strip_prefix("ppa:").unwrap_or(text);
    let (owner, archive) = plain.strip_prefix('~').unwrap_or(plain).split_once('/').unwrap_or_default();
    let is_name = |name: &str| {
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter);
        name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(fits)
    };
    anyhow::ensure!(is_name(owner) && is_name(archive), "write OWNER/NAME, for example example/tools");
    Ok(Ppa { owner: owner.to_owned(), archive: archive.to_owned() })
}

/// Debian's mirror that is used by default.
const DEBIAN: &str = "http://deb.debian.org/debian";
/// Ubuntu's.
const UBUNTU: &str = "http://archive.ubuntu.com/ubuntu";
/// The user who builds by default.
const BUILDER: &str = "drydock-build";

impl Default for ProofPlaces {
    fn default() -> ProofPlaces {
        ProofPlaces { mirror: DEBIAN.into(), ubuntu_mirror: UBUNTU.into(), chroots: None, user: BUILDER.into() }
    }
}

/// The options of proving packages.
#[derive(Debug, Clone, Args)]
pub(crate) struct ProofPlaces {
    /// Mirror of Debian
    #[arg(long, value_name = "URL", default_value = DEBIAN)]
    pub mirror: String,
    /// Mirror of Ubuntu
    #[arg(long, value_name = "URL", default_value = UBUNTU)]
    pub ubuntu_mirror: String,
    /// Directory in which clean chroots are kept [default: chroots in the state directory]
    #[arg(long, value_name = "DIR")]
    pub chroots: Option<PathBuf>,
    /// Unprivileged user who builds, when the command runs as root
    #[arg(long, value_name = "NAME", default_value = BUILDER)]
    pub user: String,
}

/// `cargo xtask deb prove`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebProve {
    /// The packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Files to prove, .dsc, each with its series [default: the project's packages]
    #[arg(value_name = "SERIES=FILE")]
    pub files: Vec<String>,
    /// The environment of the proof.
    #[command(flatten)]
    pub places: ProofPlaces,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask deb build`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebBuild {
    /// The packages; of several series, the one of this machine is built.
    #[command(flatten)]
    pub packages: OfPackages,
}

/// `cargo xtask deb upload`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebUpload {
    /// The packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Fingerprint or address of the key to sign with [default: the declared key]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Publish without a proof of the sources and of the packages; the reason is published too
    #[arg(long, value_name = "REASON", value_parser = crate::commands::release::proved::reason)]
    pub without_proof: Option<String>,
    /// Print what would be uploaded, without uploading it
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until the archive has answered, and in a PPA until all builds have ended, for MINUTES each [without a value: 1440;
    /// without this option: 20 minutes for the answer]
    #[arg(long, value_name = "MINUTES", num_args = 0..=1, default_missing_value = "1440")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=1440))]
    pub wait: Option<u32>,
    /// Seconds between two questions to Launchpad
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub pause: u32,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
}

/// `cargo xtask deb status`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct DebStatus {
    /// The packages.
    #[command(flatten)]
    pub packages: OfPackages,
    /// Also ask the archive
    #[arg(long)]
    pub remote: bool,
    /// Ask the PPA again until all builds of what was uploaded have ended
    #[arg(long)]
    pub watch: bool,
    /// Seconds between two questions to Launchpad
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub pause: u32,
    /// Address of Launchpad's API
    #[arg(long, value_name = "URL", env = "DRYDOCK_LAUNCHPAD_API", default_value = "https://api.launchpad.net/devel")]
    pub api: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}
