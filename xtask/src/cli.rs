//! Every command line type; no logic.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use drydock_base::units::ByteSize;

mod deb;
mod docker;
mod nightly;
mod release;
mod suppress;

pub(crate) use deb::{Deb, DebBuild, DebCheck, DebCommand, DebProve, DebSource, DebStatus, DebUpload, ProofPlaces};
pub(crate) use docker::{Docker, DockerBuild, DockerCommand, DockerNightly, DockerPromote, DockerPrune, Engine};
pub(crate) use nightly::Nightly;
pub(crate) use release::{OfRelease, Release, ReleaseBuild, ReleaseCheck, ReleaseCommand, ReleaseProve, ReleaseVerify};
pub(crate) use suppress::{CiSuppress, CiSuppressions};

/// CI under valgrind that never lies about a death, and releases that anyone can rebuild byte for byte.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = Exit::help(), propagate_version = true)]
pub(crate) struct Cli {
    /// Where the project and its state are.
    #[command(flatten)]
    pub place: Place,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Project")]
pub(crate) struct Place {
    /// The work tree [default: the nearest directory upwards with one of the declarations]
    #[arg(long, global = true, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Take the declarations from this directory, for a project that has none
    #[arg(long, global = true, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// Keep runs, history and results here [default: PROJECT/target/xtask]
    #[arg(long, global = true, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Build lanternd, the example project, and run its tests under valgrind
    Demo(Demo),
    /// What a change must pass: format, lints, order of the modules, tests
    Check(Check),
    /// Which tools are missing, for which command, and what installs them
    Doctor(Doctor),
    /// Run the jobs of ci/jobs.yaml, supervised
    Ci(Box<Ci>),
    /// Make and prove a release of the sources, as packaging/release.yaml declares it
    Release(Release),
    /// Make, check, prove and upload Debian source packages, as packaging/release.yaml declares them
    Deb(Box<Deb>),
    /// Build and publish container images, as docker/images.yaml declares them
    Docker(Box<Docker>),
    /// Build and prove everything of a commit, and publish it where nightlies go; nothing, when nothing changed
    Nightly(Box<Nightly>),
}

/// `cargo xtask demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Install missing Debian packages first (root or sudo), after printing what will be done
    #[arg(long)]
    pub install: bool,
    /// Keep the example project in this directory, which must be empty or not exist
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// `cargo xtask check`
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Install missing Debian packages first (root or sudo), after printing what will be done
    #[arg(long)]
    pub install: bool,
}

/// `cargo xtask doctor`
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Install missing Debian packages (root or sudo), after printing what will be done
    #[arg(long)]
    pub install: bool,
    /// Only the tools of this command: demo, check, ci, release, deb, docker or nightly
    #[arg(value_name = "COMMAND")]
    pub of: Option<crate::tools::Purpose>,
}

/// `cargo xtask ci`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Ci {
    /// What to do; without one, run.
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
    /// Print what `run` would do
    Plan(CiPlan),
    /// Run again what did not pass in the last run, or the named jobs, and merge the results
    Rerun(CiRerun),
    /// Tell what happened to a job and what proves it
    Explain(CiExplain),
    /// Suppress a finding of valgrind, with a reason and an expiry date
    Suppress(CiSuppress),
    /// List the suppressions with reason, author, expiry date and last use
    Suppressions(CiSuppressions),
    /// Write run.json, junit.xml and report.html of a run again, from its journal
    Report(CiReport),
    /// List the jobs that did not always pass, what kind of trouble each is, and how certain that is
    Flaky(CiFlaky),
    /// Measure which of valgrind's options save memory on a job, and which bugs they miss
    TuneMemory(CiTuneMemory),
    /// Show, compare and keep what massif measured
    Massif(CiMassif),
    /// Print the JSON Schema of a file
    Schema(CiSchema),
}

/// How to run.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct RunOptions {
    /// Jobs at a time [default: the processors that this process may use]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub jobs: Option<u32>,
    /// Memory that may be reserved at once, such as 8GiB [default: what is available, less a sixteenth]
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
    /// Learn from this history of another machine too; may be given several times
    #[arg(long, value_name = "FILE")]
    pub history: Vec<PathBuf>,
    /// How each job is kept together and measured
    #[arg(long, value_enum, default_value_t = Containment::Auto)]
    pub containment: Containment,
    /// No live lines, even on a terminal
    #[arg(long)]
    pub no_progress: bool,
    /// Show only what did not pass
    #[arg(short, long)]
    pub quiet: bool,
    /// End with exit code 6 when a job was flaky
    #[arg(long)]
    pub fail_on_flaky: bool,
}

/// Kinds of containment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Containment {
    /// The best that works here
    #[default]
    Auto,
    /// A cgroup v2 a job
    V2,
    /// A cgroup v1 memory group a job
    V1,
    /// Process groups and sampling
    None,
}

