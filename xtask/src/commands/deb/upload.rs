//! `cargo xtask deb upload`: signed, checked, delivered, and waited for until the archive answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::check::{ask, today};
use super::packages::{How, Made, Packages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::{lock, threads};
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::release::deb::{Distribution, Place, Series, Target};
use drydock_deb::launchpad::remote::Api;
use drydock_deb::launchpad::{self, Facts, Upload};
use drydock_deb::sign::Signer;
use drydock_deb::upload::{Answer, Line, Record, Route, Step};

/// The record of uploads, in the state directory.
pub(in crate::commands) const RECORD: &str = "uploads.jsonl";

/// How often the archive is asked.
const PAUSE: Duration = Duration::from_secs(30);

/// The options of an upload.
pub(in crate::commands) struct Uploader {
    /// The key that signs; by default that of the declaration.
    pub(in crate::commands) key: Option<String>,
    /// The minutes to wait for the archive's answer.
    pub(in crate::commands) wait: u32,
    /// The address of Launchpad's API.
    pub(in crate::commands) api: String,
}

impl cli::DebUpload {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let packages = Packages::select(&release, &self.packages.series)?;
        if self.dry_run {
            return plan(packages);
        }
        let uploader = Uploader { key: self.key, wait: self.wait, api: self.api };
        uploader.upload(packages, &mut |line| output::out(line))
    }
}

/// Where packages go, those of them that may go there, and what was uploaded before.
fn destination<'a>(mut packages: Packages<'a>) -> anyhow::Result<(Packages<'a>, &'a Target, Route, Record)> {
    let target = target(&packages)?;
    let state = packages.release.ctx().state.root();
    let route = Route::to(&target.place, state)?;
    packages.series.retain(|series| fits(series, target));
    if packages.series.is_empty() {
        return Err(Failure::usage(format!("none of the series is one of {}", route.shown)));
    }
    let record = Record::read(&state.join(RECORD))?;
    Ok((packages, target, route, record))
}

impl Uploader {
    /// Uploads packages to their declared target, and reports the result of each to `tell`.
    pub(in crate::commands) fn upload(
        &self,
        packages: Packages<'_>,
        tell: &mut dyn FnMut(String),
    ) -> anyhow::Result<Exit> {
        let (mut packages, target, route, mut record) = destination(packages)?;
        let _lock = lock(packages.release.ctx())?;
        let signer = Signer { key: self.key.clone().or_else(|| target.key.clone()) };
        let mut all = Exit::Success;
        for series in packages.series.clone() {
            packages.series = vec![series];
            let version = packages.version(series)?.to_string();
            let step = record.last(&route.shown, series.name.as_str(), &version).cloned();
            if step == Some(Step::Accepted) {
                tell(format!("accepted   {version} (before)"));
                continue;
            }
            if step != Some(Step::Delivered) {
                self.deliver(&packages, &route, &signer, &mut record)?;
            }
            let made = packages.made()?;
            let one = made.first().context("the package went away")?;
            let answer = self.wait(target, &route, one)?;
            let said = |step| line(&packages, &route, one, step);
            match answer {
                Some(Answer::Accepted) => {
                    record.add(said(Step::Accepted)?)?;
                    tell(format!("accepted   {version}"));
                }
                Some(Answer::Refused(why)) => {
                    record.add(said(Step::Refused(why.clone()))?)?;
                    tell(format!("REFUSED    {version}: {why}"));
                    all = Exit::Remote;
                }
                None => {
                    tell(format!("delivered  {version}; no answer within {} minutes", self.wait));
                    let silent = "silence may mean a key that the archive does not know: it sends no mail then";
                    output::err(format_args!("note: {silent}; the same command goes on waiting"));
                    if self.wait > 0 {
                        all = Exit::Remote;
                    }
                }
            }
        }
        Ok(all)
    }

    /// Signs, checks and delivers one package.
    fn deliver(
        &self,
        packages: &Packages<'_>,
        route: &Route,
        signer: &Signer,
        record: &mut Record,
    ) -> anyhow::Result<()> {
        let threads = threads(None);
        // Whether the archive has the orig already is told by the sums of what it accepted.
        let plain = packages.make(&How { signer: Some(signer), with_origs: true, threads })?;
        let (first, directory) = (plain.first().context("there is no package")?, packages.directory());
        let (upload, _unpacked) = Upload::read(&directory.join(&first.changes))?;
        let mut there = 0;
        let origs: Vec<_> =
            upload.dsc_listed().map(|(_, _, name)| name).filter(|name| name.contains(".orig")).collect();
        for name in &origs {
            let ours = upload.files.get(name).map_or("", |sums| sums.sha256.as_str());
            match record.accepted(&route.shown, name) {
                Some(theirs) if theirs == ours => there += 1,
                Some(_) => {
                    let text =
                        format!("{} accepted {name} with other bytes before, and will refuse these", route.shown);
                    return Err(Failure::not_reproducible(format!(
                        "{text}; make the release as it was, or raise the version"
                    )));
                }
                None => {}
            }
        }
        let without = there > 0 && there == origs.len();
        if without {
            packages.make(&How { signer: Some(signer), with_origs: false, threads })?;
        }
        let changes = directory.join(&first.changes);
        self.checked(packages, &changes, without)?;
        record.add(line(packages, route, first, Step::Delivering)?)?;
        let origs = if without { "without the orig, which the archive has" } else { "with the orig" };
        output::err(format_args!("== deliver {} to {}, {origs}", first.changes, route.shown));
        route.deliver(&changes)?;
        record.add(line(packages, route, first, Step::Delivered)?)
    }

