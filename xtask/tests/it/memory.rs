//! No job dies for lack of memory: escalation, refusals, the live guard, and what history teaches, on real kills.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::{
    Finished, OuterGroup, Process, Project, RunJson, fixtures, marker, mortal, need_tool, oom_lock, processes_with,
    text, wait_for, xtask_binary,
};
use crate::vm::{self, Guest};

const MIB: u64 = 1 << 20;

/// Four jobs of 100 MiB, declared ten times too low, and one that needs them all. The four begin to use memory when all of them
/// run, so that they never fit, however slow the machine is.
fn greedy(program: &str) -> String {
    format!(
        "defaults: {{timeout: 10m}}\n\
         jobs:\n\
         \x20 hogs:\n\
         \x20   for-each: {{lines-of: [cat, items]}}\n\
         \x20   run: [{program}, gather, came, \"4\", hog, \"100\", \"1\"]\n\
         \x20   memory: 10MiB\n\
         \x20 after: {{needs: [hogs], run: [{program}, exit, \"0\"], memory: 1MiB}}\n"
    )
}

/// The room that those four do not have together, while two of them do.
const ROOM: u64 = 270 * MIB;

/// Asserts that a run of [`greedy`] ended green by escalation, and that no job was called flaky.
#[track_caller]
fn ended_green(run: &RunJson, code: i32, said: &str) {
    assert_eq!(code, 0, "{said}");
    assert!(run.jobs.len() == 5 && run.jobs.iter().all(|job| job.result == "passed"), "{run:#?}");
    let attempts = || run.jobs.iter().flat_map(|job| &job.attempts);
    let killed = attempts().filter(|attempt| attempt.outcome.kind == "out-of-memory").count();
    assert!(killed > 0, "nothing was killed: {run:#?}\n{said}");
    for job in run.jobs.iter().filter(|job| job.attempts.len() > 1) {
        let [first, second, ..] = job.attempts.as_slice() else { unreachable!() };
        assert_eq!(
            (first.outcome.kind.as_str(), first.reservation, first.exclusive),
            ("out-of-memory", 10 * MIB, false)
        );
        assert!(second.reservation >= 20 * MIB, "{second:#?}");
        assert!(
            first.reasons.iter().any(|reason| reason.starts_with("memory at that moment: hogs/")),
            "{:#?}",
            first.reasons
        );
        assert!(first.reasons.iter().any(|reason| reason.contains("instigator")), "{:#?}", first.reasons);
    }
}

/// A group around `xtask`. Where none can be made, the test runs in a guest instead, and its caller returns.
fn outer_group(limit: u64) -> Option<OuterGroup> {
    match OuterGroup::new(limit) {
        Ok(group) => Some(group),
        Err(why) if vm::inside() => panic!("no cgroup can be made in the guest: {why}"),
        Err(why) => {
            println!("in a guest, since no cgroup can be made here: {why}");
            let thread = std::thread::current();
            vm::run_test_in_guest(thread.name().expect("the test harness names its threads"));
            None
        }
    }
}

fn latest(project: &Project, finished: &Finished) -> RunJson {
    RunJson::latest(&project.state()).unwrap_or_else(|why| panic!("{why:#}\n{}", finished.transcript()))
}

#[test]
fn a_forced_out_of_memory_ends_green_by_escalation() {
    let _lock = oom_lock();
    let Some(group) = outer_group(ROOM) else { return };
    let project = Project::new().file("items", "a\nb\nc\nd\n").jobs(&greedy(&text(&mortal())));
    let finished = project.xtask(&["ci", "-j", "4"]).within(&group).run();
    let run = latest(&project, &finished);
    ended_green(&run, finished.code(), &finished.transcript());
    assert!(finished.stdout.contains("passed at attempt 2 ("), "{}", finished.stdout);
    assert!(finished.stdout.contains("went into attempts that were repeated"), "{}", finished.stdout);
    assert!(run.schedule.is_some());

    // The second run has learned: nothing is killed any more.
    let finished = project.xtask(&["ci", "-j", "4"]).within(&group).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let run = latest(&project, &finished);
    assert!(run.jobs.iter().all(|job| job.attempts.len() == 1), "{}", finished.transcript());
    let hog = run.job("hogs/a").unwrap();
    assert!(hog.attempts[0].reservation > 105 * MIB && hog.attempts[0].reservation < 130 * MIB, "{hog:#?}");
}

