//! Base images: from the cache, a registry or mmdebstrap.

use crate::commands::Context;
use drydock_base::failure::Failure;
use drydock_base::output;
use drydock_config::images::{Base, Digest, Platform, Repository};
use drydock_oci::base_image::{self, BaseImage};
use drydock_oci::bootstrap;
use drydock_oci::layout::Layout;
use drydock_oci::registry::{self, Credentials, Reference, Registry};

/// Returns the cache of base images.
pub(super) fn cache(ctx: &Context) -> anyhow::Result<Layout> {
    ctx.state.create()?;
    Layout::create(&ctx.state.root().join("base"))
}

/// Provides the declared base image for a platform.
pub(super) fn provide(ctx: &Context, declared: &Base, platform: Platform) -> anyhow::Result<BaseImage> {
    provide_in(&cache(ctx)?, declared, platform)
}

/// Provides a base image from a cache, or into it.
pub(in crate::commands) fn provide_in(
    cache: &Layout,
    declared: &Base,
    platform: Platform,
) -> anyhow::Result<BaseImage> {
    match declared {
        Base::Image { repository, tag, digest } => {
            let tag = tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
            let name = format!("{repository}{tag}");
            base_image::cached_or_pulled(cache, &name, digest, platform, &mut || {
                pull(cache, repository, digest, platform)
            })
        }
        Base::Suite { suite, snapshot, mirror, packages } => {
            let request = bootstrap::SuiteRequest { suite, snapshot, mirror, packages, platform };
            bootstrap::make(cache, &request, &mut |line| output::step(format_args!("{line}")))
        }
    }
}

/// Pulls a base image into the cache. Of an index, this is the image of one platform and the index itself.
pub(super) fn pull(cache: &Layout, repository: &Repository, digest: &Digest, platform: Platform) -> anyhow::Result<()> {
    output::step(format_args!("pull {repository}@{} for {platform}", digest.short()));
    let registry = Registry::open(repository.host(), &Credentials::from_process())?;
    let reference = Reference::Digest(*digest);
    let top = registry
        .manifest(repository, &reference)?
        .ok_or_else(|| Failure::remote(format!("{repository} has no manifest {digest}; was it deleted?")))?;
    registry::pull(&registry, repository, &reference, Some(platform), cache)?;
    cache.put(&top.descriptor.media_type, &top.bytes)?;
    Ok(())
}
