//! The project's source packages: which of them a command is about, where their files are, and how they are built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::commands::release::build;
use crate::commands::release_context::ReleaseContext;
use drydock_archive::source::vendor::{self, VendoredCrates};
use drydock_archive::{self as archive, ArchiveFile, Archives};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_base::output;
use drydock_base::paths;
use drydock_base::text::plural;
use drydock_config::debversion::{self, DebVersion};
use drydock_config::release::Format;
use drydock_config::release::deb::{Deb, Number, Series, Target};
use drydock_config::release_notes::{NoteItem, NotesQuery, ReleaseNotes};
use drydock_deb::changelog::ChangelogEntry;
use drydock_deb::control::{self, Paragraph};
use drydock_deb::debian_directory::DebianDirectory;
use drydock_deb::package::{self, SourcePackage, SourcePackageInputs};
use drydock_deb::prove::{Proof, identity};
use drydock_deb::series;
use drydock_deb::sign::Signer;
use drydock_release::manifest::{Manifest, NAME};

/// The file that a proof of packages is kept in.
pub(in crate::commands) const PROOF: &str = "proof.json";

/// The list of the packages that were built.
const LIST: &str = "packages.json";

/// The source packages of a release, for some or all of the declared series.
pub(in crate::commands) struct SourcePackages<'a> {
    pub(in crate::commands) release: &'a ReleaseContext,
    pub(in crate::commands) deb: &'a Deb,
    /// The selected series.
    pub(in crate::commands) series: Vec<&'a Series>,
    /// The upstream part of the versions.
    pub(in crate::commands) upstream: String,
    /// Whether the packages are uploaded to `nightly.upload`, which is the only target for nightlies.
    pub(in crate::commands) as_nightly: bool,
}

/// A source package that was built for a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::commands) struct BuiltSource {
    pub(in crate::commands) series: String,
    pub(in crate::commands) version: String,
    pub(in crate::commands) dsc: String,
    pub(in crate::commands) changes: String,
    /// [`DebianDirectory::checksum`], as the directory may be outside the commit.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(in crate::commands) directory: Option<Checksum>,
}

impl BuiltSource {
    /// The name of the source package.
    pub(in crate::commands) fn name(&self) -> &str {
        self.dsc.split_once('_').map_or("", |(name, _)| name)
    }
}

