//! From one finding of many jobs to one suppression, and back to its use, its end and its disuse.

use std::fs;

use super::{ends, findings, id_of, job_of, project, ready, run_json, words};
use crate::support::Project;

const HEAD: &str = "tools: {memcheck: {args: [--leak-check=full], suppressions: [ci/project.supp]}}";

/// The name and the result of each job.
fn results(project: &Project) -> Vec<(String, String)> {
    let run = run_json(project);
    let jobs = run["jobs"].as_array().unwrap().iter();
    jobs.map(|job| (job["name"].as_str().unwrap().to_owned(), job["result"].as_str().unwrap().to_owned())).collect()
}

fn suppressions(project: &Project) -> String {
    fs::read_to_string(project.path().join("ci/project.supp")).unwrap()
}

const REASON: &[&str] = &["--reason", "the table lives as long as the program", "--author", "Jane <jane@example.org>"];

fn suppress(project: &Project, ids: &[&str], more: &[&str]) -> crate::support::Finished {
    project.xtask(&[&["ci", "suppress"], ids, REASON, more].concat()).run()
}

#[test]
fn twenty_jobs_with_one_leak_are_one_finding_and_one_suppression() {
    if !ready() {
        return;
    }
    let numbers: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    let names: Vec<String> = numbers.iter().map(|number| format!("shared-{number}")).collect();
    let commands: Vec<[&str; 3]> = numbers.iter().map(|number| ["./memory", "part", number]).collect();
    let mut jobs: Vec<(&str, &[&str])> =
        names.iter().zip(&commands).map(|(name, words)| (name.as_str(), &words[..])).collect();
    jobs.push(("another", &["./memory", "another"]));
    jobs.push(("nothing", &["./memory", "nothing"]));
    let project = project(HEAD, "tool: memcheck", &jobs);
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, 1);
    let run = run_json(&project);
    let id = id_of(&run, "Leak_DefinitelyLost", "register_part (memory.c:");
    let shared = findings(&run).into_iter().find(|finding| finding["id"] == id.as_str()).unwrap();
    assert_eq!(words(&shared["jobs"]), names);
    assert_eq!((findings(&run).len(), &shared["count"]), (2, &20.into()));
    let hint = format!("to suppress it: {}", project.hint(&format!("ci suppress {id} --reason TEXT")));
    for shown in ["20 jobs: shared-0, shared-1", "2 causes, 21 jobs", &hint] {
        assert!(finished.stdout.contains(shown), "{shown}: {}", finished.stdout);
    }
    let junit = fs::read_to_string(project.state().join("runs/latest/junit.xml")).unwrap();
    assert!(junit.contains(&format!("{id} Leak_DefinitelyLost")) && junit.contains("(also in 19 other jobs)"));

    // A look first: nothing is written.
    let dry = suppress(&project, &[&id], &["--dry-run"]);
    ends(&dry, 0);
    assert_eq!(suppressions(&project), "");
    // What the callers do not share becomes dots, the rest stays as it is.
    let frames = "fun:malloc\n   fun:register_part\n   ...\n   fun:run_part\n   fun:main\n}";
    assert!(dry.stdout.contains(frames), "{}", dry.stdout);

    ends(&suppress(&project, &[&id], &["--expires", "2999-12-31"]), 0);
    for line in [
        "# reason: the table lives as long as the program\n",
        "# author: Jane <jane@example.org>\n",
        "# expires: 2999-12-31\n",
    ] {
        assert!(suppressions(&project).contains(line), "{}", suppressions(&project));
    }
    let again = project.xtask(&["ci", "--no-progress"]).run();
    ends(&again, 1);
    let expected: Vec<(String, String)> = names
        .iter()
        .map(|name| (name.clone(), "passed".to_owned()))
        .chain([("another".into(), "failed".into()), ("nothing".into(), "passed".into())])
        .collect();
    assert_eq!(results(&project), expected, "{}", again.transcript());
    assert_eq!(findings(&run_json(&project)).len(), 1);
    let listed = project.xtask(&["ci", "suppressions"]).run();
    ends(&listed, 0);
    assert!(
        listed.stdout.contains("last used 20 times, in run ") && listed.stdout.contains(": 0 expired, 0 unused"),
        "{}",
        listed.stdout
    );
}

