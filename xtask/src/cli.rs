//! Every command line type; no logic.

use std::path::PathBuf;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use crate::invocation;
use drydock_base::exec::paste;
use drydock_base::units::ByteSize;

mod deb;
mod docker;
mod itself;
mod nightly;
mod release;
mod report;
mod suppress;

pub(crate) use deb::{
    Deb, DebBuild, DebCheck, DebCommand, DebProve, DebSource, DebStatus, DebUpload, Ppa, ProofPlaces,
};
pub(crate) use docker::{Docker, DockerBuild, DockerCommand, DockerNightly, DockerPromote, DockerPrune, Engine};
pub(crate) use itself::{Check, Completions, Demo, Doctor, Man};
pub(crate) use nightly::Nightly;
pub(crate) use release::{
    OfRelease, Release, ReleaseBuild, ReleaseCheck, ReleaseCommand, ReleaseProve, ReleaseSign, ReleaseVerify,
};
pub(crate) use report::{Audience, CiReport, ReportFormat};
pub(crate) use suppress::{CiSuppress, CiSuppressions};

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
    /// Total memory that running jobs may reserve, such as 8GiB [default: the available memory less a sixteenth]
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
    /// Only show jobs that did not pass
    #[arg(short, long)]
    pub quiet: bool,
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
    /// Options of running jobs.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `cargo xtask ci explain`
#[derive(Debug, Args)]
pub(crate) struct CiExplain {
    /// Job names or globs
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// ID of the run [default: the last run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

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
    /// Output format
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

/// `cargo xtask ci massif`
#[derive(Debug, Args)]
pub(crate) struct CiMassif {
    /// The command to run.
    #[command(subcommand)]
    pub command: MassifCommand,
}

/// The commands about massif's heap profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum MassifCommand {
    /// Draw the heap over time, and name the functions that allocate at the peak
    Show(MassifShow),
    /// Compare two profiles, stack by stack
    Diff(MassifDiff),
    /// Record a job's profile as the file that `heap: {baseline: FILE}` compares with
    Baseline(MassifBaseline),
}

/// `cargo xtask ci massif show`
#[derive(Debug, Args)]
pub(crate) struct MassifShow {
    /// Massif files, or jobs whose last attempt wrote some
    #[arg(value_name = "FILE|JOB", required = true)]
    pub sources: Vec<String>,
    /// ID of the run [default: the last run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "style")]
    pub format: Format,
    /// Output style
    #[arg(long, value_enum, default_value_t = MassifStyle::Summary)]
    pub style: MassifStyle,
    /// Number of allocating functions to name
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// With --style ms_print: summarise entries below this percentage [default: 1]
    #[arg(long, value_name = "PERCENT")]
    pub threshold: Option<String>,
    /// With --style ms_print: width of the graph in columns, 4 to 1000 [default: 72]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..=1000))]
    pub x: Option<u16>,
    /// With --style ms_print: height of the graph in rows, 4 to 1000 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..=1000))]
    pub y: Option<u16>,
    /// Another allocation wrapper to look through, beside the declared ones; `*` matches any characters
    #[arg(long = "wrapper", value_name = "FUNCTION")]
    pub wrappers: Vec<String>,
}

/// Output styles of `ci massif show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MassifStyle {
    /// Peak, graph and allocating functions, looking through wrappers around malloc
    Summary,
    /// The output of ms_print, byte for byte
    #[value(name = "ms_print")]
    MsPrint,
}

/// `cargo xtask ci massif diff`
#[derive(Debug, Args)]
pub(crate) struct MassifDiff {
    /// A massif file, or a job
    #[arg(value_name = "OLD")]
    pub old: String,
    /// A massif file, or a job
    #[arg(value_name = "NEW")]
    pub new: String,
    /// ID of the run to take jobs from [default: the last run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Another allocation wrapper to look through, beside the declared ones; `*` matches any characters
    #[arg(long = "wrapper", value_name = "FUNCTION")]
    pub wrappers: Vec<String>,
}

/// `cargo xtask ci massif baseline`
#[derive(Debug, Args)]
pub(crate) struct MassifBaseline {
    /// A job that ran under massif, or a glob of such jobs that declare baselines
    #[arg(value_name = "JOB")]
    pub job: String,
    /// File of the project to write [default: the job's declared baseline]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// ID of the run [default: the last run]
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `cargo xtask ci schema`
#[derive(Debug, Args)]
pub(crate) struct CiSchema {
    /// The file that the schema describes
    #[arg(value_enum, default_value_t = SchemaOf::Jobs)]
    pub of: SchemaOf,
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
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_command_lists_the_exit_codes() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            assert!(help.contains(&Exit::help()), "{help}");
            command.get_subcommands_mut().filter(|command| command.get_name() != "help").for_each(check);
        }
        check(&mut with_exit_codes(Cli::command()));
    }
}
