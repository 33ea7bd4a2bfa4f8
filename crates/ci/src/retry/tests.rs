//! What follows which attempts.

use super::*;
use crate::evidence::{End, Evidence};
use crate::outcome::{Budget, Verdict, Victim};
use drydock_base::units::ByteSize;

fn job(attempts: u32, retry_on: &[RetryOn]) -> PlannedJob {
    PlannedJob { attempts, retry_on: retry_on.to_vec(), ..PlannedJob::plain("j", "j", &[]) }
}

fn attempts(outcomes: &[Outcome]) -> Vec<AttemptRecord> {
    let record = |(position, outcome): (usize, &Outcome)| AttemptRecord {
        number: u32::try_from(position).unwrap() + 1,
        verdict: Verdict {
            outcome: outcome.clone(),
            confidence: 1.0,
            reasons: Vec::new(),
            ruled_out: Vec::new(),
            advice: None,
        },
        evidence: Evidence::of(End::NoRecord),
        started: 0,
        ended: 0,
        peak: Some(300),
        reservation: 100,
        alone: false,
        diet: false,
        again: None,
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
    let Next::Again(again) = next(&plain, &attempts(std::slice::from_ref(&killed))) else { panic!("it is rerun") };
    assert!(again.alone && again.reservation == 300 && again.because.starts_with("the machine broke it"));
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
    assert!(matches!(next(&twice, &attempts(&[Outcome::TimedOut])), Next::Again(Again { alone: false, .. })));
    settles(&twice, &[Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 2 });
    settles(&twice, &[Outcome::TimedOut, Outcome::TimedOut], JobResult::Failed);
    settles(&twice, &[Outcome::Failed { code: 1 }], JobResult::Failed);
}

#[test]
fn the_machines_faults_do_not_use_up_the_declared_attempts() {
    let twice = job(2, &[RetryOn::TimedOut]);
    let broken = oom(MemoryScope::Machine);
    assert!(matches!(next(&twice, &attempts(&[broken.clone(), Outcome::TimedOut])), Next::Again(_)));
    settles(&twice, &[broken, Outcome::TimedOut, Outcome::Passed], JobResult::Flaky { attempt: 3 });
}

#[test]
fn a_job_that_was_lost_with_its_run_is_not_to_blame() {
    let plain = job(1, &[]);
    let lost = vec![Outcome::Lost; 4];
    assert!(matches!(next(&plain, &attempts(&lost)), Next::Again(Again { alone: false, reservation: 300, .. })));
    settles(&plain, &[const { Outcome::Lost }; 5], JobResult::Infrastructure);
    settles(&plain, &[Outcome::Lost, Outcome::Passed], JobResult::PassedAfterInfrastructure { attempt: 2 });
    let mut runaway = attempts(&[Outcome::Lost]);
    runaway[0].evidence.last_samples = vec![100 << 20, 900 << 20];
    assert!(matches!(next(&plain, &runaway), Next::Again(Again { alone: true, reservation: 600, .. })));
}

#[test]
fn a_cancelled_attempt_is_no_failure_of_the_job() {
    settles(&job(1, &[]), &[Outcome::Cancelled, Outcome::Passed], JobResult::Passed);
    let twice = job(2, &[RetryOn::TimedOut]);
    assert!(matches!(next(&twice, &attempts(&[Outcome::Cancelled, Outcome::TimedOut])), Next::Again(_)));
}

/// Climbs the ladder as a run does: every attempt is killed for lack of memory. The rungs as alone, diet, reservation.
fn climb(job: &PlannedJob, limits: Limits) -> (Vec<(bool, bool, u64)>, Vec<AttemptRecord>) {
    let mut done = attempts(&[oom(MemoryScope::Machine)]);
    let mut rungs = Vec::new();
    while let Next::Again(again) = super::next(job, &done, limits) {
        assert!(rungs.len() < 9, "the ladder has no end: {rungs:?}");
        rungs.push((again.alone, again.diet, again.reservation));
        let mut record = attempts(&[oom(MemoryScope::Machine)]).remove(0);
        record.number = u32::try_from(done.len()).unwrap() + 1;
        (record.alone, record.diet, record.reservation) = (again.alone, again.diet, again.reservation);
        done.push(record);
    }
    assert_eq!(super::next(job, &done, limits), Next::Settle(JobResult::Infrastructure));
    (rungs, done)
}

#[test]
fn each_rung_of_the_ladder_is_stood_on_once() {
    let plain = job(1, &[]);
    let (rungs, done) = climb(&plain, MUCH);
    assert_eq!(rungs, [(false, false, 600), (true, false, 1200)]);
    assert_eq!(needs_more_than(&done), Some(300));
    let mut dieting = job(1, &[]);
    dieting.tool.memory_diet = vec!["--track-origins=no".into()];
    assert_eq!(climb(&dieting, MUCH).0, [(false, false, 600), (true, false, 1200), (true, true, 1200)]);
    // Where twice the memory is more than there is, it runs alone at once.
    assert_eq!(climb(&dieting, Limits { slots: 4, memory: 500 }).0, [(true, false, 500), (true, true, 500)]);
}

#[test]
fn the_rung_that_passes_is_never_a_flake() {
    let plain = job(1, &[]);
    let killed = oom(MemoryScope::Machine);
    let outcomes = [killed.clone(), killed.clone(), killed, Outcome::Passed];
    settles(&plain, &outcomes, JobResult::PassedAfterInfrastructure { attempt: 4 });
    assert_eq!(needs_more_than(&attempts(&outcomes)), None);
}

#[test]
fn a_quarantine_takes_the_blame_for_what_it_names_and_hides_no_finding() {
    let mut known = job(1, &[]);
    known.quarantine = Some(crate::quarantine::Quarantined {
        reason: "a race".into(),
        expires: "2026-12-31".into(),
        on: vec![RetryOn::Failed],
    });
    settles(&known, &[Outcome::Failed { code: 1 }], JobResult::Quarantined);
    settles(&known, &[Outcome::Passed], JobResult::Passed);
    for counted in [Outcome::TimedOut, Outcome::Crashed { signal: 11 }, Outcome::Findings { count: 1 }] {
        settles(&known, &[counted], JobResult::Failed);
    }
    settles(&known, &[oom(MemoryScope::OwnLimit)], JobResult::Failed);
    // It failed, and valgrind found something too.
    let mut found = attempts(&[Outcome::Failed { code: 1 }]);
    found[0].evidence.valgrind = Some(crate::evidence::ValgrindEvidence { findings: 1, ..Default::default() });
    assert_eq!(next(&known, &found), Next::Settle(JobResult::Failed));
}
