//! `cargo xtask deb upload`: signs, checks and uploads source packages, and waits for the archive's answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::builds::{Followed, Follower};
use super::check::archive_state;
use super::network;
use super::source_packages::{BuildOptions, BuiltSource, SourcePackages};
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::{lock, threads};
use crate::commands::release::proved::WITHOUT;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::{hint, output};
use drydock_config::release::deb::{Distribution, Place, Series, Target};
use drydock_deb::delivery::{ArchiveAnswer, UploadIdentity, UploadLog, UploadRecord, UploadState, UploadTarget};
use drydock_deb::launchpad::{self, Api, CheckContext, Upload};
use drydock_deb::sign::Signer;

/// The name of the log of uploads, in the state directory.
pub(in crate::commands) const UPLOAD_LOG: &str = "uploads.jsonl";

/// The minutes to wait for the answer of the archive, where none are given.
const ANSWER_MINUTES: u32 = 20;
/// The pause between two questions to Launchpad, where none is given.
pub(in crate::commands) const LAUNCHPAD_PAUSE: Duration = Duration::from_secs(30);
/// The pause between two looks at the log of a queue.
const QUEUE_PAUSE: Duration = Duration::from_millis(500);

/// The options of an upload.
pub(in crate::commands) struct Uploader {
    /// The key that signs; the declared key if `None`.
    pub(in crate::commands) key: Option<String>,
    /// The minutes to wait for the archive's answer.
    pub(in crate::commands) wait: u32,
    /// Whether the builds in a PPA are followed to their end as well, for the same time again.
    pub(in crate::commands) follows_builds: bool,
    /// The pause between two questions to Launchpad.
    pub(in crate::commands) pause: Duration,
    /// The URL of Launchpad's API.
    pub(in crate::commands) api: String,
    /// Whether each package must have a proof, beside the sources.
    pub(in crate::commands) proves_packages: bool,
    /// The reason for uploading without proofs, which is published in `.changes`.
    pub(in crate::commands) without_proof: Option<String>,
}

impl cli::DebUpload {
    pub(in crate::commands) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = ReleaseContext::resolve(ctx, &self.packages.of.into())?;
        let packages = SourcePackages::select(&release, &self.packages.series)?;
        if self.dry_run {
            return print_plan(Destination::new(packages)?);
        }
        let uploader = Uploader {
            key: self.key,
            wait: self.wait.unwrap_or(ANSWER_MINUTES),
            follows_builds: self.wait.is_some_and(|minutes| minutes > 0),
            pause: Duration::from_secs(u64::from(self.pause)),
            api: self.api,
            proves_packages: true,
            without_proof: self.without_proof,
        };
        uploader.upload(packages, &mut |line| output::out(line))
    }
}

/// The declared upload target, the packages that it accepts, and the earlier uploads.
struct Destination<'a> {
    packages: SourcePackages<'a>,
    declared: &'a Target,
    target: UploadTarget,
    log: UploadLog,
}

