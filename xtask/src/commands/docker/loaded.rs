//! Which images are meant: the commit with its two declarations, its version, and the declared images that are wanted.

use std::path::PathBuf;

use crate::cli::OfImages;
use crate::commands::Context;
use crate::commands::release::loaded::{self, Loaded, Versioned};
use drydock_archive::source::SourceTree;
use drydock_base::failure::Failure;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::{Image, Images};
use drydock_oci::build_record::RecordTag;

/// The wanted images of a commit.
pub(in crate::commands) struct Wanted {
    pub(in crate::commands) loaded: Loaded,
    pub(in crate::commands) tree: SourceTree,
    pub(in crate::commands) versioned: Versioned,
    /// Those of the declared images that are wanted, in the order of the declaration.
    pub(in crate::commands) images: Vec<Image>,
    /// The sum of the declaration of the images.
    pub(in crate::commands) declaration: Sha256Sum,
    /// The directory of the release.
    pub(in crate::commands) release: PathBuf,
}

impl Wanted {
    /// Reads both declarations as a release reads its own.
    pub(in crate::commands) fn find(ctx: &Context, wanted: &OfImages) -> anyhow::Result<Wanted> {
        let loaded = Loaded::new(ctx, &wanted.of.commit)?;
        let (declared, declaration) = read(ctx, &loaded)?;
        let images = select(declared, &wanted.images)?;
        let (tree, versioned) = loaded.sources(&wanted.of)?;
        let release = ctx.state.dist(versioned.version.as_str());
        Ok(Wanted { loaded, tree, versioned, images, declaration, release })
    }

    /// The directory of the images' layouts and build records.
    pub(in crate::commands) fn directory(&self) -> PathBuf {
        self.release.join("oci")
    }

    /// The tag that names the version, as build records have it.
    pub(in crate::commands) fn tag(&self) -> Option<RecordTag> {
        let tag = self.versioned.tag.as_ref()?;
        Some(RecordTag { name: tag.name.clone(), object: tag.object.clone() })
    }
}

/// The declared images of a commit.
pub(in crate::commands) fn images(ctx: &Context, loaded: &Loaded) -> anyhow::Result<Images> {
    read(ctx, loaded).map(|(images, _)| images)
}

/// The declared images of a commit, and the sum of what declares them.
fn read(ctx: &Context, loaded: &Loaded) -> anyhow::Result<(Images, Sha256Sum)> {
    let (text, shown) = loaded::declared(ctx, &loaded.repository, &loaded.commit, ctx.declarations.images())?;
    let images = Images::parse(&text, &shown)
        .map_err(|problems| Failure::declaration(format!("{} is not valid\n{problems}", shown.display())))?;
    Ok((images, Sha256Sum::of(text.as_bytes())))
}

/// The declared images of a commit with the sum of what declares them; none when nothing does.
pub(in crate::commands) fn declared(ctx: &Context, loaded: &Loaded) -> anyhow::Result<Option<(Images, Sha256Sum)>> {
    match loaded::is_declared(ctx, &loaded.repository, &loaded.commit, &ctx.declarations.images()) {
        true => read(ctx, loaded).map(Some),
        false => Ok(None),
    }
}

/// The named ones of the declared images; all without names.
pub(in crate::commands) fn select(declared: Images, names: &[String]) -> anyhow::Result<Vec<Image>> {
    let known = |name: &String| declared.images.iter().any(|image| image.name.as_str() == name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let all: Vec<&str> = declared.images.iter().map(|image| image.name.as_str()).collect();
        return Err(Failure::usage(format!("the image {name} is not declared; there are {}", all.join(", "))));
    }
    let is_wanted = |image: &Image| names.is_empty() || names.iter().any(|name| name == image.name.as_str());
    Ok(declared.images.into_iter().filter(is_wanted).collect())
}
