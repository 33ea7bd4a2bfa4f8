//! Base images: taken from the cache by digest, or pulled into it; verified in both cases.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;

use super::image_files::{ImageFiles, LAYER_LIMITS};
use super::layout::{LARGEST_MANIFEST, Layout};
use super::model::{Descriptor, ImageConfig, LayerType, Manifest, ParsedManifest, media};
use drydock_archive::read;
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
    cache.remove_interrupted()?;
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
            let candidates = index.candidates(platform);
            let (mut found, mut is_complete) = (None, true);
            for one in &candidates {
                match manifest_of(cache, &one.digest)? {
                    Some((descriptor, ParsedManifest::Manifest(manifest))) => {
                        if one.platform.is_some() || is_for(cache, &manifest, platform) {
                            found = Some((descriptor, manifest));
                            break;
                        }
                    }
                    Some((_, ParsedManifest::Index(_))) => {
                        anyhow::bail!("the base image {name} has an index within its index")
                    }
                    None => is_complete = false,
                }
            }
            match found {
                Some(found) => found,
                None if !is_complete => return Ok(None),
                None => {
                    let list = index.platforms();
                    let list = if list.is_empty() { "not listed".to_owned() } else { list };
                    let text =
                        format!("the base image {name} is not available for {platform}; its platforms are {list}");
                    return Err(Failure::declaration(text));
                }
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
    for (layer, listed) in manifest.layers.iter().zip(&config.rootfs.diff_ids) {
        let found = diff_id(cache, layer)
            .map_err(|error| Failure::declaration(format!("cannot use the base image {name}@{digest}: {error:#}")))?;
        if found != *listed {
            return wrong(format!("has a layer whose content is {found}, where its configuration says {listed}"));
        }
    }
    Ok(Some(BaseImage { layout: cache.clone(), name: name.to_owned(), digest: *digest, descriptor, manifest, config }))
}

/// Returns true if the configuration of an image is in a layout, and is for the platform.
pub(super) fn is_for(layout: &Layout, manifest: &Manifest, platform: Platform) -> bool {
    let config = layout.read(&manifest.config).ok();
    let config = config.and_then(|bytes| serde_json::from_slice::<ImageConfig>(&bytes).ok());
    config.is_some_and(|config| config.platform.is(platform))
}

/// The digest of a layer's uncompressed content. It is kept in the cache under the digest of the layer, which was compared with
/// the blob before, and its compression, so that each layer is uncompressed once.
fn diff_id(cache: &Layout, layer: &Descriptor) -> anyhow::Result<Digest> {
    let kind = LayerType::of(&layer.media_type)?;
    let (_, ending) = kind.oci.rsplit_once('.').context("a media type without a dot")?;
    let known = cache.directory().join("diff-ids").join(format!("{}.{ending}", layer.digest.hex()));
    if let Some(digest) = fs::read_to_string(&known).ok().and_then(|text| text.trim_end().parse().ok()) {
        return Ok(digest);
    }
    let content = read::stream_checksum(&cache.path(&layer.digest), kind.compression, LAYER_LIMITS)
        .with_context(|| format!("the layer {}", layer.digest))?;
    let digest = Digest(content);
    let directory = known.parent().context("a path without a parent")?;
    fs::create_dir_all(directory).with_context(|| format!("cannot write to {}", directory.display()))?;
    paths::write_atomically(&known, format!("{digest}\n").as_bytes())?;
    Ok(digest)
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

    /// A base image of one layer, whose configuration says that its content is `listed`.
    fn with_layer(cache: &Layout, media_type: &str, layer: &[u8], listed: Digest) -> anyhow::Result<Option<BaseImage>> {
        let layer = cache.put(media_type, layer).unwrap();
        let config =
            json!({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [listed]}});
        let config = cache.put(media::CONFIG, config.to_string().as_bytes()).unwrap();
        let manifest = json!({"schemaVersion": 2, "config": config, "layers": [layer]});
        let manifest = cache.put(media::MANIFEST, manifest.to_string().as_bytes()).unwrap();
        find(cache, "b", &manifest.digest, Platform::Amd64)
    }

    #[test]
    fn layers_of_every_type_are_compared_with_the_configuration() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Layout::create(directory.path()).unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(3);
        tar.append_data(&mut header, "etc/one", &b"one"[..]).unwrap();
        let whole = tar.into_inner().unwrap();
        // As some tools write it: it ends with the last file.
        let cut = whole[..1024].to_vec();
        for plain in [&whole, &cut] {
            let gzip = {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                std::io::Write::write_all(&mut encoder, plain).unwrap();
                encoder.finish().unwrap()
            };
            let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
            for (media_type, bytes) in [
                (media::LAYER, plain),
                (media::LAYER_GZIP, &gzip),
                (media::LAYER_ZSTD, &zstd),
                (media::DOCKER_LAYER, plain),
                (media::DOCKER_LAYER_GZIP, &gzip),
                (media::DOCKER_LAYER_ZSTD, &zstd),
            ] {
                let base = with_layer(&cache, media_type, bytes, Digest::for_bytes(plain)).unwrap().unwrap();
                assert!(base.files().unwrap().get("etc/one").is_some(), "{media_type}");
                // The second time, the content is known.
                for _ in 0..2 {
                    let other =
                        with_layer(&cache, media_type, bytes, Digest::for_bytes(b"lie")).unwrap_err().to_string();
                    assert!(other.contains("where its configuration says sha256:"), "{media_type}: {other}");
                }
            }
        }
        for (media_type, bytes, words) in [
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", &whole[..], "a foreign layer"),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", b"-", "a foreign layer"),
            ("application/x-tar\u{1b}[2J", b"--", "a layer of the media type application/x-tar"),
            (media::LAYER_GZIP, b"not compressed", "cannot use the base image b@"),
            (media::LAYER_ZSTD, b"not compressed either", "cannot use the base image b@"),
        ] {
            let error = format!("{:#}", with_layer(&cache, media_type, bytes, Digest::for_bytes(bytes)).unwrap_err());
            assert!(error.contains(words) && !error.contains('\u{1b}'), "{media_type}: {error}");
        }
        let old = cache.put("x", br#"{"schemaVersion": 1, "name": "b", "fsLayers": []}"#).unwrap();
        let error = find(&cache, "b", &old.digest, Platform::Amd64).unwrap_err().to_string();
        assert!(error.contains("docker's schema 1"), "{error}");
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
        // An index that does not name the platform: the configuration does.
        let bare = json!({"schemaVersion": 2, "manifests": [base.descriptor]});
        let bare = cache.put(media::INDEX, bare.to_string().as_bytes()).unwrap().digest;
        assert_eq!(find(&cache, "b", &bare, Platform::Amd64).unwrap().unwrap().descriptor.digest, own);
        let wrong = find(&cache, "b", &bare, Platform::Arm64).unwrap_err().to_string();
        assert!(wrong.contains("is not available for linux/arm64; its platforms are not listed"), "{wrong}");
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
