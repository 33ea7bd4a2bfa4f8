//! One `git cat-file --batch`, which answers for any number of objects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context as _;

use super::{Object, Objects, Oid};
use crate::exec;
use crate::failure::Failure;
use crate::hint::Hint;

/// The process. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Batch {
    process: Child,
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The command that looks for damaged objects.
    fsck: Hint,
}

impl Batch {
    /// Starts the process with a command of git that has all its options, but not yet `cat-file`.
    ///
    /// # Errors
    /// git is missing.
    pub(super) fn start(mut git: Command, fsck: Hint) -> anyhow::Result<Batch> {
        let mut process = git
            .args(["cat-file", "--batch"])
            .stderr(Stdio::null())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| Failure::missing(format!("cannot run git: {}", exec::plain(&error))))?;
        let (ask, answers) = (process.stdin.take(), process.stdout.take().context("git has no standard output")?);
        Ok(Batch { process, ask, answers: BufReader::with_capacity(1 << 16, answers), fsck })
    }

    /// Reads the object that a name means, such as the digits of an object or `HEAD^{commit}`; `None` when it means none.
    ///
    /// # Errors
    /// git went away, the object is damaged, or larger than [`Objects::LARGEST`]. Nothing can be read afterwards.
    pub(super) fn read(&mut self, name: &str) -> anyhow::Result<Option<(Oid, Object)>> {
        let answer = self.answer(name);
        if answer.is_err() {
            // The rest of this answer would be read as the next one.
            self.ask = None;
        }
        answer
    }

    fn answer(&mut self, name: &str) -> anyhow::Result<Option<(Oid, Object)>> {
        // A question is one line.
        if name.contains('\n') || name.is_empty() {
            return Ok(None);
        }
        let ask = self.ask.as_mut().context("git was ended")?;
        writeln!(ask, "{name}").and_then(|()| ask.flush()).context("git went away while it was asked for an object")?;
        let mut line = String::new();
        self.answers.read_line(&mut line).context("cannot read from git")?;
        let line = line.trim_end_matches('\n');
        let negative = |word: &str| line.strip_suffix(word).and_then(|line| line.strip_suffix(' ')) == Some(name);
        if negative("missing") || negative("ambiguous") {
            return Ok(None);
        }
        let words: Vec<&str> = line.split(' ').collect();
        let [oid, kind, size] = words[..] else { return Err(self.unreadable(name, line)) };
        let (Some(oid), Ok(size)) = (Oid::parse(oid), size.parse::<u64>()) else {
            return Err(self.unreadable(name, line));
        };
        if size > Objects::LARGEST {
            let limit = Objects::LARGEST >> 20;
            let text = format!("the object {oid} has {} MiB, more than the {limit} MiB that are read", size >> 20);
            return Err(Failure::rejected(text));
        }
        let mut content = Vec::new();
        let read = (&mut self.answers).take(size + 1).read_to_end(&mut content).context("cannot read from git")?;
        if read as u64 != size + 1 {
            return Err(Failure::rejected(format!(
                "git ended in the middle of the object {oid}; run `{}` to check for repository corruption",
                self.fsck
            )));
        }
        content.pop();
        Ok(Some((oid, Object { kind: kind.to_owned(), content })))
    }

    fn unreadable(&self, name: &str, line: &str) -> anyhow::Error {
        Failure::rejected(format!(
            "cannot read the object {name}: {line}; run `{}` to check for repository corruption",
            self.fsck
        ))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        drop(self.ask.take());
        // It only reads, and may wait for a reader of what it was about to print.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}
