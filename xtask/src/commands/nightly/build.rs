//! What of a night is made on this machine, and how its results are known again.

use std::path::PathBuf;

use crate::commands::deb::check::Check;
use crate::commands::deb::source_packages::{BuildOptions, SourcePackages};
use crate::commands::docker::build::Build;
use crate::commands::release::build::{build, lock};
use crate::commands::release::prove;
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::{From, Image, Platform};
use drydock_config::release::Version;
use drydock_oci::build_record::BuildRecord;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ParsedManifest};
use drydock_release::manifest::{Manifest, NAME};
use drydock_release::proof::Proof;

use super::night::Night;

/// The list of the sources, when it is tonight's and all its files have their sums.
pub(super) fn manifest(night: &Night) -> Option<Manifest> {
    let manifest = Manifest::load(&night.release.directory().join(NAME)).ok()?;
    let ours = manifest.commit == night.release.commit.id.as_str()
        && manifest.version == night.release.version.as_str()
        && manifest.tag == night.release.tag
        && manifest.declaration == night.release.commit.declaration_digest;
    let whole = manifest.files(&night.release.directory()).all(|(artifact, _, path)| {
        Sha256Sum::of_file(&path).is_ok_and(|(sum, size)| (sum, size) == (artifact.sha256, artifact.size))
    });
    (ours && whole).then_some(manifest)
}

pub(super) fn sources_done(night: &Night) -> Option<String> {
    manifest(night).map(|manifest| archives(&manifest))
}

fn archives(manifest: &Manifest) -> String {
    format!(
        "{} archives, {} files, root {:.12}",
        manifest.artifacts.len(),
        manifest.entries.len(),
        manifest.root.to_string()
    )
}

pub(super) fn sources(night: &Night) -> anyhow::Result<String> {
    let _lock = lock(night.ctx())?;
    Ok(archives(&build(&night.release, night.options.threads)?.manifest))
}

pub(super) fn sources_proved(night: &Night) -> Option<String> {
    let manifest = manifest(night)?;
    let proof =
        Proof::load(&manifest, &night.release.directory(), night.release.declaration().offline_proof.is_some()).ok()?;
    Some(proved(&proof))
}

fn proved(proof: &Proof) -> String {
    let varied = proof.rebuild.variations.iter().filter(|one| one.missing.is_none()).count();
    let offline = if proof.offline.is_some() { ", built and tested without a network" } else { "" };
    format!("the same bytes with {varied} things varied{offline}")
}

pub(super) fn prove_sources(night: &Night) -> anyhow::Result<String> {
    let _lock = lock(night.ctx())?;
    let manifest = needed(manifest(night), "the archives")?;
    Ok(proved(&prove::prove(&night.release, &manifest, night.options.threads)?))
}

/// What an earlier step made, which may be gone when somebody cleans up meanwhile.
fn needed<T>(found: Option<T>, what: &str) -> anyhow::Result<T> {
    found.ok_or_else(|| Failure::missing(format!("{what} went away while this went on; start it again")))
}

/// The source packages, which are declared when this is called.
fn of_packages<'a>(night: &'a Night, series: &[String]) -> anyhow::Result<SourcePackages<'a>> {
    needed(night.packages(series)?, "`deb` in the declaration")
}

pub(super) fn packages_done(night: &Night) -> anyhow::Result<Option<String>> {
    let packages = of_packages(night, &[])?;
    let Ok(made) = packages.built() else { return Ok(None) };
    for one in &made {
        if !packages.is_intact(one) || !packages.is_up_to_date(one)? {
            return Ok(None);
        }
    }
    Ok(Some(of_series(&packages)))
}

fn of_series(packages: &SourcePackages<'_>) -> String {
    let names: Vec<&str> = packages.series.iter().map(|series| series.name.as_str()).collect();
    format!("{} for {}", packages.upstream, names.join(", "))
}

pub(super) fn packages(night: &Night) -> anyhow::Result<String> {
    let packages = of_packages(night, &[])?;
    let _lock = lock(night.ctx())?;
    packages.build(&BuildOptions { signer: None, with_origs: true, threads: night.options.threads })?;
    Ok(of_series(&packages))
}

pub(super) fn check_packages(night: &Night) -> anyhow::Result<String> {
    // They are signed when they are uploaded, where they are checked once more.
    let packages = of_packages(night, &[])?;
    let refused = Check { allow_unsigned: true, api: None }.problems(&packages)?;
    match refused.as_slice() {
        [] => Ok(format!("{} packages would be accepted", packages.series.len())),
        list => Err(Failure::rejected(format!("the packages would be refused:\n  {}", list.join("\n  ")))),
    }
}

