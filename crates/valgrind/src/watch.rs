//! How often each log was opened while a job ran.
//!
//! Valgrind opens the log of a process when it starts in it: in a forked child at once, and anew, from its beginning,
//! after exec, which leaves no trace in the file. So whoever saw a log being opened twice knows that what stood in it
//! before is gone, and whoever saw one being opened that is not there any more knows that a process's log is missing.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// More logs than this are not counted.
const MOST_LOGS: usize = 16 << 10;
/// So many events are taken at once; a job that makes more meanwhile does not hold anyone up.
const MOST_EVENTS: usize = 64 << 10;

/// Watches the directory of one attempt through the kernel's inotify.
#[derive(Debug)]
pub struct LogWatch {
    descriptor: OwnedFd,
    opens: Opens,
}

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opens {
    /// How often each file of the directory was opened for writing, by its name.
    pub count: BTreeMap<String, u32>,
    /// Whether the kernel dropped events: then a count is a lower bound.
    pub overflowed: bool,
}

impl LogWatch {
    /// Begins to watch; `None` where the kernel has no room for another watch.
    pub fn new(directory: &Path) -> Option<LogWatch> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        // Equal events in a row are told as one; a write always stands between two openings of a log.
        inotify::add_watch(&descriptor, directory, WatchFlags::OPEN | WatchFlags::MODIFY | WatchFlags::CLOSE_NOWRITE)
            .ok()?;
        Some(LogWatch { descriptor, opens: Opens::default() })
    }

    /// Takes the events that came; now and then, lest the kernel's queue of them runs full.
    pub fn take(&mut self) {
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 16 << 10];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        for _ in 0..MOST_EVENTS {
            // It ends with EAGAIN, when nothing is left.
            let Ok(event) = reader.next() else { return };
            let events = event.events();
            self.opens.overflowed |= events.contains(ReadFlags::QUEUE_OVERFLOW);
            let Some(name) = event.file_name() else { continue };
            // Whoever closes without writing only looked at it.
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

    /// What was seen until now, when nothing more is of interest.
    pub fn end(mut self) -> Opens {
        self.take();
        self.opens
    }
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
}
