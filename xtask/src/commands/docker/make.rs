//! One image for all wanted platforms: made beside what was there before, tried, and put in its place as a whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::Value;

use super::loaded::Wanted;
use super::{base, debs, engine, files};
use crate::cli::{Engine, OfImages};
use crate::commands::Context;
use drydock_archive::source::SourceTree;
use drydock_base::output;
use drydock_base::sums::Sha256Sum;
use drydock_config::images::{Digest, From, Image, Platform};
use drydock_oci::base::Base;
use drydock_oci::ground::{self, Ground};
use drydock_oci::image::{self, About};
use drydock_oci::layout::Layout;
use drydock_oci::model::{Descriptor, Index, media};
use drydock_oci::record::{BaseRecord, BuildRecord, FORMAT, Input, MadeBy, PlatformRecord};
use drydock_oci::smoke;
use drydock_oci::stack::Stack;

/// What is made, of what.
pub(super) struct Job<'a> {
    pub(super) ctx: &'a Context,
    pub(super) of: &'a OfImages,
    pub(super) wanted: &'a Wanted,
    pub(super) image: &'a Image,
    pub(super) platforms: Vec<Platform>,
    pub(super) engine: Engine,
}

/// The image of one platform before it is written down.
pub(super) struct Made {
    pub(super) base: Option<Base>,
    pub(super) config: Value,
    /// All layers, the lowest first; their blobs are in the layout.
    pub(super) layers: Vec<Descriptor>,
    /// The files that it was made of.
    pub(super) inputs: Vec<PathBuf>,
    /// `layer`, or the engine with its version.
    pub(super) way: String,
}

impl Job<'_> {
    /// Makes and tries the image. What was there before stays until the new one is whole.
    pub(super) fn run(&self) -> anyhow::Result<BuildRecord> {
        let directory = self.wanted.directory();
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
        let index = Index {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        };
        let index = layout.put(media::INDEX, &serde_json::to_vec(&index)?)?;
        let digest = index.digest;
        layout.set_index(vec![index])?;
        inputs.sort();
        inputs.dedup();
        ways.dedup();
        let record = BuildRecord {
            format: FORMAT,
            image: self.image.name.to_string(),
            version: self.wanted.versioned.version.to_string(),
            commit: self.wanted.loaded.commit.to_string(),
            tag: self.wanted.tag(),
            epoch: self.wanted.tree.epoch,
            digest,
            platforms,
            inputs,
            made_by: Some(MadeBy {
                drydock: env!("CARGO_PKG_VERSION").to_owned(),
                way: ways.join(", "),
                declaration: Some(self.wanted.declaration),
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
        output::err(format_args!("== {} {} for {platform}", self.image.name, self.wanted.versioned.version));
        let made = match &self.image.from {
            From::Debs { packages, series, skip_scripts } => self.layered(platform, layout, |stack, base| {
                let debs = debs::find(
                    self.ctx,
                    self.of,
                    packages,
                    series.as_deref(),
                    ground::series(&stack.ground),
                    platform,
                )?;
                debs::check(&debs, &stack.ground, &base.name, platform, *skip_scripts)?;
                debs::stack(stack, &debs, self.wanted.tree.epoch)?;
                Ok((debs::files_of(&debs).cloned().collect(), format!("the packages {}", packages.join(", "))))
            })?,
            From::Archive { path, strip, into } => {
                let file = files::file(&self.ctx.declarations.project, path, &self.wanted.versioned.version, platform);
                self.layered(platform, layout, |stack, _| {
                    files::stack(stack, &file, *strip, into)?;
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
        let about = About {
            image: self.image,
            version: &self.wanted.versioned.version,
            commit: self.wanted.loaded.commit.as_str(),
            epoch: self.wanted.tree.epoch,
            platform,
            base: base.map(|base| (base.name.clone(), base.digest)),
        };
        let descriptor = image::write(layout, made.config.clone(), &made.layers, &about)?;
        let manifest = ground::manifest(layout, &descriptor)?;
        let smoke_test = match smoke::not_here(platform) {
            Some(why) => {
                output::err(format_args!("note: {platform} was not tried: {why}"));
                None
            }
            None => {
                output::err(format_args!("== try {}", drydock_base::exec::paste(&self.image.smoke_test.run)));
                let config: Value = serde_json::from_slice(&layout.read(&manifest.config)?)?;
                let version = &self.wanted.versioned.version;
                Some(smoke::test(layout, &manifest, &config, &self.image.smoke_test, version)?)
            }
        };
        let base = base.map(|base| BaseRecord { name: base.name.clone(), digest: base.digest });
        Ok((descriptor.clone(), PlatformRecord { digest: descriptor.digest, base, smoke_test }, made))
    }

    /// A layer written here, on the declared base.
    fn layered(
        &self,
        platform: Platform,
        layout: &Layout,
        fill: impl FnOnce(&mut Stack, &Base) -> anyhow::Result<(Vec<PathBuf>, String)>,
    ) -> anyhow::Result<Made> {
        let declared = self.image.base.as_ref().context("an image of packages has a base")?;
        let base = base::provide(self.ctx, declared, platform)?;
        base.lend(layout)?;
        let ground = Ground::of(&base.layout, &base.descriptor, &base.manifest)?;
        let directory = layout.directory();
        let mut stack =
            Stack::new(ground, directory).with_context(|| format!("cannot write to {}", directory.display()))?;
        let (inputs, what) = fill(&mut stack, &base)?;
        output::err(format_args!("== write the layer of {what}"));
        let mut part = layout.part()?;
        let written =
            stack.layer.write(self.wanted.tree.epoch, part.as_file_mut()).context("cannot write the layer")?;
        let layer = Descriptor::new(media::LAYER_GZIP, Digest(written.sha256), written.size);
        layout.keep(part, &layer.digest)?;
        let mut config = base.config.clone();
        image::add_step(&mut config, self.wanted.tree.epoch, &what, Some(&Digest(written.diff_id)))?;
        let layers = base.manifest.layers.iter().cloned().chain([layer]).collect();
        Ok(Made { base: Some(base), config, layers, inputs, way: "layer".to_owned() })
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
