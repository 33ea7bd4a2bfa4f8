//! Names of jobs, which are map keys, selectors and directories at once.

use super::BadValue;
use crate::text::quoted;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a job: components of `a-z A-Z 0-9 . _ - + @ = :`, separated by `/`.
///
/// A name is also a relative directory (`jobs/units/run-wire/1/log`), so it never leaves that directory and never meets the
/// numbered directories of the attempts. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

const EXPECTED: &str = "letters, digits and `. _ - + @ = :`, in parts separated by `/`, none starting with `-` or `.`";

impl JobName {
    /// The longest name, in bytes.
    pub const LONGEST: usize = 200;
    /// The regular expression of a name, for the JSON Schema.
    pub const PATTERN: &'static str =
        r"^[A-Za-z0-9_+@=:][A-Za-z0-9._+@=:-]*(/(?![0-9]+(/|$))[A-Za-z0-9_+@=:][A-Za-z0-9._+@=:-]*)*$";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Turns any text into components that a name may have, for names made from items.
    ///
    /// Each run of other characters becomes one `-`, except at the end of a component; empty components disappear; a component that would start with `-` or `.` loses that start; one of digits only, which
    /// is reserved for attempt directories, gets a `_` in front: `tests/run wire.c` → `tests/run-wire.c`, `../x` → `x`,
    /// `7` → `_7`. The result is empty if nothing usable is left.
    pub fn slug(text: &str) -> String {
        let components = text.split('/').map(|component| {
            let mut clean = String::with_capacity(component.len());
            let mut replaced = false;
            for c in component.chars() {
                if is_name_char(c) {
                    clean.push(c);
                } else if !clean.ends_with('-') {
                    clean.push('-');
                }
                replaced |= !is_name_char(c);
            }
            let clean = clean.trim_start_matches(['-', '.']);
            let clean = if replaced { clean.trim_end_matches('-') } else { clean };
            if is_number(clean) { format!("_{clean}") } else { clean.to_owned() }
        });
        components.filter(|component| !component.is_empty()).collect::<Vec<_>>().join("/")
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '@' | '=' | ':')
}

fn is_number(component: &str) -> bool {
    !component.is_empty() && component.bytes().all(|b| b.is_ascii_digit())
}

impl FromStr for JobName {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = |why: &str| Err(BadValue::new(format!("{} {why}", quoted(text)), EXPECTED));
        if text.is_empty() {
            return Err(BadValue::new("the name of a job is empty", EXPECTED));
        }
        if text.len() > Self::LONGEST {
            return Err(BadValue::new(
                format!("{} is longer than {} bytes", quoted(text), Self::LONGEST),
                format!("a name of at most {} bytes", Self::LONGEST),
            ));
        }
        for (index, component) in text.split('/').enumerate() {
            if component.is_empty() {
                return bad("has an empty part: a name neither starts nor ends with `/`, and has no `//`");
            }
            if component == ".." {
                return bad("contains `..`");
            }
            if component.starts_with(['-', '.']) {
                return bad("has a part that starts with `-` or `.`");
            }
            if let Some(c) = component.chars().find(|c| !is_name_char(*c)) {
                return bad(&format!("contains {}, which the name of a job may not", quoted(&c.to_string())));
            }
            if index > 0 && is_number(component) {
                return bad("has a part of digits only after a `/`, which is reserved for the directories of attempts");
            }
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for JobName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for JobName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<str> for JobName {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for JobName {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl Serialize for JobName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for JobName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
