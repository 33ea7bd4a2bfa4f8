//! The files of distributions that binary tarballs are built on: the same base images that container images have, from one cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::commands::docker::base_in;
use crate::commands::release_context::ReleaseContext;
use drydock_base::failure::Failure;
use drydock_config::release::Binary;
use drydock_oci::layout::Layout;
use drydock_oci::smoke;
use drydock_oci::unpack::unpack;
use drydock_release::binaries::{Bases, UnpackedBase};

/// The user and group who build when this process is root, so that a build cannot change this machine.
const BUILDER: (u32, u32) = (4242, 4242);

/// A directory with base images.
#[derive(Debug, Clone)]
pub(in crate::commands) struct CachedBases {
    pub(in crate::commands) directory: PathBuf,
}

impl CachedBases {
    /// The cache of a release's project; none for a release that declares no binary tarballs.
    pub(in crate::commands) fn of(release: &ReleaseContext) -> Option<CachedBases> {
        let directory = release.ctx().state.root().join("base");
        (!release.declaration().binaries.is_empty()).then_some(CachedBases { directory })
    }
}

impl Bases for CachedBases {
    fn unpack(&self, binary: &Binary, directory: &Path, _watch: &mut dyn FnMut(&str)) -> anyhow::Result<UnpackedBase> {
        if let Some(why) = smoke::why_unsupported(binary.platform) {
            return Err(Failure::missing(format!("cannot build {}: {why}", binary.key)));
        }
        let cache = Layout::create(&self.directory)?;
        let base = base_in(&cache, &binary.base, binary.platform)?;
        let owner = rustix::process::geteuid().is_root().then_some(BUILDER);
        fs::create_dir(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        unpack(&base.layout, &base.manifest.layers, directory, owner)?;
        let path = base.config.config.env.iter().find_map(|one| one.strip_prefix("PATH=")).map(str::to_owned);
        Ok(UnpackedBase { name: base.name, digest: base.digest.to_string(), path, owner })
    }
}
