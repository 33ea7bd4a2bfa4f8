//! The rules of the code that no compiler knows: direction of use, one purpose a file, files of a readable length.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Files longer than this are split.
const LONGEST_FILE: usize = 450;

/// What each part of the library may use. The order is the order of the layers.
const MAY_USE: [(&str, &[&str]); 19] = [
    ("exit", &[]),
    ("exec", &[]),
    ("output", &[]),
    ("paths", &[]),
    ("sums", &["paths"]),
    ("tools", &["exec"]),
    ("twin", &["exec"]),
    ("git", &["exec", "exit"]),
    ("http", &["exit"]),
    ("config", &["exit", "exec", "paths", "sums"]),
    ("source", &["config", "exit", "exec", "git", "twin"]),
    ("archive", &["source", "config", "exec", "git", "paths", "sums"]),
    ("ci", &["config", "exit", "exec", "output", "paths"]),
    ("release", &["archive", "source", "config", "exit", "exec", "paths", "sums", "twin"]),
    ("deb", &["archive", "source", "config", "exit", "exec", "paths", "sums", "twin"]),
    ("oci", &["archive", "source", "config", "exit", "exec", "http", "paths", "sums", "twin"]),
    ("cli", &["config", "exit", "tools"]),
    (
        "commands",
        &[
            "archive", "ci", "cli", "config", "deb", "exit", "exec", "git", "oci", "output", "paths", "release",
            "source", "sums", "tools",
        ],
    ),
    ("main", &["cli", "exit", "output"]),
];

/// Every breach below `root`, the folder of the workspace, as `file:line: what`.
pub(crate) fn breaches(root: &Path) -> anyhow::Result<Vec<String>> {
    let source = root.join("xtask/src");
    let mut breaches = Vec::new();
    for folder in [&source, &root.join("xtask/tests/it"), &root.join("xtask/benches")] {
        for file in rust_files(folder)? {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            if !text.starts_with("//!") {
                breaches.push(format!("{shown}:1: a file opens with a `//!` line that says its one purpose"));
            }
            let lines = text.lines().count();
            if lines > LONGEST_FILE {
                breaches.push(format!(
                    "{shown}:{LONGEST_FILE}: {lines} lines are more than {LONGEST_FILE}; split the file"
                ));
            }
            if let Ok(inside) = file.strip_prefix(&source) {
                breaches.extend(
                    wrong_uses(&part_of(inside), &text)
                        .into_iter()
                        .map(|(line, what)| format!("{shown}:{line}: {what}")),
                );
            }
        }
    }
    Ok(breaches)
}

fn rust_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

/// `ci/plan.rs` → `ci`, `exec.rs` → `exec`.
fn part_of(inside: &Path) -> String {
    let first =
        inside.components().next().map_or_else(String::new, |part| part.as_os_str().to_string_lossy().into_owned());
    first.trim_end_matches(".rs").to_owned()
}

fn wrong_uses(part: &str, text: &str) -> Vec<(usize, String)> {
    if part == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == part) else {
        return vec![(1, format!("`{part}` is no known part; give it a place in the layers"))];
    };
    let mut wrong = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for (at, prefix) in code.match_indices("crate::").chain(code.match_indices("xtask::")) {
            let used: String = code[at + prefix.len()..]
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect();
            if used != part && MAY_USE.iter().any(|(name, _)| *name == used) && !allowed.contains(&used.as_str()) {
                wrong.push((number + 1, format!("`{part}` may not use `{used}`; the layers are in ARCHITECTURE.md")));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_may_not_use_a_domain() {
        assert!(wrong_uses("exec", "use crate::ci::plan::Plan;\n").len() == 1);
        assert!(wrong_uses("ci", "use crate::config::units::ByteSize;\nuse crate::exec;\n").is_empty());
        assert!(wrong_uses("config", "// crate::ci is only named here\n").is_empty());
        assert!(!wrong_uses("novelty", "").is_empty());
    }

    #[test]
    fn this_workspace_is_tidy() {
        let breaches = breaches(&crate::paths::workspace()).unwrap();
        assert!(breaches.is_empty(), "{}", breaches.join("\n"));
    }
}
