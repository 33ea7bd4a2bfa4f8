//! Whether packages would work where they are put: what they depend on against what is installed and comes with them.
//!
//! Debian Policy, sections 7.2 (Depends, Pre-Depends), 7.3 and 7.4 (Breaks, Conflicts), 7.5 (Provides); dpkg's status file
//! (dpkg-query(1)), Multi-Arch as in https://wiki.debian.org/Multiarch.

use super::control::{self, Paragraph};
use super::version::DebVersion;

/// A package that is there or will be.
#[derive(Debug, Clone)]
pub struct Installed {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: DebVersion,
    architecture: String,
    multi_arch: String,
    provides: Vec<Relation>,
    /// What it does not bear beside it: the field, what is meant, and how that is written.
    refuses: Vec<(&'static str, Vec<Relation>, String)>,
}

/// One alternative of a relation: `NAME[:ARCHITECTURE] [(OPERATOR VERSION)]`.
#[derive(Debug, Clone)]
pub struct Relation {
    name: String,
    architecture: Option<String>,
    version: Option<(Operator, DebVersion)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Earlier,
    EarlierOrEqual,
    Equal,
    LaterOrEqual,
    Later,
}

impl Operator {
    fn holds(self, found: &DebVersion, wanted: &DebVersion) -> bool {
        match self {
            Operator::Earlier => found < wanted,
            Operator::EarlierOrEqual => found <= wanted,
            Operator::Equal => found == wanted,
            Operator::LaterOrEqual => found >= wanted,
            Operator::Later => found > wanted,
        }
    }
}

/// What keeps a package from working.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// The package.
    pub package: String,
    /// Its field.
    pub field: &'static str,
    /// The relation, as it is written.
    pub relation: String,
    /// What there is instead.
    pub found: String,
}

impl std::fmt::Display for Unmet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}; {}", self.package, self.field, self.relation, self.found)
    }
}

impl Installed {
    /// What a paragraph of a status file, or of a package, says.
    ///
    /// # Errors
    /// In words, the field that is missing or cannot be read.
    pub fn of(paragraph: &Paragraph) -> Result<Installed, String> {
        let field = |name: &str| paragraph.line(name).ok_or_else(|| format!("a package without {name}"));
        let mut refuses = Vec::new();
        for field in ["Conflicts", "Breaks"] {
            let text = paragraph.line(field).unwrap_or_default();
            refuses.extend(groups(&text)?.into_iter().map(|(group, written)| (field, group, written)));
        }
        Ok(Installed {
            name: field("Package")?,
            version: field("Version")?.parse()?,
            architecture: paragraph.line("Architecture").unwrap_or_default(),
            multi_arch: paragraph.line("Multi-Arch").unwrap_or_default(),
            provides: alternatives(&paragraph.line("Provides").unwrap_or_default())?.into_iter().flatten().collect(),
            refuses,
        })
    }

    /// The installed packages of a status file; those without a status are taken for installed.
    ///
    /// # Errors
    /// As [`Installed::of`].
    pub fn all(text: &str) -> Result<Vec<Installed>, String> {
        let is_installed = |one: &&Paragraph| {
            one.line("Status")
                .is_none_or(|status| status.ends_with(" installed") || status.ends_with(" triggers-pending"))
        };
        control::parse(text)?.iter().filter(is_installed).map(Installed::of).collect()
    }

    /// Whether it satisfies a relation of a package of that architecture.
    fn satisfies(&self, relation: &Relation, architecture: &str) -> bool {
        let fits = |wanted: &Option<(Operator, DebVersion)>, found: Option<&DebVersion>| match wanted {
            None => true,
            Some((operator, version)) => found.is_some_and(|found| operator.holds(found, version)),
        };
        let right = match relation.architecture.as_deref() {
            Some("any") => self.multi_arch == "allowed" || self.is_for(architecture),
            Some(other) => self.architecture == other,
            None => self.is_for(architecture),
        };
        if self.name == relation.name {
            return right && fits(&relation.version, Some(&self.version));
        }
        // Only a provision with a version satisfies a relation with one.
        right
            && self.provides.iter().any(|provided| {
                let version = provided.version.as_ref().map(|(_, version)| version);
                provided.name == relation.name && fits(&relation.version, version)
            })
    }

    fn is_for(&self, architecture: &str) -> bool {
        self.architecture == architecture || self.architecture == "all" || self.multi_arch == "foreign"
    }
}

