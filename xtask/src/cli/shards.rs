//! `cargo xtask ci plan --github`, `ci --shard` and `ci merge`: one plan for several machines.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Audience;

use drydock_base::units::{BadValue, parse_limit};
use drydock_ci::shard::ShardNumber;

/// Options of `ci plan` for several machines.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlanGithub {
    /// Plan for several machines: print what each shard takes and costs, or with --format json the matrix of a workflow
    #[arg(long, requires = "size")]
    pub github: bool,
    /// Number of shards, at most 256; fewer are made where there are not as many jobs
    #[arg(long, value_name = "N", group = "size", requires = "github", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub shards: Option<u16>,
    /// Time within which all shards are to end, such as 10m; as few shards as possible are made
    #[arg(long, value_name = "TIME", group = "size", requires = "github", value_parser = duration)]
    pub duration: Option<Duration>,
    /// File to write the plan to; one archive with all that belongs to it if it ends in .tar.gz. Jobs that make what others share, or what tests are listed from, are run first, and
    /// their results are put beside the file. Without it, nothing is run
    #[arg(long, value_name = "FILE", requires = "github")]
    pub output: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, BadValue> {
    parse_limit(text)
}

/// Options of running one shard.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ShardOptions {
    /// Run one shard of a plan, such as 2/7
    #[arg(long, value_name = "I/N", requires = "plan", conflicts_with_all = ["selectors", "resume", "dry_run"])]
    pub shard: Option<ShardNumber>,
    /// File that `ci plan --github --output` wrote
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub plan: Option<PathBuf>,
    /// Directory with this shard's previous attempts, packed or not: only what failed or has no result there is run again
    #[arg(long, value_name = "DIR", requires = "shard")]
    pub previous: Option<PathBuf>,
    /// Directory to copy the finished run to, for `ci merge`; a file if it ends in .tar.gz [default: it stays in the state
    /// directory]
    #[arg(long, value_name = "DIR|FILE", requires = "shard")]
    pub output: Option<PathBuf>,
    /// While jobs run, upload the journal as the artifact NAME-1, NAME-2 … of the run of GitHub Actions; older ones are deleted
    #[arg(long, value_name = "NAME", requires_all = ["shard", "runtime"])]
    pub upload_journal: Option<String>,
    /// Wait between two uploads of the journal
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration)]
    pub upload_every: Duration,
    /// File with the address and the token that the runner gives actions, as JSON (`url`, `token`); it is deleted at once
    #[arg(long, value_name = "FILE", requires = "upload_journal")]
    pub runtime: Option<PathBuf>,
}

/// `cargo xtask ci merge`
#[derive(Debug, Args)]
pub(crate) struct CiMerge {
    /// Directories of shards, packed or not, or directories that hold those of several
    #[arg(value_name = "DIR", required = true)]
    pub directories: Vec<PathBuf>,
    /// File that `ci plan --github --output` wrote
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Directory to copy the merged run to; a file if it ends in .tar.gz [default: it stays in the state directory]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Exit with code 6 if a job was flaky
    #[arg(long)]
    pub fail_on_flaky: bool,
    /// Who reads the output
    #[arg(long, value_enum, default_value_t = Audience::Auto)]
    pub output_for: Audience,
}

/// `cargo xtask ci export`
#[derive(Debug, Args)]
pub(crate) struct CiExport {
    /// ID of the run, or a file of `ci export` [default: the last run]
    #[arg(value_name = "ID|FILE")]
    pub run: Option<String>,
    /// File to write
    #[arg(long, value_name = "FILE")]
    pub output: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value_t = ExportFormat::Run)]
    pub format: ExportFormat,
    /// Write the last run only if it is this shard of --plan, and only if there is no such file yet: after `ci --shard` was killed
    #[arg(long, value_name = "I/N", requires = "plan", conflicts_with_all = ["run", "format"])]
    pub shard: Option<ShardNumber>,
    /// File that `ci plan --github --output` wrote
    #[arg(long, value_name = "FILE", requires = "shard")]
    pub plan: Option<PathBuf>,
}

/// Files of runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The run with all logs and all evidence (tar with gzip), which `-R FILE` of other commands takes
    #[default]
    Run,
    /// A trace of attempts, slots and memory, for Perfetto and Chrome (JSON)
    Trace,
}
