//! `cargo xtask ci suppress` and `ci suppressions`.

use std::path::PathBuf;

use clap::Args;

use super::Format;

/// `cargo xtask ci suppress`
#[derive(Debug, Args)]
pub(crate) struct CiSuppress {
    /// What to hide, such as memcheck:a1b2c3d4; the end of a run, `ci explain` and run.json name it. Several are hidden
    /// by one suppression
    #[arg(value_name = "FINDING", required = true)]
    pub findings: Vec<String>,
    /// Why it may be hidden
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who answers for it [default: user.name and user.email of git]
    #[arg(long, value_name = "NAME")]
    pub author: Option<String>,
    /// The last day before somebody must look again [default: in 90 days]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub expires: Option<String>,
    /// Append to this file of the project [default: the first under `suppressions` of the tool]
    #[arg(long, value_name = "PATH")]
    pub file: Option<String>,
    /// A finding of this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Print the suppression, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask ci suppressions`
#[derive(Debug, Args)]
pub(crate) struct CiSuppressions {
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// End with exit code 1 when one has expired
    #[arg(long)]
    pub fail_on_expired: bool,
    /// End with exit code 1 when one hid nothing in a whole run
    #[arg(long)]
    pub fail_on_unused: bool,
    /// Read these files instead of the declared ones
    #[arg(long, value_name = "PATH")]
    pub file: Vec<PathBuf>,
}
