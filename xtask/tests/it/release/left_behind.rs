//! Nothing stays behind: what generators, rebuilds and proofs start ends with the command, whatever ends it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use super::fixture::commit;
use crate::support::{Project, git, need_tools, text, wait_for, xtask_binary};

/// Ways to leave a process behind. `DAEMON` is a command that creates `FILE` and sleeps for an hour: whatever waited for it would
/// not end before the limit of the test.
const DAEMONS: [(&str, &str); 7] = [
    ("with open outputs", "DAEMON &"),
    ("with closed outputs", "DAEMON >/dev/null 2>&1 </dev/null &"),
    ("in another session", "setsid DAEMON &"),
    ("twice forked, without its environment", "env -i setsid sh -c '(DAEMON &) &' &"),
    ("deaf to signals", "sh -c 'trap \"\" TERM HUP INT QUIT USR1; DAEMON' &"),
    ("stopped", "sh -c 'DAEMON & until [ -e FILE ]; do :; done; kill -STOP $! $$' &"),
    ("in namespaces of its own", "unshare --user --map-root-user --pid --fork DAEMON || DAEMON &"),
];

/// A directory for everything of a test: a process that has its name in its command line belongs to the test.
struct Place {
    directory: TempDir,
    project: Project,
}

impl Place {
    /// A project whose generator and whose offline build run these scripts. `RUN` in them is a directory that is empty when they
    /// start.
    fn new(generator: &str, build: &str) -> Place {
        let directory = tempfile::Builder::new().prefix("drydock-left-").tempdir().unwrap();
        let run = text(&directory.path().join("run"));
        fs::create_dir(&run).unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        let script = |text: &str| format!("#!/bin/sh\nset -e\nrm -f {run}/*\n{}\n", text.replace("RUN", &run));
        let declaration = "name: p\nversion: {}\narchives: [{format: tar.gz}]\n\
             source: {derived: {gen: {run: [./gen.sh], inputs: [in], outputs: [out]}}}\n\
             offline-proof: {build: [sh, build.sh]}\n";
        let project = Project::within(directory.path())
            .file("packaging/release.yaml", declaration)
            .file("in", "input\n")
            .file("gen.sh", &script(&format!("cp in out\n{generator}")))
            .file("build.sh", &script(build));
        fs::set_permissions(project.path().join("gen.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        git(project.path(), &["init", "-q"]);
        commit(&project);
        Place { directory, project }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn xtask(&self, arguments: &[&str]) -> crate::support::Xtask {
        let copy = self.path("program");
        let call = self.project.xtask(arguments).env("TMPDIR", &text(&self.path("tmp")));
        if copy.exists() { call.program(&copy) } else { call }
    }

    /// The living processes of the test, by command line or by environment, as supervisors: their pids and command lines.
    fn processes(&self) -> Vec<(i32, String)> {
        let name = text(self.directory.path());
        let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let all = pids.filter_map(|pid: i32| {
            let read = |file: &str| fs::read(format!("/proc/{pid}/{file}"));
            let [line, environment] = [read("cmdline").ok()?, read("environ").unwrap_or_default()]
                .map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
            (line.contains(&name) || environment.contains(&name)).then_some((pid, line))
        });
        all.collect()
    }

    /// Fails if a process is left now or, after Drydock itself was killed, does not end by itself. It is ended in any case.
    #[track_caller]
    fn nothing_left(&self, killed: bool, what: &str) {
        if killed {
            wait_for(Duration::from_secs(10), || self.processes().is_empty().then_some(()));
        }
        let left = self.processes();
        for (pid, _) in &left {
            Command::new("kill").args(["-9", &pid.to_string()]).output().unwrap();
        }
        assert!(left.is_empty(), "{what} leaves {left:#?}");
    }
}

/// A script that starts these daemons, and goes on when all of them run.
fn daemons<'a>(scripts: impl IntoIterator<Item = &'a str>) -> String {
    let (mut text, mut count) = (String::new(), 0);
    for script in scripts {
        let file = format!("RUN/{count}");
        let python = format!("python3 -c \"import time; open(\\\"{file}\\\", \\\"w\\\"); time.sleep(3600)\"");
        text.push_str(&format!("{}\n", script.replace("DAEMON", &python).replace("FILE", &file)));
        count += 1;
    }
    format!("{text}until [ $(ls RUN | wc -l) -ge {count} ]; do sleep 0.02; done\n")
}

fn tools() -> bool {
    need_tools(&[("git", "git"), ("python3", "python3"), ("unshare", "util-linux"), ("setsid", "util-linux")])
}

#[test]
fn daemons_end_with_their_command_and_change_no_exit_code() {
    if !tools() {
        return;
    }
    let all = daemons(DAEMONS.map(|(_, script)| script));
    let place = Place::new(&all, &all);
    let built = place.xtask(&["release", "build"]).run();
    place.nothing_left(false, "release build");
    assert_eq!(built.code(), 0, "{}", built.transcript());
    assert!(!built.stderr.contains("retrying with the real clock"), "faketime waited: {}", built.transcript());
    // The varied rebuild runs the generator, and the offline proof the build.
    let proved = place.xtask(&["release", "prove"]).run();
    place.nothing_left(false, "release prove");
    assert_eq!(proved.code(), 0, "{}", proved.transcript());

    let failing = Place::new(&format!("{all}echo broken >&2\nexit 3"), "");
    let built = failing.xtask(&["release", "build"]).run();
    failing.nothing_left(false, "a generator that fails");
    assert_eq!(built.code(), 1, "{}", built.transcript());
    let words = "the generator gen failed: `./gen.sh` ended with exit status: 3: broken";
    assert!(built.stderr.contains(words), "{}", built.transcript());
}

/// Surroundings of Drydock: commands that execute `{call}`.
const AS_IT_IS: &[&str] = &["sh", "-c", "exec {call}"];
const ORDINARY: &[&str] =
    &["sh", "-c", "HOME=/nonexistent exec setpriv --reuid=65534 --regid=65534 --clear-groups -- {call}"];
/// The kernel refuses every user namespace below.
const WITHOUT_NAMESPACES: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 >/proc/sys/user/max_user_namespaces && ! unshare --user true 2>/dev/null && exec {call}",
];
/// And Drydock has no capability with which it could do without.
const WITHOUT_ANYTHING: &[&str] = &[
    "unshare",
    "--user",
    "--map-root-user",
    "sh",
    "-c",
    "echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all -- {call}",
];

/// Sends a signal while a command waits with daemons that ignore signals, and fails if anything is left. `group` sends it to
/// all processes that the terminal would send it to.
#[track_caller]
fn interrupt(place: &Place, arguments: &[&str], around: &[&str], signal: Signal, group: bool) {
    let what = format!("{arguments:?} in {around:?} with {signal:?}");
    fs::remove_file(place.path("run/0")).ok();
    let mut running = place.xtask(arguments).through(around).spawn();
    let began = running.wait_for(Duration::from_secs(60), || place.path("run/waits").exists().then_some(()));
    if began.is_none() {
        panic!("{what}: {}", running.wait().transcript());
    }
    if group { running.signal(signal) } else { running.signal_main(signal) }.unwrap();
    let ended = running.wait();
    let killed = signal == Signal::KILL;
    place.nothing_left(killed, &what);
    assert_eq!(ended.code(), if killed { -9 } else { 9 }, "{what}: {}", ended.transcript());
    fs::remove_file(place.path("run/waits")).unwrap();
}

#[test]
fn whatever_ends_the_command_ends_what_it_started() {
    if !tools() {
        return;
    }
    let [open, _, _, forked, deaf, _, _] = DAEMONS.map(|(_, script)| script);
    let waits = format!("{}touch RUN/waits\nwhile :; do sleep 1000 || :; done\n", daemons([open, forked, deaf]));

    let place = Place::new(&waits, "");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::KILL] {
        interrupt(&place, &["release", "build"], AS_IT_IS, signal, false);
    }
    for around in [WITHOUT_NAMESPACES, WITHOUT_ANYTHING] {
        for signal in [Signal::TERM, Signal::KILL] {
            interrupt(&place, &["release", "build"], around, signal, false);
        }
    }
    // What a service manager and a terminal do.
    interrupt(&place, &["release", "build"], AS_IT_IS, Signal::INT, true);
    interrupt(&place, &["release", "build"], AS_IT_IS, Signal::KILL, true);
    if rustix::process::geteuid().is_root() && need_tools(&[("setpriv", "util-linux")]) {
        // The directory of this build may be closed to others.
        fs::copy(xtask_binary(), place.path("program")).unwrap();
        fs::set_permissions(place.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let owned = Command::new("chown").args(["-R", "65534:65534", &text(place.directory.path())]).status().unwrap();
        assert!(owned.success());
        for signal in [Signal::TERM, Signal::KILL] {
            interrupt(&place, &["release", "build"], ORDINARY, signal, false);
        }
    }

    // The generator waits only in the varied rebuild, which has a home directory of its own.
    let place = Place::new(&format!("case $HOME in *rebuild*) ;; *) exit;; esac\n{waits}"), "");
    for (around, signal, group) in [
        (AS_IT_IS, Signal::TERM, false),
        (AS_IT_IS, Signal::KILL, false),
        (AS_IT_IS, Signal::KILL, true),
        (WITHOUT_NAMESPACES, Signal::KILL, false),
    ] {
        interrupt(&place, &["release", "prove"], around, signal, group);
    }

    let place = Place::new("", &waits);
    for (around, signal) in [
        (AS_IT_IS, Signal::INT),
        (AS_IT_IS, Signal::KILL),
        (WITHOUT_NAMESPACES, Signal::TERM),
        (WITHOUT_NAMESPACES, Signal::KILL),
    ] {
        interrupt(&place, &["release", "prove"], around, signal, false);
    }
}
