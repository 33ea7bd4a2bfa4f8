//! What must hold before a release is made: all that does not is told at once, each with its remedy.

use std::path::Path;

use serde::Serialize;

use drydock_archive::source::SourceTree;
use drydock_base::exec;
use drydock_config::release::{Release, Version};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// Whether it holds.
    pub holds: bool,
    /// What was found.
    pub found: String,
    /// What mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// What holds.
    pub fn good(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { what: what.into(), holds: true, found: found.into(), remedy: None }
    }

    /// What does not hold.
    pub fn bad(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding { what: what.into(), holds: false, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// Whether every file that holds the version holds this one.
pub fn version_files(release: &Release, tree: &SourceTree, version: &Version) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in &release.version_files {
        let what = format!("{} holds the version", file.path);
        let Some(text) = tree.text(&file.path)? else {
            findings.push(Finding::bad(
                what,
                "the commit has no such file",
                "mend `version.files`, or commit the file",
            ));
            continue;
        };
        let remedy = format!("write {version} there and commit it before the tag");
        let found = match &file.line {
            None => text.trim().to_owned(),
            Some(line) => {
                let wanted = line.render(version);
                if text.lines().any(|line| line.trim() == wanted.trim()) {
                    findings.push(Finding::good(what, version.as_str()));
                    continue;
                }
                let other = text.lines().find_map(|one| line.version_in(one.trim()));
                other.map_or_else(|| format!("it has no line like `{line}`"), |other| other.to_string())
            }
        };
        findings.push(match found == version.as_str() {
            true => Finding::good(what, found),
            false => Finding::bad(what, found, remedy),
        });
    }
    Ok(findings)
}

/// Whether the changelog has a heading for the version.
pub fn changelog(release: &Release, tree: &SourceTree, version: &Version) -> anyhow::Result<Option<Finding>> {
    let Some(path) = &release.changelog else { return Ok(None) };
    let what = format!("{path} has a heading for {version}");
    let Some(text) = tree.text(path)? else {
        return Ok(Some(Finding::bad(
            what,
            "the commit has no such file",
            "mend `version.changelog`, or commit the file",
        )));
    };
    let heading = text.lines().find(|line| line.starts_with('#') && names(line, version));
    Ok(Some(match heading {
        Some(line) => Finding::good(what, line.trim()),
        None => Finding::bad(what, "there is none", format!("add one such as `## [{version}] - DATE`, and commit it")),
    }))
}

/// Whether a heading names exactly this version: `## [1.2] - 2026-06-01`, `## 1.2`, `## v1.2`.
fn names(line: &str, version: &Version) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || ".+~_-".contains(c);
    let words = line.split(|c: char| !part(c));
    words.map(|word| word.strip_prefix('v').unwrap_or(word)).any(|word| word == version.as_str())
}

/// Whether the packages that generators need are installed. Nothing is known on a machine that is no Debian.
pub fn packages(release: &Release) -> Vec<Finding> {
    let ask = |words: &[&str]| {
        let argv: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        exec::read(&argv, Path::new("/"))
    };
    if !exec::is_installed("dpkg-query") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for generator in &release.generators {
        for package in &generator.needs {
            let what = format!("the generator {} has {package}", generator.name);
            let status = ask(&["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", package]);
            findings.push(match status.as_deref().unwrap_or_default().split_once(' ') {
                Some(("installed", version)) => Finding::good(what, version),
                _ => Finding::bad(what, "it is not installed", format!("apt-get install {package}")),
            });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_names_one_version() {
        let version: Version = "1.2".parse().unwrap();
        for line in ["## [1.2] - 2026-06-01", "# 1.2", "## v1.2: name"] {
            assert!(names(line, &version), "{line}");
        }
        for line in ["## [1.2.1]", "## 11.2", "## [1.2-rc1]", "## Unreleased"] {
            assert!(!names(line, &version), "{line}");
        }
    }
}
