//! The rules of the code that no compiler knows: one purpose a file, files of a readable length.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Files longer than this are split.
const LONGEST_FILE: usize = 450;

/// Every breach below `root`, the directory of the workspace, as `file:line: what`.
pub(crate) fn breaches(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut breaches = Vec::new();
    for directory in ["crates", "xtask/src", "xtask/tests/it", "xtask/benches"] {
        for file in rust_files(&root.join(directory))? {
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
        }
    }
    Ok(breaches)
}

fn rust_files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
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
}
