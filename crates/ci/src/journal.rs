//! The journal: one JSON event a line, appended before each act, synced in groups.
//!
//! A kill intent is on the disk before the signal is sent; everything else is written before the next process is
//! started or waited for, and on the disk at most 100 ms later. Space is allocated ahead, so that a full disk does not
//! keep the end of a run from being recorded.

use drydock_base::failure::Failure;
use std::fs::File;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rustix::fs::FallocateFlags;

use super::event::Stamped;
use drydock_base::held_dir::Access;
use drydock_base::paths::{self, JOURNAL, RunDir};

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
    /// Of all that the file holds.
    hasher: DefaultHasher,
    syncer: Syncer,
}

/// What another process did to the journal; its text ends a sentence that begins with the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Tampering {
    /// It has no name any more.
    #[error("was deleted")]
    Deleted,
    /// Its name is that of another file.
    #[error("was replaced by another file")]
    Replaced,
    /// It was cut or lengthened.
    #[error("has {found} bytes and not the {written} that were written to it")]
    Length {
        /// Its length in bytes.
        found: u64,
        /// The number of bytes that were written.
        written: u64,
    },
    /// It was overwritten.
    #[error("was overwritten")]
    Content,
}

impl Journal {
    /// Opens the journal of a run for appending; a torn last line, left by a crash, is cut off.
    ///
    /// # Errors
    /// It cannot be read or written, or is not a regular file.
    pub fn open(dir: &RunDir) -> anyhow::Result<Journal> {
        let path = dir.journal();
        let file = dir.directory().and_then(|directory| directory.file(JOURNAL, Access::Append));
        let file = file.with_context(|| format!("cannot open the journal {}", path.display()))?;
        let length = whole_lines(&file).with_context(|| format!("cannot read the journal {}", path.display()))?;
        file.set_len(length).with_context(|| format!("cannot cut the torn end of {}", path.display()))?;
        let hasher = hash(&file, length).with_context(|| format!("cannot read the journal {}", path.display()))?;
        let file = Arc::new(file);
        let lines = Vec::with_capacity(16 << 10);
        Ok(Journal { syncer: Syncer::start(&file), file, length, reserved: 0, lines, hasher })
    }

    /// Writes a journal of these events in the place of what is there.
    ///
    /// # Errors
    /// As [`Journal::open`].
    pub fn write_anew(dir: &RunDir, events: &[Stamped]) -> anyhow::Result<Journal> {
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, event)?;
            text.push(b'\n');
        }
        dir.write(JOURNAL, &text)?;
        Journal::open(dir)
    }

    /// What another process did to the file in the directory of its run. With `whole`, its content is compared too.
    pub fn tampering(&self, dir: &RunDir, whole: bool) -> Option<Tampering> {
        let metadata = self.file.metadata().ok()?;
        if metadata.nlink() == 0 {
            return Some(Tampering::Deleted);
        }
        let (found, written) = (metadata.len(), self.length);
        if found != written {
            return Some(Tampering::Length { found, written });
        }
        if !whole {
            return None;
        }
        let named = dir.directory().and_then(|directory| directory.file(JOURNAL, Access::Read));
        let is_it = named.and_then(|file| file.metadata());
        if !is_it.is_ok_and(|named| (named.dev(), named.ino()) == (metadata.dev(), metadata.ino())) {
            return Some(Tampering::Replaced);
        }
        let same = hash(&self.file, self.length).is_ok_and(|found| found.finish() == self.hasher.finish());
        (!same).then_some(Tampering::Content)
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
            Ok(()) => {
                self.length += self.lines.len() as u64;
                self.hasher.write(&self.lines);
            }
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

/// The hash of the first bytes of a file.
fn hash(file: &File, length: u64) -> io::Result<DefaultHasher> {
    let mut hasher = DefaultHasher::new();
    let mut block = vec![0; 64 << 10];
    let mut done = 0;
    while done < length {
        let most = usize::try_from(length - done).unwrap_or(usize::MAX).min(block.len());
        let read = file.read_at(&mut block[..most], done)?;
        if read == 0 {
            break;
        }
        hasher.write(&block[..read]);
        done += read as u64;
    }
    Ok(hasher)
}

/// Reads a journal to its end. A torn last line is left out; a broken line within is an error.
pub fn read(path: &Path) -> anyhow::Result<Vec<Stamped>> {
    let file = paths::open_regular(path).with_context(|| format!("cannot open the journal {}", path.display()))?;
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
        let mut journal = Journal::open(&RunDir::new(directory.path().into())).unwrap();
        journal.append(&warning("one"), Durability::Soon).unwrap();
        journal.append(&warning("two"), Durability::Now).unwrap();
        journal.close().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 5);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path).unwrap(), [warning("one")]);

        let mut journal = Journal::open(&RunDir::new(directory.path().into())).unwrap();
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
        let mut journal = Journal::open(&RunDir::new(directory.path().into())).unwrap();
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

    #[test]
    fn what_another_process_did_to_it_is_noticed_and_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let dir = RunDir::new(directory.path().into()).held().unwrap();
        let path = dir.journal();
        let mut changes: Vec<(&dyn Fn(), Option<Tampering>)> = vec![(&|| (), None)];
        let deleted = || std::fs::remove_file(&path).unwrap();
        let cut = || File::options().write(true).open(&path).unwrap().set_len(7).unwrap();
        let appended = || File::options().append(true).open(&path).unwrap().write_all(b"{}\n").unwrap();
        let overwritten = || File::options().write(true).open(&path).unwrap().write_all(b"XX").unwrap();
        let replaced = || {
            std::fs::rename(&path, dir.root().join("mine")).unwrap();
            std::os::unix::fs::symlink("/dev/null", &path).unwrap();
        };
        changes.push((&deleted, Some(Tampering::Deleted)));
        changes.push((&cut, Some(Tampering::Length { found: 7, written: 99 })));
        changes.push((&appended, Some(Tampering::Length { found: 102, written: 99 })));
        changes.push((&overwritten, Some(Tampering::Content)));
        changes.push((&replaced, Some(Tampering::Replaced)));
        for (change, expected) in changes {
            let mut journal = Journal::write_anew(&dir, &[warning("one")]).unwrap();
            journal.append(&warning("two"), Durability::Now).unwrap();
            change();
            let found = journal.tampering(&dir, true);
            let lengths = |tampering: Option<Tampering>| match tampering {
                Some(Tampering::Length { found, written }) => format!("{}", found > written),
                other => format!("{other:?}"),
            };
            assert_eq!(lengths(found), lengths(expected));
            Journal::write_anew(&dir, &[warning("one"), warning("two")]).unwrap().close().unwrap();
            assert_eq!(read(&path).unwrap(), [warning("one"), warning("two")]);
        }
    }
}
