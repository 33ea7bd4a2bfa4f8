//! Binary tarballs: the released source archive, built and installed on the files of a distribution without a network, twice and in
//! different environments; packed by Drydock, so that the bytes depend on what was installed and on nothing else.

mod installed;
mod root;
mod srpm;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::manifest::{Artifact, ArtifactKind, Identity};
use crate::build_info::BinaryInfo;
use drydock_archive::difference::Pair;
use drydock_archive::read::{self, Limits};
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::checksum::Checksum;
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_base::scratch::Scratch;
use drydock_config::release::{Binary, Format, Version};
use root::{Environment, Root};

/// The name of the file with the output of the commands, beside the release.
pub const LOG: &str = "binaries.log";

/// Where the files of distributions come from.
pub trait Bases: std::fmt::Debug {
    /// Unpacks the files that a tarball is built on into an empty directory; `watch` is called with each long step before it starts.
    ///
    /// # Errors
    /// They are not available, or this machine cannot run their programs.
    fn unpack(&self, binary: &Binary, directory: &Path, watch: &mut dyn FnMut(&str)) -> anyhow::Result<UnpackedBase>;
}

/// The files of a distribution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnpackedBase {
    /// The name of the base, such as `fedora:42` or `bookworm-20260601T000000Z`.
    pub name: String,
    /// The digest of its manifest, `sha256:…`.
    pub digest: String,
    /// Its search path for programs.
    pub path: Option<String>,
    /// The user and group to whom its files belong; none for those of this process.
    pub owner: Option<(u32, u32)>,
}

/// How a binary tarball was made, in `release.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BinaryRecord {
    /// The names of the files that were made: the tarball, and the source RPM if there is one.
    pub artifacts: Vec<String>,
    /// The archive of the sources that was built.
    pub source: String,
    /// The name of the base.
    pub base: String,
    /// The digest of the base's manifest.
    pub digest: String,
    /// The platform, such as `linux/amd64`.
    pub platform: String,
    /// The command that built it.
    pub build: Vec<String>,
    /// The command that installed it, with `{destdir}`.
    pub install: Vec<String>,
}

/// The tarballs of a release.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) artifacts: Vec<Artifact>,
    pub(crate) records: Vec<BinaryRecord>,
    /// What depends on this machine, by the keys of the declaration.
    pub(crate) info: Vec<(String, BinaryInfo)>,
}

/// The files to publish of a declaration's binaries, with what they are.
pub(crate) fn names(binaries: &[Binary], project: &str, version: &Version) -> Vec<(String, ArtifactKind)> {
    let both = |one: &Binary| {
        let srpm = one.srpm_of(project, version).map(|srpm| (srpm.file(), ArtifactKind::SourceRpm));
        [Some((one.name.render(version), ArtifactKind::Binary)), srpm]
    };
    binaries.iter().flat_map(both).flatten().collect()
}

/// The source archive to build: the first tar archive, or the zip file if there is none.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// The path of the file.
    pub(crate) path: &'a Path,
    pub(crate) format: Format,
    /// The file name that it is published with.
    pub(crate) name: &'a str,
    /// The text of a file of the sources, by its path; for spec files.
    pub(crate) text: &'a dyn Fn(&str) -> anyhow::Result<String>,
}

/// The inputs of all builds.
pub(crate) struct Request<'a> {
    pub(crate) identity: &'a Identity<'a>,
    pub(crate) source: Source<'a>,
    pub(crate) epoch: u64,
    pub(crate) bases: &'a dyn Bases,
    /// The directory for the artifacts.
    pub(crate) directory: &'a Path,
    /// The file for the output of the commands.
    pub(crate) log: &'a Path,
    pub(crate) threads: u32,
}

