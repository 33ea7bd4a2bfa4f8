//! A hostile surrounding: what is in the place of a file of the state, what a job does to it while the run goes on, limits and
//! directories that are inherited, and signals at any moment.

mod paths;
mod threads;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

use crate::support::{Finished, Project, RunJson, SmallDisk, marker, processes_with, text, wait_for};

/// What is where a file or directory of Drydock belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Thing {
    Link,
    DanglingLink,
    Pipe,
    Device,
    Directory,
    Foreign,
    Truncated,
    Unreadable,
    HardLink,
}

const THINGS: [Thing; 9] = [
    Thing::Link,
    Thing::DanglingLink,
    Thing::Pipe,
    Thing::Device,
    Thing::Directory,
    Thing::Foreign,
    Thing::Truncated,
    Thing::Unreadable,
    Thing::HardLink,
];

impl Thing {
    /// Puts it there. Links lead to what is in `outside`.
    fn put(self, path: &Path, outside: &Path) {
        let before = fs::read(path).unwrap_or_default();
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            // It may not be there.
            fs::remove_file(path).ok();
        }
        match self {
            Thing::Link => symlink(outside, path).unwrap(),
            Thing::DanglingLink => symlink(outside.join("made"), path).unwrap(),
            Thing::Pipe => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap(),
            Thing::Device => {
                let zero = rustix::fs::makedev(1, 5);
                let made = rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o600), zero);
                if made.is_err() {
                    // Only root can make a device.
                    symlink("/dev/zero", path).unwrap();
                }
            }
            Thing::Directory => fs::create_dir(path).unwrap(),
            Thing::Foreign => fs::write(path, b"\0\xffnot what Drydock writes\n").unwrap(),
            Thing::Truncated => fs::write(path, &before[..before.len() / 2]).unwrap(),
            Thing::Unreadable => {
                fs::write(path, before).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
            }
            Thing::HardLink => fs::hard_link(outside.join("theirs"), path).unwrap(),
        }
    }
}

/// A directory with one file, and a way to tell whether anything changed in it.
struct Outside(PathBuf);

impl Outside {
    fn new(project: &Project) -> Outside {
        let outside = project.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("theirs"), "theirs").unwrap();
        Outside(outside)
    }

    #[track_caller]
    fn is_untouched(&self, what: &str) {
        let names: Vec<_> = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["theirs"], "{what}: something was written outside");
        assert_eq!(fs::read(self.0.join("theirs")).unwrap(), b"theirs", "{what}: a file outside was written");
    }
}

#[track_caller]
fn ends(finished: &Finished, codes: &[i32], what: &str) {
    assert!(codes.contains(&finished.code()), "{what}: right is {codes:?}, not {}", finished.transcript());
    assert!(!finished.stderr.contains("panicked"), "{what}: {}", finished.transcript());
}

/// Each file and directory of the state is replaced by each thing, before a run and before a resumed one.
#[test]
fn whatever_is_in_the_way_in_the_state_directory_no_call_hangs_or_writes_outside() {
    let names = [
        "",
        "runs",
        "lock",
        "history.jsonl",
        ".gitignore",
        "runs/latest",
        "runs/latest/plan.json",
        "runs/latest/journal.jsonl",
        "runs/latest/run.json",
        "runs/latest/jobs",
        "runs/latest/summary.txt",
    ];
    let all = ["ci", "--no-progress"];
    for name in names {
        for thing in THINGS {
            let what = format!("{thing:?} at {name:?}");
            let project = Project::new().jobs("jobs: {one: {run: [\"true\"]}}\n");
            let outside = Outside::new(&project);
            ends(&project.xtask(&all).run(), &[0], &what);
            // The state directory itself may be a link: the user put it elsewhere.
            if name.is_empty() && thing == Thing::Link {
                continue;
            }
            let path = match name.strip_prefix("runs/latest/") {
                Some(file) => fs::canonicalize(project.state().join("runs/latest")).unwrap().join(file),
                None if name.is_empty() => project.state(),
                None => project.state().join(name),
            };
            thing.put(&path, &outside.0);
            for arguments in
                [&["ci", "--resume", "--no-progress"][..], &["ci", "report"], &["ci", "explain", "one"], &all]
            {
                let finished = project.xtask(arguments).run();
                let codes = [0, 1, 2, 4, 5];
                ends(&finished, &codes, &format!("{what}, {arguments:?}"));
                if finished.code() != 0 {
                    assert!(finished.stderr.contains("error: "), "{what}: {}", finished.transcript());
                }
            }
            if !(name.is_empty() && thing == Thing::DanglingLink) {
                outside.is_untouched(&what);
            }
        }
    }
}