/// `cargo xtask ci run`
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct CiRun {
    /// Job names or globs, such as `units/*`; what they need is run too
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// How to run.
    #[command(flatten)]
    pub options: RunOptions,
    /// Go on with the last run, which was interrupted, killed or lost
    #[arg(long, conflicts_with = "selectors")]
    pub resume: bool,
    /// Print what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `cargo xtask ci plan`
#[derive(Debug, Args)]
pub(crate) struct CiPlan {
    /// Job names or globs, such as `units/*`; what they need is planned too
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// How it would be run.
    #[command(flatten)]
    pub options: RunOptions,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For a person
    #[default]
    Text,
    /// For a program
    Json,
}

/// `cargo xtask ci rerun`
#[derive(Debug, Args)]
pub(crate) struct CiRerun {
    /// Job names or globs instead of what did not pass
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// How to run.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `cargo xtask ci explain`
#[derive(Debug, Args)]
pub(crate) struct CiExplain {
    /// A job's name or a glob
    #[arg(value_name = "JOB", required = true)]
    pub jobs: Vec<String>,
    /// Of this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `cargo xtask ci flaky`
#[derive(Debug, Args)]
pub(crate) struct CiFlaky {
    /// Job names or globs instead of all
    #[arg(value_name = "SELECTOR")]
    pub selectors: Vec<String>,
    /// Those that always passed too
    #[arg(long)]
    pub all: bool,
    /// Count this history of another machine too; may be given several times
    #[arg(long, value_name = "FILE")]
    pub history: Vec<PathBuf>,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `cargo xtask ci tune-memory`
#[derive(Debug, Args)]
pub(crate) struct CiTuneMemory {
    /// One job that runs under memcheck; what it needs is run first
    #[arg(value_name = "JOB")]
    pub job: String,
    /// How to run; always one job at a time.
    #[command(flatten)]
    pub options: RunOptions,
}

/// `cargo xtask ci report`
#[derive(Debug, Args)]
pub(crate) struct CiReport {
    /// Of this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `cargo xtask ci massif`
#[derive(Debug, Args)]
pub(crate) struct CiMassif {
    /// What to do.
    #[command(subcommand)]
    pub command: MassifCommand,
}

/// The commands about massif's files.
#[derive(Debug, Subcommand)]
pub(crate) enum MassifCommand {
    /// Draw the heap over time and name who allocates at the peak
    Show(MassifShow),
    /// Tell what changed between two files, stack by stack
    Diff(MassifDiff),
    /// Write the file that `heap: {baseline: FILE}` compares with, from the last run of a job
    Baseline(MassifBaseline),
}

/// `cargo xtask ci massif show`
#[derive(Debug, Args)]
pub(crate) struct MassifShow {
    /// Massif files, or jobs whose last attempts left some
    #[arg(value_name = "FILE|JOB", required = true)]
    pub sources: Vec<String>,
    /// Of this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "style")]
    pub format: Format,
    /// How it looks
    #[arg(long, value_enum, default_value_t = MassifStyle::Summary)]
    pub style: MassifStyle,
    /// How many allocating functions are named
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// With --style ms_print: sum up what holds less than this share, in percent [default: 1]
    #[arg(long, value_name = "PERCENT")]
    pub threshold: Option<String>,
    /// With --style ms_print: columns of the graph, 4 to 1000 [default: 72]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..=1000))]
    pub x: Option<u16>,
    /// With --style ms_print: rows of the graph, 4 to 1000 [default: 20]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(4..=1000))]
    pub y: Option<u16>,
    /// A function that only passes allocations on, beside the declared ones; `*` stands for any letters
    #[arg(long = "wrapper", value_name = "FUNCTION")]
    pub wrappers: Vec<String>,
}

/// Looks of `ci massif show`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MassifStyle {
    /// Peak, graph, and who allocates, past the wrappers around malloc
    Summary,
    /// What ms_print prints, byte for byte
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
    /// Take jobs from this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
    /// For a person or a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// A function that only passes allocations on, beside the declared ones; `*` stands for any letters
    #[arg(long = "wrapper", value_name = "FUNCTION")]
    pub wrappers: Vec<String>,
}

/// `cargo xtask ci massif baseline`
#[derive(Debug, Args)]
pub(crate) struct MassifBaseline {
    /// A job that ran under massif, or a glob of such jobs with declared baselines
    #[arg(value_name = "JOB")]
    pub job: String,
    /// Write this file of the project [default: the job's declared baseline]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Of this run instead of the last
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,
}

/// `cargo xtask ci schema`
#[derive(Debug, Args)]
pub(crate) struct CiSchema {
    /// Of which file
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
    /// ci/quarantine.yaml
    Quarantine,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn every_command_line_agrees_with_itself() {
        super::Cli::command().debug_assert();
    }
}
