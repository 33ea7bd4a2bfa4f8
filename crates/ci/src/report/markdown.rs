//! The step summary of GitHub Actions: what failed by cause with its evidence, how to reproduce it, and the schedule.
//!
//! GitHub drops a summary of more than 1 MiB as a whole, so what does not fit is left out, the least important first. Foreign
//! text is in elements whose content is escaped for both HTML and Markdown.

use std::fmt::Write as _;

use super::problems::{Problem, problems};
use super::{ReportInput, summary, tables};
use crate::event::RunResult;
use drydock_base::hint;
use drydock_base::text::{lines, plural};

/// The largest summary of a step, in bytes.
pub const LARGEST: usize = 1 << 20;
/// What is kept free for the last lines.
const RESERVE: usize = 2 << 10;
/// The longest description of one cause.
const LONGEST_BLOCK: usize = 16 << 10;
/// Causes that are shown unfolded.
const OPEN: usize = 3;

/// The summary, of at most `room` bytes.
pub fn render(input: ReportInput<'_>, room: usize) -> String {
    let room = room.min(LARGEST).saturating_sub(RESERVE);
    let mark = match input.result {
        RunResult::Passed => "✅",
        RunResult::Failed | RunResult::Flaky => "❌",
        RunResult::Infrastructure | RunResult::Interrupted => "⚠️",
    };
    let mut text = format!("## {mark} {}\n\n", input.result.sentence());
    text.push_str(&section("", &part(|text| summary::write_counts(text, input))));
    let rest = rest(input);
    let problems = problems(input);
    let line =
        |problem: &Problem<'_>| format!("- {} in {}\n", code(&problem.title()), plural(problem.jobs().len(), "job"));
    let lines: Vec<String> = problems.iter().map(line).collect();
    // The room that each needs at least, with all that follow.
    let mut needed = rest.len() + lines.iter().map(String::len).sum::<usize>();
    let mut not_shown = 0;
    for (number, (problem, line)) in problems.iter().zip(&lines).enumerate() {
        needed -= line.len();
        let block = failure(problem, input, number < OPEN);
        if text.len() + block.len() + needed <= room {
            text.push_str(&block);
        } else if text.len() + line.len() + rest.len() <= room {
            text.push_str(line);
        } else {
            not_shown += 1;
        }
    }
    if not_shown > 0 {
        // Writing into a text cannot fail.
        writeln!(text, "\n{} not shown here: see report.html.", plural(not_shown, "cause")).ok();
    }
    if text.len() + rest.len() <= room + RESERVE / 2 {
        text.push_str(&rest);
    }
    text
}

/// What follows the failures.
fn rest(input: ReportInput<'_>) -> String {
    let schedule = input.schedule.map(|schedule| part(|text| summary::write_schedule(text, input.run, schedule)));
    [
        section("Remarks", &part(|text| summary::write_notes(text, input.run))),
        section("Schedule", &schedule.unwrap_or_default()),
        section("Slowest and biggest jobs", &part(|text| tables::write_tables(text, input.run))),
        section("Allocations", &part(|text| tables::write_allocations(text, input.run))),
    ]
    .concat()
}

/// A heading, and lines as they are in `summary.txt`.
fn section(title: &str, content: &str) -> String {
    let content = content.trim_matches('\n');
    if content.is_empty() {
        return String::new();
    }
    let heading = if title.is_empty() { String::new() } else { format!("\n### {title}\n\n") };
    format!("{heading}{}", preformatted(&bounded(content)))
}

/// The text, cut where it is too long.
fn bounded(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at > LONGEST_BLOCK) {
        Some((end, _)) => format!("{}\n…", &text[..end]),
        None => text.to_owned(),
    }
}

fn part(write: impl FnOnce(&mut String) -> std::fmt::Result) -> String {
    let mut text = String::new();
    // Writing into a text cannot fail.
    write(&mut text).ok();
    text
}

fn failure(problem: &Problem<'_>, input: ReportInput<'_>, open: bool) -> String {
    let run = input.run;
    let block = bounded(&part(|text| summary::write_problem(text, problem, input)));
    let positions = problem.jobs();
    let (open, count) = (if open { " open" } else { "" }, plural(positions.len(), "job"));
    let title = code(&problem.title());
    let mut text =
        format!("\n<details{open}><summary>{title} in {count}</summary>\n\n{}", preformatted(block.trim_matches('\n')));
    if let Some(name) = positions.first().map(|job| run.plan.jobs[*job].name.as_str()) {
        let revision = run.started.as_ref().and_then(|started| started.revision.as_deref());
        let at = revision.map_or_else(String::new, |revision| format!(" at commit {}", code(revision)));
        let command = hint::drydock(&["ci", "run"]).arg(name).to_string();
        text.push_str(&format!("\nTo reproduce it{at}: {}\n", code(&command)));
    }
    text.push_str("\n</details>\n");
    text
}

/// Lines in a fixed font.
fn preformatted(content: &str) -> String {
    format!("<pre>{}</pre>\n", html(&lines(content)))
}

/// Foreign words in a line. Neither HTML nor Markdown is left in them: every letter that one of them knows is a reference.
fn code(content: &str) -> String {
    let mut escaped = String::from("<code>");
    for letter in lines(content).chars() {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | ' ' | ',' | ';' | '/' | '\'' | '=' | '%' => escaped.push(letter),
            '\n' | '\t' => escaped.push(' '),
            letter if letter.is_ascii() => escaped.push_str(&format!("&#{};", u32::from(letter))),
            letter => escaped.push(letter),
        }
    }
    escaped.push_str("</code>");
    escaped
}

fn html(content: &str) -> String {
    content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests;
