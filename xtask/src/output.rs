//! Standard output and standard error. Whoever reads them may go away, as `| head` does; no run ends because of that.

use std::io::Write as _;

/// Prints a line of data to standard output.
pub fn out(line: impl std::fmt::Display) {
    let _reader_may_be_gone = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line of progress to standard error.
pub fn err(line: impl std::fmt::Display) {
    let _reader_may_be_gone = writeln!(std::io::stderr().lock(), "{line}");
}
