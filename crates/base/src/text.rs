//! Foreign text made safe to show: one set of characters that no terminal, report or message lets through.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::paths;

/// The number of bytes read from the end of a file.
const LONGEST_END: u64 = 64 << 10;
/// Quoted lines are cut to this many characters.
const LONGEST_QUOTE: usize = 200;
/// The character that begins a sequence for a terminal.
const ESCAPE: char = '\u{1b}';

/// True if the character would move the cursor, conceal text or reorder it: control characters (C0, C1), invisible and
/// bidirectional formatting characters, byte order marks, tags, and code points that are not characters.
pub fn is_unprintable(letter: char) -> bool {
    // The last two code points of each plane, and 32 of the first, are not characters.
    let is_noncharacter = u32::from(letter) & 0xfffe == 0xfffe || matches!(u32::from(letter), 0xfdd0..=0xfdef);
    letter.is_control()
        || is_noncharacter
        || matches!(u32::from(letter),
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xe0000..=0xe0fff)
}

/// The character itself, or U+FFFD in the place of one that [`is_unprintable`].
pub fn printable_char(letter: char) -> char {
    if is_unprintable(letter) { char::REPLACEMENT_CHARACTER } else { letter }
}

/// The text without sequences that mean something to a terminal only: colours, links, titles, movements of the cursor (ECMA-48:
/// CSI, OSC and the other control strings, character sets, and the common sequences of two characters). A sequence that does not
/// end on its line is not one, and stays.
pub fn without_escapes(text: &str) -> Cow<'_, str> {
    let Some((before, _)) = text.split_once(ESCAPE) else { return Cow::Borrowed(text) };
    let mut kept = before.to_owned();
    let mut rest = &text[before.len()..];
    while !rest.is_empty() {
        let length = escape_length(rest).unwrap_or_else(|| {
            kept.push(ESCAPE);
            ESCAPE.len_utf8()
        });
        let (before, _) = rest[length..].split_once(ESCAPE).unwrap_or((&rest[length..], ""));
        kept.push_str(before);
        rest = &rest[length + before.len()..];
    }
    Cow::Owned(kept)
}

/// The length of the sequence that begins a text, whose first character is [`ESCAPE`].
fn escape_length(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let past = |from: usize, wanted: fn(&u8) -> bool| {
        from + bytes.get(from..).unwrap_or_default().iter().take_while(|byte| wanted(byte)).count()
    };
    let is_intermediate = |byte: &u8| matches!(byte, 0x20..=0x2f);
    let ends = |at: usize, first: u8| bytes.get(at).is_some_and(|byte| (first..=0x7e).contains(byte)).then_some(at + 1);
    match bytes.get(1)? {
        b'[' => ends(past(past(2, |byte| matches!(byte, 0x30..=0x3f)), is_intermediate), 0x40),
        b']' | b'P' | b'X' | b'^' | b'_' => {
            let end = past(2, |byte| !byte.is_ascii_control() || *byte == b'\t');
            match bytes.get(end..)? {
                [0x07, ..] => Some(end + 1),
                [0x1b, b'\\', ..] => Some(end + 2),
                _ => None,
            }
        }
        0x20..=0x2f => ends(past(1, is_intermediate), 0x30),
        b'7' | b'8' | b'=' | b'>' | b'D' | b'E' | b'H' | b'M' | b'N' | b'O' | b'c' => Some(2),
        _ => None,
    }
}

/// A line of foreign text, at most `most` characters of it, [`without_escapes`] and without white space at its end. Tabs stay;
/// every other character that [`is_unprintable`] becomes U+FFFD.
pub fn printable(line: &str, most: usize) -> String {
    let shown = |letter| if letter == '\t' { letter } else { printable_char(letter) };
    without_escapes(line).trim_end().chars().map(shown).take(most).collect()
}

/// A foreign text of several lines, whole but [`without_escapes`]: line ends and tabs stay, and every other character that
/// [`is_unprintable`] becomes U+FFFD. All that is left may stand in XML 1.0, whose characters are fewer than those of UTF-8.
pub fn lines(text: &str) -> String {
    without_escapes(text)
        .chars()
        .map(|letter| if matches!(letter, '\n' | '\t') { letter } else { printable_char(letter) })
        .collect()
}

