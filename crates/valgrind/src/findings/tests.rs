//! Logs of several processes, as the supervisor finds them.

use super::*;

/// A command under memcheck, with the options that the tests vary.
struct Command {
    argv: Vec<String>,
    args: Vec<String>,
    traces_all: bool,
    by_suite: bool,
}

impl Command {
    fn traced<'a>(&'a self, directory: &'a Path, opens: Option<&'a Opens>) -> Traced<'a> {
        let Command { argv, args, traces_all, by_suite } = self;
        Traced {
            directory,
            tool: Tool::Memcheck,
            args,
            declares_exit: false,
            argv,
            traces_all: *traces_all,
            main: Some(10),
            opens,
            by_suite: *by_suite,
            around: None,
        }
    }
}

fn job(argv: &[&str], change: impl FnOnce(&mut Command)) -> Command {
    let argv = argv.iter().map(|word| (*word).to_owned()).collect();
    let mut command = Command { argv, args: Vec::new(), traces_all: true, by_suite: false };
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

    /// With the number of times that each log was opened; each one that is left was kept.
    fn gather(&self, job: &Command, opens: &[(&str, u32)]) -> ValgrindEvidence {
        gather(job.traced(self.0.path(), Some(&opened(opens, &[]))))
    }
}

fn opened(count: &[(&str, u32)], kept: &[(&str, u32)]) -> Opens {
    let [count, kept] = [count, kept].map(|all| all.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect());
    Opens { count, kept, ..Opens::default() }
}

#[test]
fn a_suite_that_silences_children_is_noticed_by_its_logs() {
    let text = |option: &str| {
        let args =
            format!("<args><vargv><exe>valgrind</exe><arg>{option}</arg></vargv><argv><exe>./a</exe></argv></args>");
        let text = log(10, 9, "./a", &[]);
        let (before, after) = text.split_at(text.find("<args>").unwrap());
        format!("{before}{args}{}", after.split_once("</args>").unwrap().1)
    };
    let silenced = |option: &str, by_suite: bool| {
        let job = job(&["./a"], |command| command.by_suite = by_suite);
        Directory::new(&[(10, text(option))]).gather(&job, &[]).silenced
    };
    let why = "./a: with --child-silent-after-fork=yes, what its children find is not in the logs";
    assert_eq!(silenced("--child-silent-after-fork=yes", true), [why]);
    assert!(silenced("--child-silent-after-fork=no", true).is_empty());
    assert!(silenced("--child-silent-after-fork=yes", false).is_empty());
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
}

#[test]
fn without_a_watch_an_exec_is_known_by_its_name_alone() {
    let lost = |exe: &str| {
        let directory = Directory::new(&[(10, log(10, 9, exe, &[]))]);
        let evidence = gather(job(&["./a"], |_| {}).traced(directory.0.path(), None));
        assert!(evidence.incomplete[0].contains("the kernel allows no watch"), "{:?}", evidence.incomplete);
        evidence.lost
    };
    assert_eq!(lost("/bin/b"), ["./a became /bin/b by exec; errors before that are lost"]);
    assert_eq!(lost("/bin/a"), Vec::<String>::new());
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
    let evidence = gather(planned.traced(&gone, Some(&Opens::default())));
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
    assert!(evidence.lost[0].contains("of which only the first"), "{:?}", evidence.lost);
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
fn suite(logs: &[(&str, String)], opens: &Opens) -> ValgrindEvidence {
    let directory = Directory::new(&[]);
    for (name, text) in logs {
        fs::write(directory.0.path().join(name), text).unwrap();
    }
    let job = job(&["sh"], |job| job.traces_all = false);
    gather(Traced { by_suite: true, ..job.traced(directory.0.path(), Some(opens)) })
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
        &opened(
            &[("memcheck.21.xml", 3), ("helgrind.22.xml", 1), ("memcheck.24.xml", 1)],
            &[("memcheck.21.xml", 3), ("helgrind.22.xml", 1)],
        ),
    );
    assert_eq!((evidence.findings, evidence.complete), (5, 3), "{evidence:#?}");
    assert_eq!(evidence.incomplete.len(), 1, "{:?}", evidence.incomplete);
    assert!(evidence.incomplete[0].starts_with("./d (memcheck.24.xml): it stops in the middle"));
    assert!(evidence.destroyed.is_empty());
}

