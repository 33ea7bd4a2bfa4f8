//! Lines of `.gitattributes` with which archives cannot be what the project wants.

use super::Saw;
use crate::tree::Tree;

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
    fn attributes_that_make_archives_impossible_are_reported() {
        let told = |text: &str| remarks(&Tree::from_texts([(".gitattributes", text)])).len();
        assert_eq!(told("/* export-ignore\n/README -export-ignore\n"), 1);
        assert_eq!(told("/configure.ac export-subst\n"), 1);
        assert_eq!(told("# /* export-ignore\n/.github export-ignore\n* text=auto\n*.c -export-subst\n"), 0);
    }
}
