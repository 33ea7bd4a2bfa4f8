//! Making a release: sources, derived files, archives, sums; every file appears whole, the list of them last.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::manifest::{Identity, Manifest, NAME, SUMS};
use super::proof;
use drydock_archive::source::{SourceTree, derive, version};
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::exec;
use drydock_base::paths;
use drydock_config::release::Format;

/// What is made.
#[derive(Debug)]
pub struct Job<'a> {
    /// Which release.
    pub identity: Identity<'a>,
    /// Its sources, without derived files.
    pub tree: SourceTree,
    /// The directory that gets the files.
    pub directory: PathBuf,
    /// How many threads xz may use.
    pub threads: u32,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Its list.
    pub manifest: Manifest,
    /// What the second run of the generators could not vary.
    pub not_varied: Vec<String>,
}

impl Job<'_> {
    /// Makes the release. `watch` hears what is about to be done.
    ///
    /// # Errors
    /// A generator that is refused, an object that is missing, a full disk. Then no list of the release is there.
    pub fn run(mut self, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Built> {
        let generators = &self.identity.release.generators;
        let mut derived = derive::run(&self.tree, generators, watch)?;
        derived.generators.splice(0..0, version::record(&self.tree));
        self.tree.add(derived.entries.clone())?;

        let directory = &self.directory;
        fs::create_dir_all(directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let parts = tempfile::Builder::new()
            .prefix(".part-")
            .tempdir_in(directory)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let names = self.identity.archives();
        let file = |(format, name): &(Format, String)| ArchiveFile { format: *format, path: parts.path().join(name) };
        let files: Vec<ArchiveFile> = names.iter().map(file).collect();
        watch(&format!("write {}", names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")));
        let top = self.identity.directory();
        let archives = Archives { directory: &top, epoch: self.tree.epoch, files: &files, threads: self.threads };
        let written = archive::write(self.tree.archive_entries(), archives)?;
        let mut manifest = Manifest::new(&self.identity, &self.tree, &derived, &written);
        manifest.made_by = made_by(&self.identity);

        forget_another(directory, &manifest)?;
        for (part, (_, name)) in files.iter().zip(&names) {
            fs::rename(&part.path, directory.join(name)).with_context(|| format!("cannot write {name}"))?;
        }
        paths::write_atomically(&directory.join(SUMS), manifest.sums().as_bytes())?;
        paths::write_atomically(&directory.join(NAME), manifest.text()?.as_bytes())?;
        let not_varied = derived
            .variations
            .iter()
            .filter_map(|variation| Some(format!("{}: needs {}", variation.name, variation.missing.as_ref()?)));
        Ok(Built { manifest, not_varied: not_varied.collect() })
    }
}

/// Removes the list, the proof and the signatures of what was in the directory, if it was another release or none; and what
/// a killed build left.
fn forget_another(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let same = Manifest::load(&directory.join(NAME)).is_ok_and(|old| old.is_same_release(manifest));
    let mut stale = vec![directory.join(NAME)];
    if !same {
        stale.extend([directory.join(SUMS), directory.join(proof::NAME)]);
        for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "asc") {
                stale.push(path);
            }
        }
    }
    for path in stale {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Drydock, the libraries that decide the bytes, and the tools of this machine.
fn made_by(identity: &Identity<'_>) -> BTreeMap<String, String> {
    let mut made_by = BTreeMap::from([("drydock".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for (name, version) in archive::libraries() {
        made_by.insert(format!("library {name}"), version);
    }
    let ask = |argv: &[&str]| {
        let argv: Vec<String> = argv.iter().map(|word| (*word).to_owned()).collect();
        exec::read(&argv, Path::new("/")).ok().filter(|answer| !answer.is_empty())
    };
    made_by.extend(ask(&["git", "--version"]).map(|version| ("tool git".to_owned(), version)));
    let needs = identity.release.generators.iter().flat_map(|generator| &generator.needs);
    for package in needs {
        let version = ask(&["dpkg-query", "--show", "--showformat=${Version}", package]);
        made_by.insert(format!("package {package}"), version.unwrap_or_else(|| "not a Debian package here".into()));
    }
    made_by
}
