//! `cargo xtask ci massif`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

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
    /// ID of the run, or a file of `ci export` [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
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
    /// ID of the run to take jobs from, or a file of `ci export` [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
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
    /// ID of the run, or a file of `ci export` [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
    pub run: Option<String>,
}
