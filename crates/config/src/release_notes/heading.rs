//! Headings of a changelog, and whether they are those of a version.

use pulldown_cmark::HeadingLevel;

/// A heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heading {
    pub(super) level: HeadingLevel,
    /// The line, from 1.
    pub(super) line: usize,
    /// The text without markup.
    pub(super) text: String,
    /// The version of a heading in plain text, which may have more words around it.
    pub(super) title: Option<String>,
    /// The events of the heading.
    pub(super) events: std::ops::Range<usize>,
}

/// How a heading names a version, the better first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Match {
    /// The heading is the version, maybe with a date, a name or a remark: `[1.2.0] - 2026-06-01: "A Name"`.
    Release,
    /// The version is in a sentence: `Changes in 1.2.0`.
    Sentence,
}

/// Words after which a version is that of an earlier release: `Upgrading from 1.2.0`.
const EARLIER: [&str; 9] = ["from", "since", "between", "before", "until", "than", "to", "after", "vs"];

/// True if a word of a heading says that the version after it is an earlier one. `leading to 1.2.0` is about that release itself.
pub(super) fn is_about_earlier<'w>(before: impl IntoIterator<Item = &'w str>) -> bool {
    let mut last = String::new();
    before.into_iter().any(|word| {
        let previous = std::mem::replace(&mut last, word.to_lowercase());
        EARLIER.contains(&last.as_str()) && !(last == "to" && previous == "leading")
    })
}

/// What headings of GNOME and of what is near it begin with: `Overview of changes leading to 1.2.0`.
const OVERVIEW: [&str; 3] = ["overview", "of", "changes"];

/// Whether a word is one that dates begin with: a day of the week, or a month.
pub(super) fn begins_date(word: &str) -> bool {
    let names = [
        "mon", "tue", "wed", "thu", "fri", "sat", "sun", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep",
        "oct", "nov", "dec",
    ];
    let lower = bare(word).to_lowercase();
    lower.get(..3).is_some_and(|start| names.contains(&start))
}

/// Words that may come before the version in the heading of a release.
const BEFORE: [&str; 4] = ["version", "release", "released", "ver"];

/// The words of a line, white space of every kind between them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

/// A word without the punctuation around it and without a `v` before a number: `[v1.2.0]:` is `1.2.0`.
pub(super) fn bare(word: &str) -> &str {
    let is_part = |letter: char| letter.is_alphanumeric() || "+~_-".contains(letter);
    let word = word.trim_start_matches(|letter: char| !is_part(letter));
    // A dot, too, ends a sentence.
    let word = word.trim_end_matches(|letter: char| !is_part(letter));
    word.strip_prefix(['v', 'V']).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).unwrap_or(word)
}

/// Whether a bare word looks like a version: it begins with a digit, and is neither a plain number nor a date, nor a series such
/// as `1.2.x`.
pub(super) fn is_version(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.') && !is_date(word) && !word.ends_with(".x")
}

/// Whether a bare word is a date, such as `2026-06-01`, `2026.06.01` or `1.6.2026`.
pub(super) fn is_date(word: &str) -> bool {
    let parts: Vec<&str> = word.split(['-', '.', '/']).collect();
    let is_number = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let has_year = |part: Option<&&str>| part.is_some_and(|part| part.len() == 4);
    parts.len() == 3 && parts.iter().all(is_number) && (has_year(parts.first()) || has_year(parts.last()))
}

/// Whether a word may follow the version in the heading of a release.
pub(super) fn may_follow(word: &str) -> bool {
    let opens = word.starts_with(|letter: char| !letter.is_alphanumeric());
    let is_remark = ["yanked", "unreleased", "released", "release", "withdrawn", "tbd", "tba", "beta", "alpha"]
        .contains(&bare(word).to_lowercase().as_str());
    opens || is_remark || word.starts_with(|letter: char| letter.is_ascii_digit())
}

impl Heading {
    /// How the heading names one of the versions; `None` if it does not.
    pub(super) fn match_version(&self, versions: &[&str]) -> Option<Match> {
        if let Some(title) = &self.title {
            return versions.contains(&title.as_str()).then_some(Match::Release);
        }
        let all = self.bare_words();
        let place = all.iter().position(|(_, word)| versions.contains(word))?;
        let before = &all[..place];
        if before.iter().any(|(_, word)| is_version(word)) || is_about_earlier(before.iter().map(|(_, word)| *word)) {
            return None;
        }
        let is_overview = before.len() <= 6
            && OVERVIEW.iter().zip(before).filter(|(known, (_, word))| word.eq_ignore_ascii_case(known)).count()
                == OVERVIEW.len();
        let may_begin = |word: &str| word.is_empty() || is_date(word) || BEFORE.contains(&word.to_lowercase().as_str());
        let begins = is_overview || before.iter().all(|(_, word)| may_begin(word));
        let may_end = |word: &str| may_follow(word) || is_overview && begins_date(word);
        let ends = all.get(place + 1).is_none_or(|(word, _)| may_end(word)) || ends_clause(all[place].0);
        Some(if begins && ends { Match::Release } else { Match::Sentence })
    }

    /// Whether this is the heading of some release.
    pub(super) fn is_of_a_release(&self) -> bool {
        self.release().is_some()
    }

    /// Whether this is the heading of a release other than this version and its candidates.
    pub(super) fn is_of_another_release(&self, version: &str) -> bool {
        let is_candidate = |other: &str| {
            let rest = other.strip_prefix(version);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        };
        self.release().is_some_and(|other| !is_candidate(other))
    }

    /// Whether this is the heading of the changes that are in no release yet.
    pub(super) fn is_unreleased(&self) -> bool {
        let words = ["unreleased", "upcoming", "next", "master", "main", "head", "development"];
        let first = self.bare_words().first().map(|(_, word)| word.to_lowercase());
        first.is_some_and(|first| words.contains(&first.as_str()))
    }

    /// The version that the heading begins with, if it looks like that of a release.
    pub(super) fn release(&self) -> Option<&str> {
        if self.title.is_some() {
            return self.title.as_deref();
        }
        let all = self.bare_words();
        let place = all.iter().position(|(_, word)| is_version(word))?;
        (self.match_version(&[all[place].1]) == Some(Match::Release)).then_some(all[place].1)
    }

    /// The words, each as it is and bare; those of punctuation only are not counted.
    fn bare_words(&self) -> Vec<(&str, &str)> {
        // `1.2.0/2026-06-01` and `[1.2.0]—2026` are two words.
        let pieces = words(&self.text).flat_map(|word| word.split_inclusive(['/', '(', ',', ']', '–', '—']));
        pieces.map(|word| (word, bare(word))).filter(|(word, bare)| !bare.is_empty() || may_open(word)).collect()
    }
}

/// Whether the word's end closes what it is in, so that anything may follow: `1.2.0:`, `[1.2.0]`, `"1.2.0",`.
fn ends_clause(word: &str) -> bool {
    word.ends_with(|letter: char| !letter.is_alphanumeric())
}

/// Whether a word without letters introduces what follows: `-`, `(`.
fn may_open(word: &str) -> bool {
    word.chars().all(|letter| "-–—(/|:\"'".contains(letter))
}
