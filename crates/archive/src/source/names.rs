//! Which paths an archive may hold, so that every unpacker on every file system makes the same tree of it.

use std::collections::BTreeMap;
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// A path that cannot be part of a release, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathProblem {
    /// The path, control characters escaped.
    pub path: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

/// The longest name that file systems take, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest path: Linux takes 4096 bytes, of which the directory that it is unpacked in needs some.
const LONGEST_PATH: usize = 3072;

/// Everything that is wrong with the paths of one tree.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<PathProblem> {
    let mut problems = Vec::new();
    // What file systems that ignore case or normalise names take for one: the folded path, and who had it first.
    let mut folded: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for path in paths {
        if let Some(why) = wrong(path) {
            problems.push(PathProblem { path: shown(path), why });
            continue;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (prefix, is_file) = (&path[..end], end == path.len());
            match folded.get(&fold(prefix)) {
                None => drop(folded.insert(fold(prefix), (prefix.to_owned(), is_file))),
                Some((other, _)) if other != prefix => {
                    let why = format!(
                        "is the same as {} where case or the form of letters does not count, as on macOS and Windows; \
                         rename one of them",
                        shown(other)
                    );
                    let problem = PathProblem { path: shown(prefix), why };
                    if !problems.contains(&problem) {
                        problems.push(problem);
                    }
                    break;
                }
                Some((_, other_is_file)) if is_file || *other_is_file => {
                    let why = "is there twice, or is both a file and a directory".to_owned();
                    problems.push(PathProblem { path: shown(prefix), why });
                    break;
                }
                Some(_) => {}
            }
        }
    }
    problems
}

/// What is wrong with one path.
fn wrong(path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with('/') {
        return Some("is no relative path; rename it".into());
    }
    if path.len() > LONGEST_PATH {
        return Some(format!(
            "has {} bytes, more than the {LONGEST_PATH} that can be unpacked everywhere; shorten it",
            path.len()
        ));
    }
    if let Some(c) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Some(format!("holds the character {c:?}, which unpackers take in different ways; rename it"));
    }
    for name in path.split('/') {
        match name {
            "" => return Some("has an empty part; rename it".into()),
            "." | ".." => return Some(format!("has the part `{name}`, which leads elsewhere; rename it")),
            _ if name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1") => {
                return Some(format!("has the part `{name}`, with which git would be misled; rename it"));
            }
            _ if name.len() > LONGEST_NAME => {
                return Some(format!(
                    "has a part of {} bytes, more than the {LONGEST_NAME} that file systems take; shorten it",
                    name.len()
                ));
            }
            _ => {}
        }
    }
    None
}

/// A path as a file system sees it that ignores case and normalises names.
fn fold(path: &str) -> String {
    path.nfc().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
}

/// A path for a message.
pub(super) fn shown(path: &str) -> String {
    const LONGEST: usize = 120;
    let mut text: String = path.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if path.chars().count() > LONGEST {
        text.push('…');
    }
    text
}

/// What is wrong with the target of a link at `path`: it leads out of the tree, or is no path.
pub fn wrong_target(path: &str, target: &str) -> Option<String> {
    if target.is_empty() || target.len() > LONGEST_PATH {
        return Some(format!("is a link to a text of {} bytes, which is no path", target.len()));
    }
    if target.chars().any(|c| c.is_control() || c == '\\') {
        return Some(format!("is a link to {}, which unpackers take in different ways", shown(target)));
    }
    // Where the link stands, as a depth below the project's directory; no step may lead above it.
    let mut depth = path.matches('/').count();
    let leads_out = target.starts_with('/')
        || target.split('/').any(|name| match name {
            ".." if depth == 0 => true,
            ".." => {
                depth -= 1;
                false
            }
            "" | "." => false,
            _ => {
                depth += 1;
                false
            }
        });
    leads_out.then(|| format!("is a link to {}, out of the release; make it relative and inside", shown(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(paths: &[&str], expected: &[&str]) {
        let found: Vec<String> = check_paths(paths.iter().copied()).iter().map(ToString::to_string).collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.contains(part), "{found} does not contain {part}");
        }
    }

    #[test]
    fn names_that_unpack_differently_are_refused() {
        check(&["a", "a.b", "a/b", "-x", "ä", ".gitignore", "a b"], &["a: is there twice, or is both"]);
        check(&["README", "readme"], &["readme: is the same as README where case"]);
        check(&["Doc/a", "doc/b", "doc/c"], &["doc: is the same as Doc"]);
        check(&["stra\u{df}e", "STRASSE"], &["STRASSE: is the same as stra"]);
        check(&["\u{e9}", "e\u{301}"], &["is the same as \u{e9}"]);
        check(&["/a", "a//b", "", "a/"], &["no relative", "empty part", "no relative", "empty part"]);
        check(&["a/../b", "./a", ".GIT/config", "x/.git"], &["`..`", "`.`", "`.GIT`", "`.git`"]);
        check(&["a\\b", "a\nb", "a\u{7f}"], &["'\\\\'", "'\\n'", "'\\u{7f}'"]);
        check(&[&"x".repeat(256), &"x/".repeat(1600)], &["256 bytes", "3200 bytes"]);
        check(&[&"x".repeat(255), &format!("{}x", "y/".repeat(1500))], &[]);
    }

    #[test]
    fn links_stay_inside() {
        for (path, target) in [("a", "b"), ("a/b", "../c"), ("a/b/c", "../../d"), ("a", "./b/../c"), ("a", "b//c")] {
            assert_eq!(wrong_target(path, target), None, "{path} -> {target}");
        }
        for (path, target) in
            [("a", "/etc"), ("a", ".."), ("a/b", "../../c"), ("a", "b/../../c"), ("a", ""), ("a", "b\n")]
        {
            assert!(wrong_target(path, target).is_some(), "{path} -> {target}");
        }
    }
}
