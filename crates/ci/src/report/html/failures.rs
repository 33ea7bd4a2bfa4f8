//! The failures by cause, as in the terminal, each with its proof; then the jobs that passed with remarks.

use std::collections::{BTreeMap, BTreeSet};

use super::format;
use super::markup::Html;
use super::style::Style;
use super::{Budget, Page, details, model};
use crate::event::{AttemptRecord, JobResult};
use crate::report::{findings, native, summary, suppressions};
use crate::retry;
use drydock_base::text::plural;
use drydock_valgrind::cause::Cause;

/// The number of jobs of a cause that are named.
const MOST_JOBS: usize = 200;
/// The number of differing callers that are named.
const MOST_CALLERS: usize = 6;
/// The number of causes that are shown with their proof; further ones have a line each.
const MOST_CAUSES: usize = 60;

pub(super) fn write(html: &mut Html, page: Page<'_>, budget: &mut Budget) {
    html.within("section", &[("aria-labelledby", "failures")], |html| {
        html.tag("h2", &[("id", "failures")], "What went wrong");
        let causes = causes(page);
        let left_out: Vec<(usize, &str)> = left_out(page);
        if causes.is_empty() && left_out.is_empty() {
            html.raw("<p>No job failed.</p>");
        }
        if causes.len() > 1 {
            let jobs: BTreeSet<usize> = causes.iter().flat_map(|cause| cause.jobs.iter().copied()).collect();
            let text = format!("{}, {}.", plural(causes.len(), "cause"), plural(jobs.len(), "job"));
            html.tag("p", &[("class", "hint")], &text);
        }
        for (number, cause) in causes.iter().enumerate() {
            one(html, page, cause, budget, number < MOST_CAUSES);
        }
        let dropped = findings::dropped(page.run);
        if dropped > 0 {
            let text = format!("{dropped} further findings were counted and are not shown; the jobs' logs have them.");
            html.tag("p", &[], &text);
        }
        write_left_out(html, page, &left_out);
        notes(html, page);
    });
}

/// A cause that jobs that did not pass have in common.
struct Common<'a> {
    title: String,
    jobs: Vec<usize>,
    kind: CauseKind<'a>,
}

enum CauseKind<'a> {
    /// An error that valgrind found.
    Finding(&'a Cause<'a>),
    /// The same kind of end.
    End,
}

/// The causes as in the terminal: valgrind's findings one by one, all other failures by their end.
fn causes(page: Page<'_>) -> Vec<Common<'_>> {
    let findings = page.causes.all().iter().filter(|cause| findings::failed_a_job(cause, page.run));
    let mut causes: Vec<Common<'_>> = findings
        .map(|cause| Common {
            title: cause.title(),
            jobs: cause.jobs().into_iter().collect(),
            kind: CauseKind::Finding(cause),
        })
        .collect();
    let mut ends: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (position, job) in page.run.jobs.iter().enumerate() {
        let bad = matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure));
        if let Some(last) = job.attempts.last().filter(|last| bad && !summary::is_explained_by_findings(last)) {
            ends.entry(summary::cause(last)).or_default().push(position);
        }
    }
    causes.extend(ends.into_iter().map(|(title, jobs)| Common { title, jobs, kind: CauseKind::End }));
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.jobs.len()));
    causes
}

fn one(html: &mut Html, page: Page<'_>, cause: &Common<'_>, budget: &mut Budget, with_proof: bool) {
    let last = |position: &usize| page.run.jobs.get(*position).and_then(|job| job.attempts.last());
    // A job with a telling line in its log represents all.
    let telling = cause.jobs.iter().find(|job| last(job).is_some_and(|record| record.evidence.words.is_some()));
    let Some(position) = telling.or_else(|| cause.jobs.first()) else { return };
    let Some(record) = last(position) else { return };
    let style = Style::of_job(page.run.jobs[*position].result.as_ref());
    html.within("article", &[("class", &format!("cause {}", style.class()))], |html| {
        html.within("h3", &[], |html| {
            style.mark(html);
            html.raw(" ").text(&cause.title);
        });
        html.within("p", &[], |html| {
            html.text(&format!("{}: ", plural(cause.jobs.len(), "job")));
            names(html, page, cause.jobs.iter().copied());
            html.tag("small", &[], &format!(" · confidence {:.2}", record.verdict.confidence));
        });
        if !with_proof {
            return;
        }
        match &cause.kind {
            CauseKind::Finding(found) => finding(html, page, found, record, budget),
            CauseKind::End => end(html, page, cause, (*position, record), budget),
        }
    });
}

