//! What an image stands on: taken from the cache by its digest, pulled when it is not there, checked either way.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;

use super::image_files::ImageFiles;
use super::layout::{LARGEST_MANIFEST, Layout};
use super::model::{Descriptor, ImageConfig, Manifest, ParsedManifest, media};
use drydock_base::failure::Failure;
use drydock_base::paths;
use drydock_config::images::{Digest, Platform};

/// A base whose blobs are all there.
#[derive(Debug, Clone)]
pub struct BaseImage {
    /// The cache that has its blobs.
    pub layout: Layout,
    /// What it is called.
    pub name: String,
    /// The digest that it is known by: the declared one, or that of its manifest.
    pub digest: Digest,
    /// The manifest of the platform.
    pub descriptor: Descriptor,
    /// What that says.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: ImageConfig,
}

/// Takes a base of a registry from the cache; `pull` puts what is missing there.
///
/// # Errors
/// It cannot be pulled, has another digest, or is not for the platform: with those that it is for.
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
    pull().with_context(|| format!("cannot pull the base {name}@{digest}"))?;
    find(cache, name, digest, platform)?
        .ok_or_else(|| Failure::remote(format!("the base {name}@{digest} was pulled, but is not whole")))
}

/// A base in the cache, when all of it is there and right. What is damaged is removed, to be pulled again.
///
/// # Errors
/// It is whole, but not for the platform.
pub fn find(cache: &Layout, name: &str, digest: &Digest, platform: Platform) -> anyhow::Result<Option<BaseImage>> {
    let Some(top) = manifest_of(cache, digest)? else { return Ok(None) };
    let (descriptor, manifest) = match top {
        (descriptor, ParsedManifest::Manifest(manifest)) => (descriptor, manifest),
        (_, ParsedManifest::Index(index)) => {
            let Some(one) = index.for_platform(platform) else {
                let text = format!("the base {name} is not there for {platform}, but for {}", index.platforms());
                return Err(Failure::declaration(text));
            };
            match manifest_of(cache, &one.digest)? {
                Some((descriptor, ParsedManifest::Manifest(manifest))) => (descriptor, manifest),
                Some((_, ParsedManifest::Index(_))) => anyhow::bail!("the base {name} has an index within its index"),
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
        .with_context(|| format!("the base {name} has no configuration that can be read"))?;
    let wrong = |why: String| Err(Failure::declaration(format!("the base {name}@{digest} {why}")));
    if !config.platform.is(platform) {
        return wrong(format!("is for {}, not for {platform}", config.platform));
    }
    if config.rootfs.diff_ids.len() != manifest.layers.len() {
        return wrong("lists other layers than it has".into());
    }
    Ok(Some(BaseImage { layout: cache.clone(), name: name.to_owned(), digest: *digest, descriptor, manifest, config }))
}

/// The manifest or index of a digest, if the cache has it.
fn manifest_of(cache: &Layout, digest: &Digest) -> anyhow::Result<Option<(Descriptor, ParsedManifest)>> {
    let path = cache.path(digest);
    let Ok(file) = paths::open_regular(&path) else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LARGEST_MANIFEST).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    if Digest::of(&bytes) != *digest {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        return Ok(None);
    }
    let wrong = |why: String| Failure::declaration(format!("{digest} is no base: {why}"));
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("it is no JSON: {error}")))?;
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

    /// Gives another layout its layers, without a copy where the file system can.
    ///
    /// # Errors
    /// There is no room.
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
    fn a_base_is_taken_only_when_it_is_whole_and_fits() {
        let directory = tempfile::tempdir().unwrap();
        let (cache, digest) = cache(directory.path(), "amd64");
        let base = find(&cache, "b", &digest, Platform::Amd64).unwrap().unwrap();
        let wrong = find(&cache, "b", &digest, Platform::ArmV7).unwrap_err().to_string();
        assert_eq!(wrong, "the base b is not there for linux/arm/v7, but for linux/amd64");
        // By its own digest it is the same, and still not for another platform.
        let own = base.descriptor.digest;
        assert!(find(&cache, "b", &own, Platform::Amd64).unwrap().is_some());
        assert!(find(&cache, "b", &own, Platform::Arm64).unwrap_err().to_string().contains("is for linux/amd64"));
        // A damaged layer is pulled again; one that stays damaged is told.
        let layer = cache.path(&base.manifest.layers[0].digest);
        fs::write(&layer, "LAYER").unwrap();
        let mut pulls = 0;
        let mended = cached_or_pulled(&cache, "b", &digest, Platform::Amd64, &mut || {
            pulls += 1;
            fs::write(&layer, "layer").unwrap();
            Ok(())
        });
        assert!(mended.is_ok() && pulls == 1);
        fs::remove_file(&layer).unwrap();
        let gone = cached_or_pulled(&cache, "b", &digest, Platform::Amd64, &mut || Ok(())).unwrap_err().to_string();
        assert!(gone.contains("is not whole"), "{gone}");
    }
}
