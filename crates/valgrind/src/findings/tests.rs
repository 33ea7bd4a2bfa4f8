//! Logs of several processes, as the supervisor finds them.

use super::*;
/// A command under memcheck, with the options that the tests vary.
struct Command {
    argv: Vec<String>,
    args: Vec<String>,
    traces_all: bool,
}

impl Command {
    fn traced<'a>(&'a self, directory: &'a Path, opens: Option<&'a Opens>) -> Traced<'a> {
        let Command { argv, args, traces_all } = self;
        Traced {
            directory,
            tool: Tool::Memcheck,
            args,
            declares_exit: false,
            argv,
            traces_all: *traces_all,
            main: Some(10),
            opens,
            by_suite: false,
        }
    }
}

fn job(argv: &[&str], change: impl FnOnce(&mut Command)) -> Command {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let mut command = Command { argv, args: Vec::new(), traces_all: true };
    change(&mut command);
    command
}

/// A log of process `pid`, child of `parent`, of the program `exe`, with these leaks by function.
fn log(pid: u32, parent: u32, exe: &str, leaks: &[&str]) -> String {
    let error = |function: &&str| {
        format!(
            "<error><unique>0x1</unique><kind>Leak_DefinitelyLost</kind><xwhat><text>8 bytes in 1 blocks are lost in loss \
             record 1 of 2</text></xwhat><stack><frame><ip>0x{pid:x}</ip><fn>malloc</fn></frame><frame><fn>{function}</fn>\
             <file>a.c</file><line>{pid}</line></frame></stack></error>"
        )
    };
    let errors: String = leaks.iter().map(error).collect();
    format!(
        "<valgrindoutput><protocolversion>4</protocolversion><pid>{pid}</pid><ppid>{parent}</ppid><args><argv><exe>{exe}</exe>\
         </argv></args><status><state>RUNNING</state></status>{errors}<status><state>FINISHED</state></status><suppcounts>\
         <pair><count>2</count><name>known</name></pair></suppcounts></valgrindoutput>"
    )
}

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(logs: &[(u32, String)]) -> Directory {
        let directory = tempfile::tempdir().unwrap();
        for (pid, text) in logs {
            fs::write(directory.path().join(format!("memcheck.{pid}.xml")), text).unwrap();
        }
        Directory(directory)
    }

    fn gather(&self, job: &Command, opens: &[(&str, u32)]) -> ValgrindEvidence {
        let count = opens.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let opens = Opens { count, overflowed: false };
        let watched = !opens.count.is_empty();
        gather(job.traced(self.0.path(), watched.then_some(&opens)))
    }
}

#[test]
fn what_forked_children_inherit_counts_once() {
    let directory = Directory::new(&[
        (10, log(10, 9, "./a", &["f", "f", "g"])),
        (11, log(11, 10, "./a", &["f", "f", "g"])),
        (12, log(12, 11, "./a", &["f", "h"])),
    ]);
    let evidence = directory.gather(&job(&["./a"], |_| {}), &[]);
    assert_eq!((evidence.findings, evidence.complete, evidence.main_complete), (3, 3, Some(true)));
    let told: Vec<_> = evidence.first.iter().map(|one| (one.place.as_str(), one.records, one.processes)).collect();
    assert_eq!(told, [("f (a.c:10)", 2, 3), ("g (a.c:10)", 1, 2), ("h (a.c:12)", 1, 1)]);
    assert_eq!(evidence.first[0].what, "8 bytes in 1 blocks are lost");
    assert_eq!(evidence.used, BTreeMap::from([("known".to_owned(), 6)]));
    assert!(evidence.incomplete.is_empty(), "{:?}", evidence.incomplete);
}