impl<'a> SourcePackages<'a> {
    /// Selects packages by the names of their series; all without names.
    pub(in crate::commands) fn select(
        release: &'a ReleaseContext,
        names: &[String],
    ) -> anyhow::Result<SourcePackages<'a>> {
        let Some(deb) = &release.declaration().deb else {
            return Err(Failure::declaration(format!(
                "packaging/release.yaml has no `deb` section; `{}` writes one, or says why it cannot",
                hint::drydock(&["init", "--deb"])
            )));
        };
        let known = |name: &String| deb.series.iter().any(|series| series.name.as_str() == name);
        if let Some(name) = names.iter().find(|name| !known(name)) {
            let all: Vec<&str> = deb.series.iter().map(|series| series.name.as_str()).collect();
            return Err(Failure::usage(format!("the series {name} is not declared; use one of {}", all.join(", "))));
        }
        let is_selected = |series: &&Series| names.is_empty() || names.iter().any(|name| name == series.name.as_str());
        Ok(SourcePackages {
            release,
            deb,
            series: deb.series.iter().filter(is_selected).collect(),
            upstream: debversion::upstream_version(&release.version),
            as_nightly: release.nightly().is_some(),
        })
    }

    /// The directory with the packages.
    pub(in crate::commands) fn directory(&self) -> PathBuf {
        self.release.directory().join("deb")
    }

    /// The declared upload target.
    pub(in crate::commands) fn target(&self) -> Option<&'a Target> {
        if self.as_nightly { self.release.declaration().nightly.upload.as_ref() } else { self.deb.upload.as_ref() }
    }

    /// The version of the package for a series.
    pub(in crate::commands) fn version(&self, series: &Series) -> anyhow::Result<DebVersion> {
        debversion::for_series(&self.upstream, self.deb, series).map_err(Failure::declaration)
    }

    /// The packages of all series, which an earlier call built.
    pub(in crate::commands) fn built(&self) -> anyhow::Result<Vec<BuiltSource>> {
        self.series.iter().map(|series| self.built_for(series)).collect()
    }

    /// The package of a series, which an earlier call built.
    pub(in crate::commands) fn built_for(&self, series: &Series) -> anyhow::Result<BuiltSource> {
        let list = self.directory().join(LIST);
        let text = fs::read_to_string(&list).unwrap_or_else(|_| "[]".into());
        let all: Vec<BuiltSource> =
            serde_json::from_str(&text).with_context(|| format!("cannot parse {}", list.display()))?;
        let version = self.version(series)?;
        let fits = |one: &BuiltSource| one.series == series.name.as_str() && one.version == version.as_str();
        all.into_iter().find(fits).ok_or_else(|| {
            let text = format!("there is no source package {version} for {}", series.name.as_str());
            Failure::usage(format!("{text}; build it with `{}`", hint::drydock(&["deb", "source"])))
        })
    }

    /// Whether the files of a package have the checksums of its `.changes` and `.dsc`.
    pub(in crate::commands) fn is_intact(&self, built: &BuiltSource) -> bool {
        let directory = self.directory();
        let read =
            |name: &str| fs::read_to_string(directory.join(name)).ok().and_then(|text| control::parse_one(&text).ok());
        let good = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [checksum, _, name] => {
                Checksum::from_file(&directory.join(name)).is_ok_and(|(found, _)| found.to_string() == checksum)
            }
            _ => false,
        };
        let all_good = |one: Paragraph| {
            let lines: Vec<&str> = one.lines("Checksums-Sha256").collect();
            !lines.is_empty() && lines.into_iter().all(good)
        };
        // `.changes` lists `.dsc`, which lists the rest.
        read(&built.changes).is_some_and(all_good) && read(&built.dsc).is_some_and(all_good)
    }

    /// Whether a package was built from the current contents of the declared `debian` directory.
    pub(in crate::commands) fn is_up_to_date(&self, built: &BuiltSource) -> anyhow::Result<bool> {
        Ok(built.directory == Some(self.debian_directory()?.checksum()))
    }

    /// The proof of a package, if it is about exactly this package and found no differences.
    pub(in crate::commands) fn proof(&self, built: &BuiltSource) -> Option<Proof> {
        let file = self.directory().join("proof").join(&built.series).join(PROOF);
        let proof: Proof = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
        (self.is_proof_of(&proof, built) && proof.differences.is_empty()).then_some(proof)
    }

    /// Whether a proof is about exactly this package.
    pub(in crate::commands) fn is_proof_of(&self, proof: &Proof, built: &BuiltSource) -> bool {
        let dsc = fs::read_to_string(self.directory().join(&built.dsc)).ok();
        let dsc = dsc.and_then(|text| control::parse_one(&text).ok());
        dsc.is_some_and(|dsc| identity(&dsc) == proof.dsc)
    }

    /// Builds the packages, and the archives of the release if they are not there.
    pub(in crate::commands) fn build(&self, options: &BuildOptions<'_>) -> anyhow::Result<Vec<BuiltSource>> {
        let directory = self.directory();
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let sources = self.debian_directory()?;
        let first = sources.for_series("", None)?;
        // What is wrong with the changelog is said before the archives are built.
        let changes = self.changes()?;
        let archive = self.release_archive(options.threads)?;
        let mut origs =
            vec![directory.join(format!("{}_{}.orig.{}", first.name(), self.upstream, self.deb.orig.extension()))];
        link_or_copy(&archive, &origs[0])?;

        let vendored = self.vendored()?;
        if let (Some(vendored), Some(_)) = (&vendored, &self.deb.vendor) {
            let file = directory.join(format!("{}_{}.orig-{}.tar.xz", first.name(), self.upstream, vendored.directory));
            output::step(format_args!("write {}", plural(vendored.crates.len(), "crate")));
            let files = [ArchiveFile { format: Format::TarXz, path: file.clone() }];
            let (directory, epoch) = (vendored.directory.as_str(), self.release.tree.epoch);
            let archives = Archives { directory, epoch, files: &files, threads: options.threads };
            archive::write(vendored.archive_entries().into_iter().map(Ok), archives)?;
            origs.push(file);
        }
        let mut built = Vec::new();
        for series in &self.series {
            let entry = ChangelogEntry {
                source: first.name(),
                version: self.version(series)?,
                series: series.name.as_str().to_owned(),
                changes: changes.clone(),
                maintainer: self.deb.maintainer.as_str().to_owned(),
                epoch: self.release.tree.epoch,
            };
            output::step(format_args!("write {} {}", entry.source, entry.version));
            let version = entry.version.clone();
            let package = package::write(SourcePackageInputs {
                debian: sources.for_series(series.name.as_str(), vendored.as_ref())?,
                entry,
                origs: &origs,
                with_origs: options.with_origs,
                directory: &directory,
                signer: options.signer,
                threads: options.threads,
                without_proof: options.without_proof,
            })?;
            built.push(built_source(series, &version, &package, sources.checksum()));
        }
        self.add_to_list(&built)?;
        Ok(built)
    }

    /// Collects the vendored crates, if any, whether of the archives or of the package, and checks that each series' compiler is
    /// new enough for them.
    fn vendored(&self) -> anyhow::Result<Option<VendoredCrates>> {
        let in_sources = self.release.declaration().vendor.as_ref();
        let Some(declared) = self.deb.vendor.as_ref().or(in_sources) else { return Ok(None) };
        let vendored = vendor::collect(&self.release.tree, declared, &mut |line| output::step(format_args!("{line}")))?;
        for series in &self.series {
            let known = series::rustc(series.name.as_str());
            let rustc: Option<&Number> = series.rustc.as_ref().or(known.as_ref());
            let Some(rustc) = rustc else {
                output::err(format_args!(
                    "note: the Rust version of {} is unknown; declare `rustc`",
                    series.name.as_str()
                ));
                continue;
            };
            let mut problems = vendored.too_new(rustc);
            if vendored.lock_format >= 4 && rustc.parts() < [1, 78].as_slice() {
                problems.push("Cargo.lock has format 4, which needs cargo 1.78".into());
            }
            if !problems.is_empty() {
                let text = format!("{} has Rust {}, but:\n  ", series.name.as_str(), rustc.as_str());
                let remedy =
                    "pin older versions in Cargo.lock, or declare the `rustc` that the build uses in this series";
                return Err(Failure::rejected(format!("{text}{}\n{remedy}", problems.join("\n  "))));
            }
        }
        Ok(Some(vendored))
    }

    fn debian_directory(&self) -> anyhow::Result<DebianDirectory> {
        match &self.release.commit.config {
            None => DebianDirectory::from_tree(&self.release.tree, &self.deb.directory),
            Some(config) => DebianDirectory::from_disk(&config.join(&self.deb.directory)),
        }
    }

    /// The changes for the changelog of the packages: those of the entry in the project's changelog, if it is a release.
    ///
    /// # Errors
    /// A changelog is declared, and has no entry for the version, an empty one, or several.
    fn changes(&self) -> anyhow::Result<Vec<NoteItem>> {
        let ReleaseContext { commit, tree, version, .. } = self.release;
        let Some(tag) = &self.release.tag else {
            let kind = if self.release.is_trial() { "Trial" } else { "Nightly" };
            return Ok(vec![NoteItem::paragraph(format!("{kind} build {version} of commit {}.", commit.id))]);
        };
        let mut changes = vec![NoteItem::paragraph(format!("New upstream release {version}."))];
        if let Some(file) = &commit.declaration.changelog {
            let content = tree.content(file)?.ok_or_else(|| {
                let text =
                    format!("{file}: the commit has no such file; correct `version.changelog`, or commit the file");
                Failure::rejected(text)
            })?;
            let query = NotesQuery { file, version: version.as_str(), tag: &tag.name };
            changes.extend(ReleaseNotes::find(&content, query).map_err(Failure::rejected)?.items);
        }
        Ok(changes)
    }

    /// The release's archive that becomes the orig tarball. It is built unless it exists and is of this commit.
    fn release_archive(&self, threads: u32) -> anyhow::Result<PathBuf> {
        let identity = self.release.identity();
        let name = identity.archives().into_iter().find(|(format, _)| *format == self.deb.orig).map(|(_, name)| name);
        let name = name.context("the release has no archive in the format of `deb.orig`")?;
        let directory = self.release.directory();
        let is_current = |manifest: &Manifest| {
            let artifact = manifest.artifacts.iter().find(|artifact| artifact.name == name);
            let same =
                manifest.commit == self.release.commit.id.as_str() && manifest.declaration == identity.declaration;
            let sum = Checksum::from_file(&directory.join(&name)).ok().map(|(sum, _)| sum);
            same && artifact.is_some_and(|artifact| Some(artifact.sha256) == sum)
        };
        if !Manifest::load(&directory.join(NAME)).is_ok_and(|manifest| is_current(&manifest)) {
            build::build(self.release, threads, None)?;
        }
        Ok(directory.join(name))
    }

    /// Adds packages to the list, replacing earlier builds of the same versions.
    fn add_to_list(&self, built: &[BuiltSource]) -> anyhow::Result<()> {
        let list = self.directory().join(LIST);
        let old: Vec<BuiltSource> =
            fs::read_to_string(&list).ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let is_replaced =
            |one: &BuiltSource| built.iter().any(|new| new.series == one.series && new.version == one.version);
        let all: Vec<BuiltSource> =
            old.into_iter().filter(|one| !is_replaced(one)).chain(built.iter().cloned()).collect();
        paths::write_atomically(&list, (serde_json::to_string_pretty(&all)? + "\n").as_bytes())
    }
}