#[test]
fn suppressions_match_the_names_of_every_compiler() {
    if !ready() {
        return;
    }
    let jobs: &[(&str, &[&str])] = &[
        ("template", &["./names-cc", "read"]),
        ("operator", &["./names-cc", "lose"]),
        ("vectors", &["./names-cc", "lose-box"]),
        ("mismatched", &["./names-cc", "mismatched"]),
        ("trait", &["./names-rs", "lose"]),
        ("slice", &["./names-rs", "read"]),
        ("stripped", &["./stripped", "definitely"]),
        ("parameter", &["./memory", "syscall-uninit"]),
        ("argument", &["./memory", "fishy"]),
        ("overlap", &["./memory", "overlap"]),
    ];
    let project = project(HEAD, "tool: memcheck", jobs);
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    let run = run_json(&project);
    for finding in findings(&run) {
        let done = suppress(&project, &[finding["id"].as_str().unwrap()], &[]);
        assert_eq!(done.code(), 0, "{finding:#?}\n{}", done.transcript());
    }
    let text = suppressions(&project);
    // The hash of a build, as the older and as the newer scheme of the Rust compiler writes it.
    assert!(text.contains("17h*") || text.contains("Cs*_"), "{text}");
    assert!(!text.contains("/drydock-"), "{text}");
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 0);
    let listed = project.xtask(&["ci", "suppressions", "--fail-on-unused", "--fail-on-expired"]).run();
    ends(&listed, 0);
}

#[test]
fn what_would_suppress_more_is_refused_unless_all_of_it_is_named() {
    if !ready() {
        return;
    }
    // The same leak in the `main` of two files: suppressions know functions, not files.
    let project = project(HEAD, "tool: memcheck", &[("a", &["./a"]), ("b", &["./b"])]);
    for name in ["a", "b"] {
        let source = "#include <stdlib.h>\nint main(void) { void *volatile it = malloc(9); it = 0; return it != 0; }\n";
        fs::write(project.path().join(format!("{name}.c")), source).unwrap();
        let built = std::process::Command::new("gcc")
            .args(["-g", "-O0", "-o", name, &format!("{name}.c")])
            .current_dir(project.path())
            .status();
        assert!(built.unwrap().success());
    }
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    let run = run_json(&project);
    let (a, b) = (id_of(&run, "Leak_DefinitelyLost", "main (a.c:"), id_of(&run, "Leak_DefinitelyLost", "main (b.c:"));
    let refused = suppress(&project, &[&a], &[]);
    ends(&refused, 2);
    assert!(refused.stderr.contains(&format!("it would also suppress {b}")), "{}", refused.stderr);
    assert_eq!(suppressions(&project), "");
    ends(&suppress(&project, &[&a, &b], &[]), 0);
    ends(&project.xtask(&["ci", "rerun", "--no-progress"]).run(), 0);
}

