//! Changelogs in other notations than Markdown: GNU's `NEWS`, reStructuredText, AsciiDoc and wikis, and plain text. Their headings are
//! written as those of Markdown, each in its own line, so that all numbers of lines stay.

mod forms;

use super::Document;
use super::heading::{Heading, bare, begins_date, is_about_earlier, is_date, is_version, may_follow, words};

/// The longest line of plain text that may be a heading.
const LONGEST: usize = 120;

/// Words that may come before the version in a heading of plain text.
const BEFORE: [&str; 27] = [
    "version",
    "release",
    "released",
    "ver",
    "v",
    "rel",
    "noteworthy",
    "major",
    "minor",
    "important",
    "user-visible",
    "visible",
    "changes",
    "change",
    "changed",
    "news",
    "new",
    "what's",
    "whats",
    "in",
    "for",
    "of",
    "the",
    "is",
    "and",
    "features",
    "notes",
];

/// The text with headings of Markdown, if what is wanted is only in a heading of another notation; or if the topmost heading of a
/// release is in that notation. Some projects changed from one notation to another.
pub(super) fn translated(text: &str, wanted: &[&str]) -> Option<String> {
    let is_wanted = |heading: &Heading| heading.match_version(wanted).is_some();
    let topmost = |headings: &[Heading]| headings.iter().find(|one| one.is_of_a_release()).map(|one| one.line);
    let as_it_is = Document::parse(text).headings;
    if as_it_is.iter().any(is_wanted) {
        return None;
    }
    let other = markdown(text);
    let translated = document(&other).headings;
    let is_above = match (topmost(&translated), topmost(&as_it_is)) {
        (Some(one), Some(other)) => one < other,
        (one, _) => one.is_some(),
    };
    (is_above || translated.iter().any(is_wanted)).then_some(other)
}

/// The document of a translated text, whose headings are those of releases in more forms.
pub(super) fn document(text: &str) -> Document<'_> {
    let mut document = Document::parse(text);
    for heading in &mut document.headings {
        heading.title = title(&heading.text).map(str::to_owned);
    }
    document
}

/// True for a row of the same punctuation, as it is below or above a heading.
pub(super) fn is_line(line: &str) -> bool {
    let line = line.trim_end();
    let first = line.chars().next();
    line.len() >= 3
        && first.is_some_and(|first| "=-~^\"'#*+.:_<>".contains(first))
        && line.chars().all(|c| Some(c) == first)
}

/// The text with its headings as Markdown has them.
fn markdown(text: &str) -> String {
    let lines: Vec<&str> = text.split('\n').collect();
    let at = |index: usize| lines.get(index).copied().unwrap_or_default();
    let mut out: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    // Levels of underlines are those of their first appearance.
    let mut styles: Vec<(char, bool)> = Vec::new();
    // A list below the heading of a release may have an item such as `* Linux 6.1`.
    let starred = |line: &str| line.strip_prefix("* ").is_some_and(is_title);
    let first = lines.iter().position(|line| starred(line) || is_title(line));
    let stars = first.is_some_and(|first| starred(lines[first]));
    let items = if first.is_none() { forms::items(&lines) } else { None };
    let mut dated = forms::dated(&lines);
    if first.is_some_and(|first| !dated.iter().any(|(_, named, _)| *named == first)) {
        dated.clear();
    }
    let bold = lines.iter().filter_map(|line| forms::bold(line)).count() > 1;
    for (index, named, title) in &dated {
        out[*index] = format!("## {title}");
        out[*named] = String::new();
    }
    for (index, line) in lines.iter().enumerate() {
        if dated.iter().any(|(date, named, _)| [*date, *named].contains(&index)) {
            continue;
        }
        let is_first = index == 0 || at(index - 1).trim().is_empty();
        let over = index > 0 && is_line(at(index - 1));
        let is_text = !line.trim().is_empty() && !is_line(line) && !line.starts_with('#');
        if is_text && is_line(at(index + 1)) && (is_first || over) {
            let over = over && at(index - 1).trim_end() == at(index + 1).trim_end();
            let style = (at(index + 1).chars().next().unwrap_or('-'), over);
            let level = styles.iter().position(|known| *known == style).unwrap_or_else(|| {
                styles.push(style);
                styles.len() - 1
            });
            out[index] = format!("{} {}", "#".repeat((level + 1).min(6)), line.trim());
            out[index + 1] = String::new();
            if over {
                out[index - 1] = String::new();
            }
        } else if let Some((level, title)) = marked(line, '=') {
            out[index] = format!("{} {}", "#".repeat(level), title.trim_end_matches('=').trim_end());
        } else if let Some((level, title)) = marked(line, '*').filter(|_| stars) {
            let next = (index + 1..lines.len()).find(|next| !at(*next).trim().is_empty());
            let is_section = level == 1
                || at(index + 1).trim().is_empty()
                    && next.is_some_and(|next| marked(at(next), '*').is_none_or(|(other, _)| other > level));
            out[index] = if is_section { format!("{} {title}", "#".repeat(level)) } else { format!("- {title}") };
        } else if let Some(title) = items.and_then(|start| line.strip_prefix(start)).filter(|title| is_title(title)) {
            out[index] = format!("## {title}");
        } else if let Some(title) = forms::bold(line).filter(|_| bold) {
            out[index] = format!("## {title}");
        } else if is_title(line) && (is_first || forms::is_dated_version(line)) {
            out[index] = format!("## {line}");
        } else if let Some(title) = forms::framed(line).filter(|title| is_title(title)) {
            out[index] = format!("## {title}");
        }
    }
    out.join("\n")
}

