//! Versions, and texts that contain one.

mod nightly;

pub use nightly::{NightlyVersion, Place};

use crate::decode::{Declared, FromText};
use drydock_base::text::quoted;
use drydock_base::units::BadValue;
use schemars::{Schema, json_schema};
use std::fmt;
use std::str::FromStr;

/// A version: a digit, then letters, digits and `. + ~ _ -`, fit for file names and tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Version {
    /// The version with its last number raised: `1.2.4` after `1.2.3`, `1.0rc2` after `1.0rc1`; after a date, the next day. None if it
    /// does not end with a number.
    pub fn raised(&self) -> Option<Version> {
        if let Some(tomorrow) = self.tomorrow() {
            return Some(tomorrow);
        }
        let start = self.0.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
        let (before, number) = self.0.split_at(start);
        let raised = (number.parse::<u64>().ok()?.checked_add(1)?).to_string();
        // `26.09` is followed by `26.10`.
        format!("{before}{raised:0>width$}", width = number.len()).parse().ok()
    }

    /// The day after a version that is a date: `20260301` after `20260228`, `2026.12.01` after `2026.11.30`.
    fn tomorrow(&self) -> Option<Version> {
        let text = self.as_str();
        let separator = text.chars().find(|letter| !letter.is_ascii_digit());
        let parts: Vec<&str> = match separator {
            None if text.len() == 8 => vec![&text[..4], &text[4..6], &text[6..]],
            None => return None,
            Some(separator) => text.split(separator).collect(),
        };
        let [year, month, day] = parts[..] else { return None };
        // A number of two digits may count releases.
        if !(1990..2200).contains(&year.parse::<i16>().ok()?) {
            return None;
        }
        let date = jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()?;
        let next = date.tomorrow().ok()?;
        let separator = separator.map_or_else(String::new, String::from);
        // `2026.2.28` is followed by `2026.3.1`, and `2026.02.28` by `2026.03.01`.
        let width = month.len().min(day.len());
        let (month, day) = (next.month(), next.day());
        format!("{}{separator}{month:0>width$}{separator}{day:0>width$}", next.year()).parse().ok()
    }
}

impl FromStr for Version {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".+~_-".contains(&byte);
        let digit = text.starts_with(|first: char| first.is_ascii_digit());
        if digit && text.len() <= 64 && text.bytes().all(fits) && !text.contains("..") {
            return Ok(Self(text.to_owned()));
        }
        let expected = "a digit, then letters, digits and `. + ~ _ -`, at most 64 of them";
        Err(BadValue::new(format!("{} is not a version", quoted(text)), expected))
    }
}

impl FromText for Version {
    const WHAT: &'static str = "a version";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 64, "pattern": "^[0-9][A-Za-z0-9.+~_-]*$"})
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A text that contains `{version}` once, such as `v{version}`; or `{version:_}` or `{version:-}`, where the version is written
/// with that letter for each dot: `R_{version:_}` is `R_2_6_1` for 2.6.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionText {
    before: String,
    after: String,
    /// What is written for a dot.
    dot: char,
}