#[test]
fn a_file_keeps_what_people_wrote_and_says_when_something_is_wrong_with_it() {
    if !ready() {
        return;
    }
    let project = project(
        HEAD,
        "tool: memcheck",
        &[("definitely", &["./memory", "definitely"]), ("another", &["./memory", "another"])],
    );
    let mine = "# Ours.\n\n# reason: old\n# expires: 2001-01-01\n{\n   old\n   Memcheck:Leak\n   fun:never\n}\n{\n   bare\n   Memcheck:Cond\n   fun:f\n}";
    let file = project.path().join("ci/project.supp");
    fs::write(&file, mine).unwrap();
    let first = project.xtask(&["ci", "--no-progress"]).run();
    ends(&first, 1);
    // Both suppressed nothing, and one is expired; neither changes the verdict.
    for note in [
        "! 1 suppression expired and still in use: old (ci/project.supp:5)",
        "! 2 suppressions suppressed nothing: old (ci/project.supp:5), bare (ci/project.supp:10)",
    ] {
        assert!(first.stdout.contains(note), "{note}: {}", first.stdout);
    }
    // Not every job that could use them ran.
    let part = project.xtask(&["ci", "another", "--no-progress"]).run();
    assert!(!part.stdout.contains("suppressed nothing"), "{}", part.stdout);
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    let run = run_json(&project);
    let ids = [
        id_of(&run, "Leak_DefinitelyLost", "lose (memory.c:"),
        id_of(&run, "Leak_DefinitelyLost", "another (memory.c:"),
    ];
    // Two at once: neither is lost.
    let both: Vec<_> =
        ids.iter().map(|id| project.xtask(&[&["ci", "suppress", id.as_str()], REASON].concat()).spawn()).collect();
    both.into_iter().for_each(|running| ends(&running.wait(), 0));
    let text = suppressions(&project);
    assert!(text.starts_with(mine) && ids.iter().all(|id| text.contains(id.as_str())), "{text}");
    let repeated = suppress(&project, &[&ids[0]], &[]);
    ends(&repeated, 2);
    assert!(repeated.stderr.contains("has this suppression already"), "{}", repeated.stderr);

    let listed = project.xtask(&["ci", "suppressions"]).run();
    ends(&listed, 0);
    for shown in [
        "ci/project.supp:5  old  Memcheck:Leak\n    because old\n    until 2001-01-01 (expired)",
        "! lacks `# reason:` and `# expires:`",
        "4 suppressions in 1 file: 1 expired",
    ] {
        assert!(listed.stdout.contains(shown), "{shown}: {}", listed.stdout);
    }
    ends(&project.xtask(&["ci", "suppressions", "--fail-on-expired"]).run(), 1);
    ends(&project.xtask(&["ci", "suppressions", "--fail-on-unused"]).run(), 1);

    fs::write(&file, format!("{mine}\n{{\n")).unwrap();
    let broken = suppress(&project, &[&ids[0]], &[]);
    assert!(broken.stderr.contains("line 15: this suppression has no closing }"), "{}", broken.stderr);
    assert_eq!(suppressions(&project), format!("{mine}\n{{\n"));
}

#[test]
fn what_is_asked_wrongly_is_answered_with_what_to_do() {
    if !ready() {
        return;
    }
    let project = project("", "tool: memcheck", &[("definitely", &["./memory", "definitely"])]);
    let early = suppress(&project, &["memcheck:00000000"], &[]);
    assert!(early.code() == 2 && early.stderr.contains("there are no runs in"), "{}", early.transcript());
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    let run = run_json(&project);
    let id = id_of(&run, "Leak_DefinitelyLost", "lose (memory.c:");
    for (arguments, code, words) in [
        (vec![id.as_str(), "--reason", " "], 2, "the reason is empty"),
        (vec![&id], 2, "--reason"),
        (vec!["memcheck:00000000", "--reason", "x"], 2, &*format!("valgrind found\n  {id} ")),
        (vec![&id, "--reason", "x", "--author", "j", "--expires", "soon"], 2, "`soon` is not a date"),
        (vec![&id, "--reason", "x", "--author", "j", "--expires", "2001-01-01"], 2, "2001-01-01 is in the past"),
        (vec![&id, "--reason", "x", "--author", "j", "--file", "../x.supp"], 2, "inside of it"),
        (vec![&id, "--reason", "x", "--author", "j", "--file", "new/x.supp"], 0, "so it suppresses nothing yet"),
    ] {
        let finished = project.xtask(&[&["ci", "suppress"], &arguments[..]].concat()).run();
        assert_eq!(finished.code(), code, "{arguments:?}: {}", finished.transcript());
        assert!(finished.stderr.contains(words), "{arguments:?}: {}", finished.transcript());
    }
    assert!(fs::read_to_string(project.path().join("new/x.supp")).unwrap().contains(&id));
    assert_eq!(job_of(&run, "definitely")["outcome"]["kind"], "findings");
}

#[test]
fn without_a_declared_file_the_usual_one_is_made_and_counts() {
    if !ready() {
        return;
    }
    let project = project(
        "tools: {memcheck: {args: [--leak-check=full]}}",
        "tool: memcheck",
        &[("leaks", &["./memory", "another"])],
    );
    ends(&project.xtask(&["ci"]).run(), 1);
    let run = run_json(&project);
    let id = findings(&run)[0]["id"].as_str().unwrap().to_owned();
    let said = suppress(&project, &[&id], &[]);
    ends(&said, 0);
    assert!(
        said.stderr.contains("appended to ci/suppressions/memcheck.supp") && !said.stderr.contains("warning"),
        "{}",
        said.stderr
    );
    ends(&project.xtask(&["ci"]).run(), 0);
}