fn finding(html: &mut Html, page: Page<'_>, cause: &Cause<'_>, record: &AttemptRecord, budget: &mut Budget) {
    let Some(example) = cause.example().filter(|_| budget.proof > 0) else { return };
    let before = html.len();
    details::one_error(html, &model::error(Some(cause.id.clone()), example, &page.run.plan.project));
    let callers = cause.callers();
    if !callers.is_empty() {
        let named = callers.iter().take(MOST_CALLERS);
        let named: Vec<String> = named.map(|(caller, jobs)| format!("{caller} in {}", plural(*jobs, "job"))).collect();
        let more = callers.len().saturating_sub(MOST_CALLERS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        html.tag("p", &[], &format!("Called by {}{more}.", named.join(", ")));
    }
    for why in record.evidence.valgrind.iter().flat_map(|valgrind| &valgrind.incomplete).take(1) {
        html.tag("p", &[], &format!("Not completely checked: {why}"));
    }
    html.within("p", &[("class", "hint")], |html| {
        html.prose(&format!("To suppress it: `{}`", page.commands.suppress(&cause.id)));
    });
    budget.proof = budget.proof.saturating_sub(html.len() - before);
}

fn end(
    html: &mut Html,
    page: Page<'_>,
    cause: &Common<'_>,
    (position, record): (usize, &AttemptRecord),
    budget: &mut Budget,
) {
    let job = &page.run.jobs[position];
    if cause.jobs.len() > 1 {
        html.tag("p", &[("class", "hint")], &format!("For example, {}:", page.run.plan.jobs[position].name));
    }
    if job.attempts.len() > 1 {
        let steps: Vec<String> = job.attempts.iter().map(|attempt| attempt.conditions.describe()).collect();
        html.tag("p", &[], &format!("{}: {}.", plural(job.attempts.len(), "attempt"), steps.join("; then ")));
    }
    if let Some(bytes) = retry::needs_more_than(&job.attempts) {
        let size = format::size(bytes);
        html.tag("p", &[], &format!("It needs more than the {size} that it had when it was killed."));
    }
    details::proof(html, page, position, record, budget);
}

/// Names with links to the jobs.
fn names(html: &mut Html, page: Page<'_>, positions: impl ExactSizeIterator<Item = usize>) {
    let more = positions.len().saturating_sub(MOST_JOBS);
    for (number, position) in positions.take(MOST_JOBS).enumerate() {
        html.text(if number > 0 { ", " } else { "" });
        let name = page.run.plan.jobs.get(position).map_or("", |job| job.name.as_str());
        html.link(&format!("#j{position}"), name);
    }
    if more > 0 {
        html.text(&format!(" and {more} more"));
    }
}

/// Jobs without an attempt that could have a cause.
fn left_out(page: Page<'_>) -> Vec<(usize, &str)> {
    let why = |(position, job): (usize, &'_ crate::run::JobState)| -> Option<(usize, &str)> {
        match &page.run.jobs.get(position)?.result {
            Some(JobResult::NotRun { because }) => Some((position, because.as_str())),
            Some(JobResult::Cancelled) => Some((position, "the run was stopped")),
            Some(JobResult::Failed | JobResult::Infrastructure) if job.attempts.is_empty() => {
                Some((position, "no attempt of it is recorded"))
            }
            None if job.in_flight.is_some() => Some((position, "it has begun, but its end was not recorded")),
            None => Some((position, "the run ended before")),
            Some(
                JobResult::Passed
                | JobResult::PassedAfterInfrastructure { .. }
                | JobResult::Flaky { .. }
                | JobResult::Skipped { .. }
                | JobResult::Failed
                | JobResult::Quarantined
                | JobResult::Infrastructure,
            ) => None,
        }
    };
    page.run.jobs.iter().enumerate().filter_map(why).collect()
}

fn write_left_out(html: &mut Html, page: Page<'_>, left_out: &[(usize, &str)]) {
    let mut reasons: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, why) in left_out {
        reasons.entry(why).or_default().push(*position);
    }
    for (why, positions) in reasons.iter().take(MOST_JOBS) {
        html.within("article", &[("class", "cause n")], |html| {
            html.within("h3", &[], |html| {
                Style::NotRun.mark(html);
                html.text(&format!(" {} without a result: {why}", plural(positions.len(), "job")));
            });
            html.within("p", &[], |html| names(html, page, positions.iter().copied()));
        });
    }
}

