//! The steps that build and prove on this machine, and how their results are recognised.

use std::path::PathBuf;

use crate::commands::deb::check::Check;
use crate::commands::deb::source_packages::{BuildOptions, SourcePackages};
use crate::commands::docker::build::Build;
use crate::commands::release::build::{build, lock};
use crate::commands::release::prove;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::text::plural;
use drydock_config::images::{From, Image, Platform};
use drydock_config::release::Version;
use drydock_oci::build_record::BuildRecord;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, ParsedManifest};
use drydock_release::manifest::Manifest;
use drydock_release::proof::Proof;

use super::nightly_build::NightlyBuild;

/// The manifest of the archives, if it belongs to this build and all files have their checksums.
pub(super) fn manifest(nightly: &NightlyBuild) -> Option<Manifest> {
    nightly.release.published(&nightly.release.directory()).manifest()
}

pub(super) fn sources_done(nightly: &NightlyBuild) -> Option<String> {
    manifest(nightly).map(|manifest| summarize_archives(&manifest))
}

fn summarize_archives(manifest: &Manifest) -> String {
    format!(
        "{}, {}, root {:.12}",
        plural(manifest.artifacts.len(), "archive"),
        plural(manifest.entries.len(), "file"),
        manifest.root.to_string()
    )
}

pub(super) fn sources(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let _lock = lock(nightly.ctx())?;
    Ok(summarize_archives(&build(&nightly.release, nightly.options.threads, None)?.manifest))
}

pub(super) fn sources_proved(nightly: &NightlyBuild) -> Option<String> {
    let manifest = manifest(nightly)?;
    let proof =
        Proof::load(&manifest, &nightly.release.directory(), nightly.release.declaration().offline_proof.as_ref())
            .ok()?;
    Some(summarize_proof(&proof))
}

fn summarize_proof(proof: &Proof) -> String {
    let varied = proof.rebuild.variations.iter().filter(|one| one.missing.is_none()).count();
    let offline = if proof.offline.is_some() { ", built and tested without a network" } else { "" };
    format!("identical with {varied} variations{offline}")
}

pub(super) fn prove_sources(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let _lock = lock(nightly.ctx())?;
    let manifest = manifest(nightly).ok_or_else(removed)?;
    Ok(summarize_proof(&prove::prove(&nightly.release, &manifest, nightly.options.threads)?))
}

/// The error that something has removed the archives since an earlier step wrote them.
pub(super) fn removed() -> anyhow::Error {
    Failure::missing("the archives were removed during the run; rerun")
}

pub(super) fn packages_done(nightly: &NightlyBuild) -> anyhow::Result<Option<String>> {
    let packages = nightly.packages(&[])?;
    let Ok(built) = packages.built() else { return Ok(None) };
    for one in &built {
        if !packages.is_intact(one) || !packages.is_up_to_date(one)? {
            return Ok(None);
        }
    }
    Ok(Some(summarize_packages(&packages)))
}

fn summarize_packages(packages: &SourcePackages<'_>) -> String {
    let names: Vec<&str> = packages.series.iter().map(|series| series.name.as_str()).collect();
    format!("{} for {}", packages.upstream, names.join(", "))
}

pub(super) fn packages(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let packages = nightly.packages(&[])?;
    let _lock = lock(nightly.ctx())?;
    let threads = nightly.options.threads;
    packages.build(&BuildOptions { signer: None, with_origs: true, threads, without_proof: None })?;
    Ok(summarize_packages(&packages))
}

pub(super) fn check_packages(nightly: &NightlyBuild) -> anyhow::Result<String> {
    // The upload signs the packages and checks them again.
    let packages = nightly.packages(&[])?;
    let problems = Check { allow_unsigned: true, api: None }.problems(&packages)?;
    if problems.is_empty() {
        return Ok(format!("Launchpad's rules hold for {}", plural(packages.series.len(), "package")));
    }
    Err(Failure::rejected(format!("Launchpad would reject the packages:\n  {}", problems.join("\n  "))))
}

