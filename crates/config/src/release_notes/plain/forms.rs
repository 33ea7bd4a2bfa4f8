//! Headings of plain text that are known by what is around them: items of lists, bold lines, lines below dates.

use super::super::heading::{bare, is_date, words};
use super::{date_words, is_title, version_of};

/// True for a line such as `1.2.3, 2024-01-02`, before which no empty line has to be.
pub(super) fn is_dated_version(line: &str) -> bool {
    line.starts_with(|first: char| first.is_ascii_digit())
        && words(line).nth(1).is_some_and(|word| is_date(bare(word)))
        && is_title(line)
}

/// What the items of a list begin with that are the releases: `    - ` of `    - 1.2.3 [Sunday, July 19, 2026]`.
pub(super) fn items<'t>(lines: &[&'t str]) -> Option<&'t str> {
    let split = |line: &'t str| {
        let indent = line.len() - line.trim_start().len();
        let rest = line.get(indent..)?;
        rest.starts_with(['-', '*', '+', '•']).then_some(())?;
        line.split_at_checked(indent + rest.find(' ')? + 1)
    };
    let all = || lines.iter().copied().filter_map(split);
    let (start, _) = all().find(|(_, title)| is_title(title))?;
    let same = || all().filter(|(other, _)| *other == start);
    let releases = same().filter(|(_, title)| is_title(title)).count();
    (releases > 1 && releases * 2 > same().count()).then_some(start)
}

/// The heading of a release in a bold line of its own: `**2024-01-02 - lamp 1.2.3 - "Bright"**`, or `**1.2.3** (2024-01-02):`.
pub(super) fn bold(line: &str) -> Option<String> {
    let (title, rest) = line.trim_end().strip_prefix("**")?.split_once("**")?;
    let title = format!("{title}{rest}");
    is_title(&title).then_some(title)
}

/// Releases that are a line below a date: as in GNU's `ChangeLog`, `2024-01-02  A Name  <a@b.c>` and an item `* Released as 1.2.3.`;
/// or a sentence, `Released lamp 1.2.3.` Each with the line of its date, its own line, both from 0, and the title. None if there are
/// not several.
pub(super) fn dated(lines: &[&str]) -> Vec<(usize, usize, String)> {
    let release = |index: &usize| {
        let line = lines[*index];
        let all: Vec<&str> = words(line).collect();
        let is_dated = line.starts_with(|first: char| first.is_alphanumeric()) && date_words(&all) > 0;
        let next = (index + 1..lines.len()).find(|next| !lines[*next].trim().is_empty()).filter(|_| is_dated)?;
        let version = release_sentence(lines[next])?;
        let date = all[..date_words(&all)].join(" ");
        Some((*index, next, format!("{version} ({date})")))
    };
    let found: Vec<_> = (0..lines.len()).filter_map(|index| release(&index)).collect();
    if found.len() > 1 { found } else { Vec::new() }
}

/// The version of a line that says only that it was released: `* Released as 1.2.3.`, `Version 1.2.3 released.`, `v1.2.3`
fn release_sentence(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches(['*', '-']).trim();
    let known = ["release", "released", "version", "as", "of", "the", "gnu", "and", "new"];
    let (mut version, mut says, mut names) = (None, false, 0);
    for word in words(line) {
        let lower = bare(word).to_lowercase();
        says |= lower.starts_with("release");
        match version_of(word) {
            Some(found) if version.replace(found).is_some() => return None,
            Some(_) => {}
            None => names += usize::from(!known.contains(&lower.as_str())),
        }
    }
    let is_alone = words(line).count() == 1;
    version.filter(|_| says && names <= 1 || is_alone)
}

/// The text between two rows of dashes: `----- version 1.2.3 -----`.
pub(super) fn framed(line: &str) -> Option<&str> {
    line.trim().strip_prefix("---")?.strip_suffix("---").map(|text| text.trim_matches('-').trim())
}
