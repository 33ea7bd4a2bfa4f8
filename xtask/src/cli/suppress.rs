//! `cargo xtask ci suppress` and `ci suppressions`.

use std::path::PathBuf;

use clap::Args;

use super::Format;

/// `cargo xtask ci suppress`
#[derive(Debug, Args)]
pub(crate) struct CiSuppress {
    /// IDs of the findings, such as memcheck:a1b2c3d4, as a run's summary, `ci explain` and run.json show them; one
    /// suppression matches all of them
    #[arg(value_name = "FINDING", required = true)]
    pub findings: Vec<String>,
    /// Reason for the suppression
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Person responsible for it [default: user.name and user.email of git]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// Last day on which it is valid [default: in 90 days]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub expires: Option<String>,
    /// File of the project to append to [default: the first of the tool's `suppressions`]
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// ID of the run that has the findings [default: the last run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Print the suppression, without writing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask ci suppressions`
#[derive(Debug, Args)]
pub(crate) struct CiSuppressions {
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Exit with code 1 if a suppression has expired
    #[arg(long)]
    pub fail_on_expired: bool,
    /// Exit with code 1 if a suppression matched nothing in a complete run
    #[arg(long)]
    pub fail_on_unused: bool,
    /// Suppression file to read; may be repeated [default: the declared files]
    #[arg(long, value_name = "PATH")]
    pub file: Vec<PathBuf>,
}
