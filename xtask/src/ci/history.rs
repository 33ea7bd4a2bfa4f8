//! What earlier runs teach: one line an attempt in `history.jsonl`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::plan::{PlannedJob, ToolKind};
use super::schedule::Prediction;

/// Only so much of the file's end is read.
const READ_FROM_END: u64 = 16 << 20;
/// How many runs of a job count.
const REMEMBERED: usize = 10;

/// One ended attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Unix milliseconds.
    pub at: i64,
    /// The run.
    pub run: String,
    /// The job.
    pub job: String,
    /// What it ran under: numbers of one tool say nothing of another.
    pub tool: ToolKind,
    /// Valgrind's version for jobs under it.
    pub valgrind: Option<String>,
    /// The outcome's word.
    pub outcome: String,
    /// Whether it ran to its own end, so that its peak is one to learn from.
    pub whole: bool,
    /// Wall time in milliseconds.
    pub duration_ms: u64,
    /// In bytes.
    pub peak: Option<u64>,
}

/// The remembered runs of each job.
#[derive(Debug, Default)]
pub struct History {
    jobs: HashMap<(String, ToolKind), Vec<Line>>,
}

impl History {
    /// Reads the file; lines that are torn or of another version are left out. No file is an empty history.
    pub fn load(path: &Path) -> History {
        let mut history = History::default();
        let Ok(mut file) = File::open(path) else { return history };
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let skip = length.saturating_sub(READ_FROM_END);
        if std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(skip)).is_err() {
            return history;
        }
        let mut reader = BufReader::new(file.take(READ_FROM_END));
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            if let Ok(line) = serde_json::from_slice::<Line>(&line) {
                history.add(line);
            }
            line.clear();
        }
        history
    }

    fn add(&mut self, line: Line) {
        if !line.whole {
            return;
        }
        let lines = self.jobs.entry((line.job.clone(), line.tool)).or_default();
        lines.push(line);
        if lines.len() > REMEMBERED {
            lines.remove(0);
        }
    }

    /// What to expect of a job: the highest of the last ten peaks and a tenth more, and the median time; the declared
    /// reservation where nothing is known.
    pub fn predict(&self, job: &PlannedJob, valgrind: Option<&str>) -> Prediction {
        let known = self.jobs.get(&(job.name.to_string(), job.tool.kind));
        let same_tool = |line: &&Line| job.tool.kind == ToolKind::None || line.valgrind.as_deref() == valgrind;
        let lines: Vec<&Line> = known.into_iter().flatten().filter(same_tool).collect();
        let peak = lines.iter().filter_map(|line| line.peak).max();
        let mut durations: Vec<u64> = lines.iter().map(|line| line.duration_ms).collect();
        durations.sort_unstable();
        Prediction {
            memory: peak.map_or(job.memory.bytes(), |peak| peak.saturating_add(peak / 10)),
            duration_ms: durations.get(durations.len() / 2).copied(),
        }
    }
}

/// Appends lines in one write, which no other writer can tear.
pub fn append(path: &Path, lines: &[Line]) -> anyhow::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .with_context(|| format!("cannot open the history {}", path.display()))?;
    file.write_all(&text).with_context(|| format!("cannot write the history {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(run: u32, peak: u64, whole: bool) -> Line {
        Line {
            at: i64::from(run),
            run: run.to_string(),
            job: "units/x".into(),
            tool: ToolKind::None,
            valgrind: None,
            outcome: "passed".into(),
            whole,
            duration_ms: u64::from(run),
            peak: Some(peak),
        }
    }

    #[test]
    fn a_torn_line_and_a_killed_run_teach_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        append(&path, &[line(1, 100, true), line(2, 5, false), line(3, 90, true)]).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":4,\"run").unwrap();
        let history = History::load(&path);
        let lines = &history.jobs[&("units/x".to_owned(), ToolKind::None)];
        assert_eq!(lines.iter().map(|line| line.at).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn only_the_last_ten_count() {
        let mut history = History::default();
        for run in 0..15 {
            history.add(line(run, u64::from(1000 - run), true));
        }
        assert_eq!(history.jobs.values().next().unwrap().len(), REMEMBERED);
    }
}
