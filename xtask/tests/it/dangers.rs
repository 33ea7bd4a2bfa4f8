//! What a machine does beyond killing one process of one job: it kills Drydock with the job, slows the job down, swaps
//! it out, or dies itself. All of it in virtual machines.

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::support::{AttemptJson, Project, RunJson, fixtures, need_tool, xtask_binary};
use crate::vm::{self, Console, Guest, Hierarchy};

mod systemd;

const MIB: u64 = 1 << 20;

/// The jobs of all scenarios; each run selects its own.
const JOBS: &str = "\
    defaults: {timeout: 10m, grace: 1s, memory: 8MiB}\n\
    jobs:\n\
    \x20 hog: {run: [/bin/mortal, hog, \"300\"]}\n\
    \x20 crawl: {run: [/bin/mortal, hog, \"200\"], timeout: 8s}\n\
    \x20 calm: {run: [/bin/mortal, sleep, \"600\"], timeout: 2s}\n\
    \x20 swap: {run: [/bin/mortal, hog, \"200\"]}\n\
    \x20 swapped: {run: [/bin/mortal, hog, \"200\", \"600\"], timeout: 20s}\n\
    \x20 limited: {run: [/bin/mortal, hog, \"120\"], memory-limit: 60MiB}\n\
    \x20 ended: {run: [/bin/mortal, count, /disk/ended]}\n\
    \x20 in-flight: {needs: [ended], run: [/bin/mortal, sleep-once, /disk/in-flight, \"600\"]}\n\
    \x20 later: {needs: [in-flight], run: [/bin/mortal, count, /disk/later]}\n";

fn guest(script: &str) -> Guest {
    // The file is read when the guest boots, so it must still be there.
    static PROJECT: OnceLock<Project> = OnceLock::new();
    let project = PROJECT.get_or_init(|| Project::new().jobs(JOBS));
    let functions = "\
        said() { echo \"@@$1 code $2\"; tr -d '\\n' < /tmp/$1/runs/latest/run.json | sed \"s/^/@@$1 json /\"; echo; }\n\
        ci() { name=$1; shift; xtask --project /project --state /tmp/$name ci \"$@\" --no-progress; said $name $?; }\n\
        in_group() { group=/sys/fs/cgroup/$1; shift; mortal enter $group/cgroup.procs xtask --project /project \"$@\"; }\n";
    Guest::new(1024, &format!("{functions}{script}"))
        .program("/bin/xtask", &xtask_binary())
        .program("/bin/mortal", &fixtures().join("mortal-static"))
        .file("/project/ci/jobs.yaml", project.path().join("ci/jobs.yaml"))
}

/// The run kept in `/tmp/NAME` of the guest, with the exit code of its last call.
#[track_caller]
fn run_of(console: &Console, name: &str) -> (RunJson, i32) {
    let marked = |what: &str| console.marked(&format!("@@{name} {what} ")).last().map(str::to_owned);
    let json = marked("json").unwrap_or_else(|| panic!("{name} has no run.json\n{}", console.text));
    let run = serde_json::from_str(&json).unwrap_or_else(|why| panic!("{name}: {why}\n{}", console.text));
    let code = marked("code").and_then(|code| code.trim().parse().ok()).unwrap_or(-1);
    (run, code)
}

#[track_caller]
fn attempt<'a>(run: &'a RunJson, job: &str, number: usize, console: &Console) -> &'a AttemptJson {
    let attempt = run.job(job).and_then(|job| job.attempts.get(number - 1));
    attempt.unwrap_or_else(|| panic!("{job} has no attempt {number}: {run:#?}\n{}", console.text))
}

#[track_caller]
fn says(attempt: &AttemptJson, words: &str) {
    assert!(attempt.reasons.iter().any(|reason| reason.contains(words)), "{words:?} is not in {attempt:#?}");
}

