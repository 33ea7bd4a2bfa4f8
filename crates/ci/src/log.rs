//! A job's log: what it printed, kept within its limit, and searched for evidence at its end.
//!
//! The file holds the beginning of the output, a line that says how much was dropped, and its end, at every moment: when
//! the end has grown to twice its size, its older half is dropped in place. So a reader of a running job, and the reports
//! of a run that was killed, see the same file.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use drydock_base::exec;
use drydock_base::units::ByteSize;

mod words;

pub use words::{Hints, excerpt, hints};

/// The smallest limit in bytes.
const SMALLEST: u64 = 16 << 10;
/// Room for the line that says how much was dropped, in bytes.
const NOTE: u64 = 128;
/// A part of that line.
pub const CUT: &str = " bytes dropped here; the log limit is ";
/// The end is moved in pieces of this size, in bytes.
const PIECE: usize = 64 << 10;

/// The log file of one attempt, which only Drydock writes.
#[derive(Debug)]
pub struct Log {
    file: File,
    limit: u64,
    /// The length of the file as it must be.
    length: u64,
    /// Bytes of the middle that were dropped.
    dropped: u64,
    /// The length of the line that says so.
    note: u64,
    /// The first error, and the number of bytes that could not be written.
    lost: Option<(io::Error, u64)>,
    /// `true` once the limit was lowered to what the disk has room for.
    squeezed: bool,
}

/// What kept a log from holding what its job printed; its text ends a sentence that begins with the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Bytes could not be written.
    #[error("lacks {bytes} bytes: {error}")]
    Lost {
        /// Their number.
        bytes: u64,
        /// The first error.
        error: String,
    },
    /// Every byte of the end could be written once the middle was dropped.
    #[error("is shorter than its limit: {error}")]
    Shortened {
        /// The first error.
        error: String,
    },
    /// Somebody else deleted the file.
    #[error("was deleted while the job ran")]
    Deleted,
    /// Somebody else cut or lengthened the file.
    #[error("has {found} bytes and not the {written} that were written to it: another process changed it")]
    Changed {
        /// Its length in bytes.
        found: u64,
        /// The number of bytes that were written.
        written: u64,
    },
}

/// The file of a job that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedLog {
    /// Device and inode.
    file: (u64, u64),
    /// Its length in bytes.
    length: u64,
}

impl FinishedLog {
    /// `true` if that path still leads to the same file with the same length.
    pub fn is_unchanged(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(path)
            .is_ok_and(|there| (there.dev(), there.ino(), there.len()) == (self.file.0, self.file.1, self.length))
    }
}

impl Trouble {
    /// `true` if the file could not be written.
    pub fn is_unwritten(&self) -> bool {
        match self {
            Trouble::Lost { .. } | Trouble::Shortened { .. } => true,
            Trouble::Deleted | Trouble::Changed { .. } => false,
        }
    }
}

impl Log {
    /// A log in an empty file.
    pub fn new(file: File, limit: ByteSize) -> Log {
        Log { file, limit: limit.bytes().max(SMALLEST), length: 0, dropped: 0, note: 0, lost: None, squeezed: false }
    }

    fn head(&self) -> u64 {
        self.limit / 4
    }

    /// The size of the end that is kept.
    fn tail(&self) -> u64 {
        self.limit - self.head() - NOTE
    }

    /// Adds what the job printed. Bytes that cannot be written are counted.
    pub fn append(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write_at(rest, self.length) {
                Ok(0) => return self.lose(io::ErrorKind::WriteZero.into(), rest.len()),
                Ok(written) => {
                    self.length += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The end of the output tells more than its middle, and gets the middle's room.
                Err(error) if !self.squeezed && self.squeeze() => self.lose(error, 0),
                Err(error) => return self.lose(error, rest.len()),
            }
        }
        if self.length > self.limit + self.tail() {
            self.drop_middle();
        }
    }

    /// Lowers the limit to half of the present length. Returns `false` if the log is too short for that.
    fn squeeze(&mut self) -> bool {
        self.squeezed = true;
        let short = self.length / 2 < SMALLEST;
        if !short {
            self.limit = self.length / 2;
            self.drop_middle();
        }
        !short
    }

    fn lose(&mut self, error: io::Error, bytes: usize) {
        self.lost.get_or_insert((error, 0)).1 += bytes as u64;
    }

    /// The error that keeps output from being written.
    pub fn error(&self) -> Option<&io::Error> {
        self.lost.as_ref().map(|(error, _)| error)
    }

    /// Brings the file within its limit, once everything is written. Returns the file as it is then, and what went wrong.
    pub fn finish(mut self) -> (Option<FinishedLog>, Vec<Trouble>) {
        let mut troubles: Vec<Trouble> = self.changed().into_iter().collect();
        if self.length > self.limit {
            self.drop_middle();
        }
        if let Some((error, bytes)) = self.lost {
            let error = exec::plain(&error);
            troubles.push(if bytes > 0 { Trouble::Lost { bytes, error } } else { Trouble::Shortened { error } });
        }
        let metadata = self.file.metadata().ok();
        (
            metadata.map(|metadata| FinishedLog { file: (metadata.dev(), metadata.ino()), length: metadata.len() }),
            troubles,
        )
    }

