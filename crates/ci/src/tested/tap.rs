//! The Test Anything Protocol, versions 12 to 14 (testanything.org): the tests of the outermost level.

use super::{MOST_NAMED, Subtests, TestEvidence};
use drydock_base::text::printable;

/// The longest description that is kept.
const LONGEST: usize = 120;

/// A test line.
struct Point<'t> {
    passed: bool,
    description: &'t str,
    /// `SKIP` or `TODO` in lower case, with the reason.
    directive: Option<(String, &'t str)>,
}

/// Reads the whole output of a job.
pub(super) fn read(output: &str, evidence: &mut TestEvidence) {
    let mut subtests = Subtests::default();
    let mut plan: Option<(u64, Option<&str>)> = None;
    let mut bail = None;
    for line in output.lines() {
        if let Some(reason) = line.strip_prefix("Bail out!") {
            bail = Some(printable(reason.trim(), LONGEST));
            break;
        }
        if let Some(planned) = planned(line) {
            plan = Some(planned);
        } else if let Some(point) = point(line) {
            count(&mut subtests, &point);
        }
    }
    let total = subtests.total();
    evidence.failed = match (&bail, plan) {
        (Some(reason), _) => Some(format!("it bailed out: {reason}")),
        (None, _) if subtests.failed > 0 => {
            let first = subtests.failures.first().map_or("", String::as_str);
            Some(format!("{} of {total} TAP tests failed, such as `{first}`", subtests.failed))
        }
        (None, Some((expected, _))) if expected != total => {
            Some(format!("it planned {expected} TAP tests and ran {total}"))
        }
        (None, None) if total > 0 => Some(format!("it ran {total} TAP tests without a plan (`1..{total}`)")),
        (None, Some(_) | None) => evidence.failed.take(),
    };
    match plan {
        Some((0, Some(reason))) => {
            evidence.skipped = Some(format!("its plan is `1..0`: {}", printable(reason, LONGEST)));
        }
        Some((0, None)) => evidence.nothing = Some("its plan is `1..0`".into()),
        None if total == 0 && bail.is_none() => evidence.nothing = Some("it printed no TAP test".into()),
        Some(_) | None if total > 0 && subtests.skipped == total => {
            evidence.skipped = Some(format!("it skipped all of its {total} TAP tests"));
        }
        Some(_) | None => {}
    }
    evidence.subtests = Some(subtests);
}

/// The number of tests in a plan, and the reason to skip all.
fn planned(line: &str) -> Option<(u64, Option<&str>)> {
    let rest = line.strip_prefix("1..")?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = rest.get(..digits)?.parse().ok()?;
    let comment = rest.get(digits..)?.trim_start();
    let skip = comment.strip_prefix('#').map(str::trim).filter(|text| starts_with_word(text, "skip"));
    Some((number, skip.map(after_word)))
}

fn point(line: &str) -> Option<Point<'_>> {
    let (passed, rest) = match line.strip_prefix("not ok") {
        Some(rest) => (false, rest),
        None => (true, line.strip_prefix("ok")?),
    };
    if !rest.is_empty() && !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let (description, comment) = split_comment(rest.trim());
    let directive = ["skip", "todo"].into_iter().find(|word| starts_with_word(comment, word));
    Some(Point { passed, description, directive: directive.map(|word| (word.to_owned(), after_word(comment))) })
}

/// The description, and what follows the first `#` that is not escaped.
fn split_comment(text: &str) -> (&str, &str) {
    let at = text.char_indices().find(|(at, c)| *c == '#' && !text[..*at].ends_with('\\'));
    at.map_or((text, ""), |(at, _)| (text[..at].trim(), text[at + 1..].trim()))
}

fn starts_with_word(text: &str, word: &str) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn after_word(text: &str) -> &str {
    text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim())
}

fn count(subtests: &mut Subtests, point: &Point<'_>) {
    match (&point.directive, point.passed) {
        (Some((word, _)), true) if word == "skip" => subtests.skipped += 1,
        // A test that is still to be done may fail.
        (Some((word, _)), _) if word == "todo" => subtests.passed += 1,
        (_, true) => subtests.passed += 1,
        (_, false) => {
            subtests.failed += 1;
            if subtests.failures.len() < MOST_NAMED {
                subtests.failures.push(printable(point.description, LONGEST));
            }
        }
    }
}
