//! Runs and what is done with them: select, rerun, resume, lock, explain, results.

use std::fs;
use std::time::Duration;

use crate::support::{Finished, Project, RunJson, mortal, text};

/// Two items that pass, one that fails until a file `fixed` is there, and one that needs it.
fn project() -> Project {
    let mortal = text(&mortal());
    Project::new().file("a.item", "").file("b.item", "").jobs(&format!(
        "defaults: {{memory: 16MiB, timeout: 5m}}\n\
         jobs:\n\
         \x20 build: {{run: [\"{mortal}\", exit, \"0\"]}}\n\
         \x20 items:\n\
         \x20   needs: [build]\n\
         \x20   for-each: {{glob: \"*.item\"}}\n\
         \x20   run: [\"{mortal}\", exit, \"0\"]\n\
         \x20 broken: {{run: [sh, -c, \"test -e fixed || {{{{ echo telling-$((40+2)); exit 1; }}}}\"]}}\n\
         \x20 after: {{needs: [broken], run: [\"true\"]}}\n"
    ))
}

#[track_caller]
fn ends(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "{}", finished.transcript());
}

fn results(project: &Project) -> Vec<(String, String, usize)> {
    let run = RunJson::latest(&project.state()).unwrap();
    run.jobs.iter().map(|job| (job.name.clone(), job.result.clone(), job.attempts.len())).collect()
}

fn row(name: &str, result: &str, attempts: usize) -> (String, String, usize) {
    (name.to_owned(), result.to_owned(), attempts)
}

#[test]
fn a_rerun_repeats_what_did_not_pass_and_keeps_the_rest() {
    let project = project();
    ends(&project.xtask(&["ci"]).run(), 1);
    assert_eq!(
        results(&project),
        [
            row("build", "passed", 1),
            row("items/a", "passed", 1),
            row("items/b", "passed", 1),
            row("broken", "failed", 1),
            row("after", "not-run", 0)
        ]
    );
    let first = RunJson::latest(&project.state()).unwrap().id;
    // A rerun of another job keeps the failure, and every report of it finds the log in the first run's directory.
    ends(&project.xtask(&["ci", "rerun", "items/a"]).run(), 1);
    let merged = RunJson::latest(&project.state()).unwrap();
    let latest = project.state().join("runs/latest");
    let log = merged.job("broken").unwrap().attempts[0].log.clone().unwrap();
    assert_eq!(log, format!("../{first}/jobs/broken/1/log"));
    assert_eq!(fs::read_to_string(latest.join(&log)).unwrap(), "telling-42\n");
    let explained = project.xtask(&["ci", "explain", "broken"]).run().stdout;
    assert!(explained.contains("│ telling-42") && explained.contains(&first), "{explained}");
    // Without a name, all that did not pass.
    let all = project.xtask(&["ci", "explain"]).run().stdout;
    assert!(all.contains("│ telling-42") && all.contains("after") && !all.contains("items/b"), "{all}");
    for file in ["junit.xml", "report.html", "summary.txt"] {
        let text = fs::read_to_string(latest.join(file)).unwrap();
        assert!(text.contains("telling-42"), "{file}: {text}");
    }
    assert!(fs::read_to_string(latest.join("report.html")).unwrap().contains(&format!("href=\"{log}\"")));

    fs::write(project.path().join("fixed"), "").unwrap();
    ends(&project.xtask(&["ci", "rerun"]).run(), 0);
    let none = project.xtask(&["ci", "explain"]).run();
    ends(&none, 0);
    assert!(none.stdout.contains("has nothing to explain: 5 jobs passed; "), "{}", none.transcript());
    let none = project.xtask(&["ci", "explain", "--format", "json"]).run();
    ends(&none, 0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&none.stdout).unwrap()["jobs"], serde_json::json!([]));
    let merged = RunJson::latest(&project.state()).unwrap();
    assert_ne!(merged.id, first);
    assert_eq!(
        results(&project),
        [
            row("build", "passed", 1),
            row("items/a", "passed", 1),
            row("items/b", "passed", 1),
            row("broken", "passed", 1),
            row("after", "passed", 1)
        ]
    );
    // Only the two ran: the others' attempts are those of the first run, and no directory was made for them.
    let directory = project.state().join("runs/latest/jobs");
    assert!(directory.join("broken/1/log").is_file() && directory.join("after/1/log").is_file());
    assert!(!directory.join("items").exists() && !directory.join("build").exists());

    let nothing = project.xtask(&["ci", "rerun"]).run();
    ends(&nothing, 2);
    assert!(nothing.stderr.contains("everything passed in run"), "{}", nothing.stderr);

    ends(&project.xtask(&["ci", "rerun", "items/a"]).run(), 0);
    let directory = project.state().join("runs/latest/jobs");
    assert!(directory.join("items/a/1/log").is_file() && !directory.join("items/b").exists());
    assert!(directory.join("build/1/log").is_file(), "what a job needs runs again with it");
    assert_eq!(results(&project).len(), 5);
}

