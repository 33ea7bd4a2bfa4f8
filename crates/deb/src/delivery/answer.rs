//! The answer to an upload in the log of a queue: only what the queue wrote after the upload began, about exactly these bytes.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ArchiveAnswer;
use drydock_base::checksum::Checksum;

/// The bytes before a position by which the file is recognised.
const RECOGNISED: u64 = 1024;
/// The most bytes of a log that are read after a position.
const MAX_LOG: u64 = 16 << 20;

/// A position in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// The bytes before it.
    length: u64,
    /// The SHA-256 checksum of the last bytes before it, at most [`RECOGNISED`].
    before: String,
}

impl LogPosition {
    /// The end of a log; the beginning of one that does not exist or cannot be read.
    pub(super) fn at_end(path: &Path) -> LogPosition {
        let file = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
        let found = file.ok().and_then(|(length, file)| Some((length, checksum_before(file, length)?)));
        let (length, before) = found.unwrap_or_else(|| (0, Checksum::new(b"").to_string()));
        LogPosition { length, before }
    }

    /// What was written after the position. A log that was rotated meanwhile is followed: all of the new file is later, and
    /// so is the end of the old one, `LOG.1`.
    pub(super) fn later_lines(&self, path: &Path) -> String {
        if self.is_in(path) {
            return read_from(path, self.length);
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".1");
        let rotated = PathBuf::from(name);
        let old = if self.is_in(&rotated) { read_from(&rotated, self.length) } else { String::new() };
        old + &read_from(path, 0)
    }

    /// Whether a file has this position, with the same bytes before it.
    fn is_in(&self, path: &Path) -> bool {
        let Ok(file) = File::open(path) else { return false };
        file.metadata().is_ok_and(|file| file.len() >= self.length)
            && checksum_before(file, self.length).is_some_and(|before| before == self.before)
    }
}

fn checksum_before(mut file: File, length: u64) -> Option<String> {
    let start = length.saturating_sub(RECOGNISED);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(length - start).read_to_end(&mut bytes).ok()?;
    Some(Checksum::new(&bytes).to_string())
}

/// The text of a file from a position; empty if it cannot be read.
fn read_from(path: &Path, start: u64) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(start))?;
        file.take(MAX_LOG).read_to_end(&mut bytes)
    });
    // A log that is not there has no answer yet.
    read.ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The answer in the last line that names the upload and has one. A line with SHA-256 checksums is about another upload unless
/// one is that of this `.changes`.
pub(super) fn find(lines: &str, changes: &str, sha256: &str) -> Option<ArchiveAnswer> {
    // A line without its end is still being written.
    let (whole, _) = lines.rsplit_once('\n')?;
    whole.lines().rev().find_map(|line| answer_in(line, changes, sha256))
}