#[track_caller]
fn unchecked(logs: &[(u32, String)], opens: &[(&str, u32)], tool: impl FnOnce(&mut Command), expected: &[&str]) {
    let evidence = Directory::new(logs).gather(&job(&["./a"], tool), opens);
    assert_eq!(evidence.incomplete.len(), expected.len(), "{:?}", evidence.incomplete);
    for (why, words) in evidence.incomplete.iter().zip(expected) {
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn what_was_not_checked_is_reported() {
    let main = || (10, log(10, 9, "./a", &[]));
    let stub = |pid: u32| (pid, log(pid, 10, "./a", &[]).split("<status>").next().unwrap().to_owned());
    let cut = |pid: u32| (pid, log(pid, 10, "./a", &["f"]).split("<status><state>FIN").next().unwrap().to_owned());
    let everything = |_: &mut Command| {};
    let skipping = |command: &mut Command| command.traces_all = false;
    unchecked(&[main(), (11, log(11, 10, "./b", &[]))], &[], everything, &[]);
    unchecked(&[main(), (11, String::new())], &[], everything, &["memcheck.11.xml: it is empty"]);
    unchecked(&[main(), cut(11)], &[], everything, &["memcheck.11.xml: it stops in the middle"]);
    // The beginning of a log is innocent only where programs may go untraced.
    unchecked(&[main(), stub(11)], &[], everything, &["memcheck.11.xml: only its beginning is there"]);
    unchecked(&[main(), stub(11)], &[], skipping, &[]);
    // Parents.
    unchecked(&[main(), (12, log(12, 11, "./a", &[]))], &[], everything, &["process 11 started a process"]);
    unchecked(&[main(), (12, log(12, 1, "./a", &[]))], &[], everything, &[]);
    unchecked(&[main(), (12, log(12, std::process::id(), "./a", &[]))], &[], everything, &[]);
    // Exec, seen by the watch.
    unchecked(&[main()], &[("memcheck.10.xml", 1)], everything, &[]);
    unchecked(&[main()], &[("memcheck.10.xml", 2)], everything, &["./a became ./a by exec"]);
    let child = || (11, log(11, 10, "./b", &[]));
    unchecked(&[main(), child()], &[("memcheck.11.xml", 2)], everything, &[]);
    unchecked(&[main(), child()], &[("memcheck.11.xml", 3)], everything, &["another program became ./b by exec"]);
    unchecked(
        &[main()],
        &[("memcheck.13.xml", 1), ("log", 4)],
        everything,
        &["memcheck.13.xml: it was written, but is missing"],
    );
    // Exec, seen by the name alone.
    unchecked(&[(10, log(10, 9, "/bin/b", &[]))], &[], everything, &["./a became /bin/b by exec"]);
    unchecked(&[(10, log(10, 9, "/bin/a", &[]))], &[], everything, &[]);
}

#[test]
fn a_process_that_could_not_write_its_log_is_reported() {
    let directory = Directory::new(&[(10, log(10, 9, "./a", &[]))]);
    let said =
        "fine\nvalgrind: Cannot create XML file '/x/memcheck.11.xml': Permission denied\nI say: valgrind: Cannot\n";
    fs::write(directory.0.path().join("log"), said).unwrap();
    let evidence = directory.gather(&job(&["./a"], |_| {}), &[]);
    let words = "a process has no log, valgrind: Cannot create XML file '/x/memcheck.11.xml': Permission denied";
    assert_eq!(evidence.incomplete, [words]);
}

#[test]
fn a_directory_without_logs_is_no_pass() {
    let evidence = Directory::new(&[]).gather(&job(&["./a"], |_| {}), &[]);
    assert_eq!((evidence.main_complete, evidence.complete, evidence.findings), (None, 0, 0));
    let gone = tempfile::tempdir().unwrap().path().join("gone");
    let planned = job(&["./a"], |_| {});
    let evidence = gather(planned.traced(&gone, None));
    assert_eq!((evidence.main_complete, evidence.incomplete.len()), (None, 1));
}

#[test]
fn many_findings_are_counted_and_some_are_kept() {
    for (length, kept) in [(10, KEPT), (3000, 56)] {
        let names: Vec<String> = (0..500).map(|number| format!("f{number}_{}", "x".repeat(length))).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let evidence = Directory::new(&[(10, log(10, 9, "./a", &names))]).gather(&job(&["./a"], |_| {}), &[]);
        assert_eq!((evidence.findings, evidence.first.len()), (500, kept));
        assert!(serde_json::to_vec(&evidence).unwrap().len() < KEPT_BYTES + (8 << 10));
    }
}

#[test]
fn leaks_that_do_not_count_do_not_count_however_many_there_are() {
    let text = log(10, 9, "./a", &["f"; 12_000]);
    let reachable = Directory::new(&[(10, text.replace("Leak_DefinitelyLost", "Leak_StillReachable"))]);
    assert_eq!(reachable.gather(&job(&["./a"], |_| {}), &[]).findings, 0);
    // Those beyond what is kept cannot be compared any more, so each is one.
    assert_eq!(Directory::new(&[(10, text)]).gather(&job(&["./a"], |_| {}), &[]).findings, 2001);
}

#[test]
fn a_job_with_more_log_than_is_read_is_not_wholly_checked() {
    let directory = Directory::new(&[(10, log(10, 9, "./a", &[])), (11, String::new())]);
    let file = fs::File::options().write(true).open(directory.0.path().join("memcheck.11.xml")).unwrap();
    file.set_len(MOST_BYTES * 4).unwrap();
    let evidence = directory.gather(&job(&["./a"], |_| {}), &[]);
    assert_eq!(evidence.main_complete, Some(true));
    assert!(evidence.incomplete[0].contains("of which only the first"), "{:?}", evidence.incomplete);
}

#[test]
fn leaks_that_the_program_asks_for_count_whatever_the_leak_check() {
    let asked = log(10, 9, "./a", &["f"]);
    let (error, end) = (asked.find("<error>").unwrap(), asked.find("<status><state>FIN").unwrap());
    let at_end =
        asked.replace(&asked[error..end], "").replace("<suppcounts>", &format!("{}<suppcounts>", &asked[error..end]));
    let none = |command: &mut Command| command.args = vec!["--leak-check=no".to_owned()];
    assert_eq!(Directory::new(&[(10, asked)]).gather(&job(&["./a"], none), &[]).findings, 1);
    assert_eq!(Directory::new(&[(10, at_end)]).gather(&job(&["./a"], none), &[]).findings, 0);
}

#[test]
fn errors_that_are_only_counted_are_known() {
    let summary = "<error_summary><errors>5</errors></error_summary></valgrindoutput>";
    let text = |leaks: &[&str]| log(10, 9, "./a", leaks).replace("</valgrindoutput>", summary);
    let unshown = |text: String, args: &[&str]| {
        let args = args.iter().map(|option| (*option).to_owned()).collect();
        Directory::new(&[(10, text)]).gather(&job(&["./a"], |command| command.args = args), &[]).unshown
    };
    assert_eq!(unshown(text(&[]), &[]), 5);
    assert_eq!(unshown(text(&["f"]), &[]), 0);
    // Valgrind counts leaks that the project did not ask for, because it was asked for XML.
    assert_eq!(unshown(text(&["f"]), &["--leak-check=summary"]), 0);
}

#[test]
fn an_end_at_the_first_error_is_no_kill() {
    let whole = log(10, 9, "./a", &["f"]);
    let cut = whole.split("<status><state>FIN").next().unwrap();
    let stops = |command: &mut Command| command.args = vec!["--exit-on-first-error=yes".to_owned()];
    let stopped = Directory::new(&[(10, cut.to_owned())]).gather(&job(&["./a"], stops), &[]);
    assert!(stopped.stopped && stopped.incomplete[0].contains("at its first error"), "{stopped:#?}");
    assert!(!Directory::new(&[(10, cut.to_owned())]).gather(&job(&["./a"], |_| {}), &[]).stopped);
}

/// The evidence of a suite that starts valgrind itself, with logs by name.
fn suite(logs: &[(&str, String)], opens: &[(&str, u32)]) -> ValgrindEvidence {
    let directory = Directory::new(&[]);
    for (name, text) in logs {
        fs::write(directory.0.path().join(name), text).unwrap();
    }
    let count = opens.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
    let job = job(&["sh"], |job| job.traces_all = false);
    gather(Traced { by_suite: true, ..job.traced(directory.0.path(), Some(&Opens { count, overflowed: false })) })
}

/// A log that stops before its end.
fn cut(pid: u32, parent: u32, leaks: &[&str]) -> String {
    log(pid, parent, "./d", leaks).replace("<state>FINISHED</state>", "").replace("</valgrindoutput>", "")
}

#[test]
fn a_suite_has_many_programs_tools_and_native_parents() {
    let evidence = suite(
        &[
            ("memcheck.21.1.xml", cut(21, 5, &["before_exec"])),
            ("memcheck.21.2.xml", cut(21, 5, &["between"])),
            ("memcheck.21.10.xml", log(21, 5, "./e", &["after_exec"])),
            ("helgrind.22.1.xml", log(22, 6, "./d", &["race"])),
            ("memcheck.23.own-1.xml", log(23, 6, "./d", &["own"])),
            ("memcheck.24.xml", cut(24, 6, &[])),
        ],
        &[("memcheck.21.xml", 3), ("helgrind.22.xml", 1), ("memcheck.24.xml", 1)],
    );
    assert_eq!((evidence.findings, evidence.complete), (5, 3), "{evidence:#?}");
    assert_eq!(evidence.incomplete.len(), 1, "{:?}", evidence.incomplete);
    assert!(evidence.incomplete[0].starts_with("./d (memcheck.24.xml): it stops in the middle"));
    assert!(evidence.destroyed.is_empty());
}

#[test]
fn logs_that_a_suite_destroyed_or_overwrote_are_reported() {
    let whole = |pid: u32, parent: u32| log(pid, parent, "./d", &[]);
    let names = |evidence: ValgrindEvidence| (evidence.destroyed.into_keys().collect::<Vec<_>>(), evidence.incomplete);
    let nothing = Vec::<String>::new;
    let missing = suite(&[("memcheck.1.1.xml", whole(1, 5))], &[("memcheck.1.xml", 1), ("memcheck.2.xml", 1)]);
    assert_eq!(names(missing), (vec!["memcheck.2".to_owned()], nothing()));
    let changed = suite(&[("memcheck.1.1.xml", whole(1, 5))], &[("memcheck.1.xml", 1), ("memcheck.1.1.xml", 1)]);
    assert_eq!(names(changed), (vec!["memcheck.1".to_owned()], nothing()));
    // Two programs, one log.
    let twice = [("memcheck.1.1.xml", 0), ("memcheck.1.xml", 2), ("memcheck.3.xml", 1)];
    let overwritten = suite(&[("memcheck.1.1.xml", whole(1, 5)), ("memcheck.3.1.xml", whole(3, 5))], &twice[1..]);
    let told = "memcheck.1.xml: it was overwritten 1 times by programs with the same pid".to_owned();
    assert_eq!(names(overwritten), (Vec::new(), vec![told]));
    // A fork and an exec in the same moment.
    let forked = suite(&[("memcheck.1.1.xml", whole(1, 3)), ("memcheck.3.1.xml", whole(3, 5))], &twice[1..]);
    assert_eq!(names(forked), (Vec::new(), nothing()));
}
