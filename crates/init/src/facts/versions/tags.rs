//! Tags that name versions: their form, and which of them is that of the last release.

use std::cmp::Ordering;

use super::super::GitFacts;
use drydock_config::release::Version;

/// The tag of a version, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VersionTag<'t> {
    pub(super) name: &'t str,
    /// The pattern, with `{version}`, or `{version:_}` where the version has underscores for dots.
    pub(super) pattern: String,
    /// The version, with dots.
    pub(super) version: String,
}

/// What else is known when the tag of the last release is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'k> {
    /// The version in the files of the project, which may be the next one.
    pub(super) declared: Option<&'k str>,
    /// The names of the project: those in its manifest, its address and its directory.
    pub(super) names: &'k [String],
}

/// The tags that may be that of the last release, the likeliest first, each with what was seen.
///
/// That before the commit is not always the last one: releases may be tagged on branches of their own, and the parts of a
/// workspace may have tags of their own.
pub(super) fn find<'g>(git: &'g GitFacts, known: Known) -> Vec<(VersionTag<'g>, String)> {
    let all: Vec<VersionTag> = git.tags.iter().filter_map(|tag| split(tag)).collect();
    let is_own = |tag: &VersionTag| is_own(&tag.pattern, known.names);
    let before = git.nearest.as_deref().and_then(split);
    let own = before.clone().filter(is_own).or_else(|| all.iter().find(|tag| is_own(tag)).cloned());
    let Some(usual) = own.or_else(|| before.clone()).or_else(|| all.first().cloned()) else { return Vec::new() };
    let same: Vec<&VersionTag> = all.iter().filter(|tag| tag.pattern == usual.pattern).collect();
    let exact = |declared: &str| {
        let named = same.iter().copied().find(|tag| tag.version == declared);
        named.or_else(|| all.iter().find(|tag| tag.version == declared && is_own(tag)))
    };
    // What is tagged before the commit is released, whatever its files say.
    let not_later = |tag: &&&VersionTag| {
        let is_before = before.as_ref().is_some_and(|before| before.name == tag.name);
        tag.version.contains('.') == usual.version.contains('.')
            && known.declared.is_none_or(|declared| is_before || compare(&tag.version, declared) != Ordering::Greater)
    };
    let highest = same.iter().filter(not_later).max_by(|one, other| compare(&one.version, &other.version));
    let mut found: Vec<VersionTag> = Vec::new();
    let likely = [known.declared.and_then(exact), highest.copied(), Some(&usual)];
    for tag in likely.into_iter().flatten() {
        if !found.contains(tag) {
            found.push(tag.clone());
        }
    }
    let why = |tag: &VersionTag| {
        let same = all.iter().filter(|other| other.pattern == tag.pattern).count();
        format!("saw the tag {}, and {same} of {} tags in this form", tag.name, git.tags.len())
    };
    found.into_iter().map(|tag| (tag.clone(), why(&tag))).collect()
}

/// How many releases before the last one a changelog may lack.
const MOST_BEFORE: usize = 3;

/// The tags of the same form that come before one in the order of versions, the highest first.
pub(super) fn before<'g>(git: &'g GitFacts, last: &VersionTag) -> Vec<VersionTag<'g>> {
    let all = git.tags.iter().filter_map(|tag| split(tag)).filter(|tag| tag.pattern == last.pattern);
    let mut found: Vec<VersionTag> = all.filter(|tag| compare(&tag.version, &last.version) == Ordering::Less).collect();
    found.sort_by(|one, other| compare(&other.version, &one.version));
    // A changelog may have no entries for candidates.
    let is_release = |tag: &VersionTag| tag.version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let release = found.iter().position(is_release).filter(|at| *at >= MOST_BEFORE);
    if let Some(at) = release {
        found.swap(MOST_BEFORE - 1, at);
    }
    found.truncate(MOST_BEFORE);
    found
}

/// True if nothing but usual words stands before the version, or the name of the project: `v`, `release-`, `jq-`.
fn is_own(pattern: &str, names: &[String]) -> bool {
    let before = pattern.split('{').next().unwrap_or_default().to_ascii_lowercase();
    let usual = ["", "v", "r", "ver", "version", "rel", "release", "upstream", "tag", "tags", "stable"];
    let plain = |text: &str| -> String { text.chars().filter(char::is_ascii_alphanumeric).collect() };
    let words = before.split(|letter: char| !letter.is_ascii_alphanumeric());
    let rest: String = words.filter(|word| !usual.contains(word)).collect();
    let bare = |name: &str| {
        let name = plain(&name.to_ascii_lowercase());
        name.strip_prefix("lib").map(str::to_owned).unwrap_or(name)
    };
    // `c-6.0.0` may be a tag of lamp-c.
    let is_part = |name: &String| name.contains(['-', '_']) && name.split(['-', '_']).any(|part| plain(part) == rest);
    rest.is_empty() || names.iter().any(|name| bare(name) == bare(&rest) || is_part(name))
}

