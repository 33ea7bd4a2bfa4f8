//! The name of a project, its tags, the files that hold its version, and its changelog.

mod copies;
mod headers;
mod names;
mod numbers;
mod places;
mod tags;

use super::{GitFacts, System};
use crate::tree::Tree;
use drydock_config::release_notes::{NotesQuery, ReleaseNotes};

pub(super) use names::{name, name_of_archives};
pub use places::VersionPlace;
use tags::{Known, VersionTag};

/// Names of changelogs without their endings, the usual ones first.
const CHANGELOGS: [&str; 9] = [
    "changelog",
    "changes",
    "news",
    "history",
    "releases",
    "release-notes",
    "releasenotes",
    "release_notes",
    "relnotes",
];
/// The endings, the usual ones first. A changelog in Markdown is written for people; one without an ending may be a list of commits.
const ENDINGS: [&str; 6] = [".md", ".markdown", ".rst", "", ".txt", ".adoc"];

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

/// Looks at tags and files. `name` is that of the project, and `system` its first build system.
pub(super) fn find(tree: &Tree, git: &GitFacts, name: &str, system: Option<System>) -> VersionFacts {
    let mut places = places::find(tree, git);
    // Where releases are made on branches, the main one may have 0.0.0 for ever.
    if git.tags.iter().filter_map(|tag| tags::split(tag)).any(|tag| !is_zero(&tag.version)) {
        places.retain(|place| !is_zero(&place.version));
    }
    // The manifest of a part has a version of its own.
    let is_part = system.is_some_and(|system| !matches!(system, System::Cargo | System::Python | System::Perl));
    let of_project = |place: &&VersionPlace| !is_part || place.key.is_none();
    let numbers = numbers::places(tree, name);
    // The first of several numbers is no version: `VERSION = 6` beside `PATCHLEVEL = 12`.
    places.retain(|place| place.version.contains('.') || numbers.iter().all(|numbers| numbers.path != place.path));
    let declared = places.iter().find(of_project).map(|place| place.version.clone());
    let declared = declared.or_else(|| numbers.first().map(|place| place.version.clone()));
    let names = names::all(name, git);
    let tags = tags::find(git, Known { declared: declared.as_deref(), names: &names });
    let known: Vec<&str> = places.iter().filter(of_project).map(|place| place.version.as_str()).collect();
    let known: Vec<&str> = known.into_iter().chain(tags.first().map(|(tag, _)| tag.version.as_str())).collect();
    let alone = places.is_empty();
    let of_code = headers::place(tree, name, git, &known, alone);
    // A version that is behind the last release was forgotten; one that is beyond it may be the next.
    let latest = tags.first().map(|(tag, _)| tag.version.as_str());
    let is_next = |version: &str| {
        headers::is_plausible(version, git) && latest.is_none_or(|latest| !numbers::is_below(version, latest))
    };
    let is_own = |place: &VersionPlace| {
        let version = place.version.as_str();
        known.iter().any(|known| numbers::is_same(version, known)) || alone && is_next(version)
    };
    let own: Vec<VersionPlace> = numbers.into_iter().filter(is_own).collect();
    places.extend(of_code);
    let version = own.first().map(|place| place.version.clone());
    places.extend(own.into_iter().filter(|place| Some(&place.version) == version.as_ref()));
    let known: Vec<&str> = places.iter().map(|place| place.version.as_str()).chain(latest).collect();
    let copies = copies::find(tree, &known);
    places.extend(
        copies.into_iter().filter(|copy| places.iter().all(|place| place.path != copy.path)).collect::<Vec<_>>(),
    );
    let mut facts = VersionFacts::default();
    // A changelog is useful if the last release is found in it; without tags, the version of a file has to do.
    let first = places.first().map(|place| place.version.clone());
    // It may lack one that was made on a branch, or a candidate.
    let earlier = tags.first().map(|(tag, _)| tags::before(git, tag)).unwrap_or_default();
    let likely_tags = tags.iter().map(|(tag, _)| tag);
    let mut wanted: Vec<(&str, &str)> = likely_tags
        .clone()
        .take(1)
        .chain(&earlier)
        .chain(likely_tags.skip(1))
        .map(|tag| (tag.version.as_str(), tag.name))
        .collect();
    if let (true, Some(version)) = (wanted.is_empty(), first.as_deref().or(declared.as_deref())) {
        wanted.push((version, ""));
    }
    let mut likely = 0;
    for path in changelogs(tree) {
        let Some(text) = tree.text(path) else {
            facts.unusable_changelog.get_or_insert(format!("{path} is too large to be read here"));
            continue;
        };
        let read = |(version, tag)| ReleaseNotes::find(text.as_bytes(), NotesQuery { file: path, version, tag });
        let found = wanted.iter().enumerate().find_map(|(at, wanted)| Some((at, read(*wanted).ok()?)));
        if let Some((at, notes)) = found {
            let saw = format!("saw {path}:{} `{}`, the entry of {}", notes.line, notes.heading, wanted[at].0);
            facts.changelog = Some((path.to_owned(), saw));
            facts.unusable_changelog = None;
            likely = tags.iter().position(|(tag, _)| tag.name == wanted[at].1).unwrap_or(0);
            break;
        }
        let problem = match wanted.first().map(|wanted| read(*wanted)) {
            Some(Err(error)) => format!("{path}:{}: {}", error.line, error.problem),
            Some(Ok(_)) | None => format!("{path} was seen, but no version to look for in it"),
        };
        facts.unusable_changelog.get_or_insert(problem);
    }
    // A changelog that knows another tag than the likeliest one is right.
    let tag: Option<&(VersionTag, String)> = tags.get(likely);
    facts.tag = tag.map(|(tag, why)| (tag.pattern.clone(), why.clone()));
    facts.latest = tag.map(|(tag, _)| tag.version.clone());
    if let (true, Some(latest)) = (is_part, &facts.latest) {
        let own: Vec<String> =
            places.iter().filter(|place| place.key.is_none()).map(|place| place.version.clone()).collect();
        places.retain(|place| place.key.is_none() || place.version == *latest || own.contains(&place.version));
    }
    places::compare(&mut places, facts.latest.as_deref());
    facts.places = places;
    facts
}

