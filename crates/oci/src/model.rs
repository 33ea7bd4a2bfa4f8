//! Manifests, indexes and configurations of images.
//!
//! OCI image specification 1.1: descriptor.md, manifest.md, image-index.md, config.md; Docker's image manifest version 2,
//! schema 2, for images that older engines push. Manifests of a registry are kept as the bytes that were received: their
//! digest is that of these bytes. Unknown fields of manifests are ignored, as the specification asks; callers bound sizes
//! and counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use drydock_archive::format::Compression;
use drydock_archive::read::ReadError;
use drydock_config::images::{Digest, Platform};
use drydock_http::printable;

pub use platform::PlatformObject;

mod platform;

/// Media types.
pub mod media {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An image index.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, gzipped tar.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, tar.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// `{}`, the configuration of artifacts.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's list of manifests.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's configuration of an image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer, gzipped tar.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Docker's layer, tar compressed by zstd, as BuildKit writes it.
    pub const DOCKER_LAYER_ZSTD: &str = "application/vnd.docker.image.rootfs.diff.tar.zstd";
    /// Docker's layer, tar.
    pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
    /// A layer, tar compressed by zstd.
    pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
    /// The beginnings of the types of layers that may not be distributed: registries have only an address of each.
    pub const FOREIGN_LAYERS: [&str; 2] =
        ["application/vnd.oci.image.layer.nondistributable.", "application/vnd.docker.image.rootfs.foreign."];
    /// Docker's first manifests, which were signed and named layers by the sums of nothing but themselves.
    pub const DOCKER_SCHEMA_1: [&str; 2] = [
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ];
    /// All types of manifests and indexes, in order of preference.
    pub const ANY_MANIFEST: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];
}

/// A type of layers: the media types of OCI and of docker, and the compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// The media type of OCI.
    pub oci: &'static str,
    /// The media type of docker.
    pub docker: &'static str,
    /// The compression of the tar archive.
    pub compression: Compression,
}

/// All types of layers that are read. OCI image specification 1.1, layer.md; distribution's manifest v2, schema 2.
const LAYER_TYPES: [LayerType; 3] = [
    LayerType { oci: media::LAYER_GZIP, docker: media::DOCKER_LAYER_GZIP, compression: Compression::Gzip },
    LayerType { oci: media::LAYER_ZSTD, docker: media::DOCKER_LAYER_ZSTD, compression: Compression::Zstd },
    LayerType { oci: media::LAYER, docker: media::DOCKER_LAYER, compression: Compression::Plain },
];

impl LayerType {
    /// The type of layers with that media type.
    ///
    /// # Errors
    /// There is none, or the content of such layers is not in registries.
    pub fn of(media_type: &str) -> Result<LayerType, ReadError> {
        if let Some(found) = LAYER_TYPES.into_iter().find(|one| [one.oci, one.docker].contains(&media_type)) {
            return Ok(found);
        }
        let name = printable(media_type);
        if media::FOREIGN_LAYERS.iter().any(|start| media_type.starts_with(start)) {
            let why = "whose content may not be distributed and is not in the registry; choose another base image";
            return Err(ReadError::Unsupported(format!("a foreign layer ({name}), {why}")));
        }
        Err(ReadError::Unsupported(format!("a layer of the media type {name}")))
    }
}

/// A reference to a blob or a manifest by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content, in bytes.
    pub size: u64,
    /// The platform of an image that an index lists.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform: Option<PlatformObject>,
    /// The artifact type of a referrer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// Annotations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default, deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Describes these bytes.
    pub fn for_bytes(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::for_bytes(bytes), bytes.len() as u64)
    }

    /// Describes content of that digest and size.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The manifest of an image for one platform, or of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the manifest itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// The type of an artifact; absent for images.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub layers: Vec<Descriptor>,
    /// The manifest that an artifact is attached to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Descriptor>,
    /// Annotations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default, deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Returns the OCI manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(media::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Iterates over the configuration and all layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// An index: the manifests of one image, usually one for each platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the index itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// The type of an artifact; absent for images.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(deserialize_with = "null_is_default")]
    pub manifests: Vec<Descriptor>,
    /// The manifest that an artifact is attached to.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Descriptor>,
    /// Annotations by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default, deserialize_with = "null_is_default")]
    pub annotations: BTreeMap<String, String>,
}

