//! `report.html`: a run for a person, in one file that needs nothing else and runs nothing but its own script.
//!
//! Everything is in the markup, so that it can be read without the script, printed, and searched; the script only sorts,
//! filters, and tells what is under the pointer. All colours and shapes are in the style sheet, all texts are escaped by
//! [`markup`], and what could grow without end has a budget.

use super::ReportInput as Page;

mod axis;
mod charts;
mod details;
mod facts;
mod failures;
mod frame;
mod look;
mod markup;
mod memory;
mod schedule;
mod table;
#[cfg(test)]
mod tests;
mod timeline;

use axis::Axis;
use markup::Html;

/// Bytes that may still be spent, so that thousands of failures make no page that no browser opens.
struct Budget {
    /// On logs and stacks.
    proof: usize,
    /// On what is told of jobs that passed.
    passed: usize,
}

/// The file's content.
pub(super) fn render(page: Page<'_>) -> String {
    let mut budget = Budget { proof: 1 << 20, passed: 5 << 18 };
    let mut html = Html::default();
    frame::begin(&mut html, page);
    html.within("main", &[("id", "main"), ("tabindex", "-1")], |html| {
        failures::write(html, page, &mut budget);
        frame::warnings(html, page);
        let axis = Axis::of(page.run);
        html.within("section", &[("aria-labelledby", "timeline")], |html| {
            html.tag("h2", &[("id", "timeline")], "Timeline");
            timeline::write(html, page, &axis);
        });
        schedule::write(html, page);
        table::write(html, page);
        details::write(html, page, &mut budget);
    });
    frame::end(&mut html, page);
    html.finish()
}
