//! The images of a release that a command works on.

use std::path::PathBuf;

use crate::cli;
use crate::commands::Context;
use crate::commands::release_context::{DeclaredCommit, DeclaredImages, ReleaseContext, ReleaseSelector};
use drydock_base::checksum::Checksum;
use drydock_base::failure::Failure;
use drydock_base::hint;
use drydock_config::diagnostic::nearest;
use drydock_config::images::Image;
use drydock_oci::build_record::{RecordTag, StoredBuild};
use drydock_oci::nightly::ExpectedBuild;

/// Some or all declared images of a release.
pub(in crate::commands) struct ImageSelection<'a> {
    pub(in crate::commands) release: &'a ReleaseContext,
    /// In the order of the declaration.
    pub(in crate::commands) images: Vec<&'a Image>,
    /// The digest of the declaration of the images.
    pub(in crate::commands) declaration: Checksum,
}

impl<'a> ImageSelection<'a> {
    /// Selects images by name; all without names.
    pub(in crate::commands) fn new(
        release: &'a ReleaseContext,
        names: &[String],
    ) -> anyhow::Result<ImageSelection<'a>> {
        let declared = release.commit.images()?;
        Ok(ImageSelection { release, images: select(declared, names)?, declaration: declared.digest })
    }

    /// The directory of the images' layouts and build records.
    pub(in crate::commands) fn directory(&self) -> PathBuf {
        self.release.directory().join("oci")
    }

    /// Loads the build of an image of this commit and declaration, whose smoke test passed.
    pub(in crate::commands) fn build_of(&self, image: &Image) -> anyhow::Result<StoredBuild> {
        let expected = ExpectedBuild {
            image,
            version: &self.release.version,
            commit: self.release.commit.id.as_str(),
            tag: self.tag(),
            declaration: self.declaration,
        };
        expected.load(&self.directory())
    }

    /// The tag that names the version, as build records have it.
    pub(in crate::commands) fn tag(&self) -> Option<RecordTag> {
        let tag = self.release.tag.as_ref()?;
        Some(RecordTag { name: tag.name.clone(), object: tag.object.clone() })
    }
}

/// The release that the command line selects. An image that is not declared is reported first, since it may be a command that
/// was written wrongly.
pub(super) fn release(ctx: &Context, of: &cli::OfImages) -> anyhow::Result<ReleaseContext> {
    let selector = ReleaseSelector::from(of.of.clone());
    let commit = DeclaredCommit::resolve(ctx, &selector.revision)?;
    select(commit.images()?, &of.images)?;
    commit.release(&selector.version)
}

/// The declared images with these names; all without names.
pub(in crate::commands) fn select<'a>(
    declared: &'a DeclaredImages,
    names: &[String],
) -> anyhow::Result<Vec<&'a Image>> {
    let known = |name: &String| declared.images.iter().any(|image| image.name.as_str() == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = declared.images.iter().map(|image| image.name.as_str()).collect();
        let help = match nearest(name, all.iter().copied()) {
            Some(image) => format!("did you mean `{image}`?"),
            None => match cli::Cli::meant("docker", name) {
                Some(command) => format!("did you mean `{}`?", hint::drydock(&["docker"]).args([command.as_str()])),
                None => format!("declared are {}", all.join(", ")),
            },
        };
        return Err(Failure::usage(format!("image {name} is not declared; {help}")));
    }
    let is_selected = |image: &&Image| names.is_empty() || names.iter().any(|name| name == image.name.as_str());
    Ok(declared.images.iter().filter(is_selected).collect())
}
