//! Text that is wrapped beside its head.

/// A narrower column is not worth reading.
const NARROWEST: usize = 24;

/// The head, and beside it the text, wrapped at these columns; not wrapped without columns, or if few are left beside the head.
pub(super) fn hanging(head: &str, text: &str, columns: Option<usize>) -> String {
    let indent = head.chars().count();
    let room = columns.map_or(0, |columns| columns.saturating_sub(indent));
    if room < NARROWEST {
        return format!("{head}{text}");
    }
    let (mut out, mut used) = (head.to_owned(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = 0;
        } else if used > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_at_words_below_its_own_beginning() {
        let text = "lets valgrind understand the C library's own symbols";
        assert_eq!(
            hanging("MISSING  é ", text, Some(36)),
            "MISSING  é lets valgrind understand\n           the C library's own\n           symbols"
        );
        for columns in [None, Some(34), Some(0), Some(200)] {
            assert_eq!(hanging("MISSING  é ", text, columns), format!("MISSING  é {text}"), "{columns:?}");
        }
        assert_eq!(hanging("", &"x".repeat(50), Some(40)), "x".repeat(50));
    }
}
