//! The image of one platform: the layers of its base image, the layers on top, and a configuration derived from the base's.

use anyhow::Context as _;
use serde_json::json;

use super::layout::Layout;
use super::model::{Descriptor, History, ImageConfig, LayerType, Manifest, RootFs, RuntimeConfig, media};
use drydock_archive::layer::Layer;
use drydock_archive::rfc3339;
use drydock_base::failure::Failure;
use drydock_config::images::{Digest, Image, Platform, Runtime};
use drydock_config::release::Version;

/// The label with the commit that an image was built from.
pub const REVISION: &str = "org.opencontainers.image.revision";
/// The label with the version of an image.
pub const VERSION: &str = "org.opencontainers.image.version";
/// The label and annotation with the time of an image (RFC 3339).
pub const CREATED: &str = "org.opencontainers.image.created";
/// The label of an image with its name, and the annotation of an artifact's file with the file's name.
pub const TITLE: &str = "org.opencontainers.image.title";

/// The metadata of an image, from which its labels are made.
#[derive(Debug, Clone)]
pub struct ImageMetadata<'a> {
    /// The declaration.
    pub image: &'a Image,
    /// The version.
    pub version: &'a Version,
    /// The commit, all digits.
    pub commit: &'a str,
    /// The commit's time, in seconds since 1970.
    pub epoch: u64,
    /// The platform.
    pub platform: Platform,
    /// The base image's name and digest; none of `scratch`.
    pub base: Option<(String, Digest)>,
}

/// A layer that was written here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLayer {
    /// The compressed layer.
    pub descriptor: Descriptor,
    /// The digest of its tar stream.
    pub diff_id: Digest,
}

impl NewLayer {
    /// Writes a layer into a layout, with no time later than `epoch` (seconds since 1970).
    ///
    /// # Errors
    /// The layer cannot be written.
    pub fn write(layer: &Layer, epoch: u64, layout: &Layout) -> anyhow::Result<NewLayer> {
        let mut part = layout.part()?;
        let written = layer.write(epoch, part.as_file_mut()).context("cannot write a layer")?;
        let digest = Digest(written.sha256);
        layout.keep(part, &digest)?;
        let descriptor = Descriptor::new(media::LAYER_GZIP, digest, written.size);
        Ok(NewLayer { descriptor, diff_id: Digest(written.diff_id) })
    }
}

/// The image of one platform before it is written: a configuration and all layers, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnwrittenImage {
    /// The configuration, which lists all layers.
    pub config: ImageConfig,
    /// The layers, whose blobs are in the layout.
    pub layers: Vec<Descriptor>,
}

/// The image of one platform in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenImage {
    /// The descriptor of the manifest, with the platform.
    pub descriptor: Descriptor,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
}

impl ImageConfig {
    /// Returns the configuration of an image without a base and without layers.
    pub fn from_scratch(platform: Platform) -> ImageConfig {
        ImageConfig {
            created: None,
            platform: platform.into(),
            config: RuntimeConfig {
                env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
                ..RuntimeConfig::default()
            },
            rootfs: RootFs { kind: "layers".to_owned(), diff_ids: Vec::new() },
            history: Vec::new(),
            other: Default::default(),
        }
    }

    /// Adds a layer and its build step. Each step is taken for that of the next layer, so layers without a step get one.
    ///
    /// # Errors
    /// The time is after the year 9999.
    pub fn add_layer(&mut self, epoch: u64, created_by: &str, diff_id: Digest) -> anyhow::Result<()> {
        let steps = self.history.iter().filter(|step| !step.empty_layer).count();
        let base = History { created_by: Some("base".to_owned()), ..History::default() };
        self.history.extend((steps..self.rootfs.diff_ids.len()).map(|_| base.clone()));
        self.history.push(History {
            created: Some(rfc3339(epoch)?),
            created_by: Some(created_by.to_owned()),
            comment: Some("drydock".to_owned()),
            ..History::default()
        });
        self.rootfs.diff_ids.push(diff_id);
        Ok(())
    }
}

