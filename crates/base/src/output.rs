//! Standard output and standard error. Whoever reads them may go away, as `| head` does; no run ends because of that.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

mod colours;
mod hanging;
mod step;

use crate::workflow_command::{self, WorkflowCommand};

/// The nesting depth of the steps in progress, by which their output is indented.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

/// Whether a runner of GitHub Actions reads the output, for which some lines are commands.
static READ_BY_RUNNER: AtomicBool = AtomicBool::new(false);

/// Whether lines about steps are left out.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, steps are not announced.
pub fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

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
    step::end();
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
    step::end();
    writeln!(stdout.lock(), "{text}").ok();
}

/// Prints a line to standard error: what is wrong or noteworthy, or what a job did.
pub fn err(line: impl std::fmt::Display) {
    let text = indent(line);
    step::end();
    // A closed pipe must not end Drydock.
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Announces a step on standard error, as `== LINE`, unless steps are not wanted.
pub fn announce(line: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        err(format_args!("== {line}"));
    }
}

/// The same for a step that may take long and that prints nothing to the terminal by itself: there, its duration is shown until the next line.
pub fn step(line: impl std::fmt::Display) {
    if !QUIET.load(Ordering::Relaxed) {
        step::begin(indent(format_args!("== {line}")));
    }
}

/// Ends the line of a step, before the process ends or hands the terminal to another one.
pub fn end_step() {
    step::end();
}

/// A line of progress with its indentation and colours.
fn indent(line: impl std::fmt::Display) -> String {
    let indent = "    ".repeat(DEPTH.load(Ordering::Relaxed));
    let text = on_terminal(&printed(line)).replace('\n', &format!("\n{indent}"));
    format!("{indent}{text}")
}

/// Lines of progress with colours, if standard error gets them.
pub fn on_terminal(text: &str) -> String {
    if colours::are_wanted(&std::io::stderr()) { colours::painted(text) } else { text.to_owned() }
}

/// A line for standard output: a head, and beside it a text, which is wrapped where a terminal shows it.
pub fn hanging(head: &str, text: &str) -> String {
    hanging::hanging(head, text, step::columns(std::io::stdout()))
}
