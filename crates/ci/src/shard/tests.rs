//! Tests of plans for several machines: what is distributed, what is refused, and what a merged run makes of trouble.

use super::*;
use crate::capacity::Capacity;
use crate::conditions::Conditions;
use crate::event::{AttemptRecord, AttemptStarting, Event, JobResult, Measured, RunResult, RunStarted, Stamped};
use crate::evidence::{End, Evidence};
use crate::journal::Journal;
use crate::plan::{PlannedJob, PlannedTest};
use crate::run::Run;
use crate::schedule::{Demand, Prediction, Source as Origin};
use drydock_base::paths::RunDir;
use drydock_base::units::ByteSize;
use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

fn plan_of(jobs: Vec<PlannedJob>) -> Plan {
    Plan {
        format: FORMAT,
        project: "/p".into(),
        declaration: "/p/ci/jobs.yaml".into(),
        jobs,
        partial: false,
        lists: BTreeMap::new(),
    }
}

fn class(name: &str, cores: u32, gib: u64, cost: u32) -> Runner {
    Runner {
        name: name.parse().unwrap(),
        runs_on: vec![name.to_owned()],
        cores,
        memory: ByteSize::gib(gib),
        cost,
        setup_ms: 1000,
    }
}

/// A job of so many seconds and so many GiB.
fn expects(seconds: u64, gib: u64, source: Origin) -> Expected {
    let needed = gib << 30;
    let mean = if source == Origin::Killed { 2 * needed } else { needed };
    let prediction = Prediction {
        demand: Demand::fixed(mean),
        needed,
        source,
        duration_ms: Some(seconds * 1000),
        peak_past_ms: None,
    };
    Expected { prediction, duration: seconds * 1000, is_assumed: false }
}

fn known(seconds: u64, gib: u64) -> Expected {
    expects(seconds, gib, Origin::Learned { runs: 3 })
}

/// A build, eight tests of ten seconds that need it, and one that needs nothing.
fn suite() -> (Plan, Vec<Expected>) {
    let mut jobs = vec![PlannedJob::plain("build", "build", &[])];
    let mut expected = vec![known(5, 1)];
    for number in 0..8 {
        jobs.push(PlannedJob::plain(&format!("units/t{number}"), "units", &["build"]));
        expected.push(known(10, 1));
    }
    jobs.push(PlannedJob::plain("lint", "lint", &[]));
    expected.push(known(3, 1));
    (plan_of(jobs), expected)
}

fn names(plan: &Plan, positions: &[usize]) -> Vec<String> {
    positions.iter().map(|job| plan.jobs[*job].name.to_string()).collect()
}

#[test]
fn needed_jobs_run_in_each_shard_and_all_others_once() {
    let (plan, expected) = suite();
    let made = split(&plan, &expected, &[class("a", 2, 16, 1)], &HashSet::new(), Goal::Shards(2)).unwrap();
    assert_eq!(made.shards.len(), 2);
    let mut all: Vec<usize> = made.shards.iter().flat_map(|shard| shard.jobs.clone()).collect();
    all.sort_unstable();
    assert_eq!(all, (1..10).collect::<Vec<_>>());
    for shard in &made.shards {
        assert_eq!((names(&plan, &shard.setup), shard.jobs.len() >= 4), (vec!["build".to_owned()], true));
        // One second, five for the build, and two rounds of ten, beside which the lint fits before the build ends.
        assert_eq!(shard.expected_ms, 26_000);
    }
    assert!((20_000..=26_000).contains(&made.bound), "{}", made.bound);
    // The build ran before: shards neither run it nor wait for it.
    let prepared = split(&plan, &expected, &[class("a", 2, 16, 1)], &HashSet::from([0]), Goal::Shards(2)).unwrap();
    assert!(prepared.shards.iter().all(|shard| shard.setup.is_empty() && shard.expected_ms <= 24_000));
}

