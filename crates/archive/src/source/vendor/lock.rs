//! `Cargo.lock`, as far as vendoring needs it.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The addresses of crates.io in lock files.
const CRATES_IO: [&str; 2] =
    ["registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/"];

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
    #[error("not a Cargo.lock: {0}; write it anew with `cargo generate-lockfile`")]
    Malformed(String),
    /// A name or version has characters that cargo does not allow, such as a `/`.
    #[error("invalid package {0:?}")]
    InvalidPackage(String),
    /// A package of a registry has no checksum.
    #[error("{0} has no `checksum`; write the lock file anew with `cargo update --workspace`")]
    NoChecksum(String),
    /// A package comes from a registry other than crates.io, by its address.
    #[error(
        "{0} comes from the registry {1}; only crates of crates.io are shipped, so publish it there, or copy it into the sources"
    )]
    OtherRegistry(String, String),
    /// A package comes from elsewhere, such as a git repository.
    #[error("{0} comes from {1}; only registries have checksums, so publish it, or copy it into the sources")]
    NotFromRegistry(String, String),
}

/// A lock file as written.
#[derive(Deserialize)]
struct LockFile {
    version: Option<u32>,
    #[serde(default)]
    package: Vec<LockedPackage>,
    /// Where the oldest files have the project itself.
    root: Option<toml::Value>,
    /// Where format 1 has the checksums: `checksum NAME VERSION (SOURCE)`.
    #[serde(default)]
    metadata: BTreeMap<String, toml::Value>,
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
        if file.package.is_empty() && file.root.is_none() {
            return Err(LockError::Malformed("there is no `package`".to_owned()));
        }
        // Cargo writes no `version` in formats 1 and 2.
        let unwritten = if file.metadata.keys().any(|key| key.starts_with("checksum ")) { 1 } else { 2 };
        let mut lock = Lock { format: file.version.unwrap_or(unwritten), packages: Vec::new() };
        for LockedPackage { name, version, source, checksum } in file.package {
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte));
            if !plain(&name) || !plain(&version) || name.is_empty() || name.contains("..") {
                return Err(LockError::InvalidPackage(format!("{name} {version}")));
            }
            match source {
                // A package of the project itself.
                None => {}
                Some(source) if CRATES_IO.contains(&source.as_str()) => {
                    let key = format!("checksum {name} {version} ({source})");
                    let of_format_1 = || file.metadata.get(&key).and_then(toml::Value::as_str).map(str::to_owned);
                    let checksum = checksum.or_else(of_format_1);
                    let checksum = checksum.ok_or_else(|| LockError::NoChecksum(format!("{name} {version}")))?;
                    lock.packages.push(Package { name, version, checksum });
                }
                Some(source) if source.starts_with("registry+") || source.starts_with("sparse+") => {
                    return Err(LockError::OtherRegistry(format!("{name} {version}"), source));
                }
                Some(origin) => return Err(LockError::NotFromRegistry(format!("{name} {version}"), origin)),
            }
        }
        Ok(lock)
    }
}
