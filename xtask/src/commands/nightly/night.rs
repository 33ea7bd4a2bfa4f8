//! What tonight is about: the commit, its version, what is declared, and where results stand.

use std::collections::BTreeMap;

use crate::commands::Context;
use crate::commands::deb::prove::ProofEnvironment;
use crate::commands::deb::source_packages::SourcePackages;
use crate::commands::docker::selection::ImageSelection;
use crate::commands::release_context::{DeclaredCommit, ReleaseContext, VersionSource};
use drydock_base::git::Oid;
use drydock_config::images::Image;
use drydock_config::release::Version;
use drydock_oci::engine::EngineKind;

use super::record::{self, Outcome, Record};

/// The options of a nightly.
pub(super) struct Options {
    /// A revision that names the commit.
    pub(super) revision: String,
    /// The version that will be released next; by default the declared one.
    pub(super) next: Option<Version>,
    /// Whether to build although nothing changed, or although the published version is higher.
    pub(super) force: bool,
    /// Whether to publish what was built and proved.
    pub(super) publish: bool,
    pub(super) threads: u32,
    /// The engines to try for Dockerfiles, in this order.
    pub(super) engines: &'static [EngineKind],
    pub(super) proof: ProofEnvironment,
    /// The key that signs source packages; by default that of the declaration.
    pub(super) key: Option<String>,
    /// The minutes to wait for the answer of the archive that packages are uploaded to.
    pub(super) wait: u32,
    /// The address of Launchpad's API.
    pub(super) api: String,
}

/// One night.
pub(super) struct Night {
    pub(super) options: Options,
    pub(super) release: ReleaseContext,
}

impl Night {
    /// Resolves the commit, and decides its version: that of its highest release tag, else one of a nightly.
    pub(super) fn find(ctx: &Context, options: Options) -> anyhow::Result<Night> {
        let commit = DeclaredCommit::resolve(ctx, &options.revision)?;
        let source = match commit.highest_tag()? {
            Some(tag) => VersionSource::Tag(Some(tag)),
            None => VersionSource::Nightly(options.next.clone()),
        };
        let release = commit.release(&source)?;
        // Invalid images end the night before anything is built.
        release.commit.images_if_declared()?;
        Ok(Night { options, release })
    }

    pub(super) fn ctx(&self) -> &Context {
        self.release.ctx()
    }

    /// All declared images; none without `docker/images.yaml`.
    pub(super) fn images(&self) -> &[Image] {
        let images = self.release.commit.images_if_declared().ok().flatten();
        images.map_or(&[], |declared| &declared.images)
    }

    /// The images, which are declared when this is called.
    pub(super) fn selection(&self) -> anyhow::Result<ImageSelection<'_>> {
        ImageSelection::new(&self.release, &[])
    }

    /// The source packages, which are uploaded to `nightly.upload`; `None` when none are declared.
    pub(super) fn packages(&self, series: &[String]) -> anyhow::Result<Option<SourcePackages<'_>>> {
        if self.release.declaration().deb.is_none() {
            return Ok(None);
        }
        let mut packages = SourcePackages::select(&self.release, series)?;
        packages.as_nightly = true;
        Ok(Some(packages))
    }

    /// The series whose packages are proved.
    pub(super) fn proved_series(&self) -> Vec<String> {
        let deb = self.release.declaration().deb.as_ref();
        let series = deb.map_or_else(Vec::new, |deb| self.release.declaration().nightly.proved(&deb.series));
        series.into_iter().map(|series| series.name.as_str().to_owned()).collect()
    }

    /// Whether another commit has the same files and submodules.
    pub(super) fn same_tree(&self, other: &str) -> bool {
        let tree = |revision: &str| self.release.commit.repository.resolve(revision, "tree");
        Oid::parse(other).is_some()
            && tree(other).is_some_and(|tree_of| Some(tree_of) == tree(self.release.commit.id.as_str()))
    }

    /// What will be told about it.
    pub(super) fn record(&self) -> Record {
        Record {
            format: record::FORMAT,
            name: self.release.declaration().name.clone(),
            version: self.release.version.to_string(),
            commit: self.release.commit.id.to_string(),
            tag: self.release.tag.as_ref().map(|tag| tag.name.clone()),
            started: jiff::Timestamp::now().as_second(),
            why: String::new(),
            result: Outcome::Running,
            failure: None,
            steps: Vec::new(),
            images: BTreeMap::new(),
        }
    }

    /// How a person calls it.
    pub(super) fn name(&self) -> String {
        let kind = if self.release.tag.is_some() { "release" } else { "nightly" };
        format!(
            "{kind} {} of {} ({})",
            self.release.version,
            self.release.declaration().name,
            self.release.commit.id.short()
        )
    }
}