/// The order of two versions as people count: numbers by value, and candidates such as `1.0rc1` before `1.0`.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    for at in 0..one.len().max(other.len()) {
        let end = Part::End;
        let order = one.get(at).unwrap_or(&end).cmp(other.get(at).unwrap_or(&end));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// A part of a version, in their order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// A word that comes before the release: `alpha`, `rc`.
    Before(String),
    /// Nothing more.
    End,
    /// Another word.
    Word(String),
    /// A number.
    Number(u64),
}

fn parts(version: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = version.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
    while let Some(first) = rest.chars().next() {
        let is_digit = first.is_ascii_digit();
        let same = |letter: char| letter.is_ascii_alphanumeric() && letter.is_ascii_digit() == is_digit;
        let end = rest.find(|letter| !same(letter)).unwrap_or(rest.len());
        let word = rest[..end].to_ascii_lowercase();
        let candidates = ["alpha", "beta", "rc", "pre", "preview", "dev", "snapshot", "git"];
        // `1.0b1` comes before 1.0, and `1.1.1b` after 1.1.1.
        let numbered = rest[end..].starts_with(|next: char| next.is_ascii_digit());
        parts.push(match word.parse::<u64>() {
            Ok(number) => Part::Number(number),
            Err(_) if candidates.contains(&word.as_str()) || word.len() == 1 && numbered => Part::Before(word),
            Err(_) => Part::Word(word),
        });
        rest = rest[end..].trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
    }
    parts
}

/// The parts of a tag; none if it names no version.
pub(super) fn split(tag: &str) -> Option<VersionTag<'_>> {
    let bytes = tag.as_bytes();
    let starts: Vec<usize> = (0..tag.len())
        .filter(|at| {
            bytes[*at].is_ascii_digit()
                && !at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_digit() || bytes[before] == b'.')
        })
        .collect();
    let mut start = *starts.first()?;
    // A number in the name of the project is not its version: `lib2-1.0`.
    if let Some(second) = starts.get(1) {
        let between = &tag[start..*second];
        let is_number = between.trim_end_matches(['-', '_']).bytes().all(|byte| byte.is_ascii_digit());
        let before = start > 0 && bytes[start - 1].is_ascii_alphabetic() && start > 1;
        if is_number && before && tag[*second..].contains('.') && !tag[..start].ends_with(['v', 'r']) {
            start = *second;
        }
    }
    let (prefix, rest) = tag.split_at(start);
    // A word such as `-release` is not a part of the version.
    let lower = rest.to_ascii_lowercase();
    let after = ["release", "final", "stable"].iter().filter_map(|word| lower.strip_suffix(word));
    let end = after.map(|rest| rest.trim_end_matches(['-', '_', '.']).len()).next().unwrap_or(rest.len());
    let (written, after) = rest.split_at(end);
    let dot = dot(written);
    let version = dot.map_or_else(|| written.to_owned(), |dot| written.replace(dot, "."));
    let placeholder = dot.map_or_else(|| "{version}".to_owned(), |dot| format!("{{version:{dot}}}"));
    let is_plain = !prefix.contains(['{', '}', '\n']) && prefix.len() <= 40;
    let pattern = format!("{prefix}{placeholder}{after}");
    (is_plain && version.parse::<Version>().is_ok()).then_some(VersionTag { name: tag, pattern, version })
}