/// True for a version such as 0.0.0, which only stands for one.
fn is_zero(version: &str) -> bool {
    version.bytes().all(|byte| byte == b'0' || byte == b'.')
}

/// True if a tag names this version.
fn is_tagged(git: &GitFacts, version: &str) -> bool {
    git.tags.iter().filter_map(|tag| tags::split(tag)).any(|tag| tag.version == version)
}

/// The changelogs of a project, the likeliest first.
fn changelogs(tree: &Tree) -> Vec<&str> {
    let rank = |path: &str| {
        let (directory, file) = path.rsplit_once('/').unwrap_or(("", path));
        let lower = file.to_ascii_lowercase();
        let ending = ENDINGS.iter().position(|ending| {
            let stem = lower.strip_suffix(ending);
            stem.is_some_and(|stem| CHANGELOGS.contains(&stem))
        })?;
        let stem = CHANGELOGS.iter().position(|stem| lower.strip_suffix(ENDINGS[ending]) == Some(stem))?;
        // GNU's ChangeLog is a list of commits.
        let is_list = file == "ChangeLog";
        let place = ["", "docs", "doc"].iter().position(|place| *place == directory)?;
        Some((place, is_list, ending, stem))
    };
    let mut found: Vec<&str> = tree.paths().filter(|path| tree.has(path) && rank(path).is_some()).collect();
    found.sort_by_key(|path| rank(path));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(tags: &[&str]) -> GitFacts {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        GitFacts { nearest: tags.first().cloned(), tags, is_repository: true, ..GitFacts::default() }
    }

    #[test]
    fn the_changelog_decides_between_two_likely_tags() {
        let text = "# Changes\n\n## 1.2.3\n\n- One.\n";
        let tree = Tree::from_texts([("changelog.txt", text), ("NEWS", "see the repository\n")]);
        let found = find(&tree, &git(&["v1.2.3", "v2.0.0"]), "lamp", None);
        assert_eq!(found.latest.as_deref(), Some("1.2.3"));
        assert_eq!(
            found.changelog.unwrap(),
            ("changelog.txt".to_owned(), "saw changelog.txt:3 `1.2.3`, the entry of 1.2.3".to_owned())
        );
        let found = find(&Tree::default(), &git(&["v1.2.3", "v2.0.0"]), "lamp", None);
        assert_eq!(found.latest.as_deref(), Some("2.0.0"));
    }

    #[test]
    fn a_changelog_may_lack_a_candidate_or_a_release_of_a_branch() {
        let found = |text: &str, tags: &[&str]| {
            let tree = Tree::from_texts([("NEWS", "see CHANGES\n"), ("CHANGES.rst", text)]);
            let found = find(&tree, &git(tags), "lamp", None);
            (found.changelog.map(|(path, _)| path), found.latest, found.unusable_changelog)
        };
        let text =
            "Changes\n=======\n\n8.5 (unreleased)\n----------------\n\n8.4 (2026-01-02)\n----------------\n\n- One.\n";
        let path = Some("CHANGES.rst".to_owned());
        assert_eq!(found(text, &["8.4.1a1", "8.4", "8.3"]), (path.clone(), Some("8.4.1a1".to_owned()), None));
        let branch = "Changes\n=======\n\n3.17.0\n------\n\n- One.\n\n3.16.2\n------\n\n- Old.\n";
        let tags = ["3.16.2", "3.17.1", "3.17.0"];
        assert_eq!(found(branch, &tags), (path, Some("3.17.1".to_owned()), None));
        let candidates = "Changes\n=======\n\n2.3.0\n-----\n\n- One.\n";
        let tags = ["2.4.0rc1", "2.4.0.dev3", "2.4.0.dev2", "2.4.0.dev1", "2.3.0"];
        assert_eq!(found(candidates, &tags).0.as_deref(), Some("CHANGES.rst"));
        // One that nobody writes any more is not used.
        let old = "1.0\n---\n\n- One.\n";
        let many = ["1.4", "1.3", "1.2", "1.1.1", "1.1", "1.0"];
        assert_eq!(found(old, &many).0, None);
    }

    #[test]
    fn versions_are_found_in_scripts_modules_and_variables() {
        for (path, text, line) in [
            ("version.sh", "#!/bin/sh\nVERSION=1.23.1\n", "VERSION={version}"),
            ("lamp.py", "import os\n__version__ = \"1.23.1\"\n", "__version__ = \"{version}\""),
            ("CMakeLists.txt", "project(lamp C)\nset(VERSION 1.23.1)\n", "set(VERSION {version})"),
        ] {
            let tree = Tree::from_texts([(path, text), ("setup.py", "")]);
            let places = find(&tree, &git(&["v1.23.1"]), "lamp", None).places;
            assert_eq!(places.iter().map(|place| place.path.as_str()).collect::<Vec<_>>(), [path]);
            assert_eq!(places[0].line.as_deref(), Some(line));
        }
        for (text, line) in [
            ("setup(name='lamp', version='1.23.1')\n", "setup(name='lamp', version='{version}')"),
            ("setup(\n  name='lamp',\n  version = \"1.23.1\",\n)\n", "version = \"{version}\","),
        ] {
            let places = find(&Tree::from_texts([("setup.py", text)]), &git(&[]), "lamp", None).places;
            assert_eq!(places.iter().map(|place| place.line.as_deref().unwrap()).collect::<Vec<_>>(), [line]);
        }
        let tree = Tree::from_texts([("Makefile", "VERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 4\n")]);
        let places = find(&tree, &git(&[]), "lamp", None).places;
        assert_eq!(places.iter().map(|place| place.version.as_str()).collect::<Vec<_>>(), ["6.12.4"]);
        let tree = Tree::from_texts([
            ("CMakeLists.txt", "project(lamp VERSION 1.23.1)\n"),
            ("vcpkg.json", "{\n  \"version\": \"1.23.1\"\n}\n"),
            ("library.json", "{\n  \"version\": \"1.22.0\"\n}\n"),
        ]);
        let places = find(&tree, &git(&["v1.23.1"]), "lamp", None).places;
        let paths: Vec<&str> = places.iter().map(|place| place.path.as_str()).collect();
        assert_eq!(paths, ["CMakeLists.txt", "vcpkg.json"], "what was forgotten is left alone");
        let tree = Tree::from_texts([(".tarball-version", "1.0.0-beta1\n")]);
        assert_eq!(find(&tree, &git(&["v1.0.0-beta1"]), "lamp", None).places.len(), 1);
    }

    #[test]
    fn a_version_of_zeros_only_stands_for_one() {
        let tree = Tree::from_texts([("configure.ac", "AC_INIT([lamp], [0.0.0])\n")]);
        let found = find(&tree, &git(&["v2.2.0", "v2.6.1"]), "lamp", None);
        assert_eq!((found.latest.as_deref(), found.places.len()), (Some("2.6.1"), 0));
        assert_eq!(find(&tree, &git(&[]), "lamp", None).places.len(), 1);
    }

    #[test]
    fn changelogs_are_found_under_all_usual_names() {
        let names = [
            "ChangeLog",
            "changes.txt",
            "NEWS",
            "CHANGELOG.md",
            "docs/CHANGES.rst",
            "Release-Notes.md",
            "src/NEWS",
            "news.c",
        ];
        let tree = Tree::from_texts(names.map(|name| (name, "")));
        let found = changelogs(&tree);
        assert_eq!(found, ["CHANGELOG.md", "Release-Notes.md", "NEWS", "changes.txt", "ChangeLog", "docs/CHANGES.rst"]);
    }

    #[test]
    fn the_version_of_a_part_is_not_that_of_the_project() {
        let tree = Tree::from_texts([("Cargo.toml", "[package]\nname = \"bindings\"\nversion = \"0.20.5\"\n")]);
        let git = git(&["v2026.4"]);
        assert!(find(&tree, &git, "lamp", Some(System::Autotools)).places.is_empty());
        assert_eq!(find(&tree, &git, "lamp", Some(System::Cargo)).places.len(), 1);
        // A placeholder is no version.
        let tree = Tree::from_texts([("configure.ac", "AC_INIT([lamp], [0])\n")]);
        assert!(find(&tree, &git, "lamp", Some(System::Autotools)).places.is_empty());
    }
}