fn answer_in(line: &str, changes: &str, sha256: &str) -> Option<ArchiveAnswer> {
    let is_other = |letter: char| !letter.is_alphanumeric() && !"_/.~+-".contains(letter);
    let names = |word: &&str| {
        let word = word.trim_matches(is_other);
        word.rsplit('/').next() == Some(changes)
    };
    if !line.split_whitespace().any(|word| names(&word)) {
        return None;
    }
    // A checksum behind the name is that of the file. Others are of files that the reason of a rejection names.
    let after = line.split_whitespace().skip_while(|word| !names(word)).nth(1).unwrap_or_default();
    let after = after.rsplit(':').next().unwrap_or_default().trim_matches(is_other);
    let is_checksum = after.len() == 64 && after.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_checksum && !after.eq_ignore_ascii_case(sha256) {
        return None;
    }
    // The name of a package may contain any of these words.
    let words: Vec<&str> = line.split_whitespace().filter(|word| !names(word)).collect();
    let text = words.join(" ").to_lowercase();
    if ["reject", "refuse", "denied", "not accepted"].iter().any(|word| text.contains(word)) {
        return Some(ArchiveAnswer::Rejected(line.trim().to_owned()));
    }
    text.contains("accept").then_some(ArchiveAnswer::Accepted)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const OURS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn rejected(line: &str) -> Option<ArchiveAnswer> {
        Some(ArchiveAnswer::Rejected(line.to_owned()))
    }

    #[test]
    fn a_line_answers_the_upload_that_it_names() {
        let other = OURS.replace('a', "b");
        let table: [(String, Option<ArchiveAnswer>); 13] = [
            (
                format!("x_1_source.changes rejected: x_1.orig.tar.xz is {other}"),
                rejected(&format!("x_1_source.changes rejected: x_1.orig.tar.xz is {other}")),
            ),
            (
                "1 x_1_source.changes rejected: no signature".into(),
                rejected("1 x_1_source.changes rejected: no signature"),
            ),
            ("Accepted: incoming/x_1_source.changes,".into(), Some(ArchiveAnswer::Accepted)),
            ("'x_1_source.changes' was not accepted".into(), rejected("'x_1_source.changes' was not accepted")),
            ("x_1_source.changes REFUSED".into(), rejected("x_1_source.changes REFUSED")),
            (format!("x_1_source.changes {OURS} accepted"), Some(ArchiveAnswer::Accepted)),
            (format!("x_1_source.changes sha256:{other} rejected"), None),
            (format!("x_1_source.changes replaces {other} with {OURS}: accepted"), Some(ArchiveAnswer::Accepted)),
            ("x_1_source.changes seen".into(), None),
            ("x_1.1_source.changes accepted".into(), None),
            ("libx_1_source.changes accepted".into(), None),
            ("x_1_source.changes.part accepted".into(), None),
            ("accepted x_1_source".into(), None),
        ];
        for (line, expected) in table {
            assert_eq!(find(&format!("{line}\n"), "x_1_source.changes", OURS), expected, "{line}");
            assert_eq!(find(&line, "x_1_source.changes", OURS), None, "it is not complete: {line}");
        }
        // The last answer counts, and the name of a package is not an answer.
        let two = "x_1_source.changes rejected: later\nx_1_source.changes accepted\nx_1_source.changes removed\n";
        assert_eq!(find(two, "x_1_source.changes", OURS), Some(ArchiveAnswer::Accepted));
        let name = "reject-accept_1_source.changes";
        assert_eq!(find(&format!("{name} arrived\n"), name, OURS), None);
        assert_eq!(find(&format!("{name} accepted\n"), name, OURS), Some(ArchiveAnswer::Accepted));
    }

    #[test]
    fn only_what_the_log_got_after_the_upload_is_an_answer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("queue.log");
        let answer = |position: &LogPosition| find(&position.later_lines(&path), "x_1_source.changes", OURS);
        let none = LogPosition::at_end(&path);
        assert_eq!(answer(&none), None);
        // The same version was rejected before.
        let mut log = "x_1_source.changes rejected: no signature\n".repeat(100);
        fs::write(&path, &log).unwrap();
        assert!(matches!(answer(&none), Some(ArchiveAnswer::Rejected(_))));
        let position = LogPosition::at_end(&path);
        assert_eq!(answer(&position), None, "an old rejection is not the answer to a new upload");
        log.push_str("y_1_source.changes rejected\nx_1_source.changes accepted\n");
        fs::write(&path, &log).unwrap();
        assert_eq!(answer(&position), Some(ArchiveAnswer::Accepted));
        // The log is rotated, at first without and then with a new answer in the new file.
        fs::rename(&path, directory.path().join("queue.log.1")).unwrap();
        assert_eq!(answer(&position), Some(ArchiveAnswer::Accepted));
        fs::write(&path, "x_1_source.changes rejected: again\n").unwrap();
        assert!(matches!(answer(&position), Some(ArchiveAnswer::Rejected(_))));
        // The log is emptied in place, and grows beyond its old length.
        fs::remove_file(directory.path().join("queue.log.1")).unwrap();
        fs::write(&path, "z_1_source.changes accepted\n".repeat(400)).unwrap();
        assert_eq!(answer(&position), None);
        let written = serde_json::to_string(&position).unwrap();
        assert_eq!(serde_json::from_str::<LogPosition>(&written).unwrap(), position);
    }
}
