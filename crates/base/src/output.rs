//! Standard output and standard error. Whoever reads them may go away, as `| head` does; no run ends because of that.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

mod colours;

use crate::workflow_command::{self, WorkflowCommand};

/// The nesting depth of the steps in progress, by which their output is indented.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Whether a runner of GitHub Actions reads the output, for which some lines are commands.
static READ_BY_RUNNER: AtomicBool = AtomicBool::new(false);

/// From now on, no line is a command for a runner of GitHub Actions but those that [`command`] prints: text of jobs, of files
/// and of servers cannot be one.
pub fn read_by_runner() {
    READ_BY_RUNNER.store(true, Ordering::Relaxed);
}

/// A text as it is printed.
fn printed(line: impl std::fmt::Display) -> String {
    let text = line.to_string();
    if READ_BY_RUNNER.load(Ordering::Relaxed) { workflow_command::disarmed(&text) } else { text }
}

/// Prints a command for a runner of GitHub Actions to standard output.
pub fn command(command: &WorkflowCommand) {
    // A closed pipe must not end Drydock.
    writeln!(std::io::stdout().lock(), "{command}").ok();
}

/// Lines of progress are indented until this is dropped.
#[derive(Debug)]
pub struct Indented(());

/// Indents lines of progress.
#[must_use]
pub fn indented() -> Indented {
    DEPTH.fetch_add(1, Ordering::Relaxed);
    Indented(())
}

impl Drop for Indented {
    fn drop(&mut self) {
        DEPTH.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Prints a line of data to standard output.
pub fn out(line: impl std::fmt::Display) {
    // A closed pipe must not end Drydock.
    let stdout = std::io::stdout();
    let text = printed(line);
    let text = if colours::are_wanted(&stdout) { colours::painted(&text) } else { text };
    writeln!(stdout.lock(), "{text}").ok();
}

/// Prints a line of progress to standard error.
pub fn err(line: impl std::fmt::Display) {
    let indent = "    ".repeat(DEPTH.load(Ordering::Relaxed));
    let text = on_terminal(&printed(line)).replace('\n', &format!("\n{indent}"));
    // A closed pipe must not end Drydock.
    writeln!(std::io::stderr().lock(), "{indent}{text}").ok();
}

/// Lines of progress with colours, if standard error gets them.
pub fn on_terminal(text: &str) -> String {
    if colours::are_wanted(&std::io::stderr()) { colours::painted(text) } else { text.to_owned() }
}
