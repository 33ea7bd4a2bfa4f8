//! The step that follows given attempts.

use super::*;
use crate::event::Measured;
use crate::evidence::{End, Evidence};
use crate::outcome::{Budget, Verdict, Victim};
use drydock_base::units::ByteSize;

fn job(attempts: u32, retry_on: &[RetryOn]) -> PlannedJob {
    PlannedJob { attempts, retry_on: retry_on.to_vec(), ..PlannedJob::plain("j", "j", &[]) }
}

fn attempts(outcomes: &[Outcome]) -> Vec<AttemptRecord> {
    let record = |(position, outcome): (usize, &Outcome)| AttemptRecord {
        verdict: Verdict::plain(outcome.clone()),
        ..AttemptRecord::new(
            u32::try_from(position).unwrap() + 1,
            Conditions { reservation: 100, ..Conditions::default() },
            Evidence::new(End::NoRecord),
            Measured { peak: Some(300), ..Measured::default() },
        )
    };
    outcomes.iter().enumerate().map(record).collect()
}

fn oom(scope: MemoryScope) -> Outcome {
    Outcome::OutOfMemory { scope, victim: Victim::Main }
}

const MUCH: Limits = Limits { slots: 4, memory: 10_000 };

fn next(job: &PlannedJob, attempts: &[AttemptRecord]) -> Next {
    super::next(job, attempts, MUCH)
}

#[track_caller]
fn settles(job: &PlannedJob, outcomes: &[Outcome], expected: JobResult) {
    assert_eq!(next(job, &attempts(outcomes)), Next::Settle(expected));
}

#[test]
fn only_what_the_machine_broke_is_rerun_without_being_asked() {
    let plain = job(1, &[]);
    let killed = Outcome::KilledFromOutside { signal: 9 };
    let Next::Retry(retry) = next(&plain, &attempts(std::slice::from_ref(&killed))) else { panic!("it is rerun") };
    assert!(retry.exclusive && retry.reservation == 300);
    assert!(retry.retry_reason.unwrap().starts_with("the machine failed it"));
    settles(&plain, &[killed.clone(), Outcome::Passed], JobResult::PassedAfterInfrastructure { attempt: 2 });
    settles(&plain, &[killed.clone(), killed], JobResult::Infrastructure);
    let own = [
        Outcome::Failed { code: 1 },
        Outcome::Findings { count: 1 },
        Outcome::Crashed { signal: 11 },
        Outcome::AllocationFailure,
        Outcome::TimedOut,
        Outcome::OverBudget { limit: ByteSize::ZERO, used: ByteSize::ZERO, budget: Budget::Limit },
        Outcome::FailedToStart { error: String::new() },
        // Its own ceiling is its own declaration; the same ceiling would kill it again.
        oom(MemoryScope::OwnLimit),
    ];
    for outcome in own {
        settles(&plain, &[outcome], JobResult::Failed);
    }
    settles(&plain, &[Outcome::Passed], JobResult::Passed);
    settles(&plain, &[Outcome::Cancelled], JobResult::Cancelled);
}

#[test]
fn a_declared_retry_ends_as_flaky_never_as_passed() {
    let twice = job(2, &[RetryOn::TimedOut]);
    assert!(matches!(next(&twice, &attempts(&[Outcome::TimedOut])), Next::Retry(Conditions { exclusive: false, .. })));
    settles(&twice, &[Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 2 });
    settles(&twice, &[Outcome::TimedOut, Outcome::TimedOut], JobResult::Failed);
    settles(&twice, &[Outcome::Failed { code: 1 }], JobResult::Failed);
}

#[test]
fn the_machines_faults_do_not_use_up_the_declared_attempts() {
    let twice = job(2, &[RetryOn::TimedOut]);
    let broken = oom(MemoryScope::Machine);
    assert!(matches!(next(&twice, &attempts(&[broken.clone(), Outcome::TimedOut])), Next::Retry(_)));
    settles(&twice, &[broken, Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 3 });
}

