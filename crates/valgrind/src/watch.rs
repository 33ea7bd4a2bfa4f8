//! Counts how often each log was opened while a job ran.
//!
//! Valgrind opens the log of a process when it starts in it: in a forked child at once, and anew, from its beginning,
//! after exec, which leaves no trace in the file. So a log that was opened twice has lost its earlier content, and one
//! that was opened but does not exist any more is missing.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// More logs than this are not counted.
const MOST_LOGS: usize = 16 << 10;
/// The number of events taken at once, so that a job that makes events all the time does not block the caller.
const MOST_EVENTS: usize = 64 << 10;

/// Watches the directory of one attempt through the kernel's inotify.
#[derive(Debug)]
pub struct LogWatch {
    descriptor: OwnedFd,
    opens: Opens,
}

/// The openings that were seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opens {
    /// The number of times that each file of the directory was opened for writing, by its name.
    pub count: BTreeMap<String, u32>,
    /// Whether the kernel dropped events: then a count is a lower bound.
    pub overflowed: bool,
}

impl LogWatch {
    /// Starts watching; `None` when the kernel allows no further watch.
    pub fn new(directory: &Path) -> Option<LogWatch> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        // The kernel merges equal events in a row; there is always a write between two openings of a log.
        inotify::add_watch(&descriptor, directory, WatchFlags::OPEN | WatchFlags::MODIFY | WatchFlags::CLOSE_NOWRITE)
            .ok()?;
        Some(LogWatch { descriptor, opens: Opens::default() })
    }

    /// Takes the events that have arrived. Call it regularly, so that the kernel's queue does not overflow.
    pub fn take(&mut self) {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 16 << 10];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        for _ in 0..MOST_EVENTS {
            // EAGAIN: no event is left.
            let Ok(event) = reader.next() else { return };
            let events = event.events();
            self.opens.overflowed |= events.contains(ReadFlags::QUEUE_OVERFLOW);
            let Some(name) = event.file_name() else { continue };
            // A file that is closed without writing was only read.
            if events.contains(ReadFlags::CLOSE_NOWRITE) {
                if let Some(count) = self.opens.count.get_mut(name.to_string_lossy().as_ref()) {
                    *count = count.saturating_sub(1);
                }
            }
            if !events.contains(ReadFlags::OPEN) {
                continue;
            }
            let name = name.to_string_lossy().into_owned();
            if self.opens.count.len() < MOST_LOGS || self.opens.count.contains_key(&name) {
                let count = self.opens.count.entry(name).or_default();
                *count = count.saturating_add(1);
            } else {
                self.opens.overflowed = true;
            }
        }
    }

    /// Stops watching, and returns the openings that were seen.
    pub fn end(mut self) -> Opens {
        self.take();
        self.opens
    }
}

/// Renames logs once valgrind has created them, so that another program with the same pid does not overwrite them: after
/// an exec, in another pid namespace, or when the system's pids begin anew.
///
/// `memcheck.4711.xml` becomes `memcheck.4711.1.xml`, and the next one with that pid `memcheck.4711.2.xml`. Valgrind
/// writes on through its descriptor, which an exec even leaves open.
#[derive(Debug)]
pub struct Keeper {
    descriptor: OwnedFd,
    directory: PathBuf,
    kept: BTreeMap<String, u32>,
}

impl Keeper {
    /// Starts watching; `None` when the kernel allows no further watch.
    pub fn new(directory: &Path) -> Option<Keeper> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        inotify::add_watch(&descriptor, directory, WatchFlags::CREATE).ok()?;
        Some(Keeper { descriptor, directory: directory.to_owned(), kept: BTreeMap::new() })
    }

    /// Renames the logs that were created since the last call. A process that runs on under the same pid needs tens of
    /// milliseconds until it opens its next log; one that was quicker is noticed by [`LogWatch`].
    pub fn take(&mut self) {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 16 << 10];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        for _ in 0..MOST_EVENTS {
            // EAGAIN: no event is left.
            let Ok(event) = reader.next() else { return };
            let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) else { continue };
            let Some(stem) = name.strip_suffix(".xml").filter(|stem| is_of_a_process(stem)) else { continue };
            if self.kept.len() >= MOST_LOGS && !self.kept.contains_key(stem) {
                continue;
            }
            let number = self.kept.entry(stem.to_owned()).or_default();
            let aside = self.directory.join(format!("{stem}.{}.xml", *number + 1));
            // A log that is gone already is missed at the end.
            if !aside.exists() && std::fs::rename(self.directory.join(name), &aside).is_ok() {
                *number += 1;
            }
        }
    }
}

impl AsFd for Keeper {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// `memcheck.4711`.
fn is_of_a_process(stem: &str) -> bool {
    stem.split_once('.').is_some_and(|(_, pid)| pid.bytes().all(|byte| byte.is_ascii_digit()) && !pid.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    #[test]
    fn openings_are_counted_by_file() {
        let directory = tempfile::tempdir().unwrap();
        let watch = LogWatch::new(directory.path()).expect("inotify has room");
        for _ in 0..3 {
            fs::File::create(directory.path().join("memcheck.1.xml")).unwrap().write_all(b"<").unwrap();
        }
        fs::write(directory.path().join("memcheck.2.xml"), "<").unwrap();
        fs::read(directory.path().join("memcheck.2.xml")).unwrap();
        fs::remove_file(directory.path().join("memcheck.2.xml")).unwrap();
        let opens = watch.end();
        let expected = [("memcheck.1.xml", 3), ("memcheck.2.xml", 1)].map(|(name, count)| (name.to_owned(), count));
        assert_eq!(opens, Opens { count: expected.into(), overflowed: false });
    }
    #[test]
    fn each_program_of_a_process_keeps_its_log() {
        let directory = tempfile::tempdir().unwrap();
        let mut keeper = Keeper::new(directory.path()).expect("inotify has room");
        for content in ["first", "second"] {
            fs::write(directory.path().join("memcheck.7.xml"), content).unwrap();
            fs::write(directory.path().join("log"), content).unwrap();
            keeper.take();
        }
        let mut open = fs::File::create(directory.path().join("memcheck.7.xml")).unwrap();
        keeper.take();
        open.write_all(b"third").unwrap();
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(
            ["memcheck.7.1.xml", "memcheck.7.2.xml", "memcheck.7.3.xml", "log"].map(read),
            ["first", "second", "third", "second"]
        );
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }
}
