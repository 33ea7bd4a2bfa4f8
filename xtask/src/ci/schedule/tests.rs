//! What must hold for every plan: limits kept, nothing lost, nothing starved.

use proptest::prelude::*;

use super::*;
use crate::ci::plan::{FORMAT, PlannedJob};

fn job(name: &str, group: &str, needs: &[&str]) -> PlannedJob {
    PlannedJob::plain(name, group, needs)
}

fn plan(jobs: Vec<PlannedJob>) -> Plan {
    Plan { format: FORMAT, project: "/p".into(), declaration: "/p/ci/jobs.yaml".into(), jobs, partial: false }
}

fn capacity(slots: u32, memory: u64) -> Capacity {
    Capacity { slots, slots_source: "test".into(), memory, memory_source: "test".into() }
}

fn memory(bytes: u64) -> Prediction {
    Prediction { memory: bytes, duration_ms: None }
}

#[test]
fn needs_wait_for_every_item_of_a_group() {
    let plan = plan(vec![
        job("build", "build", &[]),
        job("u/a", "u", &["build"]),
        job("u/b", "u", &["build"]),
        job("end", "end", &["u"]),
    ]);
    let mut schedule = Schedule::new(&plan, capacity(4, 100), &[memory(1); 4]);
    assert_eq!(schedule.start_next().map(|start| start.job), Some(0));
    assert_eq!(schedule.start_next(), None);
    assert!(schedule.settle(0, &JobResult::Passed, "build").is_empty());
    assert_eq!([schedule.start_next().unwrap().job, schedule.start_next().unwrap().job], [1, 2]);
    assert_eq!(schedule.start_next(), None);
    schedule.settle(1, &JobResult::Passed, "u/a");
    assert_eq!(schedule.start_next(), None);
    schedule.settle(2, &JobResult::Flaky { attempt: 2 }, "u/b");
    assert_eq!(schedule.start_next().unwrap().job, 3);
}

#[test]
fn what_needs_a_failed_job_is_never_run_and_told_why() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &["a"]), job("c", "c", &["b"]), job("d", "d", &[])]);
    let mut schedule = Schedule::new(&plan, capacity(1, 100), &[memory(1); 4]);
    schedule.start_next().unwrap();
    let never = schedule.settle(0, &JobResult::Failed, "a");
    let reason = "it needs a, which did not pass".to_owned();
    assert_eq!(never, [(1, reason.clone()), (2, reason)]);
    assert_eq!(schedule.start_next().unwrap().job, 3);
    schedule.settle(3, &JobResult::Passed, "d");
    assert_eq!((schedule.start_next(), schedule.settled()), (None, 4));
}

#[test]
fn a_job_that_is_to_run_alone_does() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &[]), job("c", "c", &[])]);
    let mut schedule = Schedule::new(&plan, capacity(2, 100), &[memory(40); 3]);
    assert_eq!([schedule.start_next().unwrap().job, schedule.start_next().unwrap().job], [0, 1]);
    schedule.again(0, 80, true);
    assert_eq!(schedule.start_next().unwrap().job, 2);
    schedule.settle(1, &JobResult::Passed, "b");
    assert_eq!(schedule.start_next(), None, "c still runs");
    schedule.settle(2, &JobResult::Passed, "c");
    assert_eq!(schedule.start_next(), Some(Start { job: 0, reservation: 80, alone: true }));
    assert_eq!(schedule.start_next(), None);
}

#[test]
fn a_job_that_an_earlier_process_lost_runs_once() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &[])]);
    let mut schedule = Schedule::new(&plan, capacity(2, 100), &[memory(1); 2]);
    schedule.again(0, 2, true);
    assert_eq!(schedule.start_next().unwrap().job, 1);
    schedule.settle(1, &JobResult::Passed, "b");
    assert_eq!(schedule.start_next(), Some(Start { job: 0, reservation: 2, alone: true }));
    schedule.settle(0, &JobResult::Passed, "a");
    assert_eq!((schedule.start_next(), schedule.settled()), (None, 2));
}

#[test]
fn a_big_job_is_not_passed_for_ever() {
    let mut jobs = vec![job("small-0", "small-0", &[]), job("big", "big", &[])];
    jobs.extend((1..200).map(|number| job(&format!("small-{number}"), &format!("small-{number}"), &[])));
    let plan = plan(jobs);
    let predictions: Vec<_> =
        plan.jobs.iter().map(|job| memory(if job.name.as_str() == "big" { 100 } else { 10 })).collect();
    let mut schedule = Schedule::new(&plan, capacity(2, 100), &predictions);
    let mut running = vec![schedule.start_next().unwrap().job];
    let mut before_big = 0;
    loop {
        while let Some(start) = schedule.start_next() {
            running.push(start.job);
        }
        if running.contains(&1) {
            break;
        }
        before_big += 1;
        let done = running.remove(0);
        schedule.settle(done, &JobResult::Passed, "x");
    }
    assert!(before_big < 60, "{before_big} small jobs passed the big one");
}

proptest! {
    /// Random plans with random ends: memory and slots are never exceeded, every job is settled exactly once.
    #[test]
    fn limits_hold_and_nothing_is_lost(
        shape in prop::collection::vec((1u64..150, 0usize..6, 0u8..10), 1..40),
        slots in 1u32..6,
    ) {
        let total = 100;
        let jobs: Vec<PlannedJob> = shape.iter().enumerate().map(|(number, (_, need, _))| {
            let name = format!("j{number}");
            let needs: Vec<String> = (*need > 0 && number >= *need).then(|| format!("j{}", number - need)).into_iter().collect();
            job(&name, &name, &needs.iter().map(String::as_str).collect::<Vec<_>>())
        }).collect();
        let plan = plan(jobs);
        let predictions: Vec<_> = shape.iter().map(|(bytes, _, _)| memory(*bytes)).collect();
        let mut schedule = Schedule::new(&plan, capacity(slots, total), &predictions);
        let mut running: Vec<Start> = Vec::new();
        let mut ends = vec![0; shape.len()];
        let mut again = vec![false; shape.len()];
        loop {
            while let Some(start) = schedule.start_next() {
                prop_assert!(!start.alone || running.is_empty());
                running.push(start);
                prop_assert!(running.len() <= slots as usize);
                prop_assert!(running.iter().map(|start| start.reservation).sum::<u64>() <= total);
                prop_assert!(running.len() == 1 || running.iter().all(|start| !start.alone));
            }
            let Some(done) = running.pop() else { break };
            let fate = shape[done.job].2;
            if fate == 9 && !again[done.job] {
                again[done.job] = true;
                schedule.again(done.job, done.reservation * 2, true);
                continue;
            }
            ends[done.job] += 1;
            let result = if fate == 8 { JobResult::Failed } else { JobResult::Passed };
            for (never, _) in schedule.settle(done.job, &result, "x") {
                ends[never] += 1;
            }
        }
        prop_assert!(ends.iter().all(|count| *count == 1), "{ends:?}");
        prop_assert_eq!(schedule.settled(), shape.len());
    }
}
