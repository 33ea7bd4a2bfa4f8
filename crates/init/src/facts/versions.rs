//! The name of a project, its tags, the files that hold its version, and its changelog.

mod places;

use super::calls::calls;
use super::{ArchiveFact, GitFacts, System};
use crate::tree::Tree;
use drydock_config::release::Version;
use drydock_config::release_notes::{NotesQuery, ReleaseNotes};

pub use places::VersionPlace;

/// Names of changelogs, the usual ones first.
const CHANGELOGS: [&str; 21] = [
    "CHANGELOG.md",
    "ChangeLog.md",
    "Changelog.md",
    "changelog.md",
    "CHANGES.md",
    "Changes.md",
    "NEWS.md",
    "HISTORY.md",
    "RELEASES.md",
    "CHANGES.rst",
    "CHANGELOG.rst",
    "CHANGELOG",
    "CHANGES",
    "NEWS",
    "Changes",
    "NEWS.rst",
    "HISTORY.rst",
    "NEWS.txt",
    "ChangeLog.txt",
    "ChangeLog",
    "docs/CHANGELOG.md",
];

/// The weakest evidence of a name.
const ADDRESS: &str = "the address of the remote `origin`";
const DIRECTORY: &str = "the name of the directory";

/// Tags, files with the version, the changelog.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionFacts {
    /// The name of a version's tag, with `{version}`, and what was seen.
    pub tag: Option<(String, String)>,
    /// The newest released version.
    pub latest: Option<String>,
    /// Files that hold the version.
    pub places: Vec<VersionPlace>,
    /// The changelog, and what was seen.
    pub changelog: Option<(String, String)>,
    /// A changelog that cannot be used, and why.
    pub unusable_changelog: Option<String>,
}

impl VersionFacts {
    /// The same of a project in this directory.
    #[must_use]
    pub(super) fn within(mut self, directory: &str) -> VersionFacts {
        let moved = |path: &str| format!("{directory}/{path}");
        let saw = |why: &str, path: &str| why.replacen(path, &moved(path), 1);
        for place in &mut self.places {
            place.why = saw(&place.why, &place.path);
            place.path = moved(&place.path);
        }
        self.changelog = self.changelog.map(|(path, why)| (moved(&path), saw(&why, &path)));
        self.unusable_changelog = self.unusable_changelog.map(|why| moved(&why));
        self
    }
}

/// Looks at tags and files.
pub(super) fn find(tree: &Tree, git: &GitFacts) -> VersionFacts {
    let tag = tag(git);
    let latest = tag.as_ref().map(|(tag, _)| tag.version.clone());
    let mut facts = VersionFacts { places: places::find(tree, latest.as_deref()), ..VersionFacts::default() };
    // A changelog is useful if the last release is found in it; without tags, the version of a file has to do.
    let version = latest.clone().or_else(|| facts.places.first().map(|place| place.version.clone()));
    let tag_name = tag.as_ref().map(|(tag, _)| tag.name).unwrap_or_default();
    for path in CHANGELOGS.into_iter().filter(|path| tree.has(path)) {
        let problem = match (&version, tree.text(path)) {
            (Some(version), Some(text)) => {
                let query = NotesQuery { file: path, version, tag: tag_name };
                match ReleaseNotes::find(text.as_bytes(), query) {
                    Ok(notes) => {
                        let saw = format!("saw {path}:{} `{}`, the entry of {version}", notes.line, notes.heading);
                        facts.changelog = Some((path.to_owned(), saw));
                        break;
                    }
                    Err(error) => format!("{path}:{}: {}", error.line, error.problem),
                }
            }
            (_, None) => format!("{path} is too large to be read here"),
            (None, Some(_)) => format!("{path} was seen, but no version to look for in it"),
        };
        facts.unusable_changelog.get_or_insert(problem);
    }
    facts.tag = tag.map(|(tag, why)| (tag.pattern, why));
    facts.latest = latest;
    facts
}

/// The tag of a version, in parts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct VersionTag<'t> {
    name: &'t str,
    /// The pattern, with `{version}`, or `{version:_}` where the version has underscores for dots.
    pattern: String,
    /// The version, with dots.
    version: String,
}

/// The newest tag of a version, and what was seen.
fn tag(git: &GitFacts) -> Option<(VersionTag<'_>, String)> {
    let all: Vec<VersionTag> = git.tags.iter().filter_map(|tag| split_tag(tag)).collect();
    let newest = git.nearest.as_deref().and_then(split_tag).or_else(|| all.first().cloned())?;
    let same = all.iter().filter(|other| other.pattern == newest.pattern).count();
    let why = format!("saw the tag {}, and {same} of {} tags in this form", newest.name, git.tags.len());
    Some((newest, why))
}

