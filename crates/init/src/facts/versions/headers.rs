//! Versions in the code of a project in C: `#define LAMP_VERSION "1.2"`.

use super::GitFacts;
use super::places::{VersionPlace, is_version, on_line};
use crate::tree::Tree;

/// More files are not searched.
const MOST_FILES: usize = 400;
/// Files in deeper directories are not searched.
const DEEPEST: usize = 3;

/// The place with the version in one line. `known` are the last released version and those of other files; without other files,
/// it may have another one.
pub(super) fn place(tree: &Tree, name: &str, git: &GitFacts, known: &[&str], alone: bool) -> Option<VersionPlace> {
    for (path, text) in sources(tree) {
        for (number, line) in text.lines().enumerate() {
            let Some((macro_name, value)) = defined(line) else { continue };
            let Some(before) = of_version(macro_name) else { continue };
            // `"1.2"`, or `"lamp 1.2"`.
            let text_of = value.trim_matches('"');
            let version = match text_of.split_once(' ') {
                Some((first, version)) if first.eq_ignore_ascii_case(name) => version,
                _ => text_of,
            };
            let is_text = value.len() > 2 && value.starts_with('"') && is_version(version) && version.contains('.');
            let is_known = known.contains(&version);
            let is_own = is_of_project(before, name) && (alone && is_plausible(version, git) || is_known);
            // A header that is there for the version needs no name in it.
            let is_general =
                before.is_empty() || path.rsplit('/').next().is_some_and(|file| file.starts_with("version."));
            if is_text && (is_own || is_general && is_known) {
                if let Some(place) = on_line(&path, &text, number + 1, version) {
                    return Some(place);
                }
            }
        }
    }
    None
}

/// False for a version that is beyond all others: on branches that are never released, some have one.
pub(super) fn is_plausible(version: &str, git: &GitFacts) -> bool {
    let major = |version: &str| version.split('.').next().and_then(|number| number.parse::<u64>().ok());
    let highest = git.tags.iter().filter_map(|tag| major(&super::tags::split(tag)?.version)).max();
    highest.is_none_or(|highest| major(version) <= Some(highest + 1))
}

/// Headers and sources near the top, with their texts.
pub(super) fn sources(tree: &Tree) -> impl Iterator<Item = (String, String)> {
    let mut paths: Vec<&str> = tree.with_extension(&[".h", ".h.in", ".hpp", ".c"]).collect();
    let beside = |path: &str| {
        path.split('/').any(|part| ["test", "tests", "examples", "fuzz", "contrib", "windows", "win32"].contains(&part))
    };
    paths.retain(|path| path.matches('/').count() < DEEPEST && !beside(path));
    // Headers come first, and those with a word for it in their names before others.
    paths.sort_by_key(|path| (path.ends_with(".c"), !path.contains("version"), path.matches('/').count()));
    paths.into_iter().take(MOST_FILES).filter_map(|path| Some((path.to_owned(), tree.text(path)?)))
}

/// The name and the value of a macro without arguments.
fn defined(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix('#')?.trim_start().strip_prefix("define")?;
    let (name, value) = rest.trim_start().split_once([' ', '\t'])?;
    let value = value.trim_start();
    let end = match value.strip_prefix('"') {
        Some(text) => text.find('"')? + 2,
        None => value.find(char::is_whitespace).unwrap_or(value.len()),
    };
    let value = value.get(..end).filter(|value| !value.is_empty())?;
    (rest.starts_with([' ', '\t']) && !name.contains('(')).then_some((name, value))
}

/// What stands before the word for a version in the name of a macro: `LAMP` of `LAMP_VERSION_STRING`.
fn of_version(name: &str) -> Option<&str> {
    let name = ["_STRING", "_STR", "_TEXT"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
    let before = name.strip_suffix("VERSION")?;
    (before.is_empty() || before.ends_with('_')).then(|| before.trim_end_matches('_'))
}

/// True if a part of a name of a macro is the name of the project, with or without `lib`, and without a version as in `libusb-1.0`.
pub(super) fn is_of_project(before: &str, name: &str) -> bool {
    let name = name
        .trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '.')
        .strip_suffix('-')
        .unwrap_or(name);
    let plain = |text: &str| -> String {
        let text: String = text.chars().filter(char::is_ascii_alphanumeric).collect();
        let text = text.to_ascii_lowercase();
        text.strip_prefix("lib").map(str::to_owned).unwrap_or(text)
    };
    !before.is_empty() && plain(before) == plain(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_headers_are_found_in_one_line() {
        let git = GitFacts { tags: vec!["v5.3".into()], ..GitFacts::default() };
        let found = |text: &str, alone: bool| {
            let tree = Tree::from_texts([("src/lamp.h", text)]);
            place(&tree, "liblamp", &git, &["5.3"], alone).and_then(|place| place.line)
        };
        assert_eq!(found("#define LAMP_VERSION \"5.3\"\n", false).unwrap(), "#define LAMP_VERSION \"{version}\"");
        assert_eq!(
            found("# define VERSION  \"5.3\" /* ours */\n", false).unwrap(),
            "# define VERSION  \"{version}\" /* ours */"
        );
        assert_eq!(found("#define VERSION \"liblamp 5.3\"\n", false).unwrap(), "#define VERSION \"liblamp {version}\"");
        assert!(found("#define LAMP_VERSION \"5.4-dev\"\n", true).is_some());
        let tree = Tree::from_texts([("src/version.h", "#define LP_VERSION \"5.3\"\n")]);
        assert!(
            place(&tree, "lamp", &git, &["5.3"], false).is_some() && place(&tree, "lamp", &git, &[], true).is_none()
        );
        assert!(found("#define LAMP_VERSION \"5.4-dev\"\n", false).is_none(), "another file has the version");
        for other in [
            "VERSION \"1.1\"",
            "LAMP_VERSION \"255.255.255\"",
            "HTTP_VERSION \"5.3\"",
            "VERSION \"http 5.3\"",
            "LAMP_VERSION 0x503",
            "LAMP_VERSION(x) \"5.3\"",
            "LAMP_CONVERSION \"5.3\"",
        ] {
            assert!(found(&format!("#define {other}\n"), true).is_none(), "{other}");
        }
    }
}
