//! The Debian packages that a project says that it needs: in its workflows, Dockerfiles and in `debian/control`.

use std::collections::BTreeMap;

use super::Saw;
use crate::tree::Tree;

/// A Debian package, and where its name was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// The name in Debian's archive.
    pub name: String,
    /// The place.
    pub saw: Saw,
}

/// The files of other continuous integration.
pub(super) fn workflows(tree: &Tree) -> impl Iterator<Item = &str> {
    let names = [
        ".gitlab-ci.yml",
        ".travis.yml",
        ".cirrus.yml",
        ".circleci/config.yml",
        ".build.yml",
        "azure-pipelines.yml",
        ".appveyor.yml",
        "appveyor.yml",
    ];
    tree.paths().filter(move |path| {
        let is_workflow = path.starts_with(".github/workflows/") && (path.ends_with(".yml") || path.ends_with(".yaml"));
        is_workflow || names.contains(path) || path.starts_with(".builds/")
    })
}

/// All packages, each once, by name.
pub(super) fn find(tree: &Tree) -> Vec<Package> {
    let mut found: BTreeMap<String, Saw> = BTreeMap::new();
    for path in ["debian/control", "packaging/debian/control"] {
        if let Some(text) = tree.text(path) {
            for (name, line, row) in build_depends(&text) {
                found.entry(name).or_insert_with(|| Saw::line(path, line, &row));
            }
        }
    }
    for path in workflows(tree) {
        let Some(text) = tree.text(path) else { continue };
        for (name, line, row) in installed(&text) {
            found.entry(name).or_insert_with(|| Saw::line(path, line, &row));
        }
    }
    found.into_iter().map(|(name, saw)| Package { name, saw }).collect()
}

/// The alternatives of `Build-Depends` that come first, without virtual ones of debhelper and those for other architectures.
fn build_depends(text: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut within = false;
    for (number, line) in text.lines().enumerate() {
        let rest = match line.split_once(':') {
            Some((field, rest)) if !line.starts_with([' ', '\t', '#']) => {
                within = ["Build-Depends", "Build-Depends-Arch"].contains(&field);
                rest
            }
            _ => line,
        };
        if !within || line.starts_with('#') {
            continue;
        }
        for item in rest.split(',') {
            let first = item.split('|').next().unwrap_or_default();
            let for_all = !item.contains("[") && !item.contains("<!nocheck> <");
            let name = first.split(['(', '[', '<', ':']).next().unwrap_or_default().trim();
            let is_virtual =
                ["debhelper", "debhelper-compat", "dpkg-dev", "dh-exec"].contains(&name) || name.starts_with("dh-");
            if is_package(name) && for_all && !is_virtual {
                found.push((name.to_owned(), number + 1, line.to_owned()));
            }
        }
    }
    found
}

/// The words of `apt-get install` and `apt install`, on lines that may be continued.
fn installed(text: &str) -> Vec<(String, usize, String)> {
    let mut found = Vec::new();
    let mut open = false;
    for (number, line) in text.lines().enumerate() {
        // Of an expression of GitHub Actions only the value could be a package.
        let plain = without_expressions(line);
        let words: Vec<&str> = plain.split_whitespace().collect();
        let at = words.windows(2).position(|pair| pair[1] == "install" && ["apt", "apt-get"].contains(&pair[0]));
        let at = at.or_else(|| {
            let from = words.iter().position(|word| ["apt", "apt-get"].contains(word))?;
            words.iter().skip(from).position(|word| *word == "install").map(|to| from + to - 1)
        });
        let words = match at {
            Some(at) => &words[at + 2..],
            None if open => &words[..],
            None => continue,
        };
        let end = words.iter().position(|word| ["&&", "||", ";", "|"].contains(word)).unwrap_or(words.len());
        open = end == words.len() && words.last() == Some(&"\\");
        for word in &words[..end] {
            let word = word.trim_end_matches([';', '"', '\'']).trim_start_matches(['"', '\'']);
            if is_package(word) {
                found.push((word.to_owned(), number + 1, line.to_owned()));
            }
        }
    }
    found
}

/// A line without what stands between `${{` and `}}`.
fn without_expressions(line: &str) -> String {
    let mut kept = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("${{") {
        kept.push_str(before);
        rest = after.split_once("}}").map_or("", |(_, rest)| rest);
    }
    kept + rest
}

/// A name as Debian's policy has it: lower case, at least two characters, with a letter.
fn is_package(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    let starts = word.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit());
    let has_letter = word.bytes().any(|byte| byte.is_ascii_lowercase());
    starts && has_letter && word.len() > 1 && word.bytes().all(fits) && !word.ends_with(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_workflows_and_control() {
        let tree = Tree::from_texts([
            (
                ".github/workflows/a.yml",
                "- run: |\n    sudo apt-get -y install libx-dev ${{ matrix.pkgs }}-dev \\\n      cmake && true\n    apt install -y foo=1\n",
            ),
            (
                "debian/control",
                "Source: a\nBuild-Depends: debhelper-compat (= 13), libz-dev | zlib,\n liby-dev [arm64], po4a <!nodoc>\nDepends: no\n",
            ),
        ]);
        let names: Vec<String> = find(&tree).into_iter().map(|package| package.name).collect();
        assert_eq!(names, ["cmake", "libx-dev", "libz-dev", "po4a"]);
    }
}
