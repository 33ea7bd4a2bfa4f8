//! `cargo xtask workflows`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `cargo xtask workflows`
#[derive(Debug, Args)]
pub(crate) struct Workflows {
    /// The command to run.
    #[command(subcommand)]
    pub command: WorkflowsCommand,
}

/// The commands about workflows.
#[derive(Debug, Subcommand)]
pub(crate) enum WorkflowsCommand {
    /// Check workflows and actions: schema, zizmor, and rules about gates, pins, secrets, permissions and scripts
    Check(WorkflowsCheck),
    /// Write workflows for the project: plan, shards, merge and gate; reruns; nightly; the release of a tag
    Write(WorkflowsWrite),
}

/// `cargo xtask workflows write`
#[derive(Debug, Args)]
pub(crate) struct WorkflowsWrite {
    /// Words that call Drydock in a step
    #[arg(long, value_name = "WORDS", default_value = "drydock")]
    pub command: String,
    /// Action that puts Drydock there: of this repository, or OWNER/NAME/.github/actions/setup@COMMIT
    #[arg(long, value_name = "ACTION", default_value = "$/.github/actions/setup")]
    pub setup: String,
    /// Default branch
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub branch: String,
    /// Time that a shard should take
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub duration: String,
    /// Tags of releases, a glob such as `v*` [default: as packaging/release.yaml declares]
    #[arg(long, value_name = "GLOB")]
    pub tags: Option<String>,
    /// Replace files that are there
    #[arg(long)]
    pub force: bool,
}

/// `cargo xtask workflows check`
#[derive(Debug, Args)]
pub(crate) struct WorkflowsCheck {
    /// Workflows and actions [default: all in .github of the project]
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}
