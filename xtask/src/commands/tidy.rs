//! The rules of the code that neither rustc nor clippy knows: the length of files, typed errors, one vocabulary.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

mod errors;
mod hints;
mod vocabulary;

/// Files with more lines than this are split.
const LONGEST_FILE: usize = 450;

/// Directories with Rust code, and those and files with prose, relative to the workspace.
const CODE: [&str; 5] = ["crates", "xtask/src", "xtask/tests/it", "xtask/benches", "fuzz/fuzz_targets"];
const PROSE: [&str; 12] = [
    "README.md",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "docs",
    "ci",
    "docker",
    "packaging",
    ".github",
    "fuzz/README.md",
    "examples",
];

/// One breach of a rule.
#[derive(Debug, PartialEq, Eq)]
struct Breach {
    /// From 1.
    line: usize,
    /// The rule, and what to write instead.
    rule: String,
}

/// Every breach below `root`, the directory of the workspace, as `file:line: rule`.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn breaches(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (directories, check) in [(&CODE[..], code as fn(&Path, &str) -> Vec<Breach>), (&PROSE[..], prose)] {
        for directory in directories {
            for file in files(&root.join(directory))? {
                let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let shown = file.strip_prefix(root).unwrap_or(&file);
                let breaches = check(shown, &text);
                found
                    .extend(breaches.iter().map(|Breach { line, rule }| format!("{}:{line}: {rule}", shown.display())));
            }
        }
    }
    Ok(found)
}

/// The rules for a file with Rust code.
fn code(file: &Path, text: &str) -> Vec<Breach> {
    if file.extension().is_none_or(|extension| extension != "rs") {
        return Vec::new();
    }
    // The rules and their tests name what they forbid.
    if file.starts_with("xtask/src/commands/tidy") || file == Path::new("xtask/src/commands/tidy.rs") {
        return Vec::new();
    }
    let mut breaches = Vec::new();
    if !text.starts_with("//!") {
        breaches.push(Breach { line: 1, rule: "a file opens with a `//!` sentence that gives its one purpose".into() });
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        let rule = format!("{lines} lines are more than {LONGEST_FILE}; split the file");
        breaches.push(Breach { line: LONGEST_FILE, rule });
    }
    breaches.extend(errors::breaches(file, text));
    breaches.extend(hints::breaches(file, text));
    breaches.extend(vocabulary::breaches(text));
    breaches
}

/// The rules for a file with prose.
fn prose(file: &Path, text: &str) -> Vec<Breach> {
    let is_prose = file.extension().is_some_and(|extension| matches!(extension.to_str(), Some("md" | "yaml" | "yml")));
    if is_prose { vocabulary::breaches(text) } else { Vec::new() }
}

/// The files below a directory, or the file itself; none when there is neither.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| ["rs", "md", "yaml", "yml"].iter().any(|one| extension == *one))
            {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_tidy() {
        let breaches = breaches(&crate::workspace::root()).unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }

    #[test]
    fn all_of_the_code_and_the_prose_is_read() {
        let root = crate::workspace::root();
        for path in CODE.iter().chain(&PROSE) {
            assert!(!files(&root.join(path)).unwrap().is_empty(), "{path} holds nothing to check");
        }
        let of_crates = files(&root.join("crates")).unwrap();
        assert!(of_crates.iter().any(|file| file.ends_with("oci/src/registry.rs")));
    }

    #[test]
    fn a_long_file_and_one_without_a_purpose_are_found() {
        let long = format!("//! Long.\n{}", "fn f() {}\n".repeat(LONGEST_FILE));
        assert_eq!(code(Path::new("a.rs"), &long).len(), 1);
        assert_eq!(code(Path::new("a.rs"), "fn f() {}\n").len(), 1);
    }

    #[test]
    fn a_breach_on_disk_is_found_with_its_place() {
        let root = tempfile::tempdir().unwrap();
        let source = root.path().join("crates/x/src");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("lib.rs"), "//! X.\n\npub fn f() -> Result<(), String> {\n    Ok(())\n}\n").unwrap();
        fs::write(root.path().join("README.md"), "Put it in a folder.\n").unwrap();
        let found = breaches(root.path()).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/x/src/lib.rs:3: "), "{found:?}");
        assert!(found[1].starts_with("README.md:1: "), "{found:?}");
    }
}
