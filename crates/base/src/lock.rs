//! Exclusive locks between processes. The system frees them when their process ends, however it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};

use crate::failure::Failure;
use crate::paths;

/// The longest that [`Lock::wait`] waits.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// An exclusive lock on a file or directory, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes a lock file at once, and writes the number of this process into it. `holder` says in the error who else may
    /// hold it: `another run`.
    ///
    /// # Errors
    /// [`Failure::Busy`] when another process holds the lock; the file cannot be opened or written.
    pub fn take(path: &Path, holder: &str) -> anyhow::Result<Lock> {
        let cannot = || format!("cannot lock {}", path.display());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = paths::open_own(path, &mut options).with_context(cannot)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut text = String::new();
                // The number of the process only helps the reader.
                file.take(20).read_to_string(&mut text).ok();
                let process = text.trim().parse::<u32>().map_or(String::new(), |id| format!(" (process {id})"));
                return Err(Failure::busy(format!(
                    "{holder}{process} holds {}; wait for it, or use another state directory with --state",
                    path.display()
                )));
            }
            Err(error) => return Err(error).with_context(cannot),
        }
        let mut write = || -> io::Result<()> {
            file.set_len(0)?;
            file.rewind()?;
            write!(file, "{}", std::process::id())
        };
        write().with_context(cannot)?;
        Ok(Lock { file })
    }

    /// Waits for the lock on a file that other processes append to or replace, or on a directory. A file is created when it
    /// is missing, and opened again when it was replaced meanwhile.
    ///
    /// # Errors
    /// The file cannot be opened or locked, or another process keeps the lock for half a minute.
    pub fn wait(path: &Path) -> io::Result<Lock> {
        loop {
            let file = if path.is_dir() {
                File::open(path)?
            } else {
                paths::open_own(path, OpenOptions::new().read(true).append(true).create(true))?
            };
            wait_for(&file)?;
            let (locked, there) = (file.metadata()?, fs::metadata(path).ok());
            if there.is_some_and(|there| (there.dev(), there.ino()) == (locked.dev(), locked.ino())) {
                return Ok(Lock { file });
            }
        }
    }

    /// The locked file, at its beginning; writes to a file that was waited for go to its end.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }
}

/// Waits for the lock. Locks of this kind are held for moments, but a job may have taken one and hang.
fn wait_for(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + LONGEST_WAIT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, "another process keeps it locked"));
            }
            other => return Ok(other?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_busy_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let lock = Lock::take(&path, "another run").unwrap();
        let error = Lock::take(&path, "another run").unwrap_err();
        assert!(matches!(Failure::find(&error), Some(Failure::Busy(_))));
        let text = format!("another run (process {}) holds {}; wait", std::process::id(), path.display());
        assert!(error.to_string().starts_with(&text), "{error}");
        drop(lock);
        // A child that another test has just forked has the descriptor until it executes its program.
        let free = || Lock::take(&path, "another run").is_ok();
        assert!((0..200).any(|_| free() || {
            std::thread::sleep(std::time::Duration::from_millis(10));
            false
        }));
    }

    #[test]
    fn a_file_that_was_replaced_is_locked_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let mut first = Lock::wait(&path).unwrap();
        first.file().write_all(b"old").unwrap();
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| Lock::wait(&path).unwrap());
            crate::paths::write_atomically(&path, b"new").unwrap();
            drop(first);
            waiting.join().unwrap()
        });
        let mut text = String::new();
        (&second.file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "new");
        Lock::wait(directory.path()).unwrap();
    }
}
