//! What is around the report: the head with its policy, the line that says how the run ended, contents and end.

use drydock_base::text::plural;
use sha2::{Digest as _, Sha256};

use super::Page;
use super::look::{self, Look};
use super::markup::Html;
use crate::event::RunResult;
use crate::outcome::signal_name;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// How many warnings are shown.
const MOST_WARNINGS: usize = 200;

/// Everything up to the main part.
pub(super) fn begin(html: &mut Html, page: Page<'_>) {
    let look = of_run(page);
    html.raw("<!doctype html>\n<html lang=en><head><meta charset=utf-8>");
    html.void("meta", &[("http-equiv", "Content-Security-Policy"), ("content", &policy())]);
    html.raw("<meta name=viewport content=\"width=device-width, initial-scale=1\">");
    html.raw("<meta name=color-scheme content=\"light dark\"><meta name=referrer content=no-referrer>");
    html.tag("title", &[], &format!("{} {} · Drydock run {}", look.sign(), headline(page), page.dir.id()));
    html.raw("<style>").raw(STYLE).raw("</style></head><body>");
    html.raw("<a class=skip href=#main>Skip to the report</a>");
    html.within("header", &[("class", look.class())], |html| {
        html.tag("p", &[("class", "brand")], &format!("Drydock · run {}", page.dir.id()));
        html.within("h1", &[], |html| {
            look.mark(html);
            html.raw(" ").text(&headline(page));
        });
        html.within("p", &[("class", "exit")], |html| html.prose(&result(page)).end());
        counts(html, page);
        facts(html, page);
    });
    contents(html, page);
}

/// What a browser may do with the page: show it, with this style and this script, and ask nobody for anything.
fn policy() -> String {
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(STYLE)),
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

/// How many jobs came to what, in the order of [`Look::ALL`].
fn tally(page: Page<'_>) -> Vec<(Look, usize)> {
    let looks: Vec<Look> = page.run.jobs.iter().map(|job| Look::of_job(job.result.as_ref())).collect();
    let count = |look: &Look| looks.iter().filter(|one| *one == look).count();
    Look::ALL.iter().map(|look| (*look, count(look))).filter(|(_, count)| *count > 0).collect()
}

/// The run as a whole looks like the worst of its jobs.
fn of_run(page: Page<'_>) -> Look {
    tally(page).first().map_or(Look::NotRun, |(look, _)| *look)
}

fn headline(page: Page<'_>) -> String {
    let all = page.run.jobs.len();
    let count = |wanted: Look| page.run.jobs.iter().filter(|job| Look::of_job(job.result.as_ref()) == wanted).count();
    let passed = count(Look::Passed);
    // Neither passed, but neither do they fail a run by themselves.
    let half = [Look::Flaky, Look::Quarantined].map(|look| (count(look), look.word()));
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
    if let Some(signal) = page.run.interrupted {
        text.push_str(&format!(" {} stopped the run; `cargo xtask ci --resume` resumes it.", signal_name(signal)));
    } else if page.run.result.is_none() {
        text.push_str(" The run never finished; `cargo xtask ci --resume` resumes it.");
    } else if page.result != RunResult::Passed {
        text.push_str(" `cargo xtask ci rerun` repeats the jobs that did not pass.");
    }
    text
}

fn counts(html: &mut Html, page: Page<'_>) {
    html.within("ul", &[("class", "counts"), ("aria-label", "Jobs by result")], |html| {
        for (look, count) in tally(page) {
            html.within("li", &[], |html| {
                html.within("a", &[("href", "#jobs"), ("data-show", look.word())], |html| {
                    look.mark(html);
                    html.text(&format!(" {count} {}", look.word()));
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
        .map_or_else(String::new, |capacity| format!("{} ({})", look::size(capacity.memory), capacity.memory_source));
    let versions = started.map_or_else(String::new, |started| {
        let valgrind = started.valgrind.as_ref().map_or_else(String::new, |valgrind| format!(", {}", named(valgrind)));
        format!("Drydock {}{valgrind}", started.version)
    });
    html.facts(
        "facts",
        &[
            ("took", look::time(look::span(began, run.last))),
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

/// What a person should know.
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
        html.prose(&format!(", and `cargo xtask ci explain JOB`. Recorded in {}.", page.dir.root().display()));
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
