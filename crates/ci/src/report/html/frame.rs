//! The frame of the report: the head with its policy, the headline with the result of the run, contents and footer.

use drydock_base::text::plural;
use sha2::{Digest as _, Sha256};

use super::Page;
use super::format;
use super::markup::Html;
use super::style::Style;
use crate::event::RunResult;
use crate::outcome::signal_name;
use crate::report::commands;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// What the style has to know before anything is drawn.
const EARLY_SCRIPT: &str = "document.documentElement.classList.add('scripted')";

/// The number of warnings that are shown.
const MOST_WARNINGS: usize = 200;

/// Everything up to the main part.
pub(super) fn begin(html: &mut Html, page: Page<'_>) {
    let style = of_run(page);
    html.raw("<!doctype html>\n<html lang=en><head><meta charset=utf-8>");
    html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
    html.raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    html.raw("<meta name=color-scheme content=\"light dark\"><meta name=referrer content=no-referrer>");
    html.tag("title", &[], &format!("{} {} · Drydock run {}", style.sign(), headline(page), page.dir.id()));
    html.raw("<script>").raw(EARLY_SCRIPT).raw("</script><style>").raw(STYLE).raw("</style></head><body>");
    html.raw("<a class=skip href=#main>Skip to the report</a>");
    html.within("header", &[("class", style.class())], |html| {
        html.tag("p", &[("class", "brand")], &format!("Drydock · run {}", page.dir.id()));
        html.within("h1", &[], |html| {
            style.mark(html);
            html.raw(" ").text(&headline(page));
        });
        html.within("p", &[("class", "exit")], |html| html.prose(&result(page)).end());
        counts(html, page);
        facts(html, page);
    });
    contents(html, page);
}

/// A page without a script in the style of the report, whose body another writer fills.
pub fn plain_page(title: &str, body: impl FnOnce(&mut Html)) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=en><head><meta charset=utf-8>");
    let style = base64(&Sha256::digest(STYLE));
    let policy = format!("default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'");
    html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy)]);
    html.raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    html.raw("<meta name=color-scheme content=\"light dark\"><meta name=referrer content=no-referrer>");
    html.tag("title", &[], title);
    html.raw("<style>").raw(STYLE).raw("</style></head><body>");
    body(&mut html);
    html.raw("</body></html>\n");
    html.finish()
}

