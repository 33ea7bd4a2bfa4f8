//! The thin binary: parse, run, print the error, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use xtask::cli::Cli;
use xtask::{exit, output};

fn main() -> ExitCode {
    // Whatever umask the caller has, no file of ours and of our children depends on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match Cli::parse().run() {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::err(format_args!("error: {error:#}"));
            exit::code_of(&error).into()
        }
    }
}
