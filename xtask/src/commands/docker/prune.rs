//! `cargo xtask docker prune`: what goes from the nightly repository, what stays and why; and with `--apply` it goes.

use std::collections::BTreeSet;

use serde::Serialize;

use super::selection::select;
use crate::cli;
use crate::commands::Context;
use crate::commands::release::build::lock;
use crate::commands::release_context::DeclaredCommit;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::images::{Digest, Image, Tag};
use drydock_oci::prune::apply::{self, Condemned, End, Verified};
use drydock_oci::prune::contents::{self, Found};
use drydock_oci::prune::{self, Kept, Plan, Prunable, Removed, TagName};
use drydock_oci::registry::{Registries, Registry};

/// How often it is decided anew when others change the repository meanwhile.
const MOST_ROUNDS: usize = 5;

/// What is told about one image.
#[derive(Debug, Serialize)]
struct Report {
    image: String,
    repository: String,
    #[serde(flatten)]
    plan: Plan,
    /// Whether it was carried out.
    applied: bool,
    verified: Option<Verified>,
}

impl cli::DockerPrune {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let commit = DeclaredCommit::resolve(ctx, "HEAD")?;
        let images = select(commit.images()?, &self.images)?;
        let _lock = self.apply.then(|| lock(ctx)).transpose()?;
        let mut registries = Registries::from_process();
        let mut reports = Vec::new();
        for image in images {
            let report = prune(ctx, image, &mut registries, self.apply)?;
            if self.format == cli::Format::Text {
                print(&report);
            }
            reports.push(report);
        }
        if self.format == cli::Format::Json {
            output::out(serde_json::to_string_pretty(&reports)?);
        }
        let lost: Vec<&String> =
            reports.iter().flat_map(|one| one.verified.iter().flat_map(|seen| &seen.lost)).collect();
        Ok(if lost.is_empty() { Exit::Success } else { Exit::NotReproducible })
    }
}

/// Removes the old nightlies of one image, and summarises that in a few words.
pub(in crate::commands) fn old_nightlies(
    ctx: &Context,
    image: &Image,
    registries: &mut Registries,
) -> anyhow::Result<String> {
    let report = prune(ctx, image, registries, true)?;
    let lost: Vec<&String> = report.verified.iter().flat_map(|seen| &seen.lost).collect();
    match lost.as_slice() {
        [] => Ok(format!("{} of {} tags kept in {}", report.plan.kept.len(), tags_of(&report.plan), report.repository)),
        [first, ..] => Err(Failure::not_reproducible(format!("{} lacks {first}", report.repository))),
    }
}

/// Reads a repository, decides, and with `apply` deletes and verifies the result.
fn prune(ctx: &Context, image: &Image, registries: &mut Registries, apply: bool) -> anyhow::Result<Report> {
    let place = Prunable::of(&image.repositories);
    let registry = registries.open(place.repository())?;
    let condemned = Condemned::at(ctx.state.root(), &place);
    let before = condemned.read(&place)?;
    let decide = |before: BTreeSet<_>| -> anyhow::Result<(Found, Plan)> {
        let found = contents::read(&registry, &place, before)?;
        let today = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::now()).date();
        let plan = prune::plan(&found.graph, &image.retention, today);
        Ok((found, plan))
    };
    let (found, plan) = decide(before.clone())?;
    let report = |plan: Plan, verified: Option<Verified>| Report {
        image: image.name.to_string(),
        repository: place.repository().to_string(),
        plan,
        applied: apply,
        verified,
    };
    if !apply {
        return Ok(report(plan, None));
    }
    let (plan, verified) = carry_out(&registry, &place, (found, plan), (&condemned, before), decide)?;
    Ok(report(plan, Some(verified)))
}

/// How many tags there were.
fn tags_of(plan: &Plan) -> usize {
    plan.kept.len() + plan.removed.iter().map(|one| one.tags.len()).sum::<usize>()
}

