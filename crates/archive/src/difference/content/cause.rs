//! The likely cause of two texts that should be the same.

use std::sync::LazyLock;

use regex_lite::Regex;

/// Names the property of the surroundings that the first text holds as it was in the first build, and the second as it was in
/// the second.
pub type Holds<'a> = dyn Fn(&str, &str) -> Option<String> + 'a;

/// What two differing texts both look like, and what that is.
const SHAPES: [(&str, &str); 6] = [
    (
        r"\b(19|20)\d\d[-/.]?[01]\d[-/.]?[0-3]\d\b|\b(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* +\d+( +\d{4})?|\b\d\d:\d\d:\d\d\b",
        "it looks like a date or a time; take it from SOURCE_DATE_EPOCH",
    ),
    (r"\b1[5-9]\d{8}\b|\b2[01]\d{8}\b", "it looks like a time in seconds since 1970; take it from SOURCE_DATE_EPOCH"),
    (
        r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b",
        "it looks like a random UUID; derive it from the content",
    ),
    (r"\b0x(0000)?[57][0-9a-f]{7,15}\b", "it looks like an address in memory, which each process has others of"),
    (r"/tmp/[^\s:]+|\btmp[A-Za-z0-9_.]{6,}", "it looks like the name of a temporary file"),
    (r"\b[0-9a-f]{16,}\b", "it looks like a checksum or a random number, which may follow from another difference"),
];

static PATTERNS: LazyLock<Vec<(Regex, &str)>> =
    LazyLock::new(|| SHAPES.iter().filter_map(|(shape, cause)| Some((Regex::new(shape).ok()?, *cause))).collect());

/// The likely cause of two texts.
pub(super) fn of_texts(first: &str, second: &str, holds: &Holds<'_>) -> Option<String> {
    if let Some(property) = holds(first, second) {
        return Some(format!("it holds the {property}"));
    }
    // What looks so has to be what differs.
    let differing = |pattern: &Regex| {
        let found = |text: &str| pattern.find_iter(text).map(|one| one.as_str().to_owned()).collect::<Vec<_>>();
        let (one, other) = (found(first), found(second));
        !one.is_empty() && !other.is_empty() && one != other
    };
    PATTERNS.iter().find(|(pattern, _)| differing(pattern)).map(|(_, cause)| (*cause).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_have_likely_causes() {
        let none = |_: &str, _: &str| None;
        let rows = [
            ("Nov 28 2026", "Nov 29 2026", "a date or a time"),
            ("built 2026-11-28 now", "built 2026-11-29 now", "a date or a time"),
            ("at 12:00:01", "at 12:00:02", "a date or a time"),
            ("1795973510", "1795973531", "seconds since 1970"),
            ("id 6a2f41a3-c54c-fce8-32d2-0324e1c32e22", "id 7a2f41a3-c54c-fce8-32d2-0324e1c32e22", "UUID"),
            ("<at 0x7f12ab34cd56>", "<at 0x7f12ab34ce56>", "address in memory"),
            ("/tmp/cc1a2b3c.o", "/tmp/cc9a2b3c.o", "temporary file"),
            ("d41d8cd98f00b204e9800998ecf8427e", "e41d8cd98f00b204e9800998ecf8427e", "checksum"),
        ];
        for (first, second, words) in rows {
            let cause = of_texts(first, second, &none).unwrap_or_default();
            assert!(cause.contains(words), "{first}: {cause}");
        }
        // A date that is the same in both is no cause, and neither is what only one has.
        for (first, second) in [("2026-11-28 a", "2026-11-28 b"), ("1795973510", "x"), ("a", "b")] {
            assert_eq!(of_texts(first, second, &none), None, "{first}");
        }
        let holds = |first: &str, _: &str| first.contains("XTW").then(|| "time zone".to_owned());
        assert_eq!(of_texts("12:00:00 XTW", "13:00:00 UTC", &holds).as_deref(), Some("it holds the time zone"));
        assert_eq!(PATTERNS.len(), SHAPES.len());
    }
}
