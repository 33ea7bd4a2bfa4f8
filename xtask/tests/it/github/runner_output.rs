//! What a runner of GitHub Actions makes of the output of a run whose jobs try to command it.

use std::fs;

use crate::support::{Project, text};

/// A job prints each of them, in its output and in its name of a process that it leaves behind.
const INJECTED: [&str; 6] = [
    "::add-mask::e",
    "  ::error file=a.c,line=1::forged",
    "::stop-commands::x",
    "##[set-env name=LD_PRELOAD;]/tmp/evil.so",
    "working ##[error]forged",
    "::set-output name=passed::yes",
];

/// The commands in an output, as actions/runner finds them.
fn commands(output: &str) -> Vec<&str> {
    output.split(['\n', '\r']).filter(|line| line.trim().starts_with("::") || line.contains("##[")).collect()
}

fn project() -> Project {
    let lines: Vec<String> = INJECTED.iter().map(|line| format!("echo '{line}'\nprintf 'x\\r{line}\\n' >&2")).collect();
    Project::new()
        .file("evil.sh", &format!("#!/bin/sh\n{}\nexit 3\n", lines.join("\n")))
        .file("flaky.sh", "#!/bin/sh\nif [ -e once ]; then exit 0; fi\ntouch once\nexit 1\n")
        .jobs(
            "jobs:\n  evil: {run: [sh, evil.sh]}\n  evil-too: {run: [sh, evil.sh]}\n  good: {run: [echo, '::error::forged']}\n  \
             flaky: {run: [sh, flaky.sh], retry: {attempts: 2, on: [failed]}}\n  late: {needs: [evil], run: ['true']}\n",
        )
}

#[test]
fn a_runner_gets_annotations_and_no_job_can_command_it() {
    let project = project();
    let page = project.path().join("summary.md");
    fs::write(&page, "# before\n").unwrap();
    let call = |args: &[&str]| project.xtask(args).env("GITHUB_STEP_SUMMARY", &text(&page));
    let finished = call(&["ci", "-j", "1"]).env("GITHUB_ACTIONS", "true").run();
    assert_eq!(finished.code(), 1, "{}", finished.transcript());
    assert_eq!(commands(&finished.stderr), [""; 0]);
    let found = commands(&finished.stdout);
    let reproduce = project.hint("ci run evil").replace('%', "%25");
    let expected = [
        "::group::evil: exit code 3".to_owned(),
        "::endgroup::".into(),
        "::group::evil-too: exit code 3".into(),
        "::endgroup::".into(),
        "::group::flaky: passed".into(),
        "::endgroup::".into(),
        format!(
            "::error title=exit code 3%3A x\u{fffd}working ##\\[error]forged::evil, evil-too%0A\
             because the main process ended by itself with exit code 3%0Ato reproduce it: {reproduce}"
        ),
        "::error title=1 job not run::late%0A".into(),
        "::warning title=1 job flaky::flaky%0Aexit code 1".into(),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.starts_with(expected.as_str()), "{found}\n{expected}");
    }
    for line in INJECTED {
        let shown = line.trim().replace("##[", "##\\[");
        assert!(finished.stdout.contains(&shown), "the log is shown: {line}\n{}", finished.transcript());
    }
    let summary = fs::read_to_string(&page).unwrap();
    assert!(summary.starts_with("# before\n## ❌ At least one job failed.\n"), "{summary}");
    for part in [
        "&#93;forged</code> in 2 jobs",
        "To reproduce it: <code>",
        "flaky is flaky",
        "5 jobs: 1 passed, 1 flaky, 2 failed, 1 not run",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }

    // Without a runner nothing of it is printed, and with the option all of it.
    let before = fs::read_to_string(&page).unwrap();
    for (options, groups) in [(&["--output-for", "people"][..], 0), (&[], 0), (&["--output-for", "github"], 3)] {
        let again = call(&[&["ci", "rerun", "evil", "evil-too"], options].concat()).run();
        assert_eq!(again.code(), 1, "{}", again.transcript());
        assert_eq!(again.stdout.matches("::group::").count(), groups, "{}", again.transcript());
    }
    assert!(fs::read_to_string(&page).unwrap().len() > before.len());

    // All that is printed under a runner is disarmed, whatever the command.
    let explained = project.xtask(&["ci", "explain", "evil"]).env("GITHUB_ACTIONS", "true").run();
    assert!(
        explained.stdout.contains("forged") && commands(&explained.stdout).is_empty(),
        "{}",
        explained.transcript()
    );
    let printed = project.xtask(&["ci", "report", "--format", "markdown"]).run();
    assert!(printed.stdout.contains("<details open>"), "{}", printed.transcript());
}
