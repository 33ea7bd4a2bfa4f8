//! The timeline: a bar for each attempt, in lanes, with marks where jobs were killed or held back, and memory beneath.

use super::axis::{Axis, Bar};
use super::format::{self, percent};
use super::marks::{Mark, bands, grid, marks};
use super::markup::Html;
use super::style::Style;
use super::{Page, memory};
use drydock_base::text::plural;

/// Height of a lane; of many lanes each is lower.
const LANE: usize = 22;
const LOW_LANE: usize = 9;
const MANY_LANES: usize = 40;
/// Height of the row of marks above the lanes.
const MARKS: usize = 18;
/// A bar has its name in it when it is this wide, in percent, or when there are few.
const WORTH_A_NAME: f64 = 1.2;
const FEW_BARS: usize = 200;
/// The number of events that are listed.
const MOST_EVENTS: usize = 100;

pub(super) fn write(html: &mut Html, page: Page<'_>, axis: &Axis<'_>) {
    if axis.bars.is_empty() {
        html.tag("p", &[], "This run started no job.");
        return;
    }
    let (marks, memory) = (marks(page, axis), memory::Memory::new(page, axis));
    html.within("p", &[("class", "hint")], |html| {
        html.text(&format!(
            "{} in {} from {}. Each bar is an attempt; ",
            plural(axis.bars.len(), "attempt"),
            plural(axis.lanes, "lane"),
            super::frame::clock(axis.from),
        ));
        html.raw("<span class=js>point at one or walk them with the arrow keys, Enter shows the job. </span>");
        html.text("The ");
        html.link("#jobs", "table of jobs");
        html.text(" has the same in words.");
        if axis.bars.iter().any(|bar| bar.style != Style::Passed) {
            html.text(" Hatched bars did not pass.");
        }
        if marks.iter().any(|mark| mark.class == "killed") {
            html.text(" ▼ it was killed.");
        }
        if marks.iter().any(|mark| mark.class == "ended") {
            html.text(" ■ Drydock ended it.");
        }
    });
    html.raw("<div class=\"tools js\"><p id=readout aria-live=polite></p>");
    html.raw("<div role=group aria-label=\"Zoom of the timeline\"><button type=button id=closer>Closer</button> ");
    html.raw("<button type=button id=farther>Farther</button></div></div>");
    let scroll = [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", "Timeline, scrollable")];
    html.within("div", &scroll, |html| {
        html.within("div", &[("class", "wide"), ("id", "wide")], |html| {
            lanes(html, page, axis, &marks);
            memory::write(html, page, &memory, axis, &marks);
        });
    });
    memory::legend(html, page, &memory);
    events(html, axis, &marks);
}

fn lanes(html: &mut Html, page: Page<'_>, axis: &Axis<'_>, marks: &[Mark]) {
    let lane = if axis.lanes > MANY_LANES { LOW_LANE } else { LANE };
    let height = MARKS + axis.lanes * lane + 20;
    let label =
        format!("{} over {}", plural(axis.bars.len(), "attempt"), format::time(format::span(axis.from, axis.to)));
    let attributes = [
        ("class", "lanes"),
        ("id", "lanes"),
        ("width", "100%"),
        ("height", &height.to_string()),
        ("role", "group"),
        ("aria-label", &label),
    ];
    html.within("svg", &attributes, |html| {
        html.raw("<defs><pattern id=hatch width=6 height=6 patternUnits=userSpaceOnUse patternTransform=rotate(45)>");
        html.raw("<rect width=2 height=6 class=stripe /></pattern></defs>");
        grid(html, axis, height - 14, true);
        bands(html, axis, marks, height - 18);
        for bar in &axis.bars {
            one(html, page, axis, bar, lane);
        }
        least(html, page, axis, height - 18);
        for mark in marks.iter().filter(|mark| matches!(mark.class, "killed" | "ended")) {
            let x = percent(axis.at(mark.from).clamp(0.6, 99.4));
            let sign = if mark.class == "killed" { "▼" } else { "■" };
            html.within("text", &[("class", mark.class), ("x", &x), ("y", "13"), ("text-anchor", "middle")], |html| {
                html.text(sign).tag("title", &[], &mark.text);
            });
        }
    });
}

fn one(html: &mut Html, page: Page<'_>, axis: &Axis<'_>, bar: &Bar<'_>, lane: usize) {
    let name = page.run.plan.jobs.get(bar.job).map_or("", |job| job.name.as_str());
    let (from, to) = (axis.at(bar.started), axis.at(bar.ended));
    let (x, width) = (percent(from), percent(to - from));
    let (y, height) = ((MARKS + bar.lane * lane).to_string(), (lane - 3).to_string());
    let place = [("x", x.as_str()), ("y", &y), ("width", &width), ("height", &height)];
    let [px, py, pw, ph] = place;
    html.within("a", &[("href", &format!("#j{}", bar.job)), ("tabindex", "-1")], |html| {
        html.tag("title", &[], &described(name, axis, bar));
        html.void("rect", &[("class", bar.style.class()), px, py, pw, ph]);
        let hatched = match bar.style {
            Style::Passed | Style::Flaky => false,
            Style::Failed
            | Style::Infrastructure
            | Style::Quarantined
            | Style::Cancelled
            | Style::NotRun
            | Style::Skipped
            | Style::Unsettled => true,
        };
        if hatched {
            html.void("rect", &[("fill", "url(#hatch)"), px, py, pw, ph]);
        }
        if (to - from > WORTH_A_NAME || axis.bars.len() <= FEW_BARS) && lane > LOW_LANE {
            // Nested, so that the browser cuts the name where the bar ends.
            html.within("svg", &[px, py, pw, ph], |html| {
                let again = if bar.attempt > 1 { format!(" #{}", bar.attempt) } else { String::new() };
                let sign = if bar.style == Style::Passed { "" } else { bar.style.sign() };
                let space = if sign.is_empty() { "" } else { " " };
                html.tag("text", &[("x", "4"), ("y", "14")], &format!("{sign}{space}{name}{again}"));
            });
        }
    });
}

/// An attempt in words.
fn described(name: &str, axis: &Axis<'_>, bar: &Bar<'_>) -> String {
    let outcome = bar.outcome.map_or_else(|| "its end was not recorded".into(), |outcome| outcome.describe());
    let again = if bar.attempt > 1 { format!(" (attempt {})", bar.attempt) } else { String::new() };
    let peak = bar.peak.map_or_else(String::new, |peak| {
        if bar.reservation > 0 {
            format!(", {} of {}", format::size(peak), format::size(bar.reservation))
        } else {
            format!(", {}", format::size(peak))
        }
    });
    let since = format::time(format::span(axis.from, bar.started));
    format!("{name}{again}: {outcome}, {} from {since}{peak}", format::time(format::span(bar.started, bar.ended)))
}

/// The least possible length of the run, as far as the schedule's session is drawn.
fn least(html: &mut Html, page: Page<'_>, axis: &Axis<'_>, height: usize) {
    let Some(schedule) = page.schedule else { return };
    let session = axis.bars.iter().filter(|bar| bar.started >= page.run.session_began);
    let Some(first) = session.map(|bar| bar.started).min() else { return };
    let place = axis.at(first.saturating_add(i64::try_from(schedule.lower_bound).unwrap_or(i64::MAX)));
    let x = percent(place);
    let label = format!("least possible: {}", format::time(schedule.lower_bound));
    html.within("g", &[("class", "least")], |html| {
        html.void("line", &[("x1", &x), ("x2", &x), ("y1", "4"), ("y2", &height.to_string())]);
        let anchor = if place > 50.0 { "end" } else { "start" };
        let attributes =
            [("x", x.as_str()), ("dx", if place > 50.0 { "-5" } else { "5" }), ("y", "13"), ("text-anchor", anchor)];
        html.tag("text", &attributes, &label);
    });
}

fn events(html: &mut Html, axis: &Axis<'_>, marks: &[Mark]) {
    if marks.is_empty() {
        return;
    }
    html.within("details", &[("class", "events")], |html| {
        html.tag("summary", &[], &format!("Events ({})", marks.len()));
        html.within("ol", &[], |html| {
            for mark in marks.iter().take(MOST_EVENTS) {
                html.within("li", &[], |html| {
                    html.tag("b", &[], &format::time(format::span(axis.from, mark.from)));
                    html.text(" ").text(&mark.text);
                });
            }
        });
        if marks.len() > MOST_EVENTS {
            html.tag("p", &[], &format!("{} more are in run.json", marks.len() - MOST_EVENTS));
        }
    });
}