/// A project of two jobs, the first of which runs a script with the run's directory as `$run`.
fn with_a_job_that(does: &str) -> (Project, Outside) {
    let script = format!("#!/bin/sh\nset -e\nroot=$PWD\nrun=$(realpath target/xtask/runs/latest)\n{does}\necho done\n");
    let project = Project::new()
        .file("job.sh", &script)
        .jobs("jobs:\n  before: {run: [\"true\"]}\n  hostile: {needs: [before], run: [sh, job.sh]}\n  after: {needs: [hostile], run: [\"true\"]}\n");
    let outside = Outside::new(&project);
    (project, outside)
}

/// The results of all jobs of the last run, from `run.json` and from the journal.
fn results(project: &Project) -> Vec<String> {
    let from_file: Vec<String> = RunJson::latest(&project.state())
        .unwrap()
        .jobs
        .iter()
        .map(|job| format!("{} {}", job.name, job.result))
        .collect();
    let reported = project.xtask(&["ci", "report"]).run();
    assert_eq!(reported.code(), 0, "{}", reported.transcript());
    let replayed: Vec<String> = RunJson::latest(&project.state())
        .unwrap()
        .jobs
        .iter()
        .map(|job| format!("{} {}", job.name, job.result))
        .collect();
    assert_eq!(from_file, replayed, "the journal tells something else");
    from_file
}

#[test]
fn a_job_that_changes_the_journal_is_reported_and_nothing_is_lost() {
    for (does, told) in [
        (": > $run/journal.jsonl", "the journal has "),
        ("truncate -s 100 $run/journal.jsonl", "the journal has "),
        (
            "echo '{\"at\":1,\"event\":{\"kind\":\"run-ended\",\"result\":\"passed\"}}' >> $run/journal.jsonl",
            "the journal has ",
        ),
        ("rm $run/journal.jsonl", "the journal was deleted"),
        (
            "mv $run/journal.jsonl mine; ln -s $root/outside/theirs $run/journal.jsonl",
            "the journal was replaced by another file",
        ),
        ("cp $run/journal.jsonl mine; mv mine $run/journal.jsonl", "the journal was deleted"),
        ("printf XXXX | dd of=$run/journal.jsonl conv=notrunc status=none", "the journal was overwritten"),
        ("echo '{}' > $run/plan.json", "plan.json was changed while the run went on"),
        ("rm $run/plan.json; ln -s $root/outside/theirs $run/plan.json", "plan.json was changed while the run went on"),
    ] {
        let (project, outside) = with_a_job_that(does);
        let finished = project.xtask(&["ci", "--no-progress"]).run();
        ends(&finished, &[0], does);
        assert!(finished.stderr.contains(told), "{does}: {}", finished.transcript());
        assert_eq!(results(&project), ["before passed", "hostile passed", "after passed"], "{does}");
        outside.is_untouched(does);
    }
}

#[test]
fn a_job_that_replaces_the_runs_directory_is_reported_and_nothing_is_written_elsewhere() {
    for does in [
        "mv $run away; ln -s $root/outside $run",
        "mv $run away",
        "rm -r $run",
        "rm -r target",
        "mv $run away; mkdir $run",
        "mv $run away; echo > $run",
    ] {
        let (project, outside) = with_a_job_that(does);
        let finished = project.xtask(&["ci", "--no-progress"]).run();
        ends(&finished, &[5], does);
        assert!(
            finished.stderr.contains("the run's directory was moved, deleted or replaced"),
            "{}",
            finished.transcript()
        );
        assert!(finished.stderr.contains("all that is known of the run"), "{}", finished.transcript());
        outside.is_untouched(does);
        assert_eq!(results(&project), ["before passed", "hostile passed", "after not-run"], "{does}");
        // The other run goes on from what is known.
        fs::write(project.path().join("job.sh"), "").unwrap();
        ends(&project.xtask(&["ci", "--resume", "--no-progress"]).run(), &[0], does);
        assert_eq!(results(&project), ["before passed", "hostile passed", "after passed"], "{does}");
    }
}

#[test]
fn a_job_that_replaces_the_directory_of_the_next_job_makes_nothing_elsewhere() {
    let (project, outside) = with_a_job_that("mkdir -p $run/jobs; ln -s $root/outside $run/jobs/after");
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, &[5], "a link");
    assert!(finished.stderr.contains("jobs/after: not a directory"), "{}", finished.transcript());
    outside.is_untouched("a link");
}

