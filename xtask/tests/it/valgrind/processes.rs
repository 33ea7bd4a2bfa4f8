//! Jobs of many processes: each error is found once, and what was not checked is reported.

use super::{ends, findings, id_of, job_of, kinds_of, programs, project, ready, reasons_of, run_json, word};

const TRACED: &str = "tool: memcheck, env: {REMOVE: \"rm -f target/xtask/runs/*/jobs/remove-logs/1/memcheck.*\"}";

/// Name and word, what is found, how the job is judged, and what its verdict says was not checked; none for a job that
/// was checked to the end.
const TABLE: &[(&str, &[&str], &str, Option<&str>)] = &[
    ("fork-leak", &["Leak_DefinitelyLost"], "findings", None),
    ("child-only", &["InvalidRead"], "findings", None),
    ("grandchild", &["Leak_DefinitelyLost"], "findings", None),
    ("fork-exec", &["Leak_DefinitelyLost"], "findings", None),
    ("many", &["Leak_DefinitelyLost"], "findings", None),
    ("kill-child", &["InvalidRead"], "findings", Some("it stops in the middle: the process was killed")),
    ("kill-early", &[], "passed", Some("only its beginning is there: the process was killed")),
    ("kill-self", &["InvalidRead"], "crashed", None),
    ("kill-parent", &["InvalidRead"], "killed-from-outside", Some("it stops in the middle: the process was killed")),
    ("exec", &["InvalidRead"], "findings", None),
    ("exec-same", &["InvalidRead"], "findings", None),
    ("fork-exec-exec", &["InvalidRead"], "findings", None),
    ("remove-logs", &[], "failed", Some("")),
];

#[test]
fn every_process_is_read_and_what_was_not_checked_is_reported() {
    if !ready() {
        return;
    }
    let jobs: Vec<(&str, [&str; 2])> = TABLE.iter().map(|(name, ..)| (*name, ["./memory", *name])).collect();
    let jobs: Vec<(&str, &[&str])> = jobs.iter().map(|(name, words)| (*name, &words[..])).collect();
    let project = project("", TRACED, &jobs);
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, 1);
    let run = run_json(&project);
    for (name, kinds, outcome, unchecked) in TABLE {
        assert_eq!(kinds_of(&run, name), *kinds, "{name}");
        assert_eq!(job_of(&run, name)["outcome"]["kind"], *outcome, "{name}");
        let reasons = reasons_of(&run, name);
        match unchecked {
            Some(words) => {
                assert!(reasons.contains("not completely checked") && reasons.contains(words), "{name}: {reasons}")
            }
            None => assert!(!reasons.contains("not completely checked"), "{name}: {reasons}"),
        }
    }
    // Forty children that lose the same block are one finding, and its children's copies are not counted.
    let lost = findings(&run).into_iter().find(|finding| finding["kind"] == "Leak_DefinitelyLost").unwrap();
    assert_eq!(lost["count"], lost["jobs"].as_array().unwrap().len(), "{lost:#?}");
    assert!(finished.stdout.contains("passed without being completely checked"), "{}", finished.stdout);
}

#[test]
fn untraced_children_are_no_gap_and_traced_ones_are_none() {
    if !ready() {
        return;
    }
    let head = "tools: {memcheck: {skip-children: [\"*/true\", /bin/*, /usr/bin/*]}}";
    let project =
        project(head, "tool: memcheck", &[("shell", &["sh", "-c", "/bin/true; ./memory nothing; /bin/true"])]);
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 0);
    assert!(!reasons_of(&run_json(&project), "shell").contains("not completely checked"));
}

#[test]
fn hostile_words_neither_conceal_nor_break_anything() {
    if !ready() {
        return;
    }
    let jobs: &[(&str, &[&str])] = &[
        ("markup", &["./memory", "definitely", "]]></arg></argv><![CDATA[ & &x; &#0; < > \" '"]),
        ("control", &["./memory", "definitely", "\u{1}\u{1b}[31m\u{7f}\t\n\u{85}\u{202e}"]),
        ("bytes", &["sh", "-c", "./memory definitely \"$(printf '\\377\\376\\001]]>&<x')\"; exit 0"]),
        ("long", &["./memory", "definitely", &"<&".repeat(30_000)]),
    ];
    let project = project("", "tool: memcheck", jobs);
    let finished = project.xtask(&["ci", "--no-progress"]).run();
    ends(&finished, 1);
    let run = run_json(&project);
    let id = id_of(&run, "Leak_DefinitelyLost", "lose (memory.c:");
    for (name, _) in jobs {
        assert_eq!(kinds_of(&run, name), ["Leak_DefinitelyLost"], "{name}");
        assert!(!reasons_of(&run, name).contains("not completely checked"), "{name}: {}", reasons_of(&run, name));
    }
    let explained = project.xtask(&["ci", "explain", "control"]).run();
    assert!(explained.stdout.contains(&id), "{}", explained.stdout);
    for shown in [&finished.stdout, &finished.stderr, &explained.stdout] {
        assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n'), "{shown:?}");
    }
}

#[test]
fn the_source_line_is_quoted_where_the_project_has_the_file() {
    if !ready() {
        return;
    }
    let project = project("", "tool: memcheck", &[("lose", &["./own", "another"])]);
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/valgrind/memory.c");
    let outside = project.xtask(&["ci", "--no-progress"]);
    std::fs::copy(source, project.path().join("memory.c")).unwrap();
    let built = std::process::Command::new("gcc")
        .args(["-g", "-O0", "-fno-builtin", "-o", "own", "memory.c"])
        .current_dir(project.path())
        .status();
    assert!(built.unwrap().success());
    let finished = outside.run();
    ends(&finished, 1);
    let run = run_json(&project);
    let quoted = findings(&run)[0]["source"].as_str().unwrap().to_owned();
    assert!(quoted.contains("calloc(1, 40)"), "{quoted}");
    assert!(finished.stdout.contains(&format!("│ {quoted}")), "{}", finished.stdout);
    // The program of another directory has its source there, and that is not read.
    std::fs::copy(programs().join("memory"), project.path().join("own")).unwrap();
    ends(&project.xtask(&["ci", "--no-progress"]).run(), 1);
    assert!(findings(&run_json(&project))[0]["source"].is_null(), "{}", word(programs()));
}
