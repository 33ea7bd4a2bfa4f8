//! What went wrong, by cause as the terminal tells it, each with its proof; then what passed, but not quietly.

use std::collections::BTreeMap;

use super::look::{self, Look, plural};
use super::markup::Html;
use super::{Budget, Page, details};
use crate::ci::event::{AttemptRecord, JobResult};
use crate::ci::report::summary;
use crate::ci::retry;

/// How many jobs of a cause are named.
const MOST_JOBS: usize = 200;
/// How many causes are told with their proof; of more there is a line each.
const MOST_CAUSES: usize = 60;

/// Position of the job, and its last attempt.
type Failed<'a> = (usize, &'a AttemptRecord);

pub(super) fn write(html: &mut Html, page: Page<'_>, budget: &mut Budget) {
    html.within("section", &[("aria-labelledby", "failures")], |html| {
        html.tag("h2", &[("id", "failures")], "What went wrong");
        let causes = causes(page);
        let left_out: Vec<(usize, &str)> = left_out(page);
        if causes.is_empty() && left_out.is_empty() {
            html.raw("<p>Nothing.</p>");
        }
        if causes.len() > 1 {
            let jobs: usize = causes.iter().map(|(_, jobs)| jobs.len()).sum();
            let text = format!("{}, {}.", plural(causes.len(), "cause"), plural(jobs, "job"));
            html.tag("p", &[("class", "hint")], &text);
        }
        for (number, (cause, jobs)) in causes.iter().enumerate() {
            one(html, page, cause, jobs, budget, number < MOST_CAUSES);
        }
        write_left_out(html, page, &left_out);
        notes(html, page);
    });
}

fn causes(page: Page<'_>) -> Vec<(String, Vec<Failed<'_>>)> {
    let mut causes: BTreeMap<String, Vec<Failed<'_>>> = BTreeMap::new();
    for (position, job) in page.run.jobs.iter().enumerate() {
        let bad = matches!(job.result, Some(JobResult::Failed | JobResult::Infrastructure));
        if let (true, Some(last)) = (bad, job.attempts.last()) {
            causes.entry(summary::cause(last)).or_default().push((position, last));
        }
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, jobs)| std::cmp::Reverse(jobs.len()));
    causes
}

fn one(html: &mut Html, page: Page<'_>, cause: &str, jobs: &[Failed<'_>], budget: &mut Budget, with_proof: bool) {
    // The job whose log says most stands for all.
    let spoken = jobs.iter().find(|(_, record)| record.evidence.words.is_some());
    let Some((position, record)) = spoken.or_else(|| jobs.first()) else { return };
    let look = Look::of_job(page.run.jobs[*position].result.as_ref());
    html.within("article", &[("class", &format!("cause {}", look.class()))], |html| {
        html.within("h3", &[], |html| {
            look.mark(html);
            html.raw(" ").text(cause);
        });
        html.within("p", &[], |html| {
            html.text(&format!("{}: ", plural(jobs.len(), "job")));
            names(html, page, jobs.iter().map(|(position, _)| *position));
            html.tag("small", &[], &format!(" · confidence {:.2}", record.verdict.confidence));
        });
        if !with_proof {
            return;
        }
        let job = &page.run.jobs[*position];
        if jobs.len() > 1 {
            html.tag("p", &[("class", "hint")], &format!("{} stands for all:", page.run.plan.jobs[*position].name));
        }
        if job.attempts.len() > 1 {
            let rungs: Vec<String> = job.attempts.iter().map(AttemptRecord::rung).collect();
            html.tag("p", &[], &format!("{}: {}.", plural(job.attempts.len(), "attempt"), rungs.join("; then ")));
        }
        if let Some(bytes) = retry::needs_more_than(&job.attempts) {
            let size = look::size(bytes);
            html.tag("p", &[], &format!("It needs more than {size}, which it had when it was killed."));
        }
        details::proof(html, page, *position, record, budget);
    });
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

/// Jobs that have no attempt that could tell a cause.
fn left_out(page: Page<'_>) -> Vec<(usize, &str)> {
    let why = |(position, job): (usize, &'_ crate::ci::run::JobState)| -> Option<(usize, &str)> {
        match &page.run.jobs.get(position)?.result {
            Some(JobResult::NotRun { because }) => Some((position, because.as_str())),
            Some(JobResult::Cancelled) => Some((position, "the run was stopped")),
            Some(JobResult::Failed | JobResult::Infrastructure) if job.attempts.is_empty() => {
                Some((position, "no attempt of it is recorded"))
            }
            None if job.in_flight.is_some() => Some((position, "it has begun and no end of it is recorded")),
            None => Some((position, "the run ended before")),
            Some(
                JobResult::Passed
                | JobResult::PassedAfterInfrastructure { .. }
                | JobResult::Flaky { .. }
                | JobResult::Failed
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
                Look::NotRun.mark(html);
                html.text(&format!(" {} without a result: {why}", plural(positions.len(), "job")));
            });
            html.within("p", &[], |html| names(html, page, positions.iter().copied()));
        });
    }
}

/// What passed, but not quietly.
fn notes(html: &mut Html, page: Page<'_>) {
    let mut notes: Vec<(usize, String)> = Vec::new();
    for (position, job) in page.run.jobs.iter().enumerate() {
        let first = || job.attempts.first().map_or_else(String::new, |first| first.verdict.outcome.describe());
        match &job.result {
            Some(JobResult::Flaky { attempt }) => {
                notes.push((position, format!("is flaky: {}, then passed at attempt {attempt}", first())));
            }
            Some(JobResult::PassedAfterInfrastructure { attempt }) => {
                let rung = job.attempts.last().map_or_else(String::new, AttemptRecord::rung);
                let text = format!("passed at attempt {attempt}, {rung}; before, the machine broke it: {}", first());
                notes.push((position, text));
            }
            Some(JobResult::Passed) => {
                let valgrind = job.attempts.last().and_then(|last| last.evidence.valgrind.as_ref());
                let why = valgrind.and_then(|valgrind| valgrind.incomplete.first());
                notes.extend(why.map(|why| (position, format!("passed without being wholly checked: {why}"))));
            }
            Some(JobResult::Failed | JobResult::Infrastructure | JobResult::Cancelled | JobResult::NotRun { .. })
            | None => {}
        }
        let left: usize = job.attempts.iter().map(|record| record.evidence.leftovers.len()).sum();
        if left > 0 {
            let processes = if left == 1 { "a process".to_owned() } else { format!("{left} processes") };
            notes.push((position, format!("left {processes} behind, which Drydock ended")));
        }
    }
    if notes.is_empty() {
        return;
    }
    html.tag("h3", &[], "Passed, but not quietly");
    html.within("ul", &[], |html| {
        for (position, note) in notes.iter().take(MOST_JOBS) {
            html.within("li", &[], |html| {
                names(html, page, std::iter::once(*position));
                html.text(" ").text(note);
            });
        }
    });
    if notes.len() > MOST_JOBS {
        html.tag("p", &[], &format!("{} more are in the table of jobs", notes.len() - MOST_JOBS));
    }
}