#[test]
fn what_was_skipped_needs_no_explanation_and_did_not_pass() {
    let project = Project::new().jobs(
        "defaults: {memory: 16MiB, timeout: 5m}\njobs:\n  one: {run: [sh, -c, exit 77], skip-exit: [77]}\n  \
         two: {run: [sh, -c, 'test -e two || exit 77'], skip-exit: [77]}\n",
    );
    let explained = || {
        let finished = project.xtask(&["ci", "explain"]).run();
        ends(&finished, 0);
        finished.stdout
    };
    ends(&project.xtask(&["ci"]).run(), 0);
    assert!(explained().contains("has nothing to explain: 0 jobs passed, 2 skipped"), "{}", explained());
    fs::write(project.path().join("two"), "").unwrap();
    ends(&project.xtask(&["ci"]).run(), 0);
    assert!(explained().contains("has nothing to explain: 1 job passed, 1 skipped"), "{}", explained());
}

#[test]
fn selectors_take_along_what_a_job_needs() {
    let project = project();
    ends(&project.xtask(&["ci", "items/*"]).run(), 0);
    assert_eq!(results(&project).len(), 3);
    let unknown = project.xtask(&["ci", "itms"]).run();
    ends(&unknown, 2);
    assert!(unknown.stderr.contains("no job matches `itms`; did you mean `items`?"), "{}", unknown.stderr);
    let plan = project.xtask(&["ci", "plan", "--format", "json", "items/b"]).run();
    ends(&plan, 0);
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    let names: Vec<_> = plan["jobs"].as_array().unwrap().iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["build", "items/b"]);
}

#[test]
fn a_job_that_was_not_in_the_run_is_found_in_an_earlier_one() {
    let project = project();
    let refused = |arguments: &[&str], words: &str| {
        let finished = project.xtask(arguments).run();
        ends(&finished, 2);
        assert!(finished.stderr.contains(words), "{arguments:?}: {}", finished.stderr);
    };
    refused(&["ci", "explain", "build"], "there are no runs in ");
    ends(&project.xtask(&["ci", "items/a"]).run(), 0);
    let first = RunJson::latest(&project.state()).unwrap().id;
    ends(&project.xtask(&["ci", "build"]).run(), 0);
    let last = RunJson::latest(&project.state()).unwrap().id;
    let found = format!("run {last} has no job `items/a`; the last run that has it is {first}: add `--run {first}`");
    refused(&["ci", "explain", "items/a"], &found);
    refused(&["ci", "massif", "show", "items/a"], &format!("`items/a` does not exist as a file, and {found}"));
    ends(&project.xtask(&["ci", "explain", "items/a", "--run", &first]).run(), 0);
    let nowhere = format!("run {last} has only some of the jobs: no job matches `broken`");
    refused(&["ci", "explain", "broken"], &nowhere);
    refused(&["ci", "explain", "--run", "2026"], "there is no run `2026` in ");
    refused(&["ci", "explain", "--run", "2026"], &format!("the last run is {last}"));
}

