//! One plan for several machines: planned, run in parts with state directories of their own, and merged.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::support::{Finished, Project, RunJson, git, need, text};

mod journal;
mod trace;

/// A build that all need, twelve items, one that fails until a file `fixed` is there, and one that needs a big machine.
fn project() -> Project {
    let mut project = Project::new().file(".gitignore", "target\nout\nfixed\nart\n").jobs(
        "runners:\n\
         \x20 hosted: {runs-on: ubuntu-24.04, cores: 2, memory: 1GiB, setup: 5s}\n\
         \x20 big: {runs-on: [self-hosted, big], cores: 8, memory: 8GiB, cost: 4}\n\
         defaults: {memory: 16MiB, timeout: 10m}\n\
         jobs:\n\
         \x20 build: {run: [sh, -c, \"mkdir -p out && echo built >> out/b\"]}\n\
         \x20 units:\n\
         \x20   needs: [build]\n\
         \x20   for-each: {glob: \"t/*.t\"}\n\
         \x20   run: [sh, -c, \"test -e out/b && echo says-{stem}\"]\n\
         \x20 merge: {needs: [build], run: [sh, -c, \"echo telling-42; test -e fixed\"]}\n\
         \x20 huge: {run: [\"true\"], memory: 4GiB}\n",
    );
    for number in 0..12 {
        project = project.file(&format!("t/x{number}.t"), "");
    }
    git(project.path(), &["init", "-q"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-qm", "x"]);
    project
}

#[track_caller]
fn ends(finished: &Finished, code: i32) {
    assert_eq!(finished.code(), code, "{}", finished.transcript());
}

/// A call with the state directory of a machine of that name.
fn on(project: &Project, machine: &str, args: &[&str]) -> Finished {
    let state = text(&project.path().join("target").join(machine));
    project.xtask(&[&["--state", &state, "ci"], args].concat()).run()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target)
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_plan_is_run_in_shards_and_merged_and_nothing_missing_passes() {
    let project = project();
    let art = project.path().join("art");
    let plan = text(&art.join("plan.json"));
    let shown = on(&project, "plan", &["plan", "--github", "--shards", "3"]);
    ends(&shown, 0);
    assert!(shown.stdout.contains("huge needs 4 GiB, and jobs on hosted may use 960 MiB"), "{}", shown.stdout);
    assert!(!art.exists(), "a plan that is only shown writes nothing");
    fs::create_dir(&art).unwrap();
    let made = on(&project, "plan", &["plan", "--github", "--shards", "3", "--output", &plan, "--format", "json"]);
    ends(&made, 0);
    let matrix: serde_json::Value = serde_json::from_str(&made.stdout).unwrap();
    let include = matrix["include"].as_array().unwrap();
    assert_eq!((include.len(), include[0]["shard"].as_str()), (3, Some("1/3")));
    assert_eq!(
        (include[0]["runs-on"].clone(), include[2]["runs-on"].clone()),
        ("ubuntu-24.04".into(), serde_json::json!(["self-hosted", "big"]))
    );

    let shard = |number: usize, more: &[&str]| {
        let name = format!("{number}/3");
        let output = text(&art.join(format!("s{number}")));
        on(&project, &format!("m{number}"), &[&["--shard", &name, "--plan", &plan, "--output", &output], more].concat())
    };
    let codes: Vec<i32> = (1..=3).map(|number| shard(number, &[]).code()).collect();
    let failed = codes.iter().position(|code| *code == 1).unwrap() + 1;
    assert_eq!(codes.iter().filter(|code| **code == 0).count(), 2, "{codes:?}");
    ends(&on(&project, "m1", &["--shard", "4/4", "--plan", &plan]), 2);
    ends(&on(&project, "m1", &["--shard", "1/3"]), 2);

    let merge = |dirs: &[PathBuf]| {
        let dirs: Vec<String> = dirs.iter().map(|dir| text(dir)).collect();
        let mut args: Vec<&str> = vec!["merge", "--plan", &plan];
        args.extend(dirs.iter().map(String::as_str));
        on(&project, "merged", &args)
    };
    let all: Vec<PathBuf> = (1..=3).map(|number| art.join(format!("s{number}"))).collect();
    ends(&merge(&all), 1);
    let state = project.path().join("target/merged");
    let run = RunJson::latest(&state).unwrap();
    assert_eq!((run.jobs.len(), run.job("merge").unwrap().result.as_str()), (15, "failed"));
    // It has the logs of all, and is like any other run.
    let explained = on(&project, "merged", &["explain", "merge"]);
    assert!(explained.stdout.contains("│ telling-42"), "{}", explained.transcript());
    let latest = state.join("runs/latest");
    for job in &run.jobs {
        assert!(latest.join(job.attempts[0].log.as_ref().unwrap()).is_file(), "{}", job.name);
    }
    let html = fs::read_to_string(latest.join("report.html")).unwrap();
    assert!(html.contains("says-x11") || html.contains("telling-42"));
    assert!(html.contains(">Shards<") && html.contains(">3/3<") && html.contains(">complete<"));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(latest.join("run.json")).unwrap()).unwrap();
    let shards = json["shards"].as_array().unwrap();
    assert_eq!((shards.len(), shards[2]["class"].as_str(), shards[2]["jobs"].as_u64()), (3, Some("big"), Some(1)));
    // Every attempt is in the history once, also those of the build, and once more merging adds none.
    let lines = || fs::read_to_string(state.join("history.jsonl")).unwrap().lines().count();
    assert_eq!(lines(), 16, "15 jobs, and the build twice");
    ends(&merge(&all), 1);
    assert_eq!(lines(), 16);

    // What must not pass. The failed shard is left out where the code is to be that of the trouble.
    let good = art.join(format!("s{}", if failed == 1 { 2 } else { 1 }));
    let scratch = project.path().join("target/scratch");
    let with = |change: &dyn Fn(&Path)| {
        let copied = scratch.join("s");
        copy(&good, &copied);
        change(&copied);
        let finished = merge(&[copied.clone(), art.join("s3")]);
        fs::remove_dir_all(&copied).unwrap();
        finished
    };
    let lost = with(&|_| ());
    ends(&lost, 5);
    assert!(lost.stderr.contains(&format!("no result of shard {failed}/3 (hosted)")), "{}", lost.stderr);
    let first = |dir: &Path, name: &str| {
        fs::read_dir(dir.join("jobs/units")).unwrap().next().unwrap().unwrap().path().join("1").join(name)
    };
    let tampered = with(&|dir| fs::write(first(dir, "log"), "other").unwrap());
    ends(&tampered, 7);
    assert!(tampered.stderr.contains("was cut or lengthened"), "{}", tampered.stderr);
    ends(&with(&|dir| fs::remove_file(first(dir, "log")).unwrap()), 7);
    let link = with(&|dir| {
        fs::remove_dir_all(dir.join("jobs")).unwrap();
        std::os::unix::fs::symlink("/", dir.join("jobs")).unwrap();
    });
    ends(&link, 7);
    copy(&good, &scratch.join("twice"));
    let twice = merge(&[good.clone(), scratch.join("twice"), art.join("s3")]);
    ends(&twice, 2);
    assert!(twice.stderr.contains("has 2 results, and none completes another"), "{}", twice.stderr);
    let nonsense = merge(&[project.path().join("t")]);
    ends(&nonsense, 2);
    assert!(nonsense.stderr.contains("has no journal"), "{}", nonsense.stderr);
    // A job may have the name of a command; it is run by its selector.
    ends(&project.xtask(&["ci", "run", "merge", "--dry-run"]).run(), 0);

    // A second attempt of the failed shard runs only what failed, and what that needs.
    fs::write(project.path().join("fixed"), "").unwrap();
    fs::remove_file(project.path().join("out/b")).unwrap();
    let before = text(&art.join(format!("s{failed}")));
    let (name, again) = (format!("{failed}/3"), text(&art.join("again")));
    let second = ["--shard", &name, "--plan", &plan, "--previous", &before, "--output", &again];
    let second = on(&project, "fresh", &second);
    ends(&second, 0);
    assert_eq!(fs::read_to_string(project.path().join("out/b")).unwrap(), "built\n");
    assert!(second.stderr.contains("merge runs again: its previous attempt"), "{}", second.stderr);
    assert_eq!(second.stderr.matches(" pass ").count(), 2, "{}", second.stderr);
    ends(&merge(std::slice::from_ref(&art)), 0);
    let run = RunJson::latest(&state).unwrap();
    assert!(run.jobs.iter().all(|job| job.result == "passed"));
    assert!(run.jobs.iter().all(|job| latest.join(job.attempts[0].log.as_ref().unwrap()).is_file()));
    // Of several previous attempts, the newest counts: everything has passed there. All are given as one file each.
    let previous = art.join("previous");
    fs::create_dir(&previous).unwrap();
    let file = text(&previous.join("third.tar.gz"));
    for (from, to) in [(&before, "first"), (&again, "second")] {
        copy(Path::new(from), &previous.join(to));
    }
    let third = ["--shard", &name, "--plan", &plan, "--previous", &text(&previous), "--output", &file];
    let third = on(&project, "fresh", &third);
    ends(&third, 0);
    assert!(!third.stderr.contains("runs again") && !third.stderr.contains(" pass "), "{}", third.stderr);
    // What is there twice does not matter where a later attempt completes it.
    ends(&merge(&[art.clone(), previous.clone()]), 0);
    fs::remove_dir_all(previous.join("first")).unwrap();
    fs::remove_dir_all(previous.join("second")).unwrap();
    ends(&merge(&[art.clone(), previous.clone()]), 0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let cut = merge(&[art.clone(), previous]);
    ends(&cut, 7);
    assert!(cut.stderr.contains("third.tar.gz is not used: it cannot be unpacked"), "{}", cut.stderr);
    // The previous attempt of another shard is not its own.
    let other = text(&art.join(format!("s{}", failed % 3 + 1)));
    ends(&on(&project, "fresh", &["--shard", &name, "--plan", &plan, "--previous", &other]), 2);

    // Another commit, and another declaration.
    fs::write(project.path().join("t/x0.t"), "changed").unwrap();
    git(project.path(), &["commit", "-qam", "y"]);
    let moved = on(&project, "m1", &["--shard", "1/3", "--plan", &plan]);
    ends(&moved, 2);
    assert!(moved.stderr.contains("is a plan for commit"), "{}", moved.stderr);
    let declaration = fs::read_to_string(project.path().join("ci/jobs.yaml")).unwrap();
    fs::write(project.path().join("ci/jobs.yaml"), format!("{declaration}  more: {{run: [\"true\"]}}\n")).unwrap();
    let changed = on(&project, "m1", &["--shard", "1/3", "--plan", &plan]);
    ends(&changed, 2);
    assert!(changed.stderr.contains("was made from another ci/jobs.yaml"), "{}", changed.stderr);

    // A job that no class has room for, at its place.
    fs::write(project.path().join("ci/jobs.yaml"), declaration.replace("4GiB", "40GiB")).unwrap();
    let unfit = on(&project, "plan", &["plan", "--github", "--duration", "10m"]);
    ends(&unfit, 3);
    assert!(
        unfit.stderr.contains("ci/jobs.yaml:12:3: `huge` fits no class of machines: it declares 40 GiB of memory"),
        "{}",
        unfit.stderr
    );
}

/// A build that is shared makes programs, links and a list of tests; one job without tests needs it, too.
#[test]
fn what_a_job_shares_is_built_once_and_restored_as_it_was() {
    let script = "mkdir -p out && for n in 1 2 3 4; do printf '#!/bin/sh\\necho 1..1; test -e out/lib && echo ok 1\\n' > out/t$n.t; \
                  chmod +x out/t$n.t; done; echo lib > out/real; ln -s real out/lib; echo x >> count";
    let project = Project::new().file(".gitignore", "target\nout\ncount\nart\n").file("src.c", "").jobs(&format!(
        "defaults: {{{{memory: 16MiB, timeout: 10m}}}}\n\
         jobs:\n\
         \x20 build: {{{{run: [sh, -c, \"{script}\"], share: [out]}}}}\n\
         \x20 suite: {{{{for-each: {{{{tap: \"out/*.t\", after: [build]}}}}}}}}\n\
         \x20 fresh: {{{{needs: [build], run: [sh, -c, \"test -x out/t1.t && test -L out/lib && test src.c -ot out/real\"]}}}}\n"
    ).replace("{{", "{").replace("}}", "}"));
    git(project.path(), &["init", "-q"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "-qm", "x"]);
    let art = project.path().join("art");
    fs::create_dir(&art).unwrap();
    let plan = text(&art.join("plan.json"));
    let shown = on(&project, "plan", &["plan", "--github", "--shards", "2"]);
    ends(&shown, 0);
    assert!(shown.stdout.contains("with --output, build would run first"), "{}", shown.stdout);
    assert!(!project.path().join("out").exists());
    let made = on(&project, "plan", &["plan", "--github", "--shards", "2", "--output", &plan]);
    ends(&made, 0);
    assert!(made.stdout.contains("ran for this plan, and do not run again: build"), "{}", made.stdout);

    // Another machine has a fresh checkout, at another path, whose sources are newer than what was built.
    let other = Project::within(&std::env::temp_dir());
    git(other.path(), &["init", "-q"]);
    git(other.path(), &["fetch", "-q", &text(project.path()), "HEAD"]);
    git(other.path(), &["checkout", "-q", "FETCH_HEAD"]);
    let elsewhere = other.path();
    let run = |number: &str, output: &str| {
        let output = text(&art.join(output));
        other.xtask(&["ci", "--shard", number, "--plan", &plan, "--output", &output]).run()
    };
    ends(&run("1/2", "s1"), 0);
    fs::remove_dir_all(elsewhere.join("out")).unwrap();
    ends(&run("2/2", "s2"), 0);
    assert!(!elsewhere.join("count").exists(), "nothing was built there");
    assert_eq!(fs::read_to_string(project.path().join("count")).unwrap(), "x\n");

    let merged = on(&project, "merged", &["merge", &text(&art.join("s1")), &text(&art.join("s2")), "--plan", &plan]);
    ends(&merged, 0);
    let run_json = RunJson::latest(&project.path().join("target/merged")).unwrap();
    let names: Vec<&str> = run_json.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["build", "suite/out/t1.t", "suite/out/t2.t", "suite/out/t3.t", "suite/out/t4.t", "fresh"]);
    assert!(run_json.jobs.iter().all(|job| job.result == "passed" && job.attempts.len() == 1));

    // The archive and the run of the plan are those that the plan names.
    let archive = art.join("shared.tar.gz");
    let whole = fs::read(&archive).unwrap();
    fs::write(&archive, &whole[..whole.len() - 1]).unwrap();
    let cut = run("1/2", "s3");
    ends(&cut, 7);
    assert!(cut.stderr.contains("is not the archive that the plan names"), "{}", cut.stderr);
    fs::remove_file(&archive).unwrap();
    ends(&run("1/2", "s3"), 4);
    fs::write(art.join("prepared/jobs/build/1/log"), "other").unwrap();
    let merged = on(&project, "merged", &["merge", &text(&art.join("s1")), &text(&art.join("s2")), "--plan", &plan]);
    ends(&merged, 7);

    // A job that has not made what it shares, and a build that fails: there is no plan.
    for (change, code, words) in
        [("share: [none]", 1, "has not made `none`"), ("share: [out], expect-exit: 3", 1, "there is no plan")]
    {
        let declaration = fs::read_to_string(project.path().join("ci/jobs.yaml")).unwrap();
        fs::write(project.path().join("ci/jobs.yaml"), declaration.replace("share: [out]", change)).unwrap();
        let again = text(&art.join("again").join("plan.json"));
        fs::remove_dir_all(art.join("again")).ok();
        fs::remove_dir_all(project.path().join("out")).unwrap();
        fs::create_dir(art.join("again")).unwrap();
        let failed = on(&project, "plan", &["plan", "--github", "--shards", "2", "--output", &again]);
        ends(&failed, code);
        assert!(failed.stderr.contains(words), "{}", failed.stderr);
        assert!(!Path::new(&again).exists());
        fs::write(project.path().join("ci/jobs.yaml"), declaration).unwrap();
    }
}

/// A run of one machine is looked at and rerun on another one.
#[test]
fn a_run_is_carried_in_one_file_and_rerun_elsewhere() {
    let project = project();
    ends(&project.xtask(&["ci"]).run(), 1);
    let trace = text(&project.path().join("art.trace.json"));
    ends(&project.xtask(&["ci", "export", "--format", "trace", "--output", &trace]).run(), 0);
    trace::is_read_by_perfetto(&project, &trace);
    // A rerun takes over the logs of the first run, which has its own directory.
    ends(&project.xtask(&["ci", "rerun"]).run(), 1);
    let file = text(&project.path().join("art.run.tar.gz"));
    ends(&project.xtask(&["ci", "export", "--output", &file]).run(), 0);

    let other = Project::new();
    git(other.path(), &["init", "-q"]);
    git(other.path(), &["fetch", "-q", &text(project.path()), "HEAD"]);
    git(other.path(), &["checkout", "-q", "FETCH_HEAD"]);
    fs::remove_dir_all(project.path().join("target")).unwrap();
    let call = |args: &[&str]| other.xtask(&[&["ci"], args].concat()).run();
    let explained = call(&["explain", "merge", "units/x3", "-R", &file]);
    ends(&explained, 0);
    assert!(explained.stdout.contains("│ telling-42") && explained.stdout.contains("units/x3"), "{}", explained.stdout);
    let report = call(&["report", "-R", &file]);
    ends(&report, 0);
    for path in report.stdout.lines() {
        assert!(Path::new(path).starts_with(other.path()) && Path::new(path).is_file(), "{path}");
    }
    assert!(!other.state().join("runs/latest").exists(), "the last run is one of this machine");
    assert_eq!(
        fs::read_dir(other.state().join("runs")).unwrap().count(),
        1,
        "the file is one run, however often it is named"
    );
    fs::write(other.path().join("fixed"), "").unwrap();
    ends(&call(&["rerun", "-R", &file]), 0);
    let run = RunJson::latest(&other.state()).unwrap();
    assert_eq!((run.jobs.len(), run.jobs.iter().all(|job| job.result == "passed")), (15, true));
    assert!(
        run.jobs.iter().all(|job| other
            .state()
            .join("runs/latest")
            .join(job.attempts[0].log.as_ref().unwrap())
            .is_file())
    );

    by_another_user(&project, &file);

    // Files that are cut or changed.
    let whole = fs::read(&file).unwrap();
    for length in [0, 100, whole.len() / 2, whole.len() - 12] {
        fs::write(&file, &whole[..length]).unwrap();
        ends(&call(&["explain", "merge", "-R", &file]), 7);
    }
    let unpacked = other.path().join("target/unpacked");
    fs::create_dir(&unpacked).unwrap();
    fs::write(&file, &whole).unwrap();
    let tar = |args: &[&str]| {
        assert!(std::process::Command::new("tar").args(args).current_dir(&unpacked).status().unwrap().success())
    };
    tar(&["-xzf", &file]);
    let top = fs::read_dir(&unpacked).unwrap().next().unwrap().unwrap().path();
    fs::write(top.join("jobs/merge/1/log"), "telling-43\n").unwrap();
    let name = top.file_name().unwrap().to_str().unwrap().to_owned();
    tar(&["-czf", &file, &name]);
    let changed = call(&["explain", "merge", "-R", &file]);
    ends(&changed, 7);
    assert!(changed.stderr.contains("its file `jobs/merge/1/log` was changed"), "{}", changed.stderr);
    fs::remove_file(top.join("jobs/merge/1/log")).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", top.join("jobs/merge/1/log")).unwrap();
    tar(&["-czf", &file, &name]);
    ends(&call(&["explain", "merge", "-R", &file]), 7);
}

/// The file is carried to another user, who has neither the project's owner nor the right to become root.
fn by_another_user(project: &Project, file: &str) {
    if !need(rustix::process::geteuid().is_root(), "becoming another user needs root") {
        return;
    }
    let other = Project::within(&std::env::temp_dir());
    git(other.path(), &["init", "-q"]);
    git(other.path(), &["fetch", "-q", &text(project.path()), "HEAD"]);
    git(other.path(), &["checkout", "-q", "FETCH_HEAD"]);
    let carried = text(&other.path().join("art.run.tar.gz"));
    fs::copy(file, &carried).unwrap();
    let home = text(other.path());
    let owned = std::process::Command::new("chown").args(["-R", "65534:65534", &home]).status().unwrap();
    assert!(owned.success());
    let call = |args: &[&str]| {
        let through = "exec setpriv --reuid 65534 --regid 65534 --clear-groups {call}";
        let call = other.xtask(&[&["ci"], args].concat()).env("HOME", &home);
        call.through(&["sh", "-c", through]).run()
    };
    let explained = call(&["explain", "merge", "-R", &carried]);
    ends(&explained, 0);
    assert!(explained.stdout.contains("│ telling-42"), "{}", explained.stdout);
    ends(&call(&["rerun", "-R", &carried]), 1);
    fs::write(other.path().join("fixed"), "").unwrap();
    ends(&call(&["rerun", "-R", &carried]), 0);
    let run = RunJson::latest(&other.state()).unwrap();
    assert_eq!((run.jobs.len(), run.jobs.iter().all(|job| job.result == "passed")), (15, true));
    assert_eq!(fs::metadata(other.state().join("runs/latest/journal.jsonl")).unwrap().uid(), 65534);
    // Another one, who may not write there, is told so.
    let through = "exec setpriv --reuid 65533 --regid 65533 --clear-groups {call}";
    let refused =
        other.xtask(&["ci", "rerun", "-R", &carried]).env("HOME", &home).through(&["sh", "-c", through]).run();
    assert!(refused.code() != 0 && refused.stderr.contains("Permission denied"), "{}", refused.transcript());
}