/// The content security policy: the page has this style and these scripts, and loads nothing.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}' 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(STYLE)),
        base64(&Sha256::digest(EARLY_SCRIPT)),
        base64(&Sha256::digest(SCRIPT))
    )
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let three = [group[0], *group.get(1).unwrap_or(&0), *group.get(2).unwrap_or(&0)];
        let number = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for position in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * position)) as usize & 63];
            text.push(if position > group.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// The number of jobs of each style, in the order of [`Style::ALL`].
fn tally(page: Page<'_>) -> Vec<(Style, usize)> {
    let styles: Vec<Style> = page.run.jobs.iter().map(|job| Style::of_job(job.result.as_ref())).collect();
    let count = |style: &Style| styles.iter().filter(|one| *one == style).count();
    Style::ALL.iter().map(|style| (*style, count(style))).filter(|(_, count)| *count > 0).collect()
}

/// The style of the run, which is that of its worst job.
fn of_run(page: Page<'_>) -> Style {
    tally(page).first().map_or(Style::NotRun, |(style, _)| *style)
}

fn headline(page: Page<'_>) -> String {
    let all = page.run.jobs.len();
    let count = |wanted: Style| page.run.jobs.iter().filter(|job| Style::of_job(job.result.as_ref()) == wanted).count();
    let passed = count(Style::Passed);
    // These did not pass, but do not fail a run by themselves.
    let half = [Style::Flaky, Style::Quarantined].map(|style| (count(style), style.word()));
    let half: Vec<String> =
        half.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    match (all, all - passed) {
        (0, _) => "There was no job".into(),
        (1, 0) => "The job passed".into(),
        (_, 0) => format!("All {all} jobs passed"),
        _ if page.result == RunResult::Passed => {
            format!("{passed} of {} passed, {}", plural(all, "job"), half.join(", "))
        }
        (1, _) => "The job did not pass".into(),
        (_, bad) => format!("{bad} of {all} jobs did not pass"),
    }
}

fn result(page: Page<'_>) -> String {
    let mut text = page.result.sentence().to_owned();
    let is_last = page.commands.is_last;
    let resume = if is_last { format!("; `{}` resumes it", commands::resume()) } else { String::new() };
    if let Some(signal) = page.run.interrupted {
        text.push_str(&format!(" {} stopped the run{resume}.", signal_name(signal)));
    } else if page.run.result.is_none() {
        text.push_str(&format!(" The run never finished{resume}."));
    } else if is_last && page.result != RunResult::Passed {
        text.push_str(&format!(" `{}` repeats the jobs that did not pass.", commands::rerun()));
    }
    text
}

fn counts(html: &mut Html, page: Page<'_>) {
    html.within("ul", &[("class", "counts"), ("aria-label", "Jobs by result")], |html| {
        for (style, count) in tally(page) {
            html.within("li", &[], |html| {
                html.within("a", &[("href", "#jobs"), ("data-show", style.word())], |html| {
                    style.mark(html);
                    html.text(&format!(" {count} {}", style.word()));
                });
            });
        }
    });
}

fn facts(html: &mut Html, page: Page<'_>) {
    let run = page.run;
    let started = run.started.as_ref();
    let capacity = started.map(|started| &started.capacity);
    let began = run.began.unwrap_or(run.last);
    let carried = run.jobs.iter().filter(|job| job.carried_from.is_some()).count();
    let mut from = String::new();
    if let Some(reruns) = started.and_then(|started| started.reruns.as_ref()) {
        from = format!("rerun of {reruns}, with {} carried over", plural(carried, "result"));
    } else if started.is_some_and(|started| started.resumed) {
        from = "resumed after an interruption".into();
    }
    let slots = capacity.map_or_else(String::new, |capacity| {
        format!("{} ({})", plural(capacity.slots as usize, "slot"), capacity.slots_source)
    });
    let memory = capacity
        .map_or_else(String::new, |capacity| format!("{} ({})", format::size(capacity.memory), capacity.memory_source));
    let versions = started.map_or_else(String::new, |started| {
        let valgrind = started.valgrind.as_ref().map_or_else(String::new, |valgrind| format!(", {}", named(valgrind)));
        format!("Drydock {}{valgrind}", started.version)
    });
    html.facts(
        "facts",
        &[
            ("took", format::time(format::span(began, run.last))),
            ("began", if run.began.is_some() { clock(began) } else { "never".into() }),
            ("slots", slots),
            ("memory", memory),
            ("containment", started.map_or_else(String::new, |started| started.containment.clone())),
            ("versions", versions),
            ("project", run.plan.project.display().to_string()),
            ("history", from),
        ],
    );
}

fn named(valgrind: &str) -> String {
    if valgrind.starts_with("valgrind") { valgrind.to_owned() } else { format!("valgrind {valgrind}") }
}

/// A moment in words.
pub(super) fn clock(at: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(at).ok();
    time.map_or_else(|| "an unknown time".into(), |time| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

fn contents(html: &mut Html, page: Page<'_>) {
    html.within("nav", &[("aria-label", "Contents")], |html| {
        html.raw("<ul><li><a href=#failures>What went wrong</a></li>");
        if !page.run.warnings.is_empty() {
            html.raw("<li><a href=#warnings>Warnings</a></li>");
        }
        html.raw("<li><a href=#timeline>Timeline</a></li>");
        if page.schedule.is_some() {
            html.raw("<li><a href=#schedule>Schedule</a></li>");
        }
        html.raw("<li><a href=#jobs>Jobs</a></li><li><a href=#details>Details</a></li></ul>");
    });
}

/// The warnings of the run.
pub(super) fn warnings(html: &mut Html, page: Page<'_>) {
    let warnings = &page.run.warnings;
    if warnings.is_empty() {
        return;
    }
    html.within("section", &[("aria-labelledby", "warnings")], |html| {
        html.tag("h2", &[("id", "warnings")], "Warnings");
        html.within("ul", &[], |html| {
            for warning in warnings.iter().take(MOST_WARNINGS) {
                html.tag("li", &[], warning);
            }
        });
        if warnings.len() > MOST_WARNINGS {
            html.tag("p", &[], &format!("{} more are in run.json", warnings.len() - MOST_WARNINGS));
        }
    });
}

/// Everything after the main part.
pub(super) fn end(html: &mut Html, page: Page<'_>) {
    html.within("footer", &[], |html| {
        html.text("The same for programs: ");
        html.link("run.json", "run.json");
        html.text(", ");
        html.link("junit.xml", "junit.xml");
        if let Some(planned) = page.run.plan.jobs.first() {
            html.prose(&format!(", and for each job `{}`", page.commands.explain(planned.name.as_str())));
        }
        html.text(&format!(". Recorded in {}.", page.dir.root().display()));
    });
    html.raw("<script>").raw(SCRIPT).raw("</script></body></html>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (bytes, text) in
            [("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("\u{ff}", "w78=")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn style_and_script_cannot_end_their_elements() {
        assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("url(http") && !STYLE.contains("@import") && !STYLE.contains("@font-face"));
    }
}
