//! What valgrind prints beside its logs: that it could not make one, or did not start a program.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use drydock_base::text::printable;

/// Longer lines are read in pieces.
const LONGEST: u64 = 16 << 10;
/// More messages of a kind are not kept.
const MOST: usize = 64;
/// A process that may not write there, for instance after it dropped its privileges, leaves only this message.
const NO_LOG: &str = "valgrind: Cannot create XML file";
/// Valgrind cannot give a program privileges, so it lets no such program start. Its parent gets EACCES and may go on.
const REFUSED: &str = "Warning: Can't execute setuid/setgid/setcap executable: ";

/// The messages in the output of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    /// Why a process has no log.
    pub(super) no_log: Vec<String>,
    /// The programs that were not started.
    pub(super) refused: BTreeSet<String>,
}

impl Messages {
    /// Reads the whole output, which the log limit of the job bounds; none if it cannot be read.
    pub(super) fn read(output: &Path) -> Messages {
        let mut messages = Messages::default();
        let Ok(file) = File::open(output) else { return messages };
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.by_ref().take(LONGEST).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return messages,
                // All messages have a colon, which is found quicker than they are.
                Ok(_) if line.contains(&b':') => messages.note(&String::from_utf8_lossy(&line)),
                Ok(_) => {}
            }
        }
    }

    fn note(&mut self, line: &str) {
        let line = line.trim_end();
        if line.starts_with(NO_LOG) && self.no_log.len() < MOST {
            self.no_log.push(line.to_owned());
        }
        let own = line.strip_prefix("==").and_then(|line| line.split_once("== "));
        let own = own.filter(|(pid, _)| pid.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some(program) = own.and_then(|(_, text)| text.strip_prefix(REFUSED)) {
            if self.refused.len() < MOST {
                self.refused.insert(printable(program, 400));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_in_any_output() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let filler = "a: line\n".repeat(5000);
        let text = format!(
            "==7== Warning: Can't execute setuid/setgid/setcap executable: ./s\n{filler}{}\n\
             == 7== Warning: Can't execute setuid/setgid/setcap executable: ./quoted\n\
             valgrind: Cannot create XML file '/x/memcheck.9.xml': Permission denied\n\
             ==8== Warning: Can't execute setuid/setgid/setcap executable: ./s",
            "x".repeat(40_000)
        );
        std::fs::write(&path, text).unwrap();
        let messages = Messages::read(&path);
        assert_eq!(messages.refused, BTreeSet::from(["./s".to_owned()]));
        assert_eq!(messages.no_log, ["valgrind: Cannot create XML file '/x/memcheck.9.xml': Permission denied"]);
        assert_eq!(Messages::read(&directory.path().join("none")), Messages::default());
    }
}
