//! The exit codes: one table that `--help`, the manual and the code share.

use std::fmt;
use std::process::ExitCode;

/// What a command tells its caller. All codes stay below 128, where shells report signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done and passed.
    Success = 0,
    /// At least one job failed for a reason of its own.
    JobFailed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A declaration is invalid; nothing was started.
    Declaration = 3,
    /// A needed tool or permission is missing.
    Missing = 4,
    /// Only the infrastructure failed: out of memory on every rung, too little memory to start, runner lost, disk full.
    Infrastructure = 5,
    /// Something was flaky and the caller asked to fail on it.
    Flaky = 6,
    /// Not reproducible, or a checksum or signature is wrong.
    NotReproducible = 7,
    /// A remote side refused or could not be reached.
    Remote = 8,
    /// Interrupted by a signal; what was done is in the journal.
    Interrupted = 9,
}

impl Exit {
    /// Every code with the sentence that documents it.
    pub const TABLE: [(Exit, &'static str); 10] = [
        (Exit::Success, "success"),
        (Exit::JobFailed, "a job failed"),
        (Exit::Usage, "usage error"),
        (Exit::Declaration, "invalid declaration"),
        (Exit::Missing, "a needed tool or permission is missing"),
        (
            Exit::Infrastructure,
            "only the infrastructure failed (out of memory on every rung, too little memory to start, runner lost, disk full)",
        ),
        (Exit::Flaky, "flaky, when asked to fail on it"),
        (Exit::NotReproducible, "not reproducible, or a checksum or signature is wrong"),
        (Exit::Remote, "a remote side refused or could not be reached"),
        (Exit::Interrupted, "interrupted"),
    ];

    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The table as text for `--help`.
    pub fn help() -> String {
        let mut text = String::from("Exit codes:\n");
        for (exit, meaning) in Exit::TABLE {
            text.push_str(&format!("  {}  {meaning}\n", exit.code()));
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// An error that knows its exit code. [`code_of`] has that of any other.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An error with the given exit code; `message` says what is wrong and how to mend it.
pub fn failure(exit: Exit, message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Failure { exit, message: message.into() })
}

/// The exit code of an error: its own where it has one, [`Exit::Infrastructure`] for a full disk, [`Exit::Missing`] for
/// any other effect that failed unexpectedly.
pub fn code_of(error: &anyhow::Error) -> Exit {
    let own = error.chain().find_map(|cause| cause.downcast_ref::<Failure>()).map(|failure| failure.exit);
    let full = |cause: &(dyn std::error::Error + 'static)| {
        let kind = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        matches!(kind, Some(std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded))
    };
    own.unwrap_or(if error.chain().any(full) { Exit::Infrastructure } else { Exit::Missing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_complete_and_in_order() {
        for (position, (exit, _)) in Exit::TABLE.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), position);
        }
    }

    #[test]
    fn an_error_keeps_its_code_under_context() {
        let error = failure(Exit::Remote, "refused").context("cannot upload");
        assert_eq!(code_of(&error), Exit::Remote);
        assert_eq!(code_of(&anyhow::anyhow!("no code")), Exit::Missing);
        let full = std::io::Error::from_raw_os_error(28);
        assert_eq!(code_of(&anyhow::Error::new(full).context("cannot write")), Exit::Infrastructure);
    }
}
