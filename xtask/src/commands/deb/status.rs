//! `cargo xtask deb status`: what was made, proved, uploaded and accepted.

use serde::Serialize;

use super::packages::Packages;
use super::upload::{RECORD, fits};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::output;
use drydock_config::release::deb::Place;
use drydock_deb::launchpad::remote::{Api, Build};
use drydock_deb::upload::{Record, Route, Step};

/// What is known about one package.
#[derive(Debug, Serialize)]
struct Report {
    series: String,
    version: String,
    made: bool,
    /// The series that it was proved on.
    proved: Option<String>,
    uploaded: Option<Step>,
    builds: Vec<Build>,
}

impl cli::DebStatus {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let mut packages = Packages::select(&release, &self.packages.series)?;
        let record = Record::read(&ctx.state.root().join(RECORD))?;
        let target = packages.target();
        let route = target.map(|target| Route::to(&target.place, ctx.state.root())).transpose()?;
        let mut reports = Vec::new();
        for series in packages.series.clone() {
            packages.series = vec![series];
            let version = packages.version(series)?.to_string();
            let made = packages.made().ok().and_then(|made| made.into_iter().next());
            let proved = made.as_ref().and_then(|made| packages.proof(made)).map(|proof| proof.proved_on);
            let uploaded = route.as_ref().and_then(|route| record.last(&route.shown, series.name.as_str(), &version));
            let mut builds = Vec::new();
            if let (true, Some(target), Some(made)) = (self.remote, target, &made) {
                if let (Place::Ppa { owner, archive, .. }, true) = (&target.place, fits(series, target)) {
                    let source = made.dsc.split_once('_').map_or("", |(source, _)| source);
                    let api = Api::new(&self.api, owner, archive)?;
                    builds = api.builds(source, &version, &made.series)?.unwrap_or_default();
                }
            }
            reports.push(Report {
                series: series.name.as_str().to_owned(),
                version,
                made: made.is_some(),
                proved,
                uploaded: uploaded.cloned(),
                builds,
            });
        }
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&reports)?);
        } else {
            reports.iter().for_each(tell);
        }
        Ok(Exit::Success)
    }
}

fn tell(report: &Report) {
    let made = if report.made { "made" } else { "not made" };
    let proved = report.proved.as_ref().map_or_else(|| "not proved".into(), |on| format!("proved on {on}"));
    let uploaded = match &report.uploaded {
        None => "not uploaded".to_owned(),
        Some(Step::Delivering) => "delivery was cut off".to_owned(),
        Some(Step::Delivered) => "delivered, no answer yet".to_owned(),
        Some(Step::Accepted) => "accepted".to_owned(),
        Some(Step::Refused(why)) => format!("refused: {why}"),
    };
    output::out(format_args!("{:<10} {:<40} {made}, {proved}, {uploaded}", report.series, report.version));
    for build in &report.builds {
        output::out(format_args!("           {}: {}", build.architecture, build.state));
    }
}
