//! `cargo xtask deb check`: what an archive would refuse, before it is uploaded.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::packages::Packages;
use crate::cli;
use crate::commands::Context;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::release::deb::{Distribution, Place};
use drydock_deb::launchpad::remote::{Api, Remote};
use drydock_deb::launchpad::{self, Facts, Rejection, Upload};
use drydock_deb::unpacked::Survival;

/// What was found about one package.
#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    rejections: Vec<Rejection>,
    crates: Option<Survival>,
    asked: bool,
}

impl cli::DebCheck {
    pub(in crate::commands) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        if self.files.is_empty() {
            return self.of_project(&Context::find(place)?);
        }
        if self.remote {
            let text = "--remote asks the declared archive, which only packages of the project are for";
            return Err(Failure::usage(text));
        }
        let files = self.files.iter().map(|file| (file.clone(), Distribution::Ubuntu));
        let reports: Vec<Report> =
            files.map(|(file, distribution)| self.one(&file, distribution, None)).collect::<anyhow::Result<_>>()?;
        self.tell(&reports)
    }

    /// Checks the packages that were made.
    pub(in crate::commands) fn of_project(&self, ctx: &Context) -> anyhow::Result<Exit> {
        let packages = Packages::find(ctx, &self.packages)?;
        self.tell(&self.reports(&packages)?)
    }

    /// What would be refused of the packages that were made, in words; nothing when they are good.
    pub(in crate::commands) fn refusals(&self, packages: &Packages) -> anyhow::Result<Vec<String>> {
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

    fn reports(&self, packages: &Packages) -> anyhow::Result<Vec<Report>> {
        let mut reports = Vec::new();
        let made = packages.made()?;
        for (one, series) in made.iter().zip(&packages.series) {
            let remote = match (self.remote, series.distribution) {
                (true, Distribution::Ubuntu) => Some(ask(packages, &self.api)?),
                (true, Distribution::Debian) | (false, _) => None,
            };
            reports.push(self.one(&packages.directory().join(&one.changes), series.distribution, remote)?);
        }
        Ok(reports)
    }

    fn one(&self, file: &Path, distribution: Distribution, remote: Option<Remote>) -> anyhow::Result<Report> {
        let (upload, unpacked) = Upload::read(file)?;
        let asked = remote.is_some();
        let facts = Facts { distribution, today: today(), unsigned: self.unsigned, remote };
        let rejections = launchpad::check(&upload, &facts);
        // A package that came from elsewhere is looked at and not run: cleaning runs its own rules.
        let own = self.files.is_empty();
        let crates = match unpacked {
            Some(unpacked) if own && unpacked.failure.is_none() => unpacked.crates_survive()?,
            Some(_) | None => None,
        };
        Ok(Report { file: file.to_owned(), rejections, crates, asked })
    }

    fn tell(&self, reports: &[Report]) -> anyhow::Result<Exit> {
        let is_good = |report: &Report| {
            report.rejections.is_empty() && report.crates.as_ref().is_none_or(|crates| crates.wrong.is_empty())
        };
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(reports)?);
        } else {
            reports.iter().for_each(|report| tell_one(report, is_good(report)));
        }
        Ok(if reports.iter().all(is_good) { Exit::Success } else { Exit::CheckFailed })
    }
}

fn tell_one(report: &Report, good: bool) {
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
pub(in crate::commands) fn ask(packages: &Packages, api: &str) -> anyhow::Result<Remote> {
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
