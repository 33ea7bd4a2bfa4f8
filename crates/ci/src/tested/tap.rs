//! The Test Anything Protocol, versions 12 to 14 (testanything.org): the tests of the outermost level.

use super::cases::CaseResult;
use super::{MOST_NAMED, Subtests, TestEvidence};
use drydock_base::text::printable;
use drydock_config::jobs::Protocol;

/// The longest description that is kept.
const LONGEST: usize = 120;

/// A test line.
struct Point<'t> {
    passed: bool,
    number: Option<u64>,
    description: &'t str,
    /// `SKIP` or `TODO` in lower case.
    directive: Option<&'static str>,
}

/// Reads the whole output of a job.
pub(super) fn read(output: &str, protocol: Protocol, evidence: &mut TestEvidence) {
    let mut subtests = Subtests::default();
    let mut plan: Option<(u64, Option<&str>)> = None;
    let mut wrong = None;
    for line in output.lines() {
        if let Some(reason) = line.strip_prefix("Bail out!") {
            wrong = Some(format!("it bailed out: {}", printable(reason.trim(), LONGEST)));
            break;
        }
        if let Some(planned) = planned(line) {
            plan = Some(planned);
        } else if let Some(point) = point(line) {
            count(&mut subtests, &point, protocol);
            let expected = subtests.total();
            if let Some(number) = point.number.filter(|number| *number != expected && wrong.is_none()) {
                wrong = Some(format!("its TAP test {expected} has the number {number}"));
            }
        }
    }
    let total = subtests.total();
    if let Some(first) = subtests.failures.first() {
        evidence.failed = Some(format!("{} of {total} TAP tests failed, such as `{first}`", subtests.failed));
    }
    evidence.broken = match (wrong, plan) {
        // Only a plan of no tests skips; automake's driver does not look at what stands behind another one.
        (None, Some((1.., Some(_)))) if protocol != Protocol::Tap => {
            Some("its plan is to run tests, and to skip all of them".into())
        }
        (None, Some((expected, _))) if expected != total => {
            Some(format!("it planned {expected} TAP tests and ran {total}"))
        }
        (None, None) if total > 0 && protocol != Protocol::MesonTap => {
            Some(format!("it ran {total} TAP tests without a plan (`1..{total}`)"))
        }
        (wrong, Some(_) | None) => wrong,
    };
    let said = evidence.failed.is_some() || evidence.broken.is_some();
    match plan {
        Some(_) | None if said => {}
        Some((0, Some(reason))) if !reason.trim().is_empty() => {
            evidence.skipped = Some(format!("its plan is `1..0`: {}", printable(reason, LONGEST)));
        }
        Some((0, _)) => evidence.skipped = Some("its plan is `1..0`, without a reason".into()),
        None if total == 0 => evidence.nothing = Some("it printed no TAP test".into()),
        Some(_) | None if subtests.skipped == total => {
            evidence.skipped = Some(format!("it skipped all of its {total} TAP tests"));
        }
        Some(_) | None => {}
    }
    evidence.subtests = Some(subtests);
}

/// `true` if the output says how many tests there are.
pub(super) fn has_plan(output: &str) -> bool {
    output.lines().any(|line| planned(line).is_some())
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
    let (text, comment) = split_comment(rest.trim());
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number = text.get(..digits).and_then(|digits| digits.parse().ok());
    let directive = ["skip", "todo"].into_iter().find(|word| starts_with_word(comment, word));
    Some(Point { passed, number, description: text, directive })
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

/// The tests of an output, without those that a program reports after it bailed out.
pub(super) fn cases(output: &str, protocol: Protocol) -> impl Iterator<Item = (&str, CaseResult)> {
    output.lines().take_while(|line| !line.starts_with("Bail out!")).filter_map(move |line| case(line, protocol))
}

/// The test of a line.
pub(super) fn case(line: &str, protocol: Protocol) -> Option<(&str, CaseResult)> {
    let point = point(line)?;
    Some((point.description, result(&point, protocol)))
}

fn result(point: &Point<'_>, protocol: Protocol) -> CaseResult {
    let failed = match (point.directive, point.passed) {
        (Some("skip"), true) => return CaseResult::Skipped,
        // A test that is still to be done may fail; that it passes is a failure except for prove.
        (Some("todo"), passed) => passed && protocol != Protocol::ProveTap,
        (_, passed) => !passed,
    };
    if failed { CaseResult::Failed } else { CaseResult::Passed }
}

fn count(subtests: &mut Subtests, point: &Point<'_>, protocol: Protocol) {
    match result(point, protocol) {
        CaseResult::Skipped => subtests.skipped += 1,
        CaseResult::Passed => subtests.passed += 1,
        CaseResult::Failed => {
            subtests.failed += 1;
            if subtests.failures.len() < MOST_NAMED {
                let todo = if point.directive.is_some() { " (to be done, and passed)" } else { "" };
                subtests.failures.push(format!("{}{todo}", printable(point.description, LONGEST)));
            }
        }
    }
}
