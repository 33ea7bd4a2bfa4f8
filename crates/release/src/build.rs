//! Building a release: sources, derived files, archives and checksums. Files appear complete, `release.json` as the last.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::binaries::Bases;
use super::build_info::{self, BuildInfo};
use super::manifest::{Artifact, CHECKSUMS, Identity, Made, Manifest, NAME};
use super::{binaries, proof, python};
use drydock_archive::source::{self, SourceTree};
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_base::scratch::Scratch;
use drydock_config::release::Format;

/// A release to build.
#[derive(Debug)]
pub struct Job<'a> {
    /// The declaration, version and tag.
    pub identity: Identity<'a>,
    /// The sources, without derived files.
    pub tree: SourceTree,
    /// The directory to write the files to.
    pub directory: PathBuf,
    /// The number of threads for xz. It does not change the bytes.
    pub threads: u32,
    /// The files of distributions, for the binary tarballs of a tagged release; none to leave them out.
    pub bases: Option<&'a dyn Bases>,
}

/// A release that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The content of `release.json`.
    pub manifest: Manifest,
    /// The variations that the second run of the generators lacks, with the tools that they need.
    pub not_varied: Vec<String>,
}

impl Job<'_> {
    /// Builds the release. `watch` is called with each step before it starts.
    ///
    /// # Errors
    /// A generator is refused, an object is missing, or the directory cannot be written to. Then there is no `release.json`.
    pub fn run(mut self, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Built> {
        let derived = source::complete(&mut self.tree, self.identity.release, self.identity.version, watch)?;

        let directory = &self.directory;
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create the directory {}", directory.display()))?;
        let parts = Scratch::within("archives", directory)?;
        let names = self.identity.archives();
        let file = |(format, name): &(Format, String)| ArchiveFile { format: *format, path: parts.path().join(name) };
        let files: Vec<ArchiveFile> = names.iter().map(file).collect();
        watch(&format!("write {}", names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")));
        let top = self.identity.directory();
        let archives = Archives { directory: &top, epoch: self.tree.epoch, files: &files, threads: self.threads };
        let written = archive::write(self.tree.archive_entries(), archives)?;
        let python = python::build(&self.identity, &self.tree, parts.path(), watch)?;
        let built = self.binaries(&files, &names, parts.path(), watch)?;
        let others = [python.as_slice(), built.artifacts.as_slice()].concat();
        let made = Made { written: &written, others: &others, binaries: &built.records };
        let (manifest, documents) = Manifest::new(&self.identity, &self.tree, &derived, &made)?;
        let mut info = BuildInfo::gather(self.identity.release);
        info.binaries.extend(built.info);

        remove_stale(directory, &manifest)?;
        for (part, (_, name)) in files.iter().zip(&names) {
            fs::rename(&part.path, directory.join(name)).with_context(|| format!("cannot write {name}"))?;
        }
        for Artifact { name, .. } in &others {
            let part = parts.path().join(name);
            fs::rename(part, directory.join(name)).with_context(|| format!("cannot write {name}"))?;
        }
        for document in &documents {
            paths::write_atomically(&directory.join(&document.name), &document.content)?;
        }
        let info = format!("{}\n", serde_json::to_string_pretty(&info)?);
        paths::write_atomically(&directory.join(build_info::NAME), info.as_bytes())?;
        paths::write_atomically(&directory.join(CHECKSUMS), manifest.checksums()?.as_bytes())?;
        paths::write_atomically(&directory.join(NAME), manifest.text()?.as_bytes())?;
        let not_varied = derived
            .variations
            .iter()
            .filter_map(|variation| Some(format!("{}: {}", variation.name, variation.missing.as_ref()?)));
        Ok(Built { manifest, not_varied: not_varied.collect() })
    }
}

impl Job<'_> {
    /// Builds the binary tarballs of a tagged release from its source archive. A nightly or a trial has none.
    fn binaries(
        &self,
        files: &[ArchiveFile],
        names: &[(Format, String)],
        directory: &Path,
        watch: &mut dyn FnMut(&str),
    ) -> anyhow::Result<binaries::Built> {
        let Some(bases) = self.bases.filter(|_| self.identity.tag.is_some()) else {
            return Ok(binaries::Built::default());
        };
        let both = files.iter().zip(names);
        let first = both.min_by_key(|(file, _)| file.format == Format::Zip).context("the release has no archive")?;
        let text = |path: &str| {
            self.tree
                .text(path)?
                .ok_or_else(|| Failure::declaration(format!("the commit has no file {path}, the `spec` of an `srpm`")))
        };
        let (ArchiveFile { format, path }, (_, name)) = first;
        let request = binaries::Request {
            identity: &self.identity,
            source: binaries::Source { path, format: *format, name, text: &text },
            epoch: self.tree.epoch,
            bases,
            directory,
            log: &self.directory.join(binaries::LOG),
            threads: self.threads,
        };
        request.run(watch)
    }
}

/// Removes `release.json`, and unless it was of the same release, also checksums, proof and signatures.
fn remove_stale(directory: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    let same = Manifest::load(&directory.join(NAME)).is_ok_and(|old| old == *manifest);
    let mut stale = vec![directory.join(NAME)];
    if !same {
        stale.extend([directory.join(CHECKSUMS), directory.join(proof::NAME)]);
        for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "asc" || extension == "sig") {
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
