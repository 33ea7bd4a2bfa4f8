//! The ways in which an attempt can end, and the proof of each.
//!
//! Each verdict carries its confidence, the observations that led to it and what rules the alternatives out, in words
//! that a person can check with the same files.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use drydock_base::units::ByteSize;

mod end;
mod heap;
mod judge;
mod killed;
mod lost;
mod memory;
mod signals;
mod suite;
mod tested;
#[cfg(test)]
mod tests;

pub use judge::judge;
pub use signals::name as signal_name;

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Outcome {
    /// It ended as expected, and valgrind checked it completely.
    Passed,
    /// It says of itself that it was skipped, by an exit code, TAP or a text that is declared to mean that.
    Skipped {
        /// What said so.
        why: String,
    },
    /// It ended as expected, but says of itself that it ran no test.
    NothingTested {
        /// What said so.
        why: String,
    },
    /// It ended by itself in another way than the expected one.
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
        /// The limit that was exhausted.
        scope: MemoryScope,
        /// The process that died.
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
        /// The bytes that were allowed: the declared limit, or the baseline's peak with the margin.
        #[schemars(with = "u64")]
        limit: ByteSize,
        /// The bytes that massif measured.
        #[schemars(with = "u64")]
        used: ByteSize,
        /// The budget that was exceeded.
        #[serde(default)]
        budget: Budget,
    },
    /// It failed while a disk that it needs was full.
    DiskFull,
    /// The run was stopped before it could end.
    Cancelled,
    /// Its command could not be started.
    FailedToStart {
        /// The error message of the system.
        error: String,
    },
    /// No end is known: the supervisor or the machine went away.
    Lost,
}

/// The budget that a heap exceeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// The declared `limit`.
    #[default]
    Limit,
    /// The peak of the `baseline`, with the `tolerance`.
    Baseline,
}

/// The limit that an out-of-memory kill came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryScope {
    /// The job's own `memory-limit`.
    OwnLimit,
    /// A group above the job's, or the whole machine.
    Machine,
    /// A daemon such as earlyoom or systemd-oomd.
    Userspace,
    /// The evidence does not show it.
    Unknown,
}

/// The process that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// The job's main process.
    Main,
    /// A process below it.
    Descendant,
}

/// An [`Outcome`] without its details: what histories and tables need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// [`Outcome::Passed`].
    Passed,
    /// [`Outcome::Skipped`].
    Skipped,
    /// [`Outcome::NothingTested`].
    NothingTested,
    /// [`Outcome::Failed`].
    Failed,
    /// [`Outcome::Findings`].
    Findings,
    /// [`Outcome::Crashed`].
    Crashed,
    /// [`Outcome::OutOfMemory`].
    OutOfMemory,
    /// [`Outcome::AllocationFailure`].
    AllocationFailure,
    /// [`Outcome::TimedOut`].
    TimedOut,
    /// [`Outcome::KilledFromOutside`].
    KilledFromOutside,
    /// [`Outcome::OverBudget`].
    OverBudget,
    /// [`Outcome::DiskFull`].
    DiskFull,
    /// [`Outcome::Cancelled`].
    Cancelled,
    /// [`Outcome::FailedToStart`].
    FailedToStart,
    /// [`Outcome::Lost`].
    Lost,
}

/// The party that an outcome is attributed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Nobody: the job passed.
    Nobody,
    /// The job itself.
    Job,
    /// The machine: such attempts are retried without being asked.
    Machine,
    /// The user, who stopped the run.
    User,
}

