//! What was found in the logs of one attempt.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// The content of valgrind's logs, summed up over all processes of an attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ValgrindEvidence {
    /// Errors that count, over all processes, each once.
    pub findings: u64,
    /// The findings that are kept; [`ValgrindEvidence::findings`] has their number before some were dropped.
    pub first: Vec<Finding>,
    /// The number of processes that left a complete log.
    pub complete: u64,
    /// Processes whose log is cut, empty, missing or unreadable, with the reason: these were not completely checked.
    pub incomplete: Vec<String>,
    /// Of these, processes of programs of the system around the test.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub around: u64,
    /// Errors of such processes in which no code of the project takes part, by program: they do not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ignored: BTreeMap<String, u64>,
    /// Such processes that were not completely checked, with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut_around: Vec<String>,
    /// `true` if a process started valgrind itself, which does not run under another one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nested: bool,
    /// Whether the main process's log is complete; `None` when it has no log.
    pub main_complete: Option<bool>,
    /// Where the main process was when its fatal signal came, innermost frame first.
    pub main_crash: Vec<String>,
    /// Processes that left only the beginning of a log, as one does that becomes a program that is not traced, but also
    /// one that is killed before it does anything wrong.
    #[serde(default)]
    pub stubs: u64,
    /// Suppressions that were used, by name, and how often over all processes.
    #[serde(default)]
    pub used: BTreeMap<String, u64>,
    /// The number of complete logs that do not count used suppressions, as those of a suite that runs `valgrind -q`.
    #[serde(default)]
    pub uncounted: u64,
    /// Logs that were deleted or changed after valgrind wrote them, with the reason, by the beginning of their names,
    /// `memcheck.4711`.
    #[serde(default)]
    pub destroyed: BTreeMap<String, String>,
    /// Logs that could not be kept or read as they were written, with the reason. What they said is not known.
    #[serde(default)]
    pub lost: Vec<String>,
    /// Programs that valgrind did not start, since they are setuid or setgid, or have file capabilities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Valgrind's own words where it ended without having checked a program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gave_up: Vec<String>,
    /// Processes that ended by a signal that programs raise by a mistake of theirs, by program and signal; not the main process
    /// of a command that runs under valgrind as a whole.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub crashes: BTreeMap<String, u64>,
    /// `true` if a program of the project ran under the tool before it became another one by exec.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub became_another: bool,
    /// Programs of a suite whose options keep what their children find out of the logs, with the option.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silenced: Vec<String>,
    /// Errors that valgrind counted in a process, and of which no log of the attempt shows any.
    #[serde(default)]
    pub unshown: u64,
    /// The exit code by which valgrind says that it counted errors, where it was told to.
    #[serde(default)]
    pub error_exit: Option<i32>,
    /// Whether all errors that valgrind counts by its options are in its logs, and the project did not ask for that exit
    /// code itself. Then that code without an error in a log is the program's own.
    #[serde(default)]
    pub shows_all: bool,
    /// Whether valgrind ended the main process at an error (`--exit-on-first-error=yes`).
    #[serde(default)]
    pub stopped: bool,
    /// What the options of the job's surroundings changed, as sentences.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// `true` for what a stored value leaves out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ValgrindEvidence {
    /// Why it is not known what some of the logs said: none if all were kept and read.
    pub fn unknown(&self) -> impl Iterator<Item = &String> + Clone {
        self.destroyed.values().chain(&self.lost)
    }

    /// `true` if processes were checked to their end, and all of them are of programs of the system.
    pub fn only_around(&self) -> bool {
        self.complete > 0 && self.around == self.complete && !self.became_another
    }

    /// The programs of the system whose errors do not count, in words.
    pub fn ignored_in_words(&self) -> Option<String> {
        let programs: Vec<String> =
            self.ignored.iter().map(|(program, count)| format!("{program} ({count})")).collect();
        (!programs.is_empty()).then(|| programs.join(", "))
    }
}
