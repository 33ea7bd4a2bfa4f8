//! The requirements of a release. All that are not met are reported at once, each with its remedy.

use std::path::Path;

use jiff::Span;
use jiff::civil::Date;
use serde::Serialize;

use drydock_archive::source::{SourceTree, vendor};
use drydock_base::exec;
use drydock_base::hint;
use drydock_base::text::{plural, quoted};
use drydock_config::release::{Format, Release, Vendor, Version, line_with};
use drydock_config::release_notes::{HeadingDate, NotesError, NotesQuery, ReleaseNotes};

/// The result of checking one requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The requirement, as a statement.
    pub what: String,
    /// Whether the requirement is met.
    pub holds: bool,
    /// The actual state.
    pub found: String,
    /// The way to meet the requirement; none if it is met.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// A requirement that is met.
    pub fn good(what: impl Into<String>, found: impl Into<String>) -> Finding {
        Finding { what: what.into(), holds: true, found: found.into(), remedy: None }
    }

    /// A requirement that is not met.
    pub fn bad(what: impl Into<String>, found: impl Into<String>, remedy: impl Into<String>) -> Finding {
        let remedy = Some(remedy.into()).filter(|remedy| !remedy.is_empty());
        Finding { what: what.into(), holds: false, found: found.into(), remedy }
    }
}

/// Checks that every version file contains this version.
///
/// # Errors
/// An object of the commit cannot be read.
pub fn version_files(release: &Release, tree: &SourceTree, version: &Version) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for file in &release.version_files {
        let what = format!("{} has the version", file.path);
        let Some(text) = tree.text(&file.path)? else {
            findings.push(Finding::bad(
                what,
                "the commit has no such file",
                "correct `version.files`, or commit the file",
            ));
            continue;
        };
        let held = file.held(&text);
        let Some(first) = held.first() else {
            let missing = format!("it does not have {}", file.place);
            findings.push(match line_with(&text, version) {
                Some((number, line)) => {
                    let form = line.replacen(version.as_str(), "{version}", 1);
                    let remedy = format!(
                        "if line {number} is the version, declare `line: {}` in `version.files`",
                        yaml_quoted(&form)
                    );
                    Finding::bad(what, format!("{missing}, but line {number} has {}", quoted(line)), remedy)
                }
                None => Finding::bad(
                    what,
                    missing,
                    "correct `version.files`; `line` is one whole line, and `key` is one such as `package.version`",
                ),
            });
            continue;
        };
        let place = format!("{}:{}", file.path, first.line);
        findings.push(if file.agrees(&first.version, version) {
            Finding::good(what, format!("line {}: {version}", first.line))
        } else if let Some(other) = held.iter().find(|held| file.agrees(&held.version, version)) {
            let found = format!(
                "line {} has {}, and line {}, which looks the same, has {version}",
                first.line, first.version, other.line
            );
            let remedy = format!(
                "if {place} is the version, set it to {version}; otherwise declare a `key`, such as `package.version`"
            );
            Finding::bad(what, found, remedy)
        } else {
            let found = format!("line {} has {}", first.line, first.version);
            Finding::bad(what, found, format!("set {place} to {version}, and commit that before the tag"))
        });
    }
    Ok(findings)
}

/// A text in quotes as YAML reads them.
fn yaml_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Checks that the changelog has an entry for the version that is not empty; none if no changelog is declared.
///
/// # Errors
/// An object of the commit cannot be read.
pub fn changelog(
    release: &Release,
    tree: &SourceTree,
    version: &Version,
    between: Between,
) -> anyhow::Result<Option<Finding>> {
    let Some(path) = &release.changelog else { return Ok(None) };
    let what = format!("{path} has an entry for {version}");
    let Some(content) = tree.content(path)? else {
        return Ok(Some(Finding::bad(
            what,
            "the commit has no such file",
            "correct `version.changelog`, or commit the file",
        )));
    };
    let tag = release.tag.render(version);
    let query = NotesQuery { file: path, version: version.as_str(), tag: &tag };
    Ok(Some(match ReleaseNotes::find(&content, query) {
        Ok(notes) => match between.problem(&notes) {
            None => {
                let changes = plural(notes.items.len(), "change");
                Finding::good(what, format!("line {}: {}, {changes}", notes.line, quoted(&notes.heading)))
            }
            Some(problem) => {
                let found = format!("line {}: {}, {problem}", notes.line, quoted(&notes.heading));
                let remedy = format!(
                    "write the date of the release, such as `## [{version}] - {}`, and commit it before the tag",
                    between.latest
                );
                Finding::bad(what, found, remedy)
            }
        },
        Err(error) => {
            let NotesError { line, problem, .. } = &error;
            Finding::bad(what, format!("line {line}: {problem}"), error.remedy())
        }
    }))
}

/// The days between which the date of a release must be, in UTC.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// The day of the release before, if there is one.
    pub earliest: Option<Date>,
    /// The day of the tag.
    pub latest: Date,
}

impl Between {
    /// What is wrong with the date in a heading. A day more is allowed at both ends, for other time zones.
    fn problem(&self, notes: &ReleaseNotes) -> Option<String> {
        let day = |date: Date, days: i64| date.checked_add(Span::new().days(days)).unwrap_or(date);
        match &notes.date {
            HeadingDate::Absent if notes.others_are_dated => Some("which has no date, as others have".to_owned()),
            HeadingDate::Absent => None,
            HeadingDate::Invalid(text) => Some(format!("in which {} is not a date", quoted(text))),
            HeadingDate::Date(dates) if dates.iter().all(|date| *date > day(self.latest, 1)) => {
                Some(format!("whose date is after that of the tag, {}", self.latest))
            }
            HeadingDate::Date(dates) => {
                let earliest = self.earliest?;
                let is_earlier = dates.iter().all(|date| *date < day(earliest, -1));
                is_earlier.then(|| format!("whose date is before that of the release before, {earliest}"))
            }
        }
    }
}

/// Checks that every archive format can hold the date of the commit.
pub fn dates(release: &Release, tree: &SourceTree) -> Vec<Finding> {
    let archives = release.archives.iter().filter(|archive| archive.format == Format::Zip);
    let findings = archives.map(|_| {
        let what = "the zip file can hold the date of the commit";
        match drydock_archive::zip_date(tree.epoch) {
            Ok(date) => Finding::good(what, date),
            Err(error) => {
                Finding::bad(what, error.to_string(), "commit with another date, or declare only tar formats")
            }
        }
    });
    findings.take(1).collect()
}

/// Checks that lock files pin the crates to vendor, for the archives and for the Debian package; no findings without such crates.
pub fn crates(release: &Release, tree: &SourceTree) -> Vec<Finding> {
    let declared = release.vendor.iter().chain(release.deb.iter().filter_map(|deb| deb.vendor.as_ref()));
    let finding = |vendor: &Vendor| {
        let what = format!("the crates in {}/ are pinned", vendor.directory);
        match vendor::pinned(tree, vendor) {
            Ok((packages, _)) => Finding::good(what, plural(packages.len(), "crate")),
            Err(error) => Finding::bad(what, format!("{error:#}"), ""),
        }
    };
    declared.map(finding).collect()
}

/// Checks that the packages that generators need are installed; no findings on a machine without dpkg.
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
                _ => {
                    Finding::bad(what, "it is not installed", format!("run `{}`", hint::apt_get(["install", package])))
                }
            });
        }
    }
    findings
}
