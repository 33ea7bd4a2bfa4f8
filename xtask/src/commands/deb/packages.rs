//! The project's source packages: which are meant, where they stand, and how they are made.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::commands::release::build;
use crate::commands::release_context::ReleaseContext;
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::sums::Sha256Sum;
use drydock_config::release::Format;
use drydock_config::release::deb::{Deb, Number, Series, Target};
use drydock_deb::changelog::{Entry, changes_of};
use drydock_deb::control::{self, Paragraph};
use drydock_deb::directory::Directory;
use drydock_deb::package::{self, Request, SourcePackage};
use drydock_deb::prove::{Proof, identity};
use drydock_deb::series;
use drydock_deb::sign::Signer;
use drydock_deb::vendor::{self, Vendored};
use drydock_deb::version::{self, DebVersion};
use drydock_release::manifest::{Manifest, NAME};

/// The list of what was made.
const LIST: &str = "packages.json";

/// The source packages of a release, for some or all of the declared series.
pub(in crate::commands) struct Packages<'a> {
    pub(in crate::commands) release: &'a ReleaseContext,
    pub(in crate::commands) deb: &'a Deb,
    /// The selected series.
    pub(in crate::commands) series: Vec<&'a Series>,
    /// The upstream part of the versions.
    pub(in crate::commands) upstream: String,
    /// Whether they are uploaded to `nightly.upload`; a nightly is never uploaded elsewhere.
    pub(in crate::commands) as_nightly: bool,
}

/// What was made for one series, for the commands that follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands) struct Made {
    pub(in crate::commands) series: String,
    pub(in crate::commands) version: String,
    pub(in crate::commands) dsc: String,
    pub(in crate::commands) changes: String,
    /// The sum of the `debian` directory of all series, which may be outside of the commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::commands) directory: Option<Sha256Sum>,
}

impl<'a> Packages<'a> {
    /// Selects packages by the names of their series; all without names.
    pub(in crate::commands) fn select(release: &'a ReleaseContext, names: &[String]) -> anyhow::Result<Packages<'a>> {
        let Some(deb) = &release.declaration().deb else {
            let text = "packaging/release.yaml declares no `deb`; the README shows how";
            return Err(Failure::declaration(text));
        };
        let known = |name: &String| deb.series.iter().any(|series| series.name.as_str() == name);
        if let Some(name) = names.iter().find(|name| !known(name)) {
            let all: Vec<&str> = deb.series.iter().map(|series| series.name.as_str()).collect();
            return Err(Failure::usage(format!("the series {name} is not declared; there are {}", all.join(", "))));
        }
        let is_selected = |series: &&Series| names.is_empty() || names.iter().any(|name| name == series.name.as_str());
        Ok(Packages {
            release,
            deb,
            series: deb.series.iter().filter(is_selected).collect(),
            upstream: version::upstream_of(&release.version),
            as_nightly: release.nightly().is_some(),
        })
    }

    /// The directory of the packages.
    pub(in crate::commands) fn directory(&self) -> PathBuf {
        self.release.directory().join("deb")
    }

    /// Where they are uploaded to, when that is declared.
    pub(in crate::commands) fn target(&self) -> Option<&'a Target> {
        if self.as_nightly { self.release.declaration().nightly.upload.as_ref() } else { self.deb.upload.as_ref() }
    }

    /// The version for a series.
    pub(in crate::commands) fn version(&self, series: &Series) -> anyhow::Result<DebVersion> {
        version::for_series(&self.upstream, self.deb, series).map_err(|why| Failure::declaration(why))
    }

    /// What was made for the wanted series by an earlier call.
    pub(in crate::commands) fn made(&self) -> anyhow::Result<Vec<Made>> {
        self.series.iter().map(|series| self.made_for(series)).collect()
    }

    /// What was made for a series by an earlier call.
    pub(in crate::commands) fn made_for(&self, series: &Series) -> anyhow::Result<Made> {
        let list = self.directory().join(LIST);
        let text = fs::read_to_string(&list).unwrap_or_else(|_| "[]".into());
        let all: Vec<Made> = serde_json::from_str(&text).with_context(|| format!("{}: not a list", list.display()))?;
        let version = self.version(series)?;
        let fits = |one: &Made| one.series == series.name.as_str() && one.version == version.as_str();
        all.into_iter().find(fits).ok_or_else(|| {
            let text = format!("there is no source package {version} for {}", series.name.as_str());
            Failure::usage(format!("{text}; make it with `cargo xtask deb source`"))
        })
    }