/// Puts the declared parameters and labels into an image's configuration, and writes it with its manifest.
///
/// # Errors
/// The configuration lists other layers than the image has, or the layout cannot be written.
pub fn write(layout: &Layout, image: UnwrittenImage, metadata: &ImageMetadata<'_>) -> anyhow::Result<WrittenImage> {
    let UnwrittenImage { mut config, mut layers } = image;
    let listed = config.rootfs.diff_ids.len();
    if listed != layers.len() {
        let text = format!("the configuration lists {listed} layers, but the image has {}", layers.len());
        return Err(Failure::rejected(text));
    }
    // Engines record the machine that they build on in these fields.
    for field in
        ["container", "container_config", "docker_version", "author", "id", "parent", "moby.buildkit.buildinfo.v1"]
    {
        config.other.remove(field);
    }
    for field in ["Hostname", "Domainname", "Image", "ArgsEscaped"] {
        config.config.other.remove(field);
    }
    config.created = Some(rfc3339(metadata.epoch)?);
    set_parameters(&mut config.config, &metadata.image.runtime);
    set_labels(&mut config.config, metadata)?;
    for layer in &mut layers {
        let media_type = LayerType::of(&layer.media_type).map_or(layer.media_type.as_str(), |known| known.oci);
        *layer = Descriptor::new(media_type, layer.digest, layer.size);
    }
    let manifest = Manifest::new(layout.put_json(media::CONFIG, &config)?, layers);
    let mut descriptor = layout.put_json(media::MANIFEST, &manifest)?;
    descriptor.platform = Some(metadata.platform.into());
    Ok(WrittenImage { descriptor, manifest, config })
}

fn set_parameters(config: &mut RuntimeConfig, declared: &Runtime) {
    let Runtime { entrypoint, command, user, directory, env, ports, volumes } = declared;
    if entrypoint.is_some() {
        config.entrypoint.clone_from(entrypoint);
        // The base's arguments are for the base's program.
        config.cmd = None;
    }
    for (field, value) in [(&mut config.user, user), (&mut config.working_dir, directory)] {
        if value.is_some() {
            field.clone_from(value);
        }
    }
    if command.is_some() {
        config.cmd.clone_from(command);
    }
    for (name, value) in env {
        let start = format!("{name}=");
        let entry = format!("{start}{value}");
        match config.env.iter_mut().find(|one| one.starts_with(&start)) {
            Some(old) => *old = entry,
            None => config.env.push(entry),
        }
    }
    config.exposed_ports.extend(ports.iter().map(|port| (port.clone(), json!({}))));
    config.volumes.extend(volumes.iter().map(|volume| (volume.clone(), json!({}))));
}

