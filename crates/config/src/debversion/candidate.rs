//! The part of a version that makes it a candidate: `rc1` of `26.06rc1`, `beta.2` of `1.0.0-beta.2`.
//!
//! After three numbers and a `-`, that is everything (Semantic Versioning 2.0.0, section 9), except a single number, which is
//! just as often the revision of a package. After other numbers, it is one of the usual words.

/// The words, in lower case.
const WORDS: [&str; 6] = ["alpha", "beta", "preview", "pre", "dev", "rc"];
/// The words that need a number: `1.0a1` is a candidate, `1.0.1a` is not.
const LETTERS: [&str; 2] = ["a", "b"];
/// The characters that may separate a word from its surroundings.
const SIGNS: [char; 4] = ['-', '.', '_', '~'];

/// Splits a candidate into the version that it leads to and its suffix, without separators between them.
pub(super) fn split(core: &str) -> Option<(&str, String)> {
    if let Some((numbers, suffix)) = semantic(core) {
        return Some((numbers, named(suffix, true).unwrap_or_else(|| suffix.to_owned())));
    }
    core.char_indices().filter(|(_, letter)| letter.is_ascii_alphabetic()).find_map(|(at, _)| {
        let before = core[..at].trim_end_matches(SIGNS);
        // A letter after others is more likely part of a commit's name.
        let suffix = named(&core[at..], before.bytes().all(|byte| !byte.is_ascii_alphabetic()))?;
        before.ends_with(|last: char| last.is_ascii_digit()).then_some((before, suffix))
    })
}

/// Splits `1.0.0-beta.2` into `1.0.0` and `beta.2`.
fn semantic(core: &str) -> Option<(&str, &str)> {
    let (numbers, suffix) = core.split_once('-')?;
    let suffix = suffix.trim_start_matches(SIGNS);
    let is_one_number = suffix.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain(numbers) && numbers.split('.').count() == 3 && !is_one_number).then_some((numbers, suffix))
}

/// The suffix if it starts with one of the words, with its number moved directly after the word.
fn named(suffix: &str, is_first: bool) -> Option<String> {
    let lower = suffix.to_ascii_lowercase();
    let letters = LETTERS.iter().filter(|_| is_first).map(|letter| (letter, true));
    WORDS.iter().map(|word| (word, false)).chain(letters).find_map(|(word, needs_number)| {
        let rest = &suffix[lower.strip_prefix(word).map(|_| word.len())?..];
        let after = rest.trim_start_matches(['-', '.', '_']);
        let is_word = !rest.starts_with(|next: char| next.is_ascii_alphabetic());
        let has_number = after.starts_with(|next: char| next.is_ascii_digit());
        let sign = if after.starts_with(|next: char| next.is_ascii_alphabetic()) { "." } else { "" };
        (is_word && (has_number || !needs_number)).then(|| format!("{word}{sign}{after}"))
    })
}

/// True if a version consists of numbers and dots only.
pub(super) fn is_plain(core: &str) -> bool {
    core.split('.').all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
