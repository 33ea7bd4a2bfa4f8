//! Standard output and standard error. Whoever reads them may go away, as `| head` does; no run ends because of that.

use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The nesting depth of the steps in progress, by which their output is indented.
static DEPTH: AtomicUsize = AtomicUsize::new(0);

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
    writeln!(std::io::stdout().lock(), "{line}").ok();
}

/// Prints a line of progress to standard error.
pub fn err(line: impl std::fmt::Display) {
    let indent = "    ".repeat(DEPTH.load(Ordering::Relaxed));
    let text = line.to_string().replace('\n', &format!("\n{indent}"));
    // A closed pipe must not end Drydock.
    writeln!(std::io::stderr().lock(), "{indent}{text}").ok();
}
