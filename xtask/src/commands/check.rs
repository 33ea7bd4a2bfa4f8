//! `cargo xtask check`: the checks that every change must pass.

use xshell::{Cmd, Shell, cmd};

use super::tidy;
use crate::cli;
use crate::exit::Exit;
use crate::tools::Purpose;
use drydock_base::failure::Failure;
use drydock_base::output;

impl cli::Check {
    /// The tests come last, so that the end of the output is their summary.
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        super::doctor::preflight(Purpose::Check, self.install)?;
        let shell = Shell::new()?;
        shell.change_dir(crate::workspace::root());
        step("format", cmd!(shell, "cargo fmt --all --check"), "run `cargo fmt --all`")?;
        step(
            "lints",
            cmd!(shell, "cargo clippy --workspace --all-targets --quiet -- -D warnings"),
            "fix the clippy warnings above",
        )?;
        let breaches = tidy::breaches(&crate::workspace::root())?;
        if !breaches.is_empty() {
            return Err(Failure::rejected(format!("the layout of the code is wrong:\n{}", breaches.join("\n"))));
        }
        step(
            "tests",
            cmd!(shell, "cargo test --workspace --quiet"),
            "repeat one test with `cargo test --workspace NAME`",
        )?;
        Ok(Exit::Success)
    }
}

/// Runs a command. Only its start is announced, so that the output ends with that of the last command.
fn step(name: &str, command: Cmd<'_>, remedy: &str) -> anyhow::Result<()> {
    output::err(format_args!("== {name}: {command}"));
    command.quiet().run().map_err(|error| Failure::rejected(format!("{name}: {error}; {remedy}")))?;
    Ok(())
}
