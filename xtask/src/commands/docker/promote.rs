//! `cargo xtask docker promote`: copies the image that was built at a signed tag to the release repository, by digest.

use serde_json::json;

use super::selection::select;
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::lock;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_config::images::Repository;
use drydock_config::release::Version;
use drydock_oci::image::TITLE;
use drydock_oci::promote::Latest;
use drydock_oci::promote::promotion_record::{ARTIFACT_TYPE, Promotion, SIGNATURE_TYPE};
use drydock_oci::registry::pool::both;
use drydock_oci::registry::{Artifact, Attachment, Copied, Precondition, Registries, Registry, copy_content, tag};
use drydock_release::preflight::Finding;
use plan::{FoundBy, Planner, PromotionPlan};
use release::{PromotedRelease, ReleaseSigners, TagCheck};

mod plan;
mod release;
mod signed;

/// The media type of the record.
const RECORD_TYPE: &str = "application/vnd.drydock.promotion.record.v1+json";

impl cli::DockerPromote {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let without_proof = self.without_proof.as_deref();
        let mut planned = PlannedPromotion::new(ctx, self.version.as_ref(), &self.images, without_proof)?;
        if let Some(count) = refused(&planned.findings) {
            let problems = plural(count, "problem");
            output::err(format_args!("{} was not promoted: {problems}", planned.release.version));
            return Ok(Exit::CheckFailed);
        }
        match self.format {
            cli::Format::Json => output::out(serde_json::to_string_pretty(&json(&planned.plans))?),
            cli::Format::Text => planned.plans.iter().for_each(print),
        }
        if self.dry_run || planned.is_done() {
            return Ok(Exit::Success);
        }
        planned.promote(ctx, self.key.as_deref())?;
        output::step(format_args!("{} is promoted", planned.release.version));
        Ok(Exit::Success)
    }
}

/// The promotion of some or all images of a release, compared with the release repositories.
pub(in crate::commands) struct PlannedPromotion {
    release: PromotedRelease,
    plans: Vec<PromotionPlan>,
    /// Whatever was checked; nothing is promoted unless all of it holds.
    findings: Vec<Finding>,
    registries: Registries,
    /// Whether too few people have signed yet.
    lacks_quorum: bool,
}

impl PlannedPromotion {
    /// Plans the promotion of a version, or of the release at HEAD. Nothing is changed.
    pub(in crate::commands) fn new(
        ctx: &Context,
        version: Option<&Version>,
        images: &[String],
        without_proof: Option<&str>,
    ) -> anyhow::Result<PlannedPromotion> {
        let mut release = PromotedRelease::find(ctx, version)?;
        let check = release.tag_check()?;
        let images = select(release.commit.images()?, images)?;
        let mut registries = Registries::from_process();
        let planner = Planner { release: &release, without_proof };
        // gpg works while the registries answer.
        let (checked, found) = both(
            || check.map(TagCheck::run).transpose(),
            || images.iter().map(|image| planner.find(image, &mut registries)).collect::<Vec<_>>(),
        );
        let ReleaseSigners { keys: signers, mut findings, lacks_quorum } = release.signers(checked?)?;
        findings.push(release.proof(without_proof));
        let mut plans = Vec::new();
        for (image, found) in images.into_iter().zip(found) {
            match found? {
                Ok(found) => plans.push(planner.plan(image, *found, &signers, &mut registries)?),
                Err(doubts) => findings.extend(doubts),
            }
        }
        Ok(PlannedPromotion { release, plans, findings, registries, lacks_quorum })
    }

    /// Whether nothing but signatures of more people is missing.
    pub(in crate::commands) fn waits_for_quorum(&self) -> bool {
        self.lacks_quorum && self.problems().len() == 1
    }

    /// The checks that failed.
    pub(in crate::commands) fn problems(&self) -> Vec<&Finding> {
        self.findings.iter().filter(|finding| !finding.holds).collect()
    }

    /// Whether all images are promoted.
    pub(in crate::commands) fn is_done(&self) -> bool {
        self.plans.iter().all(PromotionPlan::is_done)
    }

