//! What follows an attempt: nothing, or another one. A pure decision.

use super::event::{AttemptRecord, JobResult};
use super::outcome::{MemoryScope, Outcome};
use super::plan::PlannedJob;
use crate::config::jobs::RetryOn;

/// How often the machine may break a job before it is given up.
const MACHINE_ATTEMPTS: usize = 2;
/// How often a job may be lost with the run that it was in: that says little about the job.
const LOST_ATTEMPTS: usize = 5;

/// What to do after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run it again.
    Again {
        /// With nothing beside it.
        alone: bool,
        /// With this reservation in bytes.
        reservation: u64,
        /// Why, for the reports.
        because: String,
    },
    /// That was the last attempt.
    Settle(JobResult),
}

/// Decides after the last of `attempts`. Only what the machine did wrong is rerun without being asked, alone and with
/// twice the memory. What the declaration allows to retry ends as flaky, never as passed.
pub fn next(job: &PlannedJob, attempts: &[AttemptRecord]) -> Next {
    let Some(last) = attempts.last() else { return Next::Settle(JobResult::Cancelled) };
    let outcome = &last.verdict.outcome;
    let count =
        |wanted: fn(&Outcome) -> bool| attempts.iter().filter(|attempt| wanted(&attempt.verdict.outcome)).count();
    let broken_by_machine = count(Outcome::is_infrastructure);
    let lost = count(|outcome| matches!(outcome, Outcome::Lost));
    let cancelled = count(|outcome| matches!(outcome, Outcome::Cancelled));
    // What was done to the job is no failure of its own.
    let own_failures = attempts.len() - broken_by_machine - cancelled;
    if outcome.is_pass() {
        return Next::Settle(if own_failures > 1 {
            JobResult::Flaky { attempt: last.number }
        } else if broken_by_machine > 0 {
            JobResult::PassedAfterInfrastructure { attempt: last.number }
        } else {
            JobResult::Passed
        });
    }
    if matches!(outcome, Outcome::Cancelled) {
        return Next::Settle(JobResult::Cancelled);
    }
    if outcome.is_infrastructure() {
        let repeatable = !matches!(outcome, Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. });
        let known = last.reservation.max(last.peak.unwrap_or(0));
        let because = format!("the machine broke it: {}", outcome.describe());
        if matches!(outcome, Outcome::Lost) && lost < LOST_ATTEMPTS {
            // A run that was lost was not lost through this job, unless its memory was running away.
            let runaway = last.evidence.memory_was_rising();
            return Next::Again {
                alone: runaway,
                reservation: if runaway { known.saturating_mul(2) } else { known },
                because,
            };
        }
        if !matches!(outcome, Outcome::Lost) && repeatable && broken_by_machine - lost < MACHINE_ATTEMPTS {
            return Next::Again { alone: true, reservation: known.saturating_mul(2), because };
        }
        // A job that died of its own declared ceiling failed by its own declaration; anything else is the machine's.
        return Next::Settle(if repeatable { JobResult::Infrastructure } else { JobResult::Failed });
    }
    let declared = retry_on(outcome).is_some_and(|kind| job.retry_on.contains(&kind));
    if declared && own_failures < job.attempts as usize {
        return Next::Again {
            alone: false,
            reservation: last.reservation,
            because: format!("its declaration retries: {}", outcome.describe()),
        };
    }
    Next::Settle(JobResult::Failed)
}

fn retry_on(outcome: &Outcome) -> Option<RetryOn> {
    match outcome {
        Outcome::TimedOut => Some(RetryOn::TimedOut),
        Outcome::Failed { .. } => Some(RetryOn::Failed),
        Outcome::Findings { .. } => Some(RetryOn::Findings),
        Outcome::Crashed { .. } => Some(RetryOn::Crashed),
        Outcome::AllocationFailure => Some(RetryOn::AllocationFailure),
        Outcome::OverBudget { .. } => Some(RetryOn::OverBudget),
        Outcome::Passed
        | Outcome::OutOfMemory { .. }
        | Outcome::KilledFromOutside { .. }
        | Outcome::Cancelled
        | Outcome::FailedToStart { .. }
        | Outcome::Lost => None,
    }
}

#[cfg(test)]
mod tests;
