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
    /// The version with its last number raised: `1.2.4` after `1.2.3`, `1.0rc2` after `1.0rc1`; none if it does not end with a number.
    pub fn raised(&self) -> Option<Version> {
        let start = self.0.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
        let (before, number) = self.0.split_at(start);
        let raised = (number.parse::<u64>().ok()?.checked_add(1)?).to_string();
        // `26.09` is followed by `26.10`.
        format!("{before}{raised:0>width$}", width = number.len()).parse().ok()
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

/// A text that contains `{version}` once, such as `v{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionText {
    before: String,
    after: String,
}

impl VersionText {
    const PLACEHOLDER: &'static str = "{version}";

    /// The text `{version}`.
    pub(crate) fn bare() -> VersionText {
        VersionText::new("", "")
    }

    /// The text around the version.
    pub(super) fn new(before: &str, after: &str) -> VersionText {
        VersionText { before: before.to_owned(), after: after.to_owned() }
    }

    /// The text before the version, and after it.
    pub(super) fn around(&self) -> (&str, &str) {
        (&self.before, &self.after)
    }

    /// The text with the version instead of the placeholder.
    pub fn render(&self, version: &Version) -> String {
        format!("{}{version}{}", self.before, self.after)
    }

    /// The glob of all texts of this shape.
    pub fn glob(&self) -> String {
        format!("{}*{}", self.before, self.after)
    }

    /// The version in a text of this shape; none if the text has another shape.
    pub fn version_in(&self, text: &str) -> Option<Version> {
        text.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?.parse().ok()
    }
}

impl fmt::Display for VersionText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{}", self.before, Self::PLACEHOLDER, self.after)
    }
}

impl FromText for VersionText {
    const WHAT: &'static str = "a text with `{version}`";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let expected = "a text with `{version}` once, such as `v{version}`";
        match text.split_once(Self::PLACEHOLDER) {
            Some((_, after)) if after.contains(Self::PLACEHOLDER) => {
                Err(BadValue::new(format!("{} contains `{{version}}` twice", quoted(text)), expected))
            }
            Some((before, after)) if !before.contains('\n') && !after.contains('\n') => Ok(Self::new(before, after)),
            Some(_) => Err(BadValue::new(format!("{} has more than one line", quoted(text)), expected)),
            None => Err(BadValue::new(format!("{} does not contain `{{version}}`", quoted(text)), expected)),
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": r"\{version\}"})
    }
}

impl Declared for VersionText {
    fn declared(&self) -> serde_json::Value {
        self.to_string().into()
    }
}