#[test]
fn escalation_in_a_guest_with_the_unified_hierarchy() {
    if !vm::available() {
        return;
    }
    let project = Project::new().file("items", "a\nb\nc\nd\n").jobs(&greedy("/bin/mortal"));
    let script = format!(
        "mkdir /sys/fs/cgroup/outer && echo {ROOM} > /sys/fs/cgroup/outer/memory.max\n\
         mortal enter /sys/fs/cgroup/outer/cgroup.procs xtask --project /project --state /tmp/state \
         ci -j 4 --no-progress --containment v2 > /tmp/said 2>&1\n\
         echo \"@@code $?\"\n\
         echo \"@@cpu $(sed -n 's/^usage_usec //p' /sys/fs/cgroup/outer/cpu.stat)\"\n\
         echo \"@@json $(tr -d '\\n' < /tmp/state/runs/latest/run.json)\"\n\
         cat /tmp/said\n"
    );
    let console = Guest::new(1024, &script)
        .program("/bin/xtask", &xtask_binary())
        .program("/bin/mortal", &fixtures().join("mortal-static"))
        .file("/project/ci/jobs.yaml", project.path().join("ci/jobs.yaml"))
        .file("/project/items", project.path().join("items"))
        .limit(Duration::from_secs(120))
        .boot();
    println!("{}", console.figures());
    let code = console.marked("@@code ").next().and_then(|code| code.trim().parse().ok()).unwrap_or(-1);
    let json = console.marked("@@json ").next().unwrap_or_default();
    let run: RunJson = serde_json::from_str(json).unwrap_or_else(|why| panic!("{why:#}\n{}", console.text));
    assert_eq!(run.containment, "cgroup-v2");
    // Each attempt has CPU time, and all of them have no more than the group around them, which Drydock is in too.
    let around: u64 = console.marked("@@cpu ").next().and_then(|cpu| cpu.trim().parse().ok()).unwrap_or(0);
    let of_jobs: Vec<Option<u64>> =
        run.jobs.iter().flat_map(|job| &job.attempts).map(|attempt| attempt.cpu_ms).collect();
    let all: u64 = of_jobs.iter().flatten().sum();
    assert!(of_jobs.iter().all(Option::is_some) && all > 0 && all * 1000 <= around, "{of_jobs:?} of {around} µs");
    ended_green(&run, code, &console.text);
}

#[test]
fn when_every_retry_fails_a_lower_bound_is_reported() {
    let _lock = oom_lock();
    let Some(group) = outer_group(150 * MIB) else { return };
    let mortal = text(&mortal());
    let project = Project::new().jobs(&format!(
        "jobs:\n  hog: {{run: [{mortal}, hog, \"400\"], memory: 10MiB}}\n  fine: {{run: [{mortal}, exit, \"0\"], memory: 1MiB}}\n"
    ));
    let finished = project.xtask(&["ci", "-j", "2"]).within(&group).run();
    assert_eq!(finished.code(), 5, "{}", finished.transcript());
    let run = latest(&project, &finished);
    let hog = run.job("hog").unwrap();
    assert_eq!(hog.result, "infrastructure");
    assert!(hog.attempts.last().unwrap().exclusive, "{hog:#?}");
    let needed = hog.needs_more_than.unwrap();
    assert!(needed > 100 * MIB && needed <= 150 * MIB, "{needed}");
    assert!(finished.stdout.contains("it needs more than the 1"), "{}", finished.stdout);
    // The next run knows that, and does not kill it again where there is less.
    let finished = project.xtask(&["ci", "-j", "2", "--memory", "80MiB"]).within(&group).run();
    assert_eq!(finished.code(), 5, "{}", finished.transcript());
    let hog = &latest(&project, &finished).jobs[0];
    assert_eq!((hog.result.as_str(), hog.attempts.len()), ("not-run", 0), "{hog:#?}");
    assert!(hog.because.as_ref().unwrap().contains("when it was last killed for lack of it"), "{hog:#?}");
}

