//! Changelogs that people write.

use proptest::prelude::*;

use super::*;

const QUERY: NotesQuery<'static> = NotesQuery { file: "CHANGELOG.md", version: "1.2.0", tag: "v1.2.0" };

/// The items, a line for each: sections, the depth as `>`, `…` for what goes on, and the blocks.
fn shown(notes: &ReleaseNotes) -> Vec<String> {
    let block = |block: &NoteBlock| match block {
        NoteBlock::Prose(text) => text.clone(),
        NoteBlock::Code(lines) => format!("{lines:?}"),
    };
    let one = |item: &NoteItem| {
        let section = if item.section.is_empty() { String::new() } else { format!("{}: ", item.section) };
        let continued = if item.continued { "…" } else { "" };
        let blocks: Vec<String> = item.blocks.iter().map(block).collect();
        format!("{section}{}{continued}{}", ">".repeat(item.depth), blocks.join(" ¶ "))
    };
    notes.items.iter().map(one).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let notes = ReleaseNotes::find(text.as_bytes(), QUERY).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(shown(&notes), expected, "{text}");
}

#[test]
fn every_form_of_a_list_is_read() {
    for marker in ["-", "*", "+", "1.", "12)", "0."] {
        for indentation in ["", " ", "   "] {
            for after in [" ", "  ", "\t"] {
                let item = format!("{indentation}{marker}{after}");
                check(
                    &format!("## 1.2.0\n\n{item}one\n{item}two\n  goes on\nlazily\n"),
                    &["one", "two goes on lazily"],
                );
                check(&format!("## 1.2.0\n### Added\n{item}one\n\n{item}two\n"), &["Added: one", "Added: two"]);
            }
        }
    }
    let table: [(&str, &[&str]); 18] = [
        ("- one\n  - two\n    1. three\n       * four\n- five\n", &["one", ">two", ">>three", ">>>four", "five"]),
        ("- one\n    - two\n", &["one", ">two"]),
        ("* one\n\n  more\n\n  - two\n\n  again\n* three\n", &["one ¶ more", ">two", "…again", "three"]),
        ("-\n  one\n- \n- two\n", &["one", "two"]),
        ("- - one\n  - two\n", &[">one", ">two"]),
        ("- [x] one\n- [ ] two\n", &["one", "[ ] two"]),
        ("- one\n\n  ```sh\n  a  b\n\n  - c\n  ```\n- two\n", &["one ¶ [\"a  b\", \"\", \"- c\"]", "two"]),
        ("-     code in an item\n", &["[\"code in an item\"]"]),
        ("Words\nbefore.\n\n    x = 1\n\n- one\n", &["Words before. ¶ [\"x = 1\"]", "one"]),
        ("~~~\n## 1.1.0\n~~~\n- one\n", &["[\"## 1.1.0\"]", "one"]),
        ("> quoted\n> - one\n\n***\n", &["quoted", "one"]),
        ("| key | change |\n|:--|--:|\n| `a` | b\\|c |\n| d |\n", &["key | change", "`a` | b|c", "d"]),
        (
            "### Added\n#### Tools\n- one\n#### Docs\n- two\n### Fixed:\n- three\n",
            &["Added: Tools: one", "Added: Docs: two", "Fixed: three"],
        ),
        ("Added\n--\n- one\n", &["Added: one"]),
        ("<details>\n<summary>More &amp; more</summary>\n\n- one\n\n</details>\n", &["More & more", "one"]),
        ("<!-- ## 1.1.0\n- no -->\n- one<!-- no --><br/>two\n", &["one two"]),
        ("- one  \n  two\\\n  three\n", &["one two three"]),
        ("-no item\n1234567890. no item\n", &["-no item 1234567890. no item"]),
    ];
    // A heading of the same level is not below the entry.
    let error = ReleaseNotes::find(b"## 1.2.0\nAdded\n--\n- one\n", QUERY).unwrap_err();
    assert_eq!(error.problem, NotesProblem::Empty(Some("Added".into())));
    for (text, expected) in table {
        check(&format!("# 1.2.0\n\n{text}"), expected);
        // Line ends of other systems, a byte order mark, and other entries around it.
        check(&format!("\u{feff}# 1.2.1\n\n- no\n\n# 1.2.0\n\n{text}\n# 1.2\n- no\n").replace('\n', "\r\n"), expected);
        check(&format!("# 1.2.0\n\n{text}").replace('\n', "\r"), expected);
    }
}

