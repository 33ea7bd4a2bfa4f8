//! Processes that ended by a signal of their own making, which whoever started them may have ignored.

use super::evidence::ValgrindEvidence;
use crate::xml::Log;
use drydock_base::text::printable;

/// The signals that programs raise by a mistake of theirs. Others mostly come from outside, as SIGTERM to a daemon.
const CRASHES: [(i32, &str); 7] =
    [(4, "SIGILL"), (5, "SIGTRAP"), (6, "SIGABRT"), (7, "SIGBUS"), (8, "SIGFPE"), (11, "SIGSEGV"), (31, "SIGSYS")];
/// More programs are not told apart.
const MOST: usize = 64;
/// The number of programs that are named.
const NAMED: usize = 8;

impl ValgrindEvidence {
    /// Counts the process of that log if it crashed.
    pub(super) fn note_crash(&mut self, log: &Log) {
        let Some((_, signal)) = CRASHES.iter().find(|(number, _)| log.fatal_signal == Some(*number)) else { return };
        let program = log.command.first().map_or("?", String::as_str);
        let crash = format!("{} ({signal})", printable(program, 200));
        if self.crashes.len() < MOST || self.crashes.contains_key(&crash) {
            *self.crashes.entry(crash).or_default() += 1;
        }
    }

    /// The programs whose processes crashed, in words.
    pub fn crashes_in_words(&self) -> Option<String> {
        let shown = self.crashes.iter().take(NAMED).map(|(program, count)| match count {
            1 => program.clone(),
            _ => format!("{program} in {count} processes"),
        });
        let mut shown: Vec<String> = shown.collect();
        if self.crashes.len() > shown.len() {
            shown.push(format!("{} more", self.crashes.len() - shown.len()));
        }
        (!shown.is_empty()).then(|| shown.join(", "))
    }
}
