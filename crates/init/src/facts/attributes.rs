//! What keeps archives from being what the project wants: lines of `.gitattributes`, and names of files.

use std::collections::BTreeMap;

use super::{GeneratorDraft, Saw};
use crate::tree::Tree;
use crate::{jobs, release};
use drydock_base::portable::unportable as unportable_name;

/// What keeps the archives from being unpacked on Windows and macOS, in the sources or in what generators write; none if nothing does.
pub(super) fn unportable(tree: &Tree, generators: &[GeneratorDraft]) -> Option<String> {
    if let Some((one, other)) = same_names(tree) {
        return Some(format!("saw {one} and {other}, which Windows and macOS cannot tell apart"));
    }
    let outputs = generators.iter().flat_map(|generator| &generator.outputs).map(String::as_str);
    tree.paths().chain(outputs).find_map(|path| {
        // A pattern is not a name.
        let names = path.split('/').filter(|name| !name.contains('*') || tree.has(path));
        let why = names.filter_map(unportable_name).next()?;
        Some(format!("saw {path}: it {why}"))
    })
}

/// Two paths that are the same where case does not count, as on Windows and macOS.
fn same_names(tree: &Tree) -> Option<(String, String)> {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    // With what init writes, such as `ci` beside `CI`.
    for path in tree.paths().chain([jobs::FILE, release::FILE]) {
        // Those of directories, too.
        for end in path.match_indices('/').map(|(at, _)| at).chain([path.len()]) {
            let part = &path[..end];
            if let Some(other) = known.insert(part.to_lowercase(), part).filter(|other| *other != part) {
                return Some((other.to_owned(), part.to_owned()));
            }
        }
    }
    None
}

/// What to change, one sentence each.
pub(super) fn remarks(tree: &Tree) -> Vec<String> {
    let path = ".gitattributes";
    let text = tree.text(path).unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#')) {
        let mut words = line.split_whitespace();
        let Some(pattern) = words.next() else { continue };
        let saw = Saw::line(path, number + 1, line);
        for word in words {
            if word == "export-ignore" && ["*", "/*", "**", "/**"].contains(&pattern) {
                found.push(format!("saw {saw}: archives leave out all files; remove that line first"));
            } else if word == "export-subst" {
                found.push(format!(
                    "saw {saw}: what git puts in there depends on the clone, so no release can contain it; remove the attribute first"
                ));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_only_in_case_are_seen() {
        let same = |paths: [&str; 2]| same_names(&Tree::from_texts(paths.map(|path| (path, ""))));
        assert_eq!(same(["t/lamp-C.test", "t/lamp-c.test"]), Some(("t/lamp-C.test".into(), "t/lamp-c.test".into())));
        assert_eq!(same(["Docs/a", "docs/b"]), Some(("Docs".into(), "docs".into())));
        assert_eq!(same(["t/Makefile", "Makefile"]), None);
        assert_eq!(same(["CI/test.sh", "ci/jobs.yaml"]), Some(("CI".into(), "ci".into())));
        assert_eq!(same(["CI/test.sh", "Makefile"]), Some(("CI".into(), "ci".into())));
    }

    #[test]
    fn names_that_windows_does_not_have_are_seen_in_sources_and_outputs() {
        let outputs = |outputs: &[&str]| {
            let outputs = outputs.iter().map(|path| (*path).to_owned()).collect();
            [GeneratorDraft { outputs, ..GeneratorDraft::default() }]
        };
        let tree = |path: &str| Tree::from_texts([(path, "")]);
        let none = outputs(&["m4/*.m4", "configure"]);
        assert_eq!(unportable(&tree("src/a.c"), &none), None);
        for (path, drafts) in [("src/aux.c", &none), ("t/a:b", &none), ("t/a*b", &none), ("a.c", &outputs(&["aux/*"]))]
        {
            assert!(unportable(&tree(path), drafts).is_some(), "{path}");
        }
    }

    #[test]
    fn attributes_that_make_archives_impossible_are_reported() {
        let told = |text: &str| remarks(&Tree::from_texts([(".gitattributes", text)])).len();
        assert_eq!(told("/* export-ignore\n/README -export-ignore\n"), 1);
        assert_eq!(told("/configure.ac export-subst\n"), 1);
        assert_eq!(told("# /* export-ignore\n/.github export-ignore\n* text=auto\n*.c -export-subst\n"), 0);
    }
}