/// Options of building source packages.
pub(in crate::commands) struct BuildOptions<'a> {
    /// The key that signs; `None` for unsigned packages.
    pub(in crate::commands) signer: Option<&'a Signer>,
    /// Whether `.changes` lists the orig tarballs.
    pub(in crate::commands) with_origs: bool,
    pub(in crate::commands) threads: u32,
    /// The reason for publishing without a proof, for `.changes`.
    pub(in crate::commands) without_proof: Option<&'a str>,
}

fn built_source(series: &Series, version: &DebVersion, package: &SourcePackage, directory: Checksum) -> BuiltSource {
    let name = |path: &Path| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    BuiltSource {
        series: series.name.as_str().to_owned(),
        version: version.to_string(),
        dsc: name(&package.dsc),
        changes: name(&package.changes),
        directory: Some(directory),
    }
}

/// Links a file to another path, or copies it across file systems.
fn link_or_copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let part = to.with_extension("part");
    // A killed process may have left it.
    fs::remove_file(&part).ok();
    fs::hard_link(from, &part)
        .or_else(|_| fs::copy(from, &part).map(|_| ()))
        .and_then(|()| fs::rename(&part, to))
        .with_context(|| format!("cannot write {}", to.display()))?;
    // Renaming one link of a file onto another does nothing and leaves both.
    fs::remove_file(&part).ok();
    Ok(())
}