#[test]
fn a_dry_run_touches_nothing() {
    let project = project();
    let finished = project.xtask(&["ci", "--dry-run"]).run();
    ends(&finished, 0);
    assert!(finished.stdout.contains("items/a") && finished.stdout.contains("memory  "), "{}", finished.stdout);
    assert!(!project.path().join("target").exists());
}

/// What a job is that runs until [`go`] is called, however slow this machine is.
const UNTIL_GO: &str = "run: [sh, -c, \"until [ -e go ]; do sleep 0.1; done\"], timeout: 20m";

fn go(project: &Project) {
    std::fs::write(project.path().join("go"), "").unwrap();
}

#[test]
fn one_run_at_a_time() {
    let project = Project::new().jobs(&format!("jobs:\n  slow: {{{UNTIL_GO}}}\n"));
    let mut running = project.xtask(&["ci"]).spawn();
    let started = running.wait_for(Duration::from_secs(10), || {
        project.state().join("runs/latest/jobs/slow/1/log").exists().then_some(())
    });
    assert!(started.is_some());
    let second = project.xtask(&["ci"]).run();
    ends(&second, 10);
    assert!(second.stderr.contains("another run (process "), "{}", second.stderr);
    let elsewhere = project.path().join("elsewhere").display().to_string();
    let third = project.xtask(&["--state", &elsewhere, "ci", "plan"]).run();
    ends(&third, 0);
    go(&project);
    ends(&running.wait(), 0);
}

#[test]
fn all_errors_of_an_invalid_declaration_are_reported_and_nothing_runs() {
    let project = Project::new().jobs("jobs:\n  a: {run: [\"true\"], timeuot: 2m}\n  b: {run: [], needs: [c]}\n");
    let finished = project.xtask(&["ci"]).run();
    ends(&finished, 3);
    for expected in ["jobs.yaml:2:", "did you mean `timeout`?", "jobs.yaml:3:", "`c`"] {
        assert!(finished.stderr.contains(expected), "{expected} is missing in {}", finished.stderr);
    }
    assert!(!project.path().join("target").exists());
}

#[test]
fn explain_says_what_proves_it_and_names_every_source() {
    let project = project();
    ends(&project.xtask(&["ci", "broken"]).run(), 1);
    let text = project.xtask(&["ci", "explain", "broken"]).run();
    ends(&text, 0);
    for expected in [
        "attempt 1: exit code 1",
        "+ the main process ended by itself",
        "- not out of memory",
        "cgroup",
        "/proc/vmstat",
        "kernel log",
    ] {
        assert!(text.stdout.contains(expected), "{expected} is missing in {}", text.stdout);
    }
}

#[test]
fn results_are_written_again_from_the_journal() {
    let project = project();
    ends(&project.xtask(&["ci"]).run(), 1);
    let latest = project.state().join("runs/latest");
    let before = [fs::read(latest.join("run.json")).unwrap(), fs::read(latest.join("junit.xml")).unwrap()];
    fs::remove_file(latest.join("run.json")).unwrap();
    fs::remove_file(latest.join("junit.xml")).unwrap();
    ends(&project.xtask(&["ci", "report"]).run(), 0);
    assert_eq!(fs::read(latest.join("run.json")).unwrap(), before[0]);
    assert_eq!(fs::read(latest.join("junit.xml")).unwrap(), before[1]);
    let summary = fs::read_to_string(latest.join("summary.txt")).unwrap();
    let id = RunJson::latest(&project.state()).unwrap().id;
    let head = summary.lines().next().unwrap();
    assert!(head.contains(&format!(", run {id}: At least one job failed.")), "{summary}");
    let junit = String::from_utf8(before[1].clone()).unwrap();
    assert!(junit.contains("<testsuites name=\"drydock\" tests=\"5\" failures=\"1\" errors=\"0\""), "{junit}");
    assert!(junit.contains("<testsuite name=\"after\" tests=\"1\" skipped=\"1\""), "{junit}");
    assert!(junit.contains("<skipped message=\"it needs broken, which did not pass\""), "{junit}");
}

