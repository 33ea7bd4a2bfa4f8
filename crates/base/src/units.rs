//! Values with a unit or a grammar: sizes, durations and job names, parsed once at the edge.

mod duration;
mod job_name;
mod percent;
mod size;

pub use duration::PATTERN as DURATION_PATTERN;
pub use duration::{MAX_LIMIT, exact, human, millis, parse_duration, parse_limit};
pub use job_name::JobName;
pub use percent::Percent;
pub use size::ByteSize;

use std::borrow::Cow;

/// Why a text is not the value that was wanted, and what would be.
///
/// Both texts are lower case and without a full stop, so that they can be part of a diagnostic or of a command line error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadValue {
    /// The problem, naming the offending text: `` `512` has no unit ``.
    pub problem: String,
    /// A description of correct values: ``a size with its unit, for instance `512MiB` ``.
    pub expected: Cow<'static, str>,
}

impl BadValue {
    /// A problem together with what is expected instead.
    pub fn new(problem: impl Into<String>, expected: impl Into<Cow<'static, str>>) -> Self {
        Self { problem: problem.into(), expected: expected.into() }
    }
}

impl std::fmt::Display for BadValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; expected {}", self.problem, self.expected)
    }
}

impl std::error::Error for BadValue {}

/// Splits `1.5GiB` into its number and its unit; a space between them is allowed, so that what is displayed can be read back.
fn number_and_unit(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.strip_prefix(' ').unwrap_or(unit))
}

#[cfg(test)]
mod tests;
