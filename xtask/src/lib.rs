//! Drydock's command line: what `cargo xtask` and `drydock` run.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;
mod commands;
mod exit;
mod tools;
mod workspace;

/// Parses the command line, runs the command, prints its error, and returns the exit code of the process.
pub fn main() -> ExitCode {
    // Whatever umask the caller has, no file of ours and of our children depends on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            drydock_base::output::err(format_args!("error: {error:#}"));
            exit::Exit::from_error(&error).into()
        }
    }
}
