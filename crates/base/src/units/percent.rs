//! Shares, written in percent.

use super::{BadValue, ByteSize, number_and_unit};
use crate::text::quoted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A share of at most 1000 %, in hundredths of a percent: `2%`, `0.5%` in declarations, an integer in machine-readable
/// files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(u32);

const EXPECTED: &str = "a share in percent, for instance `2%` or `0.5%`, at most `1000%`";

impl Percent {
    /// The regular expression of the declared form, for the JSON Schema.
    pub const PATTERN: &'static str = r"^[0-9]+(\.[0-9]{1,2})? ?%$";

    /// So many whole percent.
    pub const fn whole(percent: u32) -> Self {
        Self(percent.saturating_mul(100))
    }

    /// The size and this share of it, or [`ByteSize::MAX`] where it would overflow.
    pub fn above(self, size: ByteSize) -> ByteSize {
        let sum = u128::from(size.bytes()) * (10_000 + u128::from(self.0)) / 10_000;
        u64::try_from(sum).map_or(ByteSize::MAX, ByteSize::new)
    }
}

/// `2%`, `0.5%`: the declared form.
impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole}%"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{}%", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02}%"),
        }
    }
}

impl FromStr for Percent {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = |why: &str| BadValue::new(format!("{} {why}", quoted(text)), EXPECTED);
        let (number, unit) = number_and_unit(text);
        if number.is_empty() {
            return Err(bad("is not a share in percent"));
        }
        if unit.is_empty() {
            return Err(BadValue::new(format!("{} has no unit", quoted(text)), format!("`{number}%`")));
        }
        if unit != "%" {
            return Err(bad("is not a share in percent"));
        }
        let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) {
            return Err(bad("is not a share in percent"));
        }
        if part.len() > 2 {
            return Err(bad("has more than two digits after the point"));
        }
        let part: u32 = format!("{part:0<2}").parse().unwrap_or(0);
        let hundredths = whole.parse::<u32>().ok().and_then(|whole| whole.checked_mul(100)?.checked_add(part));
        hundredths.filter(|hundredths| *hundredths <= 100_000).map(Self).ok_or_else(|| bad("is more than 1000%"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written() {
        for (text, hundredths) in
            [("2%", 200), ("0.5%", 50), ("0.05 %", 5), ("0%", 0), ("1000%", 100_000), ("1.25%", 125)]
        {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent.0, hundredths, "{text}");
            assert_eq!(percent.to_string(), text.replace(' ', ""));
        }
        for (text, problem) in [
            ("2", "`2` has no unit"),
            ("%", "`%` is not a share in percent"),
            ("2MiB", "`2MiB` is not a share in percent"),
            ("1.125%", "`1.125%` has more than two digits after the point"),
            ("1001%", "`1001%` is more than 1000%"),
            ("1.2.3%", "`1.2.3%` is not a share in percent"),
        ] {
            assert_eq!(text.parse::<Percent>().unwrap_err().problem, problem);
        }
    }

    #[test]
    fn a_margin_is_added() {
        assert_eq!(Percent::whole(2).above(ByteSize::new(1000)), ByteSize::new(1020));
        assert_eq!(Percent::whole(0).above(ByteSize::new(1000)), ByteSize::new(1000));
        assert_eq!(Percent::whole(2).above(ByteSize::MAX), ByteSize::MAX);
    }
}
