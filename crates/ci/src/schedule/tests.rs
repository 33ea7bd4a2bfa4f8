//! Properties of every plan: limits are kept, no job is lost, no job starves.

use proptest::prelude::*;

use super::*;
use crate::plan::PlannedJob;
use crate::tests::plan_of as plan;

fn job(name: &str, group: &str, needs: &[&str]) -> PlannedJob {
    PlannedJob::plain(name, group, needs)
}

fn capacity(slots: u32, memory: u64) -> Capacity {
    Capacity { slots, slots_source: "test".into(), memory, memory_source: "test".into() }
}

fn memory(bytes: u64) -> Prediction {
    timed(bytes, None)
}

fn timed(bytes: u64, duration_ms: Option<u64>) -> Prediction {
    Prediction { demand: Demand::fixed(bytes), needed: 0, source: Source::Usual, duration_ms, peak_past_ms: None }
}

fn start(schedule: &mut Schedule) -> Option<Start> {
    schedule.start_next(&mut |_, _| true)
}

#[test]
fn needs_wait_for_every_item_of_a_group() {
    let plan = plan(vec![
        job("build", "build", &[]),
        job("u/a", "u", &["build"]),
        job("u/b", "u", &["build"]),
        job("end", "end", &["u"]),
    ]);
    let mut schedule = Schedule::new(&plan, &capacity(4, 100), &[memory(1); 4]);
    assert_eq!(start(&mut schedule).map(|start| start.job), Some(0));
    assert_eq!(start(&mut schedule), None);
    assert!(schedule.settle(0, &JobResult::Passed, "build").is_empty());
    assert_eq!([start(&mut schedule).unwrap().job, start(&mut schedule).unwrap().job], [1, 2]);
    assert_eq!(start(&mut schedule), None);
    schedule.settle(1, &JobResult::Passed, "u/a");
    assert_eq!(start(&mut schedule), None);
    schedule.settle(2, &JobResult::Flaky { attempt: 2 }, "u/b");
    assert_eq!(start(&mut schedule).unwrap().job, 3);
}

#[test]
fn a_job_that_needs_a_failed_one_is_not_run_and_has_a_reason() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &["a"]), job("c", "c", &["b"]), job("d", "d", &[])]);
    let mut schedule = Schedule::new(&plan, &capacity(1, 100), &[memory(1); 4]);
    start(&mut schedule).unwrap();
    let never = schedule.settle(0, &JobResult::Failed, "a");
    let reason = "it needs a, which did not pass".to_owned();
    assert_eq!(never, [(1, reason.clone()), (2, reason)]);
    assert_eq!(start(&mut schedule).unwrap().job, 3);
    schedule.settle(3, &JobResult::Passed, "d");
    assert_eq!((start(&mut schedule), schedule.settled()), (None, 4));
}

#[test]
fn an_exclusive_job_runs_exclusively() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &[]), job("c", "c", &[])]);
    let mut schedule = Schedule::new(&plan, &capacity(2, 100), &[memory(40); 3]);
    assert_eq!([start(&mut schedule).unwrap().job, start(&mut schedule).unwrap().job], [0, 1]);
    schedule.requeue(Start { job: 0, demand: Demand::fixed(80), exclusive: true });
    assert_eq!(start(&mut schedule).unwrap().job, 2);
    schedule.settle(1, &JobResult::Passed, "b");
    assert_eq!(start(&mut schedule), None, "c still runs");
    schedule.settle(2, &JobResult::Passed, "c");
    assert_eq!(start(&mut schedule), Some(Start { job: 0, demand: Demand::fixed(80), exclusive: true }));
    assert_eq!(start(&mut schedule), None);
}

#[test]
fn a_job_that_an_earlier_process_lost_runs_once() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &[])]);
    let mut schedule = Schedule::new(&plan, &capacity(2, 100), &[memory(1); 2]);
    schedule.requeue(Start { job: 0, demand: Demand::fixed(2), exclusive: true });
    assert_eq!(start(&mut schedule).unwrap().job, 1);
    schedule.settle(1, &JobResult::Passed, "b");
    assert_eq!(start(&mut schedule), Some(Start { job: 0, demand: Demand::fixed(2), exclusive: true }));
    schedule.settle(0, &JobResult::Passed, "a");
    assert_eq!((start(&mut schedule), schedule.settled()), (None, 2));
}

#[test]
fn what_the_live_guard_refuses_stays_ready() {
    let plan = plan(vec![job("a", "a", &[]), job("b", "b", &[])]);
    let mut schedule = Schedule::new(&plan, &capacity(2, 100), &[memory(60), memory(30)]);
    let mut asked = Vec::new();
    let mut no = |demand: Demand, _: Safety| {
        asked.push(demand.mean);
        false
    };
    assert_eq!(schedule.start_next(&mut no), None);
    schedule.requeue(Start { job: 1, demand: Demand::fixed(30), exclusive: true });
    assert_eq!(start(&mut schedule).unwrap().job, 0);
    schedule.settle(0, &JobResult::Passed, "a");
    assert_eq!(schedule.start_next(&mut no), None);
    assert_eq!(start(&mut schedule), Some(Start { job: 1, demand: Demand::fixed(30), exclusive: true }));
    assert_eq!(asked, [60, 30]);
}

