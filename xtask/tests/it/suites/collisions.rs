//! `ci flaky --collisions`, with tests that really disturb each other, and with innocent ones.

use crate::deb::fixture::run;
use crate::support::{Finished, Project, need_tools, text};
use serde_json::Value;

/// Holds a port for a while.
const PORT: &str = "import socket, sys, time\ns = socket.socket()\ns.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n\
                    s.bind(('127.0.0.1', int(sys.argv[1])))\ns.listen()\ntime.sleep(0.6)\n";

/// The same in C, for tests that are traced: an interpreter makes hundreds of system calls before.
const TRACED_PORT: &str = r#"
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int count, char **words) {
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(atoi(words[count - 1])), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int port = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(port, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(port, (struct sockaddr *)&at, sizeof at) || listen(port, 5)) return perror("port"), 1;
    usleep(600000);
    return 0;
}
"#;

/// The jobs with their commands.
const JOBS: &[(&str, &str)] = &[
    // The same port.
    ("port-a", "exec ./port 47811"),
    ("port-b", "exec ./port 47811"),
    ("port-other", "exec ./port 47812"),
    // The same temporary file, which one overwrites in the middle of the other.
    ("file-a", "echo a >$TMPDIR/same-file; sleep 0.3; test \"$(cat $TMPDIR/same-file)\" = a"),
    ("file-b", "echo b >$TMPDIR/same-file; sleep 0.3; test \"$(cat $TMPDIR/same-file)\" = b"),
    // The same directory of a database, which the first to end deletes.
    ("db-a", "mkdir db && echo 1 >db/table && echo 1 >db/index && sleep 0.3 && test -s db/index && rm -r db"),
    ("db-b", "mkdir db && echo 2 >db/table && echo 2 >db/index && sleep 0.3 && test -s db/index && rm -r db"),
    // One leaves what the other needs, and one what a third cannot stand.
    ("leaves", "echo 1 >left"),
    ("needs", "sleep 0.05; test -s left"),
    ("pollutes", "echo 1 >dirt"),
    ("is-clean", "test ! -e dirt"),
    // Innocent, although both append to one file, and both replace another.
    ("log-a", "echo a >>common.log; echo a >all.$$; mv all.$$ all"),
    ("log-b", "echo b >>common.log; echo b >all.$$; mv all.$$ all"),
    // Nobody else's fault.
    ("moody", "n=$(cat count); echo $((n + 1)) >count; test $((n % 3)) != 1"),
    ("broken", "exit 3"),
    ("fine", "exit 0"),
];

/// A project with the program `port`.
fn with_port() -> Project {
    let project = Project::new().file("port.c", TRACED_PORT);
    run(project.path(), &["gcc", "-O1", "-o", "port", "port.c"], &[]);
    project
}

fn declared(jobs: &[(&str, &str)]) -> String {
    let mut text = "defaults: {memory: 16MiB, pass-env: [TMPDIR]}\njobs:\n  build: {run: [touch, built]}\n".to_owned();
    for (name, command) in jobs {
        text.push_str(&format!("  {name}: {{needs: [build], run: [sh, -c, '{}']}}\n", command.replace('\'', "''")));
    }
    text
}

fn collisions(project: &Project, arguments: &[&str]) -> (Finished, Value) {
    let all = [&["ci", "flaky", "--collisions", "--format", "json"], arguments].concat();
    let finished = project.xtask(&all).run();
    let json =
        serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {}", finished.transcript()));
    (finished, json)
}

/// The groups: how, the tests, what they share first, and the lock.
fn groups(report: &Value) -> Vec<(String, String, String, String)> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().unwrap().iter().map(word).collect::<Vec<_>>().join(" ");
    let shared = |group: &Value| {
        let first = &group["shared"][0];
        if first.is_null() { String::new() } else { format!("{} {}", word(&first["kind"]), word(&first["name"])) }
    };
    let mut all: Vec<_> = report["collisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (word(&group["how"]), list(&group["tests"]), shared(group), word(&group["lock"])))
        .collect();
    all.sort();
    all
}