    /// Nothing is delivered that would be refused.
    fn checked(&self, packages: &Packages<'_>, changes: &Path, without: bool) -> anyhow::Result<()> {
        let (upload, _unpacked) = Upload::read(changes)?;
        let series = packages.series.first().context("there is no series")?;
        let is_ppa = matches!(target(packages)?.place, Place::Ppa { .. });
        let remote = is_ppa.then(|| ask(packages, &self.api)).transpose()?;
        let facts = Facts { distribution: series.distribution, today: today(), unsigned: false, remote };
        let mut rejections = launchpad::check(&upload, &facts);
        // Another archive than Launchpad's was not asked whether it has the orig; the record says so.
        rejections.retain(|one| !(without && !is_ppa && one.rule == "dsc-sums"));
        if rejections.is_empty() {
            return Ok(());
        }
        let list: String =
            rejections.iter().map(|one| format!("\n  {}\n    to do: {}", one.text, one.remedy)).collect();
        Err(Failure::rejected(format!("it would be refused, so it is not uploaded:{list}")))
    }

    /// Asks until there is an answer, or the time is up.
    fn wait(&self, target: &Target, route: &Route, made: &Made) -> anyhow::Result<Option<Answer>> {
        let until = Instant::now() + Duration::from_secs(u64::from(self.wait) * 60);
        let pause = if matches!(target.place, Place::Ppa { .. }) { PAUSE } else { Duration::from_millis(500) };
        loop {
            let answer = match &target.place {
                Place::Ppa { owner, archive, .. } => {
                    let source = made.dsc.split_once('_').map_or("", |(source, _)| source);
                    let builds = Api::new(&self.api, owner, archive)?.builds(source, &made.version, &made.series)?;
                    builds.map(|builds| {
                        for build in builds {
                            output::err(format_args!("== {} {}: {}", made.version, build.architecture, build.state));
                        }
                        Answer::Accepted
                    })
                }
                Place::Queue { .. } => route.answer(&made.changes),
            };
            let left = until.saturating_duration_since(Instant::now());
            if answer.is_some() || left.is_zero() {
                return Ok(answer);
            }
            std::thread::sleep(pause.min(left));
        }
    }
}

/// Prints what would be uploaded.
fn plan(packages: Packages<'_>) -> anyhow::Result<Exit> {
    let (packages, _, route, record) = destination(packages)?;
    output::out(format_args!("to {}", route.shown));
    for series in &packages.series {
        let version = packages.version(series)?.to_string();
        let what = match record.last(&route.shown, series.name.as_str(), &version) {
            None | Some(Step::Delivering | Step::Refused(_)) => "sign, check, deliver, wait",
            Some(Step::Delivered) => "wait for the answer",
            Some(Step::Accepted) => "nothing: it was accepted",
        };
        output::out(format_args!("  {:<10} {version}: {what}", series.name.as_str()));
    }
    Ok(Exit::Success)
}

/// The declared target.
pub(in crate::commands) fn target<'a>(packages: &Packages<'a>) -> anyhow::Result<&'a Target> {
    packages.target().ok_or_else(|| {
        let (section, what) = if packages.as_nightly { ("nightly", "nightlies") } else { ("deb", "packages") };
        Failure::declaration(format!("packaging/release.yaml declares no `{section}.upload`, so {what} go nowhere"))
    })
}

/// A PPA builds for Ubuntu only.
pub(in crate::commands) fn fits(series: &Series, target: &Target) -> bool {
    match target.place {
        Place::Ppa { .. } => series.distribution == Distribution::Ubuntu,
        Place::Queue { .. } => true,
    }
}

fn line(packages: &Packages<'_>, route: &Route, made: &Made, step: Step) -> anyhow::Result<Line> {
    let (upload, _unpacked) = Upload::read(&packages.directory().join(&made.dsc))?;
    let names = upload.dsc_listed().map(|(_, _, name)| name);
    let files: BTreeMap<String, String> =
        names.filter_map(|name| Some((name.clone(), upload.files.get(&name)?.sha256.clone()))).collect();
    Ok(Line {
        time: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default(),
        place: route.shown.clone(),
        series: made.series.clone(),
        source: upload.dsc.line("Source").unwrap_or_default(),
        version: made.version.clone(),
        files,
        step,
    })
}
