//! Vendored crates: the files of the published crates whose checksums the lock files have.
//!
//! `cargo vendor` is not used, because its output depends on the version of cargo. Crates are taken from cargo's cache,
//! checked against the lock file, and laid out as `cargo vendor --versioned-dirs` does. Files that Debian's tools remove
//! (`dh_clean`, `dpkg-source`) are left out from the start, together with their lines in `.cargo-checksum.json`, so that
//! no build misses them. Cargo checks every remaining line when it builds.

mod lock;
mod locked;
mod vendored_crate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use lock::{Lock, LockError, Package};
pub use locked::{LockedCrate, locked_crates};
pub use vendored_crate::{CrateFile, CrateManifest, VendoredCrate, is_left_out};

use super::derive::GeneratorRecord;
use super::{Origin, SourceEntry, SourceTree};
use crate::{ArchiveEntry, EntryKind};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_base::text::plural;
use drydock_config::release::Vendor;
use drydock_config::release::deb::Number;

/// The name of the generator of these files in `release.json`. No declared generator can have it.
pub const GENERATOR: &str = "(vendor)";

/// The name of cargo's list of the checksums of a crate's files.
const CHECKSUMS: &str = ".cargo-checksum.json";

/// Crates whose files are shipped.
#[derive(Debug, Clone)]
pub struct VendoredCrates {
    /// The crates, sorted by name and version.
    pub crates: Vec<VendoredCrate>,
    /// The highest format version of the lock files.
    pub lock_format: u32,
    /// The directory of the crates, relative to the project.
    pub directory: String,
}

/// Collects the crates that the lock files of the declared manifests pin. `progress` gets a line before each slow step.
///
/// # Errors
/// A lock file is missing or pins a package of no registry; a crate cannot be fetched or its checksum differs; a crate
/// contains compiled programs.
pub fn collect(tree: &SourceTree, declared: &Vendor, progress: &mut dyn FnMut(&str)) -> anyhow::Result<VendoredCrates> {
    let (packages, lock_format) = pinned(tree, declared)?;
    let mut missing: Vec<&Package> = packages.iter().filter(|package| cached(package).is_none()).collect();
    if !missing.is_empty() {
        progress(&format!("fetch {}", plural(missing.len(), "crate")));
        fetch(tree, declared)?;
        missing.retain(|package| cached(package).is_none());
    }
    if let Some(package) = missing.first() {
        let text =
            format!("{}-{} with the checksum of Cargo.lock is not in cargo's cache", package.name, package.version);
        return Err(Failure::missing(format!("{text}; check the network and cargo's sources, and try again")));
    }
    let mut crates = Vec::with_capacity(packages.len());
    let mut blobs = Vec::new();
    for package in &packages {
        let file = cached(package).context("a crate was removed from cargo's cache during the run")?;
        let whole = VendoredCrate::read(package, &file).with_context(|| format!("cannot read {}", file.display()))?;
        let (pruned, programs) = whole.pruned(declared);
        blobs.extend(programs.into_iter().map(|path| format!("{}/{path}", pruned.directory())));
        crates.push(pruned);
    }
    if !blobs.is_empty() {
        let list = blobs.iter().map(|blob| format!("\n  {blob}")).collect::<String>();
        let text = "crates contain compiled programs, which sources must not; list them under `prune`, or false alarms under \
                    `keep`";
        return Err(Failure::rejected(format!("{text}:{list}")));
    }
    Ok(VendoredCrates { crates, lock_format, directory: declared.directory.clone() })
}

/// The crates that the lock files of the declared manifests pin, and the highest format version of these files.
///
/// # Errors
/// A lock file is not in the sources, cannot be read, or pins a package that no registry has.
pub fn pinned(tree: &SourceTree, declared: &Vendor) -> anyhow::Result<(BTreeSet<Package>, u32)> {
    let mut packages: BTreeSet<Package> = BTreeSet::new();
    let mut lock_format = 0;
    for path in declared.locks() {
        let content = tree.content(&path)?.ok_or_else(|| {
            let text = format!("{path} is not in the sources, but it pins the crates to vendor");
            Failure::declaration(format!(
                "{text}; commit it, or correct `cargo` under `vendor` in packaging/release.yaml"
            ))
        })?;
        let lock = Lock::parse(&String::from_utf8_lossy(&content));
        let lock = lock.map_err(|why| Failure::declaration(format!("{path}: {why}")))?;
        lock_format = lock_format.max(lock.format);
        packages.extend(lock.packages);
    }
    Ok((packages, lock_format))
}