#[test]
fn a_declared_retry_is_flaky_and_fails_only_when_asked() {
    // Fails the first time, passes the second.
    let yaml = "jobs:\n  once: {run: [mkdir, made], expect-exit: 1, retry: {attempts: 2, on: [failed]}}\n";
    let project = Project::new().jobs(yaml);
    ends(&project.xtask(&["ci"]).run(), 0);
    assert_eq!(results(&project), [row("once", "flaky", 2)]);
    fs::remove_dir(project.path().join("made")).unwrap();
    ends(&project.xtask(&["ci", "--fail-on-flaky"]).run(), 6);
}

#[test]
fn output_is_bounded_and_keeps_both_ends() {
    let mortal = text(&mortal());
    let project = Project::new().jobs(&format!(
        "jobs:\n  spam: {{run: [\"{mortal}\", spam, \"40\"], log-limit: 64KiB, timeout: 10m, memory: 16MiB}}\n"
    ));
    ends(&project.xtask(&["ci"]).run(), 0);
    let log = fs::read(project.state().join("runs/latest/jobs/spam/1/log")).unwrap();
    assert!(log.len() < 70 << 10, "{} bytes", log.len());
    assert!(String::from_utf8_lossy(&log).contains("bytes dropped here; the log limit is 64 KiB]"));
}

#[test]
fn a_child_sees_a_short_environment_and_its_own_place() {
    let yaml = "jobs:\n  env: {run: [env], env: {MINE: \"{name}\"}, pass-env: [PASSED]}\n";
    let project = Project::new().jobs(yaml);
    ends(&project.xtask(&["ci"]).run(), 0);
    let log = fs::read_to_string(project.state().join("runs/latest/jobs/env/1/log")).unwrap();
    let names: Vec<&str> = log.lines().filter_map(|line| line.split('=').next()).collect();
    for expected in ["PATH", "MINE", "DRYDOCK_JOB", "DRYDOCK_SLOT", "LC_ALL", "TZ"] {
        assert!(names.contains(&expected), "{expected} is missing in {names:?}");
    }
    assert!(log.contains("MINE=env\n") && log.contains("LC_ALL=C.UTF-8\n"));
    assert!(!names.iter().any(|name| name.starts_with("CARGO_PKG") || *name == "CARGO_MANIFEST_DIR"), "{names:?}");
}

#[test]
fn killed_twice_and_resumed_it_still_comes_to_its_end() {
    let yaml = format!(
        "defaults: {{memory: 16MiB}}\njobs:\n  quick: {{run: [\"true\"]}}\n  slow: {{needs: [quick], {UNTIL_GO}}}\n"
    );
    let project = Project::new().jobs(&yaml);
    for (call, attempt) in [(&["ci"][..], 1), (&["ci", "--resume"][..], 2)] {
        let mut running = project.xtask(call).spawn();
        let log = project.state().join(format!("runs/latest/jobs/slow/{attempt}/log"));
        assert!(
            running.wait_for(Duration::from_secs(10), || log.exists().then_some(())).is_some(),
            "attempt {attempt}"
        );
        std::thread::sleep(Duration::from_millis(300));
        running.kill().unwrap();
        running.wait();
    }
    // That the run was lost says nothing against the job: it runs once more and passes.
    go(&project);
    let finished = project.xtask(&["ci", "--resume"]).run();
    ends(&finished, 0);
    assert_eq!(results(&project), [row("quick", "passed", 1), row("slow", "passed", 3)]);
    let run = RunJson::latest(&project.state()).unwrap();
    let kinds: Vec<_> = run.job("slow").unwrap().attempts.iter().map(|attempt| attempt.outcome.kind.as_str()).collect();
    assert_eq!(kinds, ["lost", "lost", "passed"]);
}

