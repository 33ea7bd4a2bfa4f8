//! What dpkg reads in the generated entries.

use drydock_config::release_notes::{NotesQuery, ReleaseNotes};

use super::*;
use crate::control;

/// Changes as people write them, with the lines in `debian/changelog`.
const CHANGES: [(&str, &[&str]); 8] = [
    (" - config: new option `--example` (#1)\n", &["  * config: new option `--example` (#1)"]),
    (
        "### Added\n\n- one\n  - two\n    * three\n      1. four\n",
        &["  * Added: one", "    - two", "      + three", "        + four"],
    ),
    ("### Added\n- one\n\n  more\n  - two\n\n  again\n", &["  * Added: one", "    more", "    - two", "    again"]),
    ("- - one\n    - two\n- three\n", &["    - one", "      + two", "  * three"]),
    ("- run it:\n\n  ```\n  a   b\n\n   -- c  d\n  ```\n", &["  * run it:", "    a   b", "", "     -- c  d"]),
    ("### Added\n    code\n", &["  * Added:", "    code"]),
    (
        "vim: set x:\n\n -- A Name <x@y>  Mon, 01 Jun 2026 12:00:00 +0000\n",
        &["  * vim: set x:", "  * -- A Name x@y Mon, 01 Jun 2026 12:00:00 +0000"],
    ),
    (
        "- x (1.0) unstable; urgency=low\n- Closes: #1, LP: #2\n",
        &["  * x (1.0) unstable; urgency=low", "  * Closes: #1, LP: #2"],
    ),
];

fn entry(changes: Vec<NoteItem>) -> ChangelogEntry {
    ChangelogEntry {
        source: "lanternd".into(),
        version: "0.3.0-1~debian12.1".parse().unwrap(),
        series: "bookworm".into(),
        changes,
        maintainer: "Ann Ünder <name@example.org>".into(),
        epoch: 1_780_315_200,
    }
}

fn notes(text: &str) -> Vec<NoteItem> {
    let text = format!("# Log\n\n## [26.06] - 2026-06-01: \"A Name\"\n\n{text}\n\n## [26.05.1]\n\n- old\n");
    let query = NotesQuery { file: "CHANGELOG.md", version: "26.06", tag: "v26.06" };
    ReleaseNotes::find(text.as_bytes(), query).unwrap_or_else(|error| panic!("{error}\n{text}")).items
}

/// What `dpkg-parsechangelog` reads in a file with these entries, the first of them; `None` without the program.
fn parsed(entries: &[ChangelogEntry]) -> Option<control::Paragraph> {
    if !drydock_base::exec::is_installed("dpkg-parsechangelog") {
        assert!(std::env::var_os("CI").is_none(), "dpkg-parsechangelog is missing; install dpkg-dev");
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("changelog");
    std::fs::write(&path, entries.iter().map(ChangelogEntry::text).collect::<Vec<_>>().join("\n")).unwrap();
    // dpkg warns of what it does not understand, and goes on.
    let output = std::process::Command::new("dpkg-parsechangelog").arg("-l").arg(&path).output().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && warnings.is_empty(), "{warnings}{}", std::fs::read_to_string(&path).unwrap());
    Some(control::parse_one(&String::from_utf8(output.stdout).unwrap()).unwrap())
}

#[test]
fn changes_are_read_by_dpkg_as_they_are_written() {
    let mut all = vec![NoteItem::paragraph("New upstream release.".into())];
    for (text, expected) in CHANGES {
        let entry = entry(notes(text));
        let body = entry.body();
        assert_eq!(body.lines().skip(2).collect::<Vec<_>>(), expected, "{text}");
        all.extend(entry.changes);
    }
    // Words are wrapped, also those of languages without spaces; what has no place to break is not.
    let (german, chinese) = ("Größe und Länge über alles. ".repeat(12), "改进了日志的输出。".repeat(12));
    let (url, code) = (format!("https://example.org/{}", "x".repeat(90)), format!("    {}", "a b ".repeat(30)));
    let long = format!("### Fixed\n- {german}\n  - {chinese}\n- {url} that\n\ncode:\n\n{code}\n");
    let wrapped = entry(notes(&long));
    let lines = wrapped.body();
    let too_long: Vec<&str> = lines.lines().filter(|line| columns(line) > MAX_WIDTH).map(str::trim).collect();
    assert_eq!(too_long, [url.clone(), "a b ".repeat(30).trim().to_owned()], "{lines}");
    assert!(lines.lines().count() > 10 && lines.lines().any(|line| columns(line) > MAX_WIDTH - 8), "{lines}");
    let words = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
    assert_eq!(
        words(&lines[lines.find('\n').unwrap()..]),
        words(&long.replace("code", "Fixedcode").replace("https", "Fixedhttps")),
        "{lines}"
    );
    all.extend(wrapped.changes);

    let entry = entry(all);
    let older = ChangelogEntry { version: "0.2.0-1".parse().unwrap(), ..entry.clone() };
    let Some(parsed) = parsed(&[entry.clone(), older]) else { return };
    let field = |name: &str| parsed.get(name).unwrap().to_owned();
    assert_eq!((field("Version"), field("Distribution")), ("0.3.0-1~debian12.1".into(), "bookworm".into()));
    assert_eq!((field("Timestamp"), field("Maintainer")), ("1780315200".into(), "Ann Ünder <name@example.org>".into()));
    let empty_lines =
        |text: &str| text.lines().map(|line| if line == "." { "" } else { line }).collect::<Vec<_>>().join("\n");
    assert_eq!(empty_lines(field("Changes").trim_start()), entry.body().trim_end());
    assert!(entry.text().ends_with("\n -- Ann Ünder <name@example.org>  Mon, 01 Jun 2026 12:00:00 +0000\n"));
}
