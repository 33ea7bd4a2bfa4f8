//! Drydock's command line: what `cargo xtask` and `drydock` run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

mod cli;
mod commands;
mod exit;
mod invocation;
mod tools;
mod workspace;

use drydock_base::failure::Failure;
use drydock_base::{interrupts, surroundings};
use exit::Exit;

/// Runs the command of this process's command line, and returns the exit code that the process should end with.
///
/// It is the whole `main` of an `xtask`: it prints errors itself, and decides about the process's signals, umask and
/// descriptors. Call it before any thread starts.
///
/// ```no_run
/// fn main() -> std::process::ExitCode {
///     drydock::main()
/// }
/// ```
pub fn main() -> ExitCode {
    drydock_base::hint::know_packages(tools::package_of);
    exit_of(|| {
        let handled =
            surroundings::normalise().and_then(|ignored| interrupts::exit_with(Exit::Interrupted.code(), &ignored));
        handled.map_err(|error| Failure::infrastructure(format!("cannot handle signals: {error}")))?;
        // Under a runner of GitHub Actions no foreign text may be a command, whatever is printed.
        cli::Audience::Auto.is_github();
        cli::Cli::from_process().run()
    })
    .into()
}

/// The exit code of a command, after its error is printed. A panic is a bug, whose message the panic hook has printed.
fn exit_of(command: impl FnOnce() -> anyhow::Result<Exit>) -> Exit {
    let result = catch_unwind(AssertUnwindSafe(command));
    drydock_base::output::end_step();
    interrupts::end_if_asked();
    match result {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            drydock_base::output::err(format_args!("error: {error:#}"));
            Exit::from_error(&error)
        }
        Err(panic) if is_of_system(panic.as_ref()) => {
            drydock_base::output::err(
                "error: the system does not let Drydock start another thread; raise the limits of processes and of memory \
                 (`ulimit -u`, `ulimit -v`, `pids.max` of the cgroup)",
            );
            Exit::Infrastructure
        }
        Err(_) => {
            drydock_base::output::err("error: this is a bug in Drydock; please report it with the message above");
            Exit::Bug
        }
    }
}

/// True for the panic of the standard library where the system has no room for another thread: that is no bug. Its text is that of
/// `std::thread::spawn`, which documents the panic.
fn is_of_system(panic: &(dyn std::any::Any + Send)) -> bool {
    panic.downcast_ref::<String>().is_some_and(|text| text.starts_with("failed to spawn thread"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_command_has_its_exit_code() {
        assert_eq!(exit_of(|| Ok(Exit::Flaky)), Exit::Flaky);
        assert_eq!(exit_of(|| Err(Failure::busy("locked"))), Exit::Busy);
        assert_eq!(exit_of(|| Err(anyhow::anyhow!("an error of no known type"))), Exit::Bug);
        assert_eq!(exit_of(|| panic!("a panic in a test")), Exit::Bug);
    }
}
