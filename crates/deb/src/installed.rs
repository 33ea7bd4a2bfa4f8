//! Whether packages can be installed: their relations are checked against installed packages and each other.
//!
//! Debian Policy, sections 7.2 (Depends, Pre-Depends), 7.3 and 7.4 (Breaks, Conflicts), 7.5 (Provides); dpkg's status file
//! (dpkg-query(1)), Multi-Arch as in https://wiki.debian.org/Multiarch.

use super::control::{self, ControlError, Paragraph};
use super::relation::{Group, Operator, Relation, RelationError, parse_binary};
use drydock_config::debversion::{BadDebVersion, DebVersion};

/// A package that is installed or would be.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: DebVersion,
    architecture: String,
    multi_arch: String,
    provides: Vec<Relation>,
    /// The groups of `Conflicts` and `Breaks`, each with its field.
    excludes: Vec<(&'static str, Group)>,
}

/// A relation that keeps a package from being installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnmetRelation {
    /// The package that has the relation.
    pub package: String,
    /// The field, such as `Depends`.
    pub field: &'static str,
    /// The relation as written.
    pub relation: String,
    /// A description of what was found instead.
    pub found: String,
}

impl std::fmt::Display for UnmetRelation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}; {}", self.package, self.field, self.relation, self.found)
    }
}

/// Why the relations of packages cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum InstalledError {
    /// The status file cannot be parsed.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A package lacks a field.
    #[error("a package has no {0}")]
    MissingField(&'static str),
    /// A package has an invalid version.
    #[error(transparent)]
    Version(#[from] BadDebVersion),
    /// A relation cannot be parsed.
    #[error(transparent)]
    Relation(#[from] RelationError),
}

impl Installed {
    /// A package from its paragraph in a status file or in its own control file.
    ///
    /// # Errors
    /// A field is missing or cannot be parsed.
    pub fn new(paragraph: &Paragraph) -> Result<Installed, InstalledError> {
        let field = |name| paragraph.line(name).ok_or(InstalledError::MissingField(name));
        let mut excludes = Vec::new();
        for field in ["Conflicts", "Breaks"] {
            let text = paragraph.line(field).unwrap_or_default();
            excludes.extend(parse_binary(&text)?.into_iter().map(|group| (field, group)));
        }
        let provides = parse_binary(&paragraph.line("Provides").unwrap_or_default())?;
        Ok(Installed {
            name: field("Package")?,
            version: field("Version")?.parse()?,
            architecture: paragraph.line("Architecture").unwrap_or_default(),
            multi_arch: paragraph.line("Multi-Arch").unwrap_or_default(),
            provides: provides.into_iter().flat_map(|group| group.alternatives).collect(),
            excludes,
        })
    }

    /// The installed packages of a status file. A package without `Status` counts as installed.
    ///
    /// # Errors
    /// As [`Installed::new`].
    pub fn all(text: &str) -> Result<Vec<Installed>, InstalledError> {
        let is_installed = |one: &&Paragraph| {
            one.line("Status")
                .is_none_or(|status| status.ends_with(" installed") || status.ends_with(" triggers-pending"))
        };
        control::parse(text)?.iter().filter(is_installed).map(Installed::new).collect()
    }

    /// Whether this package satisfies a relation of a package of that architecture.
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
        // A relation with a version needs a `Provides` with a version.
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

/// All unmet dependencies and conflicts of packages that would be installed on top of `base`.
///
/// # Errors
/// As [`Installed::new`].
pub fn unmet_relations(
    packages: &[&Paragraph],
    base: &[Installed],
    architecture: &str,
) -> Result<Vec<UnmetRelation>, InstalledError> {
    let own: Vec<Installed> = packages.iter().map(|one| Installed::new(one)).collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for (paragraph, one) in packages.iter().zip(&own) {
        let all = || base.iter().chain(&own);
        let unmet = |package: &Installed, field, relation: &Group, found| UnmetRelation {
            package: package.name.clone(),
            field,
            relation: relation.text.clone(),
            found,
        };
        for field in ["Pre-Depends", "Depends"] {
            let text = paragraph.line(field).unwrap_or_default();
            for group in parse_binary(&text)? {
                let alternatives = &group.alternatives;
                if all().any(|there| alternatives.iter().any(|relation| there.satisfies(relation, architecture))) {
                    continue;
                }
                let near: Vec<String> = all()
                    .filter(|there| alternatives.iter().any(|relation| relation.name == there.name))
                    .map(|there| format!("found {} {}", there.name, there.version))
                    .collect();
                let near = if near.is_empty() { "not found".to_owned() } else { near.join(", ") };
                found.push(unmet(one, field, &group, near));
            }
        }
        let excludes = |group: &Group, one: &Installed, other: &Installed| {
            other.name != one.name && group.alternatives.iter().any(|relation| other.satisfies(relation, architecture))
        };
        for (field, group) in &one.excludes {
            if let Some(there) = all().find(|there| excludes(group, one, there)) {
                found.push(unmet(one, field, group, format!("found {} {}", there.name, there.version)));
            }
        }
        // Installed packages may exclude the new ones as well.
        for there in base {
            for (field, group) in there.excludes.iter().filter(|(_, group)| excludes(group, there, one)) {
                found.push(unmet(there, field, group, format!("found {} {}", one.name, one.version)));
            }
        }
    }
    Ok(found)
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
        let found = unmet_relations(&[&paragraph], &Installed::all(BASE).unwrap(), "amd64").unwrap();
        assert_eq!(found.first().map(|one| one.found.as_str()), expected, "{relation}");
        assert!(found.len() <= 1, "{found:?}");
    }

    #[test]
    fn relations_mean_what_they_mean_to_dpkg() {
        check("Depends", "libc6", None);
        check("Depends", "libc6 (>= 2.36), libc6 (<< 3)", None);
        check("Depends", "libc6 (>= 2.38)", Some("found libc6 2.36-9"));
        check("Depends", "libc6 (= 2.36-9)", None);
        check("Pre-Depends", "libc6 (>> 2.36-9) | awk", None);
        check("Depends", "awk (>= 1)", Some("not found"));
        check("Depends", "versioned-awk (>= 1)", None);
        check("Depends", "gone", Some("not found"));
        check("Depends", "mine (= 1.0-1)", None);
        check("Depends", "perl-base:any", None);
        check("Depends", "arm", Some("found arm 1"));
        check("Depends", "arm:arm64", None);
        check("Conflicts", "mine, mawk (>= 2)", None);
        check("Breaks", "mawk (<< 2)", Some("found mawk 1.3"));
        check("Conflicts", "awk", Some("found mawk 1.3"));
        check("Provides", "old-mine (= 2)", Some("found mine 1.0-1"));
        check("Provides", "old-mine (= 3)", None);
    }

    #[test]
    fn a_missing_field_is_named() {
        assert!(matches!(Installed::all("Package: x\n"), Err(InstalledError::MissingField("Version"))));
    }
}