#[test]
fn what_was_interrupted_and_resumed_is_no_flake() {
    let project = Project::new().jobs(&format!("jobs:\n  slow: {{{UNTIL_GO}, memory: 16MiB}}\n"));
    let mut running = project.xtask(&["ci"]).spawn();
    let log = project.state().join("runs/latest/jobs/slow/1/log");
    assert!(running.wait_for(Duration::from_secs(10), || log.exists().then_some(())).is_some());
    running.signal(rustix::process::Signal::INT).unwrap();
    let stopped = running.wait();
    ends(&stopped, 9);
    assert!(stopped.stdout.contains(&format!("resume with: {}", project.hint("ci --resume"))), "{}", stopped.stdout);
    go(&project);
    ends(&project.xtask(&["ci", "--resume", "--fail-on-flaky"]).run(), 0);
    assert_eq!(results(&project), [row("slow", "passed", 2)]);
}

#[test]
fn a_run_that_cannot_begin_leaves_the_last_one_in_place() {
    let project = Project::new().jobs("jobs:\n  a: {run: [\"true\"], memory: 16MiB}\n");
    ends(&project.xtask(&["ci"]).run(), 0);
    let before = RunJson::latest(&project.state()).unwrap().id;
    // At least one of the two kinds is not available, whatever this machine is.
    let mut refused = 0;
    let mut latest = before.clone();
    for kind in ["v1", "v2"] {
        let code = project.xtask(&["ci", "--containment", kind]).run().code();
        let now = RunJson::latest(&project.state()).unwrap().id;
        if code == 4 {
            refused += 1;
            assert_eq!(now, latest, "a run that was refused replaced the last one");
        } else {
            assert_eq!(code, 0, "{kind}");
            assert_ne!(now, latest, "a run that ended is the latest");
        }
        latest = now;
    }
    assert!(refused > 0, "both kinds of cgroup are available here");
    ends(&project.xtask(&["ci", "explain", "a"]).run(), 0);
}

#[test]
fn standard_error_goes_to_the_log_and_nowhere_else() {
    let project = Project::new()
        .file("talk.sh", "echo to-stdout; echo to-stderr >&2\n")
        .jobs("jobs:\n  talk: {run: [sh, talk.sh], memory: 16MiB}\n");
    let finished = project.xtask(&["ci"]).run();
    ends(&finished, 0);
    let log = fs::read_to_string(project.state().join("runs/latest/jobs/talk/1/log")).unwrap();
    assert_eq!(log, "to-stdout\nto-stderr\n");
    assert!(!finished.stdout.contains("to-std") && !finished.stderr.contains("to-std"), "{}", finished.transcript());
}

#[test]
fn a_reader_that_goes_away_ends_no_run() {
    let project = project();
    let line = format!(
        "'{}' --project '{}' ci 2>&1 | head -n 1 > /dev/null",
        text(&crate::support::xtask_binary()),
        text(project.path())
    );
    std::process::Command::new("sh").args(["-c", &line]).status().unwrap();
    assert_eq!(results(&project).len(), 5);
    assert_eq!(RunJson::latest(&project.state()).unwrap().result.as_deref(), Some("failed"));
}

#[test]
fn a_job_that_deletes_the_state_is_reported_and_does_not_count_as_a_success() {
    let project = Project::new().jobs("jobs:\n  rm: {run: [rm, -rf, target/xtask], memory: 16MiB}\n");
    let finished = project.xtask(&["ci"]).run();
    ends(&finished, 5);
    assert!(finished.stderr.contains("was moved, deleted or replaced while the run went on"), "{}", finished.stderr);
}