#[test]
fn markup_leaves_its_text() {
    let table = [
        ("`--über`, ``a`b``", "`--über`, ``a`b``"),
        ("*one* **two** _three_ ***four***", "one two three four"),
        ("[text](https://x.org/a_b \"title\") and [#12]", "text and #12"),
        ("[plain] <https://x.org> <me@x.org>", "[plain] https://x.org me@x.org"),
        ("![a picture](x.png)", "a picture"),
        ("snake_case_name, 2 * 3 * 4 and \\*stars\\*", "snake_case_name, 2 * 3 * 4 and *stars*"),
        ("a&nbsp;b &lt;c&gt; &amp;amp; &#x41; &copy;", "a b <c> &amp; A ©"),
        ("日本語 naïve Ελληνικά 👩\u{200d}🔧", "日本語 naïve Ελληνικά 👩\u{200d}🔧"),
        ("bell \u{7}, right to left \u{202e}", "bell \u{fffd}, right to left \u{fffd}"),
        ("~~gone~~ <kbd>Ctrl</kbd> a < b", "~~gone~~ Ctrl a < b"),
    ];
    for (text, expected) in table {
        check(&format!("## 1.2.0\n\n- {text}\n\n[#12]: https://x.org/12\n"), &[expected]);
    }
}

#[test]
fn headings_of_a_version_are_found() {
    let headings = [
        "## [1.2.0] - 2026-06-01",
        "## 1.2.0 - 2026-06-01",
        "## [1.2.0] - 2026-06-01 [YANKED]",
        "## 1.2.0 [YANKED]",
        "## [1.2.0] - 2026-06-01: \"A Name\"",
        "## [v1.2.0](https://x.org/compare/v1.1.0...v1.2.0) (2026-06-01)",
        "## [1.2.0](https://x.org/compare/v1.1.0...v1.2.0) - 2026-06-01",
        "# v1.2.0",
        "### V1.2.0 ###",
        "###### **1.2.0** / 2026-06-01",
        "1.2.0 (2026-06-01)\n------------------",
        "Version 1.2.0\n===",
        "## `1.2.0`",
        "## Version 1.2.0: *A Name*",
        "## Release v1.2.0 (June 1st, 2026)",
        "## lantern 1.2.0",
        "## Changes in 1.2.0",
        "## What's new in 1.2.0?",
        "## 2026-06-01 - 1.2.0",
        "## 1.2.0/2026-06-01",
        "## 1.2.0 — 1 June 2026",
        "## 1.2.0 \"Jumping Jack\"",
        "## 1.2.0 Jumping Jack",
        "## :rocket: 1.2.0",
        "## 🎉 v1.2.0",
        "##  \t[1.2.0]:",
        "## <a name=\"1.2.0\"></a>1.2.0",
    ];
    for heading in headings {
        let text = format!(
            "---\ntitle: x\nlayout: y\n---\nIntroduction to 1.2.0\n\n# Log\n\n## [Unreleased]\n- later\n\n# 1.2.0.1\n- no\n\n{heading}\n\n- one\n\n# 1.2\n- no\n"
        );
        check(&text, &["one"]);
        let notes = ReleaseNotes::find(text.as_bytes(), QUERY).unwrap();
        assert!(text.lines().nth(notes.line - 1).unwrap().contains("1.2.0"), "{}: {heading}", notes.line);
    }
    let tag = NotesQuery { file: "x", version: "1.2.0", tag: "lantern-1.2.0" };
    assert_eq!(ReleaseNotes::find(b"# lantern-1.2.0\n- one\n", tag).unwrap().items.len(), 1);
    // Headings of other versions, of another kind, or in places where they are no headings.
    for heading in [
        "## 1.2.01",
        "## 1.2.0.1",
        "## 1.2.0-rc1",
        "## 1.2.0rc1",
        "## 11.2.0",
        "## 1.2",
        "## [1.2.0-beta.1]",
        "## 1.2.0+b",
        "## Upgrading from 1.2.0",
        "## 1.3.0 - fixes the bugs of 1.2.0",
        "##1.2.0",
        "    ## 1.2.0",
        "- ## 1.2.0",
        "> ## 1.2.0",
        "```\n## 1.2.0\n```",
        "<!--\n## 1.2.0\n-->",
        "**1.2.0**",
        "\\## 1.2.0",
    ] {
        assert!(ReleaseNotes::find(format!("{heading}\n\n- one\n").as_bytes(), QUERY).is_err(), "{heading}");
    }
    // The levels of conventional-changelog differ, candidates are part of their release, and numbers are not versions.
    let text = "## [1.2.1](l) (2026-07-01)\n* no\n# [1.2.0](l) (2026-06-01)\n### Bug Fixes\n* one\n### 3.11 support\n* two\n\
                ### 1.2.0-rc1\n* three\n## [1.1.1](l) (2026-05-01)\n* no\n";
    check(text, &["Bug Fixes: one", "3.11 support: two", "1.2.0-rc1: three"]);
    // A tool wrote the heading twice, and left one of the entries empty.
    check("## v1.2.0 - 2026-06-01\n\n## [1.2.0](l) (2026-06-01)\n### Features\n- one\n", &["Features: one"]);
}