impl<'a> Destination<'a> {
    fn new(mut packages: SourcePackages<'a>) -> anyhow::Result<Destination<'a>> {
        let declared = declared_target(&packages)?;
        let state = packages.release.ctx().state.root();
        let target = UploadTarget::new(&declared.place, state)?;
        let log = UploadLog::read(&state.join(UPLOAD_LOG))?;
        packages.series.retain(|series| accepts(declared, series));
        if packages.series.is_empty() {
            return Err(Failure::usage(format!("{} accepts none of the series", target.name)));
        }
        Ok(Destination { packages, declared, target, log })
    }
}

/// The upload of one package to the declared target, as the log has it.
pub(in crate::commands) struct KnownUpload {
    /// The name of the series.
    pub(in crate::commands) series: String,
    /// The version of the package.
    pub(in crate::commands) version: String,
    /// The state that it reached; none if nothing was uploaded from here.
    pub(in crate::commands) state: Option<UploadState>,
}

/// The uploads of a release to its declared target, whose name is returned too, with what is missing for them.
pub(in crate::commands) fn known_uploads(
    release: &ReleaseContext,
) -> anyhow::Result<(String, Vec<KnownUpload>, Vec<String>)> {
    let Destination { packages, target, log, .. } = Destination::new(SourcePackages::select(release, &[])?)?;
    let mut uploads = Vec::new();
    for series in &packages.series {
        let version = packages.version(series)?.to_string();
        let state = log.last(&target.name, series.name.as_str(), &version).cloned();
        uploads.push(KnownUpload { series: series.name.as_str().to_owned(), version, state });
    }
    let missing = target.missing();
    Ok((target.name, uploads, missing))
}

impl Uploader {
    /// Uploads packages to their declared target. `report` gets a line about the result of each.
    pub(in crate::commands) fn upload(
        &self,
        packages: SourcePackages<'_>,
        report: &mut dyn FnMut(String),
    ) -> anyhow::Result<Exit> {
        let Destination { mut packages, declared, target, mut log } = Destination::new(packages)?;
        let _lock = lock(packages.release.ctx())?;
        let is_done = |series: &&Series| -> anyhow::Result<bool> {
            let version = packages.version(series)?.to_string();
            let state = log.last(&target.name, series.name.as_str(), &version);
            Ok(matches!(state, Some(UploadState::Accepted | UploadState::Delivered)))
        };
        if !packages.series.iter().map(is_done).collect::<anyhow::Result<Vec<bool>>>()?.into_iter().all(|done| done) {
            target.require_ready()?;
        }
        let mut accepted = Vec::new();
        let signer = Signer { key: self.key.clone().or_else(|| declared.key.clone()) };
        let mut exit = Exit::Success;
        for series in packages.series.clone() {
            packages.series = vec![series];
            let version = packages.version(series)?.to_string();
            let state = log.last(&target.name, series.name.as_str(), &version).cloned();
            if state == Some(UploadState::Accepted) {
                report(format!("accepted   {version} (earlier)"));
                accepted.extend(packages.built_for(series).ok().map(|built| followed(&built)));
                continue;
            }
            let without_proof = self.without_proof.as_deref();
            let mut delivery =
                Delivery { packages: &packages, target: &target, log: &mut log, api: &self.api, without_proof };
            if state == Some(UploadState::Delivering) {
                // It may have come through, although this process did not live to see it.
                let built = packages.built_for(series).ok();
                let answer = built.as_ref().map(|built| self.ask(declared, &delivery, built)).transpose()?;
                if let (Some(built), Some(Some(ArchiveAnswer::Accepted))) = (&built, answer) {
                    delivery.record(built, None, UploadState::Accepted)?;
                    report(format!("accepted   {version} (uploaded earlier)"));
                    accepted.push(followed(built));
                    continue;
                }
            }
            if state != Some(UploadState::Delivered) {
                self.require_proofs(&packages, series)?;
                delivery.deliver(&signer)?;
            }
            let built = packages.built_for(series)?;
            match self.wait(declared, &delivery, &built)? {
                Some(ArchiveAnswer::Accepted) => {
                    delivery.record(&built, None, UploadState::Accepted)?;
                    report(format!("accepted   {version}"));
                    accepted.push(followed(&built));
                }
                Some(ArchiveAnswer::Rejected(why)) => {
                    delivery.record(&built, None, UploadState::Rejected(why.clone()))?;
                    report(format!("REJECTED   {version}: {why}"));
                    exit = Exit::Remote;
                }
                None => {
                    report(format!("uploaded   {version}; no answer within {} minutes", self.wait));
                    let silence = "Launchpad never answers if it does not know the key";
                    output::err(format_args!("note: run the same command to continue waiting; {silence}"));
                    if self.wait > 0 {
                        exit = Exit::Remote;
                    }
                }
            }
        }
        let Place::Ppa { owner, archive, .. } = &declared.place else { return Ok(exit) };
        if !self.follows_builds || accepted.is_empty() {
            return Ok(exit);
        }
        let api = Api::new(&self.api, owner, archive, &network())?;
        let limit = Some(Duration::from_secs(u64::from(self.wait) * 60));
        let built = Follower { api, pause: self.pause, limit }.follow(&accepted, report)?;
        Ok(if exit == Exit::Success { built } else { exit })
    }

    /// Fails unless the sources and the package of a series have proofs of exactly these bytes.
    fn require_proofs(&self, packages: &SourcePackages<'_>, series: &Series) -> anyhow::Result<()> {
        let directory = packages.release.directory();
        packages.release.published(&directory).require_proof(self.without_proof.as_deref())?;
        if self.without_proof.is_some() || !self.proves_packages {
            return Ok(());
        }
        let built = packages.built_for(series)?;
        if packages.is_intact(&built) && packages.is_up_to_date(&built)? && packages.proof(&built).is_some() {
            return Ok(());
        }
        let prove = hint::drydock(&["deb", "prove", "--series", series.name.as_str()]);
        Err(Failure::not_reproducible(format!(
            "not published: the package {} has no proof; run `{prove}`, {WITHOUT}",
            built.version
        )))
    }