#[test]
fn logs_that_a_suite_destroyed_or_overwrote_are_reported() {
    let log = |name: &'static str, pid: u32| (name, log(pid, 5, "./d", &[]));
    let first = || log("memcheck.1.1.xml", 1);
    let [one, two] = [("memcheck.1.xml", 1), ("memcheck.2.xml", 1)];
    let twice = [("memcheck.1.xml", 2)];
    let destroyed = |logs: &[(&str, String)], opens: &Opens| {
        let evidence = suite(logs, opens);
        assert!(evidence.incomplete.is_empty() && evidence.lost.is_empty(), "{evidence:#?}");
        evidence.destroyed.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(destroyed(&[first()], &opened(&[one], &[one])), Vec::<String>::new());
    assert_eq!(destroyed(&[first()], &opened(&[one, two], &[one, two])), ["memcheck.2"]);
    assert_eq!(destroyed(&[first()], &opened(&[one, two], &[one])), ["memcheck.2"]);
    // One of two that had the same pid.
    assert_eq!(destroyed(&[first()], &opened(&twice, &twice)), ["memcheck.1"]);
    assert_eq!(destroyed(&[first()], &opened(&[one, ("memcheck.1.1.xml", 1)], &[one])), ["memcheck.1"]);
    let foreign = Opens { foreign: ["memcheck.1.1.xml".to_owned()].into(), ..opened(&[one], &[one]) };
    assert_eq!(destroyed(&[first()], &foreign), ["memcheck.1"]);

    let lost = |logs: &[(&str, String)], opens: &Opens| {
        let evidence = suite(logs, opens);
        assert!(evidence.incomplete.is_empty() && evidence.destroyed.is_empty(), "{evidence:#?}");
        evidence.lost.join("; ")
    };
    assert_eq!(lost(&[first()], &opened(&[one], &[one])), "");
    // Two processes, one log; also if one forked the other.
    let overwritten = "memcheck.1.xml: it was overwritten once by a process with the same pid";
    assert!(lost(&[first()], &opened(&twice, &[one])).starts_with(overwritten));
    assert!(lost(&[log("memcheck.1.xml", 1)], &opened(&twice, &[])).starts_with(overwritten));
    let forked = ("memcheck.1.1.xml", super::tests::log(1, 2, "./d", &[]));
    let parent = log("memcheck.2.1.xml", 2);
    let opens = opened(&[twice[0], two], &[one, two]);
    assert!(lost(&[forked, parent], &opens).starts_with(overwritten));
    let overflowed = Opens { overflowed: true, ..opened(&[one], &[one]) };
    assert!(lost(&[first()], &overflowed).starts_with("so many files were written at once"));
    // Two processes wrote it at once, and the kernel told of one opening.
    let longer = first().1 + "<error>";
    let mixed = lost(&[("memcheck.1.1.xml", longer)], &opened(&[one], &[one]));
    assert_eq!(mixed, "./d (memcheck.1.1.xml): it goes on after its end, so another process wrote it too");
    let cut = first().1.replace("<status>", "\0\0</x><status>");
    assert!(lost(&[("memcheck.1.1.xml", cut)], &opened(&[one], &[one])).contains("not well-formed"));
}

#[test]
fn a_suite_whose_logs_could_not_be_watched_does_not_pass() {
    let directory = Directory::new(&[(10, log(10, 9, "./d", &[]))]);
    let job = job(&["sh"], |job| job.traces_all = false);
    let evidence = gather(Traced { by_suite: true, ..job.traced(directory.0.path(), None) });
    assert!(evidence.lost[0].contains("fs.inotify.max_user_instances"), "{evidence:#?}");
}

#[test]
fn what_is_cut_of_programs_around_a_test_is_reported_apart() {
    let cut = |pid: u32, parent: u32, exe: &str| {
        let text = log(pid, parent, exe, &[]);
        text[..text.find("<status>").unwrap()].to_owned()
    };
    let directory = Directory::new(&[
        (10, log(10, 9, "/bin/sh", &[])),
        (11, cut(11, 10, "/bin/sh")),
        (12, cut(12, 10, "/work/p/prog")),
        (13, log(13, 10, "/work/p/prog", &["f"])),
    ]);
    let opens = opened(&[], &[]);
    let gathered = |around: Option<Around<'_>>| {
        let command = job(&["sh"], |_| {});
        gather(Traced { around, ..command.traced(directory.0.path(), Some(&opens)) })
    };
    let around =
        Around { project: Path::new("/work/p"), directory: Path::new("/"), command: Path::new("/bin/sh"), frames: 12 };
    let evidence = gathered(Some(around));
    assert_eq!((evidence.complete, evidence.around, evidence.findings), (2, 1, 1));
    assert_eq!((evidence.incomplete.len(), evidence.cut_around.len()), (1, 1), "{evidence:?}");
    assert!(
        evidence.incomplete[0].starts_with("memcheck.12.xml") && evidence.cut_around[0].starts_with("memcheck.11.xml")
    );
    assert_eq!(gathered(None).incomplete.len(), 2);
    // Where programs may go untraced, a subshell that becomes one was not killed.
    let command = job(&["sh"], |command| command.traces_all = false);
    let skipping = gather(Traced { around: Some(around), ..command.traced(directory.0.path(), Some(&opens)) });
    assert_eq!((skipping.stubs, &skipping.cut_around, &skipping.incomplete), (2, &Vec::new(), &Vec::new()));
}