/// The crate's file in cargo's cache, if its checksum is that of the lock file.
fn cached(package: &Package) -> Option<PathBuf> {
    let name = format!("{}-{}.crate", package.name, package.version);
    let caches = fs::read_dir(cargo_home().join("registry/cache")).ok()?;
    let files = caches.filter_map(|directory| Some(directory.ok()?.path().join(&name)));
    files
        .filter(|file| file.is_file())
        .find(|file| Checksum::from_file(file).is_ok_and(|(sum, _)| sum.to_string() == package.checksum))
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Runs `cargo fetch` in a copy of the sources.
fn fetch(tree: &SourceTree, declared: &Vendor) -> anyhow::Result<()> {
    let scratch = Scratch::new("vendor")?;
    let directory = scratch.path().join("sources");
    tree.export(&directory)?;
    for manifest in &declared.manifests {
        let argv = ["cargo", "fetch", "--quiet", "--locked", "--manifest-path", manifest].map(str::to_owned);
        exec::contained(&argv, &directory, exec::environment(&[], &drydock_base::variations::cargo_directories()))
            .map_err(|why| Failure::remote(format!("cannot fetch the crates: {why}")))?;
    }
    Ok(())
}

impl VendoredCrates {
    /// The files of the component tarball, each `NAME-VERSION/PATH`.
    pub fn archive_entries(&self) -> Vec<ArchiveEntry> {
        let mut entries = Vec::new();
        for one in &self.crates {
            let mut add = |path: &str, executable: bool, content: std::sync::Arc<[u8]>| {
                let path = format!("{}/{path}", one.directory());
                entries.push(ArchiveEntry { path, kind: EntryKind::File { executable }, content });
            };
            for (path, file) in &one.files {
                add(path, file.executable, file.content.clone());
            }
            add(CHECKSUMS, false, one.checksums().into_bytes().into());
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
    }

    /// The same files as a part of a project's sources, with a configuration for cargo: `DIRECTORY/config.toml`. Cargo takes a
    /// relative path in it as relative to the directory that `DIRECTORY` is in, see its reference on configuration.
    pub fn source_entries(&self) -> Vec<SourceEntry> {
        let derived = |entry: ArchiveEntry| SourceEntry {
            path: format!("{}/{}", self.directory, entry.path),
            kind: entry.kind,
            origin: Origin::Derived { generator: GENERATOR.to_owned(), content: entry.content },
        };
        let name = self.directory.rsplit('/').next().unwrap_or_default();
        let config = format!(
            "# cargo build --offline --locked --config {}/config.toml\n\
             [source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"{name}\"\n",
            self.directory
        );
        let config = ArchiveEntry {
            path: "config.toml".to_owned(),
            kind: EntryKind::File { executable: false },
            content: config.into_bytes().into(),
        };
        self.archive_entries().into_iter().chain([config]).map(derived).collect()
    }

    /// The crates whose `rust-version` is newer than this compiler, each as `NAME-VERSION needs RUST`.
    pub fn too_new(&self, rustc: &Number) -> Vec<String> {
        let newer = |wanted: &str| {
            let parts: Vec<u32> = wanted.split('.').map_while(|part| part.parse().ok()).collect();
            let width = parts.len().max(rustc.parts().len());
            let padded = |parts: &[u32]| (0..width).map(|at| parts.get(at).copied().unwrap_or(0)).collect::<Vec<_>>();
            padded(&parts) > padded(rustc.parts())
        };
        let too_new = |one: &VendoredCrate| {
            let wanted = one.manifest.rust_version.as_ref().filter(|wanted| newer(wanted))?;
            Some(format!("{} needs {wanted}", one.directory()))
        };
        self.crates.iter().filter_map(too_new).collect()
    }
}

/// The directories of vendored crates in unpacked sources, relative to them: those that contain directories with a
/// `.cargo-checksum.json`, sorted. Symbolic links are not followed.
///
/// # Errors
/// A directory cannot be read.
pub fn directories(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut left = vec![PathBuf::new()];
    while let Some(directory) = left.pop() {
        let path = root.join(&directory);
        let cannot = || format!("cannot read {}", path.display());
        for entry in fs::read_dir(&path).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            if entry.file_name() == CHECKSUMS {
                found.extend(directory.parent().map(Path::to_owned));
            } else if entry.file_type().with_context(cannot)?.is_dir() {
                left.push(directory.join(entry.file_name()));
            }
        }
    }
    Ok(found.into_iter().collect())
}

/// Checks the crates in a directory against their `.cargo-checksum.json`. Returns the number of files that were checked, and
/// a sentence about each that is missing or differs.
///
/// # Errors
/// The directory or a list of checksums cannot be read.
pub fn verify(directory: &Path) -> anyhow::Result<(usize, Vec<String>)> {
    let (mut checked, mut wrong) = (0, Vec::new());
    let mut names: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir() && (path.join(CHECKSUMS).exists() || path.join("Cargo.toml").exists()))
        .collect();
    names.sort();
    for one in names {
        let shown = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let list = one.join(CHECKSUMS);
        let text = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        let list: Checksums =
            serde_json::from_str(&text).with_context(|| format!("cannot parse the checksums of {shown}"))?;
        for (path, sum) in &list.files {
            checked += 1;
            match fs::read(one.join(path)) {
                Err(_) => wrong.push(format!("{shown}/{path} is missing")),
                Ok(content) if Checksum::new(&content).to_string() != *sum => {
                    wrong.push(format!("{shown}/{path} was changed"));
                }
                Ok(_) => {}
            }
        }
    }
    Ok((checked, wrong))
}

/// Adds the crates to the sources. Returns the record for `release.json`.
///
/// # Errors
/// As [`collect`]; or the directory is in git, or has names that a release cannot contain.
pub fn add(
    tree: &mut SourceTree,
    declared: &Vendor,
    progress: &mut dyn FnMut(&str),
) -> anyhow::Result<GeneratorRecord> {
    let below = format!("{}/", declared.directory);
    if let Some(entry) = tree.entries.iter().find(|entry| entry.path.starts_with(&below)) {
        let text = format!("{} is in git, but `source.vendor` writes the directory {below}", entry.path);
        return Err(Failure::declaration(format!("{text}; remove it from git, or declare another `directory`")));
    }
    let crates = collect(tree, declared, progress)?;
    progress(&format!("vendor {}", plural(crates.crates.len(), "crate")));
    let entries = crates.source_entries();
    let record = GeneratorRecord {
        name: GENERATOR.to_owned(),
        run: Vec::new(),
        inputs: declared.locks().collect(),
        outputs: entries.iter().map(|entry| entry.path.clone()).collect(),
    };
    tree.add(entries)?;
    Ok(record)
}

/// The content of `.cargo-checksum.json`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Checksums {
    files: BTreeMap<String, String>,
    package: String,
}

#[cfg(test)]
mod tests;
