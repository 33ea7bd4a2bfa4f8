//! What 10,000 tests cost: the memory of their plan, their run, their reports and their history, as it is allocated.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use crate::conditions::Conditions;
use crate::event::{AttemptRecord, AttemptStarting, Event, JobResult, Measured, Stamped};
use crate::evidence::{End, Evidence, GroupCounters, HostCounters, HostMemory, Reading};
use crate::history::{self, History};
use crate::plan::{FORMAT, Plan, PlannedJob};
use crate::report::commands::Commands;
use crate::report::{REPORTS, Reports};
use crate::run::Run;
use drydock_base::paths::RunDir;
use drydock_config::jobs::{Listed, Lister, Suite};

const MANY: usize = 10_000;
const MIB: usize = 1 << 20;

thread_local! {
    /// Bytes that this thread has allocated and not freed, and the most of them since they were last asked for.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, which counts for each thread.
struct Counting;

impl Counting {
    fn count(bytes: isize) {
        // A thread that ends frees after its counter is gone.
        HELD.try_with(|held| {
            let (now, most) = held.get();
            held.set((now + bytes, most.max(now + bytes)));
        })
        .ok();
    }
}

#[expect(unsafe_code, reason = "every allocator is unsafe; this one only counts")]
// SAFETY: all calls are passed on to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count(layout.size().cast_signed());
        // SAFETY: the caller's promises are those that are asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::count(size.cast_signed() - layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.realloc(memory, layout, size) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        Counting::count(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What the work returns, with the most bytes that were held meanwhile beyond those before it.
fn most<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get().0;
    HELD.set((before, before));
    let result = work();
    (result, (HELD.get().1 - before).unsigned_abs())
}

/// A plan of these jobs.
pub(crate) fn plan_of(jobs: Vec<PlannedJob>) -> Plan {
    Plan {
        format: FORMAT,
        project: "/p".into(),
        declaration: "/p/ci/jobs.yaml".into(),
        jobs,
        partial: false,
        lists: BTreeMap::new(),
    }
}

fn plan() -> Plan {
    let text = "jobs:\n  t: {for-each: {lines-of: [seq, \"10000\"]}, run: [\"true\"], tool: memcheck}\n";
    let suite = Suite::parse(text, Path::new("ci/jobs.yaml"), None).unwrap();
    let mut lines_of = |_: &_| Ok((1..=MANY).map(|line| line.to_string()).collect());
    let mut tests_of = |_: &_, _: &_| Listed::Tests(Vec::new());
    let mut lister = Lister { lines_of: &mut lines_of, tests_of: &mut tests_of };
    Plan::new(&suite, "/p".into(), 2, &mut lister).unwrap()
}

/// A pass with what is measured of every one.
fn passed(at: i64) -> AttemptRecord {
    let group = GroupCounters { oom_kill: 0, limit_hits: 0, peak: Some(1), limit: None };
    let host = HostCounters { before: 0, after: 0, around_death: 0, explained_elsewhere: 0 };
    let evidence = Evidence {
        group: Reading::Read(group),
        host: Reading::Read(host),
        kernel: Reading::Read(Vec::new()),
        pid: Some(7),
        memory: HostMemory { available: Some(1), total: Some(2), pressure: Some(0.0) },
        ..Evidence::new(End::Exited { code: 0 })
    };
    let measured = Measured { started: at, ended: at + 5, peak: Some(1), cpu_ms: Some(1), peak_ms: Some(1) };
    AttemptRecord::new(1, Conditions::default(), evidence, measured)
}

fn run_all(run: &mut Run) {
    for number in 0..run.plan.jobs.len() {
        let (at, job) = (5 * number.cast_signed() as i64, run.plan.jobs[number].name.clone());
        let start = AttemptStarting { job: job.clone(), attempt: 1, conditions: Conditions::default(), group: None };
        run.apply(&Stamped { at, event: Event::AttemptStarting(start) });
        let record = Box::new(passed(at));
        run.apply(&Stamped { at: at + 5, event: Event::AttemptEnded { job: job.clone(), record } });
        run.apply(&Stamped { at: at + 5, event: Event::JobSettled { job, result: JobResult::Passed } });
    }
}

#[test]
fn ten_thousand_tests_need_little_memory() {
    let (plan, planned) = most(plan);
    let (mut run, begun) = most(|| Run::new(plan));
    let ((), ran) = most(|| run_all(&mut run));
    let directory = tempfile::tempdir().unwrap();
    let dir = RunDir::new(directory.path().join("r"));
    let history = History::default();
    let (reports, prepared) = most(|| Reports::new(Commands::now(), &run, &dir, &history));
    let rendered = REPORTS.iter().map(|report| {
        let result = run.verdict(false);
        (report.file, most(|| (report.render)(reports.input(result), &mut io::sink()).unwrap()).1)
    });
    let rendered: Vec<(&str, usize)> = rendered.collect();
    drop(reports);
    let file = directory.path().join("history.jsonl");
    let ((), learned) = most(|| history::append(&file, history::lines(&run, "r", &HashMap::new(), None)).unwrap());
    let told =
        format!("{planned} planned, {begun} begun, {ran} ran, {prepared} prepared, {rendered:?}, {learned} learned");
    let report = prepared + rendered.iter().map(|(_, bytes)| *bytes).max().unwrap();
    assert!(learned < 2 * MIB, "the history is written line by line: {told}");
    // The rest of what `cargo bench --bench suites -- 10000` measures is the program itself.
    assert!(planned + begun + ran + report.max(learned) < 23 * MIB, "{told}");
}