    /// Asks the archive until it answers or the time is up.
    fn wait(
        &self,
        declared: &Target,
        delivery: &Delivery<'_>,
        built: &BuiltSource,
    ) -> anyhow::Result<Option<ArchiveAnswer>> {
        let deadline = Instant::now() + Duration::from_secs(u64::from(self.wait) * 60);
        let pause = if matches!(declared.place, Place::Ppa { .. }) { self.pause } else { QUEUE_PAUSE };
        loop {
            let answer = match self.ask(declared, delivery, built) {
                // The upload is there already; whether it was accepted can be asked again.
                Err(error) if self.wait > 0 && drydock_http::is_passing(&error) => {
                    output::err(format_args!("note: {error:#}; asking again in {} s", pause.as_secs()));
                    None
                }
                answer => answer?,
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if answer.is_some() || left.is_zero() {
                return Ok(answer);
            }
            std::thread::sleep(pause.min(left));
        }
    }

    /// Asks the archive once for its answer to the uploads of this package that the log has; other uploads of the same version
    /// do not count.
    fn ask(
        &self,
        declared: &Target,
        delivery: &Delivery<'_>,
        built: &BuiltSource,
    ) -> anyhow::Result<Option<ArchiveAnswer>> {
        let uploads = delivery.log.identities(&delivery.target.name, &built.series, &built.version);
        let Place::Ppa { owner, archive, .. } = &declared.place else {
            return Ok(uploads.last().and_then(|last| delivery.target.answer(&built.changes, last)));
        };
        let api = Api::new(&self.api, owner, archive, &network())?;
        let Some(found) = api.publication(built.name(), &built.version, &built.series)? else { return Ok(None) };
        for build in &found.builds {
            output::announce(format_args!("{} {}: {}", built.version, build.architecture, build.state));
        }
        let dsc = found.dsc.ok_or_else(|| {
            let text =
                format!("{} has {}, but Launchpad does not say its checksum", delivery.target.name, built.version);
            Failure::remote(format!("{text}; compare the .dsc there with {}", built.dsc))
        })?;
        Ok(Some(if uploads.iter().any(|upload| upload.dsc == dsc) {
            ArchiveAnswer::Accepted
        } else {
            let text =
                format!("the archive has {} from another upload, whose .dsc has the checksum {dsc}", built.version);
            ArchiveAnswer::Rejected(format!("{text}; raise `upload-number`"))
        }))
    }
}

pub(super) fn followed(built: &BuiltSource) -> Followed {
    Followed { source: built.name().to_owned(), version: built.version.clone(), series: built.series.clone() }
}

/// Prints what would be uploaded.
fn print_plan(destination: Destination<'_>) -> anyhow::Result<Exit> {
    let Destination { packages, target, log, .. } = destination;
    output::out(format_args!("to {}", target.name));
    target.missing().iter().for_each(|missing| output::err(format_args!("missing: {missing}")));
    for series in &packages.series {
        let version = packages.version(series)?.to_string();
        let plan = match log.last(&target.name, series.name.as_str(), &version) {
            None | Some(UploadState::Delivering | UploadState::Rejected(_)) => "sign, check, upload, wait",
            Some(UploadState::Delivered) => "wait for the answer",
            Some(UploadState::Accepted) => "nothing (accepted)",
        };
        output::out(format_args!("  {:<10} {version}: {plan}", series.name.as_str()));
    }
    Ok(Exit::Success)
}

/// The upload of the package of one series.
struct Delivery<'a> {
    /// The packages of that series only.
    packages: &'a SourcePackages<'a>,
    target: &'a UploadTarget,
    log: &'a mut UploadLog,
    /// The URL of Launchpad's API.
    api: &'a str,
    /// The reason for uploading without proofs.
    without_proof: Option<&'a str>,
}

impl Delivery<'_> {
    /// Signs, checks and uploads the package.
    fn deliver(&mut self, signer: &Signer) -> anyhow::Result<()> {
        let mut options = BuildOptions {
            signer: Some(signer),
            with_origs: true,
            threads: threads(None),
            without_proof: self.without_proof,
        };
        let built = self.packages.build(&options)?;
        let built = built.first().context("no series is left to upload")?;
        let changes = self.packages.directory().join(&built.changes);
        let (upload, _unpacked) = Upload::read(&changes)?;
        if self.has_origs(&upload)? {
            options.with_origs = false;
            self.packages.build(&options)?;
        }
        self.check(&changes, options.with_origs)?;
        let checksum = |name: &str| -> anyhow::Result<String> {
            let file = self.packages.directory().join(name);
            let (checksum, _) =
                Checksum::from_file(&file).with_context(|| format!("cannot read {}", file.display()))?;
            Ok(checksum.to_string())
        };
        let identity = UploadIdentity {
            changes: checksum(&built.changes)?,
            dsc: checksum(&built.dsc)?,
            queue_log: self.target.log_position(),
        };
        self.record(built, Some(identity), UploadState::Delivering)?;
        let origs = if options.with_origs { "with" } else { "without" };
        output::announce(format_args!("upload {} to {}, {origs} the orig tarballs", built.changes, self.target.name));
        self.target.upload(&changes)?;
        self.record(built, None, UploadState::Delivered)
    }

