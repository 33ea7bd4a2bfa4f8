//! The steps of a nightly build: their plans, whether they are done, and running them.

use super::build;
use super::nightly_build::NightlyBuild;
use super::publish::{self, NightlyRepositories};

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
    /// The name in the record and in messages.
    pub(super) fn name(self) -> &'static str {
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

    /// A description of what the step does in this build; `None` if there is nothing to do.
    pub(super) fn plan(self, nightly: &NightlyBuild) -> Option<String> {
        let declaration = nightly.release.declaration();
        let (packages, images) = (declaration.deb.is_some(), !nightly.images().is_empty());
        let publishes = nightly.options.publish;
        let list = |item: &dyn Fn(&drydock_config::images::Image) -> String| {
            nightly.images().iter().map(item).collect::<Vec<_>>().join(", ")
        };
        let (is_planned, plan) = match self {
            Step::Sources => {
                let archives = nightly.release.identity().archives();
                let names: Vec<String> = archives.into_iter().map(|(_, name)| name).collect();
                (true, format!("write {}", names.join(", ")))
            }
            Step::SourcesProof => {
                let offline = declaration.offline_proof.as_ref().map_or("", |_| "; build and test without a network");
                (true, format!("rebuild the archives with variations{offline}"))
            }
            Step::Packages => (packages, "build a Debian source package for each series".to_owned()),
            Step::PackagesCheck => (packages, "check the packages against the rules of Launchpad".to_owned()),
            Step::PackagesProof => {
                let series = nightly.proved_series();
                let plan = format!("build twice, compare, install and test the packages of {}", series.join(", "));
                (packages && !series.is_empty(), plan)
            }
            Step::Images => (images, format!("build and test the images {}", list(&|image| image.name.to_string()))),
            Step::Push => {
                let repositories = list(&|image| image.repositories.nightly.to_string());
                (publishes && images, format!("push by digest to {repositories}"))
            }
            Step::Upload => {
                let is_planned = publishes && declaration.nightly.upload.is_some();
                (is_planned, "upload the source packages to the target of nightlies".to_owned())
            }
            Step::Tags => (publishes && images, format!("move the tags {}", publish::tag_names(nightly).join(", "))),
            Step::Prune => (publishes, "remove expired nightlies".to_owned()),
        };
        is_planned.then_some(plan)
    }

    /// A summary of the results, if they exist and belong to this build; `None` if the step must run.
    pub(super) fn done(self, nightly: &NightlyBuild) -> anyhow::Result<Option<String>> {
        match self {
            Step::Sources => Ok(build::sources_done(nightly)),
            Step::SourcesProof => Ok(build::sources_proved(nightly)),
            Step::Packages => build::packages_done(nightly),
            Step::PackagesProof => build::packages_proved(nightly),
            Step::Images => build::images_done(nightly),
            // These depend on the date or on the state of servers, so they always run.
            Step::PackagesCheck | Step::Push | Step::Upload | Step::Tags | Step::Prune => Ok(None),
        }
    }

    /// Whether something leaves this machine.
    pub(super) fn publishes(self) -> bool {
        matches!(self, Step::Push | Step::Upload)
    }

    /// Whether later steps depend on its results, and must run after it ran.
    pub(super) fn makes_inputs(self) -> bool {
        match self {
            Step::Sources | Step::SourcesProof | Step::Packages | Step::PackagesProof | Step::Images => true,
            Step::PackagesCheck | Step::Push | Step::Upload | Step::Tags | Step::Prune => false,
        }
    }

    /// Runs the step. Returns a summary of its results.
    pub(super) fn run(self, nightly: &NightlyBuild, repositories: &mut NightlyRepositories) -> anyhow::Result<String> {
        match self {
            Step::Sources => build::sources(nightly),
            Step::SourcesProof => build::prove_sources(nightly),
            Step::Packages => build::packages(nightly),
            Step::PackagesCheck => build::check_packages(nightly),
            Step::PackagesProof => build::prove_packages(nightly),
            Step::Images => build::images(nightly),
            Step::Push => repositories.push(nightly),
            Step::Upload => publish::upload(nightly, repositories),
            Step::Tags => repositories.tag(nightly),
            Step::Prune => repositories.prune(nightly),
        }
    }
}
