//! How an attempt can end, and what proves it.
//!
//! Each verdict carries its confidence, the observations that led to it and what rules the alternatives out, in words
//! that a person can check with the same files.

use serde::{Deserialize, Serialize};

use drydock_base::units::ByteSize;

mod heap;
mod judge;
mod memory;
mod signals;
#[cfg(test)]
mod tests;

pub use judge::judge;
pub use signals::name as signal_name;

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Outcome {
    /// It did what was expected, and everything that was to be checked was checked.
    Passed,
    /// It ended by itself with another exit code than the expected one.
    Failed {
        /// The exit code.
        code: i32,
    },
    /// The program ended as expected, but valgrind found errors.
    Findings {
        /// Over all processes of the job.
        count: u64,
    },
    /// It died of a signal that its own doing raises.
    Crashed {
        /// The signal's number.
        signal: i32,
    },
    /// The kernel or a userspace daemon killed it, or one of its descendants, for lack of memory.
    OutOfMemory {
        /// Which limit was exhausted.
        scope: MemoryScope,
        /// Who died.
        victim: Victim,
    },
    /// An allocation failed (`RLIMIT_AS`, overcommit) and the program ended in its own way.
    AllocationFailure,
    /// It ran longer than its timeout and was ended by Drydock.
    TimedOut,
    /// A signal from outside ended it; not the out-of-memory killer.
    KilledFromOutside {
        /// The signal's number.
        signal: i32,
    },
    /// It used more heap than declared.
    OverBudget {
        /// What was allowed: the declared limit, or the baseline's peak with the margin.
        limit: ByteSize,
        /// What massif measured.
        used: ByteSize,
        /// Which of the two it was.
        #[serde(default)]
        budget: Budget,
    },
    /// The run was stopped before it could end.
    Cancelled,
    /// Its command could not be started.
    FailedToStart {
        /// The system's words.
        error: String,
    },
    /// No end is known: the supervisor or the machine went away.
    Lost,
}

/// What a heap outgrew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// The declared `limit`.
    #[default]
    Limit,
    /// The peak of the `baseline`, with the `tolerance`.
    Baseline,
}

/// Which limit an out-of-memory kill came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryScope {
    /// The job's own `memory-limit`.
    OwnLimit,
    /// A group above the job's, or the whole machine.
    Machine,
    /// A daemon such as earlyoom or systemd-oomd.
    Userspace,
    /// The evidence does not tell.
    Unknown,
}

/// Who was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// The job's main process.
    Main,
    /// A process below it.
    Descendant,
}

impl Outcome {
    /// Whether the job did what was asked.
    pub fn is_pass(&self) -> bool {
        matches!(self, Outcome::Passed)
    }

    /// Whether the machine, not the job, is to blame: such attempts are rerun without being asked.
    pub fn is_infrastructure(&self) -> bool {
        match self {
            Outcome::OutOfMemory { .. } | Outcome::KilledFromOutside { .. } | Outcome::Lost => true,
            Outcome::Passed
            | Outcome::Failed { .. }
            | Outcome::Findings { .. }
            | Outcome::Crashed { .. }
            | Outcome::AllocationFailure
            | Outcome::TimedOut
            | Outcome::OverBudget { .. }
            | Outcome::Cancelled
            | Outcome::FailedToStart { .. } => false,
        }
    }

    /// The kebab-case word used in files and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed { .. } => "failed",
            Outcome::Findings { .. } => "findings",
            Outcome::Crashed { .. } => "crashed",
            Outcome::OutOfMemory { .. } => "out-of-memory",
            Outcome::AllocationFailure => "allocation-failure",
            Outcome::TimedOut => "timed-out",
            Outcome::KilledFromOutside { .. } => "killed-from-outside",
            Outcome::OverBudget { .. } => "over-budget",
            Outcome::Cancelled => "cancelled",
            Outcome::FailedToStart { .. } => "failed-to-start",
            Outcome::Lost => "lost",
        }
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        match self {
            Outcome::Passed => "passed".into(),
            Outcome::Failed { code } => format!("exit code {code}"),
            Outcome::Findings { count: 1 } => "1 valgrind finding".into(),
            Outcome::Findings { count } => format!("{count} valgrind findings"),
            Outcome::Crashed { signal } => format!("crashed with {}", signal_name(*signal)),
            Outcome::OutOfMemory { scope, victim } => {
                let who = match victim {
                    Victim::Main => "",
                    Victim::Descendant => ", a descendant was killed",
                };
                let limit = match scope {
                    MemoryScope::OwnLimit => " (its own memory-limit)",
                    MemoryScope::Machine => " (the machine's limit)",
                    MemoryScope::Userspace => " (userspace killer)",
                    MemoryScope::Unknown => "",
                };
                format!("out of memory{limit}{who}")
            }
            Outcome::AllocationFailure => "an allocation failed".into(),
            Outcome::TimedOut => "timed out".into(),
            Outcome::KilledFromOutside { signal } => format!("killed from outside by {}", signal_name(*signal)),
            Outcome::OverBudget { limit, used, budget: Budget::Limit } => {
                format!("heap {used} over its limit of {limit}")
            }
            Outcome::OverBudget { limit, used, budget: Budget::Baseline } => {
                format!("heap {used} over the {limit} that its baseline allows")
            }
            Outcome::Cancelled => "cancelled".into(),
            Outcome::FailedToStart { error } => format!("could not be started: {error}"),
            Outcome::Lost => "lost: no end was recorded".into(),
        }
    }
}

/// An outcome with its proof.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// What happened.
    pub outcome: Outcome,
    /// From 0 to 1.
    pub confidence: f64,
    /// The observations that decide.
    pub reasons: Vec<String>,
    /// Why it was nothing else.
    pub ruled_out: Vec<String>,
    /// What to do about it.
    pub advice: Option<String>,
}

impl Verdict {
    fn new(outcome: Outcome, confidence: f64, reason: impl Into<String>) -> Verdict {
        Verdict { outcome, confidence, reasons: vec![reason.into()], ruled_out: Vec::new(), advice: None }
    }

    fn and(mut self, reason: impl Into<String>) -> Verdict {
        self.reasons.push(reason.into());
        self
    }

    fn advise(mut self, advice: impl Into<String>) -> Verdict {
        self.advice = Some(advice.into());
        self
    }
}