#[test]
fn no_shard_is_empty_and_a_time_is_met_with_few_machines() {
    let (plan, expected) = suite();
    let classes = [class("a", 1, 16, 1)];
    let made = |goal| split(&plan, &expected, &classes, &HashSet::new(), goal).unwrap();
    let many = made(Goal::Shards(256));
    assert_eq!(many.shards.len(), 9);
    assert!(many.notes.iter().any(|note| note.starts_with("9 shards instead of 256")), "{:?}", many.notes);
    for (target, shards) in [(1_000_000, 1), (50_000, 2), (36_000, 3), (29_000, 4), (26_000, 5), (16_000, 9)] {
        let found = made(Goal::Within(target));
        assert_eq!(found.shards.len(), shards, "{target}");
        assert!(found.shards.iter().all(|shard| shard.expected_ms <= target));
    }
    // One test with its build takes sixteen seconds.
    let never = made(Goal::Within(2_000));
    assert_eq!(
        never.notes.last().unwrap(),
        "the slowest shard of class a takes about 16s instead of 2s: no more machines help"
    );
}

#[test]
fn a_job_goes_to_the_cheapest_class_that_it_fits() {
    let job = |name: &str| PlannedJob::plain(name, name, &[]);
    let plan = plan_of(vec![job("small"), job("large"), job("killed"), job("unknown")]);
    let classes = [class("big", 16, 64, 4), class("hosted", 4, 16, 1), class("dear", 4, 16, 2)];
    let mut expected = vec![known(9, 1), known(9, 16), expects(9, 10, Origin::Killed), expects(9, 99, Origin::Usual)];
    let made = split(&plan, &expected, &classes, &HashSet::new(), Goal::Shards(2)).unwrap();
    let on = |shard: &PlannedShard| (shard.class.name.to_string(), names(&plan, &shard.jobs));
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    assert_eq!(on(&made.shards[0]), ("hosted".to_owned(), words(&["small", "unknown"])));
    // 16 GiB do not fit a machine of 16 GiB, and a killed job gets twice what it had.
    assert_eq!(on(&made.shards[1]), ("big".to_owned(), words(&["large", "killed"])));
    let few = split(&plan, &expected, &classes, &HashSet::new(), Goal::Shards(1)).unwrap_err();
    assert_eq!(few.to_string(), "1 shards are not enough: the jobs need 2 classes of machines (hosted, big)");
    expected[1] = known(9, 64);
    let Err(SplitError::Unfit(unfit)) = split(&plan, &expected, &classes, &HashSet::new(), Goal::Shards(2)) else {
        panic!()
    };
    assert_eq!((unfit.len(), unfit[0].job, unfit[0].largest.name.as_str()), (1, 1, "big"));
    assert_eq!(unfit[0].because, "it used up to 64 GiB of memory in its last 3 runs");
}

#[test]
fn tests_that_follow_one_another_stay_together_and_what_cleans_up_runs_everywhere() {
    let test = |name: &str, needs: &[&str], follows: &[&str], cleans_up| {
        let mut job = PlannedJob::plain(name, "suite", &[]);
        let parse = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect();
        job.test = Some(Box::new(PlannedTest {
            needs: parse(needs),
            follows: parse(follows),
            cleans_up,
            ..PlannedTest::default()
        }));
        job
    };
    let plan = plan_of(vec![
        test("suite/start", &[], &[], false),
        test("suite/a", &["suite/start"], &[], false),
        test("suite/b", &["suite/start"], &["suite/a"], false),
        test("suite/c", &["suite/start"], &[], false),
        test("suite/stop", &[], &["suite/a", "suite/b", "suite/c"], true),
        test("suite/d", &[], &[], false),
    ]);
    let found: Vec<(Vec<usize>, Vec<usize>)> =
        units(&plan, &HashSet::new()).into_iter().map(|unit| (unit.jobs, unit.setup.to_vec())).collect();
    assert_eq!(found, [(vec![1, 2], vec![0, 4]), (vec![3], vec![0, 4]), (vec![5], vec![])]);
}

#[test]
fn shards_are_numbered_strictly() {
    for text in ["1/1", "7/7", "256/256"] {
        assert_eq!(text.parse::<ShardNumber>().unwrap().to_string(), text);
    }
    for text in ["0/1", "2/1", "1/257", "1", "1/", "/1", "+1/2", "01/2", "1/2/3", "-1/2", "99999999999999999999/1", ""]
    {
        assert!(text.parse::<ShardNumber>().is_err(), "{text}");
    }
}

fn frozen(shards: usize) -> FrozenPlan {
    let (plan, expected) = suite();
    let made = split(&plan, &expected, &[class("a", 2, 16, 1)], &HashSet::new(), Goal::Shards(shards)).unwrap();
    FrozenPlan {
        format: FORMAT,
        version: "0.1.0".into(),
        revision: Some("c0".into()),
        declaration: Checksum::new(b""),
        plan,
        prepared: None,
        shards: made.shards,
    }
}

