//! The date in the heading of a release.

use jiff::civil::Date;

use super::heading::{bare, is_date, words};

/// The date in a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadingDate {
    /// There is none.
    Absent,
    /// A date; two of them where day and month may be either way, as in `06/01/2026`.
    Date(Vec<Date>),
    /// Something in the place of a date: one that the calendar does not have, or a placeholder.
    Invalid(String),
}

/// Words that stand where a date will be.
const PLACEHOLDERS: [&str; 10] =
    ["tbd", "tba", "unreleased", "date", "yyyy-mm-dd", "xxxx-xx-xx", "????-??-??", "unknown", "today", "soon"];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

impl HeadingDate {
    /// Whether there is a valid date.
    pub fn is_a_date(&self) -> bool {
        matches!(self, HeadingDate::Date(_))
    }

    /// Finds the date in the text of a heading: `2026-06-01`, `2026/6/1`, `01.06.2026`, `June 1, 2026` or `1st of June 2026`.
    pub(super) fn find(heading: &str) -> HeadingDate {
        let all: Vec<&str> = words(heading).collect();
        for word in &all {
            let lower = word.trim_matches(|letter: char| "()[]<>,;:*_\"'".contains(letter)).to_lowercase();
            // `2026-06-xx` and `20XX-01-01` are placeholders as well.
            let has_gap = lower.matches('-').count() == 2
                && lower.contains(['x', 'y', 'm', 'd', '?'])
                && lower.chars().all(|letter| letter.is_ascii_digit() || "-xymd?".contains(letter));
            if PLACEHOLDERS.contains(&lower.as_str()) || has_gap {
                return HeadingDate::Invalid((*word).to_owned());
            }
            if is_date(bare(word)) {
                let dates = numeric(bare(word));
                return if dates.is_empty() {
                    HeadingDate::Invalid((*word).to_owned())
                } else {
                    HeadingDate::Date(dates)
                };
            }
        }
        written(&all)
    }
}

/// The dates that three numbers may mean.
fn numeric(word: &str) -> Vec<Date> {
    let numbers: Vec<i16> = word.split(['-', '.', '/']).filter_map(|part| part.parse().ok()).collect();
    let [a, b, c] = numbers[..] else { return Vec::new() };
    let date =
        |year: i16, month: i16, day: i16| Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok();
    let orders = if word.split(['-', '.', '/']).next().is_some_and(|first| first.len() == 4) {
        vec![date(a, b, c)]
    } else {
        vec![date(c, b, a), date(c, a, b)]
    };
    let mut dates: Vec<Date> = orders.into_iter().flatten().collect();
    dates.dedup();
    dates
}

/// A date with the name of a month, which has a day and a year beside it.
fn written(words: &[&str]) -> HeadingDate {
    let bare_word = |at: usize| words.get(at).map(|word| bare(word).to_lowercase()).unwrap_or_default();
    let month = |word: &str| {
        let fits = |name: &&str| word.len() >= 3 && name.starts_with(word);
        MONTHS.iter().position(fits).and_then(|at| i8::try_from(at + 1).ok())
    };
    let day = |word: String| -> Option<i8> {
        let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        (!digits.is_empty() && digits.len() <= 2).then(|| digits.parse().ok()).flatten()
    };
    let year = |word: String| -> Option<i16> { (word.len() == 4).then(|| word.parse().ok()).flatten() };
    for at in 0..words.len() {
        let Some(found) = month(&bare_word(at)) else { continue };
        let before = at.checked_sub(1).map(bare_word).unwrap_or_default();
        let before = if before == "of" { at.checked_sub(2).map(bare_word).unwrap_or_default() } else { before };
        let parts = match (day(before), year(bare_word(at + 1))) {
            (Some(day), Some(year)) => Some((day, year)),
            _ => day(bare_word(at + 1)).zip(year(bare_word(at + 2))),
        };
        let Some((day, year)) = parts else { continue };
        return match Date::new(year, found, day) {
            Ok(date) => HeadingDate::Date(vec![date]),
            Err(_) => HeadingDate::Invalid(words[at.saturating_sub(1)..].join(" ")),
        };
    }
    HeadingDate::Absent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_found_as_people_write_them() {
        for (heading, expected) in [
            ("1.2.0", "-"),
            ("[1.2.0] - 2026-06-01", "2026-06-01"),
            ("[25.12] - 2026-06-01: \"A Name\"", "2026-06-01"),
            ("1.2.0 (2026/6/1)", "2026-06-01"),
            ("1.2.0 / 01.06.2026", "2026-06-01 2026-01-06"),
            ("1.2.0 (13/06/2026)", "2026-06-13"),
            ("1.2.0 (06/13/2026)", "2026-06-13"),
            ("Version 1.2.0, June 1, 2026", "2026-06-01"),
            ("1.2.0 (1 Jun 2026)", "2026-06-01"),
            ("1.2.0, 1st of June 2026", "2026-06-01"),
            ("2026-06-01, Version 1.2.0 (LTS)", "2026-06-01"),
            ("1.2.0 \"May Day\"", "-"),
            ("1.2.0 - 2026-02-30", "! 2026-02-30"),
            ("1.2.0 - 2026-13-01", "! 2026-13-01"),
            ("1.2.0 - 31 June 2026", "! 31 June 2026"),
            ("[1.2.0] - TBD", "! TBD"),
            ("[1.2.0] - (unreleased)", "! (unreleased)"),
            ("[1.2.0] - YYYY-MM-DD", "! YYYY-MM-DD"),
            ("[1.2.0] - 2026-06-XX", "! 2026-06-XX"),
            ("[1.2.0] - DATE", "! DATE"),
        ] {
            let found = match HeadingDate::find(heading) {
                HeadingDate::Absent => "-".to_owned(),
                HeadingDate::Date(dates) => dates.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                HeadingDate::Invalid(text) => format!("! {text}"),
            };
            assert_eq!(found, expected, "{heading}");
        }
    }
}
