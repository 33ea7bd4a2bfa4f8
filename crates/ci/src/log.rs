//! A job's output: a file that the job writes itself, kept within its limit, and read at its end.
//!
//! No byte passes through Drydock. When the file outgrows its limit, the middle is given back to the disk while the job
//! goes on writing (`fallocate` punches a hole), and at the end the file is rewritten as its beginning, a line that
//! says what was dropped, and its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use drydock_base::text::{self, printable};
use drydock_base::units::ByteSize;

/// Quoted lines are cut to this length.
const LONGEST_QUOTE: usize = 200;
const BLOCK: u64 = 4096;

/// Words that support a verdict about memory.
const HINTS: [&str; 7] = [
    "Killed",
    "Error 137",
    "returncode -9",
    "exit code -9",
    "signal: 9",
    "node down: Not properly terminated",
    "status 137",
];

/// Words of lines that report a failure, in lower case.
const TELLING: [&str; 7] = ["fail", "assert", "error", "panic", "abort", "mismatch", "fatal"];

/// Words of lines that report a failed allocation, in lower case.
const ALLOCATION: [&str; 10] = [
    "cannot allocate memory",
    "out of memory",
    "memory exhausted",
    "bad_alloc",
    "memory allocation of",
    "enomem",
    "failed to allocate",
    "allocation failed",
    "memoryerror",
    "mmap failed",
];

/// The log file of one attempt.
#[derive(Debug)]
pub struct Output {
    file: File,
    path: PathBuf,
    limit: u64,
    /// The offset at which the hole ends.
    dropped_until: u64,
}

/// The evidence in the end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// Lines about kills.
    pub kills: Vec<String>,
    /// Lines about failed allocations.
    pub allocations: Vec<String>,
    /// The most informative line: the last that mentions a failure, else the last one.
    pub words: Option<String>,
}

impl Output {
    /// Creates the file.
    pub fn create(path: &Path, limit: ByteSize) -> io::Result<Output> {
        let file = OpenOptions::new().read(true).append(true).create_new(true).open(path)?;
        Ok(Output { file, path: path.to_owned(), limit: limit.bytes().max(4 * BLOCK), dropped_until: 0 })
    }

    /// A handle for the job.
    pub fn for_job(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    fn head(&self) -> u64 {
        self.limit / 4 / BLOCK * BLOCK
    }

    /// Gives the middle back to the disk when the file is too long. Cheap when it is not.
    pub fn bound(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let tail = self.limit - self.head();
        let until = length.saturating_sub(tail) / BLOCK * BLOCK;
        let from = self.head().max(self.dropped_until);
        if length <= self.limit || until <= from {
            return Ok(());
        }
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(&self.file, hole, from, until - from) {
            // Not every file system can; then the end is dropped instead, and the job continues behind the beginning.
            Err(rustix::io::Errno::OPNOTSUPP) => return self.file.set_len(self.head()),
            other => other?,
        }
        self.dropped_until = until;
        Ok(())
    }

    /// The length so far, in bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Rewrites a file that outgrew its limit; call when the job is gone. Returns how many bytes were dropped.
    pub fn finish(&mut self) -> io::Result<u64> {
        let length = self.file.metadata()?.len();
        if length <= self.limit {
            return Ok(0);
        }
        let head = self.head();
        let tail_start = (length - (self.limit - head)).max(self.dropped_until);
        let dropped = tail_start - head;
        let fresh = self.path.with_extension("part");
        let result = self.rewrite(&fresh, head, tail_start, dropped);
        if result.is_err() {
            // The first error is the one to report.
            fs::remove_file(&fresh).ok();
        }
        result.map(|()| dropped)
    }

    fn rewrite(&mut self, fresh: &Path, head: u64, tail_start: u64, dropped: u64) -> io::Result<()> {
        let mut copy = File::create(fresh)?;
        self.file.seek(SeekFrom::Start(0))?;
        io::copy(&mut (&self.file).take(head), &mut copy)?;
        write!(copy, "\n[drydock: {dropped} bytes dropped here; the log limit is {}]\n", ByteSize::new(self.limit))?;
        self.file.seek(SeekFrom::Start(tail_start))?;
        // A process that could not be ended may still be writing.
        io::copy(&mut (&self.file).take(self.limit), &mut copy)?;
        fs::rename(fresh, &self.path)?;
        self.file = copy;
        Ok(())
    }
}

/// Looks for supporting lines in the end of a log.
pub fn hints(path: &Path) -> Hints {
    let mut hints = Hints::default();
    let Ok(text) = text::end_of_file(path) else { return hints };
    let mut told = false;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let tells = TELLING.iter().any(|word| line.to_ascii_lowercase().contains(word));
        if tells || !told {
            told |= tells;
            hints.words = Some(printable(line.trim(), LONGEST_QUOTE));
        }
        if hints.kills.len() < 5 && HINTS.iter().any(|hint| line.contains(hint)) {
            hints.kills.push(printable(line, LONGEST_QUOTE));
        }
        let lower = line.to_ascii_lowercase();
        if hints.allocations.len() < 5 && ALLOCATION.iter().any(|word| lower.contains(word)) {
            hints.allocations.push(printable(line, LONGEST_QUOTE));
        }
    }
    hints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_within_its_limit_is_untouched() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut output = Output::create(&path, ByteSize::mib(1)).unwrap();
        output.for_job().unwrap().write_all(b"hello\n").unwrap();
        output.bound().unwrap();
        assert_eq!(output.finish().unwrap(), 0);
        assert_eq!(fs::read(&path).unwrap(), b"hello\n");
    }

    #[test]
    fn a_log_beyond_its_limit_keeps_both_ends_and_says_what_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut output = Output::create(&path, ByteSize::kib(64)).unwrap();
        let mut job = output.for_job().unwrap();
        for number in 0..40_000 {
            writeln!(job, "line {number}").unwrap();
            if number % 5000 == 0 {
                output.bound().unwrap();
            }
        }
        output.bound().unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&fs::metadata(&path).unwrap()) * 512;
        assert!(blocks < 200 << 10, "the hole was not given back: {blocks} bytes");
        let dropped = output.finish().unwrap();
        assert!(dropped > 300_000, "{dropped}");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("line 39999\n"));
        assert!(text.contains(&format!("[drydock: {dropped} bytes dropped here")));
        assert!(text.len() < 70 << 10 && !text.contains('\0'));
    }

    #[test]
    fn hints_are_found_at_the_end_and_made_printable() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        fs::write(&path, "\x1b[31mmake: *** [x] Error 137\nmalloc: Cannot allocate memory\nfine\n").unwrap();
        let found = hints(&path);
        assert_eq!(found.kills, ["\u{fffd}[31mmake: *** [x] Error 137"]);
        assert_eq!(found.allocations, ["malloc: Cannot allocate memory"]);
        assert_eq!(found.words.as_deref(), Some("\u{fffd}[31mmake: *** [x] Error 137"));
        assert_eq!(text::tail(&path, 1).unwrap(), ["fine"]);
        fs::write(&path, format!("{}end\n", "x".repeat(5000))).unwrap();
        let line = text::tail(&path, 1).unwrap().remove(0);
        assert!(line.starts_with('…') && line.ends_with("xend") && line.chars().count() < 210, "{line}");
    }
}
