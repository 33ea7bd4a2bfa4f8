//! Marks on the time axis, which the timeline and the memory share: grid lines, events, and times without jobs.

use super::Page;
use super::axis::Axis;
use super::format::{self, percent};
use super::markup::Html;
use crate::evidence::KillReason;

/// Something that happened at a moment or for a while.
pub(super) struct Mark {
    pub(super) from: i64,
    to: i64,
    /// `held`, `killed`, `ended` or `pause`.
    pub(super) class: &'static str,
    pub(super) text: String,
}

/// The events of the run, in the order of time.
pub(super) fn marks(page: Page<'_>, axis: &Axis<'_>) -> Vec<Mark> {
    let run = page.run;
    let mut marks: Vec<Mark> = Vec::new();
    for bar in &axis.bars {
        let Some(name) = run.plan.jobs.get(bar.job).map(|job| job.name.as_str()) else { continue };
        let record = run.jobs.get(bar.job).and_then(|job| job.attempts.iter().find(|one| one.number == bar.attempt));
        let Some(record) = record else { continue };
        if let Some(intent) = &record.evidence.intent {
            let why = match intent.reason {
                KillReason::Timeout => "its time was up",
                KillReason::Cancel => "the run was stopped",
                KillReason::NoState => "the run's directory could not be written",
                KillReason::Leftover => "it was left behind",
            };
            let text = format!("Drydock ended {name}: {why}");
            marks.push(Mark { from: intent.at, to: intent.at, class: "ended", text });
        } else if record.verdict.outcome.is_infrastructure() {
            let text = format!("{name}: {}", record.verdict.outcome.describe());
            marks.push(Mark { from: record.ended, to: record.ended, class: "killed", text });
        }
    }
    for (from, to, why) in run.pauses() {
        let text = format!("new jobs waited {}: {why}", format::time(format::span(from, to)));
        marks.push(Mark { from, to, class: "held", text });
    }
    for (from, to) in &axis.pauses {
        let text = format!("nothing ran for {}", format::time(format::span(*from, *to)));
        marks.push(Mark { from: *from, to: *to, class: "pause", text });
    }
    marks.sort_by_key(|mark| (mark.from, mark.to));
    marks
}

/// Lines at round times, with their labels or without.
pub(super) fn grid(html: &mut Html, axis: &Axis<'_>, height: usize, labels: bool) {
    let bottom = height.to_string();
    for tick in axis.ticks() {
        let place = axis.at(tick);
        let x = percent(place);
        html.void("line", &[("class", "grid"), ("x1", &x), ("x2", &x), ("y1", "0"), ("y2", &bottom)]);
        if labels && place < 97.0 {
            let y = (height + 11).to_string();
            let anchor = if place < 1.0 { "start" } else { "middle" };
            let attributes = [("class", "tick"), ("x", x.as_str()), ("y", y.as_str()), ("text-anchor", anchor)];
            html.tag("text", &attributes, &format::time(format::span(axis.from, tick)));
        }
    }
}

/// Spans of time: jobs held back, pauses.
pub(super) fn bands(html: &mut Html, axis: &Axis<'_>, marks: &[Mark], height: usize) {
    for mark in marks.iter().filter(|mark| matches!(mark.class, "held" | "pause")) {
        let (from, to) = (axis.at(mark.from), axis.at(mark.to));
        let attributes = [
            ("class", mark.class),
            ("x", &percent(from)),
            ("width", &percent((to - from).max(0.1))),
            ("y", "0"),
            ("height", &height.to_string()),
        ];
        html.within("rect", &attributes, |html| html.tag("title", &[], &mark.text));
    }
}
