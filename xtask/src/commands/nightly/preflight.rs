//! What a night needs, looked at before anything is built: all that is missing is told at once, each with its remedy.

use std::path::Path;

use super::night::Night;
use crate::tools::{self, Purpose};
use drydock_base::exec;
use drydock_base::failure::Failure;
use drydock_config::images::{From, Image};
use drydock_release::preflight::{self, Finding};

/// The least room, in bytes: a clean chroot, an image and two builds of packages.
const ROOM: u64 = 2 << 30;

/// Looks at everything.
///
/// # Errors
/// Something is missing.
pub(super) fn check(night: &Night) -> anyhow::Result<String> {
    let mut findings = tools(night);
    findings.extend(preflight::packages(night.release.declaration()));
    findings.extend(room(night.ctx().state.root()));
    findings.extend(night.images().iter().filter_map(|image| made_of(night, image)));
    findings.extend(key(night));
    let missing: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.holds)
        .map(|one| format!("\n  {}: {}; {}", one.what, one.found, one.remedy.as_deref().unwrap_or("as it says")))
        .collect();
    if missing.is_empty() {
        return Ok(format!("{} things hold", findings.len()));
    }
    Err(Failure::missing(format!("the nightly cannot be made here:{}", missing.concat())))
}

fn tools(night: &Night) -> Vec<Finding> {
    let purposes = [
        Some(Purpose::Release),
        night.release.declaration().deb.is_some().then_some(Purpose::Deb),
        (!night.images().is_empty()).then_some(Purpose::Docker),
    ];
    // Only Dockerfiles need an engine, and any of them will do.
    let is_engine = |name: &str| ["buildah", "docker", "podman"].contains(&name);
    let mut findings: Vec<Finding> = Vec::new();
    for tool in purposes.into_iter().flatten().flat_map(|purpose| tools::needed(Some(purpose))) {
        let what = format!("{} is installed", tool.name());
        if findings.iter().any(|finding| finding.what == what) || is_engine(tool.name()) {
            continue;
        }
        findings.push(match tool.is_installed() {
            true => Finding::good(what, "it is"),
            false => Finding::bad(what, "it is not", format!("it {}: apt-get install {}", tool.reason, tool.package)),
        });
    }
    findings
}

fn room(state: &Path) -> Option<Finding> {
    let what = "there is room on the disk";
    let disk = rustix::fs::statvfs(state).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let found = format!("{} MiB at {}", free >> 20, state.display());
    Some(match free >= ROOM {
        true => Finding::good(what, found),
        false => Finding::bad(
            what,
            found,
            format!("make room for {} MiB, or name another directory with --state", ROOM >> 20),
        ),
    })
}

/// Whether what an image is made of will be there: the packages of a series that is proved, or an archive that is there.
fn made_of(night: &Night, image: &Image) -> Option<Finding> {
    let what = format!("what the image {} is made of", image.name);
    let proved = night.proved_series();
    let bad = |found: String, remedy: &str| Some(Finding::bad(what.clone(), found, remedy));
    match &image.from {
        From::Debs { series: Some(series), .. } | From::Dockerfile { series: Some(series), .. }
            if !proved.contains(series) =>
        {
            bad(
                format!("packages of {series}, which are not built"),
                "add it to `nightly.prove` in packaging/release.yaml",
            )
        }
        From::Debs { .. } if proved.is_empty() => {
            bad("packages, and none are built".to_owned(), "declare `deb` and its series in packaging/release.yaml")
        }
        From::Archive { path, .. } => {
            let missing = image.platforms.iter().find_map(|platform| {
                let name = super::build::archive_of(path, &night.release.version, *platform);
                (!night.ctx().declarations.project.join(&name).is_file()).then_some(name)
            });
            match missing {
                Some(name) => bad(format!("the archive {name}, which is not there"), "build it before"),
                None => Some(Finding::good(what, "is there")),
            }
        }
        From::Debs { .. } | From::Dockerfile { .. } => None,
    }
}

/// Whether what will sign source packages is there.
fn key(night: &Night) -> Option<Finding> {
    let upload = night.release.declaration().nightly.upload.as_ref().filter(|_| night.options.publish)?;
    let key = night.options.key.as_ref().or(upload.key.as_ref());
    let mut argv: Vec<String> = ["gpg", "--batch", "--list-secret-keys", "--with-colons"].map(str::to_owned).into();
    argv.extend(key.cloned());
    let passed = ["GNUPGHOME"].map(str::to_owned);
    let environment = exec::environment(&passed, &std::collections::BTreeMap::new());
    let listed = exec::bytes(&argv, Path::new("/"), environment).unwrap_or_default();
    let what = "there is a key that signs source packages";
    let found = String::from_utf8_lossy(&listed)
        .lines()
        .find_map(|line| Some(line.strip_prefix("fpr:")?.trim_matches(':').to_owned()));
    Some(match found {
        Some(fingerprint) => Finding::good(what, fingerprint),
        None => {
            let asked = key.map_or("none".to_owned(), |key| format!("none is {key}"));
            Finding::bad(what, asked, "import it into gpg (GNUPGHOME), say --key, or --no-publish")
        }
    })
}
