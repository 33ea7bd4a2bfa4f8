//! All jobs in a table, with times and peaks of earlier runs.

use super::Page;
use super::charts;
use super::format;
use super::markup::Html;
use super::style::Style;
use crate::event::JobResult;
use crate::plan::PlannedJob;
use crate::run::JobState;
use drydock_base::text::plural;

/// The number of runs of a job that are drawn.
const REMEMBERED: usize = 12;
/// Jobs that passed have no row beyond this number.
const MOST_ROWS: usize = 5000;
/// The rows that a browser with a script lays out at first; the others wait for a button, a filter or the printer.
const FIRST_ROWS: usize = 500;

/// The headings, each with the kind of values that the script sorts by.
const COLUMNS: [(&str, &str); 9] = [
    ("Job", "text"),
    ("Tool", "text"),
    ("Result", "text"),
    ("Attempts", "number"),
    ("Time", "number"),
    ("CPU time", "number"),
    ("Peak", "number"),
    ("Reserved", "number"),
    ("History of time and peak", ""),
];

pub(super) fn write(html: &mut Html, page: Page<'_>) {
    html.within("section", &[("aria-labelledby", "jobs")], |html| {
        html.tag("h2", &[("id", "jobs")], "Jobs");
        html.raw("<form class=\"filter js\" role=search aria-label=\"Filter of the jobs\">");
        html.raw("<label>Name <input type=search id=filter-name autocomplete=off></label>");
        html.raw("<label>Result <select id=filter-result><option value=\"\">all</option></select></label>");
        html.raw("<label>Tool <select id=filter-tool><option value=\"\">all</option></select></label>");
        html.raw("<output id=filter-count aria-live=polite></output></form>");
        let region = [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Table of jobs")];
        html.within("div", &region, |html| {
            html.within("table", &[("id", "table")], |html| {
                html.tag("caption", &[("class", "unseen")], "All jobs of the run, in the order of their declaration");
                html.within("thead", &[], |html| {
                    html.within("tr", &[], |html| {
                        for (name, kind) in COLUMNS {
                            html.tag("th", &[("scope", "col"), ("data-sort", kind)], name);
                        }
                    });
                });
                rows(html, page);
            });
        });
        let others = shown(page).count().saturating_sub(FIRST_ROWS);
        if others > 0 {
            let text = format!("Show the other {}", plural(others, "row"));
            html.within("p", &[("class", "js")], |html| {
                html.tag("button", &[("type", "button"), ("id", "more")], &text)
            });
        }
        let left_out = page.run.jobs.len().saturating_sub(MOST_ROWS);
        if left_out > 0 {
            html.tag("p", &[], &format!("{left_out} jobs, or fewer, are only in run.json: those that passed"));
        }
    });
}

/// Whether a job is shown at all: of very many, those that passed are left out.
pub(super) fn is_shown(position: usize, job: &JobState) -> bool {
    position < MOST_ROWS || Style::of_job(job.result.as_ref()) != Style::Passed
}

/// The jobs with a row, each with its position.
fn shown(page: Page<'_>) -> impl Iterator<Item = (usize, (&PlannedJob, &JobState))> {
    let jobs = page.run.plan.jobs.iter().zip(&page.run.jobs).enumerate();
    jobs.filter(|(position, (_, job))| is_shown(*position, job))
}

fn rows(html: &mut Html, page: Page<'_>) {
    html.raw("<tbody>");
    for (number, (position, (planned, job))) in shown(page).enumerate() {
        if number == FIRST_ROWS {
            html.raw("</tbody><tbody class=more>");
        }
        row(html, page, position, planned, job);
    }
    html.raw("</tbody>");
}

fn row(html: &mut Html, page: Page<'_>, position: usize, planned: &PlannedJob, job: &JobState) {
    let style = Style::of_job(job.result.as_ref());
    let last = job.attempts.last();
    html.raw("\n").within("tr", &[], |html| {
        html.within("th", &[("scope", "row")], |html| html.link(&format!("#j{position}"), planned.name.as_str()));
        html.tag("td", &[], planned.tool.kind.name());
        html.within("td", &[], |html| {
            style.badge(html);
            if let Some(note) = note(job) {
                html.tag("small", &[], &note);
            }
        });
        number(html, job.attempts.len() as u64, &attempts(job));
        match last {
            Some(last) => {
                number(html, last.duration_ms(), &format::time(last.duration_ms()));
                for (value, format) in [(last.cpu_ms, format::time as fn(u64) -> String), (last.peak, format::size)] {
                    match value {
                        Some(value) => number(html, value, &format(value)),
                        None => html.raw("<td>–</td>").end(),
                    }
                }
                number(html, last.conditions.reservation, &format::size(last.conditions.reservation));
            }
            None => html.raw("<td>–</td><td>–</td><td>–</td><td>–</td>").end(),
        }
        html.within("td", &[], |html| history(html, page, planned, job));
    });
}

/// A cell that is sorted by its number.
fn number(html: &mut Html, value: u64, text: &str) {
    html.tag("td", &[("data-v", &value.to_string())], text);
}

/// A remark on the result.
fn note(job: &JobState) -> Option<String> {
    match (&job.result, &job.carried_from) {
        (Some(JobResult::PassedAfterInfrastructure { attempt }), _) => Some(format!("at attempt {attempt}")),
        (_, Some(from)) => Some(format!("in {from}")),
        (
            Some(JobResult::Skipped { .. } | JobResult::Failed | JobResult::Quarantined | JobResult::Infrastructure),
            None,
        ) => job.attempts.last().map(|last| last.verdict.outcome.describe()),
        (
            Some(JobResult::Passed | JobResult::Flaky { .. } | JobResult::Cancelled | JobResult::NotRun { .. }) | None,
            None,
        ) => None,
    }
}

/// The number of attempts, and the last one's retry step if there was one.
fn attempts(job: &JobState) -> String {
    let step = match job.attempts.last().map(|last| (last.conditions.exclusive, last.conditions.reduced)) {
        Some((true, true)) => ", exclusive, reduced",
        Some((true, false)) => ", exclusive",
        Some((false, true)) => ", reduced",
        Some((false, false)) if job.attempts.len() > 1 && grew(job) => ", more memory",
        Some((false, false)) | None => "",
    };
    format!("{}{step}", job.attempts.len())
}

fn grew(job: &JobState) -> bool {
    match job.attempts.as_slice() {
        [first, .., last] => last.conditions.reservation > first.conditions.reservation,
        [_] | [] => false,
    }
}

fn history(html: &mut Html, page: Page<'_>, planned: &PlannedJob, job: &JobState) {
    let earlier = page.history.of_job(planned).iter().filter(|line| *line.run != *page.dir.id());
    let mut times: Vec<u64> = earlier.clone().filter(|line| line.whole).map(|line| line.duration_ms).collect();
    let mut peaks: Vec<u64> = earlier.filter(|line| line.whole).filter_map(|line| line.peak).collect();
    if let Some(last) = job.attempts.last() {
        times.push(last.duration_ms());
        peaks.extend(last.peak);
    }
    let newest = |numbers: &[u64]| numbers[numbers.len().saturating_sub(REMEMBERED)..].to_vec();
    charts::sparkline(html, "Time", &newest(&times), format::time);
    charts::sparkline(html, "Peak", &newest(&peaks), format::size);
}