    /// Whether the target accepted all orig tarballs of the package before.
    ///
    /// # Errors
    /// It accepted an orig tarball of the same name with other content.
    fn has_origs(&self, upload: &Upload) -> anyhow::Result<bool> {
        let origs = upload.dsc_listed().map(|(_, _, name)| name).filter(|name| name.contains(".orig"));
        let (mut accepted, mut all) = (0, 0);
        for name in origs {
            all += 1;
            let ours = upload.files.get(&name).map_or("", |file| file.sha256.as_str());
            match self.log.accepted(&self.target.name, &name) {
                None => {}
                Some(theirs) if theirs == ours => accepted += 1,
                Some(_) => {
                    let text = format!("{} has {name} with other content, and would reject this one", self.target.name);
                    let remedy = "build the release from the same commit, or raise the version";
                    return Err(Failure::not_reproducible(format!("{text}; {remedy}")));
                }
            }
        }
        Ok(accepted > 0 && accepted == all)
    }

    /// Refuses to upload what would be rejected.
    fn check(&self, changes: &Path, with_origs: bool) -> anyhow::Result<()> {
        let (upload, _unpacked) = Upload::read(changes)?;
        let series = self.packages.series.first().context("no series is left to upload")?;
        let is_ppa = matches!(declared_target(self.packages)?.place, Place::Ppa { .. });
        let archive = is_ppa.then(|| archive_state(self.packages, self.api)).transpose()?;
        let context = CheckContext {
            distribution: series.distribution,
            today: crate::commands::today().to_string(),
            allow_unsigned: false,
            archive,
        };
        let mut rejections = launchpad::check(&upload, &context);
        // An archive other than Launchpad cannot be asked for the orig tarballs; the log shows that it has them.
        rejections.retain(|one| with_origs || is_ppa || one.rule != "dsc-checksums");
        if rejections.is_empty() {
            return Ok(());
        }
        let list: String =
            rejections.iter().map(|one| format!("\n  {}\n    remedy: {}", one.text, one.remedy)).collect();
        Err(Failure::rejected(format!("not uploaded, because the archive would reject it:{list}")))
    }

    /// Adds a state of the package to the log.
    fn record(
        &mut self,
        built: &BuiltSource,
        identity: Option<UploadIdentity>,
        state: UploadState,
    ) -> anyhow::Result<()> {
        let (upload, _unpacked) = Upload::read(&self.packages.directory().join(&built.dsc))?;
        let names = upload.dsc_listed().map(|(_, _, name)| name);
        let files: BTreeMap<String, String> =
            names.filter_map(|name| Some((name.clone(), upload.files.get(&name)?.sha256.clone()))).collect();
        self.log.add(UploadRecord {
            time: u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default(),
            target: self.target.name.clone(),
            series: built.series.clone(),
            source: upload.dsc.line("Source").unwrap_or_default(),
            version: built.version.clone(),
            files,
            without_proof: self.without_proof.map(str::to_owned),
            identity,
            state,
        })
    }
}

/// The declared upload target.
pub(in crate::commands) fn declared_target<'a>(packages: &SourcePackages<'a>) -> anyhow::Result<&'a Target> {
    packages.target().ok_or_else(|| {
        let section = if packages.as_nightly { "nightly" } else { "deb" };
        Failure::declaration(format!("packaging/release.yaml has no `{section}.upload`; declare the target"))
    })
}

/// Whether a target accepts packages of a series; PPAs build only for Ubuntu.
pub(in crate::commands) fn accepts(target: &Target, series: &Series) -> bool {
    match target.place {
        Place::Ppa { .. } => series.distribution == Distribution::Ubuntu,
        Place::Queue { .. } => true,
    }
}
