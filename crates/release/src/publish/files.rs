//! A directory as a target: files are sent under another name until they are whole, are never replaced by others, and are read
//! back. Signatures are an exception: more of them may come later.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::expected::{ExpectedFile, is_signature};
use super::latest::{self, LINK, LatestFile, LatestPointer};
use super::store::Store;
use super::{Conflict, Held, ObservedStep, Stage, Target};
use crate::manifest::{CHECKSUMS, Manifest};
use crate::sign::Incoming;
use drydock_base::checksum::Checksum;
use drydock_base::paths;
use drydock_base::scratch::Scratch;

/// The step that moves the pointer.
const MOVE: &str = "point `latest` to it";

/// A directory with the files of a release.
pub struct FilesTarget {
    name: String,
    store: Box<dyn Store>,
    /// The name of the directory of the release.
    directory: String,
    /// The directory with the files on this machine.
    from: PathBuf,
    expected: Vec<ExpectedFile>,
    /// The pointer; none if the declaration has none.
    pointer: Option<LatestPointer>,
    signatures: Vec<Incoming>,
}

/// The files that a [`FilesTarget`] publishes.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    /// The directory with the files on this machine.
    pub from: &'a Path,
    /// The release.
    pub manifest: &'a Manifest,
    /// What is published.
    pub expected: &'a [ExpectedFile],
}

impl FilesTarget {
    /// A target. `directory` is the name of the directory of the release in the store.
    ///
    /// # Errors
    /// The files on this machine cannot be read.
    pub fn new(
        name: String,
        store: Box<dyn Store>,
        directory: String,
        files: &Files<'_>,
        has_pointer: bool,
    ) -> anyhow::Result<FilesTarget> {
        let Files { from, manifest, expected } = files;
        let path = from.join(CHECKSUMS);
        let (checksums, _) = Checksum::from_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let pointer = has_pointer.then(|| LatestPointer {
            format: 1,
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            tag: manifest.tag.as_ref().map(|tag| tag.name.clone()),
            commit: manifest.commit.clone(),
            directory: directory.clone(),
            checksums,
            files: expected.iter().filter_map(LatestFile::new).collect(),
        });
        let (from, expected) = (from.to_path_buf(), expected.to_vec());
        Ok(FilesTarget { name, store, directory, from, expected, pointer, signatures: Vec::new() })
    }

    fn files(&mut self) -> anyhow::Result<Vec<ObservedStep>> {
        let scratch = Scratch::roomy("read-back")?;
        let there = self.store.list(&self.directory)?;
        let is_expected = |name: &String| self.expected.iter().any(|file| file.name == *name);
        // Another person's signature that only the target has is no reason to stop: it is merged by the caller.
        let is_read = |name: &&String| is_expected(name) || is_signature(name);
        let names: Vec<String> = there.iter().flatten().filter(is_read).cloned().collect();
        self.store.fetch(&self.directory, &names, scratch.path())?;
        self.signatures.clear();
        let mut steps = Vec::new();
        let is_extra = |name: &&String| !is_read(name) && !self.store.is_part(name);
        let extra: Vec<&String> = there.iter().flatten().filter(is_extra).collect();
        if !extra.is_empty() {
            let list: Vec<&str> = extra.iter().map(|name| name.as_str()).collect();
            steps.push(ObservedStep {
                step: "have nothing else".into(),
                stage: Stage::Files,
                held: Held::Other(Conflict {
                    found: format!("{} is there, which no release.json lists", list.join(", ")),
                    remedy: "remove it, or add it to the release before it is signed".into(),
                }),
                is_final: false,
            });
        }
        for name in names.iter().filter(|name| is_signature(name)) {
            let path = scratch.path().join(name);
            let content = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            self.signatures.push(Incoming { name: format!("{name} of {}", self.name), content });
        }
        for file in &self.expected {
            let held = if names.contains(&file.name) {
                let path = scratch.path().join(&file.name);
                let (found, size) =
                    Checksum::from_file(&path).with_context(|| format!("cannot read {}", path.display()))?;
                if (found, size) == (file.sha256, file.size) {
                    Held::Same(format!("{found}, read back"))
                } else if file.is_signature() {
                    Held::Outdated("the target has other signatures".into())
                } else {
                    Held::Other(Conflict {
                        found: format!(
                            "{} there has the SHA-256 {found} ({size} bytes), not {}",
                            file.name, file.sha256
                        ),
                        remedy:
                            "what was published is never replaced: find out who put it there, or release a new version"
                                .into(),
                    })
                }
            } else {
                Held::Absent
            };
            steps.push(ObservedStep { step: upload_step(&file.name), stage: Stage::Files, held, is_final: false });
        }
        Ok(steps)
    }

    fn pointer(&self, pointer: &LatestPointer) -> anyhow::Result<ObservedStep> {
        let scratch = Scratch::new("latest")?;
        let names = self.store.list("")?.unwrap_or_default();
        let mut current = None;
        if names.contains(latest::NAME) {
            self.store.fetch("", &[latest::NAME.to_owned()], scratch.path())?;
            let path = scratch.path().join(latest::NAME);
            current = Some(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
        let leads = names.contains(LINK) && self.store.leads(LINK, &self.directory, (CHECKSUMS, pointer.checksums))?;
        let held = latest::held(pointer, current.as_deref(), leads);
        Ok(ObservedStep { step: MOVE.to_owned(), stage: Stage::Announce, held, is_final: false })
    }
}

fn upload_step(name: &str) -> String {
    format!("upload {name}")
}

impl Target for FilesTarget {
    fn name(&self) -> &str {
        &self.name
    }

    fn missing(&self) -> Vec<String> {
        self.store.missing()
    }

    fn rights(&mut self) -> anyhow::Result<Option<String>> {
        self.store.rights()
    }

    fn observe(&mut self, stage: Stage) -> anyhow::Result<Vec<ObservedStep>> {
        match stage {
            Stage::Draft => Ok(Vec::new()),
            Stage::Files => self.files(),
            Stage::Announce => self.pointer.iter().map(|pointer| self.pointer(pointer)).collect(),
        }
    }

    fn act(&mut self, step: &str) -> anyhow::Result<String> {
        if let (MOVE, Some(pointer)) = (step, &self.pointer) {
            let scratch = Scratch::new("latest")?;
            let file = scratch.path().join(latest::NAME);
            let text = format!("{}\n", serde_json::to_string_pretty(pointer)?);
            paths::write_atomically(&file, text.as_bytes())?;
            // The file last: it says that the link was moved.
            self.store.link(LINK, &self.directory)?;
            self.store.put(&file, "", latest::NAME, true)?;
            return Ok(format!("{} → {}", latest::NAME, self.directory));
        }
        let file = self.expected.iter().find(|file| upload_step(&file.name) == step).context("unknown step")?;
        self.store.put(&self.from.join(&file.name), &self.directory, &file.name, file.is_signature())?;
        Ok(format!("{} ({})", file.sha256, drydock_base::units::ByteSize::new(file.size)))
    }

    fn signatures(&self) -> Vec<Incoming> {
        self.signatures.clone()
    }
}
