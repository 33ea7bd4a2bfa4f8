//! Whether everything that tested a commit passed: the check runs of apps, such as the jobs of GitHub Actions, and the statuses of
//! services without an app.

use drydock_base::text::one_line;
use serde::Deserialize;

use crate::model::{COMPLETED, SUCCESS};

/// A check run of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CheckRun {
    /// The number.
    pub id: u64,
    /// The name: of GitHub Actions, that of the job.
    pub name: String,
    /// `queued`, `in_progress`, `completed` …
    pub status: String,
    /// `success`, `failure`, `skipped` …, once it has ended.
    pub conclusion: Option<String>,
    /// The page about it.
    #[serde(default)]
    pub details_url: Option<String>,
}

/// The newest status of a commit in one context.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CommitStatus {
    /// The context, such as `ci/other`.
    pub context: String,
    /// `success`, `pending`, `failure` or `error`.
    pub state: String,
}

/// One test of a commit, of whatever kind.
struct Check<'a> {
    name: &'a str,
    verdict: Verdict,
    /// The conclusion, the status or the state in GitHub's word.
    word: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    /// It did not run, and nothing is wrong.
    LeftOut,
    Waits,
    Failed,
}

/// What is asked of a commit.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The names of checks that must have passed; with none, all must, and there must be one.
    pub names: &'a [String],
    /// The number of the workflow run that asks, whose own jobs cannot have ended.
    pub own_run: Option<u64>,
}

/// Decides whether the commit passed; the evidence, or what is wrong. Neither an absent nor a skipped check is a pass.
pub fn decide(runs: &[CheckRun], statuses: &[CommitStatus], wanted: Wanted<'_>) -> Result<String, Vec<String>> {
    let own = wanted.own_run.map(|id| format!("/actions/runs/{id}/"));
    let is_own = |run: &&CheckRun| match (&own, &run.details_url) {
        (Some(own), Some(url)) => format!("{url}/").contains(own.as_str()),
        (Some(_) | None, Some(_) | None) => false,
    };
    let checks: Vec<Check<'_>> = runs
        .iter()
        .filter(|run| !is_own(run))
        .map(of_run)
        .chain(statuses.iter().map(of_status))
        .filter(|check| wanted.names.is_empty() || wanted.names.iter().any(|name| name == check.name))
        .collect();
    let shown = |check: &Check<'_>| format!("{} ({})", one_line(check.name, 80), one_line(check.word, 40));
    let bad = |check: &&Check<'_>| matches!(check.verdict, Verdict::Waits | Verdict::Failed);
    let mut problems: Vec<String> = checks.iter().filter(bad).map(shown).collect();
    let passed = |name: Option<&str>| {
        checks.iter().any(|check| check.verdict == Verdict::Passed && name.is_none_or(|name| name == check.name))
    };
    for name in wanted.names {
        let is_there = checks.iter().any(|check| check.name == name);
        if !is_there {
            problems.push(format!("{name} (there is no such check)"));
        } else if !passed(Some(name)) && !checks.iter().any(|check| check.name == name && bad(&check)) {
            problems.push(format!("{name} (skipped)"));
        }
    }
    if problems.is_empty() && !passed(None) {
        problems.push("nothing has tested the commit".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let count = checks.iter().filter(|check| check.verdict == Verdict::Passed).count();
    let left_out = checks.len() - count;
    let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} skipped") };
    Ok(format!("{count} passed{left_out}"))
}

fn of_run(run: &CheckRun) -> Check<'_> {
    let conclusion = run.conclusion.as_deref().filter(|_| run.status == COMPLETED);
    let verdict = match conclusion {
        None => Verdict::Waits,
        Some(SUCCESS) => Verdict::Passed,
        Some("skipped" | "neutral") => Verdict::LeftOut,
        // `failure`, `cancelled`, `timed_out`, `action_required`, `stale`, and whatever comes later.
        Some(_) => Verdict::Failed,
    };
    Check { name: &run.name, verdict, word: conclusion.unwrap_or(&run.status) }
}

fn of_status(status: &CommitStatus) -> Check<'_> {
    let verdict = match status.state.as_str() {
        SUCCESS => Verdict::Passed,
        "pending" => Verdict::Waits,
        _ => Verdict::Failed,
    };
    Check { name: &status.context, verdict, word: &status.state }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME WORD` for a run, `NAME: WORD` for a status.
    fn check(found: &[&str], names: &[&str], expected: Result<&str, &[&str]>) {
        let (mut runs, mut statuses) = (Vec::new(), Vec::new());
        for (at, text) in found.iter().enumerate() {
            if let Some((context, state)) = text.split_once(": ") {
                statuses.push(CommitStatus { context: context.into(), state: state.into() });
                continue;
            }
            let (name, word) = text.split_once(' ').unwrap();
            let waits = ["queued", "in_progress"].contains(&word);
            runs.push(CheckRun {
                id: at as u64,
                name: name.into(),
                status: if waits { word } else { "completed" }.into(),
                conclusion: (!waits).then(|| word.to_owned()),
                details_url: Some(format!(
                    "https://github.com/o/r/actions/runs/{}/job/{at}",
                    if name == "release" { 9 } else { 7 }
                )),
            });
        }
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let decided = decide(&runs, &statuses, Wanted { names: &names, own_run: Some(9) });
        let expected = expected.map(str::to_owned);
        let expected = expected.map_err(|list| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert_eq!(decided, expected, "{found:?} {names:?}");
    }

    #[test]
    fn only_what_ran_and_passed_is_a_pass() {
        check(&[], &[], Err(&["nothing has tested the commit"]));
        check(&["gate skipped"], &[], Err(&["nothing has tested the commit"]));
        check(&["gate success", "docs skipped", "ci/other: success"], &[], Ok("2 passed, 1 skipped"));
        check(&["gate success", "tests failure", "lint cancelled"], &[], Err(&["tests (failure)", "lint (cancelled)"]));
        check(&["gate success", "tests in_progress"], &[], Err(&["tests (in_progress)"]));
        check(&["gate success", "x stale", "y unheard_of"], &[], Err(&["x (stale)", "y (unheard_of)"]));
        check(&["gate success", "ci/other: pending"], &[], Err(&["ci/other (pending)"]));
        check(&["gate success", "ci/other: error"], &[], Err(&["ci/other (error)"]));
        // The workflow that asks is still running; another one with the same name is not it.
        check(&["gate success", "release in_progress"], &[], Ok("1 passed"));
        check(&["release in_progress"], &[], Err(&["nothing has tested the commit"]));
        // Two workflows with a job of the same name: both count.
        check(&["build success", "build failure"], &[], Err(&["build (failure)"]));
    }

    #[test]
    fn named_checks_are_all_that_counts_and_all_must_be_there() {
        check(&["gate success", "nightly failure"], &["gate"], Ok("1 passed"));
        check(&["gate success"], &["gate", "tests"], Err(&["tests (there is no such check)"]));
        check(&["gate skipped"], &["gate"], Err(&["gate (skipped)"]));
        check(&["gate success", "gate failure"], &["gate"], Err(&["gate (failure)"]));
        check(&["Gate success"], &["gate"], Err(&["gate (there is no such check)"]));
    }
}