impl OutcomeKind {
    /// The kebab-case word used in files and tables.
    pub fn word(self) -> &'static str {
        match self {
            OutcomeKind::Passed => "passed",
            OutcomeKind::Skipped => "skipped",
            OutcomeKind::NothingTested => "nothing-tested",
            OutcomeKind::Failed => "failed",
            OutcomeKind::Findings => "findings",
            OutcomeKind::Crashed => "crashed",
            OutcomeKind::OutOfMemory => "out-of-memory",
            OutcomeKind::AllocationFailure => "allocation-failure",
            OutcomeKind::TimedOut => "timed-out",
            OutcomeKind::KilledFromOutside => "killed-from-outside",
            OutcomeKind::OverBudget => "over-budget",
            OutcomeKind::DiskFull => "disk-full",
            OutcomeKind::Cancelled => "cancelled",
            OutcomeKind::FailedToStart => "failed-to-start",
            OutcomeKind::Lost => "lost",
        }
    }

    /// The party that the outcome is attributed to.
    pub fn blame(self) -> Blame {
        match self {
            OutcomeKind::Passed | OutcomeKind::Skipped => Blame::Nobody,
            OutcomeKind::OutOfMemory | OutcomeKind::KilledFromOutside | OutcomeKind::DiskFull | OutcomeKind::Lost => {
                Blame::Machine
            }
            OutcomeKind::Cancelled => Blame::User,
            OutcomeKind::Failed
            | OutcomeKind::NothingTested
            | OutcomeKind::Findings
            | OutcomeKind::Crashed
            | OutcomeKind::AllocationFailure
            | OutcomeKind::TimedOut
            | OutcomeKind::OverBudget
            | OutcomeKind::FailedToStart => Blame::Job,
        }
    }

    /// `true` if the program ran to its own end, so that its duration and its peak of memory are worth learning.
    pub fn ran_to_its_end(self) -> bool {
        match self {
            OutcomeKind::Passed | OutcomeKind::Failed | OutcomeKind::Findings | OutcomeKind::OverBudget => true,
            // A skipped job says nothing about one that runs.
            OutcomeKind::Skipped
            | OutcomeKind::NothingTested
            | OutcomeKind::Crashed
            | OutcomeKind::OutOfMemory
            | OutcomeKind::AllocationFailure
            | OutcomeKind::TimedOut
            | OutcomeKind::KilledFromOutside
            | OutcomeKind::DiskFull
            | OutcomeKind::Cancelled
            | OutcomeKind::FailedToStart
            | OutcomeKind::Lost => false,
        }
    }

    /// `true` if such a failure is by itself a sign of scarce time or memory.
    pub fn suggests_scarcity(self) -> bool {
        match self {
            OutcomeKind::TimedOut | OutcomeKind::AllocationFailure => true,
            OutcomeKind::Passed
            | OutcomeKind::Skipped
            | OutcomeKind::NothingTested
            | OutcomeKind::Failed
            | OutcomeKind::Findings
            | OutcomeKind::Crashed
            | OutcomeKind::OutOfMemory
            | OutcomeKind::KilledFromOutside
            | OutcomeKind::OverBudget
            | OutcomeKind::DiskFull
            | OutcomeKind::Cancelled
            | OutcomeKind::FailedToStart
            | OutcomeKind::Lost => false,
        }
    }
}

impl Outcome {
    /// The outcome without its details.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Outcome::Passed => OutcomeKind::Passed,
            Outcome::Skipped { .. } => OutcomeKind::Skipped,
            Outcome::NothingTested { .. } => OutcomeKind::NothingTested,
            Outcome::Failed { .. } => OutcomeKind::Failed,
            Outcome::Findings { .. } => OutcomeKind::Findings,
            Outcome::Crashed { .. } => OutcomeKind::Crashed,
            Outcome::OutOfMemory { .. } => OutcomeKind::OutOfMemory,
            Outcome::AllocationFailure => OutcomeKind::AllocationFailure,
            Outcome::TimedOut => OutcomeKind::TimedOut,
            Outcome::KilledFromOutside { .. } => OutcomeKind::KilledFromOutside,
            Outcome::OverBudget { .. } => OutcomeKind::OverBudget,
            Outcome::DiskFull => OutcomeKind::DiskFull,
            Outcome::Cancelled => OutcomeKind::Cancelled,
            Outcome::FailedToStart { .. } => OutcomeKind::FailedToStart,
            Outcome::Lost => OutcomeKind::Lost,
        }
    }

    /// `true` if the job did what was asked.
    pub fn is_pass(&self) -> bool {
        self.kind() == OutcomeKind::Passed
    }

    /// `true` if the job says that it was skipped.
    pub fn is_skip(&self) -> bool {
        self.kind() == OutcomeKind::Skipped
    }

    /// `true` if the machine, not the job, is to blame: such attempts are retried without being asked.
    pub fn is_infrastructure(&self) -> bool {
        self.kind().blame() == Blame::Machine
    }

    /// The kebab-case word used in files and tables.
    pub fn word(&self) -> &'static str {
        self.kind().word()
    }

    /// One line for a person.
    pub fn describe(&self) -> String {
        match self {
            Outcome::Passed => "passed".into(),
            Outcome::Skipped { why } => format!("skipped: {why}"),
            Outcome::NothingTested { why } => format!("tested nothing: {why}"),
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
                format!("{used} of heap, more than its limit of {limit}")
            }
            Outcome::OverBudget { limit, used, budget: Budget::Baseline } => {
                format!("{used} of heap, more than the {limit} that its baseline allows")
            }
            Outcome::DiskFull => "a disk was full".into(),
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
    /// The end of the attempt.
    pub outcome: Outcome,
    /// Confidence in the outcome, from 0 to 1.
    pub confidence: f64,
    /// The observations that decide.
    pub reasons: Vec<String>,
    /// Observations that rule out other outcomes.
    pub ruled_out: Vec<String>,
    /// The advice for the user, in one sentence. Its commands are completed for each reader: see
    /// [`Commands::advice`](crate::report::commands::Commands::advice).
    pub advice: Option<String>,
}

impl Verdict {
    fn new(outcome: Outcome, confidence: f64, reason: impl Into<String>) -> Verdict {
        Verdict { outcome, confidence, reasons: vec![reason.into()], ruled_out: Vec::new(), advice: None }
    }

    /// A certain verdict without reasons, for tests.
    #[cfg(test)]
    pub(crate) fn plain(outcome: Outcome) -> Verdict {
        Verdict { outcome, confidence: 1.0, reasons: Vec::new(), ruled_out: Vec::new(), advice: None }
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
