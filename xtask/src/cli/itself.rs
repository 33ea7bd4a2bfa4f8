//! Commands about Drydock itself: `init`, `demo`, `check`, `doctor`, `completions` and `man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `cargo xtask demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Install missing Debian packages first (needs root or sudo); the command is printed
    #[arg(long)]
    pub install: bool,
    /// Also prove the Debian package in a clean chroot, and build the image: some minutes, and about 300 MB of downloads
    #[arg(long)]
    pub all: bool,
    /// Keep the example project in this directory, which must be empty or must not exist
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `cargo xtask check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Install missing Debian packages first (needs root or sudo); the command is printed
    #[arg(long)]
    pub install: bool,
}

/// `cargo xtask doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Install missing Debian packages (needs root or sudo); the command is printed
    #[arg(long)]
    pub install: bool,
    /// Only list the tools that this command needs
    #[arg(value_name = "COMMAND")]
    pub of: Option<crate::tools::Purpose>,
    /// Output format
    #[arg(long, value_enum, default_value_t = super::Format::Text, conflicts_with = "install")]
    pub format: super::Format,
}

/// `cargo xtask completions`
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `cargo xtask man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory to write the pages to; it is made if it does not exist
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// `cargo xtask init`
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The project [default: --project, or the current directory]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Print what would be written, as a diff, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Run the build and the suite once, and write what was learned of them too
    #[arg(long = "try", conflicts_with = "dry_run")]
    pub try_it: bool,
    /// Also make Drydock a program of the project: `cargo xtask`, at a pinned version
    #[arg(long)]
    pub xtask: bool,
    /// Also write a Debian package, if the project has none
    #[arg(long)]
    pub deb: bool,
    /// Where the project takes Drydock from: VERSION, URL#COMMIT, or a directory [default: where this one was built]
    #[arg(long, value_name = "SOURCE")]
    pub from: Option<String>,
}
