//! Foreign text made safe to show: one set of characters that no terminal, report or message lets through.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::paths;

/// How many bytes of the end of a file are looked at.
const LONGEST_END: u64 = 64 << 10;
/// Quoted lines are cut to this many characters.
const LONGEST_QUOTE: usize = 200;

/// Whether the character would move the cursor, hide text or reorder it: control characters (C0, C1), invisible and
/// bidirectional formatting characters, byte order marks, tags, and code points that are no characters.
pub fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(u32::from(letter),
            0xad | 0x61c | 0x180e | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff
            | 0xfff9..=0xfffb | 0xfffe | 0xffff | 0xe0000..=0xe0fff)
}

/// The character itself, or U+FFFD in the place of one that [`is_unprintable`].
pub fn printable_char(letter: char) -> char {
    if is_unprintable(letter) { char::REPLACEMENT_CHARACTER } else { letter }
}

/// A line of foreign text, at most `most` characters of it, without white space at its end. Tabs stay; every other
/// character that [`is_unprintable`] becomes U+FFFD.
pub fn printable(line: &str, most: usize) -> String {
    let shown = |letter| if letter == '\t' { letter } else { printable_char(letter) };
    line.trim_end().chars().map(shown).take(most).collect()
}

/// Foreign text on one line for a message, at most 400 characters of it: line breaks and tabs become spaces, and what
/// [`is_unprintable`] is left out.
pub fn one_line(text: &str) -> String {
    const LONGEST: usize = 400;
    let spaced = text.chars().map(|letter| if letter == '\n' || letter == '\t' { ' ' } else { letter });
    let mut shown: String = spaced.filter(|letter| !is_unprintable(*letter)).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown.trim().to_owned()
}

/// The last `lines` lines of a file, unprintable characters replaced, at most 64 KiB; of a long line its end.
///
/// # Errors
/// As [`end_of_file`].
pub fn tail(path: &Path, lines: usize) -> io::Result<Vec<String>> {
    let text = end_of_file(path)?;
    let all: Vec<&str> = text.lines().collect();
    let from = all.len().saturating_sub(lines);
    let end = |line: &str| match line.char_indices().rev().nth(LONGEST_QUOTE) {
        Some((at, _)) => format!("…{}", printable(&line[at..], LONGEST_QUOTE + 1)),
        None => printable(line, LONGEST_QUOTE),
    };
    Ok(all[from..].iter().map(|line| end(line)).collect())
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_moves_hides_or_reorders_is_replaced() {
        assert_eq!(printable("a\x1b[31mb\tc \n", 20), "a\u{fffd}[31mb\tc");
        assert_eq!(printable("user\u{202e}fdp.exe\u{200b}\u{85}", 20), "user\u{fffd}fdp.exe\u{fffd}");
        assert_eq!(printable("Lanternenträger 灯", 8), "Lanterne");
    }

    proptest! {
        #[test]
        fn nothing_unprintable_is_left(text in "\\PC*|.*", most in 0_usize..40) {
            let shown = printable(&text, most);
            prop_assert!(shown.chars().count() <= most);
            prop_assert!(shown.chars().all(|letter| letter == '\t' || !is_unprintable(letter)));
        }
    }
}
