//! `cargo xtask ci rerun --github` and `ci fetch`: runs of GitHub Actions.

use std::time::Duration;

use clap::Args;

use drydock_base::units::{BadValue, parse_limit};

/// The run of GitHub Actions and how it is asked for.
#[derive(Debug, Clone, Args)]
pub(crate) struct OnGithub {
    /// Repository, OWNER/NAME [default: that of the run's address, GITHUB_REPOSITORY, or the remote `origin`]
    #[arg(long, value_name = "OWNER/NAME")]
    pub repository: Option<String>,
    /// Wait between two questions about a run
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = duration)]
    pub every: Duration,
    /// Longest wait for the end of a run
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = duration)]
    pub wait: Duration,
}

/// `cargo xtask ci rerun --github`
#[derive(Debug, Clone, Args)]
pub(crate) struct RerunGithub {
    /// Run jobs of this run of GitHub Actions again, and follow them: its number or its address
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "", conflicts_with = "selectors")]
    pub github: Option<String>,
    /// A job of the workflow to run again, with those that need it; may be repeated [default: all that failed]
    #[arg(long = "job", value_name = "NAME", requires = "github")]
    pub named: Vec<String>,
    /// Text of a comment that asks for it: `/rerun RUN [JOB]`; used where --github is empty
    #[arg(long, value_name = "TEXT", requires = "github")]
    pub comment: Option<String>,
    /// How GitHub is asked.
    #[command(flatten)]
    pub on: OnGithub,
}

/// `cargo xtask ci fetch`
#[derive(Debug, Args)]
pub(crate) struct CiFetch {
    /// A run of GitHub Actions: its number or its address
    #[arg(value_name = "RUN")]
    pub workflow_run: String,
    /// Names or globs of the artifacts to fetch [default: drydock-run-*, else drydock-shard-*]
    #[arg(long = "artifact", value_name = "NAME")]
    pub artifacts: Vec<String>,
    /// How GitHub is asked.
    #[command(flatten)]
    pub on: OnGithub,
}

fn duration(text: &str) -> Result<Duration, BadValue> {
    parse_limit(text)
}
