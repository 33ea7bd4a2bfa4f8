//! Image files that engines read and write: archives of `docker save`, and OCI layouts as directories or tar files.
//!
//! https://github.com/moby/docker-image-spec, version 1.2: `manifest.json` names the configuration and the layers.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;

use crate::base_image::BaseImage;
use crate::layer_path::clean_path;
use crate::layout::{LARGEST_MANIFEST, Layout};
use crate::model::{ImageConfig, ParsedManifest, media};
use crate::normalise::BuiltImage;
use drydock_archive::format::Compression;
use drydock_archive::layer::{Item, Layer};
use drydock_archive::read::{Limits, MemberKind, ReadError, visit_stream};
use drydock_base::failure::Failure;
use drydock_base::paths;

/// The list of images in docker's archive.
const LIST: &str = "manifest.json";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    layers: Vec<String>,
}

/// Writes a base image as docker's archive.
pub(super) fn write(file: &Path, base: &BaseImage, name: &str, scratch: &Path) -> anyhow::Result<()> {
    let mut archive = Layer::new(scratch)?;
    let mut layers = Vec::new();
    for (layer, diff_id) in base.manifest.layers.iter().zip(&base.config.rootfs.diff_ids) {
        let path = base.layout.path(&layer.digest);
        let mut blob = paths::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let content = archive.keep(&mut blob)?;
        let directory = diff_id.hex();
        archive.put(directory.clone(), Item::directory(0));
        archive.put(format!("{directory}/layer.tar"), Item::file(content, 0));
        layers.push(format!("{directory}/layer.tar"));
    }
    let config = format!("{}.json", base.manifest.config.digest.hex());
    let list = json!([{"Config": config, "RepoTags": [name], "Layers": layers}]).to_string();
    let content = archive.keep(&mut &*base.layout.read(&base.manifest.config)?)?;
    archive.put(config, Item::file(content, 0));
    let content = archive.keep(&mut list.as_bytes())?;
    archive.put(LIST.to_owned(), Item::file(content, 0));
    let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    archive.write_plain(0, out).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(())
}

/// Reads an archive of `docker save`.
pub(super) fn saved(file: &Path, directory: &Path) -> anyhow::Result<BuiltImage> {
    untar(file, directory)?;
    let wrong = |why: &str| Failure::rejected(format!("cannot read the archive of `docker save`: {why}"));
    let list: Vec<Listed> =
        serde_json::from_slice(&read_small(directory, LIST)?).map_err(|error| wrong(&error.to_string()))?;
    let [Listed { config, layers }] = list.as_slice() else { return Err(wrong("it does not have exactly one image")) };
    let config: ImageConfig =
        serde_json::from_slice(&read_small(directory, config)?).map_err(|error| wrong(&error.to_string()))?;
    let layers = layers.iter().map(|layer| {
        let path = directory.join(clean_path(layer)?);
        let mut magic = [0; 2];
        let gzipped = paths::open_regular(&path)?.read_exact(&mut magic).is_ok() && magic == [0x1f, 0x8b];
        Ok((path, if gzipped { media::LAYER_GZIP } else { media::LAYER }.to_owned()))
    });
    let layers = layers.collect::<Result<Vec<_>, ReadError>>().map_err(|error| wrong(&error.to_string()))?;
    Ok(BuiltImage { config, layers })
}

/// Reads a layout in a tar file.
pub(super) fn saved_layout(file: &Path, directory: &Path) -> anyhow::Result<BuiltImage> {
    untar(file, directory)?;
    layout(directory)
}

/// Reads the only image of a layout.
pub(super) fn layout(directory: &Path) -> anyhow::Result<BuiltImage> {
    let layout = Layout::open(directory)?;
    let wrong = |why: &str| Failure::rejected(format!("cannot read the image of the engine: {why}"));
    let mut index = layout.index()?;
    for _ in 0..2 {
        let [one] = index.manifests.as_slice() else { return Err(wrong("it does not have exactly one image")) };
        match ParsedManifest::read(&one.media_type, &layout.read(one)?).map_err(|error| wrong(&error.to_string()))? {
            ParsedManifest::Index(inner) => index = inner,
            ParsedManifest::Manifest(manifest) => {
                let config: ImageConfig = serde_json::from_slice(&layout.read(&manifest.config)?)?;
                let layers: Vec<(PathBuf, String)> = manifest
                    .layers
                    .iter()
                    .map(|layer| (layout.path(&layer.digest), layer.media_type.clone()))
                    .collect();
                return Ok(BuiltImage { config, layers });
            }
        }
    }
    Err(wrong("it is an index of indexes"))
}

/// Unpacks an archive. Symlinks between layers, which docker writes for duplicate layers, become hard links.
fn untar(file: &Path, directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let limits = Limits { bytes: 64 << 30, entries: 100_000 };
    let mut links = Vec::new();
    let source = paths::open_regular(file).with_context(|| format!("cannot read {}", file.display()))?;
    let visited = visit_stream(source, Compression::Plain, limits, &mut |member, content| {
        let path = clean_path(&member.path)?;
        let at = directory.join(&path);
        match &member.kind {
            MemberKind::File => {
                fs::create_dir_all(at.parent().unwrap_or(directory))?;
                io::copy(content, &mut fs::OpenOptions::new().write(true).create_new(true).open(&at)?)?;
            }
            MemberKind::Link(target) => {
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                let mut parts: Vec<&str> = parent.split('/').filter(|part| !part.is_empty()).collect();
                for part in target.split('/') {
                    match part {
                        ".." if parts.pop().is_none() => return Err(ReadError::Unsafe(path)),
                        ".." | "." | "" => {}
                        part => parts.push(part),
                    }
                }
                links.push((at, directory.join(parts.join("/"))));
            }
            MemberKind::Directory | MemberKind::HardLink(_) | MemberKind::Other(_) => {}
        }
        Ok(())
    });
    visited.map_err(|error| match error {
        ReadError::Io(error) => anyhow::Error::new(error).context(format!("cannot unpack {}", file.display())),
        other => Failure::rejected(format!("{}: {other}", file.display())),
    })?;
    for (at, target) in links {
        fs::create_dir_all(at.parent().unwrap_or(directory))?;
        fs::hard_link(&target, &at).with_context(|| format!("cannot unpack {}", at.display()))?;
    }
    fs::remove_file(file).with_context(|| format!("cannot remove {}", file.display()))
}

fn read_small(directory: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let path = directory.join(clean_path(name).map_err(anyhow::Error::new)?);
    let file = paths::open_regular(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_MANIFEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}
