//! The details of each job: its command, and every attempt with verdict, proof, memory, heap and log.

use std::path::Path;

use super::format;
use super::markup::Html;
use super::model::{self, Error};
use super::style::Style;
use super::{Budget, Page, charts, table};
use crate::event::{AttemptRecord, JobResult};
use crate::plan::PlannedJob;
use crate::report::explain;
use crate::run::JobState;
use crate::tested::cases::{self, CaseResult};
use drydock_base::exec;
use drydock_base::units;

/// Lines of a log that are shown.
const LOG_LINES: usize = 30;
/// The number of valgrind's errors that an attempt shows.
const MOST_ERRORS: usize = 50;
/// The size of the errors of an attempt, in bytes.
const MOST_PROOF: usize = 128 << 10;
/// The number of a job's subtests that an attempt shows.
const MOST_SUBTESTS: usize = 200;
/// A curve of fewer samples is not drawn.
const WORTH_A_CURVE: usize = 3;

pub(super) fn write(html: &mut Html, page: Page<'_>, budget: &mut Budget) {
    html.within("section", &[("aria-labelledby", "details"), ("class", "details")], |html| {
        html.tag("h2", &[("id", "details")], "Details");
        html.raw("<p class=js><button type=button id=open>Open those in the filter</button> ");
        html.raw("<button type=button id=close>Close all</button></p>");
        let jobs = page.run.plan.jobs.iter().zip(&page.run.jobs).enumerate();
        let mut short = 0;
        for (position, (planned, job)) in jobs.filter(|(position, (_, job))| table::is_shown(*position, job)) {
            let before = html.len();
            let quiet = Style::of_job(job.result.as_ref()) == Style::Passed && job.attempts.len() < 2;
            let brief = quiet && budget.passed == 0;
            one(html, page, position, (planned, job), budget, brief);
            if quiet {
                budget.passed = budget.passed.saturating_sub(html.len() - before);
                short += usize::from(brief);
            }
        }
        if short > 0 {
            let text = format!("Of {short} jobs that passed, only the command is shown here; run.json has the rest.");
            html.tag("p", &[], &text);
        }
    });
}

fn one(
    html: &mut Html,
    page: Page<'_>,
    position: usize,
    (planned, job): (&PlannedJob, &JobState),
    budget: &mut Budget,
    brief: bool,
) {
    let style = Style::of_job(job.result.as_ref());
    html.raw("\n").within("details", &[], |html| {
        html.within("summary", &[], |html| {
            // Headings of thousands of jobs that passed would clutter the outline of the page.
            let tag = if style == Style::Passed { "span" } else { "h3" };
            html.within(tag, &[], |html| {
                style.mark(html);
                html.raw(" ").text(planned.name.as_str());
            });
            html.text(" ").tag("small", &[], style.word());
        });
        html.within("div", &[("id", &format!("j{position}"))], |html| {
            html.tag("p", &[("class", "mono")], &exec::paste(&planned.argv));
            if brief {
                return;
            }
            about(html, planned, job);
            for (number, record) in job.attempts.iter().enumerate() {
                attempt(html, page, position, record, job.samples.get(number).map_or(&[], Vec::as_slice), budget);
            }
            if let Some(flight) = &job.in_flight {
                let text = format!("Attempt {} has begun, but its end was not recorded.", flight.start.attempt);
                html.tag("p", &[], &text);
                if flight.samples.len() >= WORTH_A_CURVE {
                    let span = (flight.began, page.run.last);
                    charts::curve(html, &flight.samples, span, flight.start.conditions.reservation);
                }
            }
        });
    });
}

fn about(html: &mut Html, planned: &PlannedJob, job: &JobState) {
    let needs: Vec<&str> = planned.needs.iter().map(units::JobName::as_str).collect();
    let tool = planned.tool.kind.name();
    let options = planned.tool.args.join(" ");
    let directory = planned.directory.display().to_string();
    let because = match &job.result {
        Some(JobResult::NotRun { because }) => because.clone(),
        Some(
            JobResult::Passed
            | JobResult::PassedAfterInfrastructure { .. }
            | JobResult::Flaky { .. }
            | JobResult::Skipped { .. }
            | JobResult::Failed
            | JobResult::Quarantined
            | JobResult::Infrastructure
            | JobResult::Cancelled,
        )
        | None => String::new(),
    };
    let without = planned.native().map(|native| format!("{}: {}", native.without.name(), native.because));
    html.facts(
        "about",
        &[
            ("not run because", because),
            ("tool", if tool == "none" { String::new() } else { format!("{tool} {options}") }),
            ("without", without.unwrap_or_default()),
            ("needs", needs.join(", ")),
            ("directory", if directory == "." { String::new() } else { directory }),
            ("carried over from", job.carried_from.clone().unwrap_or_default()),
        ],
    );
}

