//! Errors are types: no text in the place of one, and no decision from the text of one.

use std::path::Path;

use super::Breach;

/// Names of values that hold the text of an error.
const ERRORS: [&str; 8] = ["error", "err", "why", "reason", "message", "problem", "failure", "cause"];
/// Methods that decide something from a text.
const DECISIONS: [&str; 7] =
    [".contains(", ".starts_with(", ".ends_with(", ".split_once(", ".strip_prefix(", ".strip_suffix(", ".find("];

/// The breaches in a file. Tests may look at texts.
pub(super) fn breaches(file: &Path, text: &str) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs" || part == "benches";
    let in_tests = file.iter().any(is_test);
    for (index, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if has_string_as_error(code) {
            let rule = "`Result<_, String>`: give the error a type (thiserror) with what a caller may decide on";
            breaches.push(Breach { line: index + 1, rule: rule.into() });
        }
        if in_tests {
            continue;
        }
        if line.trim_start().starts_with("#[cfg(test)]") {
            break;
        }
        if decides_from_text(code) {
            let rule = "a decision from the text of an error: match on its type instead";
            breaches.push(Breach { line: index + 1, rule: rule.into() });
        }
    }
    breaches
}

/// `Result<…, String>`, whatever stands for the dots.
fn has_string_as_error(code: &str) -> bool {
    code.match_indices("Result<").any(|(at, found)| {
        let (mut depth, mut last_comma) = (1_usize, None);
        let inner = &code[at + found.len()..];
        for (index, letter) in inner.char_indices() {
            match letter {
                '<' | '(' | '[' => depth += 1,
                // The arrow of a function type closes nothing.
                '>' if inner[..index].ends_with('-') => {}
                '>' | ')' | ']' => depth -= 1,
                ',' if depth == 1 => last_comma = Some(index + 1),
                _ => {}
            }
            if depth == 0 {
                return last_comma.is_some_and(|comma| inner[comma..index].trim() == "String");
            }
        }
        false
    })
}

fn decides_from_text(code: &str) -> bool {
    DECISIONS.iter().any(|decision| {
        code.match_indices(decision).any(|(at, _)| {
            let before = &code[..at];
            let before =
                before.strip_suffix(".to_string()").or_else(|| before.strip_suffix(".as_str()")).unwrap_or(before);
            let name: String =
                before.chars().rev().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            let name: String = name.chars().rev().collect();
            ERRORS.contains(&name.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: usize) {
        let text = format!("//! X.\n{line}\n");
        assert_eq!(breaches(Path::new("crates/x/src/a.rs"), &text).len(), expected, "{line}");
    }

    #[test]
    fn a_string_in_the_place_of_an_error_is_found() {
        check("fn f() -> Result<(), String> {", 1);
        check("fn f() -> Result<Vec<(u8, String)>, String> {", 1);
        check("type F = Box<dyn Fn(&str) -> Result<Option<u8>, String>>;", 1);
        check("fn f() -> Result<String, Error> {", 0);
        check("fn f() -> Result<(u8, String), Error> {", 0);
        check("fn f() -> Result<BTreeMap<String, String>, Error> {", 0);
        check("// fn f() -> Result<(), String> {", 0);
    }

    #[test]
    fn a_decision_from_the_text_of_an_error_is_found() {
        check("if error.to_string().contains(\"ended with\") {", 1);
        check("let Some((_, code)) = why.split_once(\"exit status: \") else { return };", 1);
        check("if self.message.starts_with(\"x\") {", 1);
        check("if name.contains('/') {", 0);
        check("if self.errors.contains(&kind) {", 0);
    }

    #[test]
    fn tests_may_look_at_texts() {
        let text = "//! X.\n#[cfg(test)]\nmod tests { fn f() { assert!(error.to_string().contains(\"x\")); } }\n";
        assert!(breaches(Path::new("crates/x/src/a.rs"), text).is_empty());
        let text = "//! X.\nfn f() { assert!(error.contains(\"x\")); }\n";
        assert!(breaches(Path::new("xtask/tests/it/a.rs"), text).is_empty());
    }
}
