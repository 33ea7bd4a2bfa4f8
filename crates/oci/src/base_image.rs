//! Base images: taken from the cache by digest, or pulled into it; verified in both cases.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;

use super::image_files::ImageFiles;
use super::layout::{LARGEST_MANIFEST, Layout};
use super::model::{Descriptor, ImageConfig, Manifest, ParsedManifest, media};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::{Digest, Platform};

/// A base image whose blobs are all in the cache.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// The cache with its blobs.
    pub layout: Layout,
    /// The name, with the tag if one is declared.
    pub name: String,
    /// The declared digest, or that of the manifest.
    pub digest: Digest,
    /// The descriptor of the platform's manifest.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
}

/// Takes a base image from the cache, after `pull` if it is missing there.
///
/// # Errors
/// The image cannot be pulled, has another digest, or is not for the platform.
pub fn cached_or_pulled(
    cache: &Layout,
    name: &str,
    digest: &Digest,
    platform: Platform,
    pull: &mut dyn FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<BaseImage> {
    if let Some(base) = find(cache, name, digest, platform)? {
        return Ok(base);
    }
    pull().with_context(|| format!("cannot pull the base image {name}@{digest}"))?;
    find(cache, name, digest, platform)?
        .ok_or_else(|| Failure::remote(format!("the base image {name}@{digest} was pulled, but is incomplete")))
}

/// Finds a base image in the cache, if it is complete. Damaged blobs are removed, so that they are pulled again.
///
/// # Errors
/// The image is not for the platform, or is not an image.
pub fn find(cache: &Layout, name: &str, digest: &Digest, platform: Platform) -> anyhow::Result<Option<BaseImage>> {
    let Some(top) = manifest_of(cache, digest)? else { return Ok(None) };
    let (descriptor, manifest) = match top {
        (descriptor, ParsedManifest::Manifest(manifest)) => (descriptor, manifest),
        (_, ParsedManifest::Index(index)) => {
            let Some(one) = index.for_platform(platform) else {
                let text = format!(
                    "the base image {name} is not available for {platform}; its platforms are {}",
                    index.platforms()
                );
                return Err(Failure::declaration(text));
            };
            match manifest_of(cache, &one.digest)? {
                Some((descriptor, ParsedManifest::Manifest(manifest))) => (descriptor, manifest),
                Some((_, ParsedManifest::Index(_))) => {
                    anyhow::bail!("the base image {name} has an index within its index")
                }
                None => return Ok(None),
            }
        }
    };
    for blob in manifest.blobs() {
        if !cache.has(blob) {
            return Ok(None);
        }
        if cache.check(blob).is_err() {
            fs::remove_file(cache.path(&blob.digest)).with_context(|| format!("cannot remove {}", blob.digest))?;
            return Ok(None);
        }
    }
    let config: ImageConfig = serde_json::from_slice(&cache.read(&manifest.config)?)
        .with_context(|| format!("cannot parse the configuration of the base image {name}"))?;
    let wrong = |why: String| Err(Failure::declaration(format!("the base image {name}@{digest} {why}")));
    if !config.platform.is(platform) {
        return wrong(format!("is for {}, not for {platform}", config.platform));
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return wrong("lists other layers in its configuration than in its manifest".into());
    }
    Ok(Some(BaseImage { layout: cache.clone(), name: name.to_owned(), digest: *digest, descriptor, manifest, config }))
}

/// Reads a manifest or index, if the cache has it.
fn manifest_of(cache: &Layout, digest: &Digest) -> anyhow::Result<Option<(Descriptor, ParsedManifest)>> {
    let path = cache.path(digest);
    let Ok(file) = paths::open_regular(&path) else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LARGEST_MANIFEST).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    if Digest::for_bytes(&bytes) != *digest {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        return Ok(None);
    }
    let wrong = |why: String| Failure::declaration(format!("cannot use {digest} as a base image: {why}"));
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| wrong(format!("{error}")))?;
    let guess = if value.get("manifests").is_some() { media::INDEX } else { media::MANIFEST };
    let media_type = value.get("mediaType").and_then(serde_json::Value::as_str).unwrap_or(guess).to_owned();
    let parsed = ParsedManifest::read(&media_type, &bytes).map_err(|error| wrong(error.to_string()))?;
    Ok(Some((Descriptor::for_bytes(&media_type, &bytes), parsed)))
}

impl BaseImage {
    /// Returns the files of the base image.
    ///
    /// # Errors
    /// See [`ImageFiles::read`].
    pub fn files(&self) -> anyhow::Result<ImageFiles> {
        ImageFiles::read(&self.layout, &self.descriptor, &self.manifest)
    }

    /// Adds the layers to another layout, as hard links where the file system can.
    ///
    /// # Errors
    /// The layout cannot be written.
    pub fn link_layers(&self, to: &Layout) -> anyhow::Result<()> {
        for layer in &self.manifest.layers {
            let (from, to) = (self.layout.path(&layer.digest), to.path(&layer.digest));
            if !to.exists() {
                fs::hard_link(&from, &to)
                    .or_else(|_| fs::copy(&from, &to).map(drop))
                    .with_context(|| format!("cannot write {}", to.display()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn cache(directory: &std::path::Path, architecture: &str) -> (Layout, Digest) {
        let cache = Layout::create(directory).unwrap();
        let layer = cache.put(media::LAYER, b"layer").unwrap();
        let config = json!({"architecture": architecture, "os": "linux", "rootfs": {"type": "layers", "diff_ids": [layer.digest]}});
        let config = cache.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = json!({"schemaVersion": 2, "mediaType": media::MANIFEST, "config": config, "layers": [layer]});
        let manifest = cache.put(media::MANIFEST, manifest.to_string().as_bytes()).unwrap();
        let platform = json!({"architecture": architecture, "os": "linux"});
        let mut entry = serde_json::to_value(manifest).unwrap();
        entry["platform"] = platform;
        let index = json!({"schemaVersion": 2, "manifests": [entry]});
        (cache.clone(), cache.put(media::INDEX, index.to_string().as_bytes()).unwrap().digest)
    }

    #[test]
    fn incomplete_and_unsuitable_bases_are_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, digest) = cache(directory.path(), "amd64");
        let base = find(&cache, "b", &digest, Platform::Amd64).unwrap().unwrap();
        let wrong = find(&cache, "b", &digest, Platform::ArmV7).unwrap_err().to_string();
        assert_eq!(wrong, "the base image b is not available for linux/arm/v7; its platforms are linux/amd64");
        // The digest of the platform's manifest works as well, but not for another platform.
        let own = base.descriptor.digest;
        assert!(find(&cache, "b", &own, Platform::Amd64).unwrap().is_some());
        assert!(find(&cache, "b", &own, Platform::Arm64).unwrap_err().to_string().contains("is for linux/amd64"));
        // A damaged layer is pulled again; one that stays damaged is an error.
        let layer = cache.path(&base.manifest.layers[0].digest);
        fs::write(&layer, "LAYER").unwrap();
        let mut pulls = 0;
        let repaired = cached_or_pulled(&cache, "b", &digest, Platform::Amd64, &mut || {
            pulls += 1;
            fs::write(&layer, "layer").unwrap();
            Ok(())
        });
        assert!(repaired.is_ok() && pulls == 1);
        fs::remove_file(&layer).unwrap();
        let gone = cached_or_pulled(&cache, "b", &digest, Platform::Amd64, &mut || Ok(())).unwrap_err().to_string();
        assert!(gone.contains("is incomplete"), "{gone}");
    }
}