#[test]
fn a_state_directory_that_cannot_be_written_is_an_error() {
    let project = Project::new().jobs("jobs: {one: {run: [\"true\"]}}\n");
    let scratch = tempfile::tempdir().unwrap();
    let read_only = SmallDisk::mount(4);
    let places = [
        Some((PathBuf::from("/proc/self"), vec![4, 5])),
        Some((scratch.path().join("x\u{1b}[31m"), vec![0])),
        read_only.as_ref().map(|disk| (disk.path().join("state"), vec![0])),
    ];
    for (place, codes) in places.into_iter().flatten() {
        let finished = project.xtask(&["--state", &text(&place), "ci", "--no-progress"]).run();
        ends(&finished, &codes, &place.display().to_string());
    }
}

/// A call by way of a shell that sets the surrounding up.
fn through(project: &Project, before: &str, arguments: &[&str]) -> Finished {
    project.xtask(arguments).through(&["bash", "-c", &format!("{before}; {{call}}")]).run()
}

#[test]
fn limits_and_directories_of_the_caller_neither_hang_nor_end_a_run_wrongly() {
    let run = ["ci", "--no-progress", "-j", "4"];
    for (before, codes) in [
        ("mkdir gone; cd gone; rmdir ../gone", &[0][..]),
        ("unset HOME TMPDIR PATH_INFO; cd /", &[0]),
        ("export HOME=/nowhere TMPDIR=/nowhere XDG_RUNTIME_DIR=/nowhere", &[0]),
        ("ulimit -n 40", &[0]),
        ("ulimit -n 12", &[0, 5]),
        ("ulimit -n 4", &[0, 5]),
        ("ulimit -n $(ulimit -Hn)", &[0]),
        ("ulimit -f 8", &[0, 5]),
        ("ulimit -f 0", &[4, 5]),
        ("ulimit -c unlimited", &[0]),
        ("ulimit -s unlimited", &[0]),
        ("ulimit -t 1000", &[0]),
        ("umask 777", &[0]),
        ("umask 000", &[0]),
        ("exec <&- >&- 2>&-", &[0]),
        ("exec >/dev/full 2>/dev/full", &[0]),
        ("trap '' INT TERM HUP QUIT PIPE CHLD USR1 TSTP TTIN TTOU", &[0]),
    ] {
        let items: String =
            (0..8).map(|number| format!("  j{number}: {{run: [sh, -c, \"echo x; umask\"]}}\n")).collect();
        let project = Project::new().jobs(&format!("jobs:\n{items}"));
        let finished = through(&project, before, &run);
        ends(&finished, codes, before);
        if finished.code() == 0 {
            let log = fs::read_to_string(project.state().join("runs/latest/jobs/j7/1/log")).unwrap();
            assert_eq!(log, "x\n0022\n", "{before}");
        }
    }
}

#[test]
fn a_job_that_changes_the_log_of_another_is_reported() {
    for does in [
        ": > $run/jobs/before/1/log",
        "echo more >> $run/jobs/before/1/log",
        "rm $run/jobs/before/1/log",
        "cp $run/jobs/before/1/log mine; mv mine $run/jobs/before/1/log",
        "rm $run/jobs/before/1/log; ln -s $root/outside/theirs $run/jobs/before/1/log",
    ] {
        let (project, outside) = with_a_job_that(does);
        let finished = project.xtask(&["ci", "--no-progress"]).run();
        ends(&finished, &[0], does);
        let told = "the log of before was changed or deleted after the job ended";
        // A file without a byte cannot be cut.
        let changed = !does.starts_with(':');
        assert_eq!(finished.stderr.contains(told), changed, "{does}: {}", finished.transcript());
        outside.is_untouched(does);
    }
}

/// A container that is frozen and thawed, Ctrl-Z and `fg`: the time between is nobody's.
#[test]
fn a_run_that_was_stopped_as_a_whole_goes_on_and_nothing_times_out() {
    let mark = marker("counts");
    let script = "until [ -e go ]; do sleep 0.1; done\n";
    let project = Project::new()
        .file("job.sh", script)
        .jobs(&format!("jobs: {{counts: {{run: [sh, job.sh, {mark}], timeout: 12s}}}}\n"));
    let mut running = project.xtask(&["ci", "--no-progress"]).spawn();
    let job = running.wait_for(Duration::from_secs(60), || processes_with(&mark).into_iter().next()).unwrap();
    let job = rustix::process::Pid::from_raw(job.pid).unwrap();
    running.signal_main(Signal::STOP).unwrap();
    rustix::process::kill_process(job, Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(13));
    fs::write(project.path().join("go"), "").unwrap();
    rustix::process::kill_process(job, Signal::CONT).unwrap();
    running.signal_main(Signal::CONT).unwrap();
    ends(&running.wait(), &[0], "stopped");
}

/// All cgroups with the identifier of a run in their name, or of a process that looked whether it can make one.
fn groups() -> Vec<PathBuf> {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].map(PathBuf::from);
    let below = roots.iter().flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
    below
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("drydock-2")))
        .collect()
}

