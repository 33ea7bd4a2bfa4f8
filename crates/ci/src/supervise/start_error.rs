//! The ways in which a start fails.

use std::io;
use std::path::Path;

use drydock_base::exec;
use drydock_base::text;

/// The two ways in which a start fails before a process exists.
pub(super) enum StartError {
    /// The job's own fault, or its command's: the attempt failed to start.
    Job(String),
    /// Drydock cannot work: no room on the disk, no more processes.
    State(io::Error),
}

/// The job's own fault, in words that may quote its declaration.
pub(super) fn job_error(error: impl std::fmt::Display) -> StartError {
    StartError::Job(text::one_line(&error.to_string(), 4096))
}

/// Lack of processes, memory or descriptors is not the job's fault.
pub(super) fn start_error(error: io::Error) -> StartError {
    use rustix::io::Errno;
    let machine = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::NOSPC].map(Errno::raw_os_error);
    match error.raw_os_error() {
        Some(code) if machine.contains(&code) => StartError::State(error),
        _ => job_error(exec::plain(&error)),
    }
}

/// Adds the file's path to an error.
pub(super) fn at(path: &Path, error: &io::Error) -> StartError {
    StartError::State(io::Error::new(error.kind(), format!("{}: {}", path.display(), exec::plain(error))))
}
