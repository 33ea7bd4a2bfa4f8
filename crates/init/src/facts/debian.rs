//! `debian/`: who maintains the package, and for which series.

use super::Saw;
use crate::tree::Tree;

/// A Debian package that the project has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebianFacts {
    /// The directory with `control`, `rules` and `copyright`.
    pub directory: String,
    /// The maintainer, with the place.
    pub maintainer: Option<(String, Saw)>,
    /// The Debian revision of the newest entry of the changelog.
    pub revision: Option<String>,
    /// The distribution of that entry, with the place.
    pub distribution: Option<(String, Saw)>,
}

/// A series of a distribution: the code name, its number, and the distribution.
pub const SERIES: [(&str, &str, &str); 8] = [
    ("bookworm", "12", "debian"),
    ("trixie", "13", "debian"),
    ("forky", "14", "debian"),
    ("jammy", "22.04", "ubuntu"),
    ("noble", "24.04", "ubuntu"),
    ("plucky", "25.04", "ubuntu"),
    ("questing", "25.10", "ubuntu"),
    ("resolute", "26.04", "ubuntu"),
];
/// The series for packages that name none, or only `unstable`.
pub const USUAL_SERIES: &str = "trixie";

pub(super) fn find(tree: &Tree) -> Option<DebianFacts> {
    let directory = ["packaging/debian", "debian"].into_iter().find(|directory| {
        ["control", "rules", "copyright"].iter().all(|file| tree.has(&format!("{directory}/{file}")))
    })?;
    let control = format!("{directory}/control");
    let text = tree.text(&control).unwrap_or_default();
    let maintainer = text.lines().enumerate().find_map(|(number, line)| {
        let name = line.strip_prefix("Maintainer:")?.trim();
        Some((name.to_owned(), Saw::line(&control, number + 1, line)))
    });
    let changelog = format!("{directory}/changelog");
    let newest = tree.text(&changelog).unwrap_or_default();
    let newest = newest.lines().enumerate().find(|(_, line)| !line.trim().is_empty());
    // lamp (1.2-3) unstable; urgency=medium
    let entry = newest.and_then(|(number, line)| {
        let (name, rest) = line.split_once(" (")?;
        let (version, rest) = rest.split_once(") ")?;
        let distribution = rest.split([';', ' ']).next()?.split('-').next()?.to_owned();
        (!name.contains(' ')).then(|| (version.to_owned(), distribution, Saw::line(&changelog, number + 1, line)))
    });
    let revision = entry.as_ref().and_then(|(version, _, _)| Some(version.rsplit_once('-')?.1.to_owned()));
    Some(DebianFacts {
        directory: directory.to_owned(),
        maintainer,
        revision,
        distribution: entry.map(|(_, distribution, saw)| (distribution, saw)),
    })
}

/// A maintainer as the declaration takes it: a name and an address in angle brackets, without what would need quotes.
pub(crate) fn is_address(text: &str) -> bool {
    text.strip_suffix('>').and_then(|text| text.split_once(" <")).is_some_and(|(name, address)| {
        !name.is_empty() && address.contains('@') && !text.contains(['\n', '"', ',']) && !address.contains([' ', '<'])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_from_its_control_and_changelog() {
        let tree = Tree::from_texts([
            ("debian/control", "Source: lamp\nMaintainer: A Name <a@example.org>\n"),
            ("debian/rules", "#!/usr/bin/make -f\n"),
            ("debian/copyright", ""),
            ("debian/changelog", "lamp (1:1.2-3ubuntu1) noble-updates; urgency=low\n"),
        ]);
        let found = find(&tree).unwrap();
        assert_eq!(found.directory, "debian");
        assert_eq!(found.maintainer.unwrap().0, "A Name <a@example.org>");
        assert_eq!((found.revision.as_deref(), found.distribution.unwrap().0.as_str()), (Some("3ubuntu1"), "noble"));
        assert!(find(&Tree::from_texts([("debian/control", "Source: lamp\n")])).is_none());
        for (text, expected) in [("A <a@b>", true), ("A", false), ("<a@b>", false), ("A \"B\" <a@b>", false)] {
            assert_eq!(is_address(text), expected, "{text}");
        }
    }
}
