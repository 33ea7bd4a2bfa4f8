//! The exit codes: one table that `--help`, the manual and the code share, and the code of each error.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

use drydock_archive::read::ReadError;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::units::BadValue;
use drydock_ci::event::RunResult;
use drydock_ci::plan::SelectError;
use drydock_config::NotFound;
use drydock_config::diagnostic::Diagnostics;
use drydock_config::jobs::LoadError;
use drydock_oci::registry::RegistryError;

/// The codes that a command exits with. All stay below 128, where shells report signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for was done and passed.
    Success = 0,
    /// At least one job failed for a reason of its own, or a check found something.
    CheckFailed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A declaration is invalid; nothing was started.
    Declaration = 3,
    /// A needed tool, file or permission is missing.
    Missing = 4,
    /// Only the infrastructure failed: out of memory at every retry, too little memory to start, runner lost, disk full.
    Infrastructure = 5,
    /// Something was flaky and the caller asked to fail on it.
    Flaky = 6,
    /// Not reproducible, or a checksum or signature is wrong or missing.
    NotReproducible = 7,
    /// A remote side refused or could not be reached.
    Remote = 8,
    /// Interrupted by a signal; finished work is in the journal.
    Interrupted = 9,
    /// Another run holds the lock.
    Busy = 10,
    /// A bug in Drydock: an error that no caller could have caused.
    Bug = 70,
}

impl Exit {
    /// Every code, in ascending order.
    pub const ALL: [Exit; 12] = [
        Exit::Success,
        Exit::CheckFailed,
        Exit::Usage,
        Exit::Declaration,
        Exit::Missing,
        Exit::Infrastructure,
        Exit::Flaky,
        Exit::NotReproducible,
        Exit::Remote,
        Exit::Interrupted,
        Exit::Busy,
        Exit::Bug,
    ];

    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The phrase that documents the code.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Success => "success",
            Exit::CheckFailed => "a job failed or a check found something",
            Exit::Usage => "usage error",
            Exit::Declaration => "invalid declaration",
            Exit::Missing => "a needed tool, file or permission is missing",
            Exit::Infrastructure => "only the infrastructure failed: memory, disk space, or a lost runner",
            Exit::Flaky => "flaky, when asked to fail on it",
            Exit::NotReproducible => "not reproducible, or a checksum or signature is wrong or missing",
            Exit::Remote => "a remote side refused or could not be reached",
            Exit::Interrupted => "interrupted",
            Exit::Busy => "busy: another run holds the lock",
            Exit::Bug => "a bug in Drydock",
        }
    }

    /// The table as text for `--help`.
    pub fn help() -> String {
        let lines = Exit::ALL.map(|exit| format!("  {:<2}  {}\n", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.concat())
    }

    /// The code of an error. The types in the chain of its causes decide, never its text: the first [`Failure`] has
    /// precedence, then the outermost error of a known type. An error without one is a bug.
    pub fn from_error(error: &anyhow::Error) -> Exit {
        let known = || error.chain().find_map(from_type);
        Failure::find(error).map(from_failure).or_else(known).unwrap_or(Exit::Bug)
    }
}

fn from_failure(failure: &Failure) -> Exit {
    match failure {
        Failure::Rejected(_) => Exit::CheckFailed,
        Failure::Usage(_) => Exit::Usage,
        Failure::Declaration(_) => Exit::Declaration,
        Failure::Missing(_) => Exit::Missing,
        Failure::Infrastructure(_) => Exit::Infrastructure,
        Failure::NotReproducible(_) => Exit::NotReproducible,
        Failure::Remote(_) => Exit::Remote,
        Failure::Interrupted(_) => Exit::Interrupted,
        Failure::Busy(_) => Exit::Busy,
    }
}

fn from_type(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return from_io(error);
    }
    match cause.downcast_ref::<exec::Error>() {
        Some(exec::Error::Unreadable { error, .. } | exec::Error::Spawn { error, .. }) => {
            return from_io(error).or(Some(Exit::Missing));
        }
        Some(exec::Error::Unsupervised { .. }) => return Some(Exit::Infrastructure),
        Some(_) => return Some(Exit::Missing),
        None => {}
    }
    match cause.downcast_ref::<ReadError>() {
        Some(ReadError::Io(error)) => return from_io(error),
        Some(_) => return Some(Exit::NotReproducible),
        None => {}
    }
    match cause.downcast_ref::<drydock_http::Error>() {
        Some(drydock_http::Error::Setup(_)) => return Some(Exit::Missing),
        Some(_) => return Some(Exit::Remote),
        None => {}
    }
    match cause.downcast_ref::<drydock_github::Error>() {
        Some(drydock_github::Error::Usage(_)) => return Some(Exit::Usage),
        Some(drydock_github::Error::Setup(_)) => return Some(Exit::Missing),
        Some(_) => return Some(Exit::Remote),
        None => {}
    }
    if let Some(errno) = cause.downcast_ref::<rustix::io::Errno>() {
        return from_kind(errno.kind());
    }
    match cause.downcast_ref::<RegistryError>() {
        Some(RegistryError::WrongContent(_)) => return Some(Exit::NotReproducible),
        Some(RegistryError::NotFound(_) | RegistryError::Changed { .. } | RegistryError::Protocol(_)) => {
            return Some(Exit::Remote);
        }
        None => {}
    }
    if cause.is::<xshell::Error>() {
        return Some(Exit::Missing);
    }
    if cause.is::<SelectError>() {
        return Some(Exit::Usage);
    }
    let declaration = cause.is::<Diagnostics>() || cause.is::<LoadError>() || cause.is::<NotFound>();
    if declaration || cause.is::<BadValue>() {
        return Some(Exit::Declaration);
    }
    if cause.is::<std::str::Utf8Error>() || cause.is::<std::string::FromUtf8Error>() {
        return Some(Exit::CheckFailed);
    }
    // A document of a known format that does not hold what it must; reading it may also have failed.
    let json = cause.downcast_ref::<serde_json::Error>()?;
    Some(json.io_error_kind().map_or(Exit::CheckFailed, |kind| from_kind(kind).unwrap_or(Exit::Bug)))
}

