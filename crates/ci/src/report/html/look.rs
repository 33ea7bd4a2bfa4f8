//! How results look: a word and a sign beside every colour, so that none of it is told by colour alone.

use std::time::Duration;

use super::markup::Html;
use crate::event::JobResult;
use crate::outcome::{MemoryScope, Outcome};
use drydock_base::units::{self, ByteSize};

/// What an attempt or a job came to, as far as it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Look {
    Failed,
    Infrastructure,
    Flaky,
    Quarantined,
    Cancelled,
    NotRun,
    Unsettled,
    Passed,
}

impl Look {
    /// All, in the order of what a person looks for first.
    pub(super) const ALL: [Look; 8] = [
        Look::Failed,
        Look::Infrastructure,
        Look::Flaky,
        Look::Quarantined,
        Look::Cancelled,
        Look::NotRun,
        Look::Unsettled,
        Look::Passed,
    ];

    pub(super) fn of_job(result: Option<&JobResult>) -> Look {
        match result {
            Some(JobResult::Passed | JobResult::PassedAfterInfrastructure { .. }) => Look::Passed,
            Some(JobResult::Flaky { .. }) => Look::Flaky,
            Some(JobResult::Quarantined) => Look::Quarantined,
            Some(JobResult::Failed) => Look::Failed,
            Some(JobResult::Infrastructure) => Look::Infrastructure,
            Some(JobResult::Cancelled) => Look::Cancelled,
            Some(JobResult::NotRun { .. }) => Look::NotRun,
            None => Look::Unsettled,
        }
    }

    pub(super) fn of_attempt(outcome: &Outcome) -> Look {
        match outcome {
            Outcome::Passed => Look::Passed,
            Outcome::Cancelled => Look::Cancelled,
            // A limit that the job declares is its own affair.
            Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. } => Look::Failed,
            Outcome::OutOfMemory { .. } | Outcome::KilledFromOutside { .. } | Outcome::Lost => Look::Infrastructure,
            Outcome::Failed { .. }
            | Outcome::Findings { .. }
            | Outcome::Crashed { .. }
            | Outcome::AllocationFailure
            | Outcome::TimedOut
            | Outcome::OverBudget { .. }
            | Outcome::FailedToStart { .. } => Look::Failed,
        }
    }

    /// As in `run.json`, with spaces.
    pub(super) fn word(self) -> &'static str {
        match self {
            Look::Failed => "failed",
            Look::Infrastructure => "infrastructure",
            Look::Flaky => "flaky",
            Look::Quarantined => "quarantined",
            Look::Cancelled => "cancelled",
            Look::NotRun => "not run",
            Look::Unsettled => "unsettled",
            Look::Passed => "passed",
        }
    }

    pub(super) fn sign(self) -> &'static str {
        match self {
            Look::Failed => "✗",
            Look::Infrastructure => "▲",
            Look::Flaky => "≈",
            Look::Quarantined => "◇",
            Look::Cancelled => "■",
            Look::NotRun => "–",
            Look::Unsettled => "?",
            Look::Passed => "✓",
        }
    }

    /// The class that the style sheet knows.
    pub(super) fn class(self) -> &'static str {
        match self {
            Look::Failed => "x",
            Look::Infrastructure => "i",
            Look::Flaky => "f",
            Look::Quarantined => "q",
            Look::Cancelled => "c",
            Look::NotRun => "n",
            Look::Unsettled => "u",
            Look::Passed => "p",
        }
    }

    /// The sign and the word.
    pub(super) fn badge(self, html: &mut Html) {
        self.mark(html);
        html.raw(" ").text(self.word());
    }

    /// The sign, which says nothing to who hears the word anyway.
    pub(super) fn mark(self, html: &mut Html) {
        html.tag("b", &[("class", self.class()), ("aria-hidden", "true")], self.sign());
    }
}

/// A length of time in words.
pub(super) fn time(ms: u64) -> String {
    units::human(Duration::from_millis(ms))
}

/// From a difference of Unix milliseconds.
pub(super) fn span(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or_default()
}

/// A size in words.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::new(bytes).to_string()
}

/// A number for a coordinate: three decimals are finer than any screen.
pub(super) fn coordinate(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// A share of the width.
pub(super) fn percent(number: f64) -> String {
    format!("{}%", coordinate(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_look_differs_in_word_sign_and_class() {
        for of in [Look::word, Look::sign, Look::class] {
            let mut seen: Vec<&str> = Look::ALL.iter().map(|look| of(*look)).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), Look::ALL.len(), "{seen:?}");
        }
    }

    #[test]
    fn coordinates_are_short() {
        for (number, text) in [(0.0, "0"), (12.5, "12.5"), (100.0, "100"), (33.333_33, "33.333"), (-0.000_01, "0")] {
            assert_eq!(coordinate(number), text);
        }
    }
}
