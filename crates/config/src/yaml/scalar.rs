//! The types of plain scalars in YAML 1.1 and 1.2, so that ambiguous ones can be refused.

/// A text, number, boolean or nothing, with the text that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, without quotes and with escapes resolved.
    pub text: String,
    /// The type that YAML gives it.
    pub kind: Kind,
}

/// The type that YAML gives to a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text: quoted, or not resembling anything else.
    Text,
    /// Nothing: empty, `~` or `null`.
    Null,
    /// `true` or `false`, in any of the three spellings of YAML 1.2.
    Bool(bool),
    /// `yes`, `no`, `on`, `off`: booleans to YAML 1.1, text to YAML 1.2.
    OldBool,
    /// A decimal integer in its only spelling, so that its text and its value are the same thing: `0`, `-12`.
    Integer,
    /// Any other number, of which readers of YAML may keep the value and lose the text: `1.10`, `0x10`, `010`, `1e3`.
    Number,
}

impl Scalar {
    /// A scalar that was written without quotes.
    pub(super) fn plain(text: String) -> Self {
        let kind = resolve(&text);
        Self { text, kind }
    }

    /// A scalar that was quoted, or a block of text.
    pub fn quoted(text: String) -> Self {
        Self { text, kind: Kind::Text }
    }
}

fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off" | "OFF" => {
            return Kind::OldBool;
        }
        _ => {}
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if all_digits(digits) && (digits == "0" && text == "0" || !digits.starts_with('0')) {
        Kind::Integer
    } else if is_number(text.strip_prefix(['-', '+']).unwrap_or(text)) {
        Kind::Number
    } else {
        Kind::Text
    }
}

/// The other numbers of YAML 1.1 and 1.2, except for its numbers to the base 60, which look like times and ports.
fn is_number(text: &str) -> bool {
    if matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix) || c == '_');
        }
    }
    // Rust reads `inf`, `nan` and `infinity` as numbers too, which YAML does not.
    let looks_numeric = text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-' | b'_'));
    looks_numeric && text.replace('_', "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Kind) {
        assert_eq!(Scalar::plain(text.to_owned()).kind, expected, "{text}");
    }

    #[test]
    fn plain_scalars_are_what_yaml_makes_of_them() {
        check("", Kind::Null);
        check("~", Kind::Null);
        check("null", Kind::Null);
        check("True", Kind::Bool(true));
        check("false", Kind::Bool(false));
        check("no", Kind::OldBool);
        check("ON", Kind::OldBool);
        check("y", Kind::Text);
        for integer in ["0", "2", "-12", "8080", "99999999999999999999"] {
            check(integer, Kind::Integer);
        }
        for number in
            ["010", "+5", "-0", "0x10", "0o17", "0b1", "1_000", "1.10", ".5", "5.", "1e3", ".inf", "-.inf", ".nan"]
        {
            check(number, Kind::Number);
        }
        for text in ["make", "-j", "-", "1.2.3", "2m", "512MiB", "12:30", "0x", "inf", "nan", "e3", "2024-01-01", "1-2"]
        {
            check(text, Kind::Text);
        }
    }
}