#[test]
fn an_edited_plan_is_refused() {
    type Change = fn(&mut FrozenPlan);
    let changes: [(&str, Change); 8] = [
        ("it has 0 shards", |plan| plan.shards.clear()),
        ("shard 1 is empty", |plan| plan.shards[0].jobs.clear()),
        ("shard 1 has a job that the plan lacks", |plan| plan.shards[0].jobs.push(999)),
        ("shard 1 has a job twice", |plan| plan.shards[0].setup.push(0)),
        ("the job `units/t0` is planned twice", |plan| {
            let without = usize::from(plan.shards[0].jobs.contains(&1));
            plan.shards[without].jobs.push(1);
        }),
        ("no shard runs the job `units/t0`", |plan| {
            plan.shards.iter_mut().for_each(|shard| shard.jobs.retain(|job| *job != 1))
        }),
        ("its format is 9 and not 1", |plan| plan.format = 9),
        ("it has the job `build` twice", |plan| plan.plan.jobs[1].name = plan.plan.jobs[0].name.clone()),
    ];
    for (expected, change) in changes {
        let mut plan = frozen(2);
        assert!(FrozenPlan::parse(&serde_json::to_vec(&plan).unwrap()).is_ok());
        change(&mut plan);
        let error = FrozenPlan::parse(&serde_json::to_vec(&plan).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), format!("the plan is inconsistent: {expected}"));
    }
    assert!(FrozenPlan::parse(b"{}").is_err() && FrozenPlan::parse(&[b'['; 100_000]).is_err());
}

/// The directory of a shard's run, in which these jobs have a result, and the others do not.
struct Written {
    dir: tempfile::TempDir,
}

/// What the run of a shard did.
struct Did<'a> {
    id: &'a str,
    number: usize,
    commit: &'a str,
    completes: &'a [&'a str],
    failed: &'a [&'a str],
    open: &'a [&'a str],
}

impl Default for Did<'_> {
    fn default() -> Self {
        Did { id: "r", number: 1, commit: "c0", completes: &[], failed: &[], open: &[] }
    }
}

fn write(plan: &FrozenPlan, checksum: Checksum, told: &Did<'_>) -> Written {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDir::new(dir.path().into());
    let shard = &plan.shards[told.number - 1];
    let identity = ShardIdentity {
        shard: ShardNumber { number: told.number, of: plan.shards.len() },
        plan: checksum,
        attempt: 1,
        completes: told.completes.iter().map(|id| (*id).to_owned()).collect(),
    };
    let mut events = vec![Stamped {
        at: 1000,
        event: Event::RunStarted(RunStarted {
            id: told.id.into(),
            version: "0.1.0".into(),
            containment: "none".into(),
            group: None,
            capacity: Capacity { slots: 2, slots_source: "a".into(), memory: 1 << 30, memory_source: "b".into() },
            resumed: false,
            reruns: None,
            valgrind: None,
            revision: Some(told.commit.into()),
            cores: None,
            shard: Some(Box::new(identity)),
        }),
    }];
    let mut all: Vec<usize> = shard.jobs.iter().chain(&shard.setup).copied().collect();
    all.sort_unstable();
    let mut is_open = false;
    for job in all {
        let job = plan.plan.jobs[job].name.clone();
        let starting = AttemptStarting { job: job.clone(), attempt: 1, conditions: Conditions::default(), group: None };
        events.push(Stamped { at: 1000, event: Event::AttemptStarting(starting) });
        if told.open.contains(&job.as_str()) {
            is_open = true;
            continue;
        }
        let failed = told.failed.contains(&job.as_str());
        let evidence = Evidence::new(End::Exited { code: i32::from(failed) });
        let measured = Measured { started: 1000, ended: 3000, peak: Some(1 << 20), ..Measured::default() };
        let record = Box::new(AttemptRecord::new(1, Conditions::default(), evidence, measured));
        events.push(Stamped { at: 3000, event: Event::AttemptEnded { job: job.clone(), record } });
        let log = run.attempt(job.as_str(), 1);
        std::fs::create_dir_all(&log).unwrap();
        std::fs::write(log.join("log"), format!("of {job} in {}\n", told.id)).unwrap();
        let result = if failed { JobResult::Failed } else { JobResult::Passed };
        events.push(Stamped { at: 3000, event: Event::JobSettled { job, result } });
    }
    if !is_open {
        events.push(Stamped { at: 3000, event: Event::RunEnded { result: RunResult::Passed } });
    }
    Journal::write_anew(&run, &events).unwrap().close().unwrap();
    if !is_open {
        seal(&run).unwrap();
    }
    Written { dir }
}