impl Request<'_> {
    /// Builds all declared tarballs; `watch` is called with each step before it starts.
    ///
    /// # Errors
    /// A build fails, or its result is not the same when it is built again.
    pub(crate) fn run(&self, watch: &mut dyn FnMut(&str)) -> anyhow::Result<Built> {
        let mut built = Built::default();
        let mut log = Log { path: self.log, text: String::new() };
        for binary in &self.identity.release.binaries {
            self.one(binary, &mut built, &mut log, watch)?;
        }
        Ok(built)
    }

    fn one(
        &self,
        binary: &Binary,
        built: &mut Built,
        log: &mut Log<'_>,
        watch: &mut dyn FnMut(&str),
    ) -> anyhow::Result<()> {
        let name = binary.name.render(self.identity.version);
        let scratch = Scratch::roomy("binaries")?.open_to_others()?;
        let base = self.bases.unpack(binary, &scratch.path().join("root"), watch)?;
        let root = Root::prepare(scratch.path(), &base)?;
        let mut runs = Vec::new();
        for environment in [Environment::FIRST, Environment::VARIED] {
            let again = if environment.is_varied { " again, in another environment" } else { "" };
            watch(&format!("build {name} on {} without a network{again}: {}", base.name, exec::paste(&binary.build)));
            runs.push(self.build(binary, &root, environment, log)?);
        }
        let [first, second] = runs.as_slice() else { anyhow::bail!("a build did not run") };
        let variations = first.observed.compare(&second.observed, |property| why_not(property).to_owned());
        let varied: Vec<&str> =
            variations.iter().filter(|one| one.value.is_some()).map(|one| one.name.as_str()).collect();
        let mut artifacts = vec![self.packed(&name, binary, first, second, &varied)?];
        if let (Some(one), Some(other), Some(srpm)) =
            (&first.srpm, &second.srpm, binary.srpm_of(&self.identity.release.name, self.identity.version))
        {
            let file = srpm.file();
            if one != other {
                return Err(differs(&file, &varied, &srpm::first_difference(one, other)));
            }
            fs::write(self.directory.join(&file), one).with_context(|| format!("cannot write {file}"))?;
            let (size, sha256) = (one.len() as u64, Checksum::new(one));
            artifacts.push(Artifact { name: file, size, sha256, kind: Some(ArtifactKind::SourceRpm) });
        }
        built.records.push(BinaryRecord {
            artifacts: artifacts.iter().map(|one| one.name.clone()).collect(),
            source: self.source.name.to_owned(),
            base: base.name.clone(),
            digest: base.digest.clone(),
            platform: binary.platform.to_string(),
            build: binary.build.clone(),
            install: binary.install("{destdir}"),
        });
        built.artifacts.extend(artifacts);
        let info = BinaryInfo { base: base.name.clone(), packages: root.packages(), variations };
        built.info.push((binary.key.clone(), info));
        Ok(())
    }

    /// Unpacks, builds and installs the sources in one environment.
    fn build(
        &self,
        binary: &Binary,
        root: &Root<'_>,
        environment: Environment,
        log: &mut Log<'_>,
    ) -> anyhow::Result<Run> {
        let room = root.room(environment, self.epoch)?;
        let name = binary.name.render(self.identity.version);
        read::unpack(self.source.path, self.source.format, Limits::UNKNOWN, &room.outside("sources"))
            .map_err(|error| Failure::not_reproducible(format!("{}: {error}", self.source.name)))?;
        room.give_to_owner()?;
        let sources = room.inside(&format!("sources/{}", self.identity.directory()));
        let install = binary.install(&room.inside("destdir"));
        for (step, command) in [("built", &binary.build), ("installed", &install)] {
            log.run(&room, command, &sources, &format!("{name} cannot be {step}"))?;
        }
        let destination = room.checked(&room.outside("destdir")).with_context(|| format!("cannot pack {name}"))?;
        let entries = installed::entries(&destination).with_context(|| format!("cannot pack {name}"))?;
        if entries.is_empty() {
            let command = exec::paste(&binary.install("{destdir}"));
            return Err(Failure::rejected(format!("{name} would be empty: `{command}` installed nothing")));
        }
        let observed = room.observe(&sources)?;
        let srpm = match (&binary.srpm, binary.srpm_of(&self.identity.release.name, self.identity.version)) {
            (Some(declared), Some(name)) => {
                let package = srpm::Package { declared, name, binary, source: self.source, epoch: self.epoch };
                Some(package.make(&room, &self.identity.directory(), log)?)
            }
            _ => None,
        };
        Ok(Run { entries, observed, srpm })
    }

    /// Packs what was installed, unless the other build installed something else.
    fn packed(
        &self,
        name: &str,
        binary: &Binary,
        first: &Run,
        second: &Run,
        varied: &[&str],
    ) -> anyhow::Result<Artifact> {
        let scratch = Scratch::new("compare")?;
        let write = |entries: &[archive::ArchiveEntry], path: PathBuf| {
            let files = [ArchiveFile { format: binary.format, path }];
            let archives = Archives { directory: "", epoch: self.epoch, files: &files, threads: self.threads };
            archive::write(entries.iter().cloned().map(Ok), archives)
        };
        let path = self.directory.join(name);
        let written = write(&first.entries, path.clone())?;
        if first.entries != second.entries {
            let other = scratch.path().join(name);
            write(&second.entries, other.clone())?;
            let pair = Pair { expected: &path, found: &other, format: binary.format, limits: Limits::UNKNOWN };
            let difference = pair.first_difference().with_context(|| format!("cannot compare {name}"))?;
            let difference =
                difference.map_or_else(|| "in a way that tar does not keep".to_owned(), |one| one.to_string());
            return Err(differs(name, varied, &difference));
        }
        let written = written.archives.first().context("no tarball was written")?;
        let (size, sha256) = (written.size, written.sha256);
        Ok(Artifact { name: name.to_owned(), size, sha256, kind: Some(ArtifactKind::Binary) })
    }
}

/// The result of one build.
struct Run {
    entries: Vec<archive::ArchiveEntry>,
    observed: drydock_base::variations::Observed,
    /// The source RPM.
    srpm: Option<Vec<u8>>,
}

/// The output of all commands.
pub(crate) struct Log<'a> {
    path: &'a Path,
    text: String,
}

impl Log<'_> {
    /// Runs a command in a room, in a directory there. `what` is the beginning of the error.
    fn run(&mut self, room: &root::Room<'_>, command: &[String], directory: &str, what: &str) -> anyhow::Result<()> {
        let output = room.run(command, directory)?;
        let words = exec::paste(command);
        self.text.push_str(&format!("$ {words}\n{}", String::from_utf8_lossy(&output.stdout)));
        paths::write_atomically(self.path, self.text.as_bytes())?;
        if output.status.success() {
            return Ok(());
        }
        let when = if room.environment.is_varied { " in the second build, which has another environment" } else { "" };
        Err(Failure::rejected(format!(
            "{what}{when}: `{words}` ended with {}: {}; it has no network, and writes to its own directories only; the output is in {}",
            output.status,
            exec::end_of(&output.stdout),
            self.path.display()
        )))
    }
}

fn differs(name: &str, varied: &[&str], difference: &str) -> anyhow::Error {
    Failure::not_reproducible(format!(
        "{name} is not the same when it is built again with another {}: {difference}",
        varied.join(", ")
    ))
}

/// The reason why the second build saw the same of a property.
fn why_not(property: &str) -> &'static str {
    match property {
        "clock" => "the base has no program that varies it",
        "user id" => "every build is root of its own namespace",
        "locale" => "the base has no other locale",
        _ => "it was set, and had no effect",
    }
}