#[test]
fn a_cgroup_that_is_killed_as_a_whole_takes_drydock_along_only_without_cgroups_of_its_own() {
    if !vm::available() {
        return;
    }
    let console = guest(
        "pod=/sys/fs/cgroup/pod; mkdir $pod; echo 160M > $pod/memory.max; echo 1 > $pod/memory.oom.group\n\
         in_group pod --state /tmp/plan ci plan hog --containment none | sed 's/^/@@plan-none /'\n\
         in_group pod --state /tmp/plan ci plan hog --containment v2 | sed 's/^/@@plan-v2 /'\n\
         in_group pod doctor ci | sed 's/^/@@doctor /'\n\
         in_group pod --state /tmp/none ci hog --containment none --no-progress 2>&1 | sed 's/^/@@first /'\n\
         ci none --resume --containment none\n\
         in_group pod --state /tmp/v2 ci hog --containment v2 --no-progress; said v2 $?\n\
         grep oom_group_kill $pod/memory.events | sed 's/^/@@events /'\n",
    )
    .boot();
    println!("{}", console.figures());
    let lines = |mark: &str| console.marked(&format!("@@{mark} ")).collect::<Vec<_>>().join("\n");
    let takes_along = "`memory.oom.group` is set for /sys/fs/cgroup/pod: when its limit of 160 MiB is reached, the \
                       kernel kills Drydock with the jobs";
    assert!(lines("plan-none").contains(&format!("danger  {takes_along}")), "{}", console.text);
    assert!(lines("plan-v2").contains("the jobs of this run get a lower limit"), "{}", console.text);
    assert!(!lines("plan-v2").contains("kills Drydock"), "{}", console.text);
    assert!(lines("doctor").contains("danger   `memory.oom.group` is set for /sys/fs/cgroup/pod"), "{}", console.text);
    assert!(lines("first").contains(&format!("warning: {takes_along}")), "{}", console.text);

    // Without cgroups of its own it dies, and a later call finds out why. There, outside, the memory suffices.
    let (run, code) = run_of(&console, "none");
    let lost = attempt(&run, "hog", 1, &console);
    assert_eq!((lost.outcome.kind.as_str(), code), ("out-of-memory", 0), "{run:#?}\n{}", console.text);
    says(lost, "killed all processes of the cgroup /sys/fs/cgroup/pod for lack of memory (`memory.oom.group`), 1 time");
    assert_eq!(attempt(&run, "hog", 2, &console).outcome.kind, "passed");

    // With them it lives, and the kernel killed only the job: the count stays.
    let (run, code) = run_of(&console, "v2");
    assert_eq!((run.containment.as_str(), code), ("cgroup-v2", 5), "{run:#?}\n{}", console.text);
    let killed = attempt(&run, "hog", 1, &console);
    assert_eq!(killed.outcome.kind, "out-of-memory", "{killed:#?}");
    says(killed, "the exhausted limit is that of the cgroup /pod/drydock-");
    assert_eq!(lines("events"), "oom_group_kill 1", "{}", console.text);
}

#[test]
fn a_job_that_the_machine_slows_down_differs_from_one_that_waits() {
    if !vm::available() {
        return;
    }
    let console = guest(
        "slow=/sys/fs/cgroup/slow; mkdir $slow; echo 48M > $slow/memory.high\n\
         in_group slow --state /tmp/plan ci plan crawl | sed 's/^/@@plan /'\n\
         for job in crawl calm; do\n\
           in_group slow --state /tmp/$job ci $job --containment v2 --no-progress; said $job $?\n\
         done\n",
    )
    .boot();
    println!("{}", console.figures());
    let plan = console.marked("@@plan ").collect::<Vec<_>>().join("\n");
    let danger = "danger  above 48 MiB (`memory.high` of /sys/fs/cgroup/slow), the kernel slows jobs down";
    assert!(plan.contains(danger), "{}", console.text);
    let (run, code) = run_of(&console, "crawl");
    let crawl = attempt(&run, "crawl", 1, &console);
    assert_eq!((crawl.outcome.kind.as_str(), code), ("timed-out", 1), "{crawl:#?}\n{}", console.text);
    says(crawl, "the cgroup /sys/fs/cgroup/slow used more than its `memory.high` of 48 MiB");
    says(crawl, "waited for memory for ");
    let (run, _) = run_of(&console, "calm");
    let calm = attempt(&run, "calm", 1, &console);
    assert_eq!(calm.outcome.kind, "timed-out", "{calm:#?}");
    assert!(!calm.reasons.iter().any(|reason| reason.contains("memory")), "{calm:#?}");
}

