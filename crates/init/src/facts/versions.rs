//! The name of a project, its tags, the files that hold its version, and its changelog.

mod places;

use super::calls::calls;
use super::{GitFacts, System};
use crate::tree::Tree;
use drydock_config::release::Version;
use drydock_config::release_notes::{NotesQuery, ReleaseNotes};

pub use places::VersionPlace;

/// Names of changelogs, the usual ones first.
const CHANGELOGS: [&str; 16] = [
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
    "docs/CHANGELOG.md",
];

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
    let latest = tag.as_ref().map(|(_, version, _)| version.clone());
    let mut facts = VersionFacts { places: places::find(tree, latest.as_deref()), ..VersionFacts::default() };
    // A changelog is useful if the last release is found in it; without tags, the version of a file has to do.
    let version = latest.clone().or_else(|| facts.places.first().map(|place| place.version.clone()));
    let tag_name = tag.as_ref().map(|(pattern, version, _)| pattern.replace("{version}", version)).unwrap_or_default();
    if let Some(path) = tree.first(&CHANGELOGS) {
        match (version, tree.text(path)) {
            (Some(version), Some(text)) => {
                let query = NotesQuery { file: path, version: &version, tag: &tag_name };
                match ReleaseNotes::find(text.as_bytes(), query) {
                    Ok(notes) => {
                        let saw = format!("saw {path}:{} `{}`, the entry of {version}", notes.line, notes.heading);
                        facts.changelog = Some((path.to_owned(), saw));
                    }
                    Err(error) => {
                        facts.unusable_changelog = Some(format!("{path}:{}: {}", error.line, error.problem));
                    }
                }
            }
            (_, None) => facts.unusable_changelog = Some(format!("{path} is too large to be read here")),
            (None, Some(_)) => {
                facts.unusable_changelog = Some(format!("{path} was seen, but no version to look for in it"))
            }
        }
    }
    facts.tag = tag.map(|(pattern, _, why)| (pattern, why));
    facts.latest = latest;
    facts
}

/// The pattern of the tags of versions, the newest version, and what was seen.
fn tag(git: &GitFacts) -> Option<(String, String, String)> {
    let versions = git.tags.iter().filter_map(|tag| Some((tag, split_tag(tag)?)));
    let all: Vec<(&String, (&str, &str))> = versions.collect();
    let nearest = git.nearest.as_deref().and_then(|tag| Some((tag, split_tag(tag)?)));
    let (name, (prefix, version)) = nearest.or_else(|| all.first().map(|(name, split)| (name.as_str(), *split)))?;
    let same = all.iter().filter(|(_, (other, _))| *other == prefix).count();
    let why = format!("saw the tag {name}, and {same} of {} tags in this form", git.tags.len());
    Some((format!("{prefix}{{version}}"), version.to_owned(), why))
}

/// The part of a tag before the version, and the version.
fn split_tag(tag: &str) -> Option<(&str, &str)> {
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
    let (prefix, version) = tag.split_at(start);
    let is_plain = !prefix.contains(['{', '}', '\n']) && prefix.len() <= 40;
    (is_plain && version.parse::<Version>().is_ok()).then_some((prefix, version))
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
        (git.remote.as_deref().and_then(of_address), "the address of the remote `origin`"),
        (Some(git.directory.clone()), "the name of the directory"),
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
            ("v1.2.3", Some(("v", "1.2.3"))),
            ("0.4.42", Some(("", "0.4.42"))),
            ("r62", Some(("r", "62"))),
            ("VERSION_3_0_1", Some(("VERSION_", "3_0_1"))),
            ("json-c-0.16-20220414", Some(("json-c-", "0.16-20220414"))),
            ("lib2-1.0", Some(("lib2-", "1.0"))),
            ("v26.06rc1", Some(("v", "26.06rc1"))),
            ("upstream/1.0", Some(("upstream/", "1.0"))),
            ("nightly", None),
            ("2024-01-02", Some(("", "2024-01-02"))),
        ] {
            assert_eq!(split_tag(tag), expected, "{tag}");
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
