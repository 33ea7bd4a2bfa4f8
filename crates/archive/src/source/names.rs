//! Rules for paths in an archive, so that every unpacker creates the same tree on every file system.

use drydock_base::text::one_line;
use std::collections::BTreeMap;
use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

/// A path that a release cannot contain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PathProblem {
    /// The path, in which U+FFFD replaces control characters.
    pub path: String,
    /// The reason, and the remedy.
    pub why: String,
}

impl fmt::Display for PathProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.why)
    }
}

/// The longest file name that file systems support, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest path in bytes. Linux supports 4096, of which the target directory needs some.
const LONGEST_PATH: usize = 3072;

/// All problems with the paths of one tree.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>) -> Vec<PathProblem> {
    let mut problems = Vec::new();
    // The first path and whether it is a file, by the form that it has for a file system that ignores case and normalises.
    let mut folded: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for path in paths {
        if let Some(why) = problem(path) {
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
                        "is the same as {} on file systems that ignore case or normalise Unicode (macOS, Windows); \
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
                    let why = "is duplicated, or is both a file and a directory".to_owned();
                    problems.push(PathProblem { path: shown(prefix), why });
                    break;
                }
                Some(_) => {}
            }
        }
    }
    problems
}

/// The problem with one path, apart from others.
fn problem(path: &str) -> Option<String> {
    if path.is_empty() || path.starts_with('/') {
        return Some("is not a relative path; rename it".into());
    }
    if path.len() > LONGEST_PATH {
        return Some(format!(
            "is {} bytes long, and the limit for unpacking everywhere is {LONGEST_PATH}; shorten it",
            path.len()
        ));
    }
    if let Some(c) = path.chars().find(|c| c.is_control() || *c == '\\') {
        return Some(format!("contains the character {c:?}, which unpackers treat differently; rename it"));
    }
    for name in path.split('/') {
        match name {
            "" => return Some("has an empty component; rename it".into()),
            "." | ".." => return Some(format!("contains a `{name}` component; rename it")),
            _ if name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1") => {
                return Some(format!("contains a `{name}` component, which is unsafe in git repositories; rename it"));
            }
            _ if name.len() > LONGEST_NAME => {
                return Some(format!(
                    "has a component of {} bytes, and file systems support {LONGEST_NAME}; shorten it",
                    name.len()
                ));
            }
            _ => {}
        }
    }
    None
}

/// The form of a path on a file system that ignores case and normalises names.
fn fold(path: &str) -> String {
    path.nfc().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
}

/// A path for a message.
pub(super) fn shown(path: &str) -> String {
    one_line(path, 120)
}

/// The problem with the target of a link at `path`: it points outside of the tree, or is not a path.
pub fn wrong_target(path: &str, target: &str) -> Option<String> {
    if target.is_empty() || target.len() > LONGEST_PATH {
        return Some(format!("is a symlink whose target is not a valid path ({} bytes)", target.len()));
    }
    if target.chars().any(|c| c.is_control() || c == '\\') {
        return Some(format!("is a symlink to {}, which unpackers treat differently", shown(target)));
    }
    // The depth below the top directory at each step, which may not become negative.
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
    leads_out.then(|| format!("is a symlink to {}, outside of the release; make it relative and inside", shown(target)))
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
    fn paths_that_unpack_differently_are_refused() {
        check(&["a", "a.b", "a/b", "-x", "ä", ".gitignore", "a b"], &["a: is duplicated, or is both"]);
        check(&["README", "readme"], &["readme: is the same as README on file systems"]);
        check(&["Doc/a", "doc/b", "doc/c"], &["doc: is the same as Doc"]);
        check(&["stra\u{df}e", "STRASSE"], &["STRASSE: is the same as stra"]);
        check(&["\u{e9}", "e\u{301}"], &["is the same as \u{e9}"]);
        check(&["/a", "a//b", "", "a/"], &["not a relative", "empty component", "not a relative", "empty component"]);
        check(&["a/../b", "./a", ".GIT/config", "x/.git"], &["`..`", "`.`", "`.GIT`", "`.git`"]);
        check(&["a\\b", "a\nb", "a\u{7f}"], &["'\\\\'", "'\\n'", "'\\u{7f}'"]);
        check(&[&"x".repeat(256), &"x/".repeat(1600)], &["256 bytes", "3200 bytes"]);
        check(&[&"x".repeat(255), &format!("{}x", "y/".repeat(1500))], &[]);
    }

    #[test]
    fn links_must_stay_inside() {
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
