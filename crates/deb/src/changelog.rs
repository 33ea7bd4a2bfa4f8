//! Entries of `debian/changelog`, generated from the project's own changelog.
//!
//! deb-changelog(5).

use drydock_config::debversion::DebVersion;
use drydock_config::release::Version;

/// An entry of `debian/changelog`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangelogEntry {
    /// The name of the source package.
    pub source: String,
    /// The version of the package.
    pub version: DebVersion,
    /// The series that the package is for.
    pub series: String,
    /// The changes, each a paragraph without line breaks.
    pub changes: Vec<String>,
    /// The maintainer, `NAME <ADDRESS>`.
    pub maintainer: String,
    /// The date, in seconds since 1970.
    pub epoch: u64,
}

/// The longest line, in characters.
const MAX_WIDTH: usize = 78;

impl ChangelogEntry {
    /// The text of the entry.
    pub fn text(&self) -> String {
        format!("{}\n\n -- {}  {}\n", self.body(), self.maintainer, date(self.epoch))
    }

    /// The first line and the changes, as in `Changes` of `.changes`.
    pub fn body(&self) -> String {
        let mut text = format!("{} ({}) {}; urgency=medium\n", self.source, self.version, self.series);
        for change in &self.changes {
            text.push_str(&format!("\n{}", wrapped(change)));
        }
        text
    }
}

/// A date as in mail (RFC 5322): `Mon, 01 Jun 2026 12:00:00 +0000`.
pub fn date(epoch: u64) -> String {
    let seconds = i64::try_from(epoch).unwrap_or_default();
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

/// The change as an item, wrapped to [`MAX_WIDTH`].
fn wrapped(change: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::from("  *");
    for word in change.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > MAX_WIDTH && line.len() > 4 {
            lines.push(std::mem::replace(&mut line, "   ".to_owned()));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

/// The items under the heading of a version in the project's changelog, each with the name of its section.
///
/// The format is "Keep a Changelog": `## [1.2.0] - 2026-06-01`, `### Added`, `- an item`.
pub fn changes_in(changelog: &str, version: &Version) -> Vec<String> {
    let heading = |line: &str| {
        let words = line.trim_start_matches('#').trim();
        let named = words.trim_start_matches(['[', 'v']);
        let rest = named.strip_prefix(version.as_str());
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || ".~+-_".contains(c)))
    };
    let mut lines = changelog.lines().skip_while(|line| !(line.starts_with("## ") && heading(line))).skip(1);
    let mut changes: Vec<String> = Vec::new();
    let mut section = String::new();
    let mut open = false;
    for line in lines.by_ref().take_while(|line| !line.starts_with("## ")) {
        if let Some(name) = line.strip_prefix("### ") {
            section = format!("{}: ", name.trim());
            open = false;
        } else if let Some(item) = item_in(line, open) {
            changes.push(format!("{section}{item}"));
            open = true;
        } else if line.trim().is_empty() {
            open = false;
        } else if let (true, Some(last)) = (open, changes.last_mut()) {
            last.push(' ');
            last.push_str(line.trim());
        }
    }
    changes
}

/// The text of a line that begins an item of a list, as CommonMark has them: after up to three spaces, `-`, `*`, `+`, or up
/// to nine digits with `.` or `)`, then a blank. Under an item the line may be indented by more; nested items become
/// items of their own.
fn item_in(line: &str, under_an_item: bool) -> Option<&str> {
    let rest = line.trim_start_matches([' ', '\t']);
    let indentation = &line[..line.len() - rest.len()];
    if !under_an_item && (indentation.len() > 3 || indentation.contains('\t')) {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let after = if digits == 0 {
        rest.strip_prefix(['-', '*', '+'])?
    } else if digits <= 9 {
        rest[digits..].strip_prefix(['.', ')'])?
    } else {
        return None;
    };
    let item = after.strip_prefix([' ', '\t'])?.trim();
    (!item.is_empty()).then_some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_list_is_read() {
        let version = "26.06".parse().unwrap();
        for marker in ["-", "*", "+", "1.", "12)"] {
            for indentation in ["", " ", "   "] {
                let text = format!(
                    "## [26.06] - 2026-06-01: \"A Name\"\n\n### Added\n\n{indentation}{marker} config: option `--über` (#1)\n{indentation}{marker} more\n"
                );
                assert_eq!(
                    changes_in(&text, &version),
                    ["Added: config: option `--über` (#1)", "Added: more"],
                    "{text}"
                );
            }
        }
        let changes = |text: &str| changes_in(&format!("## 26.06\n\n{text}"), &version);
        assert_eq!(changes("- one\n    - nested\n      and on\n- two\n"), ["one", "nested and on", "two"]);
        for none in ["    - code\n", "-no\n", "1.5 is a number\n", "1234567890. too long\n", "---\n"] {
            assert_eq!(changes(none), Vec::<String>::new(), "{none}");
        }
    }

    const TEXT: &str = "\
# Changelog

## [Unreleased]

- not yet

## [0.3.0] - 2026-06-01

Words before.

### Added

- The plugin `http`, which serves the daemon's status
  on 127.0.0.1.
- Another.

### Fixed

- The answer.

## [0.3] - 2026-01-01

- old
";

    #[test]
    fn the_items_of_one_version_are_found() {
        let changes = |version: &str| changes_in(TEXT, &version.parse().unwrap());
        let expected = [
            "Added: The plugin `http`, which serves the daemon's status on 127.0.0.1.",
            "Added: Another.",
            "Fixed: The answer.",
        ];
        assert_eq!(changes("0.3.0"), expected);
        assert_eq!(changes("0.3"), ["old"]);
        assert!(changes("0.3.1").is_empty() && changes("3.0").is_empty());
    }

    #[test]
    fn an_entry_is_parsed_by_dpkg() {
        let entry = ChangelogEntry {
            source: "lanternd".into(),
            version: "0.3.0-1~debian12.1".parse().unwrap(),
            series: "bookworm".into(),
            changes: vec!["New upstream release.".into(), "word ".repeat(40)],
            maintainer: "A Name <name@example.org>".into(),
            epoch: 1_780_315_200,
        };
        let text = entry.text();
        assert!(text.lines().all(|line| line.chars().count() <= MAX_WIDTH + 2), "{text}");
        assert!(text.ends_with("\n -- A Name <name@example.org>  Mon, 01 Jun 2026 12:00:00 +0000\n"), "{text}");
        if !drydock_base::exec::is_installed("dpkg-parsechangelog") {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("changelog");
        std::fs::write(&path, &text).unwrap();
        let argv = ["dpkg-parsechangelog", "-l", path.to_str().unwrap()].map(str::to_owned);
        let parsed =
            super::super::control::parse_one(&drydock_base::exec::read(&argv, directory.path()).unwrap()).unwrap();
        let field = |name: &str| parsed.get(name).unwrap().to_owned();
        assert_eq!((field("Version"), field("Distribution")), ("0.3.0-1~debian12.1".into(), "bookworm".into()));
        assert_eq!(field("Timestamp"), "1780315200");
        assert_eq!(field("Changes").trim_start(), entry.body().trim_end());
    }
}