#[test]
fn tests_that_disturb_each_other_are_named_with_what_they_share() {
    if !need_tools(&[("strace", "strace"), ("gcc", "gcc")]) {
        return;
    }
    let temporary = tempfile::tempdir().unwrap();
    let project = with_port().file("count", "0").jobs(&declared(JOBS));
    let find = |arguments: &[&str]| {
        let all = [&["ci", "flaky", "--collisions", "--rounds", "3"], arguments].concat();
        project.xtask(&all).env("TMPDIR", &text(temporary.path())).run()
    };
    let finished = find(&["--format", "json"]);
    let report: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.transcript()));
    let file = format!("file {}/same-file", temporary.path().display());
    let lock =
        format!("{}-same-file", temporary.path().display().to_string().trim_start_matches('/').replace('/', "-"));
    let expected = [
        ("after", "pollutes is-clean", "file dirt", ""),
        ("beside", "db-a db-b", "directory db", "db"),
        ("beside", "file-a file-b", &file, &lock),
        ("beside", "port-a port-b", "port 47811", "port-47811"),
        ("needs", "leaves needs", "file left", ""),
    ];
    let expected: Vec<_> =
        expected.map(|(a, b, c, d)| (a.to_owned(), b.to_owned(), c.to_owned(), d.to_owned())).into_iter().collect();
    assert_eq!(groups(&report), expected, "{}", finished.transcript());
    assert_eq!(finished.code(), 1);
    assert_eq!(report["failing"], serde_json::json!(["broken"]));
    assert_eq!(report["flaky"][0]["test"], "moody");
    assert_eq!(report["unresolved"], serde_json::json!([]));
    assert_eq!((report["traced"].as_bool(), report["incomplete"].as_bool()), (Some(true), Some(false)));
    // The evidence is that of the kernel and that of the test.
    let port = report["collisions"].as_array().unwrap().iter().find(|group| group["lock"] == "port-47811").unwrap();
    assert!(port["failures"][0]["said"].as_str().unwrap().contains("Address already in use"), "{port}");
    assert!(port["shared"][0]["acts"].to_string().contains("bind: EADDRINUSE"), "{port}");
    let same = report["collisions"].as_array().unwrap().iter().find(|group| group["lock"] == lock).unwrap();
    assert_eq!(same["shared"][0]["variable"], "TMPDIR");
    // Nothing is left of the tests, and the project's own runs are untouched.
    for left in ["left", "dirt", "db", "common.log", "all"] {
        assert!(!project.path().join(left).exists(), "{left}");
    }
    assert!(project.path().join("built").exists() && !project.state().join("runs/latest").exists());

    // What it says to paste keeps them apart: then nothing is found.
    let finished = find(&["port-*"]);
    let said = &finished.stdout;
    assert!(said.contains("port-a and port-b share port 47811\n"), "{}", finished.transcript());
    assert!(said.contains("\njobs:\n  port-a: {locks: [port-47811]}\n  port-b: {locks: [port-47811]}"), "{said}");
    let locked = declared(JOBS)
        .replace("  port-a: {", "  port-a: {locks: [port-47811], ")
        .replace("  port-b: {", "  port-b: {locks: [port-47811], ");
    std::fs::write(project.path().join("ci/jobs.yaml"), locked).unwrap();
    let finished = find(&["port-*"]);
    assert!(
        finished.code() == 0 && finished.stdout.starts_with("0 collisions among 3 tests"),
        "{}",
        finished.transcript()
    );
}

#[test]
fn without_strace_collisions_are_found_by_running_alone_and_told_by_the_output() {
    if !need_tools(&[("python3", "python3")]) {
        return;
    }
    // The pair collides only in every other run, and the innocent are many. Then whoever has the port waits for the other,
    // however slowly a busy machine starts it.
    let waits = "import atexit, glob, os, time\nown = f'here.{os.getpid()}'\natexit.register(os.unlink, own)\n";
    let until = "for _ in range(1000):\n    if glob.glob('here.*') == [own]: break\n    time.sleep(0.01)\n";
    let port = format!("{waits}{}{until}", PORT.replace("0.6", "0.2"));
    let sometimes =
        "n=$(cat turn); echo $((1 - n)) >turn; test $n = 1 || exec sh -c \": >here.$$; exec python3 port.py 47813\"";
    let mut jobs = vec![("always", ": >here.$$; exec python3 port.py 47813"), ("sometimes", sometimes)];
    jobs.extend(["i1", "i2", "i3", "i4", "i5"].map(|name| (name, "sleep 0.3")));
    let project = Project::new()
        .file("port.py", &port)
        .file("turn", "0")
        .file("bin/strace", "#!/bin/sh\nexit 1\n")
        .jobs(&declared(&jobs));
    let broken = project.path().join("bin/strace");
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", project.path().join("bin").display(), std::env::var("PATH").unwrap());
    let finished =
        project.xtask(&["ci", "flaky", "--collisions", "--rounds", "6", "--format", "json"]).env("PATH", &path).run();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{}", finished.transcript()));
    let found: Vec<(String, String)> = groups(&report).into_iter().map(|(how, tests, ..)| (how, tests)).collect();
    assert_eq!(found, [("beside".to_owned(), "always sometimes".to_owned())], "{}", finished.transcript());
    let said = report["collisions"][0]["failures"][0]["said"].as_str().unwrap();
    assert!(said.contains("Address already in use"), "{}", finished.transcript());
    assert!(finished.stderr.contains("install strace"), "{}", finished.stderr);

    // Every limit is kept, and what was not reached is said.
    let (finished, report) = collisions(&project, &["--budget", "1ms"]);
    assert_eq!((report["incomplete"].as_bool(), finished.code()), (Some(true), 0), "{}", finished.transcript());
}
