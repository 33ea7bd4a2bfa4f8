//! Writes the version of a nightly to the version files, so that programs built from its sources print it.
//!
//! The files become derived files. The lock file of a `Cargo.toml` is updated as well, as `cargo --locked` refuses a stale
//! one. Both are edited as text, so that everything else in them stays as it is.

use std::sync::Arc;

use super::derive::GeneratorRecord;
use super::{Origin, SourceEntry, SourceTree};
use drydock_base::failure::Failure;
use drydock_config::release::{Version, VersionFile};

/// The name of the generator of these files in `release.json`. No declared generator can have it.
pub const GENERATOR: &str = "(version)";

/// Writes the version to the version files.
///
/// # Errors
/// Files are missing or have no version; the error lists all of them.
pub fn write(tree: &mut SourceTree, files: &[VersionFile], version: &Version) -> anyhow::Result<()> {
    let mut problems = Vec::new();
    for file in files {
        let content = tree.content(&file.path)?;
        let Some(text) = content.and_then(|content| String::from_utf8(content.to_vec()).ok()) else {
            problems.push(format!("{} is not in the commit", file.path));
            continue;
        };
        let Some((text, old)) = with_version(&text, file, version) else {
            problems.push(format!("{} does not have {}", file.path, file.place));
            continue;
        };
        replace(tree, &file.path, text);
        if let Some(lock) = lock_of(tree, &file.path) {
            let text = tree.text(&lock)?.unwrap_or_default();
            replace(tree, &lock, with_own_packages(&text, &old, version));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let text = format!("cannot write the version {version} to the sources:\n  {}", problems.join("\n  "));
    Err(Failure::rejected(format!("{text}\ncorrect `version.files` in packaging/release.yaml, or the files")))
}

/// The record of these files for `release.json`; none if there are none.
pub fn record(tree: &SourceTree) -> Option<GeneratorRecord> {
    let is_ours =
        |entry: &&SourceEntry| matches!(&entry.origin, Origin::Derived { generator, .. } if generator == GENERATOR);
    let files: Vec<String> = tree.entries.iter().filter(is_ours).map(|entry| entry.path.clone()).collect();
    let record = |files: Vec<String>| GeneratorRecord {
        name: GENERATOR.to_owned(),
        run: Vec::new(),
        inputs: files.clone(),
        outputs: files,
    };
    (!files.is_empty()).then(|| record(files))
}

/// The text with another version, and the version that it had; none if it has no version.
fn with_version(text: &str, file: &VersionFile, version: &Version) -> Option<(String, Version)> {
    let old = file.held(text).into_iter().next()?.version;
    Some((file.with_version(text, version)?, old))
}

/// The path of the lock file beside a `Cargo.toml`, or in the nearest directory above it, for a workspace.
fn lock_of(tree: &SourceTree, path: &str) -> Option<String> {
    let (mut directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    if name != "Cargo.toml" {
        return None;
    }
    loop {
        let lock = if directory.is_empty() { "Cargo.lock".to_owned() } else { format!("{directory}/Cargo.lock") };
        if tree.get(&lock).is_some() {
            return Some(lock);
        }
        directory = match directory.rsplit_once('/') {
            Some((parent, _)) => parent,
            None if directory.is_empty() => return None,
            None => "",
        };
    }
}

/// The lock file with another version of the project's own packages, which are those without a source.
fn with_own_packages(text: &str, old: &Version, version: &Version) -> String {
    let line = format!("version = \"{old}\"");
    let packages = text.split_inclusive("\n\n").map(|package| {
        let own = package.starts_with("[[package]]") && !package.lines().any(|line| line.starts_with("source = "));
        if own && package.lines().any(|one| one == line) {
            package.replacen(&line, &format!("version = \"{version}\""), 1)
        } else {
            package.to_owned()
        }
    });
    packages.collect()
}

fn replace(tree: &mut SourceTree, path: &str, text: String) {
    let content: Arc<[u8]> = text.into_bytes().into();
    let is_it = |entry: &&mut SourceEntry| entry.path == path;
    if let Some(entry) = tree.entries.iter_mut().find(is_it) {
        entry.origin = Origin::Derived { generator: GENERATOR.to_owned(), content };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::release::Release;
    use std::path::Path;

    fn version() -> Version {
        "0.4.0-0.nightly20260701.3.g0123456".parse().unwrap()
    }

    #[track_caller]
    fn check(line: Option<&str>, text: &str, expected: Option<&str>) {
        let line = line.map_or_else(String::new, |line| format!(", line: '{line}'"));
        let yaml = format!("name: x\nversion: {{files: [{{path: f{line}}}]}}\narchives: [{{format: tar.xz}}]\n");
        let file = Release::parse(&yaml, Path::new("r")).unwrap().version_files.remove(0);
        let found = with_version(text, &file, &version()).map(|(text, old)| {
            assert_eq!(old.as_str(), "0.3.0");
            text
        });
        assert_eq!(found.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn only_the_version_changes() {
        let new = "0.4.0-0.nightly20260701.3.g0123456";
        check(None, "0.3.0\n", Some(&format!("{new}\n")));
        check(None, "0.3.0", Some(new));
        check(None, "version 0.3.0\n", None);
        let cargo = Some("version = \"{version}\"");
        let manifest =
            |own: &str| format!("[package]\r\n  version = \"{own}\"\r\n[dependencies.x]\r\nversion = \"0.3.0\"\r\n");
        check(cargo, &manifest("0.3.0"), Some(&manifest(new)));
        check(cargo, "[package]\nversion = { workspace = true }\n", None);
        check(
            Some("#define V \"{version}\" /* v */"),
            "a\n#define V \"0.3.0\" /* v */",
            Some(&format!("a\n#define V \"{new}\" /* v */")),
        );
    }

    #[test]
    fn only_own_packages_of_a_lock_file_change() {
        let lock = |own: &str| {
            format!(
                "version = 3\n\n[[package]]\nname = \"mine\"\nversion = \"{own}\"\ndependencies = [\n \"other\",\n]\n\n\
                 [[package]]\nname = \"other\"\nversion = \"0.3.0\"\nsource = \"registry+x\"\nchecksum = \"00\"\n"
            )
        };
        let changed = with_own_packages(&lock("0.3.0"), &"0.3.0".parse().unwrap(), &version());
        assert_eq!(changed, lock(version().as_str()));
    }
}