fn merged(plan: &FrozenPlan, checksum: Checksum, dirs: &[&Written]) -> Merged {
    let jobs = Arc::new(plan.plan.clone());
    let found = dirs.iter().map(|written| {
        let dir: PathBuf = written.dir.path().into();
        (dir.clone(), Piece::read(&dir, &jobs, None))
    });
    merge(Pieces { frozen: plan, checksum, plan: Arc::clone(&jobs), prepared: None, found: found.collect() })
}

fn result<'a>(merged: &'a Merged, job: &str) -> &'a str {
    let at = merged.run.plan.jobs.iter().position(|planned| planned.name.as_str() == job).unwrap();
    merged.run.jobs[at].result.as_ref().unwrap().word()
}

/// The kinds of all troubles, and the verdict.
fn troubles(merged: &Merged) -> (Vec<TroubleKind>, RunResult) {
    (merged.troubles.iter().map(Trouble::kind).collect(), merged.run.verdict(false))
}

#[test]
fn results_of_all_shards_are_one_run_and_nothing_missing_passes() {
    use TroubleKind::{Lost, Misused, Tampered};
    let plan = frozen(2);
    let checksum = Checksum::new(b"plan");
    let (first, second) = (
        write(&plan, checksum, &Did::default()),
        write(&plan, checksum, &Did { id: "s", number: 2, ..Did::default() }),
    );
    let whole = merged(&plan, checksum, &[&first, &second]);
    assert_eq!(troubles(&whole), (vec![], RunResult::Passed));
    assert_eq!((whole.sources.len(), whole.run.shards.len(), whole.run.jobs.len()), (10, 2, 10));
    // The state survives the journal that is made of it.
    let again = Run::replay(Arc::clone(&whole.run.plan), &crate::retell::events(&whole.run));
    assert_eq!((again.shards.len(), again.verdict(false)), (2, RunResult::Passed));

    let lost = merged(&plan, checksum, &[&first]);
    assert_eq!(troubles(&lost), (vec![Lost], RunResult::Infrastructure));
    let missing = plan.plan.jobs[plan.shards[1].jobs[0]].name.to_string();
    assert_eq!(result(&lost, &missing), "not-run");
    assert_eq!(troubles(&merged(&plan, checksum, &[])).1, RunResult::Infrastructure);

    let copy = write(&plan, checksum, &Did { id: "t", ..Did::default() });
    assert_eq!(
        troubles(&merged(&plan, checksum, &[&first, &second, &copy])),
        (vec![Misused], RunResult::Infrastructure)
    );
    let completes = write(&plan, checksum, &Did { id: "t", completes: &["r"], ..Did::default() });
    assert_eq!(troubles(&merged(&plan, checksum, &[&first, &second, &completes])), (vec![], RunResult::Passed));

    let other = write(&plan, Checksum::new(b"other"), &Did { id: "t", ..Did::default() });
    assert_eq!(
        troubles(&merged(&plan, checksum, &[&other, &second])),
        (vec![Misused, Lost], RunResult::Infrastructure)
    );
    let commit = write(&plan, checksum, &Did { commit: "c1", ..Did::default() });
    assert_eq!(
        troubles(&merged(&plan, checksum, &[&commit, &second])),
        (vec![Misused, Lost], RunResult::Infrastructure)
    );

    // The machine was lost with a job in flight: the finished ones count.
    let open = plan.plan.jobs[*plan.shards[0].jobs.last().unwrap()].name.to_string();
    let cut = write(&plan, checksum, &Did { open: &[&open], ..Did::default() });
    let cut = merged(&plan, checksum, &[&cut, &second]);
    assert_eq!((troubles(&cut), result(&cut, &open)), ((vec![Lost], RunResult::Infrastructure), "infrastructure"));

    // A build that failed in one of two shards failed.
    let broken = write(&plan, checksum, &Did { failed: &["build"], ..Did::default() });
    let broken = merged(&plan, checksum, &[&broken, &second]);
    assert_eq!((troubles(&broken).1, result(&broken, "build")), (RunResult::Failed, "failed"));
    assert!(
        broken.run.warnings.iter().any(|text| text.contains("the worse result counts")),
        "{:?}",
        broken.run.warnings
    );
    assert!(broken.sources.iter().any(|source| source.job == 0 && source.attempt == 1));

    // Files that are not as the run left them.
    let log = first.dir.path().join("jobs/build/1/log");
    type Change = fn(&Path, &Path);
    let changes: [Change; 6] = [
        |_, log| std::fs::write(log, "of build in x\n").unwrap(),
        |_, log| std::fs::remove_file(log).unwrap(),
        |_, log| std::fs::write(log.with_file_name("more"), "").unwrap(),
        |dir, _| {
            let text = std::fs::read_to_string(dir.join("journal.jsonl")).unwrap();
            std::fs::write(dir.join("journal.jsonl"), text.replace("3000", "4000")).unwrap();
        },
        |dir, _| std::fs::write(dir.join(SEAL), "{").unwrap(),
        |_, log| {
            std::fs::remove_file(log).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", log).unwrap();
        },
    ];
    for change in changes {
        let told = write(&plan, checksum, &Did::default());
        change(told.dir.path(), &told.dir.path().join("jobs/build/1/log"));
        assert_eq!(
            troubles(&merged(&plan, checksum, &[&told, &second])),
            (vec![Tampered, Lost], RunResult::Infrastructure)
        );
    }
    assert!(log.is_file());
    std::fs::remove_file(first.dir.path().join(SEAL)).unwrap();
    assert_eq!(troubles(&merged(&plan, checksum, &[&first, &second])).0, [Lost]);
}