/// A foreign text on one line, trimmed and [`without_escapes`]: white space that would break the line becomes a space, every other character that
/// [`is_unprintable`] becomes U+FFFD, and text beyond `most` characters becomes `…`.
pub fn one_line(text: &str, most: usize) -> String {
    let shown = |letter: char| if letter.is_whitespace() { ' ' } else { printable_char(letter) };
    let text = without_escapes(text);
    let mut letters = text.trim().chars();
    let mut line: String = letters.by_ref().take(most).map(shown).collect();
    if letters.next().is_some() {
        line.push('…');
    }
    line
}

/// A foreign text between backquotes: characters that [`is_unprintable`] are escaped (`\n`, `\u{202e}`), so that the reader can
/// tell them apart, and text beyond 60 characters becomes `…`.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut letters = text.chars();
    let mut shown = String::from("`");
    for letter in letters.by_ref().take(LONGEST) {
        if is_unprintable(letter) { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    if letters.next().is_some() {
        shown.push('…');
    }
    shown.push('`');
    shown
}

/// A count with its noun: `1 job`, `2 jobs`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// How often: `once`, `2 times`.
pub fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// The last `lines` lines of a file, unprintable characters replaced, at most 64 KiB; of a long line its end.
///
/// # Errors
/// As [`end_of_file`].
pub fn tail(path: &Path, lines: usize) -> io::Result<Vec<String>> {
    let text = end_of_file(path)?;
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    Ok(all[from..].iter().map(|line| line_end(line)).collect())
}

/// A line of foreign text, unprintable characters replaced; of a long one its end.
pub fn line_end(line: &str) -> String {
    let line = without_escapes(line);
    match line.char_indices().rev().nth(LONGEST_QUOTE) {
        Some((at, _)) => format!("…{}", printable(&line[at..], LONGEST_QUOTE + 1)),
        None => printable(&line, LONGEST_QUOTE),
    }
}

/// The last 64 KiB of a regular file, invalid UTF-8 replaced.
///
/// # Errors
/// The file cannot be read, or is not a regular file.
pub fn end_of_file(path: &Path) -> io::Result<String> {
    let mut file: File = paths::open_regular(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(LONGEST_END)))?;
    let mut bytes = Vec::new();
    file.take(LONGEST_END).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The whole of a regular file of at most 256 MiB, invalid UTF-8 replaced.
///
/// # Errors
/// The file cannot be read, or is not a regular file.
pub fn whole_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    paths::open_regular(path)?.take(256 << 20).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_moves_hides_or_reorders_is_replaced() {
        assert_eq!(printable("a\x1b[31mb\x1b[\tc \n", 20), "ab\u{fffd}[\tc");
        assert_eq!(printable("user\u{202e}fdp.exe\u{200b}\u{85}", 20), "user\u{fffd}fdp.exe\u{fffd}");
        assert_eq!(printable("Lanternenträger 灯", 8), "Lanterne");
    }

    #[test]
    fn what_is_for_a_terminal_only_is_removed() {
        for (text, expected) in [
            ("gcc: \x1b[01;31m\x1b[Kerror\x1b[m\x1b[K: bad", "gcc: error: bad"),
            ("\x1b]8;;file:///a.c\x07a.c\x1b]8;;\x07: \x1b]8;;x\x1b\\b\x1b]8;;\x1b\\", "a.c: b"),
            ("\x1b[1mFAIL\x1b(B\x1b[m \x1b[38:2::1:2:3mx\x1b[0 q\x1b7\x1b[?25l", "FAIL x"),
            ("\x1b]0;title of a window\x07text\x1bP1;2|a\x1b\\", "text"),
            // What does not end hides nothing.
            ("\x1b]0;error: hidden\nnext", "\x1b]0;error: hidden\nnext"),
            ("\x1b[31\nerror \x1b", "\x1b[31\nerror \x1b"),
            ("\x1b[31灯 \x1b\x1b[0m \x1bq", "\x1b[31灯 \x1b \x1bq"),
        ] {
            assert_eq!(without_escapes(text), expected, "{text:?}");
        }
        assert_eq!(one_line("\x1b[31mmake: no rule\x1b[0m", 20), "make: no rule");
        assert_eq!(lines("\x1b[31ma\x1b[0m\nb"), "a\nb");
        assert_eq!(quoted("\x1b[31m"), "`\\u{1b}[31m`");
    }

    #[test]
    fn a_text_for_a_message_is_one_line() {
        assert_eq!(one_line(" a\r\n\tb\u{2028}c\u{202e}\u{1b}", 20), "a   b c\u{fffd}\u{fffd}");
        assert_eq!(one_line("灯灯灯", 2), "灯灯…");
        assert_eq!(one_line("灯灯", 2), "灯灯");
        assert_eq!(quoted("a\n\u{202e}b"), "`a\\n\\u{202e}b`");
        assert_eq!(quoted(&"x".repeat(61)), format!("`{}…`", "x".repeat(60)));
    }

    #[test]
    fn no_character_of_unicode_escapes() {
        for letter in (0..=u32::from(char::MAX)).filter_map(char::from_u32) {
            let text = format!("a{letter}b");
            let whole = lines(&text);
            assert!(whole.chars().all(is_xml) && whole.chars().count() == 3, "{letter:?} in {whole:?}");
            for shown in [one_line(&text, 9), quoted(&text), printable(&text, 9).replace('\t', "")] {
                assert!(!shown.contains(is_unprintable), "{letter:?} in {shown:?}");
                assert!(shown.contains('a') && shown.contains('b'), "{letter:?} conceals adjacent text: {shown:?}");
            }
        }
    }

    /// The production `Char` of XML 1.0, section 2.2.
    fn is_xml(letter: char) -> bool {
        matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
    }

    proptest! {
        #[test]
        fn nothing_is_lost_of_a_text_of_several_lines(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = String::from_utf8_lossy(&bytes);
            let whole = lines(&text);
            let text = without_escapes(&text);
            prop_assert!(whole.chars().all(is_xml));
            prop_assert_eq!(whole.chars().count(), text.chars().count());
            let same = text.chars().zip(whole.chars()).all(|(then, now)| then == now || now == '\u{fffd}');
            prop_assert!(same);
            prop_assert_eq!(lines(&whole), whole);
        }

        #[test]
        fn colours_leave_a_text_as_it_was(text in "[a-z \\n\\]\\[(;0-9灯]{0,40}", colours in prop::collection::vec((0_usize..40, "[0-9;]{0,6}"), 0..8)) {
            let mut letters: Vec<String> = text.chars().map(String::from).collect();
            for (at, colour) in colours {
                letters.insert(at.min(letters.len()), format!("\x1b[{colour}m"));
            }
            let coloured = letters.concat();
            prop_assert_eq!(without_escapes(&coloured), text);
        }

        #[test]
        fn only_what_begins_with_an_escape_is_removed(text in "[\x1b\x07\\[\\]P;0-9a-zA-Z\\\\ \n灯]{0,60}") {
            let kept = without_escapes(&text);
            let (ends, kept_ends) = (text.matches('\n').count(), kept.matches('\n').count());
            prop_assert_eq!(ends, kept_ends);
            let mut letters = text.chars();
            prop_assert!(kept.chars().all(|letter| letters.any(|other| other == letter)));
        }

        #[test]
        fn nothing_unprintable_is_left(bytes in prop::collection::vec(any::<u8>(), 0..60), most in 0_usize..40) {
            let text = String::from_utf8_lossy(&bytes);
            let (line, whole) = (printable(&text, most), one_line(&text, most));
            prop_assert!(line.chars().count() <= most && whole.chars().count() <= most + 1);
            prop_assert!(line.chars().all(|letter| letter == '\t' || !is_unprintable(letter)));
            prop_assert!(!whole.contains(is_unprintable) && !quoted(&text).contains(is_unprintable));
        }
    }
}
