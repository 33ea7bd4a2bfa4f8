//! Schedule efficiency, and the effect of more slots or memory.

use super::Page;
use super::format;
use super::markup::Html;
use crate::report::summary;

pub(super) fn write(html: &mut Html, page: Page<'_>) {
    let (Some(schedule), Some(started)) = (page.schedule, page.run.started.as_ref()) else { return };
    html.within("section", &[("aria-labelledby", "schedule")], |html| {
        html.tag("h2", &[("id", "schedule")], "Schedule");
        bars(html, schedule.makespan, schedule.lower_bound);
        let some = |ms: u64| if ms > 0 { format::time(ms) } else { String::new() };
        html.facts(
            "facts",
            &[
                ("took", format::time(schedule.makespan)),
                ("least possible", format::time(schedule.lower_bound)),
                ("ratio", format!("{:.2}", schedule.ratio)),
                ("limited by", summary::bound_by(started, schedule)),
                ("with more of the machine", summary::buys(started, schedule)),
                ("in attempts that were repeated", some(schedule.repeated)),
                ("new jobs waited for memory", some(schedule.held)),
            ],
        );
        html.raw("<p class=hint>No schedule of these jobs within these slots and this memory can be shorter than the ");
        html.raw("least possible, by the times and peaks that were measured.</p>");
    });
}

/// Both lengths to the same scale.
fn bars(html: &mut Html, makespan: u64, bound: u64) {
    let width = |ms: u64| format::percent(ms as f64 * 100.0 / makespan.max(1) as f64);
    let label = format!("It took {} where {} is the least possible", format::time(makespan), format::time(bound));
    let attributes =
        [("class", "bounds"), ("width", "100%"), ("height", "44"), ("role", "img"), ("aria-label", label.as_str())];
    html.within("svg", &attributes, |html| {
        for (y, class, ms, name) in [("0", "took", makespan, "took"), ("23", "least", bound, "least possible")] {
            html.void("rect", &[("class", class), ("x", "0"), ("y", y), ("width", &width(ms)), ("height", "19")]);
            let text_y = if y == "0" { "14" } else { "37" };
            html.tag("text", &[("x", "6"), ("y", text_y)], &format!("{name} {}", format::time(ms)));
        }
    });
}