/// What the packages need and is not there, and what they do not bear beside them; all at once.
///
/// # Errors
/// A relation that cannot be read.
pub fn unmet(packages: &[&Paragraph], base: &[Installed], architecture: &str) -> Result<Vec<Unmet>, String> {
    let own: Vec<Installed> = packages.iter().map(|one| Installed::of(one)).collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (paragraph, one) in packages.iter().zip(&own) {
        let all = || base.iter().chain(&own);
        for field in ["Pre-Depends", "Depends"] {
            let text = paragraph.line(field).unwrap_or_default();
            for (group, written) in groups(&text)? {
                if all().any(|there| group.iter().any(|relation| there.satisfies(relation, architecture))) {
                    continue;
                }
                let near: Vec<String> = all()
                    .filter(|there| group.iter().any(|relation| relation.name == there.name))
                    .map(|there| format!("there is {} {}", there.name, there.version))
                    .collect();
                let near = if near.is_empty() { "it is not there".to_owned() } else { near.join(", ") };
                found.push(Unmet { package: one.name.clone(), field, relation: written, found: near });
            }
        }
        let hits = |group: &[Relation], one: &Installed, other: &Installed| {
            other.name != one.name && group.iter().any(|relation| other.satisfies(relation, architecture))
        };
        for (field, group, written) in &one.refuses {
            if let Some(there) = all().find(|there| hits(group, one, there)) {
                let what = format!("there is {} {}", there.name, there.version);
                found.push(Unmet { package: one.name.clone(), field, relation: written.clone(), found: what });
            }
        }
        // What is there has not been asked either.
        for there in base {
            for (field, _, written) in there.refuses.iter().filter(|(_, group, _)| hits(group, there, one)) {
                let what = format!("{} {} would be beside it", one.name, one.version);
                found.push(Unmet { package: there.name.clone(), field, relation: written.clone(), found: what });
            }
        }
    }
    Ok(found)
}

/// The relations of a field, each with its alternatives and as it is written.
fn groups(text: &str) -> Result<Vec<(Vec<Relation>, String)>, String> {
    let written = text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
    Ok(alternatives(text)?.into_iter().zip(written).collect())
}

fn alternatives(text: &str) -> Result<Vec<Vec<Relation>>, String> {
    let groups = text.split(',').map(str::trim).filter(|group| !group.is_empty());
    groups.map(|group| group.split('|').map(|one| relation(one.trim())).collect()).collect()
}

fn relation(text: &str) -> Result<Relation, String> {
    let wrong = || format!("the relation `{text}` cannot be read");
    let (name, version) = match text.split_once('(') {
        None => (text, None),
        Some((name, rest)) => {
            let inside = rest.trim_end().strip_suffix(')').ok_or_else(wrong)?.trim();
            let operators = [
                ("<<", Operator::Earlier),
                ("<=", Operator::EarlierOrEqual),
                (">=", Operator::LaterOrEqual),
                (">>", Operator::Later),
                ("=", Operator::Equal),
            ];
            let found = operators.into_iter().find_map(|(sign, operator)| Some((operator, inside.strip_prefix(sign)?)));
            let (operator, version) = found.ok_or_else(wrong)?;
            (name.trim_end(), Some((operator, version.trim().parse().map_err(|_| wrong())?)))
        }
    };
    let (name, architecture) = match name.split_once(':') {
        Some((name, architecture)) => (name, Some(architecture.to_owned())),
        None => (name, None),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(wrong());
    }
    Ok(Relation { name: name.to_owned(), architecture, version })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9

Package: mawk
Status: install ok installed
Architecture: amd64
Version: 1.3
Provides: awk, versioned-awk (= 2.0)

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
Breaks: mine

Package: perl-base
Status: install ok installed
Architecture: amd64
Multi-Arch: foreign
Version: 5.36
Breaks: mine (<< 1.0), old-mine (<< 3)

Package: arm
Status: install ok installed
Architecture: arm64
Version: 1
";

    #[track_caller]
    fn check(field: &'static str, relation: &str, expected: Option<&str>) {
        let mut paragraph = Paragraph::new();
        for (name, value) in [("Package", "mine"), ("Version", "1.0-1"), ("Architecture", "amd64"), (field, relation)] {
            paragraph.set(name, value);
        }
        let found = unmet(&[&paragraph], &Installed::all(BASE).unwrap(), "amd64").unwrap();
        assert_eq!(found.first().map(|one| one.found.as_str()), expected, "{relation}");
        assert!(found.len() <= 1, "{found:?}");
    }

    #[test]
    fn relations_are_those_of_dpkg() {
        check("Depends", "libc6", None);
        check("Depends", "libc6 (>= 2.36), libc6 (<< 3)", None);
        check("Depends", "libc6 (>= 2.38)", Some("there is libc6 2.36-9"));
        check("Depends", "libc6 (= 2.36-9)", None);
        check("Pre-Depends", "libc6 (>> 2.36-9) | awk", None);
        check("Depends", "awk (>= 1)", Some("it is not there"));
        check("Depends", "versioned-awk (>= 1)", None);
        check("Depends", "gone", Some("it is not there"));
        check("Depends", "mine (= 1.0-1)", None);
        check("Depends", "perl-base:any", None);
        check("Depends", "arm", Some("there is arm 1"));
        check("Depends", "arm:arm64", None);
        check("Conflicts", "mine, mawk (>= 2)", None);
        check("Breaks", "mawk (<< 2)", Some("there is mawk 1.3"));
        check("Conflicts", "awk", Some("there is mawk 1.3"));
        check("Provides", "old-mine (= 2)", Some("mine 1.0-1 would be beside it"));
        check("Provides", "old-mine (= 3)", None);
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for text in ["libc6 (2)", "libc6 (>= ", "(>= 1)", "a b", "libc6 (>= a b)"] {
            assert!(groups(text).is_err(), "{text}");
        }
        assert!(Installed::all("Package: x\n").unwrap_err().contains("without Version"));
    }
}
