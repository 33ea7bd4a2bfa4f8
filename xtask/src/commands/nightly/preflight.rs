//! The requirements of a nightly build, checked before anything is built. All that is missing is reported at once.

use std::path::Path;

use super::build;
use super::nightly_build::NightlyBuild;
use crate::tools::{self, Purpose};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_config::images::{From, Image};
use drydock_release::preflight::{self, Finding};

/// The least free disk space in bytes: for a chroot, an image and two builds of packages.
const MIN_FREE: u64 = 2 << 30;

/// Checks all requirements.
///
/// # Errors
/// A requirement is not met; the message has all of them, with remedies.
pub(super) fn check(nightly: &NightlyBuild) -> anyhow::Result<String> {
    let mut findings = tools(nightly);
    findings.extend(preflight::packages(nightly.release.declaration()));
    findings.extend(disk_space(nightly.ctx().state.root()));
    findings.extend(nightly.images().iter().filter_map(|image| inputs(nightly, image)));
    findings.extend(key(nightly));
    let missing: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.holds)
        .map(|one| format!("\n  {}: {}; {}", one.what, one.found, one.remedy.as_deref().unwrap_or("see the message")))
        .collect();
    if missing.is_empty() {
        return Ok(format!("{} requirements are met", findings.len()));
    }
    Err(Failure::missing(format!("this machine cannot build the nightly:{}", missing.concat())))
}

fn tools(nightly: &NightlyBuild) -> Vec<Finding> {
    let purposes = [
        Some(Purpose::Release),
        nightly.release.declaration().deb.is_some().then_some(Purpose::Deb),
        (!nightly.images().is_empty()).then_some(Purpose::Docker),
    ];
    // Only Dockerfiles need an engine, and any one is enough.
    let is_engine = |name: &str| ["buildah", "docker", "podman"].contains(&name);
    let mut findings: Vec<Finding> = Vec::new();
    for tool in purposes.into_iter().flatten().flat_map(|purpose| tools::needed(Some(purpose))) {
        let what = format!("{} is installed", tool.name());
        if findings.iter().any(|finding| finding.what == what) || is_engine(tool.name()) {
            continue;
        }
        findings.push(if tool.is_installed() {
            Finding::good(what, "installed")
        } else {
            Finding::bad(
                what,
                "not found",
                format!("it {}: `{}`", tool.reason, hint::apt_get(["install", tool.package])),
            )
        });
    }
    findings
}

fn disk_space(state: &Path) -> Option<Finding> {
    let what = "there is enough disk space";
    let disk = rustix::fs::statvfs(state).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} MiB free at {}", free >> 20, state.display());
    Some(if free >= MIN_FREE {
        Finding::good(what, found)
    } else {
        let remedy = format!("free {} MiB, or use another directory with --state", MIN_FREE >> 20);
        Finding::bad(what, found, remedy)
    })
}

/// Whether the inputs of an image will exist: packages of a series that is proved, or an archive.
fn inputs(nightly: &NightlyBuild, image: &Image) -> Option<Finding> {
    let what = format!("the inputs of the image {} exist", image.name);
    let proved = nightly.proved_series();
    let bad = |found: String, remedy: &str| Some(Finding::bad(what.clone(), found, remedy));
    match &image.from {
        From::Debs { series: Some(series), .. } | From::Dockerfile { series: Some(series), .. }
            if !proved.contains(series) =>
        {
            bad(
                format!("it needs packages of {series}, which are not built"),
                "add the series to `nightly.prove` in packaging/release.yaml",
            )
        }
        From::Debs { .. } if proved.is_empty() => bad(
            "it needs packages, and none are built".to_owned(),
            "declare `deb` and its series in packaging/release.yaml",
        ),
        From::Archive { path, .. } => {
            let missing = image.platforms.iter().find_map(|platform| {
                let name = build::archive_path(path, &nightly.release.version, *platform);
                (!nightly.ctx().declarations.project.join(&name).is_file()).then_some(name)
            });
            let is_built = || build::images_done(nightly).is_ok_and(|done| done.is_some());
            match missing {
                Some(_) if nightly.options.is_unpacked && is_built() => {
                    Some(Finding::good(what, "not needed: the image is built"))
                }
                Some(name) => bad(format!("{name} does not exist"), "build it first"),
                None => Some(Finding::good(what, "found")),
            }
        }
        From::Debs { .. } | From::Dockerfile { .. } => None,
    }
}

/// Whether gpg has a secret key for signing source packages.
fn key(nightly: &NightlyBuild) -> Option<Finding> {
    let upload = nightly.release.declaration().nightly.upload.as_ref().filter(|_| nightly.options.publish)?;
    let key = nightly.options.key.as_ref().or(upload.key.as_ref());
    let mut argv: Vec<String> = ["gpg", "--batch", "--list-secret-keys", "--with-colons"].map(str::to_owned).into();
    argv.extend(key.cloned());
    let passed = ["GNUPGHOME"].map(str::to_owned);
    let environment = exec::environment(&passed, &std::collections::BTreeMap::new());
    let listed = exec::bytes(&argv, Path::new("/"), environment).unwrap_or_default();
    let what = "gpg has a key for signing source packages";
    let found = String::from_utf8_lossy(&listed)
        .lines()
        .find_map(|line| Some(line.strip_prefix("fpr:")?.trim_matches(':').to_owned()));
    Some(match found {
        Some(fingerprint) => Finding::good(what, fingerprint),
        None => {
            let found = key.map_or("no secret key".to_owned(), |key| format!("no secret key {key}"));
            Finding::bad(what, found, "import the key into gpg (GNUPGHOME), or use --key or --no-publish")
        }
    })
}
