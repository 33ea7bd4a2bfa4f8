//! The build of one image for all requested platforms. It is written beside the previous build, smoke-tested, and replaces
//! the previous build in one step.

mod archive;
mod base;
mod dockerfile;
mod packages;

pub(in crate::commands) use base::provide_in as base_in;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::selection::ImageSelection;
use crate::commands::release_context::ReleaseContext;
use drydock_archive::source::{self, SourceTree};
use drydock_base::output;
use drydock_config::images::{From, Image, Platform};
use drydock_oci::base_image::BaseImage;
use drydock_oci::build_record::{BaseRecord, BuildRecord, FORMAT, InputFile, Inputs, MadeBy, PlatformRecord};
use drydock_oci::engine::Engine;
use drydock_oci::image::{self, ImageMetadata, NewLayer, UnwrittenImage};
use drydock_oci::layer_builder::LayerBuilder;
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, media};
use drydock_oci::smoke;

/// The image to build, and the parameters of the build.
pub(super) struct ImageBuild<'a> {
    pub(super) selection: &'a ImageSelection<'a>,
    pub(super) image: &'a Image,
    pub(super) platforms: Vec<Platform>,
    /// The engine for Dockerfiles; none if no image is made of one.
    pub(super) engine: Option<&'a Engine>,
}

/// The image of one platform before it is written.
struct PlatformBuild {
    base: Option<BaseImage>,
    image: UnwrittenImage,
    /// The packages or archives in the image.
    inputs: Vec<InputFile>,
    /// `layer`, or the engine with its version.
    method: String,
}