impl Index {
    /// Returns the OCI index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Index {
        Index {
            schema_version: 2,
            media_type: Some(media::INDEX.to_owned()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Returns the images that may be for a platform: the first that the index lists for it, or else all that are listed without
    /// a platform, whose configurations tell. So does containerd.
    pub fn candidates(&self, platform: Platform) -> Vec<&Descriptor> {
        let is_image = |child: &&Descriptor| {
            let is_manifest = [media::MANIFEST, media::DOCKER_MANIFEST].contains(&child.media_type.as_str());
            // BuildKit's attestations, and other artifacts.
            is_manifest && child.artifact_type.is_none() && !child.annotations.contains_key("vnd.docker.reference.type")
        };
        let listed = |child: &&Descriptor| child.platform.as_ref().is_some_and(|object| object.is(platform));
        match self.manifests.iter().find(listed) {
            Some(one) => vec![one],
            None => self.manifests.iter().filter(|child| child.platform.is_none()).filter(is_image).collect(),
        }
    }

    /// Returns the platforms that the index lists, separated by commas, for an error message.
    pub fn platforms(&self) -> String {
        // BuildKit lists its attestations as images for an unknown platform.
        let is_known = |platform: &&PlatformObject| platform.os != "unknown";
        let all = self.manifests.iter().filter_map(|child| child.platform.as_ref()).filter(is_known);
        printable(&all.map(ToString::to_string).collect::<Vec<_>>().join(", "))
    }
}

/// A manifest or an index, distinguished by its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedManifest {
    /// The manifest of an image or an artifact.
    Manifest(Manifest),
    /// An index of several manifests.
    Index(Index),
}

/// The reason why bytes cannot be read as a manifest.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The media type is neither that of a manifest nor that of an index.
    #[error("unsupported media type {0}")]
    MediaType(String),
    /// The manifest is of docker's first schema, which has no configuration.
    #[error(
        "the manifest is of docker's schema 1, which is no longer read; push the image again with a current docker"
    )]
    Schema1,
    /// The bytes are not JSON, or a field is missing or has another type.
    #[error("cannot parse the manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// The manifest could be read as an image and as an index, which is an attack (CVE-2021-41190).
    #[error("the manifest has the fields of an image and of an index")]
    Ambiguous,
    /// The manifest declares a media type other than the one that it was delivered with.
    #[error("the manifest declares the media type {declared}, but was delivered as {delivered}")]
    OtherMediaType {
        /// The `mediaType` field.
        declared: String,
        /// The media type of the descriptor or the response.
        delivered: String,
    },
    /// The schema version is not 2.
    #[error("unsupported schema version {0}; expected 2")]
    SchemaVersion(u32),
}

impl ParsedManifest {
    /// Parses the bytes of a manifest.
    ///
    /// # Errors
    /// See [`ManifestError`].
    pub fn read(media_type: &str, bytes: &[u8]) -> Result<ParsedManifest, ManifestError> {
        let is_index = match media_type {
            media::MANIFEST | media::DOCKER_MANIFEST => false,
            media::INDEX | media::DOCKER_LIST => true,
            old if media::DOCKER_SCHEMA_1.contains(&old) => return Err(ManifestError::Schema1),
            other => return Err(ManifestError::MediaType(other.to_owned())),
        };
        let value: Value = serde_json::from_slice(bytes)?;
        if value.get("fsLayers").is_some() {
            return Err(ManifestError::Schema1);
        }
        let has = |field: &str| value.get(field).is_some();
        if (is_index && (has("layers") || has("config"))) || (!is_index && has("manifests")) {
            return Err(ManifestError::Ambiguous);
        }
        if let Some(declared) = value.get("mediaType").and_then(Value::as_str).filter(|own| *own != media_type) {
            let (declared, delivered) = (declared.to_owned(), media_type.to_owned());
            return Err(ManifestError::OtherMediaType { declared, delivered });
        }
        let parsed = if is_index {
            ParsedManifest::Index(serde_json::from_value(value)?)
        } else {
            ParsedManifest::Manifest(serde_json::from_value(value)?)
        };
        match parsed.schema_version() {
            2 => Ok(parsed),
            other => Err(ManifestError::SchemaVersion(other)),
        }
    }

    fn schema_version(&self) -> u32 {
        match self {
            ParsedManifest::Manifest(manifest) => manifest.schema_version,
            ParsedManifest::Index(index) => index.schema_version,
        }
    }

    /// Returns the manifest that an artifact is attached to.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            ParsedManifest::Manifest(manifest) => manifest.subject.as_ref(),
            ParsedManifest::Index(index) => index.subject.as_ref(),
        }
    }
}

/// The configuration of an image. Fields that are unknown here are kept, so that nothing of a base image is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The time of the build (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<String>,
    /// The platform: `architecture`, `os` and `variant`.
    #[serde(flatten)]
    pub platform: PlatformObject,
    /// The parameters of a container.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RuntimeConfig,
    /// The layers.
    pub rootfs: RootFs,
    /// The build steps, one for each layer and one for each step that made no layer.
    #[serde(skip_serializing_if = "Vec::is_empty", default, deserialize_with = "null_is_default")]
    pub history: Vec<History>,
    /// All other fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The parameters of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuntimeConfig {
    /// The user, by name or number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The ports that the image listens on, such as `9735/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub exposed_ports: BTreeMap<String, Value>,
    /// The environment, `NAME=VALUE` each.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_default")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// The default arguments, or the command where there is no entrypoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// The directories that hold data.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub volumes: BTreeMap<String, Value>,
    /// The working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_default")]
    pub labels: BTreeMap<String, String>,
    /// All other fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, the lowest first.
    #[serde(deserialize_with = "null_is_default")]
    pub diff_ids: Vec<Digest>,
}

/// A build step of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// The time of the step (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<String>,
    /// The command of the step.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by: Option<String>,
    /// A comment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
    /// True for a step that made no layer.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub empty_layer: bool,
    /// All other fields.
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// Go programs write `null` for empty lists and maps.
pub(crate) fn null_is_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
