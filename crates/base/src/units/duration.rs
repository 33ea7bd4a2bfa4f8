//! Durations, written with their units: `2m`, `90s`, `1h30m`, `500ms`.

use super::{BadValue, number_and_unit};
use crate::text::quoted;
use std::time::Duration;

/// The longest limit that is accepted: seven days. A longer one limits nothing.
pub const MAX_LIMIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The regular expression of the declared form, for the JSON Schema.
pub const PATTERN: &str = r"^([0-9]+(\.[0-9]+)?(d|h|m|s|ms) ?)+$";

/// The units in milliseconds, the largest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

const EXPECTED: &str = "a duration with its unit, for instance `90s`, `2m` or `1h30m` (units: ms, s, m, h, d)";

/// Parses `2m`, `90s`, `1h30m`, `500ms`, `1.5s`; the units go from large to small, each at most once.
///
/// Spaces may stand between the parts, so that [`human`] can be read back. Resolution: one millisecond.
///
/// # Errors
/// A text without a unit, with an unknown one, or beyond what a [`Duration`] of milliseconds holds.
pub fn parse_duration(text: &str) -> Result<Duration, BadValue> {
    let bad = |why: &str| BadValue::new(format!("{} {why}", quoted(text)), EXPECTED);
    let mut rest = text;
    let mut total: u64 = 0;
    let mut allowed = &UNITS[..];
    while !rest.is_empty() {
        let (number, after) = number_and_unit(rest);
        if number.is_empty() {
            return Err(bad("is not a duration"));
        }
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, tail) = after.split_at(end);
        if unit.is_empty() {
            let problem = format!("{} has no unit", quoted(text));
            return Err(BadValue::new(problem, format!("the unit as well, for instance `{number}s` or `{number}m`")));
        }
        let Some(index) = allowed.iter().position(|(name, _)| *name == unit) else {
            let known = UNITS.iter().any(|(name, _)| *name == unit);
            let why = if known { "does not go from large units to small ones" } else { "has an unknown unit" };
            return Err(bad(why));
        };
        let millis = thousandths(number, allowed[index].1).ok_or_else(|| bad("is not a duration"))?;
        total = total.checked_add(millis).ok_or_else(|| bad("is longer than anything can last"))?;
        allowed = &allowed[index + 1..];
        rest = tail.strip_prefix(' ').unwrap_or(tail);
    }
    if text.is_empty() { Err(bad("is not a duration")) } else { Ok(Duration::from_millis(total)) }
}

/// Parses a duration that limits something: more than zero, and at most [`MAX_LIMIT`].
///
/// # Errors
/// As [`parse_duration`], and for limits that are impossible or limit nothing.
pub fn parse_limit(text: &str) -> Result<Duration, BadValue> {
    let limit = parse_duration(text)?;
    if limit.is_zero() {
        return Err(BadValue::new(
            format!("{} leaves no time at all", quoted(text)),
            "more than zero, for instance `90s`",
        ));
    }
    if limit > MAX_LIMIT {
        return Err(BadValue::new(format!("{} limits nothing", quoted(text)), "at most seven days (`7d`)"));
    }
    Ok(limit)
}

/// `1.5` of a unit of so many milliseconds, in milliseconds; `None` where it is not a number, too fine or too large.
fn thousandths(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit) / u128::from(scale);
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
}

/// The human form: `4ms`, `0.42s`, `12.3s`, `1m 30s`, `1h 2m`. Rounded to what a reader cares about.
pub fn human(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let seconds = (millis / 1000).saturating_add(u64::from(millis % 1000 >= 500));
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large}{large_unit}"),
        small => format!("{large}{large_unit} {small}{small_unit}"),
    };
    match millis {
        0 => "0s".to_owned(),
        1..10 => format!("{millis}ms"),
        10..9_995 => decimal((millis + 5) / 10, 2),
        9_995..59_950 => decimal((millis + 50) / 100, 1),
        _ if seconds < 3600 => two(seconds / 60, "m", seconds % 60, "s"),
        _ => {
            let minutes = seconds / 60 + u64::from(seconds % 60 >= 30);
            two(minutes / 60, "h", minutes % 60, "m")
        }
    }
}

/// `number / 10^places` seconds without trailing zeros.
fn decimal(number: u64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let text = format!("{}.{:0width$}", number / scale, number % scale, width = places as usize);
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// The exact text to write in a declaration, to the millisecond: `1m30s`, `500ms`, `2h`. It parses to the same duration.
pub fn exact(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (name, unit) in UNITS {
        if rest >= unit {
            text.push_str(&format!("{}{name}", rest / unit));
            rest %= unit;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// `#[serde(with = "millis")]`: a [`Duration`] as an integer number of milliseconds, the machine form.
pub mod millis {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes whole milliseconds, rounded down.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    /// Reads whole milliseconds.
    ///
    /// # Errors
    /// Those of the deserializer, and for anything but a whole number from 0.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }

    /// The same for `Option<Duration>`: `null` is `None`.
    pub mod option {
        use serde::{Deserialize, Deserializer, Serializer};
        use std::time::Duration;

        /// Writes whole milliseconds or `null`.
        ///
        /// # Errors
        /// Those of the serializer.
        pub fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
            match duration {
                Some(duration) => super::serialize(duration, serializer),
                None => serializer.serialize_none(),
            }
        }

        /// Reads whole milliseconds or `null`.
        ///
        /// # Errors
        /// Those of the deserializer, and for anything but `null` or a whole number from 0.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
            Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_millis))
        }
    }
}
