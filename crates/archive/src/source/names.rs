//! Rules for paths in an archive, so that every unpacker creates the same tree on every file system.

use drydock_base::portable::unportable;
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

/// The systems on which a release must unpack to the same tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameRules {
    /// Linux, macOS and Windows: no names that NTFS, APFS or HFS+ cannot hold or cannot tell apart.
    Portable,
    /// Linux and other systems that take names as bytes.
    Unix,
}

/// All problems with the paths of one tree.
pub fn check_paths<'a>(paths: impl IntoIterator<Item = &'a str>, rules: NameRules) -> Vec<PathProblem> {
    let mut problems = Vec::new();
    // The first path and whether it is a file, by the form that it has for a file system that ignores case and normalises.
    let mut folded: BTreeMap<String, (String, bool)> = BTreeMap::new();
    for path in paths {
        if let Some(why) = problem(path, rules) {
            problems.push(PathProblem { path: shown(path), why });
            continue;
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (prefix, is_file) = (&path[..end], end == path.len());
            let key = if rules == NameRules::Portable { fold(prefix) } else { prefix.to_owned() };
            match folded.get(&key) {
                None => drop(folded.insert(key, (prefix.to_owned(), is_file))),
                Some((other, _)) if other != prefix => {
                    let why = format!(
                        "is the same as {} on file systems that ignore case or normalise Unicode (macOS, Windows); \
                         rename one of them, {ONLY_UNIX}",
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
fn problem(path: &str, rules: NameRules) -> Option<String> {
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
            _ if is_dot_git(name) => {
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
        if let Some(why) = (rules == NameRules::Portable).then(|| unportable(name)).flatten() {
            return Some(format!("{why}; rename it, {ONLY_UNIX}"));
        }
    }
    None
}

/// The remedy for releases that Linux alone unpacks.
const ONLY_UNIX: &str =
    "exclude it with the attribute export-ignore, or set `source.portable-names: false` in packaging/release.yaml";

/// Whether some file system takes the name for `.git`, whose hooks and configuration git obeys: without the characters that
/// HFS+ ignores, and as NTFS names it. Source: `is_hfs_dotgit` and `is_ntfs_dotgit` in git's utf8.c and path.c.
fn is_dot_git(name: &str) -> bool {
    let visible: String = name.chars().filter(|c| !is_ignored_by_hfs(*c)).collect();
    // A colon begins the name of a stream of the same file.
    let file = visible.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    file.eq_ignore_ascii_case(".git") || file.eq_ignore_ascii_case("git~1")
}

/// The characters that HFS+ ignores when it compares names. Source: `next_hfs_char` in git's utf8.c.
fn is_ignored_by_hfs(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

/// The form of a path on a file system that ignores case and normalises names.
fn fold(path: &str) -> String {
    let visible = path.chars().filter(|c| !is_ignored_by_hfs(*c));
    visible.nfc().collect::<String>().to_uppercase().to_lowercase().nfc().collect()
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
        let found: Vec<String> =
            check_paths(paths.iter().copied(), NameRules::Portable).iter().map(ToString::to_string).collect();
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
    fn names_that_windows_or_macos_cannot_hold_are_refused_unless_the_project_says_otherwise() {
        for name in ["aux.c", "Con", "nul.tar.gz", "com1", "LPT9.x", "COM¹", "conin$", "prn .txt"] {
            check(&[&format!("d/{name}/x")], &["is the device"]);
        }
        for name in ["auxiliary.c", "console", "com10", "com", "nul_", "a.aux", "lpt0x", ".con"] {
            check(&[name], &[]);
        }
        check(&["man3/A::B.3pm", "what?", "a*b", "<x>", "a|b", "\"q\""], &["':'", "'?'", "'*'", "'<'", "'|'", "'\"'"]);
        check(&["a.", "b /c", "d/..."], &["ends with a dot", "ends with a dot", "ends with a dot"]);
        check(&["a\u{fffe}", "\u{fdd0}", "\u{1ffff}"], &["no Unicode character"; 3]);
        check(&["ab", "a\u{200d}b"], &["is the same as ab"]);
        let unix = ["aux.c", "man3/A::B.3pm", "a.", "README", "readme", "a\u{fffe}"];
        assert_eq!(check_paths(unix, NameRules::Unix), []);
        // What is unsafe in git is unsafe everywhere.
        for name in [".git", ".GIT", "git~1", ".git.", ".git ", ".g\u{200c}it", ".git::$INDEX_ALLOCATION", "GIT~1 ."] {
            assert_eq!(check_paths([name], NameRules::Unix).len(), 1, "{name:?}");
        }
        for name in [".gitignore", ".gitattributes", "git~10", "x.git"] {
            assert_eq!(check_paths([name], NameRules::Portable), [], "{name:?}");
        }
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
