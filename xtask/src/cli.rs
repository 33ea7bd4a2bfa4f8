//! Every command line type; no logic.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use crate::invocation;
use drydock_base::exec::paste;
use drydock_base::units::ByteSize;
use drydock_config::diagnostic::nearest;

mod deb;
mod docker;
mod flaky;
mod github;
mod itself;
mod massif;
mod nightly;
mod release;
mod report;
mod shards;
mod suppress;
mod workflows;

pub(crate) use deb::{
    Deb, DebBuild, DebCheck, DebCommand, DebProve, DebSource, DebStatus, DebUpload, Ppa, ProofPlaces,
};
pub(crate) use docker::{
    Docker, DockerBuild, DockerCommand, DockerNightly, DockerPromote, DockerPrune, Engine, OfImages,
};
pub(crate) use flaky::CiFlaky;
pub(crate) use github::{CiFetch, OnGithub, RerunGithub};
pub(crate) use itself::{Check, Completions, Demo, Doctor, Init, Man};
pub(crate) use massif::{CiMassif, MassifBaseline, MassifCommand, MassifDiff, MassifShow, MassifStyle};
pub(crate) use nightly::Nightly;
pub(crate) use release::{
    NotesSource, OfRelease, ProvenanceFormat, Release, ReleaseBuild, ReleaseBump, ReleaseCheck, ReleaseCommand,
    ReleaseGuide, ReleaseHotfix, ReleaseNotes, ReleaseProve, ReleaseProvenance, ReleasePublish, ReleaseRehearse,
    ReleaseSign, ReleaseStatus, ReleaseVerify, TaggedRelease,
};
pub(crate) use report::{Audience, CiReport, ReportFormat};
pub(crate) use shards::{CiExport, CiMerge, ExportFormat, PlanGithub, ShardOptions};
pub(crate) use suppress::{CiSuppress, CiSuppressions};
pub(crate) use workflows::{Workflows, WorkflowsCheck, WorkflowsCommand, WorkflowsWrite};

/// CI under valgrind that proves why each process died, and releases that anyone can rebuild byte for byte.
#[derive(Debug, Parser)]
#[command(name = "drydock", version, propagate_version = true)]
pub(crate) struct Cli {
    /// The directories of the project and its state.
    #[command(flatten)]
    pub place: Place,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Parses the command line of this process, or ends the process with help or a usage error. From then on, hints name
    /// the program and the project as this command line does.
    pub(crate) fn from_process() -> Cli {
        let called = paste(&invocation::program());
        let matches = Cli::described(called).get_matches();
        let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        invocation::announce(&cli.place);
        cli
    }

    /// The whole command line of a program that is called like this.
    pub(crate) fn described(called: impl Into<String>) -> clap::Command {
        with_exit_codes(Cli::command().bin_name(called.into()))
    }

    /// The command below the command `above` that a word probably means: `docker`, `promot`.
    pub(crate) fn meant(above: &str, word: &str) -> Option<String> {
        let command = Cli::described("drydock");
        let known = command.find_subcommand(above)?.get_subcommands().map(clap::Command::get_name);
        nearest(word, known).map(str::to_owned)
    }
}

/// Adds the table of exit codes to the help of a command and of its subcommands.
fn with_exit_codes(command: clap::Command) -> clap::Command {
    command.after_help(Exit::help()).mut_subcommands(with_exit_codes)
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct Place {
    /// The project's work tree [default: the nearest ancestor of the current directory that has a declaration]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Read the declarations from this directory instead of the project
    #[arg(long, global = true, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Directory for runs, history and build results [default: PROJECT/target/xtask]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Do not announce steps, and show only jobs that did not pass
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build, test and release lanternd, the example project, and show what was proved
    Demo(Demo),
    /// Run the checks that every change must pass: formatting, lints, layering, tests
    Check(Check),
    /// List missing tools, the commands that need them, and how to install them
    Doctor(Doctor),
    /// Write the declarations for a project, from what it has; nothing is asked, and nothing overwritten
    Init(Init),
    /// Run the jobs of ci/jobs.yaml under supervision
    Ci(Box<Ci>),
    /// Build, prove and verify source releases, as declared in packaging/release.yaml
    Release(Box<Release>),
    /// Build, check, prove and upload Debian source packages, as declared in packaging/release.yaml
    Deb(Box<Deb>),
    /// Build and publish container images, as declared in docker/images.yaml
    Docker(Box<Docker>),
    /// Build, prove and publish a nightly of everything that the project declares, unless nothing changed
    Nightly(Box<Nightly>),
    /// Write and check workflows of GitHub Actions
    Workflows(Workflows),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Write manual pages of all commands
    Man(Man),
}

/// `cargo xtask ci`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Ci {
    /// The command to run; by default `run`.
    #[command(subcommand)]
    pub command: Option<CiCommand>,
    /// Options of `run`.
    #[command(flatten)]
    pub run: CiRun,
}

