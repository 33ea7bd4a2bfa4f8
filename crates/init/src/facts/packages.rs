//! The Debian packages that a project says that it needs: in its workflows, the scripts that these call, in
//! `debian/control`, and the libraries that its build system looks for.

mod libraries;

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
    for (path, text) in with_scripts(tree) {
        for (name, line, row) in installed(&text) {
            // A name from before Python 2 went.
            let renamed = RENAMED.iter().find(|(old, _)| *old == name).map(|(_, new)| (*new).to_owned());
            let name = renamed.unwrap_or(name);
            if is_of_another_machine(&name) {
                continue;
            }
            found.entry(name).or_insert_with(|| Saw::line(&path, line, &row));
        }
    }
    for (name, saw) in libraries::find(tree) {
        found.entry(name.to_owned()).or_insert(saw);
    }
    found.into_iter().map(|(name, saw)| Package { name, saw }).collect()
}

/// The workflows and the scripts that these call, with their texts. Those of AppVeyor describe Windows.
pub(super) fn with_scripts(tree: &Tree) -> Vec<(String, String)> {
    let text = |path: &str| Some((path.to_owned(), tree.text(path)?));
    let mut found: Vec<_> = workflows(tree).filter(|path| !path.contains("appveyor")).filter_map(text).collect();
    let is_called = |path: &&str| found.iter().any(|(_, text)| names(text, path));
    let scripts: Vec<_> = tree.with_extension(&[".sh"]).filter(is_called).filter_map(text).collect();
    found.extend(scripts);
    found
}

/// True if the workflows, or the scripts that these call, name this path.
pub(super) fn is_named(tree: &Tree, path: &str) -> bool {
    with_scripts(tree).iter().any(|(_, text)| names(text, path))
}

/// True if a text has this path as a word.
fn names(text: &str, path: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "_-".contains(c);
    text.match_indices(path).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + path.len()..]);
        let before = before.strip_suffix("./").unwrap_or(before);
        !before.ends_with(|c| is_part(c) || "/.".contains(c)) && !after.starts_with(|c| is_part(c) || c == '.')
    })
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
        // A comment, of YAML or of the shell.
        let plain = plain.split(" #").next().unwrap_or_default();
        let plain = if plain.trim_start().starts_with('#') { "" } else { plain };
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
        let ends = |word: &&str| ["&&", "||", ";", "|"].contains(word);
        // `apt-get install a b; fi`: what ends with a semicolon is the last one.
        let last = words.iter().position(|word| word.len() > 1 && word.ends_with(';')).map(|at| at + 1);
        let end = words.iter().position(ends).into_iter().chain(last).min().unwrap_or(words.len());
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

/// Names that packages had, and those that they have.
const RENAMED: [(&str, &str); 4] =
    [("python", "python3"), ("python-dev", "python3-dev"), ("python-pip", "python3-pip"), ("pkgconf", "pkg-config")];

/// True for a package that only another machine needs: a compiler for another processor or system, with its emulator, or one of a
/// certain version, of which a matrix of workflows tries many and a release of the distribution has few.
fn is_of_another_machine(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let starts = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    let has_version = parts.iter().skip(1).any(|part| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
    let is_compiler =
        starts(&["gcc", "g++", "clang", "llvm", "libclang", "libc++", "lld", "lldb", "gfortran", "libllvm"]);
    let is_foreign =
        starts(&["wine", "mingw", "qemu", "binutils-", "crossbuild-essential", "libc6-dev-", "lib32", "libc6-i386"])
            || starts(&["gcc-", "g++-"]) && parts.len() > 2
            || name.ends_with("-multilib")
            || name.ends_with("-cross")
            || name.contains("mingw");
    is_foreign || is_compiler && has_version
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
            (".github/workflows/b.yml", "- run: bash -x .github/setup.sh\n- run: ./ci/more.sh\n- run: other/no.sh\n"),
            (".github/setup.sh", "sudo apt-get install -yy \\\n     -o APT::Keep=true \\\n     zlib1g-dev\n"),
            ("ci/more.sh", "apt install libmore-dev\n"),
            ("no.sh", "apt install not-this\n"),
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
        assert_eq!(names, ["cmake", "libmore-dev", "libx-dev", "libz-dev", "po4a", "zlib1g-dev"]);
    }

    #[test]
    fn what_only_another_machine_needs_is_left_out() {
        let found = |line: &str| {
            let tree = Tree::from_texts([(".github/workflows/a.yml", line)]);
            find(&tree).into_iter().map(|package| package.name).collect::<Vec<_>>().join(" ")
        };
        let many = "- run: sudo apt-get install gcc-12 clang-22 libclang-rt-22-dev libc++abi-14-dev llvm-22 clang clang-tidy g++ \
                    gcc-mingw-w64 wine-stable qemu-user-static gcc-aarch64-linux-gnu libc6-dev-i386 g++-multilib lib32z1-dev libc6-dev";
        assert_eq!(found(many), "clang clang-tidy g++ libc6-dev");
        // A comment names none, and neither does what follows a semicolon.
        assert_eq!(found("# like apt or yum: install 5.24.1 64-bit"), "");
        assert_eq!(found("  run: apt-get install libx-dev # or liby-dev"), "libx-dev");
        assert_eq!(found("- if true; then sudo apt-get install -qq zlib1g-dev python; fi"), "python3 zlib1g-dev");
        let tree = Tree::from_texts([(".appveyor.yml", "- apt-get install cmake")]);
        assert!(find(&tree).is_empty());
    }
}