impl ImageBuild<'_> {
    /// Builds and tests the image. The previous build stays until the new one is complete.
    pub(super) fn run(&self) -> anyhow::Result<BuildRecord> {
        let directory = self.selection.directory();
        fs::create_dir_all(&directory).with_context(|| format!("cannot create {}", directory.display()))?;
        remove_interrupted(&directory)?;
        let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&directory);
        let part = part.with_context(|| format!("cannot write to {}", directory.display()))?;
        fs::set_permissions(part.path(), fs::Permissions::from_mode(0o755))?;
        let layout = Layout::create(part.path())?;

        let (mut manifests, mut platforms) = (Vec::new(), BTreeMap::new());
        let (mut inputs, mut methods) = (Vec::new(), Vec::new());
        let sources = match &self.image.from {
            From::Dockerfile { .. } => Some(self.sources()?),
            From::Debs { .. } | From::Archive { .. } => None,
        };
        for platform in &self.platforms {
            let context = || format!("{} for {platform}", self.image.name);
            let built = self.build(*platform, sources.as_ref(), &layout).with_context(context)?;
            inputs.extend(built.inputs.iter().cloned());
            methods.push(built.method.clone());
            let (descriptor, record) = self.write(built, *platform, &layout).with_context(context)?;
            manifests.push(descriptor);
            platforms.insert(platform.to_string(), record);
        }
        let index = layout.put_json(media::INDEX, &Index::new(manifests))?;
        let digest = index.digest;
        layout.set_index(vec![index])?;
        inputs.sort();
        inputs.dedup();
        methods.dedup();
        let record = BuildRecord {
            format: FORMAT,
            image: self.image.name.to_string(),
            version: self.release().version.to_string(),
            commit: self.release().commit.id.to_string(),
            tag: self.selection.tag(),
            epoch: self.epoch(),
            digest,
            platforms,
            inputs,
            without_proof: None,
            made_by: Some(MadeBy {
                drydock: env!("CARGO_PKG_VERSION").to_owned(),
                method: methods.join(", "),
                declaration: Some(self.selection.declaration),
            }),
        };
        record.save(&layout)?;
        replace(part, &directory.join(self.image.name.as_str()))?;
        Ok(record)
    }

    /// Checks what the declaration names, before anything is pulled or built: that is quicker to correct than a missing tool.
    /// Returns all that is wrong.
    pub(super) fn check(&self) -> Vec<anyhow::Error> {
        let mut found: Vec<(anyhow::Error, Vec<String>)> = Vec::new();
        for platform in &self.platforms {
            for error in self.check_inputs(*platform) {
                match found.iter_mut().find(|(known, _)| format!("{known:#}") == format!("{error:#}")) {
                    Some((_, platforms)) => platforms.push(platform.to_string()),
                    None => found.push((error, vec![platform.to_string()])),
                }
            }
        }
        let name = &self.image.name;
        found.into_iter().map(|(error, on)| error.context(format!("{name} for {}", on.join(", ")))).collect()
    }

    fn check_inputs(&self, platform: Platform) -> Vec<anyhow::Error> {
        let release = self.release();
        let check_packages = |packages: &[String], series: &Option<String>| {
            packages::check_declared(release, packages, series.as_deref(), platform)
        };
        let checks = match &self.image.from {
            From::Debs { packages, series, .. } => vec![check_packages(packages, series)],
            From::Archive { path, .. } => vec![archive::format(&self.archive(path, platform)).map(drop)],
            From::Dockerfile { path, packages, series, .. } => {
                let commit = &release.commit;
                let parsed = match dockerfile::text(&release.tree, commit.config.as_deref(), &commit.id, path) {
                    Ok(text) => dockerfile::parse(path, &text, self.image.base.is_some()).map(drop),
                    // It may be a generated file.
                    Err(_) => Ok(()),
                };
                let found = if packages.is_empty() { Ok(()) } else { check_packages(packages, series) };
                vec![found, parsed]
            }
        };
        checks.into_iter().filter_map(Result::err).collect()
    }

    /// The archive of a platform.
    fn archive(&self, path: &str, platform: Platform) -> PathBuf {
        archive::file(&self.release().ctx().declarations.project, path, &self.release().version, platform)
    }

    fn release(&self) -> &ReleaseContext {
        self.selection.release
    }

    /// Returns the commit's time, in seconds since 1970.
    fn epoch(&self) -> u64 {
        self.release().tree.epoch
    }

    /// Returns the files of the commit as a release has them, with the generated ones.
    fn sources(&self) -> anyhow::Result<SourceTree> {
        let mut tree = self.release().tree.clone();
        let release = self.release();
        let watch = &mut |line: &str| output::step(format_args!("{line}"));
        source::complete(&mut tree, release.declaration(), &release.version, watch)?;
        Ok(tree)
    }

    fn build(
        &self,
        platform: Platform,
        sources: Option<&SourceTree>,
        layout: &Layout,
    ) -> anyhow::Result<PlatformBuild> {
        output::step(format_args!("{} {} for {platform}", self.image.name, self.release().version));
        match &self.image.from {
            From::Debs { packages, series, skip_scripts } => self.layered(platform, layout, |builder, base| {
                let series = (series.as_deref(), builder.files.series());
                let debs = packages::find(self.release(), packages, series, platform)?;
                let inputs = Inputs::new(debs.iter().map(|deb| deb.file.clone()))?;
                packages::check(&debs, &builder.files, &base.name, platform, *skip_scripts)?;
                packages::install(builder, &debs, self.epoch())?;
                Ok((inputs.unchanged()?, format!("the packages {}", packages.join(", "))))
            }),
            From::Archive { path, strip, into } => {
                let file = self.archive(path, platform);
                self.layered(platform, layout, |builder, _| {
                    let inputs = Inputs::new([file.clone()])?;
                    archive::unpack(builder, &file, *strip, into)?;
                    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    Ok((inputs.unchanged()?, format!("{name} in {into}")))
                })
            }
            From::Dockerfile { path, args, packages, series } => {
                let sources = sources.context("an image from a Dockerfile has sources")?;
                let commit = &self.release().commit;
                let text = dockerfile::text(sources, commit.config.as_deref(), &commit.id, path)?;
                let declared = self.image.base.as_ref();
                let dockerfile = dockerfile::parse(path, &text, declared.is_some())?;
                let engine = self.engine.context("an image from a Dockerfile has an engine")?;
                let base = declared.map(|base| base::provide(self.release().ctx(), base, platform)).transpose()?;
                let mut files = Vec::new();
                if !packages.is_empty() {
                    let of_base = base.as_ref().map(BaseImage::files).transpose()?.and_then(|files| files.series());
                    let series = (series.as_deref(), of_base);
                    let debs = packages::find(self.release(), packages, series, platform)?;
                    files.extend(debs.into_iter().map(|deb| deb.file));
                }
                let inputs = Inputs::new(files.iter().cloned())?;
                let version = &self.release().version;
                let args = args.iter().map(|(name, value)| (name.clone(), value.render(version))).collect();
                let cache = base::cache(self.release().ctx())?;
                let build =
                    dockerfile::DockerfileBuild { path, dockerfile, engine, args, base, packages: files, cache };
                let mut built = build.run(sources, platform, layout)?;
                built.inputs = inputs.unchanged()?;
                Ok(built)
            }
        }
    }

    /// Builds a layer without an engine, on the declared base image. `fill` puts the files into the layer, and returns the
    /// input files and a description of the step.
    fn layered(
        &self,
        platform: Platform,
        layout: &Layout,
        fill: impl FnOnce(&mut LayerBuilder, &BaseImage) -> anyhow::Result<(Vec<InputFile>, String)>,
    ) -> anyhow::Result<PlatformBuild> {
        let declared = self.image.base.as_ref().context("an image of packages has a base")?;
        let base = base::provide(self.release().ctx(), declared, platform)?;
        base.link_layers(layout)?;
        let directory = layout.directory();
        let mut builder = LayerBuilder::new(base.files()?, directory)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
        let (inputs, step) = fill(&mut builder, &base)?;
        output::step(format_args!("write the layer of {step}"));
        let layer = NewLayer::write(&builder.layer, self.epoch(), layout)?;
        let mut config = base.config.clone();
        config.add_layer(self.epoch(), &step, layer.diff_id)?;
        let layers = base.manifest.layers.iter().cloned().chain([layer.descriptor]).collect();
        let image = UnwrittenImage { config, layers };
        Ok(PlatformBuild { base: Some(base), image, inputs, method: "layer".to_owned() })
    }

    /// Writes the image of one platform, and runs its smoke test.
    fn write(
        &self,
        built: PlatformBuild,
        platform: Platform,
        layout: &Layout,
    ) -> anyhow::Result<(Descriptor, PlatformRecord)> {
        let base = built.base.as_ref();
        let metadata = ImageMetadata {
            image: self.image,
            version: &self.release().version,
            commit: self.release().commit.id.as_str(),
            epoch: self.epoch(),
            platform,
            base: base.map(|base| (base.name.clone(), base.digest)),
        };
        let written = image::write(layout, built.image, &metadata)?;
        let declared = &self.image.smoke_test;
        let smoke_test = if let Some(why) = smoke::why_unsupported(platform) {
            output::err(format_args!("note: no smoke test for {platform}: {why}"));
            None
        } else {
            output::step(format_args!("smoke test {}", drydock_base::exec::paste(&declared.run)));
            Some(smoke::test(layout, &written, declared, &self.release().version)?)
        };
        let base = base.map(|base| BaseRecord { name: base.name.clone(), digest: base.digest });
        let record = PlatformRecord { digest: written.descriptor.digest, base, smoke_test };
        Ok((written.descriptor, record))
    }
}

/// Removes the files of a killed build. The lock excludes that another build is running.
fn remove_interrupted(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".part-")) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Replaces a layout by a new one, in one step where the file system can.
fn replace(part: tempfile::TempDir, target: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", target.display());
    if fs::symlink_metadata(target).is_err() {
        fs::rename(part.keep(), target).with_context(cannot)?;
        return Ok(());
    }
    match renameat_with(CWD, part.path(), CWD, target, RenameFlags::EXCHANGE) {
        // The old layout is removed with the temporary directory.
        Ok(()) => Ok(()),
        // Some file systems cannot exchange.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::remove_dir_all(target).with_context(cannot)?;
            fs::rename(part.keep(), target).with_context(cannot)
        }
        Err(error) => Err(error).with_context(cannot),
    }
}
