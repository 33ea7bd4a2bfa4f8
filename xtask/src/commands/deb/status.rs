//! `cargo xtask deb status`: which packages were built, proved, uploaded and accepted.

use std::time::Duration;

use serde::Serialize;

use super::builds::Follower;
use super::network;
use super::source_packages::SourcePackages;
use super::upload::{UPLOAD_LOG, accepts};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::{hint, output};
use drydock_config::release::deb::Place;
use drydock_deb::delivery::{UploadLog, UploadState, UploadTarget};
use drydock_deb::launchpad::{Api, Build};

/// The status of one package.
#[derive(Debug, Serialize)]
struct PackageStatus {
    series: String,
    version: String,
    built: bool,
    /// The series that the package was proved on.
    proved: Option<String>,
    uploaded: Option<UploadState>,
    builds: Vec<Build>,
}

impl cli::DebStatus {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let packages = SourcePackages::select(&release, &self.packages.series)?;
        let log = UploadLog::read(&ctx.state.root().join(UPLOAD_LOG))?;
        let declared = packages.target();
        let target = declared.map(|declared| UploadTarget::new(&declared.place, ctx.state.root())).transpose()?;
        let exit =
            if self.watch { watch(&packages, &log, target.as_ref(), &self.api, self.pause)? } else { Exit::Success };
        let mut reports = Vec::new();
        for series in packages.series.iter().copied() {
            let version = packages.version(series)?.to_string();
            let built = packages.built_for(series).ok();
            let proved = built.as_ref().and_then(|built| packages.proof(built)).map(|proof| proof.proved_on);
            let uploaded = target.as_ref().and_then(|target| log.last(&target.name, series.name.as_str(), &version));
            let mut builds = Vec::new();
            if let (true, Some(declared), Some(built)) = (self.remote || self.watch, declared, &built) {
                if let (Place::Ppa { owner, archive, .. }, true) = (&declared.place, accepts(declared, series)) {
                    let api = Api::new(&self.api, owner, archive, &network())?;
                    let publication = api.publication(built.name(), &version, &built.series)?;
                    builds = publication.map(|one| one.builds).unwrap_or_default();
                }
            }
            reports.push(PackageStatus {
                series: series.name.as_str().to_owned(),
                version,
                built: built.is_some(),
                proved,
                uploaded: uploaded.cloned(),
                builds,
            });
        }
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&reports)?);
        } else {
            reports.iter().for_each(print);
        }
        Ok(exit)
    }
}

/// Follows the builds of what was uploaded until all have ended, with a pause of some seconds between two questions.
fn watch(
    packages: &SourcePackages<'_>,
    log: &UploadLog,
    target: Option<&UploadTarget>,
    api: &str,
    pause: u32,
) -> anyhow::Result<Exit> {
    let declared = packages.target().map(|declared| (declared, &declared.place));
    let (Some((declared, Place::Ppa { owner, archive, .. })), Some(target)) = (declared, target) else {
        return Err(Failure::usage("--watch needs an `upload` section with `target: ppa`"));
    };
    let mut followed = Vec::new();
    for series in packages.series.iter().copied().filter(|series| accepts(declared, series)) {
        let built = packages.built_for(series).ok();
        for built in built.iter().filter(|built| log.last(&target.name, &built.series, &built.version).is_some()) {
            followed.push(super::upload::followed(built));
        }
    }
    if followed.is_empty() {
        let upload = hint::drydock(&["deb", "upload"]);
        return Err(Failure::usage(format!("nothing was uploaded to {}; run `{upload}`", target.name)));
    }
    let pause = Duration::from_secs(u64::from(pause));
    let api = Api::new(api, owner, archive, &network())?;
    Follower { api, pause, limit: None }.follow(&followed, &mut |line| output::err(line))
}

fn print(report: &PackageStatus) {
    let built = if report.built { "built" } else { "not built" };
    let proved = report.proved.as_ref().map_or_else(|| "not proved".into(), |on| format!("proved on {on}"));
    let uploaded = match &report.uploaded {
        None => "not uploaded".to_owned(),
        Some(UploadState::Delivering) => "upload was interrupted".to_owned(),
        Some(UploadState::Delivered) => "uploaded, no answer yet".to_owned(),
        Some(UploadState::Accepted) => "accepted".to_owned(),
        Some(UploadState::Rejected(why)) => format!("rejected: {why}"),
    };
    output::out(format_args!("{:<10} {:<40} {built}, {proved}, {uploaded}", report.series, report.version));
    for build in &report.builds {
        output::out(format_args!("           {}", build.summary()));
    }
}