/// The letter that a version is written with instead of dots: `3_0_1`, `1-2-3rc1`. A date is as it is.
fn dot(written: &str) -> Option<char> {
    let digits = |part: &str| part.bytes().take_while(u8::is_ascii_digit).count();
    let numbers = |letter: char| written.split(letter).map(digits).take_while(|length| (1..4).contains(length)).count();
    match written {
        _ if written.contains('.') => None,
        _ if numbers('_') >= 2 => Some('_'),
        _ if numbers('-') >= 3 => Some('-'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_split_in_all_usual_forms() {
        for (tag, expected) in [
            ("v1.2.3", Some(("v{version}", "1.2.3"))),
            ("0.4.42", Some(("{version}", "0.4.42"))),
            ("r62", Some(("r{version}", "62"))),
            ("VERSION_3_0_1", Some(("VERSION_{version:_}", "3.0.1"))),
            ("R_2_6_1", Some(("R_{version:_}", "2.6.1"))),
            ("curl-8_5_0", Some(("curl-{version:_}", "8.5.0"))),
            ("foo-1-2-3rc1", Some(("foo-{version:-}", "1.2.3rc1"))),
            ("release-1.2", Some(("release-{version}", "1.2"))),
            ("foo-1.2.3", Some(("foo-{version}", "1.2.3"))),
            ("jq-1.7", Some(("jq-{version}", "1.7"))),
            ("1.2.3rc1", Some(("{version}", "1.2.3rc1"))),
            ("rel_1_2_release", Some(("rel_{version:_}_release", "1.2"))),
            ("v4.1.100.Final", Some(("v{version}.Final", "4.1.100"))),
            ("json-c-0.16-20220414", Some(("json-c-{version}", "0.16-20220414"))),
            ("lib2-1.0", Some(("lib2-{version}", "1.0"))),
            ("v26.06rc1", Some(("v{version}", "26.06rc1"))),
            ("upstream/1.0", Some(("upstream/{version}", "1.0"))),
            ("nightly", None),
            ("2024-01-02", Some(("{version}", "2024-01-02"))),
        ] {
            let found = split(tag);
            let found = found.as_ref().map(|tag| (tag.pattern.as_str(), tag.version.as_str()));
            assert_eq!(found, expected, "{tag}");
        }
    }

    fn git(tags: &[&str], nearest: &str) -> GitFacts {
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        GitFacts { tags, nearest: Some(nearest.to_owned()), ..GitFacts::default() }
    }

    #[test]
    fn the_last_release_is_that_of_the_project_and_not_the_nearest_tag_of_any_part() {
        let names = ["lamp".to_owned()];
        let first = |tags: &[&str], nearest: &str, declared: Option<&str>| {
            let git = git(tags, nearest);
            let found = find(&git, Known { declared, names: &names });
            found.first().map(|(tag, _)| tag.name.to_owned()).unwrap_or_default()
        };
        // A part of a workspace has tags of its own.
        let parts = ["bulb-0.4.3", "bulb-0.4.2", "15.2.0", "socket-1.0", "15.1.0"];
        assert_eq!(first(&parts, "bulb-0.4.3", Some("15.2.0")), "15.2.0");
        assert_eq!(first(&parts, "bulb-0.4.3", Some("15.3.0-dev")), "15.2.0");
        assert_eq!(first(&parts, "bulb-0.4.3", None), "15.2.0");
        // Releases are tagged on branches, so that an old one is the nearest.
        let branches = ["v1.4.7", "v1.5.7", "v1.5.10", "v1.5.10rc1"];
        assert_eq!(first(&branches, "v1.4.7", None), "v1.5.10");
        assert_eq!(first(&branches, "v1.4.7", Some("1.5.7")), "v1.5.7");
        // On a branch for an old version, later ones are not its releases.
        assert_eq!(first(&["v2.0.0", "v1.2.3"], "v1.2.3", Some("1.2.4")), "v1.2.3");
        assert_eq!(first(&["lamp-2.0", "lamp-1.9"], "lamp-1.9", None), "lamp-2.0");
        // A date after the version is no later version.
        assert_eq!(
            first(&["lamp-0.19-20260627", "lamp-0.18-20240915"], "lamp-0.19-20260627", Some("0.19.99")),
            "lamp-0.19-20260627"
        );
        // A name that is not the project's is all that there is.
        assert_eq!(first(&["cpp-3.3.0", "c-6.0.0"], "cpp-3.3.0", None), "cpp-3.3.0");
        // The nearest one remains, for a changelog that does not know the others.
        let git = git(&branches, "v1.4.7");
        let found = find(&git, Known { declared: None, names: &names });
        assert_eq!(found.iter().map(|(tag, _)| tag.name).collect::<Vec<_>>(), ["v1.5.10", "v1.4.7"]);
        assert_eq!(found[0].1, "saw the tag v1.5.10, and 4 of 4 tags in this form");
    }

    #[test]
    fn versions_are_in_the_order_of_people() {
        let all = [
            "0.9", "1.0alpha", "1.0b1", "1.0rc1", "1.0rc2", "1.0", "1.0.1", "1.0.9", "1.0.10", "1.1-dev", "1.1",
            "1.1b", "1.1c", "26.06rc1",
        ];
        for pair in all.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("1.0", "1.0"), Ordering::Equal);
    }
}
