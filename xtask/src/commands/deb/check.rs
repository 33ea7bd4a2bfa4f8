//! `cargo xtask deb check`: checks source packages against the rules of Launchpad before they are uploaded.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::network;
use super::source_packages::{BuiltSource, SourcePackages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::release::deb::{Distribution, Place};
use drydock_deb::launchpad::{self, Api, ArchiveState, CheckContext, Rejection, Upload};
use drydock_deb::unpacked_source::{UnpackedSource, VendorCheck};

/// The result for one package.
#[derive(Debug, Serialize)]
struct CheckReport {
    file: PathBuf,
    rejections: Vec<Rejection>,
    crates: Option<VendorCheck>,
    /// Whether the rules that depend on the archive's state were checked.
    asked_archive: bool,
}

/// The options of a check.
pub(in crate::commands) struct Check<'a> {
    /// Whether packages may lack signatures, because they are signed later.
    pub(in crate::commands) allow_unsigned: bool,
    /// The URL of Launchpad's API, to check against the archive's state as well.
    pub(in crate::commands) api: Option<&'a str>,
}

impl cli::DebCheck {
    pub(in crate::commands) fn run(self, place: &cli::Place) -> anyhow::Result<Exit> {
        let check = Check { allow_unsigned: self.unsigned, api: self.remote.then_some(self.api.as_str()) };
        if self.files.is_empty() {
            let release = ReleaseContext::resolve(&Context::find(place)?, &self.packages.of.into())?;
            return check.print(&SourcePackages::select(&release, &self.packages.series)?, self.format);
        }
        if self.remote && self.ppa.is_none() {
            let text =
                "--remote asks the project's declared archive; for files, name the archive with --ppa OWNER/NAME";
            return Err(Failure::usage(text));
        }
        let api = |ppa: &cli::Ppa| Api::new(&self.api, &ppa.owner, &ppa.archive, &network());
        let api = self.ppa.as_ref().map(api).transpose()?;
        let state = |upload: &Upload| api.as_ref().map(|api| state_for(api, upload)).transpose();
        // Checking the crates would run `debian/rules` of packages that are not ours.
        let reports = self.files.iter().map(|file| Ok(check.file(file, Distribution::Ubuntu, &state)?.0));
        print(&reports.collect::<anyhow::Result<Vec<_>>>()?, self.format)
    }
}

impl Check<'_> {
    /// Checks packages of the project, which were built before, and prints the results.
    pub(in crate::commands) fn print(
        &self,
        packages: &SourcePackages<'_>,
        format: cli::Format,
    ) -> anyhow::Result<Exit> {
        print(&self.reports(packages)?, format)
    }

    /// Checks packages of the project, and returns a sentence for each problem.
    pub(in crate::commands) fn problems(&self, packages: &SourcePackages<'_>) -> anyhow::Result<Vec<String>> {
        let reports = self.reports(packages)?;
        let problems = reports.iter().flat_map(|report| {
            let rejections = report.rejections.iter().map(|one| format!("{}; remedy: {}", one.text, one.remedy));
            let crates = report.crates.iter().flat_map(|crates| &crates.problems);
            let crates = crates.map(|problem| format!("vendor/{problem}"));
            rejections.chain(crates).map(|problem| format!("{}: {problem}", report.name())).collect::<Vec<_>>()
        });
        Ok(problems.collect())
    }

    fn reports(&self, packages: &SourcePackages<'_>) -> anyhow::Result<Vec<CheckReport>> {
        let mut reports = Vec::new();
        for (one, series) in packages.built()?.iter().zip(&packages.series) {
            let api = self.api.filter(|_| series.distribution == Distribution::Ubuntu);
            let archive = api.map(|api| archive_state(packages, api)).transpose()?;
            let file = packages.directory().join(&one.changes);
            let (mut report, unpacked) = self.file(&file, series.distribution, &|_| Ok(archive.clone()))?;
            if let Some(unpacked) = unpacked.filter(|unpacked| unpacked.failure.is_none()) {
                report.crates = unpacked.check_vendored()?;
            }
            reports.push(report);
        }
        Ok(reports)
    }

    /// Checks one package, without its crates. `archive` asks for the state of the archive.
    fn file(
        &self,
        file: &Path,
        distribution: Distribution,
        archive: &dyn Fn(&Upload) -> anyhow::Result<Option<ArchiveState>>,
    ) -> anyhow::Result<(CheckReport, Option<UnpackedSource>)> {
        let (upload, unpacked) = Upload::read(file)?;
        let archive = archive(&upload)?;
        let asked_archive = archive.is_some();
        let context = CheckContext {
            distribution,
            today: crate::commands::today().to_string(),
            allow_unsigned: self.allow_unsigned,
            archive,
        };
        let rejections = launchpad::check(&upload, &context);
        Ok((CheckReport { file: file.to_owned(), rejections, crates: None, asked_archive }, unpacked))
    }
}

impl CheckReport {
    fn name(&self) -> String {
        self.file.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn is_good(&self) -> bool {
        self.rejections.is_empty() && self.crates.as_ref().is_none_or(|crates| crates.problems.is_empty())
    }

    fn print(&self) {
        let mark = if self.is_good() { "ok      " } else { "REJECTED" };
        let archive = if self.asked_archive { " and the state of the archive" } else { "" };
        output::out(format_args!("{mark} {} (checked {} rules{archive})", self.name(), launchpad::RULES.len()));
        for rejection in &self.rejections {
            rejection.text.lines().for_each(|line| output::out(format_args!("         {line}")));
            output::out(format_args!("           remedy: {}", rejection.remedy));
        }
        if let Some(crates) = &self.crates {
            let after = if crates.cleaned { " and after `debian/rules clean`" } else { "" };
            if crates.problems.is_empty() {
                let files = crates.files;
                output::out(format_args!("         {files} files of crates match their checksums as unpacked{after}"));
            }
            crates.problems.iter().for_each(|problem| output::out(format_args!("         vendor/{problem}")));
        }
    }
}

fn print(reports: &[CheckReport], format: cli::Format) -> anyhow::Result<Exit> {
    match format {
        cli::Format::Json => output::out(serde_json::to_string_pretty(reports)?),
        cli::Format::Text => reports.iter().for_each(CheckReport::print),
    }
    Ok(if reports.iter().all(CheckReport::is_good) { Exit::Success } else { Exit::CheckFailed })
}

/// Asks Launchpad for the state of an archive, as far as it concerns a package that need not be the project's.
fn state_for(api: &Api, upload: &Upload) -> anyhow::Result<ArchiveState> {
    let source = upload.dsc.line("Source").or_else(|| upload.changes.line("Source")).unwrap_or_default();
    let series: Vec<String> = upload.changes.line("Distribution").into_iter().collect();
    api.state(&source, &series)
}

/// Asks Launchpad for the state of the target archive.
pub(in crate::commands) fn archive_state(packages: &SourcePackages<'_>, api: &str) -> anyhow::Result<ArchiveState> {
    let Some(Place::Ppa { owner, archive, .. }) = packages.target().map(|target| &target.place) else {
        return Err(Failure::usage("--remote needs an `upload` section with `target: ppa`"));
    };
    let built = packages.built()?;
    let source = built.first().map_or("", BuiltSource::name);
    let series: Vec<String> = packages.series.iter().map(|series| series.name.as_str().to_owned()).collect();
    Api::new(api, owner, archive, &network())?.state(source, &series)
}
