//! `report.html`: a run for people, in one file that loads nothing and runs only its own script.
//!
//! Everything is in the markup, so that it can be read without the script, printed, and searched; the script only sorts,
//! filters, and describes what is under the pointer. All colours and shapes are in the style sheet, all texts are escaped by
//! [`markup`], and everything that could grow without bound has a budget.

use std::io;

use super::ReportInput as Page;

pub(super) mod axis;
mod charts;
mod details;
mod failures;
mod format;
mod frame;
mod marks;
mod markup;
mod memory;
mod model;
mod schedule;
mod shards;
mod style;
mod table;
#[cfg(test)]
pub(super) mod tests;
mod timeline;

use axis::Axis;
pub use frame::plain_page;
pub use markup::Html;

/// Bytes that may still be written, so that the page of a run with thousands of failures still opens in a browser.
struct Budget {
    /// For logs and stacks.
    proof: usize,
    /// For the details of jobs that passed.
    passed: usize,
}

/// Writes the file's content, one section after the other: with thousands of jobs each is long.
pub(super) fn render(page: Page<'_>, to: &mut dyn io::Write) -> io::Result<()> {
    let mut budget = Budget { proof: 1 << 20, passed: 5 << 18 };
    let mut html = Html::default();
    frame::begin(&mut html, page);
    html.raw("<main id=main tabindex=-1 >");
    failures::write(&mut html, page, &mut budget);
    frame::warnings(&mut html, page);
    html.pass_on(to)?;
    let axis = Axis::new(page.run);
    html.within("section", &[("aria-labelledby", "timeline")], |html| {
        html.tag("h2", &[("id", "timeline")], "Timeline");
        timeline::write(html, page, &axis);
    });
    drop(axis);
    html.pass_on(to)?;
    schedule::write(&mut html, page);
    shards::write(&mut html, page);
    table::write(&mut html, page);
    html.pass_on(to)?;
    details::write(&mut html, page, &mut budget);
    html.raw("</main>");
    frame::end(&mut html, page);
    html.pass_on(to)
}
