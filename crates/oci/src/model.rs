//! Manifests, indexes and configurations of images, as their specification has them.
//!
//! OCI image specification 1.1: descriptor.md, manifest.md, image-index.md, config.md; Docker's image manifest version 2,
//! schema 2, for what older engines push. What is read from a registry is kept as the bytes that came: a digest is that
//! of bytes, and a manifest that is written anew would have another. Unknown fields are skipped, as the specification
//! asks; sizes and counts are bounded by who reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use drydock_config::images::{Digest, Platform};

/// Media types.
pub mod media {
    /// An image manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// An image's configuration.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A layer, gzipped tar.
    pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// A layer, tar.
    pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
    /// `{}`, the content of what has none.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's list of manifests.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// Docker's configuration of an image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    /// Docker's layer, gzipped tar.
    pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    /// Every type of a manifest, in the order of preference.
    pub const ANY_MANIFEST: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];
}

/// What points at a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The type of what it points at.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What an image of an index runs on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub platform: Option<PlatformObject>,
    /// The type of an artifact, in a list of referrers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// What points at these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// What points at something of that digest and size.
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

/// What an image runs on. Registries may hold platforms that Drydock cannot build for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlatformObject {
    /// In Go's word.
    pub architecture: String,
    /// In Go's word.
    pub os: String,
    /// Such as `v7`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
}

impl From<Platform> for PlatformObject {
    fn from(platform: Platform) -> PlatformObject {
        PlatformObject {
            architecture: platform.architecture().to_owned(),
            os: "linux".to_owned(),
            variant: platform.variant().map(str::to_owned),
        }
    }
}

impl PlatformObject {
    /// Whether it is that one. Indexes name the only variant of 64-bit ARM or leave it out.
    pub fn is(&self, platform: Platform) -> bool {
        let variant = match (platform, self.variant.as_deref()) {
            (Platform::Arm64, Some("v8")) => None,
            (_, variant) => variant,
        };
        self.os == "linux" && self.architecture == platform.architecture() && variant == platform.variant()
    }
}

/// One image of one platform, or an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// The manifest that an artifact says something about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Descriptor>,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// Manifests under one name, mostly one a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// Its own type.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub artifact_type: Option<String>,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// The manifest that an artifact says something about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub subject: Option<Descriptor>,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

/// A manifest or an index, by its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// An image or an artifact.
    Manifest(Manifest),
    /// Several.
    Index(Index),
}

impl Parsed {
    /// Reads the bytes of a manifest.
    ///
    /// # Errors
    /// In words, what is wrong with them: they are of another type than they say, too old (schema 1), or no manifest.
    pub fn read(media_type: &str, bytes: &[u8]) -> Result<Parsed, String> {
        let is_index = match media_type {
            media::MANIFEST | media::DOCKER_MANIFEST => false,
            media::INDEX | media::DOCKER_LIST => true,
            other => return Err(format!("it is a {other}, which is no manifest of an image or index")),
        };
        // One that could be read as either is an attack on whoever reads it the other way (CVE-2021-41190).
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no JSON: {error}"))?;
        let has = |field: &str| value.get(field).is_some();
        if (is_index && (has("layers") || has("config"))) || (!is_index && has("manifests")) {
            return Err("it has the fields of an image and of an index".to_owned());
        }
        if let Some(own) = value.get("mediaType").and_then(serde_json::Value::as_str) {
            if own != media_type {
                return Err(format!("it says that it is a {own}, but came as {media_type}"));
            }
        }
        let parsed = match is_index {
            true => serde_json::from_value(value).map(Parsed::Index),
            false => serde_json::from_value(value).map(Parsed::Manifest),
        };
        let parsed = parsed.map_err(|error| format!("it is no manifest: {error}"))?;
        match parsed.schema_version() {
            2 => Ok(parsed),
            other => Err(format!("it has the schema version {other}, 2 is expected")),
        }
    }

    fn schema_version(&self) -> u32 {
        match self {
            Parsed::Manifest(manifest) => manifest.schema_version,
            Parsed::Index(index) => index.schema_version,
        }
    }

    /// What it says something about.
    pub fn subject(&self) -> Option<&Descriptor> {
        match self {
            Parsed::Manifest(manifest) => manifest.subject.as_ref(),
            Parsed::Index(index) => index.subject.as_ref(),
        }
    }
}

/// An image's configuration, as far as it is written here. That of a base is read as JSON and changed in place, so
/// that nothing of it is lost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<String>,
    /// In Go's word.
    pub architecture: String,
    /// In Go's word.
    pub os: String,
    /// Such as `v7`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub variant: Option<String>,
    /// How a container runs.
    #[serde(default)]
    pub config: RuntimeConfig,
    /// The layers, uncompressed.
    pub rootfs: RootFs,
    /// How it came about, one entry a layer and one for each step without a layer.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub history: Vec<History>,
}

/// How a container runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RuntimeConfig {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Such as `9735/tcp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<BTreeMap<String, serde_json::Map<String, serde_json::Value>>>,
    /// `NAME=VALUE`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Its other arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// Directories with data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<BTreeMap<String, serde_json::Map<String, serde_json::Value>>>,
    /// The directory that it starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// The signal that ends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed layers, the lowest first.
    pub diff_ids: Vec<Digest>,
}

/// A step in the making of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// When (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created: Option<String>,
    /// What.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub created_by: Option<String>,
    /// Anything.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comment: Option<String>,
    /// Whether it made no layer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub empty_layer: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(media_type: &str, text: &str, words: &str) {
        let found = Parsed::read(media_type, text.as_bytes()).unwrap_err();
        assert!(found.contains(words), "{found}");
    }

    #[test]
    fn manifests_are_read_strictly() {
        let digest = Digest::of(b"{}");
        let config = format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2}}"#, media::EMPTY);
        let good = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[],"novelty":1}}"#);
        assert!(matches!(Parsed::read(media::MANIFEST, good.as_bytes()), Ok(Parsed::Manifest(_))));
        refused(media::MANIFEST, "{", "no JSON");
        refused(media::MANIFEST, r#"{"schemaVersion":2}"#, "missing field `config`");
        refused(
            media::MANIFEST,
            &good.replace("\"layers\"", "\"manifests\":[],\"layers\""),
            "of an image and of an index",
        );
        refused(media::INDEX, &good, "of an image and of an index");
        refused(media::MANIFEST, &good.replace(":2,\"config\"", ":1,\"config\""), "schema version 1");
        refused(
            media::MANIFEST,
            &good.replace("\"config\"", "\"mediaType\":\"x/y\",\"config\""),
            "says that it is a x/y",
        );
        refused(media::MANIFEST, &good.replace("sha256:", "sha257:"), "no digest");
        refused("application/vnd.docker.distribution.manifest.v1+prettyjws", &good, "no manifest of an image");
    }

    #[test]
    fn sixty_four_bit_arm_has_one_variant() {
        let one = |variant: Option<&str>| PlatformObject {
            architecture: "arm64".into(),
            os: "linux".into(),
            variant: variant.map(str::to_owned),
        };
        assert!(one(Some("v8")).is(Platform::Arm64) && one(None).is(Platform::Arm64));
        assert!(!one(Some("v9")).is(Platform::Arm64) && !one(None).is(Platform::Amd64));
    }
}