impl VersionText {
    /// The placeholders, each with what it writes for a dot.
    const PLACEHOLDERS: [(&'static str, char); 3] = [("{version}", '.'), ("{version:_}", '_'), ("{version:-}", '-')];

    /// The text `{version}`.
    pub(crate) fn bare() -> VersionText {
        VersionText::new("", "")
    }

    /// The text around the version.
    pub(super) fn new(before: &str, after: &str) -> VersionText {
        VersionText { before: before.to_owned(), after: after.to_owned(), dot: '.' }
    }

    /// The text before the version, and after it.
    pub(super) fn around(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    /// The text with the version instead of the placeholder.
    pub fn render(&self, version: &Version) -> String {
        self.with(&self.written(version))
    }

    /// The version as this text has it.
    pub fn written(&self, version: &Version) -> String {
        version.as_str().replace('.', &self.dot.to_string())
    }

    /// The text with a word instead of the placeholder: `v*`, `vVERSION`.
    pub fn with(&self, word: &str) -> String {
        format!("{}{word}{}", self.before, self.after)
    }

    /// The glob of all texts of this shape.
    pub fn glob(&self) -> String {
        self.with("*")
    }

    /// The version in a text of this shape; none if the text has another shape.
    pub fn version_in(&self, text: &str) -> Option<Version> {
        self.read(text.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?)
    }

    /// The version that is written in this way.
    pub(super) fn read(&self, written: &str) -> Option<Version> {
        if self.dot == '.' {
            return written.parse().ok();
        }
        if written.contains('.') { None } else { written.replace(self.dot, ".").parse().ok() }
    }
}

impl fmt::Display for VersionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let own = Self::PLACEHOLDERS.iter().find(|(_, dot)| *dot == self.dot);
        f.write_str(&self.with(own.map_or("", |(placeholder, _)| placeholder)))
    }
}

impl FromText for VersionText {
    const WHAT: &'static str = "a text with `{version}`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let expected = "a text with `{version}` once, such as `v{version}`";
        let count: usize = Self::PLACEHOLDERS.iter().map(|(placeholder, _)| text.matches(placeholder).count()).sum();
        let found = Self::PLACEHOLDERS
            .iter()
            .find_map(|(placeholder, dot)| text.split_once(placeholder).map(|(before, after)| (before, after, *dot)));
        match found {
            Some(_) if count > 1 => {
                Err(BadValue::new(format!("{} contains `{{version}}` twice", quoted(text)), expected))
            }
            Some((before, after, dot)) if !before.contains('\n') && !after.contains('\n') => {
                Ok(VersionText { dot, ..Self::new(before, after) })
            }
            Some(_) => Err(BadValue::new(format!("{} has more than one line", quoted(text)), expected)),
            None => {
                // In a version file, these are for `lines`.
                let of_numbers = ["{major}", "{minor}", "{patch}"].iter().any(|part| text.contains(part));
                let expected = if of_numbers { "`lines`, a list, for lines with single numbers" } else { expected };
                Err(BadValue::new(format!("{} does not contain `{{version}}`", quoted(text)), expected))
            }
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": r"\{version(:[_-])?\}"})
    }
}

impl Declared for VersionText {
    fn declared(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_raised_and_a_date_is_followed_by_the_next_day() {
        for (version, next) in [
            ("1.2.3", "1.2.4"),
            ("1.0rc9", "1.0rc10"),
            ("26.09", "26.10"),
            ("7", "8"),
            ("20261130", "20261201"),
            ("20240228", "20240229"),
            ("2026.11.30", "2026.12.01"),
            ("2026.2.28", "2026.3.1"),
            ("2026-12-31", "2027-01-01"),
            // These are no dates.
            ("20261301", "20261302"),
            ("10000101", "10000102"),
            ("2026.13.1", "2026.13.2"),
            ("2026.11", "2026.12"),
            ("2026.11.30.1", "2026.11.30.2"),
            ("2026.11-3", "2026.11-4"),
        ] {
            let raised = version.parse::<Version>().unwrap().raised();
            assert_eq!(raised.unwrap().as_str(), next, "{version}");
        }
        assert_eq!("1.1.1w".parse::<Version>().unwrap().raised(), None);
    }

    #[test]
    fn a_version_is_written_and_read_in_the_form_of_its_text() {
        for (pattern, version, text) in [
            ("v{version}", "1.2.3", "v1.2.3"),
            ("VERSION_{version:_}", "3.0.1", "VERSION_3_0_1"),
            ("R_{version:_}", "2.6.1", "R_2_6_1"),
            ("curl-{version:_}", "8.5.0", "curl-8_5_0"),
            ("release-{version}", "1.2", "release-1.2"),
            ("jq-{version}", "1.7", "jq-1.7"),
            ("{version}", "1.2.3rc1", "1.2.3rc1"),
            ("rel/{version:-}-final", "1.2rc1", "rel/1-2rc1-final"),
        ] {
            let form = VersionText::from_text(pattern).unwrap();
            assert_eq!(form.to_string(), pattern);
            assert_eq!(form.render(&version.parse().unwrap()), text);
            assert_eq!(form.version_in(text).unwrap().as_str(), version, "{text}");
        }
        let form = VersionText::from_text("R_{version:_}").unwrap();
        assert_eq!((form.version_in("R_2.6.1"), form.version_in("R_x"), form.glob()), (None, None, "R_*".to_owned()));
        for wrong in ["R", "{version}{version:_}", "{version:_}-{version:_}", "a\n{version}", "{version:.}"] {
            assert!(VersionText::from_text(wrong).is_err(), "{wrong}");
        }
    }
}
