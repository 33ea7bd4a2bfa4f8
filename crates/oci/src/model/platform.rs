//! The platforms that indexes and configurations of images name.

use std::fmt;

use serde::{Deserialize, Serialize};

use drydock_config::images::Platform;

/// The platform of an image. Registries may hold platforms that Drydock cannot build for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlatformObject {
    /// The `GOARCH` value.
    pub architecture: String,
    /// The `GOOS` value.
    pub os: String,
    /// The variant of the architecture, such as `v7`.
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

impl fmt::Display for PlatformObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

impl PlatformObject {
    /// Returns true for the given platform, in any of its spellings.
    pub fn is(&self, platform: Platform) -> bool {
        let (architecture, variant) = self.normalised();
        self.os.eq_ignore_ascii_case("linux")
            && architecture == platform.architecture()
            && variant.as_deref() == platform.variant()
    }

    /// Returns the architecture and its variant as Go names them. The rules are those of containerd's `platforms` package
    /// (`normalizeArch`), by which docker chooses an image.
    fn normalised(&self) -> (String, Option<String>) {
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.as_deref().map(str::to_ascii_lowercase).filter(|variant| !variant.is_empty());
        let (architecture, variant) = match (architecture.as_str(), variant.as_deref()) {
            ("x86_64" | "x86-64" | "amd64", None | Some("v1")) => ("amd64", None),
            ("x86_64" | "x86-64" | "amd64", variant) => ("amd64", variant),
            ("aarch64" | "arm64", None | Some("8" | "v8")) => ("arm64", None),
            ("aarch64" | "arm64", variant) => ("arm64", variant),
            ("armhf", _) | ("arm", None | Some("7")) => ("arm", Some("v7")),
            ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
            ("arm", Some("5")) => ("arm", Some("v5")),
            ("arm", Some("8")) => ("arm", Some("v8")),
            ("i386", _) => ("386", None),
            other => other,
        };
        (architecture.to_owned(), variant.map(str::to_owned))
    }
}