#[test]
fn long_chains_and_large_shares_come_first() {
    let plan = plan(vec![
        job("short", "short", &[]),
        job("long", "long", &[]),
        job("first", "first", &[]),
        job("second", "second", &["first"]),
        job("third", "third", &["second"]),
    ]);
    let predictions =
        [timed(10, Some(100)), timed(10, Some(250)), timed(10, Some(100)), timed(10, Some(100)), timed(10, Some(100))];
    let mut schedule = Schedule::new(&plan, &capacity(2, 100), &predictions);
    let first_two = [start(&mut schedule).unwrap().job, start(&mut schedule).unwrap().job];
    assert!(first_two.contains(&2) && first_two.contains(&1), "{first_two:?}");
}

#[test]
fn a_search_that_could_try_few_orders_is_left_out() {
    let limits = Limits { slots: 3, memory: 100 };
    let tasks = (0..40).map(|job| Task::known(100 + job * 37 % 91, 10 + job * 53 % 71)).collect();
    let workload = Workload::independent(tasks);
    let of = |starts: usize| order(&workload, limits, SEED, starts);
    let lists = of(0);
    // Three list orders, and then 31 orders of 40 jobs.
    assert_eq!(of((3 + 31) * 40), lists);
    let searched = of(THOROUGH);
    let [before, after] = [lists, searched].map(|order| workload.makespan(limits, &order));
    assert!(after < before, "{after} {before}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

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
        let predictions: Vec<_> =
            shape.iter().map(|(bytes, need, fate)| timed(*bytes, (*fate > 3).then_some(*need as u64 * 100 + bytes))).collect();
        let mut schedule = Schedule::new(&plan, &capacity(slots, total), &predictions);
        let mut running: Vec<Start> = Vec::new();
        let mut ends = vec![0; shape.len()];
        let mut again = vec![false; shape.len()];
        loop {
            while let Some(started) = start(&mut schedule) {
                prop_assert!(!started.exclusive || running.is_empty());
                running.push(started);
                prop_assert!(running.len() <= slots as usize);
                prop_assert!(running.iter().map(|start| start.demand.mean).sum::<u64>() <= total);
                prop_assert!(running.len() == 1 || running.iter().all(|start| !start.exclusive));
            }
            let Some(done) = running.pop() else { break };
            let fate = shape[done.job].2;
            if fate == 9 && !again[done.job] {
                again[done.job] = true;
                schedule.requeue(Start { demand: Demand::fixed(done.demand.mean * 2), exclusive: true, ..done });
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

    /// However jobs come and go: a job that is ready first and does not fit is passed by at most so many jobs that
    /// could delay it, and by no others for longer than what ran before takes to end.
    #[test]
    fn nothing_starves(
        small in prop::collection::vec((1u64..40, 1u64..20), 60..200),
        big in 61u64..=100,
        slots in 2u32..6,
    ) {
        let limits = Limits { slots, memory: 100 };
        let mut queue = Queue::new(slots, 100, small.len() + 2);
        queue.insert(0, Demand::fixed(50));
        prop_assert_eq!(queue.next(), Some(0));
        queue.insert(1, Demand::fixed(big));
        let mut running: Vec<(u64, usize, u64)> = vec![(30, 0, 50)];
        let (mut now, mut passed, mut started_big) = (0, 0, false);
        let mut waiting: Vec<usize> = (0..small.len()).collect();
        let mut kept_since: Option<u64> = None;
        let mut oldest_end = 0;
        while !started_big {
            // There is always something small to start.
            for _ in 0..3 {
                if let Some(next) = waiting.pop() {
                    queue.insert(next + 2, Demand::fixed(small[next].0));
                }
            }
            while let Some(rank) = queue.next() {
                if rank == 1 {
                    started_big = true;
                    break;
                }
                passed += 1;
                let (memory, duration) = small[rank - 2];
                running.push((now + duration, rank, memory));
                if passed == MAX_PASSES {
                    kept_since = Some(now);
                    oldest_end = running.iter().map(|(end, _, _)| *end).max().unwrap_or(now);
                }
            }
            if let (Some(_), false) = (kept_since, started_big) {
                prop_assert!(now <= oldest_end, "still waiting at {} although all that ran before ended by {}", now, oldest_end);
            }
            running.sort_unstable();
            prop_assert!(running.len() <= limits.slots as usize);
            if !started_big {
                let (end, rank, _) = running.remove(0);
                now = end;
                queue.release(rank);
            }
        }
    }

    /// The same jobs give the same order, which names each job once.
    #[test]
    fn an_order_is_a_permutation_and_the_same_for_a_seed(
        tasks in prop::collection::vec((1u64..1000, 1u64..120), 1..30),
        chained in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let limits = Limits { slots: 3, memory: 100 };
        let mut workload = Workload::independent(
            tasks.iter().map(|(duration, memory)| Task::known(*duration, *memory)).collect(),
        );
        if chained {
            workload.needs = vec![vec![], vec![0]];
            workload.group = (0..tasks.len()).map(|job| job % 2).collect();
        }
        let once = order(&workload, limits, seed, 2000);
        prop_assert_eq!(&once, &order(&workload, limits, seed, 2000));
        let mut sorted = once.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..tasks.len()).collect::<Vec<_>>());
        // And no schedule is shorter than the bound.
        let makespan = workload.makespan(limits, &once);
        prop_assert!(makespan >= bound::lower(&workload, limits).makespan, "{} ms", makespan);
        // At no time more than there is.
        let ends = workload.simulate(limits, &once);
        for at in &ends {
            let runs = |job: &usize| ends[*job] - tasks[*job].0 < *at && *at <= ends[*job];
            let running: Vec<usize> = (0..tasks.len()).filter(runs).collect();
            prop_assert!(running.len() <= 3);
            prop_assert!(running.len() == 1 || running.iter().map(|job| tasks[*job].1.min(100)).sum::<u64>() <= 100);
        }
    }
}