/// The parts of a tag; none if it names no version.
fn split_tag(tag: &str) -> Option<VersionTag<'_>> {
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

/// The name that the archives of a release script begin with, where nothing but an address or a directory names the project.
pub(super) fn name_of_archives(name: &(String, String), archives: &[ArchiveFact]) -> Option<(String, String)> {
    if !name.1.ends_with(ADDRESS) && !name.1.ends_with(DIRECTORY) {
        return None;
    }
    let archive = archives.iter().find(|archive| archive.name.is_some())?;
    let (start, _) = archive.name.as_deref()?.split_once("{version}")?;
    // Between the name and the version may be the beginning of tags: `lamp-v1.0.zip`.
    let start = &start[..start.rfind(['-', '_'])?];
    let own = fit(start).filter(|own| own == start)?;
    Some((own, format!("the archives that the project makes have this name: {}", archive.why)))
}

/// The name of the project, and where it was found.
pub(super) fn name(tree: &Tree, git: &GitFacts, system: Option<System>) -> (String, String) {
    // Beside a Makefile, a manifest is that of a part.
    let is_part = system == Some(System::Make);
    let text = |path: &str| tree.text(path).unwrap_or_default();
    let call = |path: &str, name: &str| calls(&text(path), name).into_iter().next();
    let manifest = |path: &str, keys: &[&str]| {
        let table: toml::Table = text(path).parse().ok()?;
        let mut value = toml::Value::Table(table);
        for key in keys {
            value = value.get(*key)?.clone();
        }
        value.as_str().map(str::to_owned)
    };
    let configure = tree.first(&["configure.ac", "configure.in"]).unwrap_or("configure.ac");
    let found = [
        (call(configure, "AC_INIT").and_then(|call| call.arguments().into_iter().next()), configure),
        (call("meson.build", "project").and_then(|call| call.first_quoted().map(str::to_owned)), "meson.build"),
        (call("CMakeLists.txt", "project").and_then(|call| call.words().into_iter().next()), "CMakeLists.txt"),
        (manifest("Cargo.toml", &["package", "name"]).filter(|_| !is_part), "Cargo.toml"),
        (manifest("pyproject.toml", &["project", "name"]).filter(|_| !is_part), "pyproject.toml"),
        (source_of_debian(&text("debian/control")), "debian/control"),
        (git.remote.as_deref().and_then(of_address), ADDRESS),
        (Some(git.directory.clone()), DIRECTORY),
    ];
    let found = found.into_iter().filter_map(|(name, place)| Some((fit(&name?)?, format!("saw the name in {place}"))));
    found.into_iter().next().unwrap_or_else(|| ("project".to_owned(), "no name was found".to_owned()))
}

fn source_of_debian(text: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix("Source:")).map(|name| name.trim().to_owned())
}

fn of_address(address: &str) -> Option<String> {
    let last = address.trim_end_matches('/').rsplit(['/', ':']).next()?;
    Some(last.trim_end_matches(".git").to_owned()).filter(|name| !["repo", "git", "src"].contains(&name.as_str()))
}

/// A name with what names of releases may not have replaced; none if nothing is left, or if it is a variable.
fn fit(name: &str) -> Option<String> {
    if name.contains(['$', '@', '(']) {
        return None;
    }
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "+._-".contains(letter);
    let name: String = name.trim().chars().map(|letter| if fits(letter) { letter } else { '-' }).take(64).collect();
    let name = name.trim_matches('-').to_owned();
    name.starts_with(|first: char| first.is_ascii_alphanumeric()).then_some(name)
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
            let found = split_tag(tag);
            let found = found.as_ref().map(|tag| (tag.pattern.as_str(), tag.version.as_str()));
            assert_eq!(found, expected, "{tag}");
        }
    }

    #[test]
    fn names_fit_a_release() {
        for (name, expected) in [
            ("MarkupSafe", Some("MarkupSafe")),
            ("GNU foo", Some("GNU-foo")),
            ("${X}", None),
            ("../..", None),
            ("é", None),
        ] {
            assert_eq!(fit(name).as_deref(), expected, "{name}");
        }
        assert_eq!(of_address("git@example.org:a/b.git").as_deref(), Some("b"));
    }
}
