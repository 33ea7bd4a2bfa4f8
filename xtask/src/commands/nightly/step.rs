//! The steps of a night: what each is, whether its results are there already, and what takes it.

use super::build;
use super::night::Night;
use super::publish::{self, Remote};

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Sources,
    SourcesProof,
    Packages,
    PackagesCheck,
    PackagesProof,
    Images,
    Push,
    Upload,
    Tags,
    Prune,
}

impl Step {
    /// One word, for programs.
    pub(super) fn word(self) -> &'static str {
        match self {
            Step::Sources => "sources",
            Step::SourcesProof => "sources-proof",
            Step::Packages => "packages",
            Step::PackagesCheck => "packages-check",
            Step::PackagesProof => "packages-proof",
            Step::Images => "images",
            Step::Push => "push",
            Step::Upload => "upload",
            Step::Tags => "tags",
            Step::Prune => "prune",
        }
    }

    /// What it does tonight; nothing when there is nothing for it to do.
    pub(super) fn plan(self, night: &Night) -> Option<String> {
        let has_packages = night.release.declaration().deb.is_some();
        let has_images = !night.images().is_empty();
        let names = || night.images().iter().map(|image| image.name.to_string()).collect::<Vec<_>>().join(", ");
        let repositories =
            || night.images().iter().map(|image| image.repositories.nightly.to_string()).collect::<Vec<_>>().join(", ");
        let publishes = night.options.publish;
        match self {
            Step::Sources => {
                let archives = night.release.identity().archives();
                Some(format!("write {}", archives.into_iter().map(|(_, name)| name).collect::<Vec<_>>().join(", ")))
            }
            Step::SourcesProof => Some(match night.release.declaration().offline_proof {
                Some(_) => "build them again in other surroundings; build and test them without a network".to_owned(),
                None => "build them again in other surroundings".to_owned(),
            }),
            Step::Packages => has_packages.then(|| "make a Debian source package for each series".to_owned()),
            Step::PackagesCheck => has_packages.then(|| "check them against the rules of Launchpad".to_owned()),
            Step::PackagesProof => (has_packages && !night.proved_series().is_empty()).then(|| {
                format!("build, compare, install and try the packages of {}", night.proved_series().join(", "))
            }),
            Step::Images => has_images.then(|| format!("build and try the images {}", names())),
            Step::Push => (publishes && has_images).then(|| format!("push by digest to {}", repositories())),
            Step::Upload => match &night.release.declaration().nightly.upload {
                Some(_) if publishes => Some("upload the source packages to where nightlies go".to_owned()),
                Some(_) | None => None,
            },
            Step::Tags => {
                (publishes && has_images).then(|| format!("move the tags {}", publish::tag_names(night).join(", ")))
            }
            Step::Prune => publishes.then(|| "remove nightlies that are past their time".to_owned()),
        }
    }

    /// Words about the results, when they are there already and are tonight's by their sums.
    pub(super) fn done(self, night: &Night) -> anyhow::Result<Option<String>> {
        match self {
            Step::Sources => Ok(build::sources_done(night)),
            Step::SourcesProof => Ok(build::sources_proved(night)),
            Step::Packages => build::packages_done(night),
            Step::PackagesProof => build::packages_proved(night),
            Step::Images => build::images_done(night),
            // A question to the rules or to others; each asks again what is there.
            Step::PackagesCheck | Step::Push | Step::Upload | Step::Tags | Step::Prune => Ok(None),
        }
    }

    /// Whether later steps are made of what it makes, and so have to be taken again after it.
    pub(super) fn makes(self) -> bool {
        match self {
            Step::Sources | Step::SourcesProof | Step::Packages | Step::PackagesProof | Step::Images => true,
            Step::PackagesCheck | Step::Push | Step::Upload | Step::Tags | Step::Prune => false,
        }
    }

    /// Takes it.
    pub(super) fn take(self, night: &Night, remote: &mut Remote) -> anyhow::Result<String> {
        match self {
            Step::Sources => build::sources(night),
            Step::SourcesProof => build::prove_sources(night),
            Step::Packages => build::packages(night),
            Step::PackagesCheck => build::check_packages(night),
            Step::PackagesProof => build::prove_packages(night),
            Step::Images => build::images(night),
            Step::Push => remote.push(night),
            Step::Upload => publish::upload(night, remote),
            Step::Tags => remote.tag(night),
            Step::Prune => remote.prune(night),
        }
    }
}
