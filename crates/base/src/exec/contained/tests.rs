//! Commands that end within their bounds, and with all that they started.

use super::*;
use crate::exec::read;

fn run(script: &str, output: u64, time: u64) -> Result<String, Error> {
    let argv = ["sh", "-c", script].map(str::to_owned);
    read_within(&argv, Path::new("/"), Bounds { output: ByteSize::kib(output), time: Duration::from_millis(time) })
}

/// `true` once no process has this pid, or it has ended.
fn is_gone(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .map_or(true, |stat| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with(['Z', 'X'])))
}

#[test]
fn a_command_ends_within_its_bounds() {
    assert_eq!(run("echo a; echo b", 1, 60_000).unwrap(), "a\nb");
    assert_eq!(run("cat; echo end", 1, 60_000).unwrap(), "end");
    assert!(matches!(run("cat /dev/zero", 64, 60_000), Err(Error::TooMuch { .. })));
    assert!(matches!(run("cat /dev/zero >&2", 64, 300), Err(Error::TooLong { .. })));
    assert!(matches!(run("cat /dev/zero", u64::MAX >> 10, 100), Err(Error::TooLong { .. })));
    assert!(matches!(run("sleep 1000", 1, 100), Err(Error::TooLong { .. })));
    let Err(Error::Exit { said, .. }) = run("echo broken >&2; exit 3", 1, 60_000) else { panic!() };
    assert_eq!(said, "broken");
}

#[test]
fn all_that_a_command_leaves_is_gone_when_it_has_ended() {
    // Each prints the pid of what it leaves; the script ends when that is certain to run.
    let wait = "while ! [ -s out ]; do :; done; cat out";
    let leaves = [
        "sleep 1000 & echo $! >out",
        "sleep 1000 >/dev/null 2>&1 & echo $! >out",
        "sh -c 'trap \"\" TERM HUP INT; echo $$ >out; exec sleep 1000' &",
        "setsid sh -c 'echo $$ >out; exec sleep 1000' &",
        "env -i setsid sh -c '(sh -c \"echo \\$\\$ >out; exec sleep 1000\" &)' &",
        "sh -c 'echo $$ >out; kill -STOP $$; sleep 1000' &",
    ];
    for script in leaves {
        let directory = tempfile::tempdir().unwrap();
        for end in ["", "exit 3", "kill -9 $$"] {
            let argv = ["sh", "-c", &format!("rm -f out; {script}\n{wait}\n{end}")].map(str::to_owned);
            let ended = Contained::new(&argv, directory.path(), environment(&[], &BTreeMap::new())).run().unwrap();
            let pid = String::from_utf8(ended.stdout).unwrap();
            assert!(pid.trim().parse::<u32>().is_ok() && is_gone(pid.trim()), "{script}; {end}: {pid}");
            let status = ended.status;
            assert_eq!(
                (status.code(), status.signal()),
                match end {
                    "" => (Some(0), None),
                    "exit 3" => (Some(3), None),
                    _ => (None, Some(9)),
                }
            );
        }
    }
}

#[test]
fn processes_that_start_each_other_for_ever_are_ended() {
    // Each process lives for a moment only, and the next one has another parent.
    let script = "echo 'printf x >>count; (sh hop &)' >hop; sh hop; while ! [ -s count ]; do :; done";
    let directory = tempfile::tempdir().unwrap();
    let argv = ["sh", "-c", script].map(str::to_owned);
    Contained::new(&argv, directory.path(), environment(&[], &BTreeMap::new())).run().unwrap();
    let count = || std::fs::metadata(directory.path().join("count")).unwrap().len();
    let before = count();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(count(), before);
}

#[test]
fn a_command_has_a_session_no_terminal_and_no_blocked_signals() {
    // The fields after the name: state, parent, group, session, terminal.
    let text = run("cat /proc/self/status; echo $$; sed 's/.*) //' /proc/$$/stat", 64, 60_000).unwrap();
    assert!(text.contains("SigBlk:\t0000000000000000"), "{text}");
    let [stat, pid] = [1, 2].map(|nth| text.lines().rev().nth(nth - 1).unwrap());
    assert_eq!(stat.split(' ').skip(2).take(3).collect::<Vec<_>>(), [pid, pid, "0"], "{text}");
}

#[test]
fn what_cannot_be_started_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("program");
    std::fs::write(&file, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let error = contained(&["./program".into()], directory.path(), BTreeMap::new()).unwrap_err();
    assert_eq!(error.to_string(), "`./program`: no such file or directory");
}

#[test]
fn the_end_of_the_supervisor_is_noticed() {
    // The command is ended with it, and all that it started.
    let directory = tempfile::tempdir().unwrap();
    let script = "echo $$ >>out; sleep 1000 & echo $! >>out; setsid sh -c 'echo $$ >>out; exec sleep 1000' &\n\
                  while [ $(wc -l <out) -lt 3 ]; do :; done; kill -9 $PPID; wait";
    let argv = ["sh", "-c", script].map(str::to_owned);
    let error = contained(&argv, directory.path(), environment(&[], &BTreeMap::new())).unwrap_err();
    assert!(matches!(error, Error::Unsupervised { .. }), "{error}");
    let pids = std::fs::read_to_string(directory.path().join("out")).unwrap();
    assert!(pids.lines().count() == 3 && pids.lines().all(is_gone), "{pids}");
    // It has a name of its own, and signals that can be blocked do not end it.
    let text = run("cat /proc/$PPID/comm; tr '\\0' '\\n' </proc/$PPID/cmdline | head -n 1", 1, 60_000).unwrap();
    assert_eq!(text, "supervisor\nsupervisor");
    assert_eq!(run("kill -TERM $PPID; kill -INT $PPID; echo end", 1, 60_000).unwrap(), "end");
    assert_eq!(read(&["true".into()], Path::new("/")).unwrap(), "");
}

#[test]
fn the_leader_of_the_session_may_be_outside_of_the_pid_namespace() {
    let test = "exec::contained::tests::the_end_of_the_supervisor_is_noticed";
    let tests = std::env::current_exe().unwrap().display().to_string();
    // The first process of the namespace is the test itself, whose session is 0 there.
    let unshare = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc", &tests, "--exact", test];
    let text = read(&unshare.map(str::to_owned), Path::new("/")).unwrap();
    assert!(text.contains("1 passed"), "{text}");
}
