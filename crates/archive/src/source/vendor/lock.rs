//! `Cargo.lock`, as far as vendoring needs it.

use serde::Deserialize;

/// The packages that a lock file pins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The version of the file's format; 4 needs cargo 1.78.
    pub format: u32,
    /// The packages that come from a registry.
    pub packages: Vec<Package>,
}

/// A package of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// The SHA-256 checksum of the `.crate` file, in hexadecimal.
    pub checksum: String,
}

/// Why a lock file cannot be vendored from. Packages are named as `NAME VERSION`.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file is not TOML, or not shaped like a lock file.
    #[error("not a Cargo.lock: {0}")]
    Malformed(String),
    /// A name or version has characters that cargo does not allow, such as a `/`.
    #[error("invalid package {0:?}")]
    InvalidPackage(String),
    /// A package of a registry has no checksum.
    #[error("{0} has no `checksum`")]
    NoChecksum(String),
    /// A package comes from elsewhere, such as a git repository.
    #[error("{0} comes from {1}; only registries have checksums, so publish it, or copy it into the sources")]
    NotFromRegistry(String, String),
}

/// A lock file as written.
#[derive(Deserialize)]
struct LockFile {
    version: Option<u32>,
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: String,
    source: Option<String>,
    checksum: Option<String>,
}

impl Lock {
    /// Parses a lock file.
    ///
    /// # Errors
    /// [`LockError`]
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        let file: LockFile = toml::from_str(text).map_err(|error| LockError::Malformed(error.message().to_owned()))?;
        // Cargo writes no `version` in formats 1 and 2.
        let mut lock = Lock { format: file.version.unwrap_or(2), packages: Vec::new() };
        for LockedPackage { name, version, source, checksum } in file.package {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte));
            if !plain(&name) || !plain(&version) || name.is_empty() || name.contains("..") {
                return Err(LockError::InvalidPackage(format!("{name} {version}")));
            }
            match source {
                // A package of the project itself.
                None => {}
                Some(source) if source.starts_with("registry+") || source.starts_with("sparse+") => match checksum {
                    Some(checksum) => lock.packages.push(Package { name, version, checksum }),
                    None => return Err(LockError::NoChecksum(format!("{name} {version}"))),
                },
                Some(origin) => return Err(LockError::NotFromRegistry(format!("{name} {version}"), origin)),
            }
        }
        Ok(lock)
    }
}