fn attempt(
    html: &mut Html,
    page: Page<'_>,
    position: usize,
    record: &AttemptRecord,
    samples: &[(i64, u64)],
    budget: &mut Budget,
) {
    let Some(planned) = page.run.plan.jobs.get(position) else { return };
    let outcome = &record.verdict.outcome;
    let style = Style::of_attempt(outcome);
    html.within("h4", &[], |html| {
        style.mark(html);
        html.text(&format!(" Attempt {}: {}", record.number, outcome.describe()));
        html.tag("small", &[], &format!(" confidence {:.2}", record.verdict.confidence));
    });
    let peak = record.peak.map_or_else(|| "peak not measured".into(), |peak| format!("peak {}", format::size(peak)));
    let cpu = record.cpu_ms.map_or_else(String::new, |ms| format!(", {} of CPU time", format::time(ms)));
    let mut facts = format!(
        "{} of at most {}{cpu}, {}, {peak}",
        format::time(record.duration_ms()),
        units::human(planned.timeout),
        record.conditions.describe(),
    );
    if let Some(reason) = &record.conditions.retry_reason {
        facts.push_str(&format!("; retried because {reason}"));
    }
    html.tag("p", &[], &facts);
    if outcome.is_pass() {
        let reasons = &record.verdict.reasons;
        reasons_of(html, "why", reasons);
        if let Some(heap) = &record.evidence.heap {
            charts::heap(html, &model::heap(heap));
        }
        allocations(html, record);
    } else {
        proof(html, page, position, record, budget);
        sources(html, page, record, budget);
    }
    subtests(html, page, position, record, budget);
    if samples.len() >= WORTH_A_CURVE {
        charts::curve(html, samples, (record.started, record.ended), record.conditions.reservation);
    }
    // Relative to the report, so that it works wherever the directory of runs is moved.
    let log = page.run.attempt_path(position, record.number).join("log");
    html.within("p", &[], |html| html.link(&percent_encoded(&log), "Log"));
}

/// The tests that the job reported, those that failed first.
fn subtests(html: &mut Html, page: Page<'_>, position: usize, record: &AttemptRecord, budget: &mut Budget) {
    let Some(counted) = record.evidence.test.as_ref().and_then(|test| test.subtests.as_ref()) else { return };
    let Some(planned) = page.run.plan.jobs.get(position).filter(|_| counted.total() > 0) else { return };
    let log = page.run.attempt_dir(page.dir, position, record.number).join("log");
    let before = html.len();
    let mut listed = if budget.proof == 0 { Vec::new() } else { cases::read(planned.rules.protocol, &log) };
    listed.sort_by_key(|case| case.result != CaseResult::Failed);
    html.within("details", &[("class", "subtests")], |html| {
        html.tag("summary", &[], &format!("Subtests: {}", counted.describe()));
        html.within("ul", &[], |html| {
            for case in listed.iter().take(MOST_SUBTESTS) {
                let style = match case.result {
                    CaseResult::Passed => Style::Passed,
                    CaseResult::Failed => Style::Failed,
                    CaseResult::Skipped => Style::Skipped,
                };
                html.within("li", &[], |html| {
                    style.mark(html);
                    html.raw(" ").text(&case.name);
                });
            }
        });
        let more = counted.total().saturating_sub(listed.len().min(MOST_SUBTESTS) as u64);
        if more > 0 {
            html.tag("p", &[("class", "hint")], &format!("{more} more are in junit.xml or in the log."));
        }
    });
    budget.proof = budget.proof.saturating_sub(html.len() - before);
}

