//! The files that a new version changes: version files, lock files of Cargo, and the changelog. All functions are of text to text.

use std::collections::BTreeSet;

use drydock_config::release::{Version, VersionText};
use drydock_config::release_notes::{HeadingKind, HeadingPlace};

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
    /// The version before, for the links at the end.
    pub before: Option<&'a Version>,
    /// The name of tags.
    pub tag: &'a VersionText,
    /// The date, as `2026-06-01`.
    pub date: &'a str,
    /// The changes to add, as Markdown; empty if they are below the heading `Unreleased` already.
    pub notes: &'a str,
}

/// The changelog with a new entry: what was unreleased, and the notes. A heading `Unreleased` stays, with nothing below it; the links at
/// the end are continued. The heading is written as that of the newest release is, in whatever notation.
pub fn changelog(text: &str, entry: &NewEntry<'_>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let headings = HeadingPlace::all(text);
    let names = |heading: &&HeadingPlace| lines[heading.line - 1].to_lowercase().contains("unreleased");
    let unreleased = headings.iter().filter(|heading| heading.kind == HeadingKind::Unreleased).find(names);
    let is_release = |heading: &&HeadingPlace| heading.level <= 3 && matches!(heading.kind, HeadingKind::Release(_, _));
    let first_release = headings.iter().find(is_release);
    let heading = first_release
        .and_then(|place| like(place, &lines, entry))
        .unwrap_or_else(|| usual(unreleased.map(|place| place.level), entry));
    let is_link = |line: &&str| line.starts_with('[') && line.contains("]: ");
    let end = first_release.map(|place| place.first - 1);
    let end = end.or_else(|| lines.iter().position(is_link)).unwrap_or(lines.len());
    let (before, body) = match unreleased {
        Some(place) if place.last <= end => (&lines[..place.last], &lines[place.last..end]),
        Some(_) | None => (&lines[..end], &lines[..0]),
    };
    let mut parts = vec![before.join("\n").trim_end().to_owned(), heading];
    let (body, notes) = (body.join("\n"), entry.notes.trim_end());
    parts.extend([body.trim(), notes.trim()].into_iter().filter(|part| !part.is_empty()).map(str::to_owned));
    parts.push(lines[end..].iter().map(|line| linked(line, entry)).collect::<Vec<_>>().join("\n"));
    parts.retain(|part| !part.is_empty());
    format!("{}\n", parts.join("\n\n").trim_end())
}

/// The heading of the usual form.
fn usual(level: Option<usize>, entry: &NewEntry<'_>) -> String {
    format!("{} [{}] - {}", "#".repeat(level.unwrap_or(2)), entry.version, entry.date)
}

/// A heading as that of another release is written: its words before the version, its date, its underline.
fn like(place: &HeadingPlace, lines: &[&str], entry: &NewEntry<'_>) -> Option<String> {
    let HeadingKind::Release(other, dated) = &place.kind else { return None };
    let line = lines.get(place.line - 1)?;
    let (head, tail) = line.split_once(other.as_str())?;
    let close = tail.chars().next().filter(|letter| *letter == ']').map(String::from).unwrap_or_default();
    let date = match (dated, tail.contains('(')) {
        (true, true) => format!(" ({})", entry.date),
        (true, false) => format!(" - {}", entry.date),
        (false, _) => String::new(),
    };
    // What ends every heading: `[stable]` of GNU, and the signs of wikis.
    let words = tail.trim_end();
    let signs = &words[words.trim_end_matches('=').len()..];
    let ends = if words.ends_with("[stable]") { " [stable]".to_owned() } else { String::new() };
    let signs = if signs.is_empty() { String::new() } else { format!(" {signs}") };
    let title = format!("{head}{}{close}{date}{ends}{signs}", entry.version);
    let row = |number: usize| {
        let letter = lines.get(number - 1).and_then(|line| line.chars().next()).unwrap_or('-');
        letter.to_string().repeat(title.chars().count())
    };
    let mut rows = Vec::new();
    rows.extend((place.first < place.line).then(|| row(place.first)));
    rows.push(title.clone());
    rows.extend((place.last > place.line).then(|| row(place.last)));
    Some(rows.join("\n"))
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
        for (old, new) in [
            ("Version 1.0 (1 Jan 2026)", "Version 1.1 (2026-06-01)"),
            ("Changes in 1.0", "Changes in 1.1"),
            ("== 1.0 ==", "== 1.1 =="),
            ("1.0\n===", "1.1\n==="),
            ("++++++\np 1.0\n++++++", "+++++\np 1.1\n+++++"),
            ("p 1.0\n~~~~~~", "p 1.1\n~~~~~"),
            (
                "* Noteworthy changes in release 1.0 (2026-01-01) [stable]",
                "* Noteworthy changes in release 1.1 (2026-06-01) [stable]",
            ),
        ] {
            let text = format!("NEWS of p.\n\n{old}\n\n- old\n");
            check(&text, Some("1.0"), "- B\n", &format!("NEWS of p.\n\n{new}\n\n- B\n\n{old}\n\n- old\n"));
        }
        check(
            "# C\n\nText.\n",
            None,
            "### Fixed\n\n- B\n",
            "# C\n\nText.\n\n## [1.1] - 2026-06-01\n\n### Fixed\n\n- B\n",
        );
    }
}
