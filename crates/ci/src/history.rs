//! The measurements of earlier runs: one line per attempt in `history.jsonl`.
//!
//! The file may be written by several runs at once, cut by a full disk, and carried from machine to machine: writers
//! hold its lock, a line that cannot be read is left out, and two histories are merged by union.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::outcome::OutcomeKind;
use super::plan::PlannedJob;
use drydock_base::lock::Lock;
use drydock_base::paths;
use drydock_valgrind::tool::Tool;

mod lines;
mod predict;

pub use lines::lines;
pub use predict::{expected, peak_past};

/// The number of bytes that are read from the end of the file.
const READ_FROM_END: u64 = 64 << 20;
/// Longer lines were not written by Drydock, and are skipped.
const LONGEST_LINE: u64 = 64 << 10;
/// The number of lines of a job under one tool that are kept when the file is compacted.
const KEPT: usize = 50;
/// Compaction is considered each time that the file has grown by this many bytes.
const WORTH_COMPACTING: u64 = 1 << 20;

/// The number of bytes that are written at a time.
const AT_A_TIME: usize = 64 << 10;

/// One ended attempt. Lines that were read together share their words: a history has few different ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Its end in Unix milliseconds.
    pub at: i64,
    /// The run.
    pub run: Arc<str>,
    /// The job.
    pub job: Arc<str>,
    /// From 1.
    #[serde(default)]
    pub attempt: u32,
    /// The tool that it ran under: measurements under one tool do not predict those under another.
    pub tool: Tool,
    /// Valgrind's version for jobs under it.
    pub valgrind: Option<Arc<str>>,
    /// The outcome without its details.
    pub outcome: OutcomeKind,
    /// `true` if it ran to its own end with full checking, so that predictions may use its peak and its duration.
    pub whole: bool,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// CPU time in milliseconds, user and system.
    #[serde(default)]
    pub cpu_ms: Option<u64>,
    /// Estimated wall time in milliseconds without waiting for a processor: see
    /// [`contention::uncontended`](crate::schedule::contention::uncontended).
    #[serde(default)]
    pub uncontended_ms: Option<u64>,
    /// The highest memory usage, in bytes.
    pub peak: Option<u64>,
    /// Milliseconds from its start to the sample at which its memory was highest.
    #[serde(default)]
    pub peak_ms: Option<u64>,
    /// Its reservation in bytes.
    #[serde(default)]
    pub reservation: u64,
    /// `true` if no other job ran beside it.
    #[serde(default)]
    pub exclusive: bool,
    /// PSI `some avg10` of memory in percent, when it did not pass.
    #[serde(default)]
    pub pressure: Option<f64>,
    /// The project's commit, where nothing tracked was changed.
    #[serde(default)]
    pub revision: Option<Arc<str>>,
}

impl Line {
    /// Two lines of one attempt are the same line, wherever they were carried.
    fn identity(&self) -> (i64, &str, &str, u32) {
        (self.at, &self.run, &self.job, self.attempt)
    }

    fn key(&self) -> (Arc<str>, Tool) {
        (Arc::clone(&self.job), self.tool)
    }

    /// `false` if it may have stopped before it had all its memory.
    fn ended_as_expected(&self) -> bool {
        self.outcome != OutcomeKind::Failed
    }

    fn ran_out_of_memory(&self) -> bool {
        self.outcome == OutcomeKind::OutOfMemory
    }
}

/// The remembered attempts of each job under each tool, in the order of their ends.
#[derive(Debug, Default)]
pub struct History {
    jobs: HashMap<(Arc<str>, Tool), Vec<Line>>,
    /// The relative variance of peaks; computed once.
    spread: OnceLock<f64>,
}

impl History {
    /// Reads the file; torn lines and lines of another version are left out. A missing file is an empty history.
    pub fn load(path: &Path) -> History {
        History::new(read(path).unwrap_or_default())
    }

    /// Reads the file together with others, which stay as they are.
    pub fn with(path: &Path, others: &[std::path::PathBuf]) -> History {
        let files = std::iter::once(path).chain(others.iter().map(std::path::PathBuf::as_path));
        History::new(files.flat_map(|file| read(file).unwrap_or_default()).collect())
    }

    /// A history of these lines, in any order and with repetitions.
    pub fn new(mut lines: Vec<Line>) -> History {
        lines.sort_by(|left, right| left.identity().cmp(&right.identity()));
        lines.dedup_by(|left, right| left.identity() == right.identity());
        let mut history = History::default();
        for line in lines {
            history.jobs.entry(line.key()).or_default().push(line);
        }
        history
    }

    /// The remembered attempts of a job under its tool, in the order of their ends.
    pub fn of_job(&self, job: &PlannedJob) -> &[Line] {
        self.jobs.get(&(job.name.as_str().into(), job.tool.kind)).map_or(&[], Vec::as_slice)
    }

    /// The attempts of each job under each tool, in the order of their ends.
    pub fn jobs(&self) -> impl Iterator<Item = (&(Arc<str>, Tool), &[Line])> {
        self.jobs.iter().map(|(key, lines)| (key, lines.as_slice()))
    }
}

/// The lines of the file that can be read, as they come.
fn read(path: &Path) -> io::Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut words = Words::default();
    each(path, |line| lines.push(words.share(line)))?;
    Ok(lines)
}