#[test]
fn journals_from_elsewhere_are_checked_before_they_are_counted() {
    let plan = frozen(2);
    let checksum = Checksum::new(b"plan");
    let jobs = Arc::new(plan.plan.clone());
    for (from, to) in [
        ("\"at\":3000", "\"at\":-9223372036854775808"),
        ("\"ended\":3000", "\"ended\":9223372036854775807"),
        ("\"ended\":3000", "\"ended\":-1"),
        ("\"peak\":1048576", "\"peak\":18446744073709551615"),
        ("\"reservation\":0", "\"reservation\":18446744073709551615"),
        ("\"number\":1,", "\"number\":4294967295,"),
        ("\"memory\":1073741824", "\"memory\":18446744073709551615"),
        ("\"kind\":\"job-settled\"", "\"kind\":\"nonsense\""),
    ] {
        let told = write(&plan, checksum, &Did::default());
        let file = told.dir.path().join("journal.jsonl");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        std::fs::remove_file(told.dir.path().join(SEAL)).unwrap();
        assert!(Piece::read(told.dir.path(), &jobs, None).is_err(), "{to}");
    }
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Piece::read(empty.path(), &jobs, None), Err(PieceError::NoRun)));
    std::os::unix::fs::symlink("/dev/zero", empty.path().join("journal.jsonl")).unwrap();
    assert!(matches!(Piece::read(empty.path(), &jobs, None), Err(PieceError::NoRun)));
}

#[test]
fn jobs_that_exclude_one_another_go_to_different_machines() {
    let named = |prefix: &str, number: usize| PlannedJob::plain(&format!("{prefix}{number}"), prefix, &[]);
    let mut locked: Vec<PlannedJob> = (0..2).map(|number| named("locked", number)).collect();
    locked.iter_mut().for_each(|job| job.locks = vec!["port".into()]);
    let mut serial: Vec<PlannedJob> = (0..2).map(|number| named("serial", number)).collect();
    serial.iter_mut().for_each(|job| job.serial = true);
    // Beside two that exclude nothing, each machine has one of them.
    for (special, seconds) in [(locked, 11), (serial, 21)] {
        let jobs: Vec<PlannedJob> = special.into_iter().chain((0..2).map(|number| named("other", number))).collect();
        let expected = vec![known(10, 1); jobs.len()];
        let plan = plan_of(jobs);
        let made = split(&plan, &expected, &[class("a", 4, 16, 1)], &HashSet::new(), Goal::Shards(2)).unwrap();
        let slowest = made.shards.iter().map(|shard| shard.expected_ms).max();
        let apart = made.shards.iter().all(|shard| shard.jobs.iter().filter(|job| **job < 2).count() == 1);
        assert!(slowest == Some(seconds * 1000) && apart, "{:?}", made.shards);
    }
}
