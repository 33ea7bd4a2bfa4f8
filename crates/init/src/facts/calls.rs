//! Calls in the languages of build systems, `name(arguments)`, found without running anything.

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// The line of its name, from 1.
    pub(super) line: usize,
    /// What is between the parentheses.
    pub(super) inside: String,
}

/// Calls of this name, in any case, that no comment (`#`, or `dnl`) holds. Those without an end are left out.
pub(super) fn calls(text: &str, name: &str) -> Vec<Call> {
    let mut found = Vec::new();
    let mut before = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let offset = before;
        before += line.len();
        let code = line.split('#').next().unwrap_or_default();
        if code.trim_start().starts_with("dnl ") {
            continue;
        }
        let lower = code.to_ascii_lowercase();
        for (at, _) in lower.match_indices(&name.to_ascii_lowercase()) {
            let is_part = |letter: char| letter.is_alphanumeric() || "_.-".contains(letter);
            if lower[..at].ends_with(is_part) {
                continue;
            }
            let rest = text.get(offset + at + name.len()..).unwrap_or_default();
            let Some(inside) = rest.trim_start_matches([' ', '\t']).strip_prefix('(').and_then(inside) else {
                continue;
            };
            found.push(Call { line: number + 1, inside });
        }
    }
    found
}

/// The text up to the parenthesis that closes, which is at most 20,000 bytes away.
fn inside(text: &str) -> Option<String> {
    let mut depth = 1;
    for (at, letter) in text.char_indices().take(20_000) {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(text[..at].to_owned());
        }
    }
    None
}

impl Call {
    /// The arguments of a call of CMake: words between white space, quotes removed.
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = self.inside.trim_start();
        while !rest.is_empty() {
            let (word, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
            };
            words.push(word.to_owned());
            rest = after.trim_start();
        }
        words
    }

    /// The arguments of a macro of m4, at commas outside of brackets and parentheses, without the brackets around them.
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut depth = 0_i32;
        let mut arguments = vec![String::new()];
        for letter in self.inside.chars() {
            match letter {
                '[' | '(' => depth += 1,
                ']' | ')' => depth -= 1,
                ',' if depth == 0 => {
                    arguments.push(String::new());
                    continue;
                }
                _ => {}
            }
            if let Some(last) = arguments.last_mut() {
                last.push(letter);
            }
        }
        let bare = |text: String| {
            let text = text.trim();
            text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text).trim().to_owned()
        };
        arguments.into_iter().map(bare).collect()
    }

    /// The first argument in quotes.
    pub(super) fn first_quoted(&self) -> Option<&str> {
        quoted(&self.inside)
    }

    /// The value of a keyword argument of Meson (`name: value`) or Python (`name=value`), as it is written, without quotes.
    pub(super) fn keyword(&self, name: &str) -> Option<String> {
        for (at, _) in self.inside.match_indices(name) {
            let (before, after) = (&self.inside[..at], &self.inside[at + name.len()..]);
            if before.is_empty() || before.trim_end().ends_with([',', '(']) {
                if let Some(value) = after.trim_start().strip_prefix([':', '=']) {
                    let value = value.trim_start();
                    let end = value.find([',', '\n', ')']).unwrap_or(value.len());
                    let word = if value.starts_with(['\'', '"']) { quoted(value)? } else { value[..end].trim() };
                    return Some(word.to_owned());
                }
            }
        }
        None
    }
}

/// The first text in single or double quotes.
fn quoted(text: &str) -> Option<&str> {
    let start = text.find(['\'', '"'])?;
    let quote = text[start..].chars().next()?;
    text[start + 1..].split(quote).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_found_with_their_arguments() {
        let text = "# option(NO)\nOPTION (WITH_TESTS \"a (b)\" OFF)\nmy_option(x)\n";
        let found = calls(text, "option");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].words()), (2, vec!["WITH_TESTS".into(), "a (b)".into(), "OFF".into()]));
        let init = &calls("AC_INIT([a b], [1.2], [mail,to])\n", "AC_INIT")[0];
        assert_eq!(init.arguments(), ["a b", "1.2", "mail,to"]);
        let project = &calls("project ('orc', 'c', version : '0.4', x: ['a'])", "project")[0];
        assert_eq!((project.first_quoted(), project.keyword("version")), (Some("orc"), Some("0.4".into())));
        assert!(calls("option(", "option").is_empty());
        let of_windows = &calls("a(1)\r\n\r\noption(X \"x\" OFF)\r\n", "option")[0];
        assert_eq!((of_windows.line, of_windows.words().len()), (3, 3));
    }
}