    /// The promoted images by name, each with its tag and digest.
    pub(in crate::commands) fn shown(&self) -> String {
        let one = |plan: &PromotionPlan| format!("{}:{} ({})", plan.to, plan.tag, plan.candidate.descriptor.digest);
        self.plans.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Signs each record while its image is copied, then attaches all records, tags all versions, and moves `latest` at the end. Each
    /// step does nothing where it was done before, so the same call continues after an interruption. The key is gpg's default if `None`.
    pub(in crate::commands) fn promote(&mut self, ctx: &Context, key: Option<&str>) -> anyhow::Result<()> {
        let _lock = lock(ctx)?;
        let PlannedPromotion { release, plans, registries, .. } = self;
        let mut ready = Vec::new();
        for one in plans.iter() {
            let to = registries.open(&one.to)?;
            let from = match &one.found_by {
                FoundBy::Promoted => None,
                FoundBy::Tag(_) | FoundBy::Built => Some(registries.open(&one.from)?),
            };
            let digest = one.candidate.descriptor.digest;
            if from.is_some() {
                output::step(format_args!("copy {digest} from {} to {}", one.from, one.to));
            }
            // An untagged copy does no harm if gpg refuses, and gpg may wait for a passphrase.
            let (copied, artifact) = both(
                || match &from {
                    Some(from) => copied(one, (from, &one.from), (&to, &one.to)),
                    None => Ok(Copied::before(&one.candidate.descriptor)),
                },
                || (!one.is_recorded).then(|| recorded(one, release, key, &to)).transpose(),
            );
            let artifact = artifact?;
            ready.push((one, to, copied?, artifact));
        }
        // All signatures are good.
        for (one, to, copied, artifact) in ready {
            if artifact.is_some() {
                output::step(format_args!("attach the signed promotion record"));
            }
            copied.finish((&to, &one.to), artifact.as_ref())?;
        }
        for one in plans.iter() {
            output::step(format_args!("tag {}:{}", one.to, one.tag));
            let to = registries.open(&one.to)?;
            tag(&to, &one.to, &one.candidate.descriptor, &[(one.tag.clone(), Precondition::Absent)])?;
        }
        for one in plans.iter().filter(|one| one.latest == Latest::Moves) {
            output::step(format_args!("tag {}:latest", one.to));
            let before =
                one.current.as_ref().map_or(Precondition::Absent, |current| Precondition::Matches(current.digest));
            let to = registries.open(&one.to)?;
            tag(&to, &one.to, &one.candidate.descriptor, &[(one.latest_tag()?, before)])?;
        }
        Ok(())
    }
}

/// Copies an image with its referrers; all manifests are read back and compared.
fn copied(one: &PromotionPlan, from: (&Registry, &Repository), to: (&Registry, &Repository)) -> anyhow::Result<Copied> {
    let digest = one.candidate.descriptor.digest;
    let copied = copy_content(from, to, &digest)?;
    let found = copied.descriptor().digest;
    if found != digest {
        return Err(Failure::not_reproducible(format!("{} has {found} after the copy of {digest}", one.to)));
    }
    Ok(copied)
}

/// Signs the record of a promotion, and uploads both. Nothing names them unless the signature is good.
fn recorded(
    one: &PromotionPlan,
    release: &PromotedRelease,
    key: Option<&str>,
    to: &Registry,
) -> anyhow::Result<Artifact> {
    let signed = signed::sign(release, &one.record, key)?;
    let name = signed::name(&one.record);
    let signature_name = format!("{name}.asc");
    let titled = [(TITLE, name.as_str())];
    let signature_titled = [(TITLE, signature_name.as_str())];
    let files = [
        Attachment { media_type: RECORD_TYPE, bytes: signed.text.as_bytes(), annotations: &titled },
        Attachment { media_type: SIGNATURE_TYPE, bytes: signed.signature.as_bytes(), annotations: &signature_titled },
    ];
    let (artifact, checked) = both(
        || Artifact::upload(to, &one.to, &one.candidate.descriptor, ARTIFACT_TYPE, &files),
        || signed.check(release, &one.record),
    );
    checked?;
    artifact
}

/// Prints the checks that failed, and returns their number.
fn refused(findings: &[Finding]) -> Option<usize> {
    let bad: Vec<&Finding> = findings.iter().filter(|finding| !finding.holds).collect();
    for finding in &bad {
        output::out(format_args!("WRONG  {}: {}", finding.what, finding.found));
        finding.remedy.iter().for_each(|remedy| output::out(format_args!("         to do: {remedy}")));
    }
    (!bad.is_empty()).then_some(bad.len())
}

fn print(one: &PromotionPlan) {
    let Promotion { version, commit, tag, .. } = &one.record;
    let signers: Vec<&str> = tag.signed_by.iter().map(String::as_str).collect();
    output::out(format_args!("promote {} {version} ({})", one.image, &commit[..12]));
    output::out(format_args!("  image      {}", one.candidate.descriptor.digest));
    output::out(format_args!("  from       {} ({})", one.from, one.found_by));
    let built = if one.is_built_here {
        "also on this machine: the same image".to_owned()
    } else {
        format!("not on this machine; everyone with write access to {} is trusted", one.from)
    };
    output::out(format_args!("  built      {built}"));
    output::out(format_args!(
        "  to         {}:{}{}",
        one.to,
        one.tag,
        if one.is_tagged { ", which exists" } else { "" }
    ));
    for (name, platform) in &one.record.platforms {
        let test = match &platform.smoke_test {
            Some(test) => format!("the smoke test printed {:?}", test.printed),
            None => "not tested: the machine that built it cannot run it".to_owned(),
        };
        output::out(format_args!("  {name:<11} {}  {test}", platform.digest.short()));
    }
    output::out(format_args!("  latest     {}", latest(one)));
    output::out(format_args!("  signed     the tag {} by {}", tag.name, signers.join(", ")));
    for (file, sum) in &one.record.proofs {
        output::out(format_args!("  proof      {file} {sum}"));
    }
    output::out(format_args!("  record     {}", if one.is_recorded { "exists" } else { "will be signed" }));
    if one.is_done() {
        output::out("  nothing to do: already promoted");
    }
}

fn latest(one: &PromotionPlan) -> String {
    let now = || match &one.current {
        Some(current) => match &current.version {
            Some(version) => format!(" from {version}"),
            None => format!(" from {}", current.digest.short()),
        },
        None => String::new(),
    };
    match &one.latest {
        Latest::Moves => format!("moves here{}", now()),
        Latest::IsThere => "is here".to_owned(),
        Latest::Stays(why) => format!("stays: {why}"),
    }
}

/// Formats the plans as JSON.
fn json(plans: &[PromotionPlan]) -> serde_json::Value {
    let one = |one: &PromotionPlan| {
        json!({
            "record": one.record,
            "tag": one.tag.as_str(),
            "is-built-here": one.is_built_here,
            "is-tagged": one.is_tagged,
            "is-recorded": one.is_recorded,
            "latest": latest(one),
            "moves-latest": one.latest == Latest::Moves,
            "is-done": one.is_done(),
        })
    };
    plans.iter().map(one).collect()
}
