//! The files that a new version changes: version files, lock files of Cargo, and the changelog. All functions are of text to text.

use std::collections::BTreeSet;

use drydock_config::release::{Version, VersionFile, VersionText};

/// The text of a version file with another version; none if it has no version.
pub fn version_file(file: &VersionFile, text: &str, version: &Version) -> Option<String> {
    let held = file.held(text).into_iter().next()?;
    Some(format!("{}{version}{}", &text[..held.bytes.start], &text[held.bytes.end..]))
}

/// The text of a `Cargo.lock` in which the project's own crates with these names have another version.
pub fn cargo_lock(text: &str, own: &BTreeSet<String>, old: &Version, version: &Version) -> String {
    let mut out = String::new();
    // The name of the package whose lines these are, as long as it may be one of the project's own.
    let mut package: Option<String> = None;
    let blocks: Vec<&str> = text.split_inclusive("[[package]]").collect();
    for block in blocks {
        let is_registered = block.lines().any(|line| line.starts_with("source = "));
        for line in block.split_inclusive('\n') {
            let bare = line.trim_end();
            if let Some(name) = bare.strip_prefix("name = \"").and_then(|rest| rest.strip_suffix('"')) {
                package = (own.contains(name) && !is_registered).then(|| name.to_owned());
            }
            let is_version =
                bare.strip_prefix("version = \"").and_then(|rest| rest.strip_suffix('"')) == Some(old.as_str());
            if package.is_some() && is_version {
                out.push_str(&line.replacen(old.as_str(), version.as_str(), 1));
                continue;
            }
            // `"NAME VERSION",` in a list of dependencies where several versions of a crate are.
            let dependency = bare.trim().trim_matches([',', '"']).split_once(' ');
            match dependency {
                Some((name, found)) if found == old.as_str() && own.contains(name) && bare.trim().starts_with('"') => {
                    out.push_str(&line.replacen(&format!(" {old}\""), &format!(" {version}\""), 1));
                }
                Some(_) | None => out.push_str(line),
            }
        }
    }
    out
}

/// A new entry of a changelog.
#[derive(Debug, Clone, Copy)]
pub struct NewEntry<'a> {
    /// The version.
    pub version: &'a Version,
    /// The version before, whose heading shows how headings are written.
    pub before: Option<&'a Version>,
    /// The name of tags.
    pub tag: &'a VersionText,
    /// The date, as `2026-06-01`.
    pub date: &'a str,
    /// The changes to add, as Markdown; empty if they are below the heading `Unreleased` already.
    pub notes: &'a str,
}