/// The level and the text of a line that begins with up to six of a letter and a blank.
fn marked(line: &str, letter: char) -> Option<(usize, &str)> {
    let rest = line.trim_start_matches(letter);
    let level = line.len() - rest.len();
    let title = rest.strip_prefix(' ')?.trim();
    ((1..=6).contains(&level) && !title.is_empty()).then_some((level, title))
}

/// Whether a line of plain text is the heading of a release.
fn is_title(line: &str) -> bool {
    title(line).is_some()
}

/// The version of a line that is the heading of a release and nothing else: `Version 1.2.3 (2024-01-02)`, `lamp 1.2.3:`.
fn title(line: &str) -> Option<&str> {
    let begins = line.starts_with(|first: char| first.is_alphanumeric() || first == '[');
    let closed = line.trim_end();
    if !begins || closed.len() > LONGEST || closed.ends_with(['.', ',', '!']) {
        return None;
    }
    if let Some(later) = pair(line) {
        return Some(bare(later));
    }
    let all: Vec<&str> = words(line).filter(|word| !bare(word).is_empty()).collect();
    // `Fri Aug 7, 2020: Released lamp 1.2.3`, `2024-01-02 -- 1.2.3`
    let all = all.get(date_words(&all)..)?;
    let place = all.iter().position(|word| version_of(word).is_some())?;
    let may_begin = |word: &&str| {
        let word = bare(word).trim_start_matches('[').to_lowercase();
        BEFORE.contains(&word.as_str()) || !word.contains(char::is_alphanumeric)
    };
    // One word may be the name of the project.
    let begins = all[..place].iter().filter(|word| !may_begin(word)).count() <= 1
        && place <= 6
        && !is_about_earlier(all[..place].iter().map(|word| bare(word)));
    let rest = &all[place + 1..];
    // A release may have a name: `lamp 1.2.3 Mai Tai`.
    let is_name = |word: &&str| word.starts_with(|first: char| first.is_uppercase());
    let is_named = place <= 1 && rest.len() <= 3 && rest.iter().all(is_name);
    let ends = rest.first().is_none_or(|word| may_follow(word) || begins_date(word))
        || is_named
        || all[place].ends_with([':', ',', ')', ']']);
    if begins && ends { version_of(all[place]) } else { None }
}

