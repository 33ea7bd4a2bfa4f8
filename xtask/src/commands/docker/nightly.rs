//! `cargo xtask docker nightly`: pushes built images to the nightly repositories by digest, then moves their tags.

use super::selection::{self, ImageSelection};
use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::ReleaseContext;
use crate::exit::Exit;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_base::text::plural;
use drydock_config::images::{Image, Tag};
use drydock_oci::build_record::StoredBuild;
use drydock_oci::nightly::{self, NIGHTLY_TAG};
use drydock_oci::registry::{Registries, Registry};

impl cli::DockerNightly {
    pub(super) fn run(self, ctx: &Context) -> anyhow::Result<Exit> {
        let release = selection::release(ctx, &self.of)?;
        let selection = ImageSelection::new(&release, &self.of.images)?;
        let tags = tags(&release)?;
        if self.dry_run {
            for image in &selection.images {
                let build = selection.build_of(image)?;
                let repository = &image.repositories.nightly;
                output::out(format_args!("push {} to {repository}, then tag it {}", build.index.digest, names(&tags)));
            }
            return Ok(Exit::Success);
        }
        release.published(&release.directory()).require_proof(self.without_proof.as_deref())?;
        let mut registries = Registries::from_process();
        let mut pushed = Vec::new();
        for image in &selection.images {
            let registry = registries.open(&image.repositories.nightly)?;
            let before = nightly::published(&registry, &image.repositories.nightly)?;
            let mut build = selection.build_of(image)?;
            build.record.without_proof.clone_from(&self.without_proof);
            push(&registry, image, &build)?;
            pushed.push((registry, image, build.index, before));
        }
        // No tag moves before all images are pushed, or if another nightly moved one meanwhile.
        for (registry, image, index, before) in &pushed {
            let before = before.as_ref().map(|before| before.digest);
            nightly::ensure_unmoved(registry, &image.repositories.nightly, before, Some(index.digest))?;
        }
        let version = &release.version;
        for (registry, image, index, before) in &pushed {
            let repository = &image.repositories.nightly;
            let set = nightly::forward_tags(&tags, version, before.as_ref());
            if let Some(newer) = set.newer {
                let what = format!("{repository}:{NIGHTLY_TAG} stays at {newer}, which is newer than {version}");
                output::err(format_args!("note: {what}; {version} gets only the tag of its commit"));
            }
            nightly::set_tags(registry, repository, index, set.tags, before.as_ref().map(|before| before.digest))?;
            output::out(format_args!("{repository}@{}  {}", index.digest, names(set.tags)));
        }
        Ok(Exit::Success)
    }
}

fn names(tags: &[Tag]) -> String {
    tags.iter().map(Tag::as_str).collect::<Vec<_>>().join(", ")
}

/// Returns the tags of a nightly in the order in which they are set: the commit, the day, and last the one that moves.
///
/// The day is that of the newest commit, so that a nightly has the same name whenever it is built.
pub(in crate::commands) fn tags(release: &ReleaseContext) -> anyhow::Result<Vec<Tag>> {
    let day = release.date()?;
    let names = [format!("sha-{}", release.commit.id.short()), format!("{NIGHTLY_TAG}-{day}"), NIGHTLY_TAG.to_owned()];
    let tag = |name: String| name.parse::<Tag>().map_err(|bad| Failure::declaration(bad.to_string()));
    names.into_iter().map(tag).collect()
}

/// Pushes a build to the nightly repository of its image, and reports the transfer. No tag moves.
pub(in crate::commands) fn push(registry: &Registry, image: &Image, build: &StoredBuild) -> anyhow::Result<()> {
    let repository = &image.repositories.nightly;
    let outcome = nightly::push(registry, repository, build)?;
    output::announce(format_args!(
        "{repository}@{}: {} present, {} uploaded ({} bytes)",
        build.index.digest.short(),
        plural(outcome.present + outcome.mounted, "blob"),
        outcome.uploaded,
        outcome.bytes
    ));
    Ok(())
}