fn set_labels(config: &mut RuntimeConfig, metadata: &ImageMetadata<'_>) -> anyhow::Result<()> {
    for (name, value) in &metadata.image.labels {
        config.labels.insert(name.clone(), value.render(metadata.version));
    }
    for (name, value) in [
        (VERSION, Some(metadata.version.to_string())),
        (REVISION, Some(metadata.commit.to_owned())),
        (CREATED, Some(rfc3339(metadata.epoch)?)),
        (TITLE, Some(metadata.image.name.to_string())),
        ("org.opencontainers.image.base.name", metadata.base.as_ref().map(|(name, _)| name.clone())),
        ("org.opencontainers.image.base.digest", metadata.base.as_ref().map(|(_, digest)| digest.to_string())),
    ] {
        match value {
            Some(value) => config.labels.insert(name.to_owned(), value),
            // The base image may name a base of its own.
            None => config.labels.remove(name),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_config::images::Images;

    const DECLARED: &str = "\
repositories: {nightly: registry.example/n, release: registry.example/r}
images:
  mine:
    base: {image: debian, digest: 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'}
    from: {debs: [mine]}
    entrypoint: [mine, --daemon]
    env: {PATH: /mine/bin, MORE: '1'}
    ports: [80/tcp]
    labels: {example.of: 'v{version}'}
    smoke-test: {run: [mine]}
";

    #[test]
    fn base_configuration_is_edited_and_unknown_fields_are_kept() {
        let images = Images::parse(DECLARED, std::path::Path::new("x")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let mut config: ImageConfig = serde_json::from_value(json!({
            "architecture": "amd64", "os": "linux", "created": "2031-01-01T00:00:00Z", "container": "abc",
            "novelty": {"kept": true},
            "config": {
                "Env": ["PATH=/bin", "OLD=1"], "Cmd": ["sh"], "ExposedPorts": null, "Hostname": "h",
                "Labels": {"org.opencontainers.image.version": "base", "theirs": "2"},
            },
            "rootfs": {"type": "layers", "diff_ids": []},
        }))
        .unwrap();
        let layer = layout.put(media::DOCKER_LAYER_GZIP, b"layer").unwrap();
        config.add_layer(60, "packages", layer.digest).unwrap();
        let version = "1.0".parse().unwrap();
        let base = Some(("debian".to_owned(), Digest::for_bytes(b"")));
        let metadata = ImageMetadata {
            image: &images.images[0],
            version: &version,
            commit: "c0",
            epoch: 60,
            platform: Platform::Amd64,
            base,
        };
        let written = write(&layout, UnwrittenImage { config, layers: vec![layer] }, &metadata).unwrap();
        assert_eq!(written.manifest.layers[0].media_type, media::LAYER_GZIP);
        let manifest = layout.read(&written.descriptor).unwrap();
        assert_eq!(serde_json::from_slice::<Manifest>(&manifest).unwrap(), written.manifest);
        let config = String::from_utf8(layout.read(&written.manifest.config).unwrap()).unwrap();
        insta::assert_snapshot!(config, @r#"{"created":"1970-01-01T00:01:00Z","architecture":"amd64","os":"linux","config":{"ExposedPorts":{"80/tcp":{}},"Env":["PATH=/mine/bin","OLD=1","MORE=1"],"Entrypoint":["mine","--daemon"],"Labels":{"example.of":"v1.0","org.opencontainers.image.base.digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","org.opencontainers.image.base.name":"debian","org.opencontainers.image.created":"1970-01-01T00:01:00Z","org.opencontainers.image.revision":"c0","org.opencontainers.image.title":"mine","org.opencontainers.image.version":"1.0","theirs":"2"}},"rootfs":{"type":"layers","diff_ids":["sha256:dac1d7cfa95021764849fd102524e141488c5e3a90f861dbb5a12d9ac8584f85"]},"history":[{"created":"1970-01-01T00:01:00Z","created_by":"packages","comment":"drydock"}],"novelty":{"kept":true}}"#);
    }

    #[test]
    fn each_layer_has_a_history_entry() {
        let layer = Digest::for_bytes(b"layer");
        let steps = |history: serde_json::Value| {
            let mut config = ImageConfig::from_scratch(Platform::Amd64);
            config.rootfs.diff_ids = vec![Digest::for_bytes(b"1"), Digest::for_bytes(b"2")];
            config.history = serde_json::from_value(history).unwrap();
            config.add_layer(60, "mine", layer).unwrap();
            config.history.into_iter().map(|step| step.created_by.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(steps(json!([])), ["base", "base", "mine"]);
        let (full, empty) = (json!({"created_by": "a"}), json!({"created_by": "b", "empty_layer": true}));
        assert_eq!(steps(json!([full, empty])), ["a", "b", "base", "mine"]);
        assert_eq!(steps(json!([full, empty, full])), ["a", "b", "a", "mine"]);
    }

    #[test]
    fn layers_that_differ_from_the_configuration_are_refused() {
        let images = Images::parse(DECLARED, std::path::Path::new("x")).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::create(directory.path()).unwrap();
        let version = "1.0".parse().unwrap();
        let metadata = ImageMetadata {
            image: &images.images[0],
            version: &version,
            commit: "c0",
            epoch: 60,
            platform: Platform::Amd64,
            base: None,
        };
        let layer = layout.put(media::LAYER, b"layer").unwrap();
        let image = UnwrittenImage { config: ImageConfig::from_scratch(Platform::Amd64), layers: vec![layer] };
        let found = write(&layout, image, &metadata).unwrap_err().to_string();
        assert_eq!(found, "the configuration lists 0 layers, but the image has 1");
    }
}