/// Hands on the lines of the file that can be read, one after the other.
fn each(path: &Path, mut take: impl FnMut(Line)) -> io::Result<()> {
    let mut file = paths::open_regular(path)?;
    let skip = file.metadata()?.len().saturating_sub(READ_FROM_END);
    file.seek(SeekFrom::Start(skip))?;
    let mut reader = BufReader::new(file.take(READ_FROM_END));
    let mut text = Vec::new();
    while reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut text)? > 0 {
        if let Ok(line) = serde_json::from_slice::<Line>(&text) {
            take(line);
        }
        text.clear();
    }
    Ok(())
}

/// Every word once.
#[derive(Default)]
struct Words(HashSet<Arc<str>>);

impl Words {
    /// The line, with its words replaced by those that were seen before.
    fn share(&mut self, mut line: Line) -> Line {
        let Line { run, job, valgrind, revision, .. } = &mut line;
        let optional = [valgrind, revision].into_iter().flatten();
        for word in [run, job].into_iter().chain(optional) {
            match self.0.get(word) {
                Some(known) => *word = Arc::clone(known),
                None => drop(self.0.insert(Arc::clone(word))),
            }
        }
        line
    }
}

/// Appends lines as they come. A write that the disk cuts short leaves no half line.
///
/// # Errors
/// The file cannot be opened or written; it is then unchanged.
pub fn append(path: &Path, lines: impl IntoIterator<Item = Line>) -> anyhow::Result<()> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    let mut write = || -> io::Result<(u64, u64)> {
        let mut lock = Lock::wait(path)?;
        let file = lock.file();
        let end = file.seek(SeekFrom::End(0))?;
        let torn = end > 0 && {
            let mut last = [0];
            file.seek(SeekFrom::Start(end - 1))?;
            file.read_exact(&mut last)?;
            last != *b"\n"
        };
        let mut to = BufWriter::with_capacity(AT_A_TIME, &mut *file);
        // A half line that another program left is ended first, or it would corrupt the next line.
        let begun = if torn { to.write_all(b"\n") } else { Ok(()) };
        let written =
            begun.and_then(|()| lines.try_for_each(|line| write_line(&mut to, &line))).and_then(|()| to.flush());
        // What is still in the buffer after an error is not written again when it is dropped.
        drop(to.into_parts());
        written.inspect_err(|_| {
            // The first error is the one to report.
            file.set_len(end).ok();
        })?;
        Ok((end, file.stream_position()?))
    };
    let (before, after) =
        write().with_context(|| format!("cannot write the history {}; is the disk full?", path.display()))?;
    // Reading the whole file takes longer than all else here, so it is not done after every run.
    if before / WORTH_COMPACTING == after / WORTH_COMPACTING { Ok(()) } else { compact(path) }
}

/// Adds the lines of another history, each once.
///
/// # Errors
/// One of the files cannot be read, or this one cannot be written; both are then unchanged.
pub fn merge(path: &Path, other: &Path) -> anyhow::Result<()> {
    let theirs = read(other).with_context(|| format!("cannot read the history {}", other.display()))?;
    let _lock = Lock::wait(path).with_context(|| format!("cannot open the history {}", path.display()))?;
    let ours = read(path).with_context(|| format!("cannot read the history {}", path.display()))?;
    let known: HashSet<_> = ours.iter().map(Line::identity).collect();
    if theirs.iter().all(|line| known.contains(&line.identity())) {
        return Ok(());
    }
    drop(known);
    write_kept(path, [ours, theirs].concat())
}

/// Drops the oldest lines of each job when that makes the file much smaller.
fn compact(path: &Path) -> anyhow::Result<()> {
    let _lock = Lock::wait(path).with_context(|| format!("cannot open the history {}", path.display()))?;
    let cannot = || format!("cannot read the history {}", path.display());
    // Mostly all stay, so the lines are only counted first.
    let (mut counts, mut all): (HashMap<_, usize>, usize) = (HashMap::new(), 0);
    each(path, |line| {
        all += 1;
        *counts.entry((line.job, line.tool, line.valgrind)).or_default() += 1;
    })
    .with_context(cannot)?;
    let stay: usize = counts.into_values().map(|count| count.min(KEPT)).sum();
    if stay * 2 > all { Ok(()) } else { write_kept(path, read(path).with_context(cannot)?) }
}

fn write_kept(path: &Path, lines: Vec<Line>) -> anyhow::Result<()> {
    paths::write_atomically(path, &jsonl(&kept(lines))?)
}

/// The newest lines of each job under each tool and version, all in the order of their ends.
fn kept(lines: Vec<Line>) -> Vec<Line> {
    let mut kept = Vec::new();
    for lines in History::new(lines).jobs.into_values() {
        let mut versions: HashMap<Option<Arc<str>>, usize> = HashMap::new();
        for line in lines.into_iter().rev() {
            let count = versions.entry(line.valgrind.clone()).or_default();
            *count += 1;
            if *count <= KEPT {
                kept.push(line);
            }
        }
    }
    kept.sort_by(|left, right| left.identity().cmp(&right.identity()));
    kept
}

fn jsonl(lines: &[Line]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    lines.iter().try_for_each(|line| write_line(&mut text, line))?;
    Ok(text)
}

fn write_line(to: &mut impl io::Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}

#[cfg(test)]
mod tests;