/// A summary of the packages, if their proofs are about exactly these packages and the binary packages are intact.
pub(super) fn packages_proved(nightly: &NightlyBuild) -> anyhow::Result<Option<String>> {
    let packages = nightly.packages(&nightly.proved_series())?;
    let Ok(built) = packages.built() else { return Ok(None) };
    let proved = built.iter().all(|one| {
        let directory = packages.directory().join("proof").join(&one.series);
        let is_there = |(name, checksum): (&String, &String)| {
            Checksum::from_file(&directory.join(name)).is_ok_and(|(found, _)| found.to_string() == *checksum)
        };
        packages.is_intact(one) && packages.proof(one).is_some_and(|proof| proof.packages.iter().all(is_there))
    });
    Ok(proved.then(|| summarize_packages(&packages)))
}

pub(super) fn prove_packages(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let packages = nightly.packages(&nightly.proved_series())?;
    let proofs = nightly.options.proof.prove_project(&packages)?;
    let lines = |proof: &drydock_deb::prove::Proof| {
        let line = |difference| format!("\n  {}: {difference}", proof.proved_on);
        proof.differences.iter().map(line).collect::<String>()
    };
    let differences: String = proofs.iter().map(lines).collect();
    if !differences.is_empty() {
        return Err(Failure::not_reproducible(format!("two builds of the packages differ:{differences}")));
    }
    let tested = proofs.iter().map(|proof| format!("{} ({})", proof.proved_on, proof.tests.join(", ")));
    Ok(format!("reproducible, installed and tested on {}", tested.collect::<Vec<_>>().join(", ")))
}

/// A summary of the images, if their build records belong to this build, their blobs are intact, and their inputs are
/// unchanged.
pub(super) fn images_done(nightly: &NightlyBuild) -> anyhow::Result<Option<String>> {
    let selection = nightly.selection()?;
    let mut found = Vec::new();
    for image in nightly.images() {
        let Ok(build) = selection.build_of(image) else { return Ok(None) };
        if !is_intact(&build.layout, &build.index) || !has_same_inputs(nightly, image, &build.record) {
            return Ok(None);
        }
        found.push(format!("{} {}", image.name, build.record.digest.short()));
    }
    Ok(Some(found.join(", ")))
}

pub(super) fn images(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let selection = nightly.selection()?;
    let build = Build { selection: &selection, platforms: Vec::new(), engines: nightly.options.engines };
    let records = build.run()?;
    let summaries = records.iter().map(|record| {
        let printed = record.platforms.values().find_map(|platform| platform.smoke_test.as_ref());
        let printed = printed.map_or_else(String::new, |passed| format!(" prints {:?}", passed.printed.trim()));
        format!("{} {}{printed}", record.image, record.digest.short())
    });
    Ok(summaries.collect::<Vec<_>>().join(", "))
}

/// Whether all blobs that an index references have their digests.
fn is_intact(layout: &Layout, top: &Descriptor) -> bool {
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

/// Whether the inputs of an image are unchanged: proved packages, or a declared archive.
fn has_same_inputs(nightly: &NightlyBuild, image: &Image, record: &BuildRecord) -> bool {
    let mut files: Vec<PathBuf> = Vec::new();
    if let From::Archive { path, .. } = &image.from {
        let name = |platform: &Platform| archive_path(path, &nightly.release.version, *platform);
        files.extend(image.platforms.iter().map(|platform| nightly.ctx().declarations.project.join(name(platform))));
    }
    let directories: Vec<PathBuf> = nightly
        .proved_series()
        .iter()
        .map(|series| nightly.release.directory().join("deb/proof").join(series))
        .collect();
    record.inputs.iter().all(|input| {
        let all = directories.iter().map(|directory| directory.join(&input.name)).chain(files.iter().cloned());
        let here: Vec<PathBuf> = all.filter(|file| file.exists()).collect();
        let is_same = |file: &PathBuf| {
            Checksum::from_file(file).is_ok_and(|(sum, size)| (sum, size) == (input.sha256, input.size))
        };
        here.iter().any(is_same) || here.is_empty() && nightly.options.is_unpacked
    })
}

/// The path of the archive for an image of a platform.
pub(super) fn archive_path(path: &str, version: &Version, platform: Platform) -> String {
    path.replace("{version}", version.as_str()).replace("{architecture}", platform.architecture())
}