#[test]
fn the_last_retry_step_is_reduced_checking() {
    let _lock = oom_lock();
    let Some(group) = outer_group(160 * MIB) else { return };
    if !need_tool("valgrind", "valgrind") {
        return;
    }
    let project = Project::new().jobs(&format!(
        "tools:\n  memcheck: {{args: [--track-origins=yes, --leak-check=no], reduced-args: [--track-origins=no]}}\n\
         jobs:\n  hog: {{run: [{}, hog, \"40\"], tool: memcheck, memory: 100MiB}}\n",
        text(&mortal())
    ));
    let finished = project.xtask(&["ci"]).within(&group).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let hog = &latest(&project, &finished).jobs[0];
    let steps: Vec<_> = hog
        .attempts
        .iter()
        .map(|attempt| (attempt.outcome.kind.as_str(), attempt.exclusive, attempt.reduced))
        .collect();
    let killed = "out-of-memory";
    assert_eq!(steps, [(killed, false, false), (killed, true, false), ("passed", true, true)], "{hog:#?}");
    assert!(
        finished.stdout.contains("with reduced checking: valgrind ran with --track-origins=no"),
        "{}",
        finished.stdout
    );
    // The peak under reduced checking does not count for the next run: it starts with twice what the job had.
    let planned = project.xtask(&["ci", "plan"]).within(&group).run();
    assert!(planned.stdout.contains("was killed"), "{}", planned.stdout);
}

#[test]
fn a_job_that_cannot_fit_is_refused_before_it_starts() {
    let project = Project::new().jobs(
        "jobs:\n  big: {run: [\"true\"], memory: 1GiB}\n  after: {needs: [big], run: [\"true\"]}\n  \
         small: {run: [\"true\"], memory: 16MiB}\n  vague: {run: [\"true\"]}\n",
    );
    let finished = project.xtask(&["ci", "--memory", "100MiB"]).run();
    assert_eq!(finished.code(), 5, "{}", finished.transcript());
    let run = latest(&project, &finished);
    let results: Vec<_> =
        run.jobs.iter().map(|job| (job.name.as_str(), job.result.as_str(), job.attempts.len())).collect();
    // A default is not knowledge about a job: that job runs, with all memory reserved.
    assert_eq!(
        results,
        [("big", "not-run", 0), ("after", "not-run", 0), ("small", "passed", 1), ("vague", "passed", 1)]
    );
    let because = "it declares 1 GiB of memory, and this run may use 100 MiB (--memory); run it on a larger \
                   machine, or raise --memory";
    assert_eq!(run.jobs[0].because.as_deref(), Some(because));
    assert!(finished.stderr.contains(because), "{}", finished.stderr);
    let planned = project.xtask(&["ci", "--dry-run", "--memory", "100MiB"]).run();
    assert!(planned.stdout.contains(&format!("would not be started: {because}")), "{}", planned.stdout);
    assert!(
        planned.stdout.contains("memory  100 MiB  (--memory)\n") && planned.stdout.contains(" free by MemAvailable")
    );
}

#[test]
fn jobs_wait_while_others_hold_the_memory() {
    let _lock = oom_lock();
    let Some(group) = outer_group(220 * MIB) else { return };
    let (program, tenant) = (text(&mortal()), marker("tenant"));
    let mut other = std::process::Command::new(&program)
        .args(["enter", &text(&group.procs()), &program, "hog", "110", "600", &tenant])
        .spawn()
        .unwrap();
    let usage = || fs::read_to_string(group.procs().with_file_name("memory.usage_in_bytes"));
    wait_for(Duration::from_secs(10), || {
        let there = !processes_with(&tenant).is_empty();
        let full = usage().map_or(there, |bytes| bytes.trim().parse::<u64>().is_ok_and(|bytes| bytes > 100 * MIB));
        (there && full).then_some(())
    })
    .expect("the tenant holds its memory");
    // Two of them hold their memory at the same time, while the third waits.
    let project = Project::new().file("items", "a\nb\nc\n").jobs(&format!(
        "defaults: {{memory: 50MiB}}\njobs:\n  hogs:\n    for-each: {{lines-of: [cat, items]}}\n    \
         run: [{program}, gather, came, \"2\", hog, \"45\", \"4\"]\n"
    ));
    // The flag promises more than there is; the guard knows better.
    let finished = project.xtask(&["ci", "-j", "3", "--memory", "200MiB"]).within(&group).run();
    for process in processes_with(&tenant) {
        Process::kill(&process);
    }
    other.wait().unwrap();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let run = latest(&project, &finished);
    assert!(run.jobs.iter().all(|job| job.attempts.len() == 1), "{}", finished.transcript());
    assert!(finished.stderr.contains("new jobs wait: "), "{}", finished.transcript());
    assert!(
        !run.pauses.is_empty() && run.pauses.iter().all(|(from, to, why)| from <= to && !why.is_empty()),
        "{:?}",
        run.pauses
    );
}