    /// What somebody else did to the file.
    fn changed(&self) -> Option<Trouble> {
        let metadata = self.file.metadata().ok()?;
        if metadata.nlink() == 0 {
            return Some(Trouble::Deleted);
        }
        let (found, written) = (metadata.len(), self.length);
        (found != written).then_some(Trouble::Changed { found, written })
    }

    /// Keeps the beginning and the end.
    fn drop_middle(&mut self) {
        let (head, tail) = (self.head(), self.tail());
        let from = self.length - tail;
        let dropped = self.dropped + (from - head - self.note);
        let limit = ByteSize::new(self.limit);
        let note = format!("\n[drydock: {dropped}{CUT}{limit}]\n");
        match self.move_tail(head + note.len() as u64, from, note.as_bytes()) {
            Ok(length) => (self.length, self.dropped, self.note) = (length, dropped, note.len() as u64),
            Err(error) => self.lose(error, 0),
        }
    }

    /// Moves the end from `from` to `to`, with `note` before it. The distance is at least the room of the note.
    fn move_tail(&self, to: u64, from: u64, note: &[u8]) -> io::Result<u64> {
        self.file.write_all_at(note, self.head())?;
        let mut piece = vec![0; PIECE];
        let mut moved = 0;
        loop {
            match self.file.read_at(&mut piece, from + moved)? {
                0 => break,
                read => {
                    self.file.write_all_at(piece.get(..read).unwrap_or_default(), to + moved)?;
                    moved += read as u64;
                }
            }
        }
        self.file.set_len(to + moved)?;
        Ok(to + moved)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log(path: &Path, limit: ByteSize) -> Log {
        Log::new(File::options().read(true).write(true).create_new(true).open(path).unwrap(), limit)
    }

    #[test]
    fn a_log_within_its_limit_is_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, ByteSize::mib(1));
        log.append(b"hello\n");
        log.append(b"\0\xff world");
        assert_eq!(log.finish().1, []);
        assert_eq!(fs::read(&path).unwrap(), b"hello\n\0\xff world");
    }

    #[test]
    fn a_log_beyond_its_limit_keeps_both_ends_and_says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        // Pieces of all sizes, so that the middle is dropped at all distances.
        for piece in [1, 7, 100, 4096, 60_000, 1 << 20] {
            let path = directory.path().join(piece.to_string());
            let (mut log, limit) = (log(&path, ByteSize::kib(64)), 64 << 10);
            let text: String = (0..40_000).map(|number| format!("line {number}\n")).collect();
            for bytes in text.as_bytes().chunks(piece) {
                log.append(bytes);
                assert!(fs::metadata(&path).unwrap().len() < 2 * limit, "{piece}");
            }
            assert_eq!(log.finish().1, []);
            let kept = fs::read_to_string(&path).unwrap();
            assert!(kept.starts_with("line 0\nline 1\n") && kept.ends_with("line 39999\n"), "{piece}");
            let (head, rest) = kept.split_once("\n[drydock: ").unwrap();
            let (dropped, tail) = rest.split_once(" bytes dropped here; the log limit is 64 KiB]\n").unwrap();
            assert_eq!(head.len() + dropped.parse::<usize>().unwrap() + tail.len(), text.len(), "{piece}");
            assert!(text.starts_with(head) && text.ends_with(tail), "{piece}");
            let length = kept.len() as u64;
            assert!(length <= limit && length > limit - 256, "{piece}: {length}");
        }
    }

    #[test]
    fn what_somebody_else_did_to_the_file_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name| directory.path().join(name);
        let changed = |name, change: fn(&Path)| {
            let mut log = log(&path(name), ByteSize::mib(1));
            log.append(b"evidence\n");
            change(&path(name));
            log.finish().1
        };
        let cut = Trouble::Changed { found: 0, written: 9 };
        assert_eq!(changed("cut", |path| fs::write(path, "").unwrap()), [cut]);
        assert_eq!(changed("gone", |path| fs::remove_file(path).unwrap()), [Trouble::Deleted]);
        assert_eq!(changed("as-it-was", |_| ()), []);
    }

    #[test]
    fn bytes_that_cannot_be_written_are_counted() {
        let full = File::options().read(true).write(true).open("/dev/full").unwrap();
        let mut log = Log::new(full, ByteSize::mib(1));
        log.append(b"evidence\n");
        log.append(b"more\n");
        assert_eq!(log.error().map(io::Error::kind), Some(io::ErrorKind::StorageFull));
        let (_, troubles) = log.finish();
        let lost = |trouble: &Trouble| matches!(trouble, Trouble::Lost { bytes: 14, .. });
        assert!(troubles.iter().any(lost), "{troubles:?}");
    }

    #[test]
    fn on_a_full_disk_the_end_gets_the_room_of_the_middle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = log(&path, ByteSize::mib(1));
        (0..20_000).for_each(|number| log.append(format!("line {number}\n").as_bytes()));
        // As a write that finds no space does.
        assert!(log.squeeze());
        log.lose(io::ErrorKind::StorageFull.into(), 0);
        (20_000..40_000).for_each(|number| log.append(format!("line {number}\n").as_bytes()));
        assert_eq!(log.finish().1, [Trouble::Shortened { error: "no storage space".into() }]);
        let kept = fs::read_to_string(&path).unwrap();
        assert!(kept.starts_with("line 0\n") && kept.ends_with("line 39999\n") && kept.contains(" bytes dropped here"));
        assert!(kept.len() < 128 << 10, "{}", kept.len());
    }
}
