//! Valgrind's XML logs, protocol 4 and later (docs/internals/xml-output-protocol4.txt and its successors).
//!
//! A pull parser, because the order of siblings matters and because a killed process leaves a file that just stops:
//! everything up to the last complete error is kept, and the log is marked as cut.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::stack::Frame;
use super::suppression::Pattern;
use drydock_base::paths;
use drydock_base::units::ByteSize;

mod parse;

pub use parse::parse;

/// The log of one process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// `protocolversion`.
    pub protocol: Option<u32>,
    /// The tool that wrote it.
    pub tool: Option<String>,
    /// The process.
    pub pid: Option<u32>,
    /// Its parent.
    pub parent: Option<u32>,
    /// Valgrind's options, those of its surroundings too, the strongest last.
    pub options: Vec<String>,
    /// The traced program and its arguments.
    pub command: Vec<String>,
    /// Errors in the order of the file, each once.
    pub errors: Vec<Error>,
    /// Errors that were not kept, by kind and by [`Error::at_end`].
    pub more_errors: BTreeMap<(String, bool), u64>,
    /// The number of errors, as valgrind counts them itself (`error_summary`, protocol 6).
    pub counted: Option<u64>,
    /// The number of the signal that the process died of.
    pub fatal_signal: Option<i32>,
    /// Its stack then, innermost frame first.
    pub fatal_stack: Vec<Frame>,
    /// The suppressions that were used, by name, with the number of times (`suppcounts`).
    pub used: Vec<(String, u64)>,
    /// Whether the last complete element is an error, as it is where valgrind ends the program at one.
    pub after_error: bool,
    /// Whether it counts the suppressions that were used; with `-q` it does not.
    pub counts_used: bool,
    /// The part of the log that was written.
    pub extent: Extent,
}

/// The part of a log that was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Extent {
    /// All of it: the process ended under valgrind.
    Complete,
    /// The arguments only, as a forked process leaves it that then ran another program untraced.
    Stub,
    /// It stops in the middle, for this reason.
    Cut(String),
    /// It is not what one process writes, for this reason: what follows is not known.
    Damaged(String),
    /// It is longer than what was read, as this reason says.
    Unread(String),
    /// Nothing.
    #[default]
    Empty,
}

/// One error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Error {
    /// `InvalidRead`, `Leak_DefinitelyLost`…
    pub kind: String,
    /// The sentence.
    pub what: String,
    /// The main stack, innermost frame first.
    pub stack: Vec<Frame>,
    /// Further sentences and stacks in order.
    pub auxiliary: Vec<Auxiliary>,
    /// The suppression that valgrind proposes for it, with `--gen-suppressions=all`.
    pub suppression: Option<RawSuppression>,
    /// Whether it was reported after the program had ended, as leaks are.
    #[serde(default)]
    pub at_end: bool,
}

/// A suppression as valgrind proposes it: the only place where C++ and Rust functions have the names that suppressions
/// are compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RawSuppression {
    /// `Memcheck:Leak`, `Helgrind:Race`…
    pub kind: String,
    /// The extra line that some kinds have, such as `match-leak-kinds: definite` or `write(buf)`.
    pub extra: Option<String>,
    /// One a frame, innermost first.
    pub frames: Vec<Pattern>,
}

/// A further sentence of an error, with its stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Auxiliary {
    /// The sentence, such as where a block was allocated.
    pub what: String,
    /// Its stack.
    pub stack: Vec<Frame>,
}

/// Reads at most `most` bytes of a log, and returns the number of bytes read as well.
///
/// # Errors
/// The file cannot be opened.
pub fn read(path: &Path, most: u64) -> io::Result<(Log, u64)> {
    let file = paths::open_regular(path)?;
    let length = file.metadata()?.len();
    let mut log = parse(BufReader::with_capacity(64 << 10, file.take(most)));
    if length > most && log.extent != Extent::Complete {
        log.extent = Extent::Unread(format!(
            "it has {}, of which only the first {} were read",
            ByteSize::new(length),
            ByteSize::new(most)
        ));
    }
    Ok((log, length.min(most)))
}

#[cfg(test)]
mod tests;
