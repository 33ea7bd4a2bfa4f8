//! Vendored crates as a component tarball: the files of the published crates, which the lock file has the sums of.
//!
//! Not `cargo vendor`, whose output depends on the version of cargo: crates come out of cargo's cache, are checked against
//! the lock file, and are laid out as `cargo vendor --versioned-dirs` does. Files that Debian's tools drop on the way
//! (`dh_clean`, `dpkg-source`) are left out from the start, together with their lines in cargo's list of checksums, so
//! that no build misses them. Every line that stays is checked by cargo when it builds.

mod krate;
mod lock;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use krate::{Crate, CrateFile};
pub use lock::{Lock, Package};

use drydock_archive::source::SourceTree;
use drydock_archive::{ArchiveEntry, EntryKind};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;
use drydock_config::release::deb::{Number, Vendor};

/// The directory of the crates, and the component's name in `orig-vendor`.
pub const COMPONENT: &str = "vendor";

/// What was vendored.
#[derive(Debug, Clone)]
pub struct Vendored {
    /// The crates, sorted by name and version.
    pub crates: Vec<Crate>,
    /// The versions of the lock files' format; the highest.
    pub lock_format: u32,
}

/// The crates that the manifests' lock files name. `watch` hears what is about to be done.
///
/// # Errors
/// A lock file is missing or names what no registry has; a crate cannot be had or has another sum; a crate holds programs.
pub fn collect(tree: &SourceTree, declared: &Vendor, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Vendored> {
    let mut packages: BTreeSet<Package> = BTreeSet::new();
    let mut lock_format = 0;
    let mut reader = tree.reader();
    for manifest in &declared.manifests {
        let path = format!("{}Cargo.lock", manifest.strip_suffix("Cargo.toml").unwrap_or_default());
        let entry = tree.get(&path).ok_or_else(|| {
            let text = format!("{path} is not in the sources, and crates are vendored by it; commit it");
            Failure::declaration(text)
        })?;
        let text = String::from_utf8_lossy(&reader.content(entry)?).into_owned();
        let lock = Lock::parse(&text).map_err(|why| Failure::declaration(format!("{path}: {why}")))?;
        lock_format = lock_format.max(lock.format);
        packages.extend(lock.packages);
    }
    let mut missing: Vec<&Package> = packages.iter().filter(|package| cached(package).is_none()).collect();
    if !missing.is_empty() {
        watch(&format!("fetch {} crates", missing.len()));
        fetch(tree, declared)?;
        missing.retain(|package| cached(package).is_none());
    }
    if let Some(package) = missing.first() {
        let text = format!("{}-{} with the lock file's sum is not in cargo's cache", package.name, package.version);
        return Err(Failure::missing(format!("{text}; run `cargo fetch --locked`")));
    }
    let mut crates = Vec::with_capacity(packages.len());
    let mut blobs = Vec::new();
    for package in &packages {
        let file = cached(package).context("a crate went away from cargo's cache")?;
        let whole = Crate::read(package, &file).with_context(|| format!("cannot read {}", file.display()))?;
        let (pruned, programs) = whole.pruned(declared);
        blobs.extend(programs.into_iter().map(|path| format!("{}/{path}", pruned.directory())));
        crates.push(pruned);
    }
    if !blobs.is_empty() {
        let list = blobs.iter().map(|blob| format!("\n  {blob}")).collect::<String>();
        let text = "crates hold compiled programs, which no source package may; `prune` them, or `keep` what is none";
        return Err(Failure::rejected(format!("{text}:{list}")));
    }
    Ok(Vendored { crates, lock_format })
}

/// The crate's file in cargo's cache, when it has the lock file's sum.
fn cached(package: &Package) -> Option<PathBuf> {
    let name = format!("{}-{}.crate", package.name, package.version);
    let caches = fs::read_dir(cargo_home().join("registry/cache")).ok()?;
    let files = caches.filter_map(|directory| Some(directory.ok()?.path().join(&name)));
    files
        .filter(|file| file.is_file())
        .find(|file| Sha256Sum::of_file(file).is_ok_and(|(sum, _)| sum.to_string() == package.checksum))
}

fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Lets cargo bring what is not there yet, in a copy of the sources.
fn fetch(tree: &SourceTree, declared: &Vendor) -> anyhow::Result<()> {
    let directory =
        tempfile::Builder::new().prefix("drydock-vendor-").tempdir().context("cannot make a temporary directory")?;
    tree.export(directory.path())?;
    for manifest in &declared.manifests {
        let argv = ["cargo", "fetch", "--quiet", "--locked", "--manifest-path", manifest].map(str::to_owned);
        exec::bytes(&argv, directory.path(), exec::environment(&[], &drydock_base::twin::cargo_directories()))
            .map_err(|why| Failure::remote(format!("the crates cannot be fetched: {why}")))?;
    }
    Ok(())
}

impl Vendored {
    /// The files of the component as entries of an archive, each `NAME-VERSION/PATH`.
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

    /// Crates that say they need a newer compiler than this, with what they need.
    pub fn too_new(&self, rustc: &Number) -> Vec<String> {
        let newer = |wanted: &str| {
            let parts: Vec<u32> = wanted.split('.').map_while(|part| part.parse().ok()).collect();
            let width = parts.len().max(rustc.parts().len());
            let padded = |parts: &[u32]| (0..width).map(|at| parts.get(at).copied().unwrap_or(0)).collect::<Vec<_>>();
            padded(&parts) > padded(rustc.parts())
        };
        let needs = |one: &Crate| one.manifest("rust-version").filter(|wanted| newer(wanted));
        self.crates.iter().filter_map(|one| Some(format!("{} needs {}", one.directory(), needs(one)?))).collect()
    }
}

/// What is wrong with crates in a directory: files that cargo's lists name and that are not there, or have another sum.
///
/// # Errors
/// The directory cannot be read.
pub fn rehash(directory: &Path) -> anyhow::Result<(usize, Vec<String>)> {
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
        let list: Checksums = serde_json::from_str(&text).with_context(|| format!("{shown}: no list of checksums"))?;
        for (path, sum) in &list.files {
            checked += 1;
            match fs::read(one.join(path)) {
                Err(_) => wrong.push(format!("{shown}/{path} is not there any more")),
                Ok(content) if Sha256Sum::of(&content).to_string() != *sum => {
                    wrong.push(format!("{shown}/{path} was changed"));
                }
                Ok(_) => {}
            }
        }
    }
    Ok((checked, wrong))
}

/// cargo's list of checksums.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Checksums {
    files: BTreeMap<String, String>,
    package: String,
}

#[cfg(test)]
mod tests;
