//! What tonight is about: the commit, its version, what is declared, and where results stand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::cli::{self, OfImages, OfPackages, OfRelease};
use crate::commands::Context;
use crate::commands::deb::packages::Packages;
use crate::commands::docker::loaded as images;
use crate::commands::release::loaded::{Loaded, Versioned};
use drydock_archive::source::SourceTree;
use drydock_base::failure::Failure;
use drydock_base::git::Oid;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::Image;
use drydock_config::release::Version;
use drydock_deb::version::is_above;

use super::record::{self, Outcome, Record};

/// One night.
pub(super) struct Night<'a> {
    pub(super) ctx: &'a Context,
    pub(super) options: &'a cli::Nightly,
    /// How other commands name the same sources.
    pub(super) of: OfRelease,
    pub(super) loaded: Loaded,
    pub(super) tree: SourceTree,
    pub(super) versioned: Versioned,
    /// All declared images; none without `docker/images.yaml`.
    pub(super) images: Vec<Image>,
    /// The sum of what declares them.
    declaration: Option<Sha256Sum>,
    /// The directory of everything that is made.
    pub(super) dist: PathBuf,
}

impl<'a> Night<'a> {
    /// Decides the version, and reads what is declared.
    pub(super) fn find(ctx: &'a Context, options: &'a cli::Nightly) -> anyhow::Result<Night<'a>> {
        let loaded = Loaded::new(ctx, &options.commit)?;
        let mut of = OfRelease { commit: loaded.commit.to_string(), ..OfRelease::default() };
        match release_tag(&loaded)? {
            Some(tag) => of.tag = Some(tag),
            None => of.nightly = Some(options.next.clone().unwrap_or_default()),
        }
        let (tree, versioned) = loaded.sources(&of)?;
        if of.nightly.is_some() {
            // From here on exactly this one, whatever happens to tags.
            of.nightly = Some(versioned.version.to_string());
        }
        let (images, declaration) = match images::declared(ctx, &loaded)? {
            Some((declared, sum)) => (declared.images, Some(sum)),
            None => (Vec::new(), None),
        };
        let dist = ctx.state.dist(versioned.version.as_str());
        Ok(Night { ctx, options, of, loaded, tree, versioned, images, declaration, dist })
    }

    /// What `docker` calls the images.
    pub(super) fn of_images(&self) -> OfImages {
        OfImages { images: Vec::new(), of: self.of.clone() }
    }

    /// The source packages, which go where nightlies go; none when none are declared.
    pub(super) fn packages(&self, series: &[String]) -> anyhow::Result<Option<Packages>> {
        if self.loaded.release.deb.is_none() {
            return Ok(None);
        }
        let mut packages = Packages::find(self.ctx, &self.of_packages(series))?;
        packages.as_nightly = true;
        Ok(Some(packages))
    }

    /// What `deb` calls them.
    pub(super) fn of_packages(&self, series: &[String]) -> OfPackages {
        OfPackages { of: self.of.clone(), series: series.to_vec() }
    }

    /// The series whose packages are proved.
    pub(super) fn proved_series(&self) -> Vec<String> {
        let deb = self.loaded.release.deb.as_ref();
        let series = deb.map_or_else(Vec::new, |deb| self.loaded.release.nightly.proved(&deb.series));
        series.into_iter().map(|series| series.name.as_str().to_owned()).collect()
    }

    /// Whether another commit has the same files and submodules.
    pub(super) fn same_tree(&self, other: &str) -> bool {
        let tree = |revision: &str| self.loaded.repository.resolve(revision, "tree");
        Oid::parse(other).is_some()
            && tree(other).is_some_and(|tree_of| Some(tree_of) == tree(self.loaded.commit.as_str()))
    }

    /// The images as `docker` finds them, by the declaration that the night began with.
    pub(super) fn wanted(&self) -> anyhow::Result<images::Wanted> {
        let wanted = images::Wanted::find(self.ctx, &self.of_images())?;
        if Some(wanted.declaration) != self.declaration {
            let text = "the declaration of the images changed while this went on; start it again";
            return Err(Failure::declaration(text));
        }
        Ok(wanted)
    }

    /// What will be told about it.
    pub(super) fn record(&self) -> Record {
        Record {
            format: record::FORMAT,
            name: self.loaded.release.name.clone(),
            version: self.versioned.version.to_string(),
            commit: self.loaded.commit.to_string(),
            tag: self.versioned.tag.as_ref().map(|tag| tag.name.clone()),
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
        let kind = if self.versioned.tag.is_some() { "release" } else { "nightly" };
        format!("{kind} {} of {} ({})", self.versioned.version, self.loaded.release.name, self.loaded.commit.short())
    }
}

/// The tag of the commit that names the highest version.
fn release_tag(loaded: &Loaded) -> anyhow::Result<Option<String>> {
    let tags = loaded.repository.tags_of(&loaded.commit).map_err(|why| Failure::missing(why))?;
    let versions = tags.into_iter().filter_map(|(name, _)| Some((loaded.release.tag.version_in(&name)?, name)));
    let highest =
        |one: (Version, String), other: (Version, String)| if is_above(&other.0, &one.0) { other } else { one };
    Ok(versions.reduce(highest).map(|(_, name)| name))
}
