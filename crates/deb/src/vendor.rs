//! Vendored crates as a component tarball: the files of the published crates whose checksums the lock file has.
//!
//! `cargo vendor` is not used, because its output depends on the version of cargo. Crates are taken from cargo's cache,
//! checked against the lock file, and laid out as `cargo vendor --versioned-dirs` does. Files that Debian's tools remove
//! (`dh_clean`, `dpkg-source`) are left out from the start, together with their lines in `.cargo-checksum.json`, so that
//! no build misses them. Cargo checks every remaining line when it builds.

mod lock;
mod vendored_crate;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use lock::{Lock, LockError, Package};
pub use vendored_crate::{CrateFile, CrateManifest, VendoredCrate};

use drydock_archive::source::SourceTree;
use drydock_archive::{ArchiveEntry, EntryKind};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::scratch::Scratch;
use drydock_config::release::deb::{Number, Vendor};

/// The name of the directory of crates, and of the component tarball (`orig-vendor`).
pub const COMPONENT: &str = "vendor";

/// The crates of a source package.
#[derive(Debug, Clone)]
pub struct VendoredCrates {
    /// The crates, sorted by name and version.
    pub crates: Vec<VendoredCrate>,
    /// The highest format version of the lock files.
    pub lock_format: u32,
}

/// Collects the crates that the lock files of the declared manifests pin. `progress` gets a line before each slow step.
///
/// # Errors
/// A lock file is missing or pins a package of no registry; a crate cannot be fetched or its checksum differs; a crate
/// contains compiled programs.
pub fn collect(tree: &SourceTree, declared: &Vendor, progress: &mut dyn FnMut(&str)) -> anyhow::Result<VendoredCrates> {
    let mut packages: BTreeSet<Package> = BTreeSet::new();
    let mut lock_format = 0;
    let mut reader = tree.reader();
    for manifest in &declared.manifests {
        let path = format!("{}Cargo.lock", manifest.strip_suffix("Cargo.toml").unwrap_or_default());
        let entry = tree.get(&path).ok_or_else(|| {
            let text = format!("{path} is not in the sources, but pins the crates to vendor; commit it");
            Failure::declaration(text)
        })?;
        let text = String::from_utf8_lossy(&reader.content(entry)?).into_owned();
        let lock = Lock::parse(&text).map_err(|why| Failure::declaration(format!("{path}: {why}")))?;
        lock_format = lock_format.max(lock.format);
        packages.extend(lock.packages);
    }
    let mut missing: Vec<&Package> = packages.iter().filter(|package| cached(package).is_none()).collect();
    if !missing.is_empty() {
        progress(&format!("fetch {} crates", missing.len()));
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
        let text = "crates contain compiled programs, which a source package must not; list them under `prune`, or false alarms under \
                    `keep`";
        return Err(Failure::rejected(format!("{text}:{list}")));
    }
    Ok(VendoredCrates { crates, lock_format })
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
            add(".cargo-checksum.json", false, one.checksums().into_bytes().into());
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries
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
        .filter(|path| path.is_dir())
        .collect();
    names.sort();
    for one in names {
        let shown = one.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let list = one.join(".cargo-checksum.json");
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

/// The content of `.cargo-checksum.json`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Checksums {
    files: BTreeMap<String, String>,
    package: String,
}

#[cfg(test)]
mod tests;
