//! `Cargo.lock`, as far as vendoring needs it. It is written by cargo alone, always in the same shape.

/// What a lock file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The version of its format; 4 needs cargo 1.78.
    pub format: u32,
    /// The packages of registries.
    pub packages: Vec<Package>,
}

/// A package of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 sum of its `.crate` file.
    pub checksum: String,
}

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// In words: it is none, or names packages of git repositories, which no registry has the sums of.
    pub fn parse(text: &str) -> Result<Lock, String> {
        let value = |block: &str, key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            line.map(|value| value.trim_matches('"').to_owned())
        };
        let (head, packages) = text.split_once("[[package]]").ok_or("it names no package")?;
        let format = value(head, "version").and_then(|version| version.parse().ok()).unwrap_or(2);
        let mut lock = Lock { format, packages: Vec::new() };
        for block in packages.split("[[package]]") {
            let need = |key: &str| value(block, key).ok_or_else(|| format!("a package has no `{key}`"));
            let (name, version) = (need("name")?, need("version")?);
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.+".contains(&byte));
            if !plain(&name) || !plain(&version) || name.contains("..") {
                return Err(format!("{name:?} {version:?} is no package"));
            }
            match value(block, "source") {
                // The project's own packages.
                None => {}
                Some(source) if source.starts_with("registry+") || source.starts_with("sparse+") => {
                    let checksum = need("checksum")?;
                    lock.packages.push(Package { name, version, checksum });
                }
                Some(source) => {
                    return Err(format!(
                        "{name} {version} comes from {source}; only crates of a registry have sums: publish it, or take \
                         it into the sources"
                    ));
                }
            }
        }
        Ok(lock)
    }
}
