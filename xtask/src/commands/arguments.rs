//! The groups of options that several commands share, mapped onto the parameters of operations.
//!
//! Types of the command line end here and in the `run` of each command; operations take parameters of their own.

use std::path::Path;

use super::ci::RunParameters;
use super::deb::prove::ProofEnvironment;
use super::release_context::{ReleaseSelector, VersionSource};
use crate::cli;
use crate::invocation;
use drydock_ci::containment;
use drydock_deb::prove::Mirrors;
use drydock_oci::engine::EngineKind;

impl From<cli::OfRelease> for ReleaseSelector {
    fn from(options: cli::OfRelease) -> ReleaseSelector {
        let cli::OfRelease { commit, tag, untagged, nightly } = options;
        let version = match (nightly, untagged) {
            (Some(next), _) => VersionSource::Nightly(next),
            (None, Some(version)) => VersionSource::Untagged(version),
            (None, None) => VersionSource::Tag(tag),
        };
        ReleaseSelector { revision: commit, version }
    }
}

impl From<cli::TaggedRelease> for ReleaseSelector {
    fn from(options: cli::TaggedRelease) -> ReleaseSelector {
        let cli::TaggedRelease { commit, tag } = options;
        ReleaseSelector { revision: commit, version: VersionSource::Tag(tag) }
    }
}

impl From<cli::RunOptions> for RunParameters {
    fn from(options: cli::RunOptions) -> RunParameters {
        let cli::RunOptions { jobs, memory, history, containment, no_progress, fail_on_flaky, output_for } = options;
        let containment = match containment {
            cli::Containment::Auto => None,
            cli::Containment::V2 => Some(containment::Kind::V2),
            cli::Containment::V1 => Some(containment::Kind::V1),
            cli::Containment::None => Some(containment::Kind::None),
        };
        let (for_github, quiet) = (output_for.is_github(), invocation::is_quiet());
        let live = !no_progress;
        RunParameters { jobs, memory, history, containment, live, quiet, silent: false, fail_on_flaky, for_github }
    }
}

impl cli::ProofPlaces {
    /// The environment of proofs; chroots are kept in the state directory by default.
    pub(super) fn environment(self, state: &Path) -> ProofEnvironment {
        let cli::ProofPlaces { mirror, ubuntu_mirror, chroots, user } = self;
        ProofEnvironment {
            user,
            chroots: chroots.unwrap_or_else(|| state.join("chroots")),
            mirrors: Mirrors { debian: mirror, ubuntu: ubuntu_mirror },
        }
    }
}

impl cli::Engine {
    /// The engines to try, in this order.
    pub(super) fn kinds(self) -> &'static [EngineKind] {
        match self {
            cli::Engine::Auto => &[EngineKind::Buildx, EngineKind::Docker, EngineKind::Buildah, EngineKind::Podman],
            cli::Engine::Docker => &[EngineKind::Buildx, EngineKind::Docker],
            cli::Engine::Buildah => &[EngineKind::Buildah],
            cli::Engine::Podman => &[EngineKind::Podman],
        }
    }
}
