//! `cargo xtask docker prune`: shows what is removed from the nightly repository and what is kept; `--apply` removes it.

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
use drydock_base::text::plural;
use drydock_config::images::{Digest, Image, Tag};
use drydock_oci::prune::apply::{self, PendingRemovals, PruneOutcome, Verified};
use drydock_oci::prune::contents::{self, RepositoryContents};
use drydock_oci::prune::{self, Kept, Plan, Prunable, Removed, TagName};
use drydock_oci::registry::{Registries, Registry};

/// The maximum number of plans, if others change the repository during the call.
const MOST_ROUNDS: usize = 5;

/// The report about one image.
#[derive(Debug, Serialize)]
struct Report {
    image: String,
    repository: String,
    #[serde(flatten)]
    plan: Plan,
    /// True if the plan was applied.
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
        [] => Ok(format!(
            "{} of {} kept in {}",
            report.plan.kept.len(),
            plural(tags_of(&report.plan), "tag"),
            report.repository
        )),
        [first, ..] => Err(Failure::not_reproducible(format!("{} is missing {first}", report.repository))),
    }
}

/// Reads a repository, decides, and with `apply` deletes and verifies the result.
fn prune(ctx: &Context, image: &Image, registries: &mut Registries, apply: bool) -> anyhow::Result<Report> {
    let place = Prunable::nightly(&image.repositories);
    let registry = registries.open(place.repository())?;
    let condemned = PendingRemovals::at(ctx.state.root(), &place);
    let before = condemned.read(&place)?;
    let decide = |before: BTreeSet<_>| -> anyhow::Result<(RepositoryContents, Plan)> {
        let found = contents::read(&registry, &place, before)?;
        let today = crate::commands::today();
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

/// Returns the number of tags before.
fn tags_of(plan: &Plan) -> usize {
    plan.kept.len() + plan.removed.iter().map(|one| one.tags.len()).sum::<usize>()
}

/// Applies the plan; makes a new plan for the rest whenever somebody changed the repository.
fn carry_out(
    registry: &Registry,
    place: &Prunable,
    (mut found, mut plan): (RepositoryContents, Plan),
    (condemned, mut before): (&PendingRemovals, BTreeSet<Digest>),
    decide: impl Fn(BTreeSet<Digest>) -> anyhow::Result<(RepositoryContents, Plan)>,
) -> anyhow::Result<(Plan, Verified)> {
    let mut removed = Vec::new();
    for _ in 0..MOST_ROUNDS {
        if let Some(opaque) = plan.opaque.first() {
            let text =
                format!("the type of {} (tag {}) is unknown, and so are its dependencies", opaque.digest, opaque.tag);
            let remedy = "nothing was deleted; delete that tag first";
            return Err(Failure::rejected(format!("{text}; {remedy}")));
        }
        condemned.write(place, &plan, &before)?;
        before.extend(plan.removed.iter().map(|one| one.digest));
        let total = plan.removed.len();
        let mut count = 0;
        let end = apply::apply(registry, place, &found, &plan, &mut |one, existed| {
            count += 1;
            let tags: Vec<&str> = one.tags.iter().map(|tag| tag.as_str()).collect();
            let mut line =
                format!("delete {count}/{total} {} {}", one.digest.short(), tags.join(", ")).trim_end().to_owned();
            if !existed {
                line.push_str("; others had deleted it");
            }
            output::announce(line);
        })?;
        removed.extend(plan.removed.drain(..count));
        match end {
            PruneOutcome::Changed(how) => {
                output::announce(format_args!("{how}; making a new plan for the rest"));
                (found, plan) = decide(before.clone())?;
            }
            PruneOutcome::Done => {
                let verified = apply::verify(registry, place, &plan)?;
                condemned.forget()?;
                return Ok((Plan { removed, ..plan }, verified));
            }
        }
    }
    let text = format!("others keep changing {}", place.repository());
    Err(Failure::remote(format!(
        "{text}; {} manifests were deleted; run the command again for the rest",
        removed.len()
    )))
}

fn print(report: &Report) {
    let Report { image, repository, plan, applied, verified } = report;
    output::out(format_args!("{image}: {repository}"));
    let is_list = |tag: &Tag| matches!(TagName::parse(tag), TagName::About(_));
    let (lists, kept): (Vec<&Kept>, Vec<_>) = plan.kept.iter().partition(|kept| is_list(&kept.tag));
    let width = kept.iter().map(|kept| kept.tag.as_str().len().min(32)).max().unwrap_or(0);
    for kept in kept {
        output::out(format_args!("  keep   {:<width$}  {}  {}", kept.tag, kept.digest.short(), kept.rule));
    }
    let word = if *applied { "removed" } else { "remove " };
    let (mut named, parts): (Vec<&Removed>, Vec<_>) =
        plan.removed.iter().partition(|one| one.tags.iter().any(|tag| !is_list(tag)));
    named.sort_by(|one, other| one.tags.cmp(&other.tags));
    for removed in named {
        let tags: Vec<&str> = removed.tags.iter().map(Tag::as_str).collect();
        output::out(format_args!("  {word}  {:<width$}  {}  {}", tags.join(", "), removed.digest.short(), removed.why));
    }
    let about = |count: usize| format!("lists of referrers: {count}");
    if !lists.is_empty() {
        output::out(format_args!("  keep   {}", about(lists.len())));
    }
    if !parts.is_empty() {
        let count = parts.iter().filter(|one| !one.tags.is_empty()).count();
        let rest = parts.len() - count;
        output::out(format_args!("  {word}  {}; other manifests: {rest}", about(count)));
    }
    for digest in &plan.pushing {
        output::out(format_args!("  keep   {} is untagged; its push may be in progress", digest.short()));
    }
    plan.empty.iter().for_each(|tag| output::out(format_args!("  note   {tag} has no manifest")));
    for lack in &plan.missing {
        output::out(format_args!("  MISSING {} needs {}, which does not exist", lack.tag, lack.digest));
    }
    for opaque in &plan.opaque {
        output::out(format_args!("  note   {} needs {}, whose type is unknown", opaque.tag, opaque.digest));
    }
    let gone: usize = plan.removed.iter().map(|one| one.tags.len()).sum();
    let (kept, reached) = (plural(plan.kept.len(), "tag"), plural(plan.reached.len(), "manifest"));
    let removed = plan.removed.len();
    output::out(format_args!("  {kept} kept with {reached}, {gone} removed with {removed}"));
    match verified {
        Some(seen) => {
            let Verified { tags, manifests, blobs, lost } = seen;
            lost.iter().for_each(|what| output::out(format_args!("  LOST   {what}")));
            if lost.is_empty() {
                let text = "verified";
                let counts = [(*tags, "tag"), (*manifests, "manifest"), (*blobs, "blob")];
                let counts = counts.map(|(count, noun)| plural(count, noun)).join(", ");
                output::out(format_args!("  {text}: {counts}"));
            }
            if removed > 0 {
                output::out("  the registry frees the space at its next garbage collection");
            }
        }
        None if removed > 0 => output::out("  nothing was deleted; run again with --apply to delete"),
        None => {}
    }
}
