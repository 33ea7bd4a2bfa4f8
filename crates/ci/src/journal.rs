//! The journal: one JSON event a line, appended before each act, synced in groups.
//!
//! A kill intent is on the disk before the signal is sent; everything else is written before the next process is
//! started or waited for, and on the disk at most 100 ms later. Space is allocated ahead, so that a full disk does not
//! keep the end of a run from being recorded.

use drydock_base::failure::Failure;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::FallocateFlags;

use super::event::Stamped;

/// The longest time until an event is on the disk.
const SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// A longer buffer is written immediately.
const MOST_UNWRITTEN: usize = 64 << 10;
/// Bytes allocated beyond the end.
const RESERVE: u64 = 256 << 10;
/// Longer lines were not written by Drydock, and are skipped.
const LONGEST_LINE: u64 = 16 << 20;

/// The time by which an event must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the next act.
    Now,
    /// With the next [`Journal::flush`], and on the disk at most 100 ms later.
    Soon,
}

/// The writing end.
#[derive(Debug)]
pub struct Journal {
    file: Arc<File>,
    length: u64,
    reserved: u64,
    /// Whole lines that are not written yet.
    lines: Vec<u8>,
    syncer: Syncer,
}

impl Journal {
    /// Opens the journal for appending; a torn last line, left by a crash, is cut off.
    pub fn open(path: &Path) -> anyhow::Result<Journal> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .with_context(|| format!("cannot open the journal {}", path.display()))?;
        let length = whole_lines(&file).with_context(|| format!("cannot read the journal {}", path.display()))?;
        file.set_len(length).with_context(|| format!("cannot cut the torn end of {}", path.display()))?;
        let file = Arc::new(file);
        Ok(Journal { syncer: Syncer::start(&file), file, length, reserved: 0, lines: Vec::with_capacity(16 << 10) })
    }

    /// Appends one event.
    ///
    /// # Errors
    /// The disk is full or broken: the caller must stop the run.
    pub fn append(&mut self, event: &Stamped, durability: Durability) -> io::Result<()> {
        serde_json::to_writer(&mut self.lines, event)?;
        self.lines.push(b'\n');
        match durability {
            Durability::Now => self.write().and_then(|()| self.file.sync_data()),
            Durability::Soon if self.lines.len() > MOST_UNWRITTEN => self.flush(),
            Durability::Soon => Ok(()),
        }
    }

    /// Hands what was appended to the kernel: from then on it outlives this process.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn flush(&mut self) -> io::Result<()> {
        if !self.lines.is_empty() {
            self.write()?;
            self.syncer.nudge();
        }
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let written = (&*self.file).write_all(&self.lines);
        match &written {
            Ok(()) => self.length += self.lines.len() as u64,
            Err(_) => {
                // A half line must not precede the lines that are written once there is space again.
                // The first error is the one to report.
                self.file.set_len(self.length).ok();
            }
        }
        self.lines.clear();
        written
    }

    /// Allocates disk space for later events, at least `bytes`.
    ///
    /// # Errors
    /// The disk is full: the events that end the run still fit into the space that was allocated before.
    pub fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let wanted = bytes.max(RESERVE / 2);
        if self.length + self.lines.len() as u64 + wanted <= self.reserved {
            return Ok(());
        }
        let size = wanted + RESERVE;
        let until = self.length + size;
        match rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, self.length, size) {
            // Not every file system can; then the journal grows as it is written.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS | rustix::io::Errno::INVAL) => {
                self.reserved = until;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// `true` if someone deleted the file while it was written.
    pub fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| std::os::unix::fs::MetadataExt::nlink(&metadata) == 0)
    }

    /// Waits until everything is on the disk.
    pub fn close(mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()
    }
}

/// The length of the whole lines of a file.
fn whole_lines(mut file: &File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..usize::try_from(end - start).map_err(io::Error::other)?];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(position) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + position as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// Reads a journal to its end. A torn last line is left out; a broken line within is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<Stamped>> {
    let file = File::open(path).with_context(|| format!("cannot open the journal {}", path.display()))?;
    let mut reader = BufReader::new(file);
    let mut events = Vec::new();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read as u64 == LONGEST_LINE {
            let place = format!("{}:{number}", path.display());
            return Err(Failure::rejected(format!("{place}: not an event: the line has {LONGEST_LINE} bytes or more")));
        }
        if read == 0 || !line.ends_with(b"\n") {
            break;
        }
        let event = serde_json::from_slice(&line)
            .with_context(|| format!("{}:{number}: not an event of this version of Drydock", path.display()))?;
        events.push(event);
    }
    Ok(events)
}

#[derive(Debug)]
struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    dirty: bool,
    closing: bool,
}

impl Syncer {
    fn start(file: &Arc<File>) -> Syncer {
        let shared = Arc::new(Shared::default());
        let (of_thread, file) = (Arc::clone(&shared), Arc::clone(file));
        let thread = std::thread::Builder::new().name("journal".into()).stack_size(64 << 10).spawn(move || {
            while of_thread.wait_for_work() {
                // An error is reported again at the next write or at the close, where the caller can act on it.
                file.sync_data().ok();
                of_thread.pause();
            }
        });
        Syncer { shared, thread: thread.ok() }
    }

    fn nudge(&self) {
        if let Ok(mut state) = self.shared.state.lock() {
            if !state.dirty {
                state.dirty = true;
                self.shared.changed.notify_one();
            }
        }
    }
}

impl Shared {
    fn pause(&self) {
        if let Ok(state) = self.state.lock() {
            // The caller looks at the state itself, however the wait ended.
            self.changed.wait_timeout_while(state, SYNC_INTERVAL, |state| !state.closing).ok();
        }
    }

    fn wait_for_work(&self) -> bool {
        let Ok(state) = self.state.lock() else { return false };
        let Ok(mut state) = self.changed.wait_while(state, |state| !state.dirty && !state.closing) else {
            return false;
        };
        state.dirty = false;
        !state.closing
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        if let Ok(mut state) = self.shared.state.lock() {
            state.closing = true;
            self.shared.changed.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // The thread cannot panic.
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    fn warning(text: &str) -> Stamped {
        Stamped { at: 1, event: Event::Warning { text: text.into() } }
    }

    #[test]
    fn a_torn_last_line_is_cut_and_the_rest_survives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(&warning("one"), Durability::Soon).unwrap();
        journal.append(&warning("two"), Durability::Now).unwrap();
        journal.close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap(), [warning("one")]);

        let mut journal = Journal::open(&path).unwrap();
        journal.append(&warning("three"), Durability::Soon).unwrap();
        journal.close().unwrap();
        assert_eq!(read(&path).unwrap(), [warning("one"), warning("three")]);
    }

    #[test]
    fn a_broken_line_within_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        std::fs::write(&path, "{\"at\":1,\"event\":{\"kind\":\"warning\",\"text\":\"x\"}}\nnonsense\n{}\n").unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("journal.jsonl:2"), "{error}");
    }

    #[test]
    fn space_is_allocated_without_changing_the_content() {
        use std::os::unix::fs::MetadataExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        let allocated = || std::fs::metadata(&path).unwrap().blocks() * 512;
        let before = allocated();
        journal.reserve(0).unwrap();
        // Every file system that tests run on can allocate ahead: ext4, xfs, btrfs, tmpfs.
        assert!(allocated() >= before + RESERVE, "{before} bytes before, {} after", allocated());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        journal.append(&warning("one"), Durability::Soon).unwrap();
        journal.reserve(0).unwrap();
        journal.close().unwrap();
        assert_eq!(read(&path).unwrap(), [warning("one")]);
    }
}
