//! The flake ledger and the quarantine, through real runs of a real project with commits.

use crate::support::{Finished, Project, RunJson, git, mortal, need_tool, text};

/// Passes, fails or leaks as the file `mood` says, which git does not know.
const MOODY: &str =
    "case $(cat mood) in good) exit 0;; bad) echo the timer raced; exit 1;; *) exec \"$1\" leak;; esac\n";

fn mood(project: &Project, mood: &str) {
    std::fs::write(project.path().join("mood"), mood).unwrap();
}

#[track_caller]
fn run(project: &Project, code: i32) -> Finished {
    let finished = project.xtask(&["ci"]).run();
    assert_eq!(finished.code(), code, "{}", finished.transcript());
    finished
}

fn result(project: &Project, job: &str) -> String {
    RunJson::latest(&project.state()).unwrap().job(job).unwrap().result.clone()
}

#[test]
fn the_ledger_tells_a_flake_and_the_quarantine_holds_until_its_day() {
    if !need_tool("git", "git") {
        return;
    }
    let project = Project::new().file("moody.sh", MOODY).file(".gitignore", "target\nmood\n").jobs(
        "defaults: {memory: 16MiB}\njobs:\n  moody: {run: [sh, moody.sh]}\n  after: {needs: [moody], run: [\"true\"]}\n",
    );
    git(project.path(), &["init", "--quiet"]);
    git(project.path(), &["add", "."]);
    git(project.path(), &["commit", "--quiet", "-m", "all"]);
    let flaky = |arguments: &[&str]| project.xtask(&[&["ci", "flaky"], arguments].concat()).run().stdout;
    for (state, code) in [("good", 0), ("good", 0), ("bad", 1), ("good", 0)] {
        mood(&project, state);
        run(&project, code);
    }
    let listed = flaky(&[]);
    assert!(listed.contains("moody  flaky ") && listed.contains("1 of 4") && !listed.contains("after"), "{listed}");
    assert!(
        listed.contains("    failed once\n    passed once since") && listed.contains("  moody: {reason: say why"),
        "{listed}"
    );
    let json: serde_json::Value = serde_json::from_str(&flaky(&["--format", "json", "--all"])).unwrap();
    assert_eq!((json[0]["class"].as_str(), json[1]["class"].as_str()), (Some("flaky"), Some("stable")), "{json}");

    // In quarantine it still runs and is reported, but does not fail the run and does not block other jobs.
    let quarantine = |expires: &str, more: &str| {
        let text = format!("quarantine:\n  moody: {{reason: the timer races, expires: {expires}{more}}}\n");
        std::fs::write(project.path().join("ci/quarantine.yaml"), text).unwrap();
    };
    let day = |days: i64| today().checked_add(jiff::Span::new().days(days)).unwrap().to_string();
    quarantine(&day(9), "");
    mood(&project, "bad");
    let finished = run(&project, 0);
    assert_eq!((result(&project, "moody").as_str(), result(&project, "after").as_str()), ("quarantined", "passed"));
    let said = &finished.stdout;
    assert!(
        said.contains(&format!(
            "! moody did not pass: exit code 1; it is in quarantine until {}: the timer races",
            day(9)
        )),
        "{said}"
    );
    assert!(said.contains("1 passed, 1 quarantined"), "{said}");
    let junit = std::fs::read_to_string(project.state().join("runs/latest/junit.xml")).unwrap();
    assert!(junit.contains("the timer races") && junit.contains("failures=\"0\""), "{junit}");
    assert!(flaky(&[]).contains(&format!("in quarantine until {}", day(9))), "{}", flaky(&[]));

    // An outcome that it does not name counts, and so does everything once its day is over.
    quarantine(&day(9), ", on: [timed-out]");
    run(&project, 1);
    quarantine(&day(-1), "");
    let finished = run(&project, 1);
    assert!(finished.stderr.contains(&format!("the quarantine of moody ended on {}", day(-1))), "{}", finished.stderr);

    // Entries that select nothing, or last for ever, are reported with their location.
    quarantine(&day(400), "");
    let refused = run(&project, 3);
    assert!(
        refused.stderr.contains("ci/quarantine.yaml:2:") && refused.stderr.contains("400 days ahead"),
        "{}",
        refused.stderr
    );
    std::fs::write(
        project.path().join("ci/quarantine.yaml"),
        format!("quarantine:\n  mody: {{reason: x, expires: {}}}\n", day(1)),
    )
    .unwrap();
    let refused = run(&project, 3);
    assert!(refused.stderr.contains("no job matches `mody`; did you mean `moody`?"), "{}", refused.stderr);
}

/// The day in UTC, as `xtask` has it.
fn today() -> jiff::civil::Date {
    jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date()
}

#[test]
fn a_quarantine_hides_no_finding() {
    if !need_tool("valgrind", "valgrind") {
        return;
    }
    let expires = today().checked_add(jiff::Span::new().days(5)).unwrap();
    let project = Project::new()
        .file("moody.sh", MOODY)
        .file("ci/quarantine.yaml", &format!("quarantine:\n  moody: {{reason: x, expires: {expires}}}\n"))
        .jobs(&format!(
            "jobs:\n  moody: {{run: [sh, moody.sh, {}], tool: memcheck, memory: 100MiB}}\n",
            text(&mortal())
        ));
    mood(&project, "leak");
    run(&project, 1);
    assert_eq!(result(&project, "moody"), "failed");
}