#[test]
fn what_is_swapped_out_counts_as_memory_of_the_job() {
    if !vm::available() {
        return;
    }
    let swap = tempfile::NamedTempFile::new().unwrap();
    swap.as_file().set_len(600 * MIB).unwrap();
    for (hierarchy, flag, make) in [
        (Hierarchy::V2, "v2", "mkdir $outer; echo 100M > $outer/memory.max\n"),
        (
            Hierarchy::V1,
            "v1",
            "outer=/sys/fs/cgroup/memory/outer; mkdir $outer; echo 100M > $outer/memory.limit_in_bytes\n",
        ),
    ] {
        let outer = if hierarchy == Hierarchy::V1 { "memory/outer" } else { "outer" };
        let script = format!(
            "mkswap /dev/vda > /dev/null && swapon /dev/vda || exit\n\
             outer=/sys/fs/cgroup/outer\n{make}\
             for job in swap swapped limited; do\n\
               in_group {outer} --state /tmp/$job ci $job --containment {flag} --no-progress; said $job $?\n\
             done\n"
        );
        let console = guest(&script).hierarchy(hierarchy).disk(swap.path()).boot();
        println!("{}", console.figures());
        let (run, code) = run_of(&console, "swap");
        let swapped = attempt(&run, "swap", 1, &console);
        assert_eq!((swapped.outcome.kind.as_str(), code), ("passed", 0), "{flag}: {swapped:#?}\n{}", console.text);
        let (run, _) = run_of(&console, "swapped");
        let waited = attempt(&run, "swapped", 1, &console);
        assert_eq!(waited.outcome.kind, "timed-out", "{flag}: {waited:#?}\n{}", console.text);
        says(waited, " MiB of its memory was swapped out");
        // The group held at most 100 MiB of it at a time. A busy machine does not come to all 200 MiB.
        let peak = waited.peak.unwrap_or(0);
        assert!((110 * MIB..230 * MIB).contains(&peak), "{flag}: {peak}\n{}", console.text);
        // A job's own limit holds for memory and swap together.
        let (run, code) = run_of(&console, "limited");
        let limited = attempt(&run, "limited", 1, &console);
        assert_eq!(
            (limited.outcome.kind.as_str(), code),
            ("out-of-memory", 1),
            "{flag}: {limited:#?}\n{}",
            console.text
        );
    }
}

#[test]
fn a_run_goes_on_after_the_machine_died_in_the_middle_of_it() {
    if !vm::available() || !need_tool("mke2fs", "e2fsprogs") {
        return;
    }
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(64 * MIB).unwrap();
    let formatted = Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(disk.path()).status().unwrap();
    assert!(formatted.success());
    let script = |options: &str| {
        format!(
            "mkdir /disk && mount -t ext4 /dev/vda /disk && mkdir -p /disk/state && ln -s /disk/state /tmp/disk || exit\n\
             until [ -e /disk/in-flight ]; do sleep 0.2; done && sync && echo @@in-flight &\n\
             before=$(wc -c < /disk/ended)\n\
             ci disk {options} ended in-flight later --containment v2\n\
             echo \"@@count $(($(wc -c < /disk/ended) - before)) $(wc -c < /disk/later)\"\n"
        )
    };
    let boot = |options: &str| guest(&script(options)).disk(disk.path()).limit(Duration::from_secs(120));
    // Without `sync`, the file by which the job knows that it was started before may be lost with the machine.
    let first = boot("").dies_at("@@in-flight").boot();
    assert!(first.exit().is_none() && first.text.contains("@@in-flight"), "{}", first.text);
    let second = guest(&script("--resume").replace("ended in-flight later", "")).disk(disk.path()).boot();
    println!("{}\n{}", first.figures(), second.figures());
    let (run, code) = run_of(&second, "disk");
    assert_eq!(code, 0, "{run:#?}\n{}", second.text);
    let lost = attempt(&run, "in-flight", 1, &second);
    assert_eq!(lost.outcome.kind, "lost", "{lost:#?}\n{}", second.text);
    says(lost, "the machine was restarted since");
    for (job, number) in [("in-flight", 2), ("ended", 1), ("later", 1)] {
        assert_eq!(attempt(&run, job, number, &second).outcome.kind, "passed", "{job}\n{}", second.text);
    }
    assert_eq!(run.job("ended").unwrap().attempts.len(), 1, "what had ended is kept: {run:#?}");
    // What a job wrote and did not sync may be lost with the machine, so only the difference counts.
    assert_eq!(second.marked("@@count ").collect::<Vec<_>>(), ["0 1"], "{}", second.text);
}