/// The changelog with a new entry: what was unreleased, and the notes. A heading `Unreleased` stays, with nothing below it; the links at
/// the end are continued.
pub fn changelog(text: &str, entry: &NewEntry<'_>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let level = |line: &str| line.len() - line.trim_start_matches('#').len();
    let is_heading = |line: &str| (1..=6).contains(&level(line)) && line[level(line)..].starts_with(' ');
    let bare = |line: &str| line.trim_start_matches('#').trim().trim_matches(['[', ']']).to_lowercase();
    let unreleased = lines.iter().position(|line| is_heading(line) && bare(line).starts_with("unreleased"));
    let is_release = |line: &&str| {
        let first = bare(line).trim_start_matches('v').to_owned();
        is_heading(line)
            && level(line) <= 3
            && first.starts_with(|letter: char| letter.is_ascii_digit())
            && first.contains('.')
    };
    let first_release = lines.iter().position(is_release);
    let heading = heading(first_release.map(|at| lines[at]), unreleased.map(|at| level(lines[at])), entry);
    let is_link = |line: &&str| line.starts_with('[') && line.contains("]: ");
    let end = first_release.or_else(|| lines.iter().position(is_link)).unwrap_or(lines.len());
    let (before, body) = match unreleased {
        Some(at) if at < end => (&lines[..=at], &lines[at + 1..end]),
        Some(_) | None => (&lines[..end], &lines[..0]),
    };
    let mut parts = vec![before.join("\n").trim_end().to_owned(), heading];
    let (body, notes) = (body.join("\n"), entry.notes.trim_end());
    parts.extend([body.trim(), notes.trim()].into_iter().filter(|part| !part.is_empty()).map(str::to_owned));
    parts.push(lines[end..].iter().map(|line| linked(line, entry)).collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    format!("{}\n", parts.join("\n\n").trim_end())
}

/// A heading as the one of the version before is written.
fn heading(other: Option<&str>, level: Option<usize>, entry: &NewEntry<'_>) -> String {
    let NewEntry { version, date, .. } = entry;
    if let (Some(line), Some(before)) = (other, entry.before) {
        if let Some((head, tail)) = line.split_once(before.as_str()) {
            let close = tail.chars().next().filter(|letter| *letter == ']').map(String::from).unwrap_or_default();
            let rest = if tail.contains('(') { format!(" ({date})") } else { format!(" - {date}") };
            return format!("{head}{version}{close}{rest}");
        }
    }
    format!("{} [{version}] - {date}", "#".repeat(level.unwrap_or(2)))
}

/// The line, and after the link of `Unreleased` that of the version: `[Unreleased]: …/compare/v1.1...HEAD`.
fn linked(line: &str, entry: &NewEntry<'_>) -> String {
    let is_unreleased = line.to_lowercase().starts_with("[unreleased]: ");
    let tags = entry.before.map(|before| (entry.tag.render(before), entry.tag.render(entry.version)));
    match (is_unreleased, tags) {
        (true, Some((old, new))) if line.contains(&format!("{old}...")) => {
            let (_, address) = line.split_once(": ").unwrap_or(("", line));
            let compared = address.replace(&format!("{old}...HEAD"), &format!("{old}...{new}"));
            format!("{}\n[{}]: {compared}", line.replace(&format!("{old}..."), &format!("{new}...")), entry.version)
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::release::Release;
    use drydock_config::release_notes::{NotesQuery, ReleaseNotes};
    use std::path::Path;

    fn v(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn only_own_crates_of_a_lock_file_change() {
        let lock = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"1.0.0\"\ndependencies = [\n \"other\",\n \"own-lib 1.0.0\",\n]\n\n\
            [[package]]\nname = \"own-lib\"\nversion = \"1.0.0\"\n\n[[package]]\nname = \"own-lib\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n\n\
            [[package]]\nname = \"other\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\n";
        let own = ["own", "own-lib"].map(str::to_owned).into();
        let found = cargo_lock(lock, &own, &v("1.0.0"), &v("1.1.0"));
        let expected =
            lock.replacen("version = \"1.0.0\"", "version = \"1.1.0\"", 2).replace("own-lib 1.0.0", "own-lib 1.1.0");
        assert_eq!(found, expected);
    }

    #[test]
    fn a_changelog_gets_an_entry_in_its_own_style() {
        let release = Release::parse("name: p\nversion: {}\narchives: [{format: zip}]\n", Path::new("x")).unwrap();
        let check = |text: &str, before: Option<&str>, notes: &str, expected: &str| {
            let (version, before) = (v("1.1"), before.map(v));
            let entry =
                NewEntry { version: &version, before: before.as_ref(), tag: &release.tag, date: "2026-06-01", notes };
            let found = changelog(text, &entry);
            assert_eq!(found, expected);
            let query = NotesQuery { file: "C", version: "1.1", tag: "v1.1" };
            ReleaseNotes::find(found.as_bytes(), query).unwrap();
        };
        check(
            "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A\n\n## [1.0] - 2026-01-01\n\n- old\n\n\
             [Unreleased]: https://h/compare/v1.0...HEAD\n[1.0]: https://h/releases/v1.0\n",
            Some("1.0"),
            "",
            "# Changelog\n\n## [Unreleased]\n\n## [1.1] - 2026-06-01\n\n### Added\n\n- A\n\n## [1.0] - 2026-01-01\n\n- old\n\n\
             [Unreleased]: https://h/compare/v1.1...HEAD\n[1.1]: https://h/compare/v1.0...v1.1\n[1.0]: https://h/releases/v1.0\n",
        );
        check(
            "# C\n\n## v1.0 (2026-01-01)\n- old\n",
            Some("1.0"),
            "- B\n",
            "# C\n\n## v1.1 (2026-06-01)\n\n- B\n\n## v1.0 (2026-01-01)\n- old\n",
        );
        check("", None, "- B\n", "## [1.1] - 2026-06-01\n\n- B\n");
        check(
            "# C\n\nText.\n",
            None,
            "### Fixed\n\n- B\n",
            "# C\n\nText.\n\n## [1.1] - 2026-06-01\n\n### Fixed\n\n- B\n",
        );
    }
}
