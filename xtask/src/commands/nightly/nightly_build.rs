//! The nightly build of one commit: its options, its version, and what is declared.

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

use super::record::{FORMAT, NightlyRecord, Outcome};

/// The options of a nightly build.
pub(super) struct Options {
    /// A revision that names the commit.
    pub(super) revision: String,
    /// The version that will be released next; the declared one if `None`.
    pub(super) next: Option<Version>,
    /// Whether to build although nothing changed, or although the published version is higher.
    pub(super) force: bool,
    /// Whether to publish what was built and proved.
    pub(super) publish: bool,
    /// Whether another machine built it, so that what images were made of may not be here.
    pub(super) is_unpacked: bool,
    pub(super) threads: u32,
    /// The engines to try for Dockerfiles, in this order.
    pub(super) engines: &'static [EngineKind],
    pub(super) proof: ProofEnvironment,
    /// The key that signs source packages; the declared key if `None`.
    pub(super) key: Option<String>,
    /// The minutes to wait for the answer of the archive that packages are uploaded to.
    pub(super) wait: u32,
    /// The URL of Launchpad's API.
    pub(super) api: String,
}

/// A nightly build.
pub(super) struct NightlyBuild {
    pub(super) options: Options,
    pub(super) release: ReleaseContext,
}

impl NightlyBuild {
    /// Resolves the commit and its version: that of its highest release tag, else one of a nightly.
    pub(super) fn new(ctx: &Context, options: Options) -> anyhow::Result<NightlyBuild> {
        let commit = DeclaredCommit::resolve(ctx, &options.revision)?;
        let source = match commit.highest_tag()? {
            Some(tag) => VersionSource::Tag(Some(tag)),
            None => VersionSource::Nightly(options.next.clone()),
        };
        let release = commit.release(&source)?;
        // Reports an invalid declaration of images before anything is built.
        release.commit.images_if_declared()?;
        Ok(NightlyBuild { options, release })
    }

    pub(super) fn ctx(&self) -> &Context {
        self.release.ctx()
    }

    /// The declared images; none without `docker/images.yaml`.
    pub(super) fn images(&self) -> &[Image] {
        let images = self.release.commit.images_if_declared().ok().flatten();
        images.map_or(&[], |declared| &declared.images)
    }

    /// The images for the commands about images; an error if none are declared.
    pub(super) fn selection(&self) -> anyhow::Result<ImageSelection<'_>> {
        ImageSelection::new(&self.release, &[])
    }

    /// The source packages, which are uploaded to `nightly.upload`; an error if none are declared.
    pub(super) fn packages(&self, series: &[String]) -> anyhow::Result<SourcePackages<'_>> {
        let mut packages = SourcePackages::select(&self.release, series)?;
        packages.as_nightly = true;
        Ok(packages)
    }

    /// The names of the series whose packages are proved.
    pub(super) fn proved_series(&self) -> Vec<String> {
        let deb = self.release.declaration().deb.as_ref();
        let series = deb.map_or_else(Vec::new, |deb| self.release.declaration().nightly.proved(&deb.series));
        series.into_iter().map(|series| series.name.as_str().to_owned()).collect()
    }

    /// Whether another commit has the same files and submodules.
    pub(super) fn has_same_tree(&self, other: &str) -> bool {
        let tree = |revision: &str| self.release.commit.repository.resolve(revision, "tree");
        Oid::parse(other).is_some()
            && tree(other).is_some_and(|tree_of| Some(tree_of) == tree(self.release.commit.id.as_str()))
    }

    /// The record at the start of the build.
    pub(super) fn new_record(&self) -> NightlyRecord {
        NightlyRecord {
            format: FORMAT,
            name: self.release.declaration().name.clone(),
            version: self.release.version.to_string(),
            commit: self.release.commit.id.to_string(),
            tag: self.release.tag.as_ref().map(|tag| tag.name.clone()),
            started: jiff::Timestamp::now().as_second(),
            reason: String::new(),
            result: Outcome::Running,
            unpublished: false,
            failure: None,
            steps: Vec::new(),
            images: BTreeMap::new(),
        }
    }

    /// A title for people: `nightly VERSION of NAME (COMMIT)`.
    pub(super) fn title(&self) -> String {
        let ReleaseContext { commit, version, .. } = &self.release;
        let kind = if self.release.tag.is_some() { "release" } else { "nightly" };
        format!("{kind} {version} of {} ({})", self.release.declaration().name, commit.id.short())
    }
}