/// Deletes until all is done, deciding anew when somebody changed the repository.
fn carry_out(
    registry: &Registry,
    place: &Prunable,
    (mut found, mut plan): (Found, Plan),
    (condemned, mut before): (&Condemned, BTreeSet<Digest>),
    decide: impl Fn(BTreeSet<Digest>) -> anyhow::Result<(Found, Plan)>,
) -> anyhow::Result<(Plan, Verified)> {
    let mut removed = Vec::new();
    for _ in 0..MOST_ROUNDS {
        if let Some(opaque) = plan.opaque.first() {
            let text = format!("what {} of the tag {} needs cannot be read", opaque.digest, opaque.tag);
            let remedy = "nothing is deleted, as it may be something that would go; remove that tag first";
            return Err(Failure::rejected(format!("{text}; {remedy}")));
        }
        condemned.write(place, &plan, &before)?;
        before.extend(plan.removed.iter().map(|one| one.digest));
        let total = plan.removed.len();
        let mut count = 0;
        let end = apply::apply(registry, place, &found, &plan, &mut |one| {
            count += 1;
            let tags: Vec<&str> = one.tags.iter().map(|tag| tag.as_str()).collect();
            output::err(format_args!("== delete {count}/{total} {} {}", one.digest.short(), tags.join(", ")));
        })?;
        removed.extend(plan.removed.drain(..count));
        match end {
            End::Changed(how) => {
                output::err(format_args!("== {how}: the rest is decided anew"));
                (found, plan) = decide(before.clone())?;
            }
            End::Done => {
                let verified = apply::verify(registry, place, &plan)?;
                condemned.forget()?;
                return Ok((Plan { removed, ..plan }, verified));
            }
        }
    }
    let text = format!("others change {} all the time", place.repository());
    Err(Failure::remote(format!("{text}; {} manifests were deleted, try again for the rest", removed.len())))
}

fn print(report: &Report) {
    let Report { image, repository, plan, applied, verified } = report;
    output::out(format_args!("{image}: {repository}"));
    let is_list = |tag: &Tag| matches!(TagName::of(tag), TagName::About(_));
    let (lists, kept): (Vec<&Kept>, Vec<_>) = plan.kept.iter().partition(|kept| is_list(&kept.tag));
    let width = kept.iter().map(|kept| kept.tag.as_str().len().min(32)).max().unwrap_or(0);
    for kept in kept {
        output::out(format_args!("  stays  {:<width$}  {}  {}", kept.tag, kept.digest.short(), kept.rule));
    }
    let word = if *applied { "went " } else { "goes " };
    let (mut named, parts): (Vec<&Removed>, Vec<_>) =
        plan.removed.iter().partition(|one| one.tags.iter().any(|tag| !is_list(tag)));
    named.sort_by(|one, other| one.tags.cmp(&other.tags));
    for removed in named {
        let tags: Vec<&str> = removed.tags.iter().map(Tag::as_str).collect();
        output::out(format_args!("  {word}  {:<width$}  {}  {}", tags.join(", "), removed.digest.short(), removed.why));
    }
    let about = |count: usize| format!("lists of what is said about them: {count}");
    if !lists.is_empty() {
        output::out(format_args!("  stays  {}", about(lists.len())));
    }
    if !parts.is_empty() {
        let count = parts.iter().filter(|one| !one.tags.is_empty()).count();
        let rest = parts.len() - count;
        output::out(format_args!("  {word}  {}; other parts of them: {rest}", about(count)));
    }
    for digest in &plan.pushing {
        output::out(format_args!("  stays  {} has no tag, and may be in the middle of its push", digest.short()));
    }
    plan.empty.iter().for_each(|tag| output::out(format_args!("  note   {tag} names nothing")));
    for lack in &plan.missing {
        output::out(format_args!("  LACKS  {} needs {}, which is not there", lack.tag, lack.digest));
    }
    for opaque in &plan.opaque {
        output::out(format_args!("  note   {} needs {}, which is of an unknown type", opaque.tag, opaque.digest));
    }
    let gone: usize = plan.removed.iter().map(|one| one.tags.len()).sum();
    let (kept, reached, removed) = (plan.kept.len(), plan.reached.len(), plan.removed.len());
    output::out(format_args!("  {kept} tags stay with {reached} manifests, {gone} go with {removed}"));
    match verified {
        Some(seen) => {
            let Verified { tags, manifests, blobs, lost } = seen;
            lost.iter().for_each(|what| output::out(format_args!("  LOST   {what}")));
            if lost.is_empty() {
                let text = "looked at again: all there";
                output::out(format_args!("  {text}: {tags} tags, {manifests} manifests, {blobs} blobs"));
            }
            if removed > 0 {
                output::out("  the registry frees the space when its garbage collection runs");
            }
        }
        None if removed > 0 => output::out("  nothing was deleted; --apply deletes"),
        None => {}
    }
}
