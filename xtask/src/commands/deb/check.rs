//! `cargo xtask deb check`: what an archive would refuse, before it is uploaded.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::packages::Packages;
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::release::deb::{Distribution, Place};
use drydock_deb::launchpad::remote::{Api, Remote};
use drydock_deb::launchpad::{self, Facts, Rejection, Upload};
use drydock_deb::unpacked::{Survival, Unpacked};

/// What was found about one package.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    rejections: Vec<Rejection>,
    crates: Option<Survival>,
    asked: bool,
}

/// The options of a check.
pub(in crate::commands) struct Check<'a> {
    /// Whether packages may lack signatures, as before an upload.
    pub(in crate::commands) unsigned: bool,
    /// The address of Launchpad's API, to ask what the archive has already.
    pub(in crate::commands) api: Option<&'a str>,
}

impl cli::DebCheck {
    pub(in crate::commands) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        let check = Check { unsigned: self.unsigned, api: self.remote.then_some(self.api.as_str()) };
        if self.files.is_empty() {
            let release = ReleaseContext::resolve(&Context::find(place)?, &self.packages.of.into())?;
            return check.print(&Packages::select(&release, &self.packages.series)?, self.format);
        }
        if self.remote {
            let text = "--remote asks the declared archive, which only packages of the project are for";
            return Err(Failure::usage(text));
        }
        // Packages from elsewhere are read and not run: cleaning would run their own rules.
        let reports = self.files.iter().map(|file| Ok(check.file(file, Distribution::Ubuntu, None)?.0));
        print(&reports.collect::<anyhow::Result<Vec<_>>>()?, self.format)
    }
}

impl Check<'_> {
    /// Checks packages that were made, and prints the result.
    pub(in crate::commands) fn print(&self, packages: &Packages<'_>, format: cli::Format) -> anyhow::Result<Exit> {
        print(&self.reports(packages)?, format)
    }

    /// The reasons for which an archive would refuse packages that were made; none when they are good.
    pub(in crate::commands) fn refusals(&self, packages: &Packages<'_>) -> anyhow::Result<Vec<String>> {
        let reports = self.reports(packages)?;
        let refused = reports.iter().flat_map(|report| {
            let name = report.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let rejections = report.rejections.iter().map(|one| format!("{}; to do: {}", one.text, one.remedy));
            let crates =
                report.crates.iter().flat_map(|crates| crates.wrong.iter().map(|what| format!("vendor/{what}")));
            rejections.chain(crates).map(move |what| format!("{name}: {what}")).collect::<Vec<_>>()
        });
        Ok(refused.collect())
    }

    fn reports(&self, packages: &Packages<'_>) -> anyhow::Result<Vec<Report>> {
        let mut reports = Vec::new();
        for (one, series) in packages.made()?.iter().zip(&packages.series) {
            let remote = match (self.api, series.distribution) {
                (Some(api), Distribution::Ubuntu) => Some(ask(packages, api)?),
                (Some(_), Distribution::Debian) | (None, _) => None,
            };
            let file = packages.directory().join(&one.changes);
            let (mut report, unpacked) = self.file(&file, series.distribution, remote)?;
            if let Some(unpacked) = unpacked.filter(|unpacked| unpacked.failure.is_none()) {
                report.crates = unpacked.crates_survive()?;
            }
            reports.push(report);
        }
        Ok(reports)
    }

    /// Checks one package, without its crates.
    fn file(
        &self,
        file: &Path,
        distribution: Distribution,
        remote: Option<Remote>,
    ) -> anyhow::Result<(Report, Option<Unpacked>)> {
        let (upload, unpacked) = Upload::read(file)?;
        let asked = remote.is_some();
        let facts = Facts { distribution, today: today(), unsigned: self.unsigned, remote };
        let rejections = launchpad::check(&upload, &facts);
        Ok((Report { file: file.to_owned(), rejections, crates: None, asked }, unpacked))
    }
}

fn print(reports: &[Report], format: cli::Format) -> anyhow::Result<Exit> {
    let is_good = |report: &Report| {
        report.rejections.is_empty() && report.crates.as_ref().is_none_or(|crates| crates.wrong.is_empty())
    };
    if format == cli::Format::Json {
        output::out(serde_json::to_string_pretty(reports)?);
    } else {
        reports.iter().for_each(|report| print_one(report, is_good(report)));
    }
    Ok(if reports.iter().all(is_good) { Exit::Success } else { Exit::CheckFailed })
}

fn print_one(report: &Report, good: bool) {
    let name = report.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let rules = launchpad::RULES.len();
    let mark = if good { "ok      " } else { "REFUSED " };
    let asked = if report.asked { ", the archive was asked" } else { "" };
    output::out(format_args!("{mark}{name} ({rules} rules{asked})"));
    for rejection in &report.rejections {
        for line in rejection.text.lines() {
            output::out(format_args!("        {line}"));
        }
        output::out(format_args!("          to do: {}", rejection.remedy));
    }
    if let Some(crates) = &report.crates {
        let after = if crates.cleaned { " as unpacked and after `debian/rules clean`" } else { " as unpacked" };
        match crates.wrong.as_slice() {
            [] => output::out(format_args!("        {} files of crates have their sums{after}", crates.files)),
            wrong => wrong.iter().for_each(|what| output::out(format_args!("        vendor/{what}"))),
        }
    }
}

/// What the archive has that the packages are for.
pub(in crate::commands) fn ask(packages: &Packages<'_>, api: &str) -> anyhow::Result<Remote> {
    let Some(Place::Ppa { owner, archive, .. }) = packages.target().map(|target| &target.place) else {
        return Err(Failure::usage("--remote needs an `upload` with the target `ppa`"));
    };
    let made = packages.made()?;
    let source = made.first().and_then(|one| one.dsc.split_once('_')).map_or("", |(source, _)| source);
    let series: Vec<String> = packages.series.iter().map(|series| series.name.as_str().to_owned()).collect();
    Api::new(api, owner, archive)?.state(source, &series)
}

/// The day, in UTC.
pub(in crate::commands) fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}