/// The reasons of the verdict, the ruled-out causes, the advice, valgrind's errors, and the end of the log.
pub(super) fn proof(html: &mut Html, page: Page<'_>, position: usize, record: &AttemptRecord, budget: &mut Budget) {
    let Some(planned) = page.run.plan.jobs.get(position) else { return };
    let verdict = &record.verdict;
    let before = html.len();
    reasons_of(html, "why", &verdict.reasons);
    reasons_of(html, "why-not", &verdict.ruled_out);
    if let Some(advice) = page.commands.advice(planned, verdict) {
        html.within("p", &[("class", "advice")], |html| {
            html.raw("<b>To do:</b> ").prose(&advice);
        });
    }
    if budget.proof == 0 {
        html.raw("<p class=hint>The proof of all failures is too long for this page: ");
        html.prose(&format!("`{}` prints it.", page.commands.explain(planned.name.as_str()))).raw("</p>");
        return;
    }
    for (number, error) in model::errors(page, position, record).enumerate() {
        if number == MOST_ERRORS || html.len() - before > MOST_PROOF {
            html.raw("<p class=hint>There are more: ");
            html.prose(&format!("`{}` prints them.", page.commands.explain(planned.name.as_str()))).raw("</p>");
            break;
        }
        one_error(html, &error);
    }
    if let Some(valgrind) = record.evidence.valgrind.as_ref().filter(|valgrind| !valgrind.main_crash.is_empty()) {
        html.tag("p", &[], "The stack at its fatal signal:");
        stack(html, &valgrind.main_crash);
    }
    if let Some(heap) = &record.evidence.heap {
        charts::heap(html, &model::heap(heap));
    }
    allocations(html, record);
    let lines = model::log_tail(&page.run.attempt_dir(page.dir, position, record.number), LOG_LINES);
    if !lines.is_empty() {
        html.tag("p", &[], "The end of its log:");
        log(html, &lines, record.evidence.words.as_deref());
    }
    budget.proof = budget.proof.saturating_sub(html.len() - before);
}

/// The allocation sites of a job under dhat.
fn allocations(html: &mut Html, record: &AttemptRecord) {
    let Some(profile) = &record.evidence.allocations else { return };
    html.tag("p", &[], &format!("Heap: {}. The largest sites:", profile.largest.line()));
    html.within("ol", &[("class", "stack")], |html| {
        for site in &profile.largest.sites {
            html.tag("li", &[], &format!("{}, {} at the peak", site.line(), site.at_peak));
        }
    });
}

/// Lines of a log, with the most telling one marked.
fn log(html: &mut Html, lines: &[String], telling: Option<&str>) {
    let last_telling = lines.iter().rposition(|line| telling.is_some_and(|words| line.trim() == words));
    html.within("pre", &[("class", "log")], |html| {
        for (number, line) in lines.iter().enumerate() {
            match last_telling {
                Some(telling) if telling == number => html.tag("mark", &[], line),
                Some(_) | None => html.text(line).end(),
            }
            html.raw("\n");
        }
    });
}

pub(super) fn one_error(html: &mut Html, error: &Error) {
    html.within("div", &[("class", "finding")], |html| {
        html.within("p", &[], |html| {
            html.tag("b", &[], &error.kind);
            html.text(": ").text(&error.what);
            if let Some(id) = &error.id {
                html.raw(" ").tag("code", &[], id);
            }
        });
        html.within("ol", &[("class", "stack")], |html| {
            for (frame, source) in &error.stack {
                html.within("li", &[], |html| {
                    html.text(frame);
                    if let Some(source) = source {
                        html.tag("code", &[("class", "source")], source);
                    }
                });
            }
        });
        if error.more_frames > 0 {
            html.tag("p", &[("class", "hint")], &format!("… {} more", error.more_frames));
        }
        for (what, frames) in &error.auxiliary {
            html.tag("p", &[], what);
            stack(html, frames);
        }
    });
}

fn stack(html: &mut Html, frames: &[String]) {
    html.within("ol", &[("class", "stack")], |html| {
        for frame in frames {
            html.tag("li", &[], frame);
        }
    });
}

fn reasons_of(html: &mut Html, class: &'static str, reasons: &[String]) {
    if reasons.is_empty() {
        return;
    }
    let label = if class == "why" { "What decided" } else { "What rules other causes out" };
    html.within("ul", &[("class", class), ("aria-label", label)], |html| {
        for reason in reasons {
            html.within("li", &[], |html| html.prose(reason).end());
        }
    });
}

/// Every source of evidence, as `ci explain` prints it.
fn sources(html: &mut Html, page: Page<'_>, record: &AttemptRecord, budget: &mut Budget) {
    if budget.proof == 0 {
        return;
    }
    let mut text = String::new();
    // Writing into a text cannot fail.
    explain::write_sources(&mut text, page.run, &record.evidence).ok();
    let before = html.len();
    html.within("pre", &[("class", "sources")], |html| {
        for line in text.lines() {
            html.text(line).raw("\n");
        }
    });
    budget.proof = budget.proof.saturating_sub(html.len() - before);
}

fn percent_encoded(path: &Path) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./~".contains(byte);
    let text = path.display().to_string();
    let encode = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_logs_are_urls() {
        assert_eq!(percent_encoded(Path::new("jobs/units/run-wire/2/log")), "jobs/units/run-wire/2/log");
        assert_eq!(percent_encoded(Path::new("a b#c?d%é:e")), "a%20b%23c%3Fd%25%C3%A9%3Ae");
    }
}
