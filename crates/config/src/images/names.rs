//! The names of images: repositories, tags, digests and platforms, parsed at the edge.
//!
//! Grammar: OCI distribution specification 1.1, "Pulling manifests" (`<name>`, `<reference>`), and OCI image specification
//! 1.1, "Digests". Short names are completed as docker does: `debian` is `docker.io/library/debian`.

use std::fmt;
use std::str::FromStr;

use schemars::{Schema, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decode::{Declared, FromText};
use drydock_base::checksum::Checksum;
use drydock_base::text::quoted;
use drydock_base::units::BadValue;

/// The registry of short names.
const DOCKER_HUB: &str = "docker.io";

/// A repository of a registry: `registry.example:5000/lantern/nightly`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Repository {
    host: String,
    path: String,
}

impl Repository {
    /// The registry's host, with its port if one was given. Credentials are stored by host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The `<name>` in the registry: `lantern/nightly`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Another repository of the same registry, by its checked path.
    ///
    /// # Errors
    /// `path` is not the path of a repository.
    pub fn sibling(&self, path: &str) -> Result<Repository, BadValue> {
        format!("{}/{path}", self.host).parse()
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.host, self.path))
    }
}

impl FromStr for Repository {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let no = |why: &str| {
            let expected = "a repository without a tag, such as `registry.example/lantern/nightly`";
            Err(BadValue::new(format!("{} is not a repository: {why}", quoted(text)), expected))
        };
        if text.contains("://") {
            return no("it has a scheme");
        }
        if text.contains('@') {
            return no("it has a digest");
        }
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let (host, path) = match text.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
            Some(_) => (DOCKER_HUB, text.to_owned()),
            None => (DOCKER_HUB, format!("library/{text}")),
        };
        let host = if host == "index.docker.io" || host == "registry-1.docker.io" { DOCKER_HUB } else { host };
        if path.contains(':') {
            return no("it has a tag");
        }
        if !good_host(host) {
            return no("the part before the first `/` is not a host");
        }
        if path.len() > 255 || path.split('/').any(|part| !good_component(part)) {
            return no("names are made of lower-case letters and digits, with `.`, `_` or `-` between them");
        }
        Ok(Repository { host: host.to_ascii_lowercase(), path })
    }
}

fn good_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let good_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    !name.is_empty()
        && name.bytes().all(fits)
        && name.split('.').all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
        && port.is_none_or(good_port)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn good_component(part: &str) -> bool {
    let letter = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let ends = bytes.first().is_some_and(letter) && bytes.last().is_some_and(letter);
    let between = part.split(|c: char| letter(&(c as u32).try_into().unwrap_or(0)));
    ends && part.is_ascii()
        && between.into_iter().all(|run| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-'))
}

impl FromText for Repository {
    const WHAT: &'static str = "a repository";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// A tag: letters, digits and `. _ -`, at most 128.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Tag {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let starts = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        if starts && text.len() <= 128 && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "at most 128 letters, digits and `. _ -`, starting with a letter, digit or `_`";
        Err(BadValue::new(format!("{} is not a tag", quoted(text)), expected))
    }
}

/// The digest of a blob or manifest: `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub Checksum);

impl Digest {
    /// The SHA-256 digest of bytes.
    pub fn for_bytes(bytes: &[u8]) -> Digest {
        Digest(Checksum::new(bytes))
    }

    /// The digits without the algorithm.
    pub fn hex(&self) -> String {
        self.0.to_string()
    }

    /// The first 12 digits with the algorithm, for messages.
    pub fn short(&self) -> String {
        format!("sha256:{}", &self.hex()[..12])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("sha256:{}", self.0))
    }
}

impl FromStr for Digest {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let sum = text.strip_prefix("sha256:").and_then(Checksum::parse);
        let expected = "`sha256:` and 64 lower-case hexadecimal digits";
        sum.map(Digest).ok_or_else(|| BadValue::new(format!("{} is not a digest", quoted(text)), expected))
    }
}

impl FromText for Digest {
    const WHAT: &'static str = "a digest";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"})
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|bad: BadValue| serde::de::Error::custom(bad.to_string()))
    }
}

/// The operating system and architecture of an image, shown as in Go: `linux/amd64`, `linux/arm/v7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// 64-bit x86.
    Amd64,
    /// 64-bit ARM.
    Arm64,
    /// 32-bit ARM, version 7 with hardware floating point.
    ArmV7,
    /// 64-bit RISC-V.
    Riscv64,
}