/// The version that a word is, alone or after the name of the project: `1.2.3`, `lamp-1.2.3`.
fn version_of(word: &str) -> Option<&str> {
    let word = bare(word);
    if is_version(word) {
        return Some(word);
    }
    let (at, _) = word.match_indices('-').find(|(at, _)| word[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    let version = &word[at + 1..];
    (word.starts_with(|first: char| first.is_alphabetic()) && is_version(version)).then_some(version)
}

/// The later version of `CHANGES FROM 3.3a TO 3.4`, or of `Changes between 3.3a and 3.4`.
fn pair(line: &str) -> Option<&str> {
    let all: Vec<&str> = words(line).collect();
    for (first, second) in [("from", "to"), ("between", "and")] {
        let Some(from) = all.iter().position(|word| word.eq_ignore_ascii_case(first)) else { continue };
        if let [old, to, new, ..] = all.get(from + 1..)? {
            if to.eq_ignore_ascii_case(second) && is_version(bare(old)) && is_version(bare(new)) {
                return Some(*new);
            }
        }
    }
    None
}

/// The number of words that a date takes at the beginning of a line: 2 of `Jan 2`, 4 of `Fri Aug 7, 2020:`, 0 where there is none.
fn date_words(all: &[&str]) -> usize {
    if all.first().is_some_and(|word| is_date(bare(word))) {
        return 1;
    }
    let is_day_or_year = |word: &str| {
        let digits = word.bytes().take_while(u8::is_ascii_digit).count();
        let rest = word.get(digits..).unwrap_or_default();
        matches!(digits, 1 | 2 | 4) && ["", "st", "nd", "rd", "th"].contains(&rest)
    };
    let named = all.iter().take_while(|word| begins_date(word)).count();
    let length = all.iter().take(6).take_while(|word| begins_date(word) || is_day_or_year(bare(word))).count();
    // A month or a day of the week, and numbers.
    if named > 0 && length > named || all.get(1).is_some_and(|word| begins_date(word)) && length >= 3 {
        length
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeadingKind, HeadingPlace, NotesQuery, ReleaseNotes};

    const BODY: &str = "- one\n- two\n";

    #[test]
    fn headings_of_other_notations_are_found_with_their_lines() {
        for (heading, old) in [
            ("1.2.3 (2024-01-02)", "1.2.2 (2023-01-02)"),
            ("Version 1.2.3", "Version 1.2.2"),
            ("Version 1.2.3 (6 Dec 2023)", "Version 1.2.2 (1 Dec 2023)"),
            ("Changes in 1.2.3", "Changes in 1.2.2"),
            ("Changes in version 1.2.3 (22 Jan 2024)", "Changes in version 1.2.2 (18 Aug 2023)"),
            ("What's new in lamp 1.2.3:", "What's new in lamp 1.2.2:"),
            ("lamp 1.2.3, 2024-01-02", "lamp 1.2.2, 2023-01-02"),
            ("lamp (1.2.3) unstable; urgency=low", "lamp (1.2.2) unstable; urgency=low"),
            ("[1.2.3] - 2024-01-02", "[1.2.2] - 2023-01-02"),
            ("v1.2.3 Tue Jan 2 2024", "v1.2.2 Mon Jan 2 2023"),
            ("CHANGES FROM 1.2.2 TO 1.2.3", "CHANGES FROM 1.2.1 TO 1.2.2"),
            ("Overview of changes between 1.2.2 and 1.2.3", "Overview of changes between 1.2.1 and 1.2.2"),
            ("Fri Aug 7, 2020: Released Lamp 1.2.3", "Sun July 19, 2020: Released Lamp 1.2.2"),
            ("Sep 13, 2024: lamp 1.2.3 released", "Sep 12, 2024: lamp 1.2.2 released"),
            ("2 January 2024: lamp 1.2.3", "1 January 2024: lamp 1.2.2"),
            ("2024-01-02 -- 1.2.3", "2023-01-02 -- 1.2.2"),
            ("\t----- version 1.2.3 ------", "\t----- version 1.2.2 ------"),
            ("lamp v1.2.3 Mai Tai", "lamp v1.2.2 Blue Hawaii"),
            ("* Versions:\n    - 1.2.3 [Sunday, July 19, 2026]", "    - 1.2.2 [Tuesday, March 31, 2026]"),
            ("+ lamp 1.2.3 (2024-01-02):", "+ lamp 1.2.2 (2023-01-02):"),
            (
                "lamp 1.2.x\n----------\n\n**2024-01-02  -  lamp 1.2.3  -  \"Bright\"**",
                "**2023-01-02  -  lamp 1.2.2  -  \"Dim\"**",
            ),
            // Older entries are in another notation.
            ("1.2.3 (2024-01-02)", "1.2.2\n====="),
            ("== 1.2.3 ==", "== 1.2.2 =="),
            ("= Changes =\n\n== lamp 1.2.3", "== lamp 1.2.2"),
            (
                "* Noteworthy changes in release 1.2.3 (2024-01-02) [stable]",
                "* Noteworthy changes in release 1.2.2 (2023-01-02) [stable]",
            ),
            ("* Changes in 1.2.3", "* Changes in 1.2.2"),
            ("* lamp-1.2.3", "* lamp-1.2.2"),
            ("lamp-oil-1.2.3 (2024-01-02)", "lamp-oil-1.2.2 (2023-01-02)"),
            ("1.2.3\n~~~~~", "1.2.2\n~~~~~"),
            ("Changes\n*******\n\n1.2.3 (2024-01-02)\n^^^^^^^^^^^^^^^^^^", "1.2.2 (2023-01-02)\n^^^^^^^^^^^^^^^^^^"),
            (
                "Overview of changes leading to 1.2.3\nMonday, January 2, 2024\n====",
                "Overview of changes leading to 1.2.2\n=====",
            ),
            (
                "Overview of changes in lamp 1.2.3, 2024-01-02\n====",
                "Overview of changes in lamp 1.2.2, 2023-01-02\n=====",
            ),
            ("2024-01-02, Version 1.2.3 (Stable), 0123abc", "2023-01-02, Version 1.2.2 (Stable)"),
            ("**1.2.3** (2024-01-02):", "**1.2.2** (2023-01-02):"),
            ("#######\nChanges\n#######\n\n+++++\n1.2.3\n+++++", "+++++\n1.2.2\n+++++"),
        ] {
            let text = format!("NEWS of lamp, which everybody likes.\n\n{heading}\n\n{BODY}\n{old}\n\n- old\n");
            let query = NotesQuery { file: "NEWS", version: "1.2.3", tag: "v1.2.3" };
            let notes = ReleaseNotes::find(text.as_bytes(), query).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!(notes.items.len(), 2, "{text}\n{notes:?}");
            assert!(text.lines().nth(notes.line - 1).unwrap().contains("1.2.3"), "{}: {heading}", notes.line);
            assert_eq!(ReleaseNotes::text(text.as_bytes(), query).unwrap(), BODY.trim(), "{text}");
            let all = HeadingPlace::all(&text);
            let place =
                all.iter().find(|place| matches!(&place.kind, HeadingKind::Release(version, _) if version == "1.2.3"));
            let place = place.unwrap_or_else(|| panic!("{text}\n{all:?}"));
            assert_eq!(place.line, notes.line, "{heading}");
            // A version that is missing is asked for in the form of the file.
            let query = NotesQuery { file: "NEWS", version: "1.2.4", tag: "v1.2.4" };
            let error = ReleaseNotes::find(text.as_bytes(), query).unwrap_err();
            assert_eq!(error.line, notes.line, "{error}");
            assert!(error.form.contains("1.2.4") && !error.form.contains("1.2.3"), "{error}");
        }
    }

    #[test]
    fn an_item_that_looks_like_a_release_is_none_below_one() {
        let text = "What's new in version 1.2.3\n\n* Fix it.\n* Linux 6.1\n\nWhat's new in version 1.2.2\n\n* old\n";
        let query = NotesQuery { file: "NEWS", version: "1.2.3", tag: "1.2.3" };
        assert_eq!(ReleaseNotes::text(text.as_bytes(), query).unwrap(), "* Fix it.\n* Linux 6.1");
    }

    #[test]
    fn sections_and_items_of_gnu_news_have_their_places() {
        let text = "GNU lamp NEWS    -*- outline -*-\n\n* Noteworthy changes in release 1.1 (2024-01-02) [stable]\n\n** Bug fixes\n\n  \
                    It shines again.\n  [bug of 1.0]\n\n** lamp --dim is new.\n** lamp --off goes\n   out.\n\n* Noteworthy changes in release 1.0 (2023-01-02) [stable]\n\n** old\n";
        let query = NotesQuery { file: "NEWS", version: "1.1", tag: "v1.1" };
        let notes = ReleaseNotes::find(text.as_bytes(), query).unwrap();
        let sections: Vec<&str> = notes.items.iter().map(|item| item.section.as_str()).collect();
        assert_eq!((notes.line, sections), (3, vec!["Bug fixes", "Bug fixes", "Bug fixes"]), "{notes:?}");
        let query = NotesQuery { file: "NEWS", version: "1.2", tag: "v1.2" };
        let error = ReleaseNotes::find(text.as_bytes(), query).unwrap_err().to_string();
        let expected = "NEWS:3: no entry for the version: the topmost heading is `Noteworthy changes in release 1.1 (2024-01-02) \
                        [stable]`; add a heading such as `* Noteworthy changes in release 1.2 (DATE) [stable]` with the changes below it, and commit it";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_sentence_about_the_release_before_is_no_heading() {
        let entry = "Changes since version 1.2.2:\n\n* one";
        let old = "2023-01-02, Version 1.2.2 (Stable)\n\nChanges since version 1.2.1:\n\n* old\n";
        let text = format!("2024-01-02, Version 1.2.3 (Stable)\n\n{entry}\n\n{old}");
        let query = NotesQuery { file: "ChangeLog", version: "1.2.3", tag: "v1.2.3" };
        assert_eq!(ReleaseNotes::text(text.as_bytes(), query).unwrap(), entry);
    }

    #[test]
    fn a_version_with_a_date_needs_no_empty_line_before_it() {
        let text = "1.2???.0\n - TBD\n1.2.3, 2024-01-02\n- one\n  goes on\n1.2.2, 2023-01-02\n- old\n";
        let query = NotesQuery { file: "ChangeLog", version: "1.2.3", tag: "v1.2.3" };
        assert_eq!(ReleaseNotes::text(text.as_bytes(), query).unwrap(), "- one\n  goes on");
    }

    #[test]
    fn a_release_may_be_a_sentence_below_a_date() {
        for (heading, old) in [
            (
                "2024-01-02  A Name  <a@b.c>\n\n\t* Released as 1.2.3.",
                "2023-01-02  A Name  <a@b.c>\n\n\t* Released as 1.2.2.",
            ),
            (
                "2024-01-02 A Name <a@b.c>\n\n\t* Version 1.2.3 released.",
                "2023-01-02 A Name <a@b.c>\n\n\t* Version 1.2.2 released.",
            ),
            ("January 2nd, 2024\nv1.2.3", "January 2nd, 2023\nv1.2.2"),
            (
                "Tue 02 Jan 2024 21:00:00 CET\nReleased GNU lamp 1.2.3.",
                "Mon 02 Jan 2023 21:00:00 CET\nReleased GNU lamp 1.2.2.",
            ),
        ] {
            let entry = "\t* one\n\n2024-01-01  Another Name  <b@b.c>\n\n\t* two";
            let text = format!("{heading}\n\n{entry}\n\n{old}\n\n\t* old\n");
            let query = NotesQuery { file: "ChangeLog", version: "1.2.3", tag: "v1.2.3" };
            let notes = ReleaseNotes::find(text.as_bytes(), query).unwrap_or_else(|error| panic!("{error}\n{text}"));
            assert_eq!((notes.line, notes.date.is_a_date()), (1, true), "{text}");
            assert!(ReleaseNotes::text(text.as_bytes(), query).unwrap().ends_with(entry), "{text}");
        }
        // One is a report, not a way to write a changelog.
        let text = "2024-01-02  A Name  <a@b.c>\n\n\t* Released 1.2.3.\n\n2023-01-02  A Name  <a@b.c>\n\n\t* one\n";
        let query = NotesQuery { file: "ChangeLog", version: "1.2.3", tag: "v1.2.3" };
        assert!(ReleaseNotes::find(text.as_bytes(), query).is_err());
    }

    #[test]
    fn prose_that_names_a_version_is_no_heading() {
        for line in [
            "This fixes the bug of 1.2.3",
            "Upgrading from 1.2.3",
            "We need libfoo 1.2.3 now.",
            "Please upgrade lamp 1.2.3 soon",
            "On Friday 2 people used lamp 1.2.3 together",
            "May 1.2.3 live long",
            "Please upgrade lamp-1.2.3 soon",
            "  1.2.3",
            "* Fixed what 1.2.3 broke",
            "**1.2.3**",
        ] {
            let query = NotesQuery { file: "NEWS", version: "1.2.3", tag: "v1.2.3" };
            assert!(ReleaseNotes::find(format!("{line}\n\n- one\n").as_bytes(), query).is_err(), "{line}");
        }
    }
}