#[test]
fn entries_that_cannot_be_used_are_errors_with_a_place_and_a_remedy() {
    let add = "add a heading such as `## [1.2.0] - DATE` with the changes below it, and commit it";
    let table = [
        ("# Log\n\n## 1.2.0\n\n", "3: the entry is empty: nothing follows its heading; list the changes of 1.2.0 there, and commit it".to_owned()),
        ("## 1.2.0\n<!-- soon -->\n***\n### Added\n- \n### Fixed\n\n[1.2.0]: x\n## 1.1.0\n- old\n", "1: the entry is empty: the heading `Added` follows, which is not below this one; list".into()),
        ("## 1.2.0\n\n## Added\n\n- one\n", "1: the entry is empty: the heading `Added` follows, which is not below this one; list the changes of 1.2.0 there, and commit it".into()),
        ("# Log\n\n## 1.1.0\n- old\n", format!("3: no entry for the version: the topmost heading is `1.1.0`; {add}")),
        ("# Log\n\n## [Unreleased]\n\n- one\n\n## 1.1.0\n- old\n", "3: no entry for the version: the changes are still under `[Unreleased]`; rename that heading, for example to `## [1.2.0] - DATE`, and commit it".into()),
        ("# Log\n\n**1.2.0** (2026-06-01)\n\n- one\n", "3: no entry for the version: `**1.2.0** (2026-06-01)` is not a heading; write it as a heading, such as `## [1.2.0] - DATE`, and commit it".into()),
        ("##v1.2.0\n- one\n", "1: no entry for the version: `##v1.2.0` is not".into()),
        ("", format!("1: no entry for the version: the changelog has no headings with versions; {add}")),
        ("## 1.2.0\n- one\n## 1.1.0\n- x\n## v1.2.0\n- two\n", "1: the version has another entry at line 5; join the two, and commit it".into()),
    ];
    for (text, expected) in table {
        let error = ReleaseNotes::find(text.as_bytes(), QUERY).unwrap_err().to_string();
        assert!(error.starts_with(&format!("CHANGELOG.md:{expected}")), "{error}\n{text}");
    }
    let error = ReleaseNotes::find(b"## 1.2.0\n\n- na\xefve\n", QUERY).unwrap_err().to_string();
    assert!(error.starts_with("CHANGELOG.md:3: the changelog is not UTF-8; convert it"), "{error}");
}

proptest! {
    #[test]
    fn no_text_panics(text in "([#*>|`~<&1.2v0-]|\\[|\\]|[ \n\t]|1\\.2\\.0|## 1.2.0\n|- |é|<!--|---\n|.){0,60}") {
        if let Ok(notes) = ReleaseNotes::find(text.as_bytes(), QUERY) {
            prop_assert!(!notes.items.is_empty() && notes.items.iter().all(|item| !item.blocks.is_empty()));
        }
    }
}

#[test]
fn the_text_of_an_entry_is_as_it_is_written() {
    let query = NotesQuery { file: "CHANGELOG.md", version: "1.1", tag: "v1.1" };
    let text = |changelog: &str| ReleaseNotes::text(changelog.as_bytes(), query).unwrap();
    let entry = "### Added\n\n- A *thing* ([#1](https://h/1)).\n  - more";
    let other = "## 1.0 - 2026-01-01\n\n- old\n";
    assert_eq!(text(&format!("# Changes\n\n## [1.1] - 2026-02-01\n\n{entry}\n\n{other}")), entry);
    assert_eq!(text(&format!("1.1\n---\n\n{entry}\n\n\n{other}")), entry);
    assert_eq!(text(&format!("---\ntitle: x\n---\n## v1.1\r\n{entry}")), entry);
    assert!(ReleaseNotes::text(b"## 1.0\n\n- x\n", query).is_err());
}