#[test]
fn a_history_is_carried_to_another_machine() {
    let declare = || Project::new().jobs("jobs:\n  sleep: {run: [sleep, \"0.3\"], memory: 64MiB}\n");
    let (there, here) = (declare(), declare());
    assert_eq!(there.xtask(&["ci"]).run().code(), 0);
    let carried = text(&there.state().join("history.jsonl"));
    let plan = |arguments: &[&str]| here.xtask(&[&["ci", "plan"], arguments].concat()).run().stdout;
    assert!(plan(&[]).contains("declared"), "{}", plan(&[]));
    assert!(plan(&["--history", &carried]).contains("1 run "), "{}", plan(&["--history", &carried]));
    assert!(!here.state().exists(), "a plan writes nothing");

    let absent = text(&there.path().join("absent.jsonl"));
    let finished = here.xtask(&["ci", "--history", &carried, "--history", &absent]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    assert!(finished.stderr.contains("no history in "), "{}", finished.stderr);
    assert!(plan(&[]).contains("2 runs"), "{}", plan(&[]));
    assert_eq!(fs::read_to_string(Path::new(&carried)).unwrap().lines().count(), 1, "the other file stays as it is");
}

#[test]
fn tune_memory_measures_what_is_saved_and_what_is_missed() {
    if !need_tool("valgrind", "valgrind") || !need_tool("cc", "gcc") {
        return;
    }
    let program = text(&mortal());
    let project = Project::new().jobs(&format!(
        "tools:\n  memcheck: {{args: [--track-origins=yes, --leak-check=full]}}\n\
         jobs:\n  count: {{run: [{program}, exit, \"0\"], tool: memcheck, memory: 300MiB}}\n  \
         plain: {{run: [\"true\"]}}\n"
    ));
    let finished = project.xtask(&["ci", "tune-memory", "count"]).run();
    assert_eq!(finished.code(), 0, "{}", finished.transcript());
    let said = &finished.stdout;
    assert!(said.starts_with("count as it is declared: ") && said.contains("9 of 9 seeded bugs found"), "{said}");
    let line = |option: &str| said.lines().find(|line| line.starts_with(&format!("{option} "))).unwrap_or_default();
    for (option, missed) in [
        ("--track-origins=no", "in reports, where undefined values come from"),
        ("--freelist-vol=1000000", "a use after free, 4 MiB of frees later"),
        ("--freelist-vol=8000000", "nothing"),
        ("--redzone-size=0", "a read 40 bytes behind a block"),
        ("--keep-stacktraces=alloc", "in reports, where blocks were freed"),
    ] {
        assert!(line(option).ends_with(missed), "{option} misses {missed}, but: {}\n{said}", line(option));
    }
    // Origins cost 100 MiB a process, whatever the job: that is measured, and what is recommended was run together.
    assert!(line("--track-origins=no").contains(" MiB "), "{said}");
    assert!(said.contains("reduced-args: [--track-origins=no]"), "{said}");
    assert!(!project.state().join("runs").exists(), "the project's own runs are left alone");

    let finished = project.xtask(&["ci", "tune-memory", "plain"]).run();
    assert_eq!(finished.code(), 2, "{}", finished.transcript());
    assert!(
        finished.stderr.contains("`plain` runs without valgrind; the options are memcheck's"),
        "{}",
        finished.stderr
    );
}

/// Each of these jobs waits until all run. With one at a time, or as many as there are processors, they would wait for ever.
#[test]
fn jobs_that_wait_for_something_get_slots_beyond_the_processors() {
    let count = std::thread::available_parallelism().map_or(1, usize::from) + 6;
    let project = Project::new().jobs(&format!(
        "defaults: {{memory: 8MiB, timeout: 3m}}\njobs:\n  waits:\n    for-each: {{glob: \"all/*\"}}\n    run: [sh, -c, \
         \"touch $DRYDOCK_SLOT; until [ $(ls | grep -c '^[0-9]') = {count} ]; do sleep 0.2; done\"]\n"
    ));
    fs::create_dir(project.path().join("all")).unwrap();
    for number in 0..count {
        fs::write(project.path().join("all").join(format!("{number}.x")), "").unwrap();
    }
    let ran = project.xtask(&["ci", "-j", &count.to_string()]).run();
    assert!(ran.code() == 0 && ran.stdout.contains(&format!("{count} jobs: {count} passed")), "{}", ran.transcript());
}