/// The series whose packages are proved, in words, when the proofs are about these packages and what they built is there.
pub(super) fn packages_proved(night: &Night) -> anyhow::Result<Option<String>> {
    let packages = of_packages(night, &night.proved_series())?;
    let Ok(made) = packages.built() else { return Ok(None) };
    let proved = made.iter().all(|one| {
        let directory = packages.directory().join("proof").join(&one.series);
        let is_there = |(name, sum): (&String, &String)| {
            Sha256Sum::of_file(&directory.join(name)).is_ok_and(|(found, _)| found.to_string() == *sum)
        };
        packages.is_intact(one) && packages.proof(one).is_some_and(|proof| proof.packages.iter().all(is_there))
    });
    Ok(proved.then(|| of_series(&packages)))
}

pub(super) fn prove_packages(night: &Night) -> anyhow::Result<String> {
    let packages = of_packages(night, &night.proved_series())?;
    let proofs = night.options.proof.prove_project(&packages)?;
    let differing: Vec<String> = proofs
        .iter()
        .flat_map(|proof| proof.differences.iter().map(|what| format!("\n  {}: {what}", proof.proved_on)))
        .collect();
    if !differing.is_empty() {
        let text = format!("two builds of the packages differ:{}", differing.concat());
        return Err(Failure::not_reproducible(text));
    }
    let tried = proofs.iter().map(|proof| format!("{} ({})", proof.proved_on, proof.tests.join(", ")));
    Ok(format!("no difference, installed and tried on {}", tried.collect::<Vec<_>>().join(", ")))
}

/// The images, when their records are tonight's and by tonight's declaration, all their blobs are whole, and what they were made of is what is there.
pub(super) fn images_done(night: &Night) -> anyhow::Result<Option<String>> {
    let wanted = night.selection()?;
    let mut found = Vec::new();
    for image in night.images() {
        let Ok(build) = wanted.build_of(image) else { return Ok(None) };
        if !is_whole(&build.layout, &build.index) || !inputs_are_there(night, image, &build.record) {
            return Ok(None);
        }
        found.push(format!("{} {}", image.name, build.record.digest.short()));
    }
    Ok(Some(found.join(", ")))
}

pub(super) fn images(night: &Night) -> anyhow::Result<String> {
    let selection = night.selection()?;
    let build = Build { selection: &selection, platforms: Vec::new(), engines: night.options.engines };
    let records = build.run()?;
    let told = records.iter().map(|record| {
        let printed = record.platforms.values().find_map(|platform| platform.smoke_test.as_ref());
        let printed = printed.map_or_else(String::new, |passed| format!(" prints {:?}", passed.printed.trim()));
        format!("{} {}{printed}", record.image, record.digest.short())
    });
    Ok(told.collect::<Vec<_>>().join(", "))
}

/// Whether every blob that an index reaches is there with its sum.
fn is_whole(layout: &Layout, top: &Descriptor) -> bool {
    let mut work = vec![top.clone()];
    while let Some(one) = work.pop() {
        let Ok(bytes) = layout.read(&one) else { return false };
        match ParsedManifest::read(&one.media_type, &bytes) {
            Ok(ParsedManifest::Index(index)) => work.extend(index.manifests),
            Ok(ParsedManifest::Manifest(manifest)) => {
                let mut blobs = std::iter::once(&manifest.config).chain(&manifest.layers);
                if blobs.any(|blob| layout.check(blob).is_err()) {
                    return false;
                }
            }
            Err(_) => return false,
        }
    }
    true
}

/// Whether what an image was made of is still what is there: proved packages, or a declared archive.
fn inputs_are_there(night: &Night, image: &Image, record: &BuildRecord) -> bool {
    let mut files: Vec<PathBuf> = Vec::new();
    if let From::Archive { path, .. } = &image.from {
        let name = |platform: &Platform| archive_of(path, &night.release.version, *platform);
        files.extend(image.platforms.iter().map(|platform| night.ctx().declarations.project.join(name(platform))));
    }
    let directories: Vec<PathBuf> =
        night.proved_series().iter().map(|series| night.release.directory().join("deb/proof").join(series)).collect();
    record.inputs.iter().all(|input| {
        let mut all = directories.iter().map(|directory| directory.join(&input.name)).chain(files.iter().cloned());
        all.any(|file| Sha256Sum::of_file(&file).is_ok_and(|(sum, size)| (sum, size) == (input.sha256, input.size)))
    })
}

/// The archive that an image of a platform is made of.
pub(super) fn archive_of(path: &str, version: &Version, platform: Platform) -> String {
    path.replace("{version}", version.as_str()).replace("{architecture}", platform.architecture())
}
