//! What follows an attempt: nothing, or another one. A pure decision.

use super::event::{AttemptRecord, JobResult};
use super::outcome::{MemoryScope, Outcome};
use super::plan::PlannedJob;
use super::schedule::Limits;
use drydock_config::jobs::RetryOn;

/// How often a job may be killed from outside before it is given up.
const KILLED_ATTEMPTS: usize = 2;
/// How often a job may be lost with the run that it was in: that says little about the job.
const LOST_ATTEMPTS: usize = 5;

/// What to do after an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Run it again.
    Again(Again),
    /// That was the last attempt.
    Settle(JobResult),
}

/// How a job is run again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// With nothing beside it.
    pub alone: bool,
    /// With the declared options that save memory and check less.
    pub diet: bool,
    /// With this reservation in bytes.
    pub reservation: u64,
    /// Why, for the reports.
    pub because: String,
}

/// Decides after the last of `attempts`. Only what the machine did wrong is rerun without being asked. What the
/// declaration allows to retry ends as flaky, never as passed.
pub fn next(job: &PlannedJob, attempts: &[AttemptRecord], limits: Limits) -> Next {
    let Some(last) = attempts.last() else { return Next::Settle(JobResult::Cancelled) };
    let outcome = &last.verdict.outcome;
    let count =
        |wanted: fn(&Outcome) -> bool| attempts.iter().filter(|attempt| wanted(&attempt.verdict.outcome)).count();
    let broken_by_machine = count(Outcome::is_infrastructure);
    let lost = count(|outcome| matches!(outcome, Outcome::Lost));
    let killed = count(|outcome| matches!(outcome, Outcome::KilledFromOutside { .. }));
    let cancelled = count(|outcome| matches!(outcome, Outcome::Cancelled));
    // What was done to the job is no failure of its own.
    let own_failures = attempts.len() - broken_by_machine - cancelled;
    let because = || format!("the machine broke it: {}", outcome.describe());
    let again = |alone, reservation, because| Next::Again(Again { alone, diet: last.diet, reservation, because });
    match outcome {
        Outcome::Passed => Next::Settle(if own_failures > 1 {
            JobResult::Flaky { attempt: last.number }
        } else if broken_by_machine > 0 {
            JobResult::PassedAfterInfrastructure { attempt: last.number }
        } else {
            JobResult::Passed
        }),
        Outcome::Cancelled => Next::Settle(JobResult::Cancelled),
        // A job that died of its own declared ceiling failed by its own declaration.
        Outcome::OutOfMemory { scope: MemoryScope::OwnLimit, .. } => Next::Settle(JobResult::Failed),
        Outcome::OutOfMemory { .. } => {
            next_rung(job, attempts, limits).map_or(Next::Settle(JobResult::Infrastructure), Next::Again)
        }
        Outcome::Lost if lost < LOST_ATTEMPTS => {
            // A run that was lost was not lost through this job, unless its memory was running away.
            let runaway = last.evidence.memory_was_rising();
            again(runaway, if runaway { known(last).saturating_mul(2) } else { known(last) }, because())
        }
        Outcome::KilledFromOutside { .. } if killed < KILLED_ATTEMPTS => again(true, known(last), because()),
        Outcome::Lost | Outcome::KilledFromOutside { .. } => Next::Settle(JobResult::Infrastructure),
        Outcome::Failed { .. }
        | Outcome::Findings { .. }
        | Outcome::Crashed { .. }
        | Outcome::AllocationFailure
        | Outcome::TimedOut
        | Outcome::OverBudget { .. }
        | Outcome::FailedToStart { .. } => {
            let declared = retry_on(outcome).is_some_and(|kind| job.retry_on.contains(&kind));
            if declared && own_failures < job.attempts as usize {
                again(last.alone, last.reservation, format!("its declaration retries: {}", outcome.describe()))
            } else {
                Next::Settle(failed(job, attempts))
            }
        }
    }
}

/// A failure counts unless the job's quarantine knows it. What valgrind found in any attempt is never hidden.
fn failed(job: &PlannedJob, attempts: &[AttemptRecord]) -> JobResult {
    let found = |attempt: &AttemptRecord| {
        matches!(attempt.verdict.outcome, Outcome::Findings { .. } | Outcome::OverBudget { .. })
            || attempt.evidence.valgrind.as_ref().is_some_and(|valgrind| valgrind.findings > 0)
    };
    let known = job.quarantine.as_ref().zip(attempts.last()).is_some_and(|(quarantine, last)| {
        retry_on(&last.verdict.outcome).is_some_and(|kind| quarantine.on.contains(&kind))
    });
    if known && !attempts.iter().any(found) { JobResult::Quarantined } else { JobResult::Failed }
}

/// The ladder of a job that the machine killed for lack of memory: twice the memory, then alone, then, if the
/// declaration allows it, alone with less to check. Each rung is stood on once.
fn next_rung(job: &PlannedJob, attempts: &[AttemptRecord], limits: Limits) -> Option<Again> {
    let last = attempts.last()?;
    let killed = || attempts.iter().filter(|attempt| ran_out(&attempt.verdict.outcome));
    let doubled = killed().map(known).max()?.saturating_mul(2);
    let because = format!("the machine broke it: {}", last.verdict.outcome.describe());
    if !last.alone && killed().count() == 1 && doubled <= limits.memory {
        return Some(Again { alone: false, diet: last.diet, reservation: doubled, because });
    }
    let reservation = doubled.min(limits.memory);
    if !killed().any(|attempt| attempt.alone) {
        return Some(Again { alone: true, diet: last.diet, reservation, because });
    }
    let dieted = killed().any(|attempt| attempt.diet);
    let reservation = known(last).min(limits.memory);
    (!dieted && !job.tool.memory_diet.is_empty()).then_some(Again { alone: true, diet: true, reservation, because })
}

/// What the job is known to take: what was set aside, or what it used beyond that.
fn known(attempt: &AttemptRecord) -> u64 {
    attempt.reservation.max(attempt.peak.unwrap_or(0))
}

fn ran_out(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::OutOfMemory { scope: MemoryScope::Machine | MemoryScope::Userspace | MemoryScope::Unknown, .. }
    )
}

/// What a job had, in bytes, when it was last killed for lack of memory and no rung was left: it needs more than that.
pub fn needs_more_than(attempts: &[AttemptRecord]) -> Option<u64> {
    let last = attempts.last()?;
    let killed = attempts.iter().filter(|attempt| ran_out(&attempt.verdict.outcome));
    ran_out(&last.verdict.outcome).then(|| killed.filter_map(|attempt| attempt.peak).max()).flatten()
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