    /// Whether the files of a source package are still those that its `.dsc` lists.
    pub(in crate::commands) fn is_whole(&self, made: &Made) -> bool {
        let directory = self.directory();
        let read =
            |name: &str| fs::read_to_string(directory.join(name)).ok().and_then(|text| control::parse_one(&text).ok());
        let good = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [sum, _, name] => {
                Sha256Sum::of_file(&directory.join(name)).is_ok_and(|(found, _)| found.to_string() == sum)
            }
            _ => false,
        };
        let all_good = |one: Paragraph| {
            let sums = one.get("Checksums-Sha256").unwrap_or_default().trim().to_owned();
            !sums.is_empty() && sums.lines().all(good)
        };
        // `.changes` lists `.dsc`, which lists the rest.
        read(&made.changes).is_some_and(all_good) && read(&made.dsc).is_some_and(all_good)
    }

    /// Whether a source package was made of the `debian` directory that is declared now.
    pub(in crate::commands) fn is_of_directory(&self, made: &Made) -> anyhow::Result<bool> {
        Ok(made.directory == Some(self.debian_directory()?.sum()))
    }

    /// The proof of a package, when it is about these very bytes and found no difference.
    pub(in crate::commands) fn proof(&self, made: &Made) -> Option<Proof> {
        let file = self.directory().join("proof").join(&made.series).join(super::prove::NAME);
        let proof: Proof = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        (self.is_proof_of(&proof, made) && proof.differing.is_empty()).then_some(proof)
    }

    /// Whether a proof is about the very bytes of a source package.
    pub(in crate::commands) fn is_proof_of(&self, proof: &Proof, made: &Made) -> bool {
        let dsc = fs::read_to_string(self.directory().join(&made.dsc)).ok();
        let dsc = dsc.and_then(|text| control::parse_one(&text).ok());
        dsc.is_some_and(|dsc| identity(&dsc) == proof.dsc)
    }

    /// Makes the source packages.
    pub(in crate::commands) fn make(&self, how: &How<'_>) -> anyhow::Result<Vec<Made>> {
        let directory = self.directory();
        fs::create_dir_all(&directory).with_context(|| format!("cannot make the directory {}", directory.display()))?;
        let sources = self.debian_directory()?;
        let first = sources.for_series("", None)?;
        let archive = self.release_archive(how.threads)?;
        let mut origs =
            vec![directory.join(format!("{}_{}.orig.{}", first.name(), self.upstream, self.deb.orig.extension()))];
        place(&archive, &origs[0])?;

        let vendored = self.vendored()?;
        if let Some(vendored) = &vendored {
            let file = directory.join(format!("{}_{}.orig-{}.tar.xz", first.name(), self.upstream, vendor::COMPONENT));
            output::err(format_args!("== write {} crates", vendored.crates.len()));
            let files = [ArchiveFile { format: Format::TarXz, path: file.clone() }];
            let (directory, epoch) = (vendor::COMPONENT, self.release.tree.epoch);
            let archives = Archives { directory, epoch, files: &files, threads: how.threads };
            archive::write(vendored.archive_entries().into_iter().map(Ok), archives)?;
            origs.push(file);
        }
        let mut made = Vec::new();
        for series in &self.series {
            let entry = Entry {
                source: first.name(),
                version: self.version(series)?,
                series: series.name.as_str().to_owned(),
                changes: self.changes()?,
                maintainer: self.deb.maintainer.as_str().to_owned(),
                epoch: self.release.tree.epoch,
            };
            output::err(format_args!("== write {} {}", entry.source, entry.version));
            let version = entry.version.clone();
            let package = package::write(Request {
                debian: sources.for_series(series.name.as_str(), vendored.as_ref())?,
                entry,
                origs: &origs,
                with_origs: how.with_origs,
                directory: &directory,
                signer: how.signer,
                threads: how.threads,
            })?;
            made.push(of_package(series, &version, &package, sources.sum()));
        }
        self.remember(&made)?;
        Ok(made)
    }

    /// The crates, when they are declared, and whether each series' compiler is new enough for them.
    fn vendored(&self) -> anyhow::Result<Option<Vendored>> {
        let Some(declared) = &self.deb.vendor else { return Ok(None) };
        let vendored =
            vendor::collect(&self.release.tree, declared, &mut |line| output::err(format_args!("== {line}")))?;
        for series in &self.series {
            let known = series::rustc(series.name.as_str());
            let rustc: Option<&Number> = series.rustc.as_ref().or(known.as_ref());
            let Some(rustc) = rustc else {
                output::err(format_args!("note: the Rust of {} is not known; declare `rustc`", series.name.as_str()));
                continue;
            };
            let mut problems = vendored.too_new(rustc);
            if vendored.lock_format >= 4 && rustc.parts() < [1, 78].as_slice() {
                problems.push("Cargo.lock has the format 4, which cargo 1.78 and later read".into());
            }
            if !problems.is_empty() {
                let text = format!("{} has Rust {}, but:\n  ", series.name.as_str(), rustc.as_str());
                let remedy =
                    "lock older versions, `prune` is no help; or declare the `rustc` that the build uses there";
                return Err(Failure::rejected(format!("{text}{}\n{remedy}", problems.join("\n  "))));
            }
        }
        Ok(Some(vendored))
    }

    fn debian_directory(&self) -> anyhow::Result<Directory> {
        match &self.release.commit.config {
            None => Directory::of_tree(&self.release.tree, &self.deb.directory),
            Some(config) => Directory::of_disk(&config.join(&self.deb.directory)),
        }
    }

    fn changes(&self) -> anyhow::Result<Vec<String>> {
        let ReleaseContext { commit, tree, version, .. } = self.release;
        if self.release.nightly().is_some() {
            return Ok(vec![format!("Nightly build {version} of the commit {}.", commit.id)]);
        }
        let mut changes = vec![format!("New upstream release {version}.")];
        let file = commit.declaration.changelog.as_ref().and_then(|path| tree.get(path));
        if let Some(entry) = file {
            let text = String::from_utf8_lossy(&tree.reader().content(entry)?).into_owned();
            changes.extend(changes_of(&text, version));
        }
        Ok(changes)
    }

    /// The release's archive that becomes the orig: what is there already when it is that of this commit, else built.
    fn release_archive(&self, threads: u32) -> anyhow::Result<PathBuf> {
        let identity = self.release.identity();
        let name = identity.archives().into_iter().find(|(format, _)| *format == self.deb.orig).map(|(_, name)| name);
        let name = name.context("the release has no archive of the orig's format")?;
        let directory = self.release.directory();
        let there = |manifest: &Manifest| {
            let artifact = manifest.artifacts.iter().find(|artifact| artifact.name == name);
            let same =
                manifest.commit == self.release.commit.id.as_str() && manifest.declaration == identity.declaration;
            let sum = Sha256Sum::of_file(&directory.join(&name)).ok().map(|(sum, _)| sum);
            same && artifact.is_some_and(|artifact| Some(artifact.sha256) == sum)
        };
        if !Manifest::load(&directory.join(NAME)).is_ok_and(|manifest| there(&manifest)) {
            build::build(self.release, threads)?;
        }
        Ok(directory.join(name))
    }

    /// Adds to the list of what was made.
    fn remember(&self, made: &[Made]) -> anyhow::Result<()> {
        let list = self.directory().join(LIST);
        let old: Vec<Made> =
            fs::read_to_string(&list).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let again = |one: &Made| made.iter().any(|new| new.series == one.series && new.version == one.version);
        let all: Vec<Made> = old.into_iter().filter(|one| !again(one)).chain(made.iter().cloned()).collect();
        paths::write_atomically(&list, (serde_json::to_string_pretty(&all)? + "\n").as_bytes())
    }
}

/// How packages are made.
pub(in crate::commands) struct How<'a> {
    pub(in crate::commands) signer: Option<&'a Signer>,
    pub(in crate::commands) with_origs: bool,
    pub(in crate::commands) threads: u32,
}

fn of_package(series: &Series, version: &DebVersion, package: &SourcePackage, directory: Sha256Sum) -> Made {
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    Made {
        series: series.name.as_str().to_owned(),
        version: version.to_string(),
        dsc: name(&package.dsc),
        changes: name(&package.changes),
        directory: Some(directory),
    }
}

/// Puts a file there under another name: the same bytes, without a second copy where the file system can.
fn place(from: &Path, to: &Path) -> anyhow::Result<()> {
    let part = to.with_extension("part");
    let _there_may_be_none = fs::remove_file(&part);
    fs::hard_link(from, &part)
        .or_else(|_| fs::copy(from, &part).map(|_| ()))
        .and_then(|()| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    // Renaming one link of a file onto another does nothing at all.
    let _there_may_be_none = fs::remove_file(&part);
    Ok(())
}
