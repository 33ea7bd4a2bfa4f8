//! How problems look, and how many are kept.

use super::*;

#[track_caller]
fn check(text: &str, line: u64, column: u64, expected: &str) {
    let problems = Problems::from(vec![Problem::new(Place { line, column }, "wrong")]);
    let shown = problems.in_file(Path::new("x.yaml"), text).to_string();
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" | ")).collect();
    assert_eq!(lines.join("\n"), expected);
}

#[test]
fn the_offending_word_is_marked() {
    check("a: b\n", 1, 1, " 1 | a: b\n   | ^");
    check("timout: 2m\n", 1, 1, " 1 | timout: 2m\n   | ^^^^^^");
    check("a: [b, 'c d']\r\n", 1, 8, " 1 | a: [b, 'c d']\n   |        ^^^^^");
    check("\ta: b\n", 1, 2, " 1 |  a: b\n   |  ^");
    check("ä: ö\n", 1, 4, " 1 | ä: ö\n   |    ^");
    check("a: \u{202e}b\u{1b}[31m\n", 1, 4, " 1 | a: \u{fffd}b\u{fffd}[31m\n   |    ^^^^^^^");
    check("a: b", 7, 1, "");
    check("a: b", 1, 99, " 1 | …\n   |  ^");
}

#[test]
fn long_lines_are_cut_around_the_word() {
    let text = format!("{}wrong{}", "x ".repeat(100), " y".repeat(100_000));
    let problems = Problems::from(vec![Problem::new(Place { line: 1, column: 201 }, "wrong")]);
    let diagnostics = problems.in_file(Path::new("x.yaml"), &text);
    let snippet = &diagnostics.iter().next().unwrap().snippet;
    let marked: String = snippet.text.chars().skip(snippet.indent).take(snippet.width).collect();
    assert_eq!(marked, "wrong");
    assert!(snippet.text.chars().count() < 115);
}

#[test]
fn many_problems_are_counted_and_few_are_shown() {
    let mut problems = Problems::default();
    for line in (1..=2000).rev() {
        problems.push(Problem::new(Place { line, column: 1 }, "wrong"));
    }
    let diagnostics = problems.in_file(Path::new("x.yaml"), "");
    assert_eq!(diagnostics.count(), 2000);
    let shown = diagnostics.to_string();
    assert!(shown.starts_with("x.yaml is not valid\nx.yaml:1001:1: wrong\n"));
    assert!(shown.ends_with("\n… and 1950 more\n2000 problems in x.yaml"));
    assert_eq!(shown.matches(": wrong").count(), Diagnostics::SHOWN);
}

#[test]
fn the_nearest_word_is_near() {
    let known = ["timeout", "tool", "tool-args", "memory-limit"];
    assert_eq!(nearest("timout", known), Some("timeout"));
    assert_eq!(nearest("Tool_Args", known), Some("tool-args"));
    assert_eq!(nearest("memory_limt", known), Some("memory-limit"));
    assert_eq!(nearest("colour", known), None);
    assert_eq!(nearest("", known), None);
    assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
}
