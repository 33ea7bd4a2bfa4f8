//! A time limit that begins when the output of a test matches (`TIMEOUT_AFTER_MATCH` of CTest).

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use drydock_config::jobs::TimeoutAfter;
use regex_lite::Regex;

/// The most output that one look reads.
const MOST_READ: u64 = 1 << 20;

/// Watches the log of one attempt.
pub(super) struct Watch {
    log: PathBuf,
    timeout: Duration,
    expressions: Vec<Regex>,
    offset: u64,
    /// The beginning of a line whose end was not there yet.
    line: String,
}

impl Watch {
    /// Watches the log in an attempt's directory.
    pub(super) fn new(after: &TimeoutAfter, directory: &Path) -> Watch {
        // An expression that is invalid matches nothing, as in CTest.
        let expressions = after.expressions.iter().filter_map(|text| Regex::new(text).ok()).collect();
        Watch { log: directory.join("log"), timeout: after.timeout, expressions, offset: 0, line: String::new() }
    }

    /// The limit from now on, if a line matches that was printed since the last look.
    pub(super) fn look(&mut self) -> Option<Duration> {
        let mut new = Vec::new();
        let mut file = File::open(&self.log).ok()?;
        // The middle of a long log is dropped, so that it may be shorter than it was.
        self.offset = self.offset.min(file.metadata().ok()?.len());
        file.seek(SeekFrom::Start(self.offset)).ok()?;
        self.offset += file.take(MOST_READ).read_to_end(&mut new).ok()? as u64;
        self.line.push_str(&String::from_utf8_lossy(&new));
        let is_match =
            self.line.lines().any(|line| self.expressions.iter().any(|expression| expression.is_match(line)));
        self.line = self.line.rsplit('\n').next().unwrap_or_default().to_owned();
        is_match.then_some(self.timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_whole_although_it_comes_in_parts() {
        let directory = tempfile::tempdir().unwrap();
        let after = TimeoutAfter { timeout: Duration::from_secs(9), expressions: vec!["(".into(), "^got it$".into()] };
        let mut watch = Watch::new(&after, directory.path());
        assert_eq!(watch.look(), None);
        let mut seen = Vec::new();
        let mut text = String::new();
        for part in ["waiting\nnot got it\ngo", "t ", "it", "\nmore\n"] {
            text.push_str(part);
            std::fs::write(directory.path().join("log"), &text).unwrap();
            seen.push(watch.look().is_some());
        }
        assert_eq!(seen, [false, false, true, true]);
    }
}
