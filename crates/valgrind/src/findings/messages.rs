//! What valgrind prints beside its logs: that it could not make one, did not start a program, or gave up.

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

/// After these words valgrind ends, and the program did not run or was not checked to its end: an option or a file of
/// suppressions is wrong, the dynamic linker is stripped, or valgrind itself failed.
const GAVE_UP: [&str; 10] = [
    "FATAL: ",
    "valgrind: Unknown option: ",
    "valgrind: Bad option: ",
    "valgrind: no program specified",
    "valgrind: failed to start tool ",
    "valgrind: Startup or configuration error",
    "valgrind:  Fatal error at startup: ",
    "valgrind: the 'impossible' happened",
    "valgrind: mmap(",
    "Valgrind's memory management: out of memory",
];
/// Valgrind found no program, or nothing that it may execute.
const MISSING: [&str; 3] = [": No such file or directory", ": command not found", ": Permission denied"];

/// The messages in the output of a job.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Messages {
    /// Why a process has no log.
    pub(super) no_log: Vec<String>,
    /// The programs that were not started, since they have privileges.
    pub(super) refused: BTreeSet<String>,
    /// Why valgrind ended without having checked a program.
    pub(super) gave_up: BTreeSet<String>,
    /// Why there was no program to start.
    pub(super) missing: BTreeSet<String>,
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
        let own = own.map(|(_, text)| text.trim_start());
        if let Some(program) = own.and_then(|text| text.strip_prefix(REFUSED)) {
            insert(&mut self.refused, program);
        }
        // With a process identifier in front only from where valgrind has read its options.
        let text = own.or_else(|| line.starts_with("valgrind: ").then_some(line)).unwrap_or_default();
        if GAVE_UP.iter().any(|beginning| text.starts_with(beginning)) {
            insert(&mut self.gave_up, text);
        } else if own.is_none() && !text.starts_with(NO_LOG) && MISSING.iter().any(|end| text.ends_with(end)) {
            insert(&mut self.missing, text);
        }
    }
}

fn insert(messages: &mut BTreeSet<String>, text: &str) {
    if messages.len() < MOST {
        messages.insert(printable(text, 400));
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
             ==8== Warning: Can't execute setuid/setgid/setcap executable: ./s\n\
             ==9== FATAL: can't open suppressions file \"x\"\nFATAL: of a program\n\
             valgrind:  Fatal error at startup: a function redirection\nvalgrind:  which is mandatory\n\
             valgrind: ./absent: No such file or directory\nsh: valgrind: No such file or directory",
            "x".repeat(40_000)
        );
        std::fs::write(&path, text).unwrap();
        let messages = Messages::read(&path);
        assert_eq!(messages.refused, BTreeSet::from(["./s".to_owned()]));
        assert_eq!(messages.no_log, ["valgrind: Cannot create XML file '/x/memcheck.9.xml': Permission denied"]);
        let gave_up =
            ["FATAL: can't open suppressions file \"x\"", "valgrind:  Fatal error at startup: a function redirection"];
        assert_eq!(messages.gave_up, gave_up.map(str::to_owned).into());
        assert_eq!(messages.missing, ["valgrind: ./absent: No such file or directory".to_owned()].into());
        assert_eq!(Messages::read(&directory.path().join("none")), Messages::default());
    }
}
