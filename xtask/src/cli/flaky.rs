//! The command line of `cargo xtask ci flaky`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Format;
use drydock_base::units::{BadValue, parse_limit};

/// `cargo xtask ci flaky`
#[derive(Debug, Args)]
pub(crate) struct CiFlaky {
    /// Job names or globs [default: all jobs]
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Include jobs that always passed
    #[arg(long)]
    pub all: bool,
    /// Also count this history of another machine; may be repeated
    #[arg(long, value_name = "FILE")]
    pub history: Vec<PathBuf>,
    /// Run the jobs together and apart, and find those that disturb each other and what they share
    #[arg(long, conflicts_with_all = ["all", "history"])]
    pub collisions: bool,
    /// Time after which no further run is started
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, requires = "collisions")]
    pub budget: Duration,
    /// Number of runs of everything together, and of each suspected test by itself
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=100), requires = "collisions")]
    pub rounds: u32,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

fn duration(text: &str) -> Result<Duration, BadValue> {
    parse_limit(text)
}