#[test]
fn a_job_that_was_lost_with_its_run_is_not_to_blame() {
    let plain = job(1, &[]);
    let lost = vec![Outcome::Lost; 4];
    assert!(matches!(
        next(&plain, &attempts(&lost)),
        Next::Retry(Conditions { exclusive: false, reservation: 300, .. })
    ));
    settles(&plain, &[const { Outcome::Lost }; 5], JobResult::Infrastructure);
    settles(&plain, &[Outcome::Lost, Outcome::Passed], JobResult::PassedAfterInfrastructure { attempt: 2 });
    let mut runaway = attempts(&[Outcome::Lost]);
    runaway[0].evidence.last_samples = vec![100 << 20, 900 << 20];
    assert!(matches!(next(&plain, &runaway), Next::Retry(Conditions { exclusive: true, reservation: 600, .. })));
}

#[test]
fn a_cancelled_attempt_is_not_a_failure_of_the_job() {
    settles(&job(1, &[]), &[Outcome::Cancelled, Outcome::Passed], JobResult::Passed);
    let twice = job(2, &[RetryOn::TimedOut]);
    assert!(matches!(next(&twice, &attempts(&[Outcome::Cancelled, Outcome::TimedOut])), Next::Retry(_)));
}

/// Takes every escalation step: each attempt is killed for lack of memory. A step is exclusive, reduced, reservation.
fn escalate(job: &PlannedJob, limits: Limits) -> (Vec<(bool, bool, u64)>, Vec<AttemptRecord>) {
    let mut done = attempts(&[oom(MemoryScope::Machine)]);
    let mut steps = Vec::new();
    while let Next::Retry(conditions) = super::next(job, &done, limits) {
        assert!(steps.len() < 9, "the escalation never ends: {steps:?}");
        steps.push((conditions.exclusive, conditions.reduced, conditions.reservation));
        let mut record = attempts(&[oom(MemoryScope::Machine)]).remove(0);
        record.number = u32::try_from(done.len()).unwrap() + 1;
        record.conditions = conditions;
        done.push(record);
    }
    assert_eq!(super::next(job, &done, limits), Next::Settle(JobResult::Infrastructure));
    (steps, done)
}

#[test]
fn each_escalation_step_is_taken_once() {
    let plain = job(1, &[]);
    let (steps, done) = escalate(&plain, MUCH);
    assert_eq!(steps, [(false, false, 600), (true, false, 1200)]);
    assert_eq!(needs_more_than(&done), Some(300));
    let mut reducible = job(1, &[]);
    reducible.tool_mut().reduced_args = vec!["--track-origins=no".into()];
    assert_eq!(escalate(&reducible, MUCH).0, [(false, false, 600), (true, false, 1200), (true, true, 1200)]);
    // Where there is less than twice the memory, it runs exclusively at once.
    assert_eq!(escalate(&reducible, Limits { slots: 4, memory: 500 }).0, [(true, false, 500), (true, true, 500)]);
}

#[test]
fn a_pass_after_escalation_is_never_a_flake() {
    let plain = job(1, &[]);
    let killed = oom(MemoryScope::Machine);
    let outcomes = [killed.clone(), killed.clone(), killed, Outcome::Passed];
    settles(&plain, &outcomes, JobResult::PassedAfterInfrastructure { attempt: 4 });
    assert_eq!(needs_more_than(&attempts(&outcomes)), None);
}

#[test]
fn a_quarantine_excuses_what_it_names_and_never_a_finding() {
    let mut known = job(1, &[]);
    known.quarantine = Some(Box::new(crate::plan::Quarantined {
        reason: "a race".into(),
        expires: "2026-12-31".into(),
        on: vec![RetryOn::Failed],
    }));
    settles(&known, &[Outcome::Failed { code: 1 }], JobResult::Quarantined);
    settles(&known, &[Outcome::Passed], JobResult::Passed);
    for counted in [Outcome::TimedOut, Outcome::Crashed { signal: 11 }, Outcome::Findings { count: 1 }] {
        settles(&known, &[counted], JobResult::Failed);
    }
    settles(&known, &[oom(MemoryScope::OwnLimit)], JobResult::Failed);
    // It failed, and valgrind found something too.
    let mut found = attempts(&[Outcome::Failed { code: 1 }]);
    found[0].evidence.valgrind =
        Some(Box::new(crate::evidence::ValgrindEvidence { findings: 1, ..Default::default() }));
    assert_eq!(next(&known, &found), Next::Settle(JobResult::Failed));
}