/// Signals at moments that are spread over a whole run, from the first on.
#[test]
fn a_signal_at_any_moment_ends_with_9_and_leaves_nothing() {
    const TRIES: u64 = 60;
    let signals = [
        Signal::HUP,
        Signal::INT,
        Signal::TERM,
        Signal::QUIT,
        Signal::USR1,
        Signal::USR2,
        Signal::ALARM,
        Signal::XCPU,
        Signal::PROF,
        Signal::VTALARM,
        Signal::POWER,
        Signal::IO,
        Signal::STKFLT,
    ];
    let mark = marker("job");
    let (mut interrupted, mut early, mut late) = (0, 0, 0);
    for number in 0..TRIES {
        let project = Project::new().jobs(&format!(
            "jobs:\n  listed: {{for-each: {{lines-of: [seq, \"6\"]}}, run: [sh, -c, \"sleep 0.02; : {mark}\", {mark}]}}\n"
        ));
        let running = project.xtask(&["ci", "--no-progress", "-j", "2"]).spawn();
        // Most of what there is to disturb happens in the first moments.
        let moment = Duration::from_micros(number * number * 60);
        std::thread::sleep(moment);
        let signal = signals[usize::try_from(number).unwrap() % signals.len()];
        let sent = running.signal_main(signal).is_ok();
        let finished = running.wait();
        let what = format!("{signal:?} after {moment:?}");
        let state = project.state();
        match finished.code() {
            9 => interrupted += 1,
            // It came before this program's first statement, when there is nothing to leave.
            code if code == -signal.as_raw() => {
                assert!(!state.exists(), "{what}: {}", finished.transcript());
                early += 1;
            }
            // It came when all was done.
            0 => {
                assert!(
                    !sent || RunJson::latest(&state).is_ok_and(|run| run.result.as_deref() == Some("passed")),
                    "{what}"
                );
                late += 1;
            }
            code => panic!("{what}: exit {code}: {}", finished.transcript()),
        }
        let left = processes_with(&mark);
        assert!(left.is_empty(), "{what}: {left:?}");
        let ids: Vec<_> =
            fs::read_dir(state.join("runs")).into_iter().flatten().flatten().map(|run| run.file_name()).collect();
        let own = |group: &PathBuf| ids.iter().any(|id| group.ends_with(format!("drydock-{}", id.to_string_lossy())));
        let left: Vec<_> = groups().into_iter().filter(own).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
    }
    println!("{interrupted} interrupted, {early} before the first statement, {late} after the end");
    assert!(interrupted > TRIES / 3, "{interrupted} interrupted, {early} early, {late} late");
}

#[test]
fn a_listing_that_never_ends_is_ended() {
    let mark = marker("list");
    let project = |command: &str, timeout: &str| {
        Project::new().jobs(&format!(
            "jobs: {{list: {{timeout: {timeout}, for-each: {{lines-of: [{command}]}}, run: [\"true\"]}}}}\n"
        ))
    };
    for (command, words) in [
        ("cat, /dev/zero".to_owned(), "printed more than 16 MiB"),
        ("\"yes\"".to_owned(), "printed more than 16 MiB"),
        (format!("sh, -c, \"sleep 1000 & sleep 1000; : {mark}\", {mark}"), "did not end within 0.3s"),
        (format!("sh, -c, \"exec cat /dev/zero >&2; : {mark}\", {mark}"), "did not end within 0.3s"),
    ] {
        let timeout = if words.contains("within") { "300ms" } else { "60s" };
        let finished = project(&command, timeout).xtask(&["ci", "--dry-run"]).run();
        ends(&finished, &[3], &command);
        assert!(finished.stderr.contains(words), "{}", finished.transcript());
    }
    // Its standard input is empty.
    ends(&project("sh, -c, \"cat; echo x\"", "60s").xtask(&["ci", "--dry-run"]).run(), &[0], "cat");
    // A signal ends it with the call, whatever the signal.
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::USR1] {
        let project = project(&format!("sh, -c, \"sleep 1000 & sleep 1000; : {mark}\", {mark}"), "60s");
        let mut running = project.xtask(&["ci", "--dry-run"]).spawn();
        let started = running.wait_for(Duration::from_secs(60), || (!processes_with(&mark).is_empty()).then_some(()));
        assert!(started.is_some());
        running.signal_main(signal).unwrap();
        ends(&running.wait(), &[9], &format!("{signal:?}"));
        let gone = wait_for(Duration::from_secs(10), || processes_with(&mark).is_empty().then_some(()));
        assert!(gone.is_some(), "{:?}", processes_with(&mark));
    }
}