fn from_io(error: &io::Error) -> Option<Exit> {
    from_kind(error.kind())
}

/// The code of a failed effect: `None` for what only a wrong call makes the system say.
fn from_kind(kind: ErrorKind) -> Option<Exit> {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::NotSeekable => None,
        // It is the project's or the user's: a path that is not there, of the wrong kind, or out of reach.
        ErrorKind::NotFound
        | ErrorKind::PermissionDenied
        | ErrorKind::AlreadyExists
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::DirectoryNotEmpty
        | ErrorKind::ReadOnlyFilesystem
        | ErrorKind::Unsupported => Some(Exit::Missing),
        // Content that is not what it must be.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Some(Exit::CheckFailed),
        // The rest is the machine's: a full disk, a quota, memory, a broken device, the limits of processes, threads and files.
        _ => Some(Exit::Infrastructure),
    }
}

impl From<RunResult> for Exit {
    fn from(result: RunResult) -> Self {
        match result {
            RunResult::Passed => Exit::Success,
            RunResult::Failed => Exit::CheckFailed,
            RunResult::Infrastructure => Exit::Infrastructure,
            RunResult::Flaky => Exit::Flaky,
            RunResult::Interrupted => Exit::Interrupted,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_in_order() {
        let codes = Exit::ALL.map(Exit::code);
        assert!(codes.is_sorted_by(|a, b| a < b) && codes.iter().all(|code| *code < 128));
        // Each variant leads to the next one, so that the compiler asks for a new one here.
        let next = |exit| match exit {
            Exit::Success => Some(Exit::CheckFailed),
            Exit::CheckFailed => Some(Exit::Usage),
            Exit::Usage => Some(Exit::Declaration),
            Exit::Declaration => Some(Exit::Missing),
            Exit::Missing => Some(Exit::Infrastructure),
            Exit::Infrastructure => Some(Exit::Flaky),
            Exit::Flaky => Some(Exit::NotReproducible),
            Exit::NotReproducible => Some(Exit::Remote),
            Exit::Remote => Some(Exit::Interrupted),
            Exit::Interrupted => Some(Exit::Busy),
            Exit::Busy => Some(Exit::Bug),
            Exit::Bug => None,
        };
        let all: Vec<Exit> = std::iter::successors(Some(Exit::Success), |exit| next(*exit)).collect();
        assert_eq!(all, Exit::ALL);
    }

    #[track_caller]
    fn check(error: impl Into<anyhow::Error>, expected: Exit) {
        let error = error.into();
        assert_eq!(Exit::from_error(&error), expected, "{error:#}");
        assert_eq!(Exit::from_error(&error.context("cannot do it")), expected);
    }

    #[test]
    fn the_types_in_the_chain_of_an_error_decide() {
        check(Failure::remote("refused"), Exit::Remote);
        check(Failure::busy("locked"), Exit::Busy);
        check(anyhow::anyhow!("a needed tool or permission is missing"), Exit::Bug);
        check(io::Error::from(ErrorKind::StorageFull), Exit::Infrastructure);
        check(io::Error::from_raw_os_error(28), Exit::Infrastructure);
        check(io::Error::from(ErrorKind::QuotaExceeded), Exit::Infrastructure);
        // EAGAIN of fork and clone.
        check(io::Error::from_raw_os_error(11), Exit::Infrastructure);
        check(io::Error::from(ErrorKind::PermissionDenied), Exit::Missing);
        check(io::Error::from(ErrorKind::NotFound), Exit::Missing);
        check(io::Error::from(ErrorKind::InvalidInput), Exit::Bug);
        check(exec::Error::NotFound { program: "gpg".into() }, Exit::Missing);
        let full = io::Error::from(ErrorKind::StorageFull);
        check(exec::Error::Spawn { argv: Vec::new(), error: full }, Exit::Infrastructure);
        check(exec::Error::Unsupervised { argv: Vec::new() }, Exit::Infrastructure);
        check(serde_json::from_str::<u8>("x").unwrap_err(), Exit::CheckFailed);
        check("x".parse::<drydock_base::units::ByteSize>().unwrap_err(), Exit::Declaration);
        check(
            anyhow::Error::new(io::Error::from(ErrorKind::NotFound)).context(Failure::Usage("x".into())),
            Exit::Usage,
        );
    }
}
