//! One image for all wanted platforms: made beside what was there before, tried, and put in its place as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::selection::ImageSelection;
use super::{base, debs, engine, files};
use crate::commands::release_context::ReleaseContext;
use drydock_archive::source::SourceTree;
use drydock_base::output;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::{From, Image, Platform};
use drydock_oci::base_image::BaseImage;
use drydock_oci::build_record::{BaseRecord, BuildRecord, FORMAT, Input, MadeBy, PlatformRecord};
use drydock_oci::engine::Kind;
use drydock_oci::image::{self, ImageMetadata, NewLayer, UnwrittenImage};
use drydock_oci::layer_builder::LayerBuilder;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, media};
use drydock_oci::smoke;

/// What is made, of what.
pub(super) struct Job<'a> {
    pub(super) selection: &'a ImageSelection<'a>,
    pub(super) image: &'a Image,
    pub(super) platforms: Vec<Platform>,
    pub(super) engines: &'a [Kind],
}

/// The image of one platform before it is written down.
pub(super) struct Made {
    pub(super) base: Option<BaseImage>,
    pub(super) image: UnwrittenImage,
    /// The files that it was made of.
    pub(super) inputs: Vec<PathBuf>,
    /// `layer`, or the engine with its version.
    pub(super) way: String,
}

impl Job<'_> {
    pub(super) fn release(&self) -> &ReleaseContext {
        self.selection.release
    }

    /// Makes and tries the image. What was there before stays until the new one is whole.
    pub(super) fn run(&self) -> anyhow::Result<BuildRecord> {
        let directory = self.selection.directory();
        fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        forget_killed(&directory)?;
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&directory);
        let part = part.with_context(|| format!("cannot write to {}", directory.display()))?;
        fs::set_permissions(part.path(), fs::Permissions::from_mode(0o755))?;
        let layout = Layout::create(part.path())?;

        let mut manifests = Vec::new();
        let mut platforms = BTreeMap::new();
        let mut inputs = Vec::new();
        let mut ways = Vec::new();
        let tree = match &self.image.from {
            From::Dockerfile { .. } => Some(engine::sources(self)?),
            From::Debs { .. } | From::Archive { .. } => None,
        };
        for platform in &self.platforms {
            let (descriptor, record, made) = self
                .platform(*platform, tree.as_ref(), &layout)
                .with_context(|| format!("{} for {platform}", self.image.name))?;
            manifests.push(descriptor);
            platforms.insert(platform.to_string(), record);
            for file in &made.inputs {
                let (sha256, size) =
                    Sha256Sum::of_file(file).with_context(|| format!("cannot read {}", file.display()))?;
                inputs.push(Input {
                    name: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
                    sha256,
                    size,
                });
            }
            ways.push(made.way);
        }
        let index = layout.put_json(media::INDEX, &Index::new(manifests))?;
        let digest = index.digest;
        layout.set_index(vec![index])?;
        inputs.sort();
        inputs.dedup();
        ways.dedup();
        let record = BuildRecord {
            format: FORMAT,
            image: self.image.name.to_string(),
            version: self.release().version.to_string(),
            commit: self.release().commit.id.to_string(),
            tag: self.selection.tag(),
            epoch: self.release().tree.epoch,
            digest,
            platforms,
            inputs,
            made_by: Some(MadeBy {
                drydock: env!("CARGO_PKG_VERSION").to_owned(),
                way: ways.join(", "),
                declaration: Some(self.selection.declaration),
            }),
        };
        record.save(&layout)?;
        replace(part, &directory.join(self.image.name.as_str()))?;
        Ok(record)
    }

    fn platform(
        &self,
        platform: Platform,
        tree: Option<&SourceTree>,
        layout: &Layout,
    ) -> anyhow::Result<(Descriptor, PlatformRecord, Made)> {
        output::err(format_args!("== {} {} for {platform}", self.image.name, self.release().version));
        let made = match &self.image.from {
            From::Debs { packages, series, skip_scripts } => self.layered(platform, layout, |builder, base| {
                let debs = debs::find(self.release(), packages, series.as_deref(), builder.files.series(), platform)?;
                debs::check(&debs, &builder.files, &base.name, platform, *skip_scripts)?;
                debs::install(builder, &debs, self.release().tree.epoch)?;
                Ok((debs::files_of(&debs).cloned().collect(), format!("the packages {}", packages.join(", "))))
            })?,
            From::Archive { path, strip, into } => {
                let file =
                    files::file(&self.release().ctx().declarations.project, path, &self.release().version, platform);
                self.layered(platform, layout, |builder, _| {
                    files::unpack(builder, &file, *strip, into)?;
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    Ok((vec![file.clone()], format!("{name} in {into}")))
                })?
            }
            From::Dockerfile { path, args, packages, series } => {
                let declared = engine::Declared { path, args, packages, series: series.as_deref() };
                engine::make(self, &declared, tree.context("the sources are there")?, platform, layout)?
            }
        };
        let base = made.base.as_ref();
        let metadata = ImageMetadata {
            image: self.image,
            version: &self.release().version,
            commit: self.release().commit.id.as_str(),
            epoch: self.release().tree.epoch,
            platform,
            base: base.map(|base| (base.name.clone(), base.digest)),
        };
        let written = image::write(layout, made.image.clone(), &metadata)?;
        let smoke_test = match smoke::why_unsupported(platform) {
            Some(why) => {
                output::err(format_args!("note: {platform} was not tried: {why}"));
                None
            }
            None => {
                output::err(format_args!("== try {}", drydock_base::exec::paste(&self.image.smoke_test.run)));
                let version = &self.release().version;
                Some(smoke::test(layout, &written, &self.image.smoke_test, version)?)
            }
        };
        let base = base.map(|base| BaseRecord { name: base.name.clone(), digest: base.digest });
        let record = PlatformRecord { digest: written.descriptor.digest, base, smoke_test };
        Ok((written.descriptor, record, made))
    }

    /// A layer written here, on the declared base.
    fn layered(
        &self,
        platform: Platform,
        layout: &Layout,
        fill: impl FnOnce(&mut LayerBuilder, &BaseImage) -> anyhow::Result<(Vec<PathBuf>, String)>,
    ) -> anyhow::Result<Made> {
        let declared = self.image.base.as_ref().context("an image of packages has a base")?;
        let base = base::provide(self.release().ctx(), declared, platform)?;
        base.lend(layout)?;
        let directory = layout.directory();
        let mut builder = LayerBuilder::new(base.files()?, directory)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let (inputs, what) = fill(&mut builder, &base)?;
        output::err(format_args!("== write the layer of {what}"));
        let layer = NewLayer::write(&builder.layer, self.release().tree.epoch, layout)?;
        let mut config = base.config.clone();
        config.add_layer(self.release().tree.epoch, &what, layer.diff_id)?;
        let layers = base.manifest.layers.iter().cloned().chain([layer.descriptor]).collect();
        let image = UnwrittenImage { config, layers };
        Ok(Made { base: Some(base), image, inputs, way: "layer".to_owned() })
    }
}

/// Removes what a killed build left; the lock says that nobody builds now.
fn forget_killed(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".part-")) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Puts a new layout in the place of an old one, in one step.
fn replace(part: tempfile::TempDir, target: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", target.display());
    if fs::symlink_metadata(target).is_err() {
        fs::rename(part.keep(), target).with_context(cannot)?;
        return Ok(());
    }
    match renameat_with(CWD, part.path(), CWD, target, RenameFlags::EXCHANGE) {
        // The old one goes away with the temporary directory.
        Ok(()) => Ok(()),
        // Some file systems cannot exchange.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::remove_dir_all(target).with_context(cannot)?;
            fs::rename(part.keep(), target).with_context(cannot)
        }
        Err(error) => Err(error).with_context(cannot),
    }
}
