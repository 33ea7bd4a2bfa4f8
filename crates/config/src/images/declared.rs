//! The vocabulary of `docker/images.yaml`, as it is written: each field once, with its default.

use std::time::Duration;

use schemars::{Schema, json_schema};

use super::names::{Digest, Platform, Repository};
use crate::decode::{Bounded, Declared, Entries, EnvName, FromText, Limit, OneOrMany, Size, Spanned, declaration};
use crate::release::VersionText;
use drydock_base::text::quoted;
use drydock_base::units::{BadValue, ByteSize};

/// A text with its place.
pub(super) type Text = Spanned<String>;

declaration! {
    /// The images of a project, their contents, and the repositories that they are pushed to.
    pub(in crate) struct ImagesFile {
        /// The repositories of images that do not declare their own. Default: each image must declare its own.
        repositories: Option<Spanned<RepositoriesDeclaration>>,
        /// The images by name, at least one.
        images: Spanned<Entries<ImageName, Spanned<ImageDeclaration>>>,
    }
}

declaration! {
    /// Two different repositories, so that a nightly image cannot be mistaken for a release.
    pub(in crate) struct RepositoriesDeclaration {
        /// The repository of nightly images, such as `registry.example/lantern/nightly`.
        nightly: Spanned<Repository>,
        /// The repository of releases, which are only promoted to it.
        release: Spanned<Repository>,
    }
}

declaration! {
    /// One image, for one platform or several.
    pub(in crate) struct ImageDeclaration {
        /// The repositories of this image, which differ from those of every other image. Default: `repositories` of the file.
        repositories: Option<Spanned<RepositoriesDeclaration>>,
        /// The base image. Optional for a Dockerfile that names its own base by digest.
        base: Option<Spanned<BaseDeclaration>>,
        /// The source of the image's files.
        from: Spanned<FromDeclaration>,
        /// The platforms, at least one.
        platforms: Spanned<Vec<Spanned<Platform>>> = Spanned::unwritten(vec![Spanned::unwritten(Platform::Amd64)]),
        /// The program that a container runs, as a list of its words. Default: that of the base.
        entrypoint: Option<Spanned<Vec<Text>>>,
        /// Its arguments, unless others are given. Default: those of the base, or none with an `entrypoint`.
        command: Option<Spanned<Vec<Text>>>,
        /// The user, such as `1000`, `1000:1000` or `daemon`. Default: that of the base.
        user: Option<Text>,
        /// The directory that the program starts in, an absolute path. Default: that of the base.
        directory: Option<Text>,
        /// Environment variables, over those of the base.
        env: Entries<EnvName, Text> = Entries::new(),
        /// Ports that the program listens on, such as `9735/tcp`.
        ports: Vec<Spanned<Port>> = Vec::new(),
        /// Directories with data that outlive a container, absolute paths.
        volumes: Vec<Text> = Vec::new(),
        /// Labels in addition to those that every image gets (`org.opencontainers.image.` `version`, `revision`, `created`, `title`,
        /// `base.name`, `base.digest`). Values may contain `{version}`.
        labels: Entries<LabelName, Text> = Entries::new(),
        /// The smoke test that must pass before a tag moves to the image.
        smoke_test: Spanned<SmokeTestDeclaration>,
        /// The retention of nightly images. Default: the defaults of its fields.
        retention: RetentionDeclaration,
    }
}

declaration! {
    /// What an image or a binary tarball is built on: an image of a registry by its digest, or a minimal Debian system from a dated
    /// snapshot.
    pub(in crate) struct BaseDeclaration {
        /// The repository of the base image, with an optional tag for the reader: `debian:bookworm-slim`.
        image: Option<Text>,
        /// The digest of its manifest or index; the tag is never resolved.
        digest: Option<Spanned<Digest>>,
        /// Instead of an image: the code name of a Debian series, from which mmdebstrap builds the base.
        suite: Option<Text>,
        /// The timestamp of the snapshot of Debian's archive, such as `20261101T000000Z`.
        snapshot: Option<Text>,
        /// The URL of the archive, with `{snapshot}` for the timestamp, which only a local directory (`file:///…`) may omit.
        /// Default: `https://snapshot.debian.org/archive/debian/{snapshot}`.
        mirror: Option<Text>,
        /// Packages to install in addition to the essential ones.
        packages: Vec<Text> = Vec::new(),
    }
}

