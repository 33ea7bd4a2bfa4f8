//! All crates that a `Cargo.lock` names, of whatever origin, and which of them each uses.

use serde::Deserialize;

use super::LockError;

/// A crate of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedCrate {
    /// The name.
    pub name: String,
    /// The version.
    pub version: String,
    /// The origin as cargo writes it; none for the project's own crates.
    pub source: Option<String>,
    /// The SHA-256 checksum of the `.crate` file, in hexadecimal.
    pub checksum: Option<String>,
    /// The places in the list of the crates that it depends on.
    pub uses: Vec<usize>,
}

#[derive(Deserialize)]
struct LockFile {
    #[serde(default)]
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Reads all crates of a lock file.
///
/// # Errors
/// The text is not a lock file, or a crate depends on one that it does not name.
pub fn locked_crates(text: &str) -> Result<Vec<LockedCrate>, LockError> {
    let file: LockFile = toml::from_str(text).map_err(|error| LockError::Malformed(error.message().to_owned()))?;
    // `NAME`, `NAME VERSION` or `NAME VERSION (SOURCE)`: as much as tells it from others.
    let place = |wanted: &str| {
        let mut words = wanted.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        let version = words.next();
        let source = words.next().map(|source| source.trim_matches(['(', ')']));
        file.package.iter().position(|one| {
            one.name == name
                && version.is_none_or(|version| one.version == version)
                && source.is_none_or(|source| one.source.as_deref().is_some_and(|own| own.starts_with(source)))
        })
    };
    let mut crates = Vec::new();
    for one in &file.package {
        let uses: Result<Vec<usize>, LockError> = one
            .dependencies
            .iter()
            .map(|wanted| {
                let missing =
                    || LockError::Malformed(format!("{} depends on {wanted}, which it does not have", one.name));
                place(wanted).ok_or_else(missing)
            })
            .collect();
        crates.push(LockedCrate {
            name: one.name.clone(),
            version: one.version.clone(),
            source: one.source.clone(),
            checksum: one.checksum.clone(),
            uses: uses?,
        });
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_found_among_crates_of_one_name() {
        let text = "[[package]]\nname = \"own\"\nversion = \"1.0.0\"\ndependencies = [\"a 2.0.0\", \"b\"]\n\
            [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\nchecksum = \"00\"\n\
            [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nsource = \"git+https://x#1\"\n\
            [[package]]\nname = \"b\"\nversion = \"1.0.0\"\nsource = \"registry+x\"\ndependencies = [\"a 1.0.0 (registry+x)\"]\n";
        let found = locked_crates(text).unwrap();
        let uses: Vec<&[usize]> = found.iter().map(|one| one.uses.as_slice()).collect();
        let expected: [&[usize]; 4] = [&[2, 3], &[], &[], &[1]];
        assert_eq!(uses, expected);
        // A crate that was removed from the list is missed.
        let cut = text.replace("[[package]]\nname = \"b\"", "[[package]]\nname = \"c\"");
        assert!(locked_crates(&cut).unwrap_err().to_string().contains("own depends on b"));
    }
}
