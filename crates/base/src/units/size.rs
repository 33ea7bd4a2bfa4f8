//! Sizes in bytes, written with their unit.

use super::{BadValue, number_and_unit};
use crate::text::quoted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A number of bytes: `512MiB`, `1.5GiB`, `4kB`, `100B` in declarations, a plain integer in machine-readable files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

/// The units that declarations may use, the largest binary one first.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

const EXPECTED: &str = "a size with its unit, for instance `512MiB` (units: B, KiB, MiB, GiB, TiB, kB, MB, GB, TB)";

impl ByteSize {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// More than any machine has.
    pub const MAX: Self = Self(u64::MAX);
    /// The regular expression of the declared form, for the JSON Schema.
    pub const PATTERN: &'static str = r"^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB|kB|MB|GB|TB)$";

    /// So many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many KiB (1024 bytes).
    pub const fn kib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 10))
    }

    /// So many MiB (1024 KiB).
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// So many GiB (1024 MiB).
    pub const fn gib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 30))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// True for no bytes at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or [`ByteSize::MAX`] where it would overflow.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, or zero where `other` is larger.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The product, or [`ByteSize::MAX`] where it would overflow.
    pub const fn saturating_mul(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The exact text to write in a declaration: `512MiB`, `1536MiB`, `100B`. It parses to the same size.
    pub fn exact(self) -> String {
        let binary = UNITS.iter().filter(|(name, _)| name.ends_with("iB"));
        let fits = binary.into_iter().find(|(_, unit)| self.0 != 0 && self.0 % unit == 0);
        let (name, unit) = fits.copied().unwrap_or(("B", 1));
        format!("{}{name}", self.0 / unit)
    }
}

/// The human form, with about three significant digits: `512 MiB`, `1.5 GiB`, `246 MiB`, `100 B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tenths = u128::from(self.0) * 10;
        let mut unit = "B";
        for larger in ["KiB", "MiB", "GiB", "TiB"] {
            // 1023.95 and more would be rounded to 1024.
            if tenths < 10_239 + u128::from(unit == "B") {
                break;
            }
            let bytes = UNITS.iter().find(|(name, _)| *name == larger).map_or(1, |(_, bytes)| *bytes);
            tenths = (u128::from(self.0) * 10 + u128::from(bytes) / 2) / u128::from(bytes);
            unit = larger;
        }
        let text = match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("{whole} {unit}"),
            (whole, tenth) if whole < 100 => format!("{whole}.{tenth} {unit}"),
            (whole, tenth) => format!("{} {unit}", whole + u128::from(tenth >= 5)),
        };
        f.pad(&text)
    }
}

impl FromStr for ByteSize {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let bad = |why: &str| BadValue::new(format!("{} {why}", quoted(text)), EXPECTED);
        let (number, unit_name) = number_and_unit(text);
        if number.is_empty() {
            return Err(bad("is not a size"));
        }
        if unit_name.is_empty() {
            let problem = format!("{} has no unit", quoted(text));
            return Err(BadValue::new(problem, format!("the unit as well, for instance `{number}MiB`")));
        }
        let Some((_, unit)) = UNITS.iter().find(|(name, _)| *name == unit_name) else {
            let near =
                UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit_name) || looks_like(name, unit_name));
            return Err(match near {
                Some((name, _)) => BadValue::new(
                    format!("{} has the unknown unit {}", quoted(text), quoted(unit_name)),
                    format!("`{number}{name}`"),
                ),
                None => bad(&format!("has the unknown unit {}", quoted(unit_name))),
            });
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(bad("is not a size"));
        }
        let whole: u128 = whole.parse().map_err(|_| bad("is more than any machine has"))?;
        // Nine digits after the point are more than any size needs, and keep the product in range.
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 9 {
            return Err(bad("has more than nine digits after the point"));
        }
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let part = fraction.parse::<u128>().unwrap_or(0) * u128::from(*unit) / scale;
        let bytes = whole.checked_mul(u128::from(*unit)).and_then(|b| b.checked_add(part));
        let bytes = bytes.and_then(|b| u64::try_from(b).ok());
        bytes.map(Self).ok_or_else(|| bad("is more than any machine has"))
    }
}

/// `M`, `Mi`, `m` and `mib` all mean `MiB` to people who write sizes for Docker, Kubernetes or dd.
fn looks_like(unit: &str, written: &str) -> bool {
    let written = written.to_ascii_lowercase();
    let letter = unit.as_bytes()[0].to_ascii_lowercase() as char;
    unit.ends_with("iB") && (written == letter.to_string() || written == format!("{letter}i"))
}