impl Platform {
    /// All of them.
    pub const ALL: [Platform; 4] = [Platform::Amd64, Platform::Arm64, Platform::ArmV7, Platform::Riscv64];

    /// The `GOARCH` value.
    pub fn architecture(self) -> &'static str {
        match self {
            Platform::Amd64 => "amd64",
            Platform::Arm64 => "arm64",
            Platform::ArmV7 => "arm",
            Platform::Riscv64 => "riscv64",
        }
    }

    /// The variant, for the architectures that have one.
    pub fn variant(self) -> Option<&'static str> {
        match self {
            Platform::ArmV7 => Some("v7"),
            Platform::Amd64 | Platform::Arm64 | Platform::Riscv64 => None,
        }
    }

    /// The architecture's name in Debian.
    pub fn debian(self) -> &'static str {
        match self {
            Platform::ArmV7 => "armhf",
            Platform::Amd64 | Platform::Arm64 | Platform::Riscv64 => self.architecture(),
        }
    }

    /// The platform of this machine; none for other architectures.
    pub fn here() -> Option<Platform> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Platform::Amd64),
            "aarch64" => Some(Platform::Arm64),
            "arm" => Some(Platform::ArmV7),
            "riscv64" => Some(Platform::Riscv64),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = self.variant().map(|variant| format!("/{variant}"));
        f.pad(&format!("linux/{}{}", self.architecture(), variant.unwrap_or_default()))
    }
}

impl FromStr for Platform {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let short = if text == "linux/arm64/v8" { "linux/arm64" } else { text };
        Platform::ALL.into_iter().find(|platform| platform.to_string() == short).ok_or_else(|| {
            let list = Platform::ALL.map(|platform| format!("`{platform}`")).join(", ");
            BadValue::new(format!("{} is not a platform", quoted(text)), format!("one of {list}"))
        })
    }
}

impl FromText for Platform {
    const WHAT: &'static str = "a platform";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        text.parse()
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "enum": Platform::ALL.map(|platform| platform.to_string())})
    }
}

impl Declared for Platform {
    fn declared(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_completed_and_checked() {
        let name =
            |text: &str| text.parse::<Repository>().map(|found| found.to_string()).map_err(|bad| bad.to_string());
        for (text, expected) in [
            ("debian", "docker.io/library/debian"),
            ("lantern/lanternd", "docker.io/lantern/lanternd"),
            ("index.docker.io/lantern/lanternd", "docker.io/lantern/lanternd"),
            ("localhost/a", "localhost/a"),
            ("127.0.0.1:5000/a/b__c/d--e.f", "127.0.0.1:5000/a/b__c/d--e.f"),
            ("Registry.Example/lantern", "registry.example/lantern"),
        ] {
            assert_eq!(name(text).as_deref(), Ok(expected), "{text}");
        }
        for (text, why) in [
            ("", "names are"),
            ("https://registry.example/a", "scheme"),
            ("registry.example/a:latest", "has a tag"),
            ("registry.example/a@sha256:00", "has a digest"),
            ("registry.example/A", "names are"),
            ("registry.example/a/../b", "names are"),
            ("registry.example/a//b", "names are"),
            ("registry.example/a/", "names are"),
            ("registry.example/a___b", "names are"),
            ("registry.example:99999/a", "is not a host"),
            ("-a.example/a", "is not a host"),
            ("a b.example/a", "is not a host"),
            ("registry.example/ä", "names are"),
        ] {
            let found = name(text);
            assert!(found.as_ref().is_err_and(|bad| bad.contains(why)), "{text}: {found:?}");
        }
    }

    #[test]
    fn tags_digests_and_platforms_are_checked() {
        for good in ["latest", "v26.06rc1", "nightly-20261125", "_x"] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", "-x", ".x", "a b", "a/b", "v1+2", &"x".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad:?}");
        }
        let digest = Digest::for_bytes(b"abc");
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for bad in ["sha256:", "sha512:00", &digest.to_string().to_uppercase(), &digest.hex()] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        for (text, shown) in
            [("linux/amd64", "linux/amd64"), ("linux/arm/v7", "linux/arm/v7"), ("linux/arm64/v8", "linux/arm64")]
        {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), shown);
        }
        assert!("windows/amd64".parse::<Platform>().is_err());
        assert!("linux/arm".parse::<Platform>().is_err());
    }
}
