//! Times, sizes and coordinates as text.

use std::time::Duration;

use drydock_base::units::{self, ByteSize};

/// A length of time in words.
pub(super) fn time(ms: u64) -> String {
    units::human(Duration::from_millis(ms))
}

/// From a difference of Unix milliseconds.
pub(super) fn span(from: i64, to: i64) -> u64 {
    u64::try_from(to.saturating_sub(from)).unwrap_or_default()
}

/// A size in words.
pub(super) fn size(bytes: u64) -> String {
    ByteSize::new(bytes).to_string()
}

/// A number for a coordinate: three decimals are finer than any screen.
pub(super) fn coordinate(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() || text == "-0" { "0".into() } else { text.into() }
}

/// A share of the width.
pub(super) fn percent(number: f64) -> String {
    format!("{}%", coordinate(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_short() {
        for (number, text) in [(0.0, "0"), (12.5, "12.5"), (100.0, "100"), (33.333_33, "33.333"), (-0.000_01, "0")] {
            assert_eq!(coordinate(number), text);
        }
    }
}