/// Lists the jobs that passed with remarks.
fn notes(html: &mut Html, page: Page<'_>) {
    let mut notes: Vec<(usize, String)> = Vec::new();
    for (position, job) in page.run.jobs.iter().enumerate() {
        let first = || job.attempts.first().map_or_else(String::new, |first| first.verdict.outcome.describe());
        match &job.result {
            Some(JobResult::Flaky { attempt }) => {
                notes.push((position, format!("is flaky: {}, then passed at attempt {attempt}", first())));
            }
            Some(JobResult::PassedAfterInfrastructure { attempt }) => {
                let step = job.attempts.last().map_or_else(String::new, |last| last.conditions.describe());
                let text = format!("passed at attempt {attempt} ({step}) after the machine failed it: {}", first());
                notes.push((position, text));
            }
            Some(JobResult::Passed) => {
                let valgrind = job.attempts.last().and_then(|last| last.evidence.valgrind.as_ref());
                let why = valgrind.and_then(|valgrind| valgrind.incomplete.first());
                notes.extend(why.map(|why| (position, format!("passed without being completely checked: {why}"))));
            }
            Some(JobResult::Quarantined) => {
                let last = job.attempts.last().map_or_else(String::new, |last| last.verdict.outcome.describe());
                let known = page.run.plan.jobs.get(position).and_then(|planned| planned.quarantine.as_ref());
                let known =
                    known.map_or_else(String::new, |known| format!(" until {}: {}", known.expires, known.reason));
                notes.push((position, format!("did not pass: {last}; it is in quarantine{known}")));
            }
            Some(
                JobResult::Skipped { .. }
                | JobResult::Failed
                | JobResult::Infrastructure
                | JobResult::Cancelled
                | JobResult::NotRun { .. },
            )
            | None => {}
        }
        let left: usize = job.attempts.iter().map(|record| record.evidence.leftovers.len()).sum();
        if left > 0 {
            let processes = if left == 1 { "a process".to_owned() } else { format!("{left} processes") };
            notes.push((position, format!("left {processes} behind, which Drydock ended")));
        }
    }
    let of_run: Vec<String> = native::around(page.run).into_iter().chain(suppressions::notes(page.run)).collect();
    let without = native::groups(page.run);
    if notes.is_empty() && of_run.is_empty() && without.is_empty() {
        return;
    }
    html.tag("h3", &[], "Remarks");
    html.within("ul", &[], |html| {
        for (position, note) in notes.iter().take(MOST_JOBS) {
            html.within("li", &[], |html| {
                names(html, page, std::iter::once(*position));
                html.text(" ").text(note);
            });
        }
        for group in &without {
            html.within("li", &[], |html| {
                html.text(&format!("{}, such as ", group.line()));
                names(html, page, std::iter::once(group.first));
                html.text(": ").prose(&group.because);
            });
        }
        for note in of_run.iter().take(MOST_JOBS) {
            html.within("li", &[], |html| html.prose(note).end());
        }
    });
    if notes.len() > MOST_JOBS {
        html.tag("p", &[], &format!("{} more are in the table of jobs", notes.len() - MOST_JOBS));
    }
}