declaration! {
    /// The source of an image's files: Debian packages, an archive with programs, or a Dockerfile.
    pub(in crate) struct FromDeclaration {
        /// Names of binary packages of this release, unpacked onto the base. What they depend on must be in the base or
        /// among them. With `dockerfile`, they are put into `packages/` of its context instead.
        debs: Option<OneOrMany<Text>>,
        /// The series whose packages are used. Default: the only declared series of the base's suite.
        series: Option<Text>,
        /// True to accept packages with maintainer scripts (`postinst` …), which do not run.
        skip_scripts: bool = false,
        /// An archive with programs, relative to the project: `build/mine-{version}-{architecture}.tar.xz`. The
        /// architecture is Debian's name: `amd64`, `arm64`, `armhf`, `riscv64`.
        archive: Option<Text>,
        /// The number of leading path components removed when unpacking, as in `tar --strip-components`.
        strip: Bounded<0, 16> = Bounded(0),
        /// The directory to unpack the archive into, an absolute path.
        into: Text = Spanned::unwritten("/".to_owned()),
        /// A Dockerfile, relative to the project. Its context is the commit's files, as a release has them.
        dockerfile: Option<Text>,
        /// Arguments for its `ARG` lines. `{version}` is replaced; `BASE` is the declared base.
        args: Entries<EnvName, Text> = Entries::new(),
    }
}

declaration! {
    /// The smoke test that must pass before a tag moves to the image.
    pub(in crate) struct SmokeTestDeclaration {
        /// The command in the image, as a list of its words; the entrypoint is not called before it.
        run: Spanned<Vec<Text>>,
        /// The exact output, without surrounding whitespace.
        expect: Spanned<VersionText> = Spanned::unwritten(VersionText::bare()),
        /// The time limit.
        timeout: Spanned<Limit> = Spanned::unwritten(Limit(Duration::from_secs(60))),
        /// The memory of the command and all its processes; where no cgroup can be made, of each process.
        memory: Spanned<Size> = Spanned::unwritten(Size(ByteSize::mib(512))),
        /// The size of all files that the command writes; they are in memory, and thrown away.
        disk: Spanned<Size> = Spanned::unwritten(Size(ByteSize::mib(64))),
        /// The number of processes and threads at a time, including the few that start the command. Where no cgroup can be made,
        /// it is a limit for root's tests only.
        processes: Spanned<Bounded<16, 65536>> = Spanned::unwritten(Bounded(1024)),
    }
}

declaration! {
    /// The retention of nightly images. Everything that a kept image refers to is kept as well.
    pub(in crate) struct RetentionDeclaration {
        /// The number of days for which the newest image of each day is kept, counted from the newest image.
        daily: Bounded<1, 3650> = Bounded(14),
        /// The number of weeks for which the newest image of each week is kept.
        weekly: Bounded<0, 520> = Bounded(8),
        /// Patterns of tags that are always kept, such as `keep-*`. The tag `nightly` is always kept.
        keep: Vec<Text> = Vec::new(),
    }
}

/// The name of an image: fit for file names and tags.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageName(String);

impl ImageName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl FromText for ImageName {
    const WHAT: &'static str = "the name of an image";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if text.starts_with(|first: char| first.is_ascii_alphanumeric()) && text.len() <= 64 && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        let expected = "at most 64 lower-case letters, digits and `. _ -`, starting with a letter or digit";
        Err(BadValue::new(format!("{} is not the name of an image", quoted(text)), expected))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 64, "pattern": "^[a-z0-9][a-z0-9._-]*$"})
    }
}

/// The key of a label, such as `org.opencontainers.image.vendor`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LabelName(pub(super) String);

impl FromText for LabelName {
    const WHAT: &'static str = "the name of a label";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_/".contains(&byte);
        let own = super::OWN_LABELS.contains(&text);
        let expected = "lower-case letters, digits and `. - _ /`, such as `org.opencontainers.image.vendor`";
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) {
            Err(BadValue::new(format!("{} is not the name of a label", quoted(text)), expected))
        } else if own {
            Err(BadValue::new(format!("{} is set by Drydock", quoted(text)), "another label"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "maxLength": 128, "pattern": "^[a-z0-9._/-]+$"})
    }
}

impl Declared for LabelName {
    fn declared(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}

/// A port with its protocol: `9735/tcp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port(pub(super) String);

impl FromText for Port {
    const WHAT: &'static str = "a port with its protocol";

    fn from_text(text: &str) -> Result<Self, BadValue> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, ""));
        let good = number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok_and(|port| port > 0);
        if good && matches!(protocol, "tcp" | "udp") {
            return Ok(Self(text.to_owned()));
        }
        Err(BadValue::new(format!("{} is not a port", quoted(text)), "a number and a protocol, such as `9735/tcp`"))
    }

    fn text_schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^[0-9]{1,5}/(tcp|udp)$"})
    }
}

impl Declared for Port {
    fn declared(&self) -> serde_json::Value {
        self.0.as_str().into()
    }
}
