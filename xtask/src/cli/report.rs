//! The command line types about reports of runs, and about those who read them.

use clap::{Args, ValueEnum};

/// Those who read the output of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Audience {
    /// A runner of GitHub Actions where GITHUB_ACTIONS is `true`, else people
    #[default]
    Auto,
    /// People
    People,
    /// A runner of GitHub Actions: foldable logs of jobs that did not pass, annotations, and a step summary
    Github,
}

/// `cargo xtask ci report`
#[derive(Debug, Args)]
pub(crate) struct CiReport {
    /// ID of the run, or a file of `ci export` [default: the last run]
    #[arg(short = 'R', long, value_name = "ID|FILE")]
    pub run: Option<String>,
    /// Print one report instead of writing all of them
    #[arg(long, value_enum, value_name = "REPORT")]
    pub format: Option<ReportFormat>,
}

/// Reports of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// summary.txt
    Text,
    /// run.json
    Json,
    /// junit.xml
    Junit,
    /// report.html
    Html,
    /// run.sarif: valgrind's findings for code scanning
    Sarif,
    /// The step summary of GitHub Actions
    Markdown,
}