#[test]
fn what_memcheck_could_not_check_is_reported() {
    if !crate::support::need_tool("valgrind", "valgrind") {
        return;
    }
    let project = Project::new().file("become.sh", "exec /bin/true\n").file("kill.sh", "sleep 60 & sleep 1; kill -9 $!; exit 0\n").jobs(
        "tools: {memcheck: {system-programs: check}}\njobs:\n  become: {run: [sh, become.sh], tool: memcheck, memory: 64MiB}\n  kill: {run: [sh, kill.sh], tool: memcheck, memory: 64MiB}\n",
    );
    let finished = project.xtask(&["ci"]).run();
    ends(&finished, 0);
    let said = "! 1 job passed without being completely checked, such as kill: memcheck.";
    assert!(finished.stdout.contains(said), "{}", finished.stdout);
    assert!(finished.stdout.contains("the process was killed"), "{}", finished.stdout);
}

/// A job that could not be started would end the run.
#[test]
fn no_more_jobs_run_at_once_than_the_limit_of_open_files_suffices_for() {
    for containment in ["none", "v1"] {
        let jobs: String =
            (0..40).map(|number| format!("  j{number}: {{run: [sleep, '0.3'], memory: 1MiB}}\n")).collect();
        let project = Project::new().jobs(&format!("jobs:\n{jobs}"));
        let call = project.xtask(&["ci", "--no-progress", "-j", "300", "--containment", containment]);
        let finished = call.through(&["sh", "-c", "ulimit -n 100; exec {call}"]).run();
        if containment == "v1" && finished.code() == 4 {
            continue;
        }
        assert_eq!(finished.code(), 0, "{}", finished.transcript());
        assert!(finished.stdout.contains("40 jobs: 40 passed"), "{}", finished.transcript());
        let warned = "jobs at a time instead of 300, since this process may have 100 files open; raise `ulimit -n`";
        assert!(finished.stderr.contains(warned), "{}", finished.transcript());
    }
}

#[test]
fn colours_are_for_terminals_that_want_them() {
    let project = project();
    let terminal = ["script", "-qec", "{call}", "/dev/null"];
    for (expected, through, variables) in [
        (false, &[][..], &[][..]),
        (true, &[], &[("CLICOLOR_FORCE", "1")]),
        (false, &[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]),
        (false, &[], &[("CI", "1"), ("TERM", "xterm")]),
        (true, &terminal, &[("TERM", "xterm")]),
        (false, &terminal, &[("TERM", "xterm"), ("NO_COLOR", "1")]),
        (false, &terminal, &[("TERM", "dumb")]),
    ] {
        let command = project.xtask(&["ci", "broken", "--no-progress"]).env("CLICOLOR_FORCE", "0");
        let command = variables.iter().fold(command, |command, (name, value)| command.env(name, value));
        let finished = if through.is_empty() { command } else { command.through(through) }.run();
        let all = format!("{}{}", finished.stdout, finished.stderr);
        assert!(all.contains("exit code 1"), "{all}");
        assert_eq!(all.contains("\x1b[1;31mFAIL\x1b[0m"), expected, "{variables:?}: {all}");
        assert_eq!(all.contains("\x1b[1;31m✗ "), expected, "{variables:?}: {all}");
        assert_eq!(all.contains('\x1b'), expected, "{variables:?}: {all}");
    }
    let summary = fs::read_to_string(project.state().join("runs/latest/summary.txt")).unwrap();
    assert!(!summary.contains('\x1b'), "{summary}");
}

#[test]
fn jobs_know_whether_rustup_may_install_toolchains() {
    let project = Project::new().jobs("jobs: {told: {run: [sh, -c, 'test \"$RUSTUP_AUTO_INSTALL\" = 0']}}");
    for (value, code) in [("0", 0), ("1", 1)] {
        ends(&project.xtask(&["ci"]).env("RUSTUP_AUTO_INSTALL", value).run(), code);
    }
}