/// The commands about jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum CiCommand {
    /// Run jobs (the default)
    Run(CiRun),
    /// Print the plan that `run` would follow
    Plan(CiPlan),
    /// Run the jobs again that did not pass in the last run, or the named jobs, and merge the results
    Rerun(CiRerun),
    /// Merge the runs of all shards of a plan into one run, and fail if a planned job has no result
    Merge(CiMerge),
    /// Fetch the results of a run of GitHub Actions, so that explain, report, rerun and massif work on them here
    Fetch(CiFetch),
    /// Write a run with its logs and evidence as one file, for other machines, or as a trace
    Export(CiExport),
    /// Explain the result of a job, with the evidence
    Explain(CiExplain),
    /// Suppress valgrind findings, with a reason and an expiry date
    Suppress(CiSuppress),
    /// List suppressions with their reason, author, expiry date and last use
    Suppressions(CiSuppressions),
    /// Regenerate run.json, junit.xml and report.html of a run from its journal
    Report(CiReport),
    /// List jobs that do not always pass, classify each problem, and state the confidence
    Flaky(CiFlaky),
    /// Measure which memcheck options save memory in a job, and which errors they would miss
    TuneMemory(CiTuneMemory),
    /// Show and compare massif's heap profiles, and record baselines
    Massif(CiMassif),
    /// Print the JSON Schema of a declaration or a result
    Schema(CiSchema),
}

/// Options of running jobs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunOptions {
    /// Number of jobs that run at once [default: the processors that this process may use]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// Total memory that running jobs may reserve, such as 8GiB [default: 15/16 of the available memory]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Also learn durations and peaks from this history of another machine; may be repeated
    #[arg(long, value_name = "FILE")]
    pub history: Vec<PathBuf>,
    /// Containment of each job's processes
    #[arg(long, value_enum, default_value_t = Containment::Auto)]
    pub containment: Containment,
    /// Do not show live progress, even on a terminal
    #[arg(long)]
    pub no_progress: bool,
    /// Exit with code 6 if a job was flaky
    #[arg(long)]
    pub fail_on_flaky: bool,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t = Audience::Auto)]
    pub output_for: Audience,
}

/// Ways to keep a job's processes together and to measure them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Containment {
    /// The strongest that works on this machine
    #[default]
    Auto,
    /// One cgroup (v2) per job
    V2,
    /// One cgroup of the v1 memory controller per job
    V1,
    /// Process groups and sampling
    None,
}

/// `cargo xtask ci run`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CiRun {
    /// Job names or globs, such as `units/*`; the jobs that they need are run, too
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Options of running jobs.
    #[command(flatten)]
    pub options: RunOptions,
    /// Continue the last run, which was interrupted, killed or lost
    #[arg(long, conflicts_with = "selectors")]
    pub resume: bool,
    /// The shard to run.
    #[command(flatten)]
    pub shard: ShardOptions,
    /// Print what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask ci plan`
#[derive(Debug, Args)]
pub(crate) struct CiPlan {
    /// Job names or globs, such as `units/*`; the jobs that they need are planned, too
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Options of running jobs.
    #[command(flatten)]
    pub options: RunOptions,
    /// A plan for several machines.
    #[command(flatten)]
    pub github: PlanGithub,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Text for people
    #[default]
    Text,
    /// JSON for programs
    Json,
}

/// `cargo xtask ci rerun`
#[derive(Debug, Args)]
pub(crate) struct CiRerun {
    /// Job names or globs [default: the jobs that did not pass]
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// ID of the run to complete, or a file of `ci export`; of a file no command is run, only the jobs that it names
    /// [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
    pub run: Option<String>,
    /// Options about a run of GitHub Actions.
    #[command(flatten)]
    pub on_github: RerunGithub,
    /// Options of running jobs.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `cargo xtask ci explain`
#[derive(Debug, Args)]
pub(crate) struct CiExplain {
    /// Job names or globs [default: the jobs that did not pass]
    #[arg(value_name = "JOB")]
    pub jobs: Vec<String>,
    /// ID of the run, or a file of `ci export` [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
    pub run: Option<String>,
    /// Output format; JSON is `run.json` with these jobs only
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask ci tune-memory`
#[derive(Debug, Args)]
pub(crate) struct CiTuneMemory {
    /// A job that runs under memcheck; the jobs that it needs are run first
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Options of running jobs; jobs run one at a time.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `cargo xtask ci schema`
#[derive(Debug, Args)]
pub(crate) struct CiSchema {
    /// The file that the schema describes
    #[arg(value_enum, default_value_t = SchemaOf::Jobs)]
    pub of: SchemaOf,
    /// Output format; `markdown` is the reference of a declaration
    #[arg(long, value_enum, default_value_t = SchemaFormat::Json)]
    pub format: SchemaFormat,
}

/// Forms of a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFormat {
    /// JSON Schema
    Json,
    /// Tables for readers
    Markdown,
}

/// Files with a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// ci/jobs.yaml
    Jobs,
    /// packaging/release.yaml
    Release,
    /// docker/images.yaml
    Images,
    /// run.json
    Run,
    /// release.json
    Manifest,
    /// proof.json
    Proof,
    /// build-info.json
    BuildInfo,
    /// The output of `release verify --format json`
    Verification,
    /// ci/quarantine.yaml
    Quarantine,
}

#[cfg(test)]
mod tests;
